package proxy

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/problem"
)

var (
	browser = header("Accept", "text/html,application/xhtml+xml", "Sec-Fetch-Mode", "navigate")
	script  = header("Accept", "*/*")
)

const nobody = accounts.Role("")

// Who may do what, by role: nobody, viewer, operator, expert, admin, and a
// token of an operator and of an expert.
func TestRoles(t *testing.T) {
	type ways [7]int
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	all := ways{401, 200, 200, 200, 200, 200, 200}
	dashboard := ways{401, 403, 200, 200, 200, 200, 200}
	editor := ways{401, 403, 403, 200, 200, 403, 403}
	trick := ways{401, 403, 400, 200, 200, 400, 400} // an expert gains nothing by them
	upwards := ways{401, 400, 400, 400, 400, 400, 400}
	anyUp := func(w ways) ways {
		for i, status := range w {
			if status == 200 {
				w[i] = 101
			}
		}
		return w
	}
	for _, c := range []struct {
		method, path string
		want         ways
	}{
		{"GET", "/grafana/", all},
		{"GET", "/grafana/d/abc?var=1", all},
		{"POST", "/grafana/api/ds/query", all},
		{"GET", "/grafana/api/dashboards/uid%2Fx", all},
		{"GET", "/grafana/../nodered/", upwards},
		{"GET", "/grafana/%2e%2e/nodered/", upwards},
		{"GET", "/grafana/%252e%252e/nodered/", upwards},
		{"WS", "/grafana/api/live/ws", anyUp(all)},

		{"GET", "/nodered/dashboard", dashboard},
		{"GET", "/nodered/dashboard/", dashboard},
		{"HEAD", "/nodered/dashboard/power", dashboard},
		{"GET", "/nodered/dashboard/assets/index-CrLoQPpq.js", dashboard},
		{"GET", "/nodered/dashboard/my%20page", dashboard},
		{"GET", "/nodered/dashboard/%C3%BCbersicht", dashboard},
		{"GET", "/nodered/dashboard/_setup", dashboard},
		{"GET", "/nodered/dashboard/socket.io/?EIO=4&transport=polling", dashboard},
		{"POST", "/nodered/dashboard/socket.io/?EIO=4&transport=polling&sid=a", dashboard},
		{"WS", "/nodered/dashboard/socket.io/?EIO=4&transport=websocket", anyUp(dashboard)},
		{"GET", "/nodered/ui/", dashboard},
		{"GET", "/nodered/ui/js/app.min.js", dashboard},
		{"POST", "/nodered/ui/socket.io/?EIO=4", dashboard},
		{"WS", "/nodered/ui/socket.io/?EIO=4", anyUp(dashboard)},

		{"GET", "/nodered/", editor},
		{"GET", "/nodered/flows", editor},
		{"POST", "/nodered/flows", editor},
		{"DELETE", "/nodered/flow/1", editor},
		{"WS", "/nodered/comms", anyUp(editor)},
		{"WS", "/nodered/ui", anyUp(editor)},
		{"WS", "/nodered/dashboard/power", anyUp(editor)},
		{"GET", "/nodered/dashboards", editor},
		{"GET", "/nodered/uisettings", editor},
		{"GET", "/nodered/ui_base/js/x", editor},
		{"GET", "/nodered/DASHBOARD/power", editor},
		// Dashboard 2 deploys flows below its own path.
		{"PATCH", "/nodered/dashboard/api/v1/dcs-ui/flows", editor},
		{"PATCH", "/nodered/dashboard/api/v1/dcs-ui/edit/1", editor},
		{"PATCH", "/nodered/dashboard/API/v1/dcs-ui/flows", editor},
		{"GET", "/nodered/dashboard/api/v1/dcs-ui/flows", editor},
		{"POST", "/nodered/dashboard/chart/1/clear", editor},
		{"GET", "/nodered/dashboard/_debug/datastore/1", editor},
		{"GET", "/nodered/dashboard/_DEBUG/statestore/1", editor},
		{"POST", "/nodered/dashboard/power", editor},
		{"OPTIONS", "/nodered/dashboard/power", editor},
		{"POST", "/nodered/dashboard/socket.io/x", editor},

		{"GET", "/nodered/dashboard//flows", trick},
		{"GET", "//nodered/dashboard", ways{400, 400, 400, 400, 400, 400, 400}},
		{"GET", "/nodered/dashboard%2fpower", trick},
		{"GET", "/nodered/dashboard/%2fflows", trick},
		{"GET", "/nodered/dashboard/%5cflows", trick},
		{"GET", "/nodered/%64ashboard/power", trick},
		{"GET", "/nodered/dashboard/%61pi/v1", trick},
		{"GET", "/nodered/dashboard/a%00b", trick},
		{"GET", "/nodered/dashboard/%25", trick},
		{"GET", "/nodered/dashboard/x;y", trick},
		{"GET", "/nodered/dashboard/...", trick},
		{"GET", "/nodered/dashboard./power", trick},
		{"GET", "/nodered/dashboard/power.", trick},
		{"GET", "/nodered/dashboard%20/power", trick},
		{"GET", "/nodered/dashboard/.git", trick},
		{"GET", "/nodered/dashboard/%ff", trick},
		{"GET", "/nodered/dashboard/%EF%BC%8Fflows", trick}, // a wide slash
		{"GET", "/nodered/dashboard/../flows", upwards},
		{"GET", "/nodered/dashboard/..%2fflows", upwards},
		{"GET", "/nodered/dashboard/%2e%2e/flows", upwards},
		{"GET", "/nodered/dashboard/%252e%252e/flows", upwards},
		{"GET", "/nodered/dashboard/..%5cflows", upwards},
		{"GET", "/nodered/dashboard/./power", upwards},
		{"GET", "/%6eodered/dashboard", ways{400, 400, 400, 400, 400, 400, 400}},
		{"TRACE", "/nodered/dashboard", ways{400, 400, 400, 400, 400, 400, 400}},
	} {
		for i, who := range [7]struct {
			role accounts.Role
			via  string
		}{
			{nobody, ""}, {accounts.Viewer, door.BySession}, {accounts.Operator, door.BySession}, {accounts.Expert, door.BySession}, {accounts.Admin, door.BySession},
			{accounts.Operator, door.ByToken}, {accounts.Expert, door.ByToken},
		} {
			g.as(who.role, who.via)
			s.forget()
			var res answer
			if c.method == "WS" {
				var socket interface{ Close() error }
				res, socket = g.upgrade(t, http.MethodGet, c.path, nil)
				if res.StatusCode == http.StatusSwitchingProtocols {
					socket.Close()
				}
			} else {
				res, _ = g.do(t, c.method, c.path, script)
			}
			assert.Equal(t, c.want[i], res.StatusCode, "%s %s by %q %s", c.method, c.path, who.role, who.via)
			assert.Equal(t, c.want[i] < 300, s.last() != nil, "%s %s by %q reached the part", c.method, c.path, who.role)
			if res.StatusCode >= 400 && c.method != http.MethodHead {
				assert.Equal(t, problem.ContentType, res.Header.Get("Content-Type"))
			}
		}
	}
	assert.Greater(t, total(t, g, "dcs_gateway_proxy_requests_total"), 300.0)
}

func TestNobodyIsSentToTheLogin(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	for path, next := range map[string]string{
		"/grafana/d/hv?orgId=1&from=a%26b": "/login?next=%2Fgrafana%2Fd%2Fhv%3ForgId%3D1%26from%3Da%2526b",
		"/grafana":                         "/login?next=%2Fgrafana",
		"/nodered/dashboard/power":         "/login?next=%2Fnodered%2Fdashboard%2Fpower",
		"/nodered//evil.example":           "/login?next=%2Fnodered%2F",
		"/nodered/../x":                    "/login?next=%2Fnodered%2F",
	} {
		res, _ := g.do(t, http.MethodGet, path, browser)
		assert.Equal(t, http.StatusSeeOther, res.StatusCode, path)
		assert.Equal(t, next, res.Header.Get("Location"), path)
		assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	}
	res, _ := g.do(t, http.MethodGet, "/grafana/", header("Accept", "text/html"))
	assert.Equal(t, http.StatusSeeOther, res.StatusCode, "a browser that says no more")
	for _, h := range []http.Header{script, header("Accept", "text/html", "Sec-Fetch-Mode", "cors")} {
		res, _ = g.do(t, http.MethodGet, "/grafana/api/search", h)
		assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
		assert.Equal(t, "Bearer", res.Header.Get("WWW-Authenticate"))
	}
	res, _ = g.do(t, http.MethodPost, "/grafana/login", browser)
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode, "what was posted is not sent elsewhere")
	assert.Nil(t, s.last())
}

func TestPagesForBrowsers(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	g.as(accounts.Operator, door.BySession)
	res, body := g.do(t, http.MethodGet, "/nodered/", browser)
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
	assert.Contains(t, body, "editor is for experts")
	assert.Contains(t, body, `href="/nodered/dashboard"`)
	g.as(accounts.Expert, door.BySession)
	for _, prefix := range []string{"/grafana", "/nodered"} {
		res, _ = g.do(t, http.MethodGet, prefix+"?a=b", browser)
		assert.Equal(t, http.StatusTemporaryRedirect, res.StatusCode, prefix)
		assert.Equal(t, prefix+"/?a=b", res.Header.Get("Location"))
	}
	g.as("boss", door.BySession)
	for _, path := range []string{"/grafana/", "/nodered/dashboard"} {
		res, _ = g.do(t, http.MethodGet, path, browser)
		assert.Equal(t, http.StatusForbidden, res.StatusCode, "a role that is none")
	}
}

func TestOtherSitesStayOutside(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	host := g.Listener.Addr().String()
	g.as(accounts.Admin, door.BySession)
	for _, path := range []string{"/grafana/api/live/ws", "/nodered/comms", "/nodered/dashboard/socket.io/"} {
		for origin, want := range map[string]int{
			"https://" + host:         http.StatusSwitchingProtocols,
			"":                        http.StatusForbidden,
			"http://" + host:          http.StatusForbidden,
			"https://evil.example":    http.StatusForbidden,
			"https://127.0.0.1":       http.StatusForbidden, // another port
			"https://" + host + ".io": http.StatusForbidden,
			"https://a@" + host:       http.StatusForbidden,
			"https://" + host + "/":   http.StatusForbidden,
			"null":                    http.StatusForbidden,
			"%":                       http.StatusForbidden,
		} {
			res, _ := g.upgrade(t, http.MethodGet, path, http.Header{"Origin": {origin}})
			assert.Equal(t, want, res.StatusCode, "%s from %q", path, origin)
		}
		res, _ := g.upgrade(t, http.MethodGet, path, http.Header{"Origin": {"https://" + host, "https://evil.example"}})
		assert.Equal(t, http.StatusForbidden, res.StatusCode)
		for _, other := range []http.Header{{"Upgrade": {"h2c"}}, {"Upgrade": {"websocket, h2c"}}, {"Upgrade": {"websocket", "h2c"}}} {
			res, _ = g.upgrade(t, http.MethodGet, path, other)
			assert.Equal(t, http.StatusBadRequest, res.StatusCode, "%v", other)
		}
		res, _ = g.upgrade(t, http.MethodPost, path, nil)
		assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	}
	s.forget()
	for _, h := range []http.Header{
		header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "null"),
	} {
		res, _ := g.do(t, http.MethodPost, "/nodered/flows", h)
		assert.Equal(t, http.StatusForbidden, res.StatusCode, "%v", h)
	}
	assert.Nil(t, s.last())
	res, _ := g.do(t, http.MethodPost, "/nodered/flows", header("Origin", g.URL, "Sec-Fetch-Site", "same-origin"))
	assert.Equal(t, http.StatusOK, res.StatusCode)
}
