package main

import (
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/problem"
)

// How many may be at the door at once. A request that nobody reads the answer of
// costs memory as long as it lasts: whoever has not come in gets little room,
// and whoever has cannot take that of others.
const (
	maxConns        = 1024
	maxConnsOfOne   = 512 // of one address; behind a proxy of addresses all are one
	maxStreams      = 100 // of one HTTP/2 connection
	pingTime        = 30 * time.Second
	tryAgainSeconds = "5"
)

// bounds are how many requests may be under way, and how long an answer may
// take to be read.
type bounds struct {
	strangers, ofStranger int // of those who have not come in, in all and of one address
	ofGuest               int // of somebody who has, streams and sockets counted
	strangerTime          time.Duration
	guestTime             time.Duration // streams, downloads and the proxies move it along
}

var usual = bounds{strangers: 512, ofStranger: 64, ofGuest: 400, strangerTime: 10 * time.Second, guestTime: time.Minute}

// crowd counts who is there, by a key.
type crowd struct {
	all, one int // how many at most, in all and of one key

	mu  sync.Mutex
	sum int
	by  map[string]int
}

func newCrowd(all, one int) *crowd { return &crowd{all: all, one: one, by: make(map[string]int)} }

// enter takes one more in, unless there are too many.
func (c *crowd) enter(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sum >= c.all || c.by[key] >= c.one {
		return false
	}
	c.sum++
	c.by[key]++
	return true
}

func (c *crowd) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum--
	if c.by[key]--; c.by[key] == 0 {
		delete(c.by, key)
	}
}

// bounded gives each answer its time to be read, and keeps how many are under
// way in bounds. It stands behind the door's Identify.
func (b bounds) bounded(next http.Handler) http.Handler {
	strangers := newCrowd(b.strangers, b.ofStranger)
	guests := newCrowd(math.MaxInt, b.ofGuest)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, key, limit := strangers, addressOf(r.RemoteAddr), b.strangerTime
		if who, ok := door.From(r.Context()); ok {
			in, key, limit = guests, who.Signed(), b.guestTime
		}
		if !in.enter(key) {
			w.Header().Set("Retry-After", tryAgainSeconds)
			problem.Write(w, problem.Problem{
				Status: http.StatusServiceUnavailable, Slug: "crowded", Title: "Too many requests at once",
				Detail: "Too many requests from you are under way: wait until some have been answered.",
			})
			return
		}
		defer in.leave(key)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit)) // a recorder of a test has none
		next.ServeHTTP(w, r)
	})
}

func addressOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// boundedListener hangs up on connections that are too many.
type boundedListener struct {
	net.Listener
	crowd *crowd
}

func (l boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := addressOf(conn.RemoteAddr().String())
		if l.crowd.enter(key) {
			return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.crowd.leave(key) })}, nil
		}
		_ = conn.Close()
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
