package runs

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestNewRefuses(t *testing.T) {
	const secret = "s3cret"
	for uri, want := range map[string]string{
		"":                                     "is empty",
		"http://127.0.0.1":                     "does not begin with mongodb://",
		"mongodb+srv://u:s3cret@host":          "name the server",
		"mongodb://":                           "cannot be read",
		"mongodb://u:s3cret@":                  "cannot be read",
		"mongodb://u:s3cret":                   "cannot be read",
		"mongodb://u:s3cret/x@host":            "cannot be read",
		"mongodb://u:s3cret@x@host":            "cannot be read",
		"mongodb://u:%zzs3cret@host":           "cannot be read",
		"mongodb://u:s3cret@host:99999":        "cannot be read",
		"mongodb://u:s3cret@host/?tls=s3cret":  `option "tls"`,
		"mongodb://u:s3cret@host/\nmongodb://": "more than one line",
	} {
		_, err := New(Config{URI: uri})
		require.ErrorContains(t, err, want, uri)
		require.NotContains(t, err.Error(), secret, uri)
	}
	_, err := New(Config{URIFile: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, name := range []string{"a.b", "a/b", strings.Repeat("x", 64)} {
		_, err = New(Config{URI: "mongodb://h", Database: name})
		require.ErrorContains(t, err, "database")
	}
}

func TestNewFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "uri")
	require.NoError(t, os.WriteFile(file, []byte("mongodb://u:s%40cret@mongo:27018/?authSource=admin&w=0&retryWrites=true\r\n"), 0o600))
	c, err := New(Config{URI: "nonsense", URIFile: file})
	require.NoError(t, err)
	require.Equal(t, "mongo:27018", c.Address())
	require.Equal(t, DefaultTimeout, c.timeout)
	require.Equal(t, DefaultDatabase, c.runs.Database().Name())
	begin := time.Now()
	require.NoError(t, c.Close(t.Context()))
	require.Less(t, time.Since(begin), 3*time.Second)
}

// fake is a server that greets as MongoDB does and answers all else with answer.
func fake(t *testing.T, answer bson.D) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer conn.Close()
				for serve(conn, answer) == nil {
				}
			}()
		}
	}()
	return l.Addr().String()
}

// serve reads a message of MongoDB's wire protocol and answers it.
func serve(conn net.Conn, answer bson.D) error {
	const query, reply, msg = 2004, 1, 2013
	header := make([]byte, 16)
	if _, err := io.ReadFull(conn, header); err != nil {
		return err
	}
	body := make([]byte, binary.LittleEndian.Uint32(header)-16)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	greeting := bson.D{{Key: "ok", Value: 1}, {Key: "isWritablePrimary", Value: true}, {Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48 << 20}, {Key: "maxWriteBatchSize", Value: 1000}}
	op, before := msg, make([]byte, 5) // flags, kind of section
	if binary.LittleEndian.Uint32(header[12:]) == query {
		op, before = reply, append(make([]byte, 16), 1, 0, 0, 0)
	}
	if binary.LittleEndian.Uint32(header[12:]) == query || strings.Contains(string(body), "hello") {
		answer = greeting
	}
	if answer == nil {
		return nil
	}
	doc, err := bson.Marshal(answer)
	if err != nil {
		return err
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(before)+len(doc)))
	out = binary.LittleEndian.AppendUint32(out, 1)
	out = append(out, header[4:8]...)
	out = binary.LittleEndian.AppendUint32(out, uint32(op))
	out = append(append(out, before...), doc...)
	if op == reply {
		out[16] = 8 // it can wait for changes
	}
	_, err = conn.Write(out)
	return err
}

func TestAnswersThatAreErrors(t *testing.T) {
	says := func(code int, text string) bson.D {
		return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: text}}
	}
	for name, tt := range map[string]struct {
		answer bson.D
		want   error
		text   string
	}{
		"no rights":    {says(13, "not authorized on dcs"), ErrDenied, "not authorized"},
		"bad login":    {says(18, "Authentication failed."), ErrDenied, "Authentication failed"},
		"going away":   {says(11600, "interrupted at shutdown"), ErrNoAnswer, "shutdown"},
		"silent":       {nil, ErrNoAnswer, ""},
		"something":    {says(2, "bad value"), nil, "bad value"},
		"endless text": {says(2, strings.Repeat("µ", 10_000)), nil, "…"},
	} {
		address := fake(t, tt.answer)
		c, err := New(Config{URI: "mongodb://" + address, Timeout: 300 * time.Millisecond})
		require.NoError(t, err)
		begin := time.Now()
		_, err = c.Get(t.Context(), 42)
		require.ErrorContains(t, err, tt.text, name)
		require.ErrorContains(t, err, "reading run 42", name)
		require.ErrorContains(t, err, address, name)
		require.Less(t, len(err.Error()), 500, name)
		require.Less(t, time.Since(begin), 3*time.Second, name)
		for _, kind := range []error{ErrNotFound, ErrNoAnswer, ErrDenied, ErrConflict} {
			require.Equal(t, errors.Is(kind, tt.want), errors.Is(err, kind), "%s: %v", name, err)
		}
		require.NoError(t, c.Close(context.Background()), name)
	}
}

// The login fails while the connection is made: a wrong password must not look
// like a server that is away.
func TestWrongPassword(t *testing.T) {
	address := fake(t, bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: 18}, {Key: "errmsg", Value: "Authentication failed."}})
	c, err := New(Config{URI: "mongodb://u:s3cret@" + address + "/?authMechanism=SCRAM-SHA-256", Timeout: time.Second})
	require.NoError(t, err)
	err = c.Put(t.Context(), Run{Number: 1, UID: "u"})
	require.ErrorIs(t, err, ErrDenied)
	require.NotErrorIs(t, err, ErrNoAnswer)
	require.NotContains(t, err.Error(), "s3cret")
	require.NoError(t, c.Close(context.Background()))
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	c, err := New(Config{URI: "mongodb://u:s3cret@" + l.Addr().String(), Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	begin := time.Now()
	_, err = c.Highest(t.Context())
	require.ErrorIs(t, err, ErrNoAnswer)
	require.ErrorContains(t, err, "connection refused")
	require.Less(t, len(err.Error()), 300)
	require.Less(t, time.Since(begin), 2*time.Second)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, err = c.Highest(stopped)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrNoAnswer)
	require.NoError(t, c.Close(context.Background()))
}

func TestPutRefuses(t *testing.T) {
	c, err := New(Config{URI: "mongodb://h"})
	require.NoError(t, err)
	require.ErrorContains(t, c.Put(t.Context(), Run{UID: "u"}), "no number")
	require.ErrorContains(t, c.Put(t.Context(), Run{Number: 1}), "no uid")
	require.ErrorContains(t, c.Put(t.Context(), Run{Number: 1, UID: "u", Parameters: map[string]any{"x": func() {}}}), "storing run 1")
	require.ErrorContains(t, c.PutFile(t.Context(), 1, "u", File{Name: "x"}, nil), "sha256 is missing")
	require.NoError(t, c.Close(context.Background()))
}
