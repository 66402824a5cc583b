package door

import (
	"container/list"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often a password may be tried.
const (
	addressBurst = 10
	addressEvery = 3 * time.Second
	accountBurst = 5
	accountEvery = 10 * time.Second
	mostBuckets  = 4096 // of each kind
)

// limits are on attempts to guess a password: for each address (of IPv6 the
// network that a customer is given), and for each account. All strangers share
// an account's attempts, however many addresses they have; an address from
// which the account has logged in since the gateway started has attempts of its
// own, so that strangers who use up theirs do not lock out the person who works
// there. A person at a new address gets in between their attempts, one each ten
// seconds, or from the usual address. Nobody is locked out for longer than that.
//
// Tokens that are wrong have attempts of their own: a script whose token has
// ended keeps nobody from logging in, nor a token that is right.
type limits struct{ addresses, accounts, usual, tokens *buckets }

func newLimits() *limits {
	return &limits{
		addresses: newBuckets(addressBurst, addressEvery),
		accounts:  newBuckets(accountBurst, accountEvery),
		usual:     newBuckets(accountBurst, accountEvery),
		tokens:    newBuckets(addressBurst, addressEvery),
	}
}

// take takes an attempt. If there is none left it says when there is one, and
// whether that was the first attempt too many.
func (l *limits) take(address, name string) (wait time.Duration, first bool) {
	now := time.Now()
	address, name = network(address), strings.ToLower(name)
	if pair := name + " " + address; l.usual.has(pair) { // first: others behind the same address use up the address's
		return l.usual.take(pair, now)
	}
	if wait, first = l.addresses.take(address, now); wait > 0 {
		return wait, first
	}
	return l.accounts.take(name, now)
}

// takeToken takes one of an address's attempts with tokens that are wrong.
func (l *limits) takeToken(address string) (wait time.Duration) {
	wait, _ = l.tokens.take(network(address), time.Now())
	return wait
}

// worked remembers that an account logs in from an address.
func (l *limits) worked(address, name string) {
	l.usual.add(strings.ToLower(name) + " " + network(address))
}

// network is what one customer has of addresses.
func network(address string) string {
	if a, err := netip.ParseAddr(address); err == nil && a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return address
}

// buckets are limits by key. When there are too many that which was not asked
// for longest is forgotten; by then it has mostly filled up again.
type buckets struct {
	burst int
	every time.Duration

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *bucket, the last used in front
}

type bucket struct {
	key     string
	limiter *rate.Limiter
	empty   bool // since the last attempt
}

func newBuckets(burst int, every time.Duration) *buckets {
	return &buckets{burst: burst, every: every, byKey: map[string]*list.Element{}, order: list.New()}
}

func (b *buckets) has(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byKey[key] != nil
}

func (b *buckets) add(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.find(key)
}

// find finds a key's bucket, or makes it.
func (b *buckets) find(key string) *bucket {
	if e := b.byKey[key]; e != nil {
		b.order.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if b.order.Len() >= mostBuckets {
		delete(b.byKey, b.order.Remove(b.order.Back()).(*bucket).key)
	}
	found := &bucket{key: key, limiter: rate.NewLimiter(rate.Every(b.every), b.burst)}
	b.byKey[key] = b.order.PushFront(found)
	return found
}

func (b *buckets) take(key string, now time.Time) (wait time.Duration, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.find(key)
	r := found.limiter.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		first = !found.empty
	}
	found.empty = wait > 0
	return wait, first
}
