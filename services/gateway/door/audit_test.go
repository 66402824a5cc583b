package door

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/ration"
)

// TestAuditLogHangs: a disk that hangs keeps nobody out either, and what comes
// late is written.
func TestAuditLogHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		h.patience = auditWait
		h.hang = make(chan struct{})
		begin := time.Now()
		id := h.login(t, "bob", bobPassword)
		assert.Equal(t, auditWait, time.Since(begin))
		begin = time.Now()
		assert.Equal(t, 403, h.ask(request{method: "POST", path: "/operator", cookie: id}).Code)
		assert.Equal(t, 204, h.ask(request{method: "POST", path: "/logout", cookie: id}).Code)
		assert.Equal(t, 2*auditWait, time.Since(begin))
		for range 2 * mostAuditing {
			h.audit(t.Context(), auditlog.Entry{Kind: auditlog.Account})
		}
		assert.Len(t, h.auditing, mostAuditing)
		close(h.hang)
		synctest.Wait()
		assert.Len(t, h.audited(), mostAuditing)
	})
}

// TestDenialsFillNoDisk: who may not cannot fill the disk by trying.
func TestDenialsFillNoDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		id := h.login(t, "bob", bobPassword)
		h.audited()
		for range 5000 {
			require.Equal(t, 403, h.ask(request{method: "POST", path: "/operator", cookie: id}).Code)
		}
		assert.Len(t, h.audited(), deniedEach.Burst)
		require.NoError(t, h.store.SetRole(t.Context(), "alice", accounts.Viewer))
		alice := h.login(t, "alice", alicePassword)
		h.ask(request{method: "POST", path: "/operator", cookie: alice})
		entries := h.audited()
		require.Len(t, entries, 2, "it is no limit on another")
		assert.Equal(t, "alice", entries[1].User)
		time.Sleep(ration.Interval + time.Second)
		assert.Equal(t, []auditlog.Entry{{
			Kind: auditlog.Denied, User: "bob", Verified: true, Via: BySession, Address: "192.0.2.1", Message: "4990 more were refused",
		}}, h.audited())
	})
}

// TestManyDeniers: many addresses are no way around it.
func TestManyDeniers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		for i := range 3000 {
			h.ask(request{path: "/open", token: "dcs_x", address: fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)})
		}
		assert.Len(t, h.audited(), deniedAll.Burst)
		time.Sleep(ration.Interval + time.Second)
		entries := h.audited()
		assert.Len(t, entries, ration.Reported+1)
		assert.Equal(t, "2480 more were refused, of many", entries[ration.Reported].Message)
	})
}

// TestDiskNearlyFull: the rest is for commands.
func TestDiskNearlyFull(t *testing.T) {
	h := build(t)
	id := h.login(t, "bob", bobPassword)
	h.audited()
	left := int64(reserve - 1)
	h.free = func(string) (int64, error) { return left, nil }
	assert.Equal(t, 403, h.ask(request{method: "POST", path: "/operator", cookie: id}).Code)
	assert.Empty(t, h.audited())
	h.login(t, "alice", alicePassword)
	assert.Len(t, h.audited(), 1, "what was done is written")
	left = reserve
	h.ask(request{method: "POST", path: "/operator", cookie: id})
	assert.Len(t, h.audited(), 1)
}

// TestWrongTokens are noted and limited; those that are right are not.
func TestWrongTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		ended, err := h.store.AddToken(t.Context(), "old", accounts.Viewer, time.Now().Add(time.Hour))
		require.NoError(t, err)
		good, err := h.store.AddToken(t.Context(), "new", accounts.Viewer, time.Now().Add(24*time.Hour))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		for _, secret := range []string{ended, "dcs_guess"} {
			assert.Equal(t, 401, h.ask(request{path: "/viewer", token: secret}).Code)
		}
		assert.Equal(t, 401, h.ask(request{path: "/viewer", headers: map[string]string{"Authorization": "Basic YTpi"}}).Code)
		assert.Equal(t, []auditlog.Entry{
			{Kind: auditlog.Denied, User: "token:old", Verified: true, Via: ByToken, Address: "192.0.2.1", Message: "the token has ended"},
			{Kind: auditlog.Denied, Via: ByToken, Address: "192.0.2.1", Message: "a token that is not known"},
			{Kind: auditlog.Denied, Via: ByToken, Address: "192.0.2.1", Message: "a request with an Authorization that is no token"},
		}, h.audited())
		for range addressBurst - 3 {
			assert.Equal(t, 401, h.ask(request{path: "/viewer", token: "dcs_guess"}).Code)
		}
		for range 100 {
			w := h.ask(request{path: "/viewer", token: ended})
			require.Equal(t, 429, w.Code)
			require.Equal(t, "3", w.Header().Get("Retry-After"))
		}
		assert.Less(t, len(h.audited()), 20)
		assert.Equal(t, 200, h.ask(request{path: "/viewer", token: good}).Code)
		assert.Equal(t, "alice", h.nameFor(h.login(t, "alice", alicePassword)))
	})
}

// TestLogOfOtherSites: what anybody can cause fills no log.
func TestLogOfOtherSites(t *testing.T) {
	var text bytes.Buffer
	h := build(t)
	h.cfg.Log = slog.New(slog.NewTextHandler(&text, nil))
	long := strings.Repeat("a", 5000)
	for range 1000 {
		w := h.ask(request{method: "POST", path: "/" + long, headers: map[string]string{"Origin": "https://" + long}})
		require.Equal(t, 403, w.Code)
	}
	assert.Equal(t, 10, strings.Count(text.String(), "\n"))
	assert.Less(t, text.Len(), 10*600)
	assert.Contains(t, text.String(), "/"+long[:127]+" ")
}
