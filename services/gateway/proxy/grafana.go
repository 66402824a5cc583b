package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/pages"
)

// grafanaRoles is who is what in Grafana.
var grafanaRoles = map[accounts.Role]string{
	accounts.Viewer:   "Viewer",
	accounts.Operator: "Viewer",
	accounts.Expert:   "Editor",
	accounts.Admin:    "Admin",
}

// mayGrafana lets in everybody who has a role: Grafana itself keeps them to it.
func mayGrafana(a ask) verdict {
	if !a.who.Role.May(accounts.Viewer) {
		return verdict{pages.Forbidden("This login has no role: ask for one."), "forbidden"}
	}
	if !a.who.Role.May(accounts.Admin) && reachesThrough(a.path) {
		return verdict{pages.Forbidden("Through Grafana to a database is for admins: who may only look could write there with Grafana's own token. Panels ask by /api/ds/query."), "forbidden"}
	}
	return verdict{}
}

// reachesThrough reports whether Grafana would pass a request on to a database,
// by any reading of the path: /api/datasources/proxy/…, …/uid/…/resources/… and
// what their successors below /apis are called. The archive, which is asked in
// InfluxQL, needs none of that.
func reachesThrough(escaped string) bool {
	for range 4 { // each decoding may bring out another
		source := false
		for _, segment := range strings.FieldsFunc(strings.ToLower(escaped), func(c rune) bool { return c == '/' || c == '\\' }) {
			segment, _, _ = strings.Cut(segment, ";")
			switch {
			case segment == "datasources" || strings.HasSuffix(segment, ".datasource.grafana.app"):
				source = true
			case source && slices.Contains([]string{"proxy", "resource", "resources"}, segment):
				return true
			}
		}
		decoded, err := url.PathUnescape(escaped)
		if err != nil || decoded == escaped {
			break
		}
		escaped = decoded
	}
	return false
}

// grafanaReads are what is posted and changes nothing, for each panel again and
// again.
var grafanaReads = []string{"/api/ds/query", "/apis/query.grafana.app", "/api/frontend-metrics", "/api/user/auth-tokens/rotate"}

// doesInGrafana says what is noted.
func doesInGrafana(a ask) (class, bool) {
	if a.method == http.MethodGet || a.method == http.MethodHead {
		return 0, false
	}
	read := slices.ContainsFunc(grafanaReads, func(path string) bool { return below(a.path, GrafanaPrefix+path) })
	return changes, !(a.method == http.MethodPost && read)
}

// userPrefix keeps the gateway's users apart from Grafana's own: the one named
// admin there is the server's admin, whoever has that name here.
const userPrefix = "dcs:"

// identifyToGrafana tells Grafana who asks. A token is not the user who may
// have the same name.
func identifyToGrafana(h http.Header, a ask) {
	name := a.who.Signed()
	h.Set("X-WEBAUTH-USER", userPrefix+name)
	h.Set("X-WEBAUTH-ROLE", grafanaRoles[a.who.Role])
	h.Set("X-WEBAUTH-NAME", name)
}
