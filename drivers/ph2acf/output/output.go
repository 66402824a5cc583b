// Package output takes what a program prints: all of it goes to a file, with
// times and streams, a part of it to who watches, and what it says of its
// progress is understood.
package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"trackerdcs/pkg/wire"
)

// Bounds of what is passed on while it comes.
const (
	MaxLine    = 8 << 10  // bytes; a longer line is broken there
	MaxBatch   = 60 << 10 // bytes of a batch of lines, a little less than 64 KiB
	LineRate   = 200      // lines a second
	BatchEvery = 100 * time.Millisecond
	maxPhase   = 128 // bytes
	maxLastErr = 256 // bytes
	lineFrame  = 96  // bytes of a line in a batch besides its text
)

// Streams of a program.
const (
	Out = "out"
	Err = "err"
)

// Options say what is to be understood and kept.
type Options struct {
	File     string // the log
	MaxBytes int64  // of it
	Progress *regexp.Regexp
	Phase    *regexp.Regexp
}

// Output is the output of one run.
type Output struct {
	o Options

	mu       sync.Mutex
	file     *os.File
	log      *bufio.Writer
	written  int64
	full     bool  // MaxBytes, said so
	err      error // of writing the log
	lines    int64
	lastErr  string // the last line on the error stream
	progress wire.Value
	phase    string

	batch    []wire.LogLine
	first    int64 // number of its first line
	size     int
	tokens   float64 // lines that may be passed on now
	refilled time.Time
	before   int64 // lines dropped before the first of the batch
	behind   int64 // and behind its last
	dropped  int64 // of all
}

// State is what is known of a run from what it has printed.
type State struct {
	Lines    int64
	Dropped  int64 // that were not passed on
	Progress wire.Value
	Phase    string
	LastErr  string
	Err      error // of writing the log
}

// New makes the log.
func New(o Options) (*Output, error) {
	f, err := os.OpenFile(o.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	return &Output{o: o, file: f, log: bufio.NewWriterSize(f, 64<<10), tokens: LineRate}, nil
}

// Read takes a stream until its end.
func (p *Output) Read(r io.Reader, stream string) error {
	in := bufio.NewReaderSize(r, MaxLine)
	ended := false // by a carriage return, or by its length: a line feed is the same end
	for {
		line, err := readLine(in)
		if len(line) > 0 {
			end := line[len(line)-1]
			text := line
			if end == '\n' || end == '\r' {
				text = line[:len(line)-1]
			}
			if !ended || string(line) != "\n" {
				p.add(time.Now(), stream, text)
			}
			ended = end != '\n'
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine gives what is there up to and with a line's end, but at most what
// the buffer holds. A carriage return ends a line, too: progress bars have no
// other. What it gives is valid until the next call.
func readLine(in *bufio.Reader) ([]byte, error) {
	for {
		b, _ := in.Peek(in.Buffered())
		if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
			_, _ = in.Discard(i + 1)
			return b[:i+1], nil
		}
		if len(b) == in.Size() {
			_, _ = in.Discard(len(b))
			return b, nil
		}
		if _, err := in.Peek(len(b) + 1); err != nil { // waits for more
			b, _ := in.Peek(in.Buffered())
			_, _ = in.Discard(len(b))
			return b, err
		}
	}
}

func (p *Output) add(now time.Time, stream string, text []byte) {
	now = now.UTC()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines++
	p.keep(now, stream, text)
	if stream == Err && len(bytes.TrimSpace(text)) > 0 {
		p.lastErr = strings.ToValidUTF8(string(text[:min(len(text), maxLastErr)]), "")
	}
	p.understand(text)
	p.pass(now, stream, text)
}

// keep writes a line to the log, as far as there is room.
func (p *Output) keep(now time.Time, stream string, text []byte) {
	if p.full || p.err != nil || p.log == nil {
		return
	}
	b := now.AppendFormat(p.log.AvailableBuffer(), time.RFC3339Nano)
	if size := int64(len(b) + len(stream) + len(text) + 3); p.written+size > p.o.MaxBytes {
		p.full = true
		b = fmt.Appendf(b, "\t%s\tthe log has %d bytes and may have no more (DCS_LOG_BYTES): what follows is not kept\n", Err, p.written)
	} else {
		b = append(append(b, '\t'), stream...)
		b = append(append(append(b, '\t'), text...), '\n')
	}
	p.written += int64(len(b))
	_, p.err = p.log.Write(b)
}

// understand looks for progress and phase.
func (p *Output) understand(text []byte) {
	if re := p.o.Progress; re != nil {
		if m := re.FindSubmatch(text); m != nil {
			p.takeProgress(re, m)
		}
	}
	if re := p.o.Phase; re != nil {
		if m := re.FindSubmatch(text); m != nil {
			p.takePhase(m[re.SubexpIndex("phase")])
		}
	}
}

func (p *Output) takeProgress(re *regexp.Regexp, m [][]byte) {
	get := func(name string) (float64, bool) {
		i := re.SubexpIndex(name)
		if i < 0 {
			return 0, false
		}
		x, err := strconv.ParseFloat(string(m[i]), 64)
		return x, err == nil
	}
	if percent, ok := get("percent"); ok {
		p.setProgress(percent / 100)
	} else if done, ok := get("done"); ok {
		if total, ok := get("total"); ok && total > 0 {
			p.setProgress(done / total)
		}
	}
	if i := re.SubexpIndex("phase"); i >= 0 && len(m[i]) > 0 {
		p.takePhase(m[i])
	}
}

func (p *Output) setProgress(x float64) {
	if v := wire.Known(x); v.Valid {
		p.progress = wire.Known(min(max(x, 0), 1))
	}
}

func (p *Output) takePhase(b []byte) {
	p.phase = strings.ToValidUTF8(string(b[:min(len(b), maxPhase)]), "")
}

// pass puts a line into the next batch, unless there are too many. The lines of
// a batch follow each other without a gap.
func (p *Output) pass(now time.Time, stream string, text []byte) {
	if !p.refilled.IsZero() {
		p.tokens = min(LineRate, p.tokens+now.Sub(p.refilled).Seconds()*LineRate)
	}
	p.refilled = now
	line := wire.LogLine{Time: now, Stream: stream}
	size := lineFrame
	fits := p.tokens >= 1 && p.behind == 0
	if fits {
		line.Text = strings.ToValidUTF8(string(text), "\uFFFD")
		quoted, _ := json.Marshal(line.Text) // a string always encodes
		size += len(quoted)
		fits = len(p.batch) == 0 || p.size+size <= MaxBatch
	}
	switch {
	case fits:
		p.tokens--
		if len(p.batch) == 0 {
			p.first = p.lines
		}
		p.batch = append(p.batch, line)
		p.size += size
		return
	case len(p.batch) == 0:
		p.before++
	default:
		p.behind++
	}
	p.dropped++
}

// Batch takes the lines that have come since, or nil where there are none. At
// the end it is called until it gives nil: what was dropped behind the last line
// is then said as well.
func (p *Output) Batch(run int64, boot string, last bool) *wire.LogBatch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.batch) == 0 && (!last || p.before == 0) {
		return nil
	}
	b := &wire.LogBatch{Run: run, Boot: boot, First: p.first, Lines: p.batch, Dropped: p.before}
	if len(p.batch) == 0 {
		b.First, b.Lines = p.lines+1, []wire.LogLine{}
	}
	p.batch, p.size = nil, 0
	p.before, p.behind = p.behind, 0
	return b
}

// State is what is known now.
func (p *Output) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{Lines: p.lines, Dropped: p.dropped, Progress: p.progress, Phase: p.phase, LastErr: p.lastErr, Err: p.err}
}

// Flush writes what has come to the log's file.
func (p *Output) Flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flush()
}

func (p *Output) flush() {
	if p.log != nil && p.err == nil {
		p.err = p.log.Flush()
	}
}

// Close ends the log.
func (p *Output) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log == nil {
		return nil
	}
	p.flush()
	p.log = nil
	if err := p.file.Sync(); p.err == nil {
		p.err = err
	}
	if err := p.file.Close(); p.err == nil {
		p.err = err
	}
	return p.err
}
