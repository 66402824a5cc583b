package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

type runLogCmd struct {
	busFlags
	mongoAddress
	Follow bool  `short:"f" help:"Print lines of the run under way as they come."`
	Number int64 `arg:"" optional:"" name:"run" help:"The number of the run; with --follow it may be left out."`
}

// mongoTime is how long one question to MongoDB may take.
const mongoTime = 10 * time.Second

// Run prints the log.
func (c *runLogCmd) Run(ctx context.Context) error {
	con := terminal()
	if c.Follow {
		if ended, err := c.follow(ctx, con); !ended || err != nil {
			return err
		}
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = mongoTime
	}
	return c.with(ctx, con, c.PortOffset, timeout, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *runLogCmd) run(ctx context.Context, con console, store runStore) error {
	if c.Number == 0 {
		return errors.New("which run? give its number, or --follow for the one under way")
	}
	r, err := fetchRun(ctx, store, c.Number)
	if err != nil {
		return err
	}
	p := logPrinter{con: con, json: c.json()}
	if r.LogCut == 0 {
		for _, l := range r.Log {
			p.line(wire.LogLine(l))
		}
		return p.err
	}
	for _, f := range r.Files {
		if f.Read == wire.ReadLog {
			return p.file(ctx, store, c.Number, f.Name)
		}
	}
	p.short(r)
	con.notef("%d lines in the middle are missing: the file with all of them is not there", r.LogCut)
	if p.err != nil {
		return p.err
	}
	return exitFailed
}

// logPrinter prints lines.
type logPrinter struct {
	con  console
	json bool
	err  error // the first one
}

func (p *logPrinter) line(l wire.LogLine) {
	if p.err != nil {
		return
	}
	if p.json {
		p.err = printJSON(p.con, l)
		return
	}
	color := plain
	if l.Stream == "err" {
		color = yellow
	}
	text := oneLine(strings.ReplaceAll(l.Text, "\t", "    "))
	if !l.Time.IsZero() {
		text = fmt.Sprintf("%s %-3s %s", stamp(l.Time), oneLine(l.Stream), text)
	}
	if _, err := fmt.Fprintln(p.con.out, p.con.paint(color, strings.TrimRight(text, " "))); err != nil {
		p.err = fmt.Errorf("printing: %w", err)
	}
}

// short prints a log of which lines are missing in the middle, where the time
// between two lines is not the place: it is after the first half.
func (p *logPrinter) short(r runs.Run) {
	for i, l := range r.Log {
		if i == len(r.Log)/2 {
			p.line(wire.LogLine{Text: fmt.Sprintf("… about here %d lines are missing", r.LogCut)})
		}
		p.line(wire.LogLine(l))
	}
}

// longLine is how long a line of a log may be.
const longLine = 1 << 20

// file prints all lines of a driver's log file: time, stream and text with tabs
// between them.
func (p *logPrinter) file(ctx context.Context, store runStore, run int64, name string) error {
	in, _, err := store.OpenFile(ctx, run, name)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewReaderSize(in, 64<<10)
	var long []byte
	for p.err == nil {
		part, err := lines.ReadSlice('\n')
		long = append(long, part[:min(len(part), longLine-min(longLine, len(long)))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if len(long) > 0 {
			p.line(parseLogLine(strings.TrimRight(string(long), "\r\n")))
			long = long[:0]
		}
		switch {
		case errors.Is(err, io.EOF):
			return p.err
		case errors.Is(err, runs.ErrDamaged):
			p.con.notef("%v: the lines above may be wrong", err)
			return exitFailed
		case err != nil:
			return err
		}
	}
	return p.err
}

func parseLogLine(line string) wire.LogLine {
	if parts := strings.SplitN(line, "\t", 3); len(parts) == 3 {
		if t, err := time.Parse(time.RFC3339Nano, parts[0]); err == nil {
			return wire.LogLine{Time: t.UTC(), Stream: parts[1], Text: parts[2]}
		}
	}
	return wire.LogLine{Text: line}
}
