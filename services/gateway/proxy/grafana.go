package proxy

import (
	"net/http"

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
	return verdict{}
}

// identifyToGrafana tells Grafana who asks. A token is not the user who may
// have the same name.
func identifyToGrafana(h http.Header, a ask) {
	name := a.who.Signed()
	h.Set("X-WEBAUTH-USER", name)
	h.Set("X-WEBAUTH-ROLE", grafanaRoles[a.who.Role])
	h.Set("X-WEBAUTH-NAME", name)
}
