//go:build unix

package door

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPasswordBusy: when it takes too long, because others change something,
// one is told when to try again.
func TestPasswordBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		id := h.login(t, "alice", alicePassword)
		f, err := os.OpenFile(h.store.Path()+".lock", os.O_RDWR, 0)
		require.NoError(t, err)
		require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
		q := request{method: "POST", path: "/password", cookie: id, body: newPassword(alicePassword, nextPassword)}
		w := h.ask(q)
		assert.Equal(t, 429, w.Code, w.Body)
		assert.Equal(t, "5", w.Header().Get("Retry-After"))
		assert.Equal(t, "alice", h.nameFor(id))
		require.NoError(t, f.Close())
		assert.Equal(t, 204, h.ask(q).Code)
	})
}
