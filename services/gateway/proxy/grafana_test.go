package proxy

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

// With Grafana's token whoever may only look could write to the archive.
func TestOnlyAdminsReachDatabasesThroughGrafana(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url()})
	for _, path := range []string{
		"/grafana/api/datasources/proxy/1/query?q=drop",
		"/grafana/api/datasources/proxy/uid/archive/api/v2/delete",
		"/grafana/api/datasources/uid/archive/resources/x",
		"/grafana/api/datasources/1/resources/x",
		"/grafana/api/datasources/uid/archive/resources",
		"/grafana/apis/influxdb.datasource.grafana.app/v0alpha1/namespaces/default/datasources/archive/resource/x",
		"/grafana/apis/influxdb.datasource.grafana.app/v0alpha1/namespaces/default/connections/archive/proxy/x",
		"/grafana/API/Datasources/PROXY/1/query",
		"/grafana//api//datasources//proxy/1/query",
		"/grafana/api/datasources%2fproxy/1/query",
		"/grafana/api/datasources/%70roxy/1/query",
		"/grafana/api/datasources/%2570roxy/1/query",
		`/grafana/api/datasources%5cproxy/1/query`,
		"/grafana/api/datasources;x/proxy;y/1/query",
	} {
		for _, role := range []accounts.Role{accounts.Viewer, accounts.Operator, accounts.Expert} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				g.as(role, door.BySession)
				s.forget()
				res, _ := g.do(t, method, path, script)
				assert.Equal(t, http.StatusForbidden, res.StatusCode, "%s %s by %s", method, path, role)
				assert.Nil(t, s.last())
			}
		}
		g.as(accounts.Admin, door.BySession)
		res, _ := g.do(t, "POST", path, script)
		assert.Equal(t, http.StatusOK, res.StatusCode, path)
	}
	g.as(accounts.Viewer, door.BySession)
	for _, path := range []string{ // what panels need
		"/grafana/api/ds/query?ds_type=influxdb", "/grafana/api/datasources/uid/archive", "/grafana/api/datasources/uid/archive/health",
		"/grafana/d/proxy/resources", "/grafana/public/build/proxy/datasources.js", "/grafana/apis/query.grafana.app/v0alpha1/namespaces/default/query",
	} {
		res, _ := g.do(t, "POST", path, script)
		assert.Equal(t, http.StatusOK, res.StatusCode, path)
	}
}
