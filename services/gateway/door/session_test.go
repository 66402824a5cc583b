package door

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

// inBubble runs a test with a clock of its own, and the door's Run.
func inBubble(t *testing.T, f func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		defer func() {
			cancel()
			require.NoError(t, <-ended)
		}()
		f(t, h)
	})
}

func TestIdleEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		id := h.login(t, "alice", alicePassword)
		for range 5 { // use keeps it
			time.Sleep(h.cfg.Idle - time.Second)
			require.Equal(t, "alice", h.nameFor(id))
		}
		h.audited()
		time.Sleep(h.cfg.Idle)
		assert.Equal(t, "nobody", h.nameFor(id))
		time.Sleep(2 * keepEvery)
		assert.Zero(t, h.Door.store.count(), "it is forgotten")
		assert.Equal(t, []auditlog.Entry{{Kind: auditlog.Logout, User: "alice", Verified: true, Via: "session", Message: whyIdle}}, h.audited())
		assert.Equal(t, "nobody", h.nameFor(id))
	})
}

func TestAbsoluteEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		id := h.login(t, "alice", alicePassword)
		h.audited()
		begin := time.Now()
		for time.Since(begin) < h.cfg.Absolute {
			require.Equal(t, "alice", h.nameFor(id), time.Since(begin))
			time.Sleep(h.cfg.Idle / 2)
		}
		assert.Equal(t, "nobody", h.nameFor(id))
		time.Sleep(2 * keepEvery)
		assert.Equal(t, []auditlog.Entry{{Kind: auditlog.Logout, User: "alice", Verified: true, Via: "session", Message: whyEnd}}, h.audited())
	})
}

// lasting is a request that lasts until its context ends.
type lasting struct {
	ended chan struct{}
	cause error
}

// last asks for something that lasts.
func (h *house) last(q request) *lasting {
	l := &lasting{ended: make(chan struct{})}
	handler := h.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		l.cause = context.Cause(r.Context())
	}))
	go func() {
		defer close(l.ended)
		handler.ServeHTTP(httptest.NewRecorder(), q.http())
	}()
	return l
}

func (l *lasting) lasts() bool {
	synctest.Wait()
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// TestStreamIsUse: a page on the wall stays until the absolute end, and no longer.
func TestStreamIsUse(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		begin := time.Now()
		id := h.login(t, "alice", alicePassword)
		wall := h.last(request{cookie: id})
		time.Sleep(h.cfg.Absolute - time.Second)
		assert.True(t, wall.lasts(), "open, so used")
		assert.Equal(t, "alice", h.nameFor(id))
		<-wall.ended
		require.ErrorIs(t, wall.cause, ErrSessionEnded)
		assert.InDelta(t, h.cfg.Absolute.Seconds(), time.Since(begin).Seconds(), 1)
	})
}

func TestStreamEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, h *house, id string)
	}{
		{"logout", func(_ *testing.T, h *house, id string) {
			h.ask(request{method: "POST", path: "/logout", cookie: id})
		}},
		{"role", func(t *testing.T, h *house, _ string) {
			require.NoError(t, h.store.SetRole(t.Context(), "alice", accounts.Admin))
		}},
		{"password", func(t *testing.T, h *house, _ string) {
			_, err := h.store.SetPassword(t.Context(), "alice", bobPassword)
			require.NoError(t, err)
		}},
		{"removed", func(t *testing.T, h *house, _ string) { require.NoError(t, h.store.Remove(t.Context(), "alice")) }},
		{"another login", func(_ *testing.T, h *house, id string) {
			h.ask(request{method: "POST", path: "/login", body: credentials("alice", alicePassword), cookie: id})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *house) {
				id := h.login(t, "alice", alicePassword)
				streams := []*lasting{h.last(request{cookie: id}), h.last(request{cookie: id})}
				others := h.last(request{cookie: h.login(t, "bob", bobPassword)})
				time.Sleep(time.Minute)
				for _, s := range streams {
					assert.True(t, s.lasts())
				}
				begin := time.Now()
				tt.end(t, h, id)
				for _, s := range streams {
					<-s.ended
					require.ErrorIs(t, s.cause, ErrSessionEnded)
				}
				assert.Less(t, time.Since(begin), time.Second)
				assert.True(t, others.lasts())
				require.NoError(t, h.store.Remove(t.Context(), "bob"))
				<-others.ended
				synctest.Wait()
				assert.Empty(t, h.visits)
			})
		})
	}
}

func TestTokenStreamEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		secret, err := h.store.AddToken(t.Context(), "script", accounts.Viewer, time.Now().Add(time.Hour))
		require.NoError(t, err)
		other, err := h.store.AddToken(t.Context(), "other", accounts.Viewer, time.Now().Add(24*time.Hour))
		require.NoError(t, err)
		begin := time.Now()
		one, two := h.last(request{token: secret}), h.last(request{token: other})
		<-one.ended
		require.ErrorIs(t, one.cause, ErrSessionEnded)
		assert.InDelta(t, time.Hour.Seconds(), time.Since(begin).Seconds(), 1)
		assert.True(t, two.lasts())
		require.NoError(t, h.store.RemoveToken(t.Context(), "other"))
		begin = time.Now()
		<-two.ended
		assert.Less(t, time.Since(begin), time.Second)
		assert.Equal(t, 401, h.ask(request{path: "/me", token: secret}).Code)
		assert.Contains(t, h.ask(request{path: "/me", token: secret}).Body.String(), "script has ended: make a new one")
	})
}

// TestRestart: after the gateway's return the page goes on by itself, and its
// session has not become younger by that.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		id, gone := h.login(t, "alice", alicePassword), h.login(t, "bob", bobPassword)
		time.Sleep(h.cfg.Idle - time.Minute)
		require.Equal(t, "alice", h.nameFor(id)) // which is written down at the end
		require.NoError(t, h.Close())
		time.Sleep(2 * time.Minute)
		h.open(t)
		assert.Equal(t, "alice", h.nameFor(id))
		assert.Equal(t, "nobody", h.nameFor(gone), "idle meanwhile")
		require.NoError(t, h.Close())

		require.NoError(t, h.store.SetRole(t.Context(), "alice", accounts.Viewer))
		h.open(t)
		assert.Equal(t, "nobody", h.nameFor(id), "changed meanwhile")
		h.sweep(t.Context())
		assert.Zero(t, h.Door.store.count())
		var why []string
		for _, e := range h.audited() {
			if e.Kind == auditlog.Logout {
				why = append(why, e.User+": "+e.Message)
			}
		}
		assert.ElementsMatch(t, []string{"bob: " + whyIdle, "alice: " + whyChanged}, why)
	})
}

// TestUseIsWrittenDown: after a crash at most ten seconds of use are forgotten.
func TestUseIsWrittenDown(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		id := h.login(t, "alice", alicePassword)
		time.Sleep(h.cfg.Idle - time.Minute)
		require.Equal(t, "alice", h.nameFor(id))
		time.Sleep(keepEvery + time.Second)
		assert.Zero(t, h.Door.store.unwritten())
		time.Sleep(h.cfg.Idle - keepEvery - 2*time.Second)
		assert.Equal(t, "alice", h.nameFor(id), "it is on the disk")
	})
}

// TestBadUsersFile: what was in it before counts, for sessions too.
func TestBadUsersFile(t *testing.T) {
	inBubble(t, func(t *testing.T, h *house) {
		id := h.login(t, "alice", alicePassword)
		stream := h.last(request{cookie: id})
		text, err := os.ReadFile(h.store.Path())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(h.store.Path(), []byte("oops"), 0o600))
		time.Sleep(time.Minute)
		assert.True(t, stream.lasts())
		assert.Equal(t, "alice", h.nameFor(id))
		w := h.ask(request{method: "POST", path: "/password", cookie: id, body: newPassword(alicePassword, "a kettle for alyce")})
		assert.Equal(t, 500, w.Code, "it cannot be written")
		require.NoError(t, os.WriteFile(h.store.Path(), text, 0o600))
		time.Sleep(time.Minute)
		assert.True(t, stream.lasts())
		require.NoError(t, os.Remove(h.store.Path()))
		<-stream.ended
	})
}
