package accounts

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChanges(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	var known Known
	end := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	changes := func() []string {
		t.Helper()
		now := s.Known()
		found := now.Since(known)
		b, err := json.Marshal(now) // as the gateway keeps it
		require.NoError(t, err)
		assert.NotContains(t, string(b), "argon2id")
		assert.NotContains(t, string(b), "00000000000000ff")
		known = Known{}
		require.NoError(t, json.Unmarshal(b, &known))
		assert.Empty(t, s.Known().Since(known))
		return found
	}
	edit := func(fn func(*document)) {
		t.Helper()
		require.NoError(t, s.change(ctx, func(doc *document) error { fn(doc); return nil }))
	}
	assert.Empty(t, changes())
	require.NoError(t, s.Add(ctx, "alice", Operator, good))
	require.NoError(t, s.Add(ctx, "bob", Viewer, good))
	assert.Equal(t, []string{"user alice: added as operator", "user bob: added as viewer"}, changes())
	require.NoError(t, s.SetRole(ctx, "alice", Admin))
	assert.Equal(t, []string{"user alice: role changed from operator to admin"}, changes())
	_, err := s.SetPassword(ctx, "bob", "another one of these")
	require.NoError(t, err)
	assert.Equal(t, []string{"user bob: password changed"}, changes())
	require.NoError(t, s.SetRole(ctx, "bob", Admin))
	_, err = s.SetPassword(ctx, "bob", good)
	require.NoError(t, err)
	assert.Empty(t, s.Known().Since(known.Learn(s.Known(), "BOB")), "what is known already")
	assert.Equal(t, []string{"user bob: role changed from viewer to admin, password changed"}, changes())
	require.NoError(t, s.SetRole(ctx, "bob", Admin))
	assert.Equal(t, []string{"user bob: sessions ended"}, changes())
	edit(func(doc *document) { doc.Users[doc.user("bob")].Password = dummy })
	assert.Equal(t, []string{"user bob: password changed"}, changes(), "by hand")
	require.NoError(t, s.Remove(ctx, "bob"))
	require.NoError(t, s.Add(ctx, "Bob", Viewer, good))
	assert.Equal(t, []string{"user Bob: removed and added anew, role changed from admin to viewer"}, changes())
	require.NoError(t, s.Remove(ctx, "bob"))
	assert.Equal(t, []string{"user Bob: removed, was viewer"}, changes())

	edit(func(doc *document) {
		doc.Tokens = []token{{Token: Token{Name: "script", Role: Viewer, Made: end.AddDate(-1, 0, 0), End: end}, SHA256: "00000000000000000000000000000000000000000000000000000000000000ff"}}
	})
	assert.Equal(t, []string{"token script: added as viewer until 2030-01-02T03:04:05Z"}, changes())
	edit(func(doc *document) { doc.Tokens[0].Role, doc.Tokens[0].End = Admin, end.AddDate(5, 0, 0) })
	assert.Equal(t, []string{"token script: changed to admin until 2035-01-02T03:04:05Z, was viewer until 2030-01-02T03:04:05Z"}, changes())
	edit(func(doc *document) { doc.Tokens[0].Made = end.AddDate(-2, 0, 0) })
	assert.Equal(t, []string{"token script: made anew as admin until 2035-01-02T03:04:05Z, was admin"}, changes())
	require.NoError(t, s.RemoveToken(ctx, "script"))
	assert.Equal(t, []string{"token script: removed, was admin"}, changes())
}
