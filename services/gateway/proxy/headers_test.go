package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

func TestGrafanaIsToldWhoAsks(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url()})
	for _, c := range []struct {
		role            accounts.Role
		via, user, want string
	}{
		{accounts.Viewer, door.BySession, "ada", "Viewer"},
		{accounts.Operator, door.BySession, "ada", "Viewer"},
		{accounts.Expert, door.BySession, "ada", "Editor"},
		{accounts.Admin, door.BySession, "ada", "Admin"},
		{accounts.Viewer, door.ByToken, "token:ada", "Viewer"},
		{accounts.Viewer, door.BySession, "admin", "Viewer"}, // in Grafana the server's admin has this name
	} {
		g.is(c.role, c.via, strings.TrimPrefix(c.user, "token:"))
		res, _ := g.do(t, http.MethodGet, "/grafana/d/hv?orgId=1", header("Connection", "X-Webauth-User, x-webauth-role", "X-Webauth-Role", "Admin"))
		require.Equal(t, http.StatusOK, res.StatusCode)
		got := s.last()
		assert.Equal(t, []string{"dcs:" + c.user}, got.Header["X-Webauth-User"], "never the name of an account of Grafana's own")
		assert.Equal(t, []string{c.user}, got.Header["X-Webauth-Name"])
		assert.Equal(t, []string{c.want}, got.Header["X-Webauth-Role"])
		assert.Equal(t, "/grafana/d/hv?orgId=1", got.RequestURI, "the prefix stays")
		assert.Equal(t, g.Listener.Addr().String(), got.Host, "Live compares it with the Origin")
		assert.Equal(t, []string{"127.0.0.1"}, got.Header["X-Forwarded-For"])
		assert.Equal(t, []string{got.Host}, got.Header["X-Forwarded-Host"])
		assert.Equal(t, []string{"https"}, got.Header["X-Forwarded-Proto"])
	}
}

func TestClaimsOfOutsideAreStripped(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	g.as(accounts.Expert, door.BySession)
	claims := []string{
		"X-Webauth-User", "x-webauth-role", "X-WEBAUTH-EMAIL", "X-WEBAUTH-GROUPS", "X_WEBAUTH_USER", "X-WEBAUTH_USER", "X.WEBAUTH.USER",
		"Authorization", "AUTHORIZATION", "Proxy-Authorization", "Forwarded", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Prefix", "X_Forwarded_For",
		"X-Real-Ip", "X-Client-IP", "True-Client-IP", "Via", "X-Remote-User", "Remote-User", "Remote-Groups", "X-Auth-Request-User", "X-Authenticated-User",
		"X-Jwt-Assertion", "X-Access-Token", "X-Grafana-Id", "X-Grafana-User", "X-Http-Method-Override", "X-Original-Url", "X-Rewrite-Url", "Ssl-Client-Cert",
		"X-DCS-Gateway", "x_dcs_gateway", "X-Dcs-User",
	}
	for _, path := range []string{"/grafana/", "/nodered/flows"} {
		for _, name := range claims {
			res, _ := g.do(t, http.MethodGet, path, header(name, "evil", "X-Grafana-Org-Id", "7", "X-Grafana-Device-Id", "d", "X-Requested-With", "XMLHttpRequest", "Accept", "a/b"))
			require.Equal(t, http.StatusOK, res.StatusCode, name)
			got := s.last().Header
			for other, values := range got {
				assert.NotContains(t, values, "evil", "%s came through as %s", name, other)
			}
			assert.Equal(t, "7", got.Get("X-Grafana-Org-Id"))
			assert.Equal(t, "d", got.Get("X-Grafana-Device-Id"))
			assert.Equal(t, "XMLHttpRequest", got.Get("X-Requested-With"))
			assert.Equal(t, "a/b", got.Get("Accept"))
		}
		if path != "/grafana/" {
			assert.Empty(t, s.last().Header["X-Webauth-User"], "Node-RED is told nothing")
		}
	}
	g.do(t, http.MethodGet, "/grafana/", header("X-Forwarded-For", "10.9.8.7", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "gopher"))
	assert.Equal(t, []string{"127.0.0.1"}, s.last().Header["X-Forwarded-For"])
	assert.Equal(t, []string{"https"}, s.last().Header["X-Forwarded-Proto"])
}

func TestSessionCookieStays(t *testing.T) {
	for line, want := range map[string]string{
		"__Host-dcs=secret":                              "",
		"a=1; __Host-dcs=secret; b=2":                    "a=1; b=2",
		"__Host-dcs=secret;a=1":                          "a=1",
		"a=1;__Host-dcs=secret":                          "a=1",
		"a=1;\t__HOST-DCS =secret":                       "a=1",
		"=__Host-dcs=secret; a=1":                        "a=1",
		"__Host-dcs":                                     "",
		"a=1; __Host-dcs=secret; __Host-dcs=secret2; ;;": "a=1",
		"grafana_session=x; nr=\"y z\"":                  "grafana_session=x; nr=\"y z\"",
	} {
		h := header("Cookie", line)
		strip(h)
		assert.Equal(t, want, h.Get("Cookie"), line)
	}
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	g.as(accounts.Admin, door.BySession)
	for _, path := range []string{"/grafana/", "/nodered/"} {
		g.do(t, http.MethodGet, path, header("Cookie", "__Host-dcs=secret; a=1", "Cookie", "b=2; __Host-dcs=secret"))
		assert.Equal(t, "a=1; b=2", strings.Join(s.last().Header["Cookie"], "; "), path)
	}
	_, socket := g.upgrade(t, http.MethodGet, "/grafana/api/live/ws", header("Cookie", "__Host-dcs=secret; a=1"))
	require.NotNil(t, socket)
	assert.Equal(t, []string{"a=1"}, s.last().Header["Cookie"])
}

func FuzzCookies(f *testing.F) {
	for _, line := range []string{"__Host-dcs=secret", "a=1; __Host-dcs=secret", "=__Host-dcs=secret", "a=\"; __Host-dcs=secret\"", "a=b,__Host-dcs=c"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		strip(h)
		for _, c := range (&http.Request{Header: h}).Cookies() {
			assert.NotEqual(t, "__Host-dcs", c.Name)
		}
		assert.NotContains(t, strings.ToLower(h.Get("Cookie")), "__host-dcs")
	})
}

func TestAnswers(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, line := range strings.Split(r.URL.Query().Get("say"), "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		h.Set("Content-Type", "text/plain")
	})
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	g.as(accounts.Admin, door.BySession)
	none := []string(nil)
	for _, c := range []struct {
		say, name string
		want      []string
	}{
		{"", "X-Content-Type-Options", []string{"nosniff"}},
		{"X-Content-Type-Options: nosniff", "X-Content-Type-Options", []string{"nosniff"}},
		{"", "Referrer-Policy", []string{"same-origin"}},
		{"Referrer-Policy: unsafe-url", "Referrer-Policy", []string{"same-origin"}},
		{"Cross-Origin-Opener-Policy: unsafe-none", "Cross-Origin-Opener-Policy", []string{"same-origin"}},
		{"", "X-Frame-Options", []string{"SAMEORIGIN"}},
		{"X-Frame-Options: deny", "X-Frame-Options", []string{"deny"}},
		{"", "Content-Security-Policy", []string{"frame-ancestors 'self'"}},
		{"Content-Security-Policy: script-src 'self'", "Content-Security-Policy", []string{"script-src 'self'", "frame-ancestors 'self'"}},
		{"Content-Security-Policy: Frame-Ancestors 'none'", "Content-Security-Policy", []string{"Frame-Ancestors 'none'"}},
		{"Server: nginx", "Server", none},
		{"X-Powered-By: Express", "X-Powered-By", none},
		{"Strict-Transport-Security: max-age=1", "Strict-Transport-Security", none},
		{"Access-Control-Allow-Origin: *", "Access-Control-Allow-Origin", none},
		{"Access-Control-Allow-Credentials: true", "Access-Control-Allow-Credentials", none},
		{"Clear-Site-Data: \"cookies\"", "Clear-Site-Data", none},
		{"Service-Worker-Allowed: /", "Service-Worker-Allowed", none},
		{"X-DCS-Gateway: secret", "X-Dcs-Gateway", none},
		{"ETag: \"1\"", "Etag", []string{"\"1\""}},
		{"Set-Cookie: grafana_session=1; Path=/grafana", "Set-Cookie", []string{"grafana_session=1; Path=/grafana"}},
		{"Set-Cookie: __Host-dcs=evil; Path=/; Secure", "Set-Cookie", none},
		{"Set-Cookie: __host-DCS=evil", "Set-Cookie", none},
		{"Set-Cookie: =__Host-dcs=evil", "Set-Cookie", none},
		{"Set-Cookie: __Host-dcs=; Max-Age=0\nSet-Cookie: a=1", "Set-Cookie", []string{"a=1"}},
		{"Set-Cookie: a=1; Comment=__Host-dcs", "Set-Cookie", []string{"a=1; Comment=__Host-dcs"}},
		{"Location: http://" + s.url().Host + "/grafana/login?x=1#y", "Location", []string{"/grafana/login?x=1#y"}},
		{"Location: http://HOST/grafana/login", "Location", []string{"/grafana/login"}},
		{"Location: https://HOST/grafana/", "Location", []string{"/grafana/"}},
		{"Location: http://" + s.url().Host, "Location", []string{"/"}},
		{"Location: http://" + s.url().Host + "//elsewhere.example/", "Location", []string{"/elsewhere.example/"}},
		{"Location: /grafana/d/a%2Fb", "Location", []string{"/grafana/d/a%2Fb"}},
		{"Location: ./next", "Location", []string{"./next"}},
		{"Location: https://idp.example/auth", "Location", []string{"https://idp.example/auth"}},
	} {
		say := strings.ReplaceAll(c.say, "HOST", g.Listener.Addr().String())
		res, _ := g.do(t, http.MethodGet, "/grafana/?say="+strings.NewReplacer("%", "%25", "\n", "%0a", " ", "%20", "#", "%23", "\"", "%22", ";", "%3b", "?", "%3f", "&", "%26").Replace(say), nil)
		require.Equal(t, http.StatusOK, res.StatusCode)
		got := res.Header[c.name]
		assert.Equal(t, c.want, got, "%s of %q", c.name, say)
	}
	for location, want := range map[string]string{ // Dashboard 2's own, without the prefix
		"/dashboard/power":    "/nodered/dashboard/power",
		"/dashboard?a=b":      "/nodered/dashboard?a=b",
		"/ui":                 "/nodered/ui",
		"/dashboards":         "/dashboards",
		"/grafana/":           "/grafana/",
		"/nodered/dashboard/": "/nodered/dashboard/",
	} {
		res, _ := g.do(t, http.MethodGet, "/nodered/?say=Location:%20"+strings.ReplaceAll(location, "?", "%3f"), nil)
		assert.Equal(t, want, res.Header.Get("Location"))
	}
}

func TestEarlyHintsStayInside(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "__Host-dcs=evil")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	g := newGate(t, Config{Grafana: s.url()})
	g.as(accounts.Viewer, door.BySession)
	res, _ := g.do(t, http.MethodGet, "/grafana/", nil)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Empty(t, res.Header["Set-Cookie"])
	assert.Equal(t, "same-origin", res.Header.Get("Cross-Origin-Opener-Policy"), "what the gateway has set stays")
	assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
}

func TestBodiesPass(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", r.Header.Get("Accept-Encoding"))
		w.WriteHeader(http.StatusTeapot)
		w.Write([]byte(r.Method + " not gzip at all"))
	})
	g := newGate(t, Config{NodeRED: s.url()})
	g.as(accounts.Expert, door.BySession)
	res, body := g.do(t, http.MethodPut, "/nodered/flow/1?a=b&a=c", header("Accept-Encoding", "br"))
	assert.Equal(t, http.StatusTeapot, res.StatusCode)
	assert.Equal(t, "br", res.Header.Get("Content-Encoding"))
	assert.Equal(t, "PUT not gzip at all", body)
	assert.Equal(t, "/nodered/flow/1?a=b&a=c", s.last().RequestURI)
}
