package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestPasswordIsNotShown asks at a real terminal.
func TestPasswordIsNotShown(t *testing.T) {
	person, terminal, err := pty.Open()
	require.NoError(t, err)
	defer person.Close()
	defer terminal.Close()
	shown := newPaper()
	go func() { // ends when the terminal is closed
		b := make([]byte, 256)
		for {
			n, err := person.Read(b)
			if err != nil {
				return
			}
			_, _ = shown.Write(b[:n])
		}
	}()
	in := keys{secret: func(ctx context.Context) (string, error) { return readSecret(ctx, int(terminal.Fd())) }}
	con, _, _ := printed()
	con.err = terminal
	file := filepath.Join(t.TempDir(), "users.json")
	ended := make(chan error, 1)
	cmd := &userAddCmd{accountFlags: accountFlags{file}, Name: "alice", Role: "viewer"}
	go func() { ended <- cmd.run(t.Context(), con, in) }()
	for _, question := range []string{"Password: ", "Once more: "} {
		shown.await(t, question)
		awaitEcho(t, int(terminal.Fd()), false)
		_, err := person.WriteString(geese + "\n")
		require.NoError(t, err)
	}
	require.NoError(t, <-ended)
	assert.NotContains(t, shown.String(), "geese")

	ctx, cancel := context.WithCancel(t.Context())
	cmd.Name = "bob"
	go func() { ended <- cmd.run(ctx, con, in) }()
	awaitEcho(t, int(terminal.Fd()), false)
	cancel()
	require.ErrorContains(t, <-ended, "interrupted: nothing was changed")
	awaitEcho(t, int(terminal.Fd()), true)
	_, err = person.WriteString("\n") // with which the reader ends
	require.NoError(t, err)
}

// awaitEcho waits until a terminal shows what is typed, or does not.
func awaitEcho(t *testing.T, fd int, want bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		return err == nil && (mode.Lflag&unix.ECHO != 0) == want
	}, patience, time.Millisecond)
}
