package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/problem"
)

// Prefix is what all paths begin with.
const Prefix = "/api/v1"

// public is the role of what needs none.
const public accounts.Role = ""

// route is one operation of openapi.yaml.
type route struct {
	method, path string        // path without Prefix, in the form of http.ServeMux
	least        accounts.Role // who may; public: everybody
	commands     bool          // it makes something happen: who tries in vain stands in the audit log
	handler      http.Handler
}

// routes is the one list of what there is and of who may.
func (s *server) routes() []route {
	d := s.cfg.Door
	return []route{
		{"POST", "/login", public, false, d.Login(s.cfg.Links)},
		{"POST", "/logout", accounts.Viewer, false, d.Logout()},
		{"GET", "/me", accounts.Viewer, false, d.Me(s.cfg.Links)},
		{"POST", "/me/password", accounts.Viewer, false, d.Password()},
		{"GET", "/openapi.yaml", public, false, http.HandlerFunc(serveDescription)},

		{"GET", "/devices", accounts.Viewer, false, s.answers(s.devices)},
		{"GET", "/devices/{device}", accounts.Viewer, false, s.answers(s.device)},
		{"GET", "/stream", accounts.Viewer, false, http.HandlerFunc(s.cfg.Live.ServeStream)},
		{"GET", "/commands/{id}", accounts.Viewer, false, s.answers(s.outcome)},
		{"POST", "/devices/{device}/commands", accounts.Operator, true, s.answers(s.command)}, // seti and others' locks: expert
		{"POST", "/off", accounts.Operator, true, s.answers(s.off)},

		{"GET", "/history", accounts.Viewer, false, s.answers(s.history)},

		{"GET", "/runs", accounts.Viewer, false, s.answers(s.runs)},
		{"POST", "/runs", accounts.Expert, true, s.answers(s.startRun)},
		{"GET", "/runs/{run}", accounts.Viewer, false, s.answers(s.run)},
		{"POST", "/runs/{run}/abort", accounts.Operator, true, s.answers(s.abortRun)},
		{"GET", "/runs/{run}/files", accounts.Viewer, false, s.answers(s.files)},
		{"GET", "/runs/{run}/files/{name...}", accounts.Viewer, false, s.answers(s.file)},
		{"GET", "/configurations", accounts.Viewer, false, s.answers(s.configurations)},

		{"GET", "/audit", accounts.Operator, false, s.answers(s.audit)}, // who logs in: admin
		{"POST", "/ingest/{sensor}", accounts.Operator, true, s.answers(s.ingest)},
	}
}

// handler puts the routes behind the door.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	methods, least := make(map[string][]string), make(map[string]accounts.Role)
	for _, r := range s.routes() {
		mux.Handle(r.method+" "+Prefix+r.path, s.behindDoor(r))
		least[r.path] = accounts.Viewer
		if r.least == public {
			least[r.path] = public
		}
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		mux.Handle(Prefix+path, s.behindDoor(route{least: least[path], handler: wrongMethod(allowed)}))
	}
	missing := s.behindDoor(route{least: accounts.Viewer, handler: http.HandlerFunc(notFound)})
	mux.Handle("/", missing)
	return s.guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if unclean(r.URL.EscapedPath()) {
			missing.ServeHTTP(w, r) // the mux would send elsewhere, with a page
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// behindDoor lets those through who may.
func (s *server) behindDoor(r route) http.Handler {
	switch {
	case r.least == public:
		return r.handler
	case r.commands:
		return s.cfg.Door.Require(accounts.Viewer, s.needs(r.least, r.handler))
	}
	return s.cfg.Door.Require(r.least, r.handler)
}

// needs lets those through who may command, and notes the others.
func (s *server) needs(least accounts.Role, next http.Handler) http.Handler {
	return s.answers(func(w http.ResponseWriter, r *http.Request) error {
		who, err := asker(r)
		if err != nil {
			return err
		}
		if !who.Role.May(least) {
			e := entryOf(who, auditlog.Denied)
			e.Message = r.Method + " " + r.URL.Path
			return s.deny(r, who, e, least, "This")
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// deny refuses for lack of a role, and notes it.
func (s *server) deny(r *http.Request, who door.Who, e auditlog.Entry, least accounts.Role, what string) error {
	e.Code = "FORBIDDEN"
	if e.Message == "" {
		e.Message = "needs the role " + string(least)
	}
	s.note(r.Context(), e)
	p := problem.Problem{
		Status: http.StatusForbidden, Slug: "forbidden", More: map[string]any{"role": least},
		Detail: fmt.Sprintf("%s needs the role %s, and yours is %s. Ask somebody who has it.", what, least, who.Role),
	}
	return &refusal{p}
}

// asker is who asks. That nobody does is a mistake in the program: the door
// has let them through.
func asker(r *http.Request) (door.Who, error) {
	who, ok := door.From(r.Context())
	if !ok {
		return who, fmt.Errorf("%s %s: nobody is known who asks", r.Method, r.URL.Path)
	}
	return who, nil
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, problem.Problem{Status: http.StatusNotFound, Slug: "no-such-path", Detail: "There is nothing at this address. " + Prefix + "/openapi.yaml says what there is."})
}

func wrongMethod(allowed []string) http.Handler {
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		problem.Write(w, problem.Problem{Status: http.StatusMethodNotAllowed, Slug: "method", Detail: "This address takes " + allow + "."})
	})
}

// unclean reports whether a path has empty levels, or dots that lead elsewhere.
func unclean(path string) bool {
	return strings.Contains(path, "//") || slices.ContainsFunc(strings.Split(path, "/"), func(level string) bool { return level == "." || level == ".." })
}
