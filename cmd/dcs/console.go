package main

import (
	"fmt"
	"io"
	"os"
)

// console is where a command prints.
type console struct {
	out, err io.Writer
	color    bool
	size     func() (width, height int, ok bool) // of the terminal; false when there is none
}

// terminal is the console of the process.
func terminal() console {
	size := func() (int, int, bool) { return terminalSize(os.Stdout) }
	_, _, is := size()
	return console{
		out: os.Stdout, err: os.Stderr, size: size,
		color: is && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// notef tells people something that is not the answer.
func (c console) notef(format string, args ...any) {
	fmt.Fprintf(c.err, "dcs: "+format+"\n", args...)
}

// Colours, as SGR parameters (ECMA-48, 8.3.117).
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours text on a terminal.
func (c console) paint(color, text string) string {
	if !c.color || color == plain {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
