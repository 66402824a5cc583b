package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/runs"
)

// endless is a file without an end.
type endless struct{ closed chan struct{} }

func (e endless) Read(p []byte) (int, error) { return len(p), nil }

func (e endless) Close() error {
	close(e.closed)
	return nil
}

// download asks for an endless file and reads none of it. The channel is closed
// when the gateway has ended it, the function ends the session.
func (l *lab) download() (ended <-chan struct{}, logout func()) {
	l.t.Helper()
	file := endless{make(chan struct{})}
	l.runs.files = []runs.File{{Name: "a", Size: 1 << 60}}
	l.runs.open = func() io.ReadCloser { return file }
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Role", "viewer")
		l.handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	l.t.Cleanup(server.Close)
	conn, err := new(net.Dialer).DialContext(l.t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = conn.Close(); cancel() })
	_, err = fmt.Fprint(conn, "GET /api/v1/runs/1/files/a HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(l.t, err)
	_, err = io.ReadFull(conn, make([]byte, 1<<20))
	require.NoError(l.t, err)
	return file.closed, cancel
}

func TestUnreadDownload(t *testing.T) {
	l := newLab(t)
	l.handler.SetUnread(500 * time.Millisecond)
	ended, _ := l.download()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it goes on though nobody reads it")
	}
}

func TestDownloadEndsWithSession(t *testing.T) {
	l := newLab(t)
	ended, logout := l.download()
	select {
	case <-ended:
		t.Fatal("it has not been read for a moment, and was ended")
	case <-time.After(100 * time.Millisecond):
	}
	logout()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it goes on though the session has ended")
	}
}

// Downloads again and again do not fill the audit log.
func TestDownloadsAreRationed(t *testing.T) {
	_, err := loaded()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runs.files = []runs.File{{Name: "a", Size: 1}}
		l.runs.open = func() io.ReadCloser { return io.NopCloser(strings.NewReader("x")) }
		for range 1000 {
			require.Equal(t, 200, l.ask(accounts.Viewer, "GET", "/api/v1/runs/1/files/a", "").status)
		}
		l.handler.Close()
		all := l.audit.of(auditlog.Download)
		assert.Less(t, len(all), 50)
		assert.Equal(t, 1000, all[len(all)-1].Value.(int)+len(all)-1)
	})
}
