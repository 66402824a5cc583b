package dht

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var standing = func() time.Time { return time.Unix(0, 0) }

func TestPrint(t *testing.T) {
	tests := []struct {
		name string
		opts Options
		do   func(*Instrument)
		want string
	}{
		{"the sketch", Options{}, nil, "Temperature: 21.30\r\nHumidity: 40.20" + "Temperature: 21.30\r\nHumidity: 40.20"},
		{"well behaved", Options{EndLines: true}, nil, "Temperature: 21.30\r\nHumidity: 40.20\r\n" + "Temperature: 21.30\r\nHumidity: 40.20\r\n"},
		{"below zero", Options{}, func(in *Instrument) { in.SetClimate(-5.5, 80) }, "Temperature: -5.50\r\nHumidity: 80.00" + "Temperature: -5.50\r\nHumidity: 80.00"},
		{"temperature fails", Options{}, func(in *Instrument) { in.FailTemperature(1) }, "Error reading temperature!\r\nHumidity: 40.20" + "Temperature: 21.30\r\nHumidity: 40.20"},
		{"humidity fails", Options{}, func(in *Instrument) { in.FailHumidity(1) }, "Temperature: 21.30\r\nError reading humidity!\r\n" + "Temperature: 21.30\r\nHumidity: 40.20"},
		{"every second fails", Options{FailEvery: 2}, nil, "Temperature: 21.30\r\nHumidity: 40.20" + "Error reading temperature!\r\nError reading humidity!\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Now = standing
			in := New(tt.opts)
			if tt.do != nil {
				tt.do(in)
			}
			assert.Equal(t, tt.want, in.Print()+in.Print())
		})
	}
}

func TestFreeze(t *testing.T) {
	in := New(Options{Now: standing})
	in.Freeze(true)
	in.SetClimate(30, 30)
	assert.Equal(t, "Temperature: 21.30\r\nHumidity: 40.20", in.Print())
	in.Freeze(false)
	temp, humid := in.Climate()
	assert.Equal(t, []float64{30, 30}, []float64{temp, humid})
}

// run calls serve and makes sure that it ends with the test.
func run(t *testing.T, serve func(context.Context) error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
}

func TestTCP(t *testing.T) {
	in := New(Options{Now: standing, Period: time.Millisecond})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	run(t, func(ctx context.Context) error { return in.Serve(ctx, l) })
	dial := func() *bufio.Reader {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		return bufio.NewReader(conn)
	}
	read := func(r *bufio.Reader) string {
		text, err := r.ReadString('\n')
		require.NoError(t, err)
		return text
	}
	a, b := dial(), dial()
	assert.Equal(t, "Temperature: 21.30\r\n", read(a))
	assert.Equal(t, "Temperature: 21.30\r\n", read(b))
	assert.Equal(t, "Humidity: 40.20Temperature: 21.30\r\n", read(a))
	in.Garble(1)
	in.Truncate(1)
	in.Drop()
	for _, err := a.ReadByte(); err == nil; _, err = a.ReadByte() {
	}
	in.Refuse(true)
	_, err = dial().ReadByte()
	assert.Error(t, err)
}

// opened opens the terminal as soon as its link stands.
func opened(t *testing.T, path string) *os.File {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err == nil {
			t.Cleanup(func() { f.Close() })
			return f
		}
		require.NoError(t, t.Context().Err())
	}
}

func TestPTY(t *testing.T) {
	in := New(Options{Now: standing, Period: time.Millisecond})
	path := filepath.Join(t.TempDir(), "dht")
	require.NoError(t, os.Symlink("nowhere", path), "a stale link is replaced")
	run(t, func(ctx context.Context) error { return in.ServePTY(ctx, path) })

	f := opened(t, path)
	_, err := f.WriteString("no echo\n")
	require.NoError(t, err)
	r := bufio.NewReader(f)
	for range 3 {
		text, err := r.ReadString('\n')
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(text, "Temperature: 21.30\r\n"), "raw: %q", text)
		assert.NotContains(t, text, "echo")
	}

	in.Refuse(true)
	in.Drop()
	for err = nil; err == nil; _, err = r.ReadByte() {
	}
	f.Close()
	in.Refuse(false)
	_, err = bufio.NewReader(opened(t, path)).ReadString('\n')
	assert.NoError(t, err, "plugged in again")
}

func TestPTYForgetsWhatNobodyReads(t *testing.T) {
	tty, name, err := openTerminal()
	require.NoError(t, err)
	defer tty.Close()
	require.NoError(t, tty.write([]byte("stale\n")))
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, tty.write([]byte("fresh\n")))
	text, err := bufio.NewReader(f).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "fresh\n", text)
}

func TestPTYDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	tty, name, err := openTerminal()
	require.NoError(t, err)
	defer tty.Close()
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	defer f.Close()
	full := make([]byte, 1<<20)
	assert.ErrorIs(t, tty.write(full), os.ErrDeadlineExceeded)
}

func TestPTYLeavesAFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	assert.ErrorContains(t, New(Options{}).ServePTY(t.Context(), path), "no symbolic link")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(content))
}

func TestPTYRemovesItsLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(Options{}).ServePTY(ctx, path) }()
	opened(t, path).Close()
	cancel()
	require.NoError(t, <-done)
	_, err := os.Lstat(path)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
