package proxy

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

// What an expert's flow answers cannot act in the name of who opens it.
func TestPagesOfFlowsAreInASandbox(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		w.Header()["Content-Type"] = q["type"]
		if csp := q.Get("csp"); csp != "" {
			w.Header().Set("Content-Security-Policy", csp)
		}
		status, _ := strconv.Atoi(q.Get("status"))
		w.WriteHeader(max(status, http.StatusOK))
	})
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
	g.as(accounts.Expert, door.BySession)
	for _, c := range []struct {
		path    string
		sandbox bool
	}{
		{"/nodered/zz?type=text/html", true},
		{"/nodered/zz?type=text/html&status=404", true},
		{"/nodered/zz", true}, // a browser would guess
		{"/nodered/zz?type=image/svg%2bxml", true},
		{"/nodered/zz?type=application/xhtml%2bxml", true},
		{"/nodered/zz?type=text/javascript&type=text/html", true},
		{"/nodered/zz?type=text/javascript,text/html", true},
		{"/nodered/zz?type=text/javascript%3bx=%22a,text/html%22", true},
		{"/nodered/zz?type=text/html&csp=script-src%20*", true},
		{"/nodered/zz/?type=text/html", true},
		{"/nodered/debug/view/zz.html?type=text/html", true},
		{"/nodered/dashboards?type=text/html", true},
		{"/nodered/red/images/x.svg?type=image/svg%2bxml", true},
		{"/nodered/flows?type=application/json", true},

		{"/nodered/?type=text/html", false},
		{"/nodered/debug/view/view.html?type=text/html", false},
		{"/nodered/dashboard?type=text/html", false},
		{"/nodered/dashboard/power?type=text/html", false},
		{"/nodered/ui/?type=text/html", false},
		{"/nodered/vendor/monaco/dist/editor.js?type=application/javascript%3b%20charset=UTF-8", false}, // workers
		{"/nodered/red/red.min.js?type=text/javascript", false},
		{"/grafana/?type=text/html", false},
		{"/grafana/d/x?type=text/html", false},
	} {
		res, _ := g.do(t, http.MethodGet, c.path, browser)
		csp := res.Header["Content-Security-Policy"]
		if c.sandbox {
			assert.Contains(t, csp, "sandbox", c.path)
		} else {
			assert.NotContains(t, csp, "sandbox", c.path)
		}
		assert.Contains(t, csp, "frame-ancestors 'self'", c.path)
		assert.Equal(t, []string{"nosniff"}, res.Header["X-Content-Type-Options"], c.path)
	}
	// A browser replaces the headers of a page that it has kept by those of a 304.
	for _, path := range []string{"/nodered/zz", "/grafana/"} {
		res, _ := g.do(t, http.MethodGet, path+"?status=304&csp=script-src%20*", browser)
		assert.Equal(t, http.StatusNotModified, res.StatusCode)
		assert.Empty(t, res.Header["Content-Security-Policy"], path)
	}
}
