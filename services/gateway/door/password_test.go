package door

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

const nextPassword = "nine swans on the river"

func newPassword(old, next string) string {
	b, _ := json.Marshal(map[string]string{"old": old, "new": next})
	return string(b)
}

func TestPassword(t *testing.T) {
	h := build(t)
	mine, other := h.login(t, "alice", alicePassword), h.login(t, "alice", alicePassword)
	bobs := h.login(t, "bob", bobPassword)
	h.audited()
	w := h.ask(request{method: "POST", path: "/password", cookie: mine, body: newPassword(alicePassword, nextPassword)})
	require.Equal(t, 204, w.Code, w.Body)
	c := cookieOf(t, w)
	require.NotNil(t, c)
	assert.NotEqual(t, mine, c.Value, "who has stolen the cookie is out")
	assert.Equal(t, "alice", h.nameFor(c.Value))
	assert.Equal(t, "nobody", h.nameFor(mine))
	assert.Equal(t, "nobody", h.nameFor(other))
	assert.Equal(t, "bob", h.nameFor(bobs))
	assert.Equal(t, []auditlog.Entry{
		{Kind: auditlog.Account, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "192.0.2.1", Message: "password changed"},
	}, h.audited())
	assert.Equal(t, 401, h.ask(request{method: "POST", path: "/login", body: credentials("alice", alicePassword)}).Code)
	h.login(t, "alice", nextPassword)
}

func TestPasswordRefused(t *testing.T) {
	synctest.Test(t, passwordRefused) // the attempts that one has do not grow while passwords are hashed
}

func passwordRefused(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	secret, err := h.store.AddToken(t.Context(), "script", accounts.Admin, time.Now().Add(time.Hour))
	require.NoError(t, err)
	h.audited()
	for _, tt := range []struct {
		name    string
		request request
		code    int
		slug    string
		audited int
	}{
		{"nobody", request{body: newPassword(alicePassword, nextPassword)}, 401, "urn:trackerdcs:problem:login", 0},
		{"a token", request{token: secret, body: newPassword(alicePassword, nextPassword)}, 403, "urn:trackerdcs:problem:session", 0},
		{"wrong", request{cookie: id, body: newPassword(bobPassword, nextPassword)}, 403, "urn:trackerdcs:problem:wrong-password", 1},
		{"short", request{cookie: id, body: newPassword(alicePassword, "geese")}, 400, "urn:trackerdcs:problem:weak-password", 0},
		{"well known", request{cookie: id, body: newPassword(alicePassword, "password1234")}, 400, "urn:trackerdcs:problem:weak-password", 0},
		{"her name", request{cookie: id, body: newPassword(alicePassword, "Alice and her geese")}, 400, "urn:trackerdcs:problem:weak-password", 0},
		{"the same", request{cookie: id, body: newPassword(alicePassword, alicePassword)}, 400, "urn:trackerdcs:problem:weak-password", 0},
		{"body", request{cookie: id, body: `{"old":"x"}`}, 400, "about:blank", 0},
		{"keys", request{cookie: id, body: credentials("alice", alicePassword)}, 400, "about:blank", 0},
		{"no body", request{cookie: id}, 400, "about:blank", 0},
		{"another site", request{cookie: id, body: newPassword(alicePassword, nextPassword), headers: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403, "urn:trackerdcs:problem:cross-origin", 0},
	} {
		tt.request.method, tt.request.path = "POST", "/password"
		w := h.ask(tt.request)
		assert.Equal(t, tt.code, w.Code, "%s: %s", tt.name, w.Body)
		assert.Equal(t, tt.slug, problemOf(t, w).Type, tt.name)
		assert.Nil(t, cookieOf(t, w), tt.name)
		entries := h.audited()
		assert.Len(t, entries, tt.audited, tt.name)
		for _, e := range entries {
			assert.Equal(t, "password", e.Op, tt.name)
			assert.Equal(t, auditlog.Denied, e.Kind, tt.name)
		}
		assert.Equal(t, "alice", h.nameFor(id), tt.name)
	}
	var last int
	for range accountBurst {
		last = h.ask(request{method: "POST", path: "/password", cookie: id, body: newPassword(bobPassword, nextPassword)}).Code
	}
	assert.Equal(t, 429, last, "a browser that was left open is no place to guess")
	assert.Equal(t, "alice", h.nameFor(id))
}
