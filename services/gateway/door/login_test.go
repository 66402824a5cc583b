package door

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

func TestLogin(t *testing.T) {
	h := build(t)
	w := h.ask(request{method: "POST", path: "/login", body: credentials("Alice", alicePassword), address: "[fe80::1%eth0]:99"})
	require.Equal(t, 200, w.Code, w.Body)
	c := cookieOf(t, w)
	require.NotNil(t, c)
	assert.Equal(t, "__Host-dcs", c.Name)
	assert.True(t, c.HttpOnly)
	assert.True(t, c.Secure)
	assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
	assert.Equal(t, "/", c.Path)
	assert.Empty(t, c.Domain)
	assert.Zero(t, c.MaxAge, "it ends with the browser")
	assert.True(t, c.Expires.IsZero())
	assert.Len(t, c.Value, 43, "256 bits")
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	var got map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	expires, err := time.Parse(time.RFC3339, got["expires"].(string))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), expires, time.Minute)
	delete(got, "expires")
	assert.Equal(t, map[string]any{"user": "alice", "role": "operator", "via": "session", "idle": 360., "links": map[string]any{"grafana": "/grafana/alice"}}, got)
	assert.Equal(t, "alice", h.nameFor(c.Value))
	assert.Equal(t, []auditlog.Entry{
		{Kind: auditlog.Login, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "fe80::1"},
	}, h.audited())
}

func TestBadBodies(t *testing.T) {
	h := build(t)
	for _, tt := range []struct{ name, body, want string }{
		{"empty", ``, "no JSON object"},
		{"a list", `["alice"]`, "no JSON object"},
		{"null", `null`, "no JSON object"},
		{"open", `{"user":"alice"`, "no JSON object"},
		{"nothing in it", `{}`, `"user" is missing or empty`},
		{"no password", `{"user":"alice"}`, `"password" is missing or empty`},
		{"empty password", `{"user":"alice","password":""}`, `"password" is missing or empty`},
		{"unknown key", `{"user":"alice","password":"x","role":"admin"}`, `"role" is not a key of this`},
		{"other letters", `{"User":"alice","password":"x"}`, `"User" is not a key of this`},
		{"twice", `{"user":"alice","user":"bob","password":"x"}`, `"user" stands there twice`},
		{"number", `{"user":"alice","password":1}`, `"password" is no text`},
		{"null password", `{"user":"alice","password":null}`, `"password" is no text`},
		{"object", `{"user":{"$ne":""},"password":"x"}`, `"user" is no text`},
		{"more behind", `{"user":"alice","password":"x"}{}`, "something follows"},
		{"comma", `{"user":"alice",}`, "no JSON object"},
		{"not UTF-8", "{\"user\":\"alice\",\"password\":\"\xff\"}", "not UTF-8"},
		{"long name", credentials(strings.Repeat("ä", 65), "x"), `"user" has 65 characters: 64 are the most`},
		{"long password", credentials("alice", strings.Repeat("ä", 129)), `"password" has 129 characters: 128 are the most`},
		{"large", credentials("alice", strings.Repeat("x", maxBody)), "more than 4096 bytes"},
		{"deep", `{"user":` + strings.Repeat("[", 2000), `"user" is no text`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := h.ask(request{method: "POST", path: "/login", body: tt.body, headers: map[string]string{"Content-Type": "application/json; charset=utf-8"}})
			assert.Equal(t, 400, w.Code)
			assert.Contains(t, problemOf(t, w).Detail, tt.want)
			assert.Nil(t, cookieOf(t, w))
		})
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ";"} {
		w := h.ask(request{method: "POST", path: "/login", body: credentials("alice", alicePassword), headers: map[string]string{"Content-Type": kind}})
		assert.Equal(t, 400, w.Code, kind)
		assert.Contains(t, problemOf(t, w).Detail, "Content-Type: application/json")
	}
	assert.Empty(t, h.audited())
}

// TestNobodyLearnsNames: whether there is such a user is not said.
func TestNobodyLearnsNames(t *testing.T) {
	h := build(t)
	var answers []*httptest.ResponseRecorder
	for _, name := range []string{"alice", "mallory"} {
		w := h.ask(request{method: "POST", path: "/login", body: credentials(name, "wrong, whoever it is")})
		assert.Equal(t, 401, w.Code)
		assert.Equal(t, "urn:trackerdcs:problem:wrong-login", problemOf(t, w).Type)
		assert.Nil(t, cookieOf(t, w))
		answers = append(answers, w)
	}
	assert.Equal(t, answers[0].Body.String(), answers[1].Body.String())
	assert.Equal(t, answers[0].Header(), answers[1].Header())

	long := strings.Repeat("ä", 64)
	h.ask(request{method: "POST", path: "/login", body: credentials(long, "x")})
	entries := h.audited()
	require.Len(t, entries, 3)
	assert.Equal(t, auditlog.Entry{Kind: auditlog.Denied, User: "alice", Via: "session", Address: "192.0.2.1", Message: "the name or the password is wrong"}, entries[0])
	assert.Equal(t, strings.Repeat("ä", 32), entries[2].User, "64 bytes of it")
}

func TestNewIDAtLogin(t *testing.T) {
	h := build(t)
	planted := strings.Repeat("A", 43)
	w := h.ask(request{method: "POST", path: "/login", body: credentials("alice", alicePassword), cookie: planted})
	first := cookieOf(t, w).Value
	assert.NotEqual(t, planted, first)
	assert.Equal(t, "nobody", h.nameFor(planted))

	w = h.ask(request{method: "POST", path: "/login", body: credentials("bob", bobPassword), cookie: first})
	require.Equal(t, 200, w.Code, w.Body)
	second := cookieOf(t, w).Value
	assert.NotEqual(t, first, second)
	assert.Equal(t, "nobody", h.nameFor(first), "the old session is gone")
	assert.Equal(t, "bob", h.nameFor(second))
	assert.Equal(t, 1, h.Door.store.count())
}

func TestTamperedCookie(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	other := "A"
	if strings.HasPrefix(id, other) {
		other = "B"
	}
	for _, c := range []string{other + id[1:], id[:42], id + "A", strings.ToLower(id), "x", strings.Repeat("x", 4000), "%00"} {
		assert.Equal(t, "nobody", h.nameFor(c), c)
		assert.Equal(t, 401, h.ask(request{path: "/viewer", cookie: c}).Code)
	}
	w := httptest.NewRecorder()
	r := request{path: "/open"}.http()
	r.Header.Set("Cookie", "dcs="+id+"; __host-dcs="+id)
	h.handler.ServeHTTP(w, r)
	assert.Equal(t, "nobody", w.Body.String())
}

// TestAuditLogFails: a full disk keeps nobody out.
func TestAuditLogFails(t *testing.T) {
	h := build(t)
	h.failing = errors.New("no space left")
	assert.Equal(t, "alice", h.nameFor(h.login(t, "alice", alicePassword)))
	h.cfg.Audit = nil
	h.login(t, "bob", bobPassword)
}

func TestLogout(t *testing.T) {
	h := build(t)
	one, two := h.login(t, "alice", alicePassword), h.login(t, "alice", alicePassword)
	h.audited()
	w := h.ask(request{method: "POST", path: "/logout", cookie: one})
	assert.Equal(t, 204, w.Code)
	c := cookieOf(t, w)
	require.NotNil(t, c)
	assert.Empty(t, c.Value)
	assert.Negative(t, c.MaxAge, "the browser forgets it")
	assert.True(t, c.Secure, "else the browser does not")
	assert.Equal(t, "nobody", h.nameFor(one))
	assert.Equal(t, "alice", h.nameFor(two), "another browser stays")
	assert.Equal(t, []auditlog.Entry{
		{Kind: auditlog.Logout, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "192.0.2.1"},
	}, h.audited())

	secret, err := h.store.AddToken(t.Context(), "script", accounts.Admin, time.Now().Add(time.Hour))
	require.NoError(t, err)
	for _, q := range []request{{cookie: one}, {}, {token: secret}} {
		q.method, q.path = "POST", "/logout"
		assert.Equal(t, 401, h.ask(q).Code)
	}
}

func TestMe(t *testing.T) {
	h := build(t)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	secret, err := h.store.AddToken(t.Context(), "script", accounts.Expert, end)
	require.NoError(t, err)
	id := h.login(t, "bob", bobPassword)

	w := h.ask(request{path: "/me"})
	assert.Equal(t, 401, w.Code)
	assert.Equal(t, "urn:trackerdcs:problem:login", problemOf(t, w).Type)

	w = h.ask(request{path: "/me", cookie: id})
	require.Equal(t, 200, w.Code)
	var got me
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	assert.WithinDuration(t, time.Now().Add(time.Hour), got.Expires, time.Minute)
	assert.InDelta(t, 360, got.Idle, 0)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Nil(t, cookieOf(t, w), "the cookie is set once")

	w = h.ask(request{path: "/me", token: secret})
	require.Equal(t, 200, w.Code)
	assert.JSONEq(t, fmt.Sprintf(`{"user":"token:script","role":"expert","via":"token","expires":%q,"idle":0,"links":{"grafana":"/grafana/script"}}`, end.Format(time.RFC3339)), w.Body.String())
}

func FuzzLoginBody(f *testing.F) {
	for _, s := range []string{credentials("alice", alicePassword), `{}`, `{"user":"a","user":"b"}`, `{"user":["a"],"password":1}`, "\xff", `{"user":"\ud800","password":"x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(string(b)))
		r.Header.Set("Content-Type", "application/json")
		got, err := readTexts(httptest.NewRecorder(), r, "user", "password")
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("%q was read, and is no JSON: %v", b, err)
		}
		if len(got) != 2 || len(want) != 2 || got["user"] != want["user"] || got["password"] != want["password"] || got["user"] == "" || got["password"] == "" {
			t.Errorf("%q was read as %q", b, got)
		}
	})
}
