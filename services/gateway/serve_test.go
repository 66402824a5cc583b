package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/live"
)

// A browser that was told to come with TLS alone to localhost could not reach
// any other port of it.
func TestHSTSOnlyWithARealCertificateAndName(t *testing.T) {
	for _, tt := range []struct {
		host string
		real bool
		want bool
	}{
		{"dcs.lab.example", true, true},
		{"dcs.lab.example:8443", true, true},
		{"DCS.lab.example.", true, true},
		{"dcs.lab.example", false, false},
		{"localhost:8443", true, false},
		{"dcs.localhost", true, false},
		{"dcs", true, false}, // a name without a domain is on everybody's own network
		{"10.0.0.7", true, false},
		{"[::1]:8443", true, false},
		{"", true, false},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = tt.host
		headers(tt.real, http.NotFoundHandler()).ServeHTTP(w, r)
		assert.Equal(t, tt.want, w.Header().Get("Strict-Transport-Security") != "", "%+v", tt)
		for _, h := range []string{"X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"} {
			assert.NotEmpty(t, w.Header().Get(h), h)
		}
	}
}

func TestLinks(t *testing.T) {
	all := links(&config{GrafanaURL: "http://g:3000", NodeRedURL: "http://n:1880"})
	for role, want := range map[accounts.Role][]string{
		accounts.Viewer:   {"grafana"},
		accounts.Operator: {"grafana", "dashboard"},
		accounts.Expert:   {"grafana", "dashboard", "editor"},
		accounts.Admin:    {"grafana", "dashboard", "editor"},
	} {
		got := all(door.Who{Role: role})
		assert.Len(t, got, len(want), role)
		for _, w := range want {
			assert.Contains(t, got, w, role)
		}
	}
	assert.Empty(t, links(&config{})(door.Who{Role: accounts.Admin}))
}

// A page tells with it how late the stream is.
func TestHealthSaysTheTime(t *testing.T) {
	h := health(&gateway{live: live.New(live.Config{})})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		w := httptest.NewRecorder()
		before := time.Now().UnixMilli()
		h.ServeHTTP(w, httptest.NewRequest(method, "/healthz", nil))
		now, err := strconv.ParseInt(w.Header().Get("X-Now"), 10, 64)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, now, before)
		assert.LessOrEqual(t, now, time.Now().UnixMilli())
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
}

// A gateway that was built without its console says how to build it, on the
// console's own addresses alone.
func TestWithoutAConsole(t *testing.T) {
	h, err := consoleHandler(nil, false)
	require.NoError(t, err)
	for path, says := range map[string]string{"/": "make console", "/device/hv": "make console", "/nosuch": "nothing here"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, http.StatusNotFound, w.Code, path)
		assert.Contains(t, w.Body.String(), says, path)
	}
}
