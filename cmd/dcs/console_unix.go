//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalSize is the size of the terminal behind f in characters, or false
// when there is none.
func terminalSize(f *os.File) (width, height int, ok bool) {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if w.Col == 0 || w.Row == 0 { // a terminal that does not know
		return 80, 24, true
	}
	return int(w.Col), int(w.Row), true
}
