package dht

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/sensor"
)

var _ sensor.Opener = Open

func TestReadPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := New(near)
		defer s.Close()
		go func() {
			_, _ = io.WriteString(far, "####\nTemperature: 21.30\nHumi")
			time.Sleep(10 * time.Millisecond)
			_, _ = io.WriteString(far, "dity: 40.20")
			time.Sleep(2 * time.Second)
			_, _ = io.WriteString(far, "Temperature: 21.40\nHumidity: 40.30\n")
		}()
		start := time.Now()
		got, err := s.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, both(21.3, 40.2), got)
		assert.Equal(t, 10*time.Millisecond+quiet, time.Since(start), "it does not wait for the next one")
		got, err = s.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, both(21.4, 40.3), got, "never the same twice")
		assert.Equal(t, 1, s.Skipped())

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.Read(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestReadGivesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := New(near)
		defer s.Close()
		for range 100 {
			_, _ = io.WriteString(far, "Temperature: 1.00\nHumidity: 40.00\n")
		}
		time.Sleep(maxAge)
		_, _ = io.WriteString(far, "Temperature: 2.00\nHumidity: 40.00\nTemperature: 3.00\nHumidity: 40.00\n")
		for _, want := range []float64{2, 3} {
			got, err := s.Read(t.Context())
			require.NoError(t, err)
			assert.Equal(t, both(want, 40), got)
		}
	})
}

func TestReadEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := New(near)
		_, _ = io.WriteString(far, "Temperature: 21.30\nHumidity: 40.20\nTemperature: 99")
		far.Close()
		got, err := s.Read(t.Context())
		require.NoError(t, err, "what came before is kept")
		assert.Equal(t, both(21.3, 40.2), got)
		for range 2 {
			_, err = s.Read(t.Context())
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
		require.NoError(t, s.Close())
	})
}

func TestOpenTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "Temperature: 21.30\nHumidity: 40.20\n")
		}
	}()
	s, err := Open(t.Context(), "tcp://"+l.Addr().String())
	require.NoError(t, err)
	defer s.Close()
	got, err := s.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, both(21.3, 40.2), got)

	_, err = Open(t.Context(), "/dev/ttyUSB0")
	require.ErrorContains(t, err, "serial:///dev/ttyUSB0?baud=9600")
}

// Fault 22: the cable is pulled out, and put in again.
func TestFault22SerialCable(t *testing.T) {
	for range 2 {
		ptmx, tty, err := pty.Open()
		if err != nil {
			t.Fatalf("no pseudo-terminal: %v", err)
		}
		s, err := Open(t.Context(), "serial://"+tty.Name()+"?baud=9600")
		require.NoError(t, err)
		tty.Close()
		_, err = io.WriteString(ptmx, "Temperature: 21.30\r\nHumidity: 40.20Temperature: 21.40\r\n")
		require.NoError(t, err)
		got, err := s.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, both(21.3, 40.2), got)
		ptmx.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err = s.Read(ctx)
		cancel()
		require.Error(t, err)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "noticed at once")
		require.NoError(t, s.Close())
	}
}
