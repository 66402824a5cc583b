package main

import (
	"fmt"
	"io"
	"time"
)

// printer writes the log: what goes as it should to one place, warnings and
// errors to another. A line is one write, so that readers see whole ones.
type printer struct{ stdout, stderr io.Writer }

func (p printer) info(format string, args ...any) { line(p.stdout, "INFO", format, args) }

func (p printer) warn(format string, args ...any) { line(p.stderr, "WARN", format, args) }

func (p printer) error(format string, args ...any) { line(p.stderr, "ERROR", format, args) }

// line has nowhere to tell that a line could not be written.
func line(w io.Writer, level, format string, args []any) {
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	fmt.Fprintf(w, "%s %s %s\n", stamp, level, fmt.Sprintf(format, args...))
}
