package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

const patience = time.Minute // far above what anything here takes

// from connects from one of the machine's own addresses.
func from(t *testing.T, local, to string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}).DialContext(t.Context(), "tcp", to)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func askOn(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	require.NoError(t, err)
}

func statusOn(t *testing.T, conn net.Conn) int {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	_ = res.Body.Close()
	return res.StatusCode
}

// unread serves /large, more than the machine's buffers take, within bounds. A
// header says who has come in.
func unread(t *testing.T, b bounds) (to string, began chan struct{}, ended chan error) {
	t.Helper()
	began, ended = make(chan struct{}, 100), make(chan error, 100)
	large := bytes.Repeat([]byte("x"), 64<<20)
	h := b.bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			began <- struct{}{}
			_, err := w.Write(large)
			ended <- err
		}
	}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Guest") != "" {
			r = r.WithContext(door.With(r.Context(), door.Who{Name: r.Header.Get("X-Guest"), Role: accounts.Viewer}))
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), began, ended
}

// Answers that nobody reads keep nobody else out: neither another address nor
// those who have come in.
func TestUnreadAnswers(t *testing.T) {
	to, began, _ := unread(t, bounds{strangers: 5, ofStranger: 3, ofGuest: 2, strangerTime: time.Hour, guestTime: time.Hour})
	for range 3 {
		askOn(t, from(t, "127.0.0.1", to), "/large")
		<-began
	}
	conn := from(t, "127.0.0.1", to)
	askOn(t, conn, "/")
	assert.Equal(t, http.StatusServiceUnavailable, statusOn(t, conn), "this address has no more room")
	other := from(t, "127.0.0.2", to)
	askOn(t, other, "/")
	assert.Equal(t, http.StatusOK, statusOn(t, other), "another one has")
	for range 2 {
		askOn(t, from(t, "127.0.0.2", to), "/large")
		<-began
	}
	askOn(t, other, "/")
	assert.Equal(t, http.StatusServiceUnavailable, statusOn(t, other), "strangers have no more room")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+to, nil)
	require.NoError(t, err)
	req.Header.Set("X-Guest", "alice")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	assert.Equal(t, http.StatusOK, res.StatusCode, "who has come in has")
}

// And they end.
func TestUnreadAnswersEnd(t *testing.T) {
	to, began, ended := unread(t, bounds{strangers: 5, ofStranger: 3, ofGuest: 2, strangerTime: time.Second, guestTime: time.Hour})
	for range 3 {
		askOn(t, from(t, "127.0.0.1", to), "/large")
		<-began
	}
	for range 3 {
		select {
		case err := <-ended:
			assert.Error(t, err, "nobody has read it")
		case <-time.After(patience):
			t.Fatal("an unread answer lasts")
		}
	}
	require.Eventually(t, func() bool {
		conn := from(t, "127.0.0.1", to)
		askOn(t, conn, "/")
		return statusOn(t, conn) == http.StatusOK
	}, patience, 50*time.Millisecond, "there is room again")
}

func TestGuestsHaveARoomEach(t *testing.T) {
	block := make(chan struct{})
	in := make(chan struct{}, 10)
	h := bounds{strangers: 1, ofStranger: 1, ofGuest: 2, strangerTime: time.Minute, guestTime: time.Minute}.bounded(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { in <- struct{}{}; <-block }))
	ask := func(ctx context.Context, name string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(door.With(ctx, door.Who{Name: name, Role: accounts.Viewer})))
		return w.Code
	}
	answers := make(chan int, 10)
	for range 2 {
		go func() { answers <- ask(t.Context(), "alice") }()
		<-in
	}
	assert.Equal(t, http.StatusServiceUnavailable, ask(t.Context(), "alice"))
	go func() { answers <- ask(t.Context(), "bob") }()
	<-in
	close(block)
	for range 3 {
		assert.Equal(t, http.StatusOK, <-answers)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := boundedListener{inner, newCrowd(3, 2)}
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	to := inner.Addr().String()
	from(t, "127.0.0.1", to)
	from(t, "127.0.0.1", to)
	one := <-accepted
	<-accepted
	hungUp := func(conn net.Conn) bool {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, err := conn.Read(make([]byte, 1))
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	}
	assert.True(t, hungUp(from(t, "127.0.0.1", to)), "too many of one address")
	from(t, "127.0.0.2", to)
	<-accepted
	assert.True(t, hungUp(from(t, "127.0.0.3", to)), "too many in all")
	require.NoError(t, one.Close())
	_ = one.Close() // counted once
	from(t, "127.0.0.1", to)
	<-accepted
	assert.True(t, hungUp(from(t, "127.0.0.1", to)))
}
