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
	handler      http.Handler
}

// routes is the one list of what there is and of who may.
func (s *server) routes() []route {
	d := s.cfg.Door
	return []route{
		{"POST", "/login", public, d.Login()},
		{"POST", "/logout", accounts.Viewer, d.Logout()},
		{"GET", "/me", accounts.Viewer, d.Me()},
		{"POST", "/me/password", accounts.Viewer, d.Password()},
		{"GET", "/openapi.yaml", public, http.HandlerFunc(serveDescription)},

		{"GET", "/devices", accounts.Viewer, s.answers(s.devices)},
		{"GET", "/devices/{device}", accounts.Viewer, s.answers(s.device)},
		{"GET", "/stream", accounts.Viewer, http.HandlerFunc(s.stream)},
		{"GET", "/commands/{id}", accounts.Viewer, s.answers(s.outcome)},
		{"POST", "/devices/{device}/commands", accounts.Operator, s.answers(s.command)}, // seti and others' locks: expert
		{"POST", "/off", accounts.Operator, s.answers(s.off)},

		{"GET", "/history", accounts.Viewer, s.answers(s.history)},

		{"GET", "/runs", accounts.Viewer, s.answers(s.runs)},
		{"POST", "/runs", accounts.Expert, s.answers(s.startRun)},
		{"GET", "/runs/{run}", accounts.Viewer, s.answers(s.run)},
		{"POST", "/runs/{run}/abort", accounts.Operator, s.answers(s.abortRun)},
		{"GET", "/runs/{run}/files", accounts.Viewer, s.answers(s.files)},
		{"GET", "/runs/{run}/files/{name...}", accounts.Viewer, s.answers(s.file)},
		{"GET", "/configurations", accounts.Viewer, s.answers(s.configurations)},

		{"GET", "/audit", accounts.Operator, s.answers(s.audit)}, // who logs in: admin
		{"POST", "/ingest/{sensor}", accounts.Operator, s.answers(s.ingest)},
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

// behindDoor lets those through who may. Who tries to change something and may
// not is noted by the door.
func (s *server) behindDoor(r route) http.Handler {
	if r.least == public {
		return r.handler
	}
	return s.cfg.Door.Require(r.least, r.handler)
}

// deny refuses for lack of a role what the door has let through. It is noted, or
// counted when there is much of it.
func (s *server) deny(r *http.Request, who door.Who, e auditlog.Entry, least accounts.Role, what string) error {
	if s.denied.Take(who) {
		e.Message = "needs the role " + string(least)
		_ = s.note(r.Context(), e)
	}
	return &refusal{problem.Problem{
		Status: http.StatusForbidden, Slug: "role", More: map[string]any{"role": least},
		Detail: fmt.Sprintf("%s needs the role %s, and yours is %s. Ask somebody who has it.", what, least, who.Role),
	}}
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
