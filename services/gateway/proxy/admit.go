package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/pages"
	"trackerdcs/services/gateway/problem"
)

// ask is a request, as far as somebody's permission depends on it.
type ask struct {
	who     door.Who
	method  string
	path    string // escaped, as it goes to the part
	upgrade bool   // to a WebSocket
	opens   bool   // a session of socket.io, where that is listening
}

type askKey struct{}

// verdict is what comes of an ask: nothing, when it may pass.
type verdict struct {
	page pages.Page // its status is 0 when it may pass
	slug string     // of the problem, for those who are no browser
}

func (v verdict) passes() bool { return v.page.Status == 0 }

// admit finds out who asks, and whether they may; it has answered when not ok.
func (p *part) admit(w http.ResponseWriter, r *http.Request) (a ask, ok bool) {
	query := r.URL.Query()
	a = ask{method: r.Method, path: r.URL.EscapedPath(), opens: query.Get("transport") != "" && query.Get("sid") == ""}
	var v verdict
	a.who, ok = door.From(r.Context())
	switch upgrade, sane := upgrades(r); {
	case !below(a.path, p.prefix):
		v = unclean()
	case !sane || r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		v = verdict{pages.Page{Status: http.StatusBadRequest, Text: "Only WebSockets pass here, and only the usual methods."}, "bad-request"}
	case !ok:
		p.unknown(w, r, upgrade)
		return a, false
	default:
		a.upgrade = upgrade
		v = p.judge(a, r)
	}
	if !v.passes() {
		if ok && v.page.Status < http.StatusInternalServerError {
			p.notes.add(r.Context(), refusals, p.doer(a), a.method, a.path, v.slug)
		}
		p.refuse(w, r, v)
		return a, false
	}
	if a.path == p.prefix {
		to := url.URL{Path: p.prefix + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
		return a, false
	}
	return a, true
}

// judge decides about somebody whose name is known.
func (p *part) judge(a ask, r *http.Request) verdict {
	if hasDots(a.path) {
		return unclean()
	}
	if p.target == nil {
		return verdict{pages.NotConfigured(p.name, p.setting), "not-configured"}
	}
	if a.upgrade && !sameOrigin(r) {
		return foreignOrigin()
	}
	if p.cross.Check(r) != nil {
		return foreignOrigin()
	}
	return p.may(a)
}

// unknown sends people to the login, and tells programs that they need one.
func (p *part) unknown(w http.ResponseWriter, r *http.Request, upgrade bool) {
	if !upgrade && navigates(r) {
		next := p.prefix + "/"
		if path := r.URL.EscapedPath(); !hasDots(path) && !strings.Contains(path, "//") {
			next = (&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}).RequestURI()
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/login?next="+url.QueryEscape(next), http.StatusSeeOther)
		return
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	problem.Write(w, problem.Problem{Status: http.StatusUnauthorized, Slug: "unauthorized", Detail: "nobody has logged in: log in at the console, or send a token"})
}

// refuse answers a browser with a page and everybody else with a problem.
func (p *part) refuse(w http.ResponseWriter, r *http.Request, v verdict) {
	if navigates(r) {
		pages.Write(w, r, v.page)
		return
	}
	detail := v.page.Text
	if v.page.Status >= http.StatusInternalServerError {
		detail = v.page.Title + ". " + detail
	}
	if v.page.Again > 0 {
		w.Header().Set("Retry-After", "5")
	}
	problem.Write(w, problem.Problem{Status: v.page.Status, Slug: v.slug, Detail: detail})
}

// navigates reports whether a browser asks for a page to show.
func navigates(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// upgrades reports whether r wants to become a WebSocket. What wants to become
// anything else is not sane: behind h2c, for instance, nobody checks any more.
func upgrades(r *http.Request) (upgrade, sane bool) {
	wanted := r.Header.Values("Upgrade")
	if len(wanted) == 0 {
		return false, true
	}
	return true, len(wanted) == 1 && strings.EqualFold(wanted[0], "websocket") && r.Method == http.MethodGet
}

// sameOrigin reports whether a page of this gateway asks. A browser always says
// whose page opens a WebSocket, and nothing else keeps other sites' pages from
// doing so with the session of who looks at them.
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return false
	}
	o, err := url.Parse(origins[0])
	if err != nil || o.User != nil || o.Path != "" || o.RawQuery != "" || o.Host == "" {
		return false
	}
	if o.Scheme != "https" && (o.Scheme != "http" || r.TLS != nil) {
		return false
	}
	return strings.EqualFold(o.Host, r.Host)
}

// hasDots reports whether a path has a segment that leads upwards, however it
// is written.
func hasDots(escaped string) bool {
	for range 4 { // each decoding may bring out another
		for _, segment := range strings.FieldsFunc(escaped, func(c rune) bool { return c == '/' || c == '\\' }) {
			if segment == "." || segment == ".." {
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

func unclean() verdict {
	return verdict{pages.Page{Status: http.StatusBadRequest, Title: "The address is not in plain form", Text: "Write it without encoded slashes and dots, without empty parts and without parts that lead upwards."}, "bad-address"}
}

func foreignOrigin() verdict {
	return verdict{pages.Forbidden("The request comes from a page of another site."), "cross-origin"}
}

func tooMany(name string) verdict {
	return verdict{pages.Page{Status: http.StatusServiceUnavailable, Title: "Too many pages are open", Text: name + " has as many live connections as the gateway keeps: close pages that nobody looks at."}, "too-many-sockets"}
}

func tooManyOfOne(name string) verdict {
	return verdict{pages.Page{Status: http.StatusTooManyRequests, Title: "Too many pages are open", Text: "You have as many live connections to " + name + " as one person may have: close pages that nobody looks at."}, "too-many-sockets"}
}

func tooManyRequests(name string) verdict {
	return verdict{pages.Page{Status: http.StatusTooManyRequests, Title: "Too many requests at once", Text: "As many requests of yours to " + name + " are under way as one person may have: wait until some have been answered.", Again: 5}, "too-many-requests"}
}

func away(name string) verdict { return verdict{pages.Away(name), "away"} }

func givenUp(name string) verdict {
	return verdict{pages.Page{Status: http.StatusServiceUnavailable, Title: "The request was given up", Text: "The session ended, or the gateway did, before " + name + " had answered."}, "given-up"}
}
