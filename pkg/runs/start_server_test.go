//go:build e2e

package runs

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// patience is how long is waited for what must happen: the machine may be busy.
const patience = 60 * time.Second

// server is bin/ferretdb on a directory of its own.
type server struct {
	dir, address string
	cmd          *exec.Cmd
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), address: freeAddress(t)}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

// freeAddress is below the ports that the system gives away by itself: nobody
// takes it while the server is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// start starts it; after a kill it is at its address again.
func (s *server) start(t *testing.T) {
	t.Helper()
	bin, err := filepath.Abs("../../bin/ferretdb")
	require.NoError(t, err)
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: build it with: go -C tools/ferretdb build -o ../../bin/ .", err)
	}
	s.cmd = exec.Command(bin)
	s.cmd.Env = append(os.Environ(), "FERRETDB_LISTEN="+s.address, "FERRETDB_DIR="+s.dir)
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	listening := make(chan string, 1)
	go func() { // ends with the process
		defer close(listening)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if _, address, ok := strings.Cut(lines.Text(), "listening on "); ok {
				listening <- address
				continue
			}
			if !strings.Contains(lines.Text(), "endSessions") { // FerretDB does not know it
				fmt.Fprintln(os.Stderr, "ferretdb:", lines.Text())
			}
		}
	}()
	select {
	case address, ok := <-listening:
		require.True(t, ok, "ferretdb has ended")
		s.address = strings.TrimSpace(address)
	case <-time.After(patience):
		s.kill()
		t.Fatalf("ferretdb does not listen after %v", patience)
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) uri() string { return "mongodb://" + s.address + "/" }

func (s *server) client(t *testing.T, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Config{URI: s.uri(), Timeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// prepared is a patient client of a new server that has its indexes.
func prepared(t *testing.T) (*server, *Client) {
	t.Helper()
	s := startServer(t)
	c := s.client(t, patience)
	require.NoError(t, c.Prepare(t.Context()))
	return s, c
}

// straight is the database as another program sees it.
func (s *server) straight(t *testing.T) *mongo.Database {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.uri()).SetRetryWrites(false))
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database(DefaultDatabase)
}
