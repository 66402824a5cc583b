package door

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
)

// tries is how many attempts come through before one does not.
func tries(l *limits, address, name string, most int) (n int) {
	for n < most {
		if wait, _ := l.take(address, name); wait > 0 {
			break
		}
		n++
	}
	return n
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits()
		assert.Equal(t, accountBurst, tries(l, "192.0.2.1", "alice", 100))
		assert.Zero(t, tries(l, "192.0.2.1", "ALICE", 100), "it is the same account")
		assert.Zero(t, tries(l, "192.0.2.2", "alice", 100), "from wherever")
		wait, _ := l.take("192.0.2.3", "alice")
		assert.Equal(t, accountEvery, wait)
		time.Sleep(accountEvery)
		assert.Equal(t, 1, tries(l, "192.0.2.4", "alice", 100))
		time.Sleep(time.Hour)
		assert.Equal(t, accountBurst, tries(l, "192.0.2.1", "alice", 100))

		n := 0
		for i := range 100 { // one password for many
			n += tries(l, "192.0.2.9", fmt.Sprint("user", i), 1)
		}
		assert.Equal(t, addressBurst, n)
		time.Sleep(addressEvery)
		assert.Equal(t, 1, tries(l, "192.0.2.9", "user0", 100))
		n = 0
		for i := range 100 {
			n += tries(l, fmt.Sprintf("2001:db8:1:2:%x::1", i), fmt.Sprint("other", i), 1)
		}
		assert.Equal(t, addressBurst, n, "who has IPv6 has many addresses")
	})
}

// TestStrangersLockNobodyOut: they use up their attempts, not those of the
// person at the usual place.
func TestStrangersLockNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits()
		require.Equal(t, 1, tries(l, "192.0.2.1", "Alice", 1))
		l.worked("192.0.2.1", "alice")
		for i := range 50 {
			tries(l, fmt.Sprintf("198.51.100.%d", i), "alice", 100)
		}
		assert.Zero(t, tries(l, "192.0.2.2", "alice", 100))
		assert.Equal(t, accountBurst, tries(l, "192.0.2.1", "alice", 100))
		assert.Zero(t, tries(l, "192.0.2.1", "alice", 100), "where there is a limit too")
		time.Sleep(accountEvery)
		assert.Equal(t, 1, tries(l, "192.0.2.7", "alice", 100), "nor for long anywhere else")
	})
}

// TestOthersAtTheAddress use up the address's attempts, not those of who has
// logged in there.
func TestOthersAtTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits()
		l.worked("192.0.2.1", "alice")
		for i := range 50 {
			tries(l, "192.0.2.1", fmt.Sprint("user", i), 100)
		}
		assert.Zero(t, tries(l, "192.0.2.1", "bob", 100))
		assert.Equal(t, accountBurst, tries(l, "192.0.2.1", "alice", 100))
		assert.Zero(t, tries(l, "192.0.2.1", "alice", 100), "where there is a limit too")
	})
}

func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets(1, time.Hour)
	now := time.Now()
	for i := range 3 * mostBuckets {
		_, _ = b.take("used", now)
		_, _ = b.take(fmt.Sprint(i), now)
	}
	assert.Len(t, b.byKey, mostBuckets)
	assert.Equal(t, mostBuckets, b.order.Len())
	assert.True(t, b.has("used"), "what is asked for stays")
	assert.False(t, b.has("0"))
	wait, first := b.take("used", now)
	assert.Positive(t, wait)
	assert.False(t, first)
}

func TestTooManyLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		wrong := request{method: "POST", path: "/login", body: credentials("alice", bobPassword)}
		for range accountBurst {
			assert.Equal(t, 401, h.ask(wrong).Code)
		}
		right := wrong
		right.body = credentials("alice", alicePassword)
		h.audited()
		for range 3 {
			w := h.ask(right)
			assert.Equal(t, 429, w.Code, "the right one is not tried either")
			assert.Equal(t, "urn:trackerdcs:problem:too-many", problemOf(t, w).Type)
			assert.Equal(t, "10", w.Header().Get("Retry-After"))
			assert.Nil(t, cookieOf(t, w))
		}
		entries := h.audited()
		require.Len(t, entries, 1, "the log is not filled by that")
		assert.Equal(t, auditlog.Denied, entries[0].Kind)
		assert.Contains(t, entries[0].Message, "too many attempts")

		noUser := request{method: "POST", path: "/login", body: credentials("mallory", bobPassword), address: "192.0.2.77:1"}
		var codes []int
		for range accountBurst + 1 {
			codes = append(codes, h.ask(noUser).Code)
		}
		assert.Equal(t, []int{401, 401, 401, 401, 401, 429}, codes, "names that are not there are limited alike")

		time.Sleep(accountEvery)
		assert.Equal(t, 200, h.ask(right).Code)
		assert.InDelta(t, 1, h.metric(t, "dcs_gateway_logins_total", resultIn), 0)
		assert.InDelta(t, 10, h.metric(t, "dcs_gateway_logins_total", resultWrong), 0)
		assert.InDelta(t, 4, h.metric(t, "dcs_gateway_logins_total", resultLimited), 0)
	})
}
