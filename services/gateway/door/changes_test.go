package door

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

// TestChangesOfTheFile: what dcs user does is in the audit log, also what it did
// while the gateway was away; a change that has an entry has no second one.
func TestChangesOfTheFile(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		file := func(message string) auditlog.Entry {
			return auditlog.Entry{Kind: auditlog.Account, Via: "file", Message: message}
		}
		time.Sleep(2 * compareEvery)
		assert.Empty(t, h.audited(), "there is nothing to compare with at first")
		require.NoError(t, h.store.SetRole(ctx, "bob", accounts.Admin))
		require.NoError(t, h.store.Add(ctx, "carol", accounts.Expert, bobPassword))
		time.Sleep(2 * compareEvery)
		assert.Equal(t, []auditlog.Entry{file("user bob: role changed from viewer to admin"), file("user carol: added as expert")}, h.audited())

		id := h.login(t, "alice", alicePassword)
		h.audited()
		require.Equal(t, 204, h.ask(request{method: "POST", path: "/password", cookie: id, body: newPassword(alicePassword, nextPassword)}).Code)
		time.Sleep(2 * compareEvery)
		entries := h.audited()
		require.Len(t, entries, 1)
		assert.True(t, entries[0].Verified)

		text, err := os.ReadFile(h.store.Path())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(h.store.Path(), []byte("oops"), 0o600))
		time.Sleep(2 * compareEvery)
		require.NoError(t, os.WriteFile(h.store.Path(), text, 0o600))
		time.Sleep(2 * compareEvery)
		assert.Empty(t, h.audited(), "a file that is bad for a while changes nothing")
	})
}

func TestChangesWhileAway(t *testing.T) {
	h := build(t)
	h.compare(t.Context())
	require.NoError(t, h.Close())
	require.NoError(t, h.store.Remove(t.Context(), "bob"))
	h.open(t)
	h.compare(t.Context())
	h.compare(t.Context())
	assert.Equal(t, []auditlog.Entry{{Kind: auditlog.Account, Via: "file", Message: "user bob: removed, was viewer"}}, h.audited())
	assert.Nil(t, knownFrom([]byte("oops")))
}

// TestLoginOverASession: the session that a browser had ends with an entry.
func TestLoginOverASession(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	h.audited()
	require.Equal(t, 200, h.ask(request{method: "POST", path: "/login", body: credentials("bob", bobPassword), cookie: id}).Code)
	assert.Equal(t, []auditlog.Entry{
		{Kind: auditlog.Logout, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "192.0.2.1", Message: "a login as bob in the same browser"},
		{Kind: auditlog.Login, User: "bob", Role: "viewer", Verified: true, Via: "session", Address: "192.0.2.1"},
	}, h.audited())
}

// TestMostSessions: a user has so many at a time; the oldest ends.
func TestMostSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		bobs := h.login(t, "bob", bobPassword)
		var ids []string
		for range maxSessions {
			ids = append(ids, h.login(t, "alice", alicePassword))
			time.Sleep(accountEvery)
		}
		for _, id := range ids {
			require.Equal(t, "alice", h.nameFor(id))
		}
		h.audited()
		stream := h.last(request{cookie: ids[0]})
		synctest.Wait()
		last := h.login(t, "Alice", alicePassword)
		<-stream.ended
		require.ErrorIs(t, stream.cause, ErrSessionEnded)
		assert.Equal(t, "nobody", h.nameFor(ids[0]))
		for _, id := range append(ids[1:], last) {
			assert.Equal(t, "alice", h.nameFor(id))
		}
		assert.Equal(t, "bob", h.nameFor(bobs))
		entries := h.audited()
		require.Len(t, entries, 2)
		assert.Equal(t, auditlog.Entry{Kind: auditlog.Logout, User: "alice", Verified: true, Via: "session", Message: whyMany}, entries[1])
	})
}
