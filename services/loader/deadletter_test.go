package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trackerdcs/pkg/bus"
)

func letterOf(payload string, reason string) []byte {
	m := &message{Message: bus.Message{Topic: "/hv/status", QoS: 1, Payload: []byte(payload)}, arrived: noon.UnixNano(), length: len(payload)}
	return newLetter(m, errors.New(reason)).append(nil)
}

func TestLetters(t *testing.T) {
	dir := t.TempDir()
	d := newDeadLetters(dir, 1<<20)
	defer d.close()
	for _, payload := range []string{"", "plain", "two\nlines \"quoted\" <&> ü", "\xff\x00\xfe"} {
		if kept, err := d.write(letterOf(payload, "because")); !kept || err != nil {
			t.Fatal(kept, err)
		}
		all := readLetters(t, dir)
		l := all[len(all)-1]
		if got := unpackLetter(t, l); got != payload || l.Topic != "/hv/status" || l.Reason != "because" || l.QoS != 1 || l.Time != "2026-11-20T12:00:00.000000Z" {
			t.Errorf("%+v, want %q", l, payload)
		}
	}
	if n := len(readLetters(t, dir)); n != 4 {
		t.Errorf("%d lines", n)
	}
}

// At its limit the file takes no more; who moves it away finds a new one begun.
func TestLettersLimit(t *testing.T) {
	dir := t.TempDir()
	one := letterOf("x", "y")
	d := newDeadLetters(dir, int64(3*len(one)))
	defer d.close()
	for i := range 5 {
		kept, err := d.write(one)
		if err != nil || kept != (i < 3) {
			t.Errorf("%d: %v, %v", i, kept, err)
		}
	}
	d2 := newDeadLetters(dir, int64(3*len(one))) // another process knows how large it is
	if kept, err := d2.write(one); kept || err != nil {
		t.Errorf("%v, %v", kept, err)
	}
	if err := os.Rename(d.name, d.name+".1"); err != nil {
		t.Fatal(err)
	}
	if kept, err := d.write(one); !kept || err != nil {
		t.Errorf("moved away: %v, %v", kept, err)
	}
	if n := len(readLetters(t, dir)); n != 1 {
		t.Errorf("%d lines in the new one", n)
	}
}

// A line that was cut off by a crash costs itself alone.
func TestLettersTornLine(t *testing.T) {
	dir := t.TempDir()
	one := letterOf("x", "y")
	name := filepath.Join(dir, deadLetterFile)
	if err := os.WriteFile(name, append(bytes.Clone(one), one[:20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDeadLetters(dir, 1<<20)
	defer d.close()
	if kept, err := d.write(one); !kept || err != nil {
		t.Fatal(kept, err)
	}
	b, _ := os.ReadFile(name)
	if want := string(one) + string(one[:20]) + "\n" + string(one); string(b) != want {
		t.Errorf("%q", b)
	}
}

// What cannot be put aside is not done with: the archive waits, says so, and
// goes on.
func TestLettersCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, deadLetterFile), 0o700); err != nil { // in its place
			t.Fatal(err)
		}
		s := newShelf()
		l := openLoader(t, testConfig(t, ""), dir, s)
		var state, problem string
		l.standing.set = func(st, p string) { state, problem = st, p } // called with its lock held
		said := func() (string, string) {
			l.standing.mu.Lock()
			defer l.standing.mu.Unlock()
			return state, problem
		}
		runLoader(t, l)
		l.queue.put(bus.Message{Topic: "/hv/status", QoS: 1, Payload: []byte("nonsense")})
		l.queue.put(statusAt("hv", 1, time.Now()))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st, p := said(); st != "unreachable" || !strings.Contains(p, deadLetterFile) {
			t.Errorf("state %s, %q", st, p)
		}
		if c, err := l.spool.Load(); err != nil || c.Pending.Bytes(l.spool.End()) == 0 {
			t.Errorf("done with it: %v, %v", c, err)
		}
		if err := os.Remove(filepath.Join(dir, deadLetterFile)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st, p := said(); st != "ready" || len(readLetters(t, dir)) != 1 {
			t.Errorf("state %s, %q, letters %v", st, p, readLetters(t, dir))
		}
		if n := s.count("hv,"); n != 4 {
			t.Errorf("%d points", n)
		}
	})
}

// A file that is full: what is lost is counted, the operator told, and the
// archive goes on.
func TestLettersFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(t, "")
		cfg.DeadLetterBytes = 300
		s := newShelf()
		dir := t.TempDir()
		l := openLoader(t, cfg, dir, s)
		var problem string
		l.standing.set = func(_, p string) { problem = p }
		runLoader(t, l)
		for i := range 10 {
			l.queue.put(bus.Message{Topic: "/hv/status", QoS: 1, Payload: fmt.Append(nil, "nonsense ", i)})
			time.Sleep(time.Second)
		}
		l.queue.put(statusAt("hv", 1, time.Now()))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		l.standing.mu.Lock()
		if !strings.Contains(problem, "DCS_DEAD_LETTER_BYTES") {
			t.Errorf("said %q", problem)
		}
		l.standing.mu.Unlock()
		if n := len(readLetters(t, dir)); n == 0 || n >= 10 {
			t.Errorf("%d letters", n)
		}
		if n := s.count("hv,"); n != 4 {
			t.Errorf("%d points", n)
		}
	})
}

// A file that was moved away while it was open is not written to any more.
func TestDeadLettersMovedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	d := newDeadLetters(dir, 1<<20)
	defer d.close()
	for i, line := range []string{"one\n", "two\n"} {
		if kept, err := d.write([]byte(line)); !kept || err != nil {
			t.Fatal(kept, err)
		}
		if i == 0 {
			if err := os.Rename(d.name, d.name+".old"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]string{d.name + ".old": "one\n", d.name: "two\n"} {
		if got, err := os.ReadFile(name); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
