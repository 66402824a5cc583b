package door

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

func TestTokens(t *testing.T) {
	h := build(t)
	secret, err := h.store.AddToken(t.Context(), "script", accounts.Operator, time.Now().Add(time.Hour))
	require.NoError(t, err)
	id := h.login(t, "bob", bobPassword)
	h.audited()

	assert.Equal(t, "script", h.ask(request{path: "/viewer", token: secret}).Body.String())
	assert.Equal(t, "script", h.ask(request{path: "/viewer", token: secret, cookie: id}).Body.String(), "the token wins")
	assert.Equal(t, 404, h.ask(request{method: "POST", path: "/operator", token: secret, headers: map[string]string{"Origin": "https://evil.example"}}).Code,
		"no browser sends a token by itself")
	assert.Equal(t, "script", h.ask(request{path: "/viewer", headers: map[string]string{"Authorization": "bearer  " + secret}}).Body.String())

	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer " + secret + "x", "Bearer dcs_", secret, "Basic YWxpY2U6eA==", "Token " + secret} {
		for _, cookie := range []string{"", id} { // nobody is let in instead
			h.limits = newLimits()
			w := h.ask(request{path: "/open", cookie: cookie, headers: map[string]string{"Authorization": header}})
			assert.Equal(t, 401, w.Code, header)
			assert.Equal(t, "urn:trackerdcs:problem:bad-token", problemOf(t, w).Type)
			assert.Contains(t, w.Header().Get("WWW-Authenticate"), "Bearer")
			assert.NotContains(t, w.Body.String(), secret)
		}
	}
	r := request{path: "/open", token: secret}.http()
	r.Header.Add("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	assert.Equal(t, 401, w.Code, "two of them")

	require.NoError(t, h.store.RemoveToken(t.Context(), "script"))
	h.limits = newLimits()
	assert.Equal(t, 401, h.ask(request{path: "/open", token: secret}).Code)
	for _, e := range h.audited() {
		assert.Equal(t, auditlog.Denied, e.Kind)
	}
}

func TestRequire(t *testing.T) {
	h := build(t)
	for _, is := range append([]accounts.Role{"", "god"}, accounts.Roles[:]...) {
		for _, needed := range accounts.Roles {
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "CONNECT"} {
				h.audited()
				h.denials = h.newDenials()
				reached := false
				handler := h.Require(needed, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
				r := httptest.NewRequest(method, "/api/v1/off", nil)
				if is != "" {
					r = r.WithContext(With(r.Context(), Who{Name: "alice", Role: is, Via: BySession, Address: "192.0.2.1"}))
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				about := fmt.Sprintf("%s, %s needed, %s", is, needed, method)
				assert.Equal(t, is.May(needed), reached, about)
				switch {
				case is == "":
					assert.Equal(t, 401, w.Code, about)
					assert.Empty(t, h.audited(), about)
				case !is.May(needed):
					assert.Equal(t, 403, w.Code, about)
					p := problemOf(t, w)
					assert.Equal(t, "urn:trackerdcs:problem:role", p.Type)
					assert.Contains(t, p.Detail, "needs the role "+string(needed))
					if method == "GET" || method == "HEAD" || method == "OPTIONS" {
						assert.Empty(t, h.audited(), about)
					} else {
						assert.Equal(t, []auditlog.Entry{{
							Kind: auditlog.Denied, User: "alice", Role: string(is), Verified: true, Via: "session", Address: "192.0.2.1",
							Message: method + " /api/v1/off needs the role " + string(needed),
						}}, h.audited(), about)
					}
				}
			}
		}
	}
}

// TestRoleChange takes effect at the next request.
func TestRoleChange(t *testing.T) {
	h := build(t)
	for _, tt := range []struct {
		name   string
		change func() error
	}{
		{"more", func() error { return h.store.SetRole(t.Context(), "alice", accounts.Admin) }},
		{"less", func() error { return h.store.SetRole(t.Context(), "alice", accounts.Viewer) }},
		{"password", func() error { _, err := h.store.SetPassword(t.Context(), "alice", alicePassword); return err }},
		{"removed", func() error { return h.store.Remove(t.Context(), "alice") }},
	} {
		id := h.login(t, "alice", alicePassword)
		assert.Equal(t, "alice", h.nameFor(id))
		require.NoError(t, tt.change())
		assert.Equal(t, "nobody", h.nameFor(id), tt.name)
		assert.Equal(t, 401, h.ask(request{method: "POST", path: "/operator", cookie: id}).Code, tt.name)
	}
	require.NoError(t, h.store.Add(t.Context(), "alice", accounts.Viewer, alicePassword))
	id := h.login(t, "alice", alicePassword)
	assert.Equal(t, 403, h.ask(request{method: "POST", path: "/operator", cookie: id}).Code)
}

func TestOtherSites(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	type headers map[string]string
	for _, tt := range []struct {
		name, method string
		headers      headers
		ok           bool
	}{
		{"no browser", "POST", nil, true},
		{"our page", "POST", headers{"Sec-Fetch-Site": "same-origin", "Origin": "https://dcs.example"}, true},
		{"our page, old browser", "POST", headers{"Origin": "https://dcs.example"}, true},
		{"typed", "POST", headers{"Sec-Fetch-Site": "none"}, true},
		{"another site", "POST", headers{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		{"a site of the domain", "POST", headers{"Sec-Fetch-Site": "same-site", "Origin": "https://wiki.example"}, false},
		{"another port", "POST", headers{"Sec-Fetch-Site": "same-site", "Origin": "https://dcs.example:3000"}, false},
		{"old browser", "DELETE", headers{"Origin": "https://evil.example"}, false},
		{"null", "PUT", headers{"Origin": "null"}, false},
		{"a link", "GET", headers{"Sec-Fetch-Site": "cross-site"}, true},
		{"our socket", "GET", headers{"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://dcs.example"}, true},
		{"a script's socket", "GET", headers{"Upgrade": "websocket", "Connection": "Upgrade"}, true},
		{"another's socket", "GET", headers{"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://evil.example"}, false},
		{"another port's socket", "GET", headers{"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://dcs.example:3000"}, false},
		{"a socket from plain HTTP", "GET", headers{"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "http://dcs.example"}, false},
		{"a socket from nowhere", "GET", headers{"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "null"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/operator", "/login", "/logout"} {
				w := h.ask(request{method: tt.method, path: path, cookie: id, headers: tt.headers, body: "x"})
				refused := w.Code == 403 && strings.Contains(w.Body.String(), "cross-origin")
				assert.Equal(t, !tt.ok, refused, "%s: %d %s", path, w.Code, w.Body)
				if path == "/logout" && tt.ok && tt.method == "POST" {
					id = h.login(t, "bob", bobPassword)
					h.limits = newLimits()
				}
			}
		})
	}
}

func TestAddress(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:1234":          "192.0.2.1",
		"[2001:db8::1]:1":         "2001:db8::1",
		"[::ffff:192.0.2.1]:1234": "192.0.2.1",
		"[fe80::1%eth0]:1":        "fe80::1",
		"pipe":                    "pipe",
		"":                        "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		r.Header.Set("X-Real-Ip", "203.0.113.9")
		r.Header.Set("Forwarded", "for=203.0.113.9")
		assert.Equal(t, want, addressOf(r))
	}
	assert.Equal(t, "ä", cut("ää", 3))
	assert.Equal(t, "ab", cut("ab", 2))
}
