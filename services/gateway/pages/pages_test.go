package pages

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// write is what a browser gets.
func write(method string, p Page) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Write(w, httptest.NewRequest(method, "/grafana/", nil), p)
	return w
}

func TestPages(t *testing.T) {
	for name, c := range map[string]struct {
		page    Page
		status  int
		say     []string
		refresh string
	}{
		"forbidden":      {Forbidden("It is for experts.", Link{"To the dashboard", "/nodered/dashboard"}), 403, []string{"Not for this login", "It is for experts.", `<a href="/nodered/dashboard">To the dashboard</a>`}, ""},
		"not found":      {NotFound(), 404, []string{"There is nothing here", `<a href="/">Back to the console</a>`}, ""},
		"away":           {Away("Grafana"), 502, []string{"Grafana is away", "The gateway cannot reach it. It will be here again when it is back; the console works without it.", `href="/"`, "tries again"}, "5"},
		"not configured": {NotConfigured("Node-RED", "DCS_NODERED_URL"), 503, []string{"There is no Node-RED here", "set DCS_NODERED_URL"}, ""},
		"not built":      {NotBuilt(), 404, []string{"The console is not built", "make console"}, ""},
		"nothing said":   {Page{}, 500, []string{"Internal Server Error"}, ""},
		"hostile": {Page{Status: 400, Title: "<script>alert(1)</script>", Text: "\"><img src=x onerror=y>", Links: []Link{{"go", "javascript:alert(1)"}}}, 400,
			[]string{"&lt;script&gt;", "&lt;img", "#ZgotmplZ"}, ""},
		"short wait": {Page{Status: 503, Again: time.Millisecond}, 503, nil, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			res := write(http.MethodGet, c.page)
			body := res.Body.String()
			assert.Equal(t, c.status, res.Code)
			for _, say := range c.say {
				assert.Contains(t, body, say)
			}
			h := res.Header()
			assert.Equal(t, c.refresh, h.Get("Refresh"))
			assert.Equal(t, c.refresh, h.Get("Retry-After"))
			assert.Equal(t, "text/html; charset=utf-8", h.Get("Content-Type"))
			assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
			assert.Equal(t, "no-store", h.Get("Cache-Control"))
			assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
			assert.NotContains(t, h.Get("Content-Security-Policy"), "unsafe")
			for _, never := range []string{"<script", "<style", "style=", "onerror=y>\"", "http-equiv", "javascript:"} {
				assert.NotContains(t, body, never)
			}
			accessible(t, body)
		})
	}
}

// accessible holds a page to what a checker of accessibility asks first.
func accessible(t *testing.T, body string) {
	t.Helper()
	assert.Contains(t, body, `<html lang="en">`)
	assert.Contains(t, body, `name="viewport" content="width=device-width, initial-scale=1"`)
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(body))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
	for _, once := range []string{"title", "h1", "main", "nav"} {
		assert.Equal(t, 1, count[once], once)
	}
}

func TestMethods(t *testing.T) {
	res := write(http.MethodHead, Away("Grafana"))
	assert.Empty(t, res.Body.String())
	assert.NotEqual(t, "0", res.Header().Get("Content-Length"))
	res = write(http.MethodPost, Away("Grafana"))
	assert.Empty(t, res.Header().Get("Refresh"), "what was sent is not sent again by itself")
	assert.Equal(t, "5", res.Header().Get("Retry-After"))
}

func TestStyle(t *testing.T) {
	get := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		Style().ServeHTTP(w, httptest.NewRequest(method, StylePath, nil))
		return w
	}
	res := get(http.MethodGet)
	body := res.Body.String()
	assert.Equal(t, "text/css; charset=utf-8", res.Header().Get("Content-Type"))
	assert.Equal(t, "nosniff", res.Header().Get("X-Content-Type-Options"))
	assert.Contains(t, body, "prefers-color-scheme: dark")
	assert.NotContains(t, body, "url(")
	assert.NotContains(t, body, "@import")
	assert.Contains(t, pageText, `href="`+StylePath+`"`)
	assert.Equal(t, http.StatusOK, get(http.MethodHead).Code)
	res = get(http.MethodPost)
	assert.Equal(t, http.StatusMethodNotAllowed, res.Code)
	assert.Equal(t, "GET, HEAD", res.Header().Get("Allow"))
}
