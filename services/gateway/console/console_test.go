package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func handler(t *testing.T) http.Handler {
	t.Helper()
	h, err := Handler(fstest.MapFS{
		"index.html":        {Data: []byte("<!doctype html><title>page</title>")},
		"assets/main-1a.js": {Data: []byte(strings.Repeat("let a=1;", 500))},
		"icon.svg":          {Data: []byte("<svg/>")},
		".gitignore":        {Data: []byte("*")},
	}, http.NotFoundHandler())
	require.NoError(t, err)
	return h
}

func get(h http.Handler, method, path, encoding string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	h := handler(t)
	for _, tt := range []struct {
		method, path string
		status       int
		kind, cache  string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/login", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/device/hv", 200, "text/html; charset=utf-8", "no-cache"},
		{"HEAD", "/runs/7", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/assets/main-1a.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"GET", "/icon.svg", 200, "image/svg+xml", "public, max-age=3600"},
		{"GET", "/index.html", 404, "", ""},
		{"GET", "/.gitignore", 404, "", ""},
		{"GET", "/assets/", 404, "", ""},
		{"GET", "/assets/../index.html", 404, "", ""},
		{"GET", "/device/", 404, "", ""},
		{"GET", "/device/a/b", 404, "", ""},
		{"GET", "/nosuch", 404, "", ""},
		{"POST", "/", 405, "", ""},
	} {
		res := get(h, tt.method, tt.path, "")
		assert.Equal(t, tt.status, res.Code, tt.path)
		if tt.status == http.StatusOK {
			assert.Equal(t, tt.kind, res.Header().Get("Content-Type"), tt.path)
			assert.Equal(t, tt.cache, res.Header().Get("Cache-Control"), tt.path)
		}
	}
	assert.Equal(t, CSP, get(h, "GET", "/", "").Header().Get("Content-Security-Policy"))
	b, err := io.ReadAll(get(h, "HEAD", "/", "").Body)
	require.NoError(t, err)
	assert.Empty(t, b)
}

func TestCompressed(t *testing.T) {
	h := handler(t)
	for accept, packed := range map[string]bool{"gzip, deflate, br": true, "gzip;q=0.5": true, "br, gzip; q=0": false, "": false, "x-gzip": false} {
		res := get(h, "GET", "/assets/main-1a.js", accept)
		assert.Equal(t, packed, res.Header().Get("Content-Encoding") == "gzip", accept)
		assert.Equal(t, "Accept-Encoding", res.Header().Get("Vary"))
		var r io.Reader = res.Body
		if packed {
			z, err := gzip.NewReader(res.Body)
			require.NoError(t, err)
			r = z
		}
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Len(t, b, 4000, accept)
	}
	assert.Empty(t, get(h, "GET", "/icon.svg", "gzip").Header().Get("Content-Encoding"), "it would save nothing")
}

func TestWithoutIndex(t *testing.T) {
	_, err := Handler(fstest.MapFS{}, http.NotFoundHandler())
	assert.ErrorContains(t, err, "make console")
}
