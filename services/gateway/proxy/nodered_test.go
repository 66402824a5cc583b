package proxy

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

// readings are what routers make of an escaped path: as it stands, decoded once
// and more often, with backslashes as slashes, without what follows a semicolon,
// with dots and empty segments resolved; all in small letters.
func readings(escaped string) []string {
	found := map[string]bool{}
	var read func(s string, depth int)
	read = func(s string, depth int) {
		if s = strings.ToLower(s); found[s] || depth == 0 {
			return
		}
		found[s] = true
		if decoded, err := url.PathUnescape(s); err == nil {
			read(decoded, depth-1)
		}
		read(strings.ReplaceAll(s, `\`, "/"), depth-1)
		read(strings.NewReplacer("\uff0f", "/", "\u2215", "/", "\u2044", "/", "\uff0e", ".", "\u2024", ".").Replace(s), depth-1)
		before, _, _ := strings.Cut(s, "\x00")
		read(before, depth-1)
		segments := strings.Split(s, "/")
		for i, segment := range segments {
			segment, _, _ = strings.Cut(segment, ";")
			if trimmed := strings.TrimRight(segment, ". "); trimmed != "" || segment == "" {
				segment = trimmed
			}
			segments[i] = segment
		}
		read(strings.Join(segments, "/"), depth-1)
		if strings.HasPrefix(s, "/") {
			read(path.Clean(s), depth-1)
		}
	}
	read(escaped, 6)
	out := make([]string, 0, len(found))
	for s := range found {
		out = append(out, s)
	}
	return out
}

// editors reports whether Node-RED's router would give a path to the editor, or
// to its interface below the dashboards.
func editors(method, reading string) bool {
	for _, d := range dashboards {
		rest, ok := strings.CutPrefix(reading, d)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		for _, own := range []string{"/api", "/chart", "/_debug"} {
			if rest == own || strings.HasPrefix(rest, own+"/") {
				return true
			}
		}
		return method != http.MethodGet && method != http.MethodHead && rest != "/socket.io/" && rest != "/socket.io"
	}
	return true
}

func FuzzNothingOfTheEditorIsForOperators(f *testing.F) {
	for _, p := range []string{
		"/nodered/dashboard", "/nodered/dashboard/power", "/nodered/ui/socket.io/", "/nodered/flows", "/nodered/dashboard/../flows", "/nodered/dashboard%2f..%2fflows",
		"/nodered/dashboard/%2e%2e/flows", "/nodered/dashboard/%252e%252e/flows", "/nodered/dashboard//api/v1", "/nodered/dashboard/API", "/nodered/dashboard/%61pi/v1/x/flows",
		"/nodered/dashboard/api%2fv1", "/nodered/dashboard/api./v1", "/nodered/dashboard/api%20/v1", "/nodered/dashboard/.%2e/flows", `/nodered/dashboard\..\flows`, "/nodered/dashboard/%c0%ae/flows",
		"/nodered/dashboard/;/../flows", "/nodered/dashboard;/../../flows", "/nodered/ui/%EF%BC%8E%EF%BC%8E/flows", "/nodered/DASHBOARD/api", "/nodered/dashboard/\u017fetup", "/nodered/dashboard/a%00/api",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch} {
			f.Add(method, p, false)
		}
		f.Add(http.MethodGet, p, true)
	}
	f.Fuzz(func(t *testing.T, method, target string, upgrade bool) {
		u, err := url.ParseRequestURI(target) // as a server does
		if err != nil || len(target) > 1000 {
			return
		}
		escaped := u.EscapedPath()
		for _, via := range []string{door.BySession, door.ByToken} {
			a := ask{who: door.Who{Name: "ada", Role: accounts.Operator, Via: via}, method: method, path: escaped, upgrade: upgrade}
			if !mayNodeRED(a).passes() {
				continue
			}
			for _, r := range readings(escaped) {
				assert.False(t, editors(method, r), "%s %q may be read as %q", method, escaped, r)
				assert.True(t, !upgrade || strings.Contains(r, "/socket.io"), "upgrade of %q", escaped)
			}
			a.who.Role = accounts.Viewer
			assert.False(t, mayNodeRED(a).passes(), "a viewer")
		}
	})
}
