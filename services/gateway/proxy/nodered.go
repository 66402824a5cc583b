package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/pages"
)

// dashboards are the pages for operators: Dashboard 2's and the old one's. They
// command the hardware with Node-RED's own account. Everything else below the
// prefix is the editor, and who reaches that runs code on Node-RED's machine.
var dashboards = [...]string{NodeREDPrefix + "/dashboard", NodeREDPrefix + "/ui"}

// editorsOwn are what the editor's interface has below the dashboards: Dashboard
// 2 deploys flows at api, clears charts at chart, and shows what it keeps at
// _debug.
var editorsOwn = []string{"api", "chart", "_debug"}

// mayNodeRED keeps the editor for experts and the dashboards for operators.
func mayNodeRED(a ask) verdict {
	if a.who.Role.May(accounts.Expert) && a.who.Via != door.ByToken {
		return verdict{}
	}
	if !a.who.Role.May(accounts.Operator) {
		return verdict{pages.Forbidden("Node-RED's dashboard commands the hardware: it is for operators, and its editor is for experts."), "forbidden"}
	}
	if !plain(a.path) {
		return unclean()
	}
	if dashboardRequest(a.method, a.path, a.upgrade) {
		return verdict{}
	}
	if a.who.Role.May(accounts.Expert) {
		return verdict{pages.Forbidden("Node-RED's editor is for people who have logged in, not for tokens."), "forbidden"}
	}
	return verdict{pages.Forbidden("Node-RED's editor is for experts; its dashboard is for operators.",
		pages.Link{Text: "To the dashboard", Href: dashboards[0]}, pages.Link{Text: "Back to the console", Href: "/"}), "forbidden"}
}

// dashboardRequest reports whether a page of a dashboard does this: it reads
// what is below the dashboard, and talks through socket.io.
func dashboardRequest(method, path string, upgrade bool) bool {
	for _, d := range dashboards {
		if !below(path, d) {
			continue
		}
		socket := path == d+"/socket.io/"
		if upgrade || method == http.MethodPost {
			return socket
		}
		if method != http.MethodGet && method != http.MethodHead {
			return false
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(path[len(d):], "/"), "/")
		return !slices.ContainsFunc(editorsOwn, func(own string) bool { return strings.EqualFold(own, first) })
	}
	return false
}

// plain reports whether an escaped path means one thing to everybody: to the
// checks here, and to a router that decodes what it gets, once or twice, that
// does not tell a from A, or that takes a backslash for a slash. Spaces and
// letters of other languages may be encoded, as pages' names have them.
func plain(escaped string) bool {
	for i := 0; i < len(escaped); i++ {
		switch c := escaped[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-._~@+,", c) >= 0:
		case c == '%' && i+2 < len(escaped) && (escaped[i+1] >= '8' || escaped[i+1:i+3] == "20"): // above ASCII; and a space
			i += 2
		default:
			return false
		}
	}
	decoded, err := url.PathUnescape(escaped)
	if err != nil || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, func(c rune) bool {
		return c > unicode.MaxASCII && !unicode.In(c, unicode.Letter, unicode.Mark, unicode.Number)
	}) {
		return false
	}
	segments := strings.Split(strings.TrimSuffix(decoded, "/"), "/")
	for _, s := range segments[1:] { // the first is before the leading slash
		if s == "" || strings.Trim(s, ". ") != s {
			return false
		}
	}
	return segments[0] == ""
}
