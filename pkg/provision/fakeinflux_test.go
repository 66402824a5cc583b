package provision

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// adminToken is what the fake takes all from.
const adminToken = "admin-token"

// fakeInflux answers as InfluxDB 2.7 does to what is asked here, and lets a token
// do what its permissions say.
type fakeInflux struct {
	*httptest.Server

	mu       sync.Mutex
	bucket   string // the id of bucket dcs, none if empty
	mappings []map[string]any
	auths    []fakeAuth
	made     int
}

type fakeAuth struct {
	ID          string           `json:"id"`
	Token       string           `json:"token"`
	Description string           `json:"description"`
	OrgID       string           `json:"orgID"`
	Permissions []fakePermission `json:"permissions"`
}

type fakePermission struct {
	Action   string `json:"action"`
	Resource struct {
		Type  string `json:"type"`
		ID    string `json:"id"`
		OrgID string `json:"orgID"`
	} `json:"resource"`
}

func newFakeInflux(t *testing.T) *fakeInflux {
	f := &fakeInflux{bucket: "b0"}
	f.mappings = []map[string]any{{"id": "m0", "database": "dcs", "retention_policy": "autogen", "default": true, "virtual": true, "bucketID": "b0", "orgID": "o0"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Influxdb-Version", "v2.7.12")
		w.WriteHeader(http.StatusNoContent)
	})
	admin := func(pattern string, h http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if tokenOf(r) != adminToken {
				fail(w, http.StatusUnauthorized, "unauthorized", "unauthorized access")
				return
			}
			h(w, r)
		})
	}
	admin("GET /api/v2/orgs", f.orgs)
	admin("GET /api/v2/buckets", f.buckets)
	admin("POST /api/v2/buckets", f.makeBucket)
	admin("GET /api/v2/dbrps", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"content": f.mappings}) })
	admin("POST /api/v2/dbrps", f.makeMapping)
	admin("GET /api/v2/authorizations", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{"authorizations": f.auths})
	})
	admin("POST /api/v2/authorizations", f.makeAuth)
	admin("DELETE /api/v2/authorizations/{id}", f.removeAuth)
	mux.HandleFunc("GET /query", f.query)
	mux.HandleFunc("POST /api/v2/write", f.write)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeInflux) orgs(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("org") != "dcs" {
		fail(w, http.StatusNotFound, "not found", `organization name "x" not found`)
		return
	}
	reply(w, 200, map[string]any{"orgs": []any{map[string]any{"id": "o0", "name": "dcs"}}})
}

func (f *fakeInflux) buckets(w http.ResponseWriter, _ *http.Request) {
	found := []any{}
	if f.bucket != "" {
		found = append(found, map[string]any{"id": f.bucket, "name": "dcs", "orgID": "o0", "retentionRules": []any{}})
	}
	reply(w, 200, map[string]any{"buckets": found})
}

func (f *fakeInflux) makeBucket(w http.ResponseWriter, _ *http.Request) {
	f.bucket = "b1"
	reply(w, 201, map[string]any{"id": f.bucket, "name": "dcs", "orgID": "o0", "retentionRules": []any{}})
}

func (f *fakeInflux) makeMapping(w http.ResponseWriter, r *http.Request) {
	var m map[string]any
	_ = json.NewDecoder(r.Body).Decode(&m)
	m["id"] = "m1"
	f.mappings = append(f.mappings, m)
	reply(w, 201, m)
}

func (f *fakeInflux) makeAuth(w http.ResponseWriter, r *http.Request) {
	var a fakeAuth
	_ = json.NewDecoder(r.Body).Decode(&a)
	f.made++
	a.ID, a.Token = fmt.Sprint("a", f.made), fmt.Sprint("token==", f.made)
	f.auths = append(f.auths, a)
	reply(w, 201, a)
}

func (f *fakeInflux) removeAuth(w http.ResponseWriter, r *http.Request) {
	f.auths = slices.DeleteFunc(f.auths, func(a fakeAuth) bool { return a.ID == r.PathValue("id") })
	w.WriteHeader(http.StatusNoContent)
}

// may reports whether a token is known, and whether it may do something with the bucket.
func (f *fakeInflux) may(r *http.Request, action string) (known, may bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.auths {
		if a.Token != tokenOf(r) {
			continue
		}
		for _, p := range a.Permissions {
			if p.Action == action && p.Resource.Type == "buckets" && p.Resource.ID == f.bucket && p.Resource.OrgID == "o0" {
				return true, true
			}
		}
		return true, false
	}
	return false, false
}

func (f *fakeInflux) query(w http.ResponseWriter, r *http.Request) {
	switch known, may := f.may(r, "read"); {
	case !known:
		fail(w, http.StatusUnauthorized, "unauthorized", "unauthorized access")
	case !may:
		reply(w, 200, map[string]any{"results": []any{map[string]any{"statement_id": 0, "error": "database not found: dcs"}}})
	default:
		reply(w, 200, map[string]any{"results": []any{map[string]any{"statement_id": 0}}})
	}
}

func (f *fakeInflux) write(w http.ResponseWriter, r *http.Request) {
	switch known, may := f.may(r, "write"); {
	case !known:
		fail(w, http.StatusUnauthorized, "unauthorized", "unauthorized access")
	case !may:
		fail(w, http.StatusForbidden, "forbidden", "insufficient permissions for write")
	default: // of no points
		fail(w, http.StatusBadRequest, "invalid", "writing requires points")
	}
}

func tokenOf(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Token ")
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, map[string]any{"code": code, "message": message})
}

// rights are what the fake's tokens may, by their descriptions.
func (f *fakeInflux) rights() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]string{}
	for _, a := range f.auths {
		for _, p := range a.Permissions {
			all[a.Description] += p.Action + ":" + p.Resource.Type + "/" + p.Resource.ID + " "
		}
	}
	return all
}
