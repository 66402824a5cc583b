// Package scpitest plays the instrument's side of conversations known from a
// manual, and checks every string that a driver sends, in order.
package scpitest

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// Step is one command that is expected and what the instrument says to it.
// Nothing is said when Answer is empty.
type Step struct{ Want, Answer string }

// Script turns lines of "command -> answer" into steps; the arrow is left out
// of commands that are not answered. Empty lines do not count.
func Script(text string) []Step {
	var steps []Step
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		want, answer, _ := strings.Cut(line, " -> ")
		steps = append(steps, Step{strings.TrimSpace(want), strings.TrimSpace(answer)})
	}
	return steps
}

// Play returns the driver's end of a connection on which the steps are played;
// both sides end their lines with end. The test fails when something else is
// sent, or when steps are left over once the driver has closed its end.
func Play(t testing.TB, end string, steps []Step) io.ReadWriteCloser {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		play(t, theirs, end, steps)
	}()
	t.Cleanup(func() {
		ours.Close()
		<-done
	})
	return ours
}

func play(t testing.TB, conn net.Conn, end string, steps []Step) {
	in := bufio.NewReader(conn)
	for i := 0; ; i++ {
		got, err := in.ReadString('\n')
		if err != nil {
			if i < len(steps) {
				t.Errorf("step %d: the driver closed, want %q", i, steps[i].Want)
			}
			return
		}
		if i >= len(steps) {
			t.Errorf("after the last step the driver sent %q", got)
			return
		}
		if got != steps[i].Want+end {
			t.Errorf("step %d: the driver sent %q, want %q", i, got, steps[i].Want+end)
			return
		}
		if steps[i].Answer == "" {
			continue
		}
		if _, err := io.WriteString(conn, steps[i].Answer+end); err != nil {
			t.Errorf("step %d: answer %q: %v", i, steps[i].Answer, err)
			return
		}
	}
}

// Answer plays an instrument that says what reply makes of each command, until
// the connection ends; an empty reply is none.
func Answer(conn net.Conn, end string, reply func(cmd string) string) {
	defer conn.Close()
	in := bufio.NewScanner(conn)
	for in.Scan() {
		if s := reply(strings.TrimSpace(in.Text())); s != "" {
			if _, err := io.WriteString(conn, s+end); err != nil {
				return
			}
		}
	}
}
