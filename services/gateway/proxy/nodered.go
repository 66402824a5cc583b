package proxy

import (
	"mime"
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

// doesInNodeRED says what is noted: all but reading, and who opens a dashboard's
// socket, for what goes through it has no name.
func doesInNodeRED(a ask) (class, bool) {
	path := strings.ToLower(a.path)
	for _, d := range dashboards {
		if socket := d + "/socket.io"; below(path, socket) {
			if a.opens && a.method == http.MethodGet {
				return opened, true
			}
			if a.method == http.MethodPost && a.path == socket+"/" {
				return 0, false // a message of a socket that was noted
			}
		}
	}
	if a.method == http.MethodGet || a.method == http.MethodHead {
		return 0, false
	}
	first, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(path, NodeREDPrefix), "/"), "/")
	if slices.Contains(deployed, first) || below(path, dashboards[0]+"/api") {
		return deploys, true
	}
	return changes, true
}

// deployed are what the editor's interface changes flows by.
var deployed = []string{"flows", "flow", "nodes"}

// secretHeader shows Node-RED that the gateway asks. From outside it is never
// let through, and no answer brings it back.
const secretHeader = "X-Dcs-Gateway"

// identifyToNodeRED shows the secret, if there is one. Node-RED is not told who
// asks: it has no users.
func identifyToNodeRED(secret string) func(http.Header, ask) {
	if secret == "" {
		return nil
	}
	return func(h http.Header, _ ask) { h.Set(secretHeader, secret) }
}

// editorPages are the editor's documents: itself, and the window of its debug
// messages. No flow can put another page there: the editor is asked first.
var editorPages = []string{NodeREDPrefix + "/", NodeREDPrefix + "/debug/view/view.html"}

// pageOfNodeRED reports whether an answer is for a page of the editor's or of a
// dashboard's. A script is none, and what the editor starts as a worker could
// not work in a sandbox.
func pageOfNodeRED(res *http.Response) bool {
	path := res.Request.URL.EscapedPath()
	if slices.Contains(editorPages, path) || slices.ContainsFunc(dashboards[:], func(d string) bool { return below(path, d) }) {
		return true
	}
	types := res.Header["Content-Type"]
	if len(types) != 1 || strings.Contains(types[0], ",") { // of several a browser takes the last
		return false
	}
	media, _, err := mime.ParseMediaType(types[0])
	return err == nil && slices.Contains([]string{"application/javascript", "text/javascript"}, media)
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
