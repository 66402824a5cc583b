package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"trackerdcs/pkg/wire"
)

// appendAnnotation appends the point of a run. What is said of the run at its
// start and at its end has the same time and tags, so it is one point.
func (e *encoder) appendAnnotation(dst []byte, t *target, m *message, out outcome) ([]byte, outcome, error) {
	var a wire.Annotation
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		return dst, out, fmt.Errorf("not an annotation of a run: %w", err)
	}
	if err := checkAnnotation(&a); err != nil {
		return dst, out, err
	}
	begin := len(dst)
	out.time = a.Start.UnixNano()
	dst = append(append(dst, t.prefix...), escaped(a.Procedure)...)
	series := len(dst)
	e.fields = append(e.fields[:0], " number="...)
	e.fields = strconv.AppendInt(e.fields, a.Run, 10)
	for _, f := range []struct{ name, text string }{
		{",state=", a.State}, {",module=", a.Module}, {",user=", a.User}, {",uid=", a.UID}, {",title=", titleOf(&a)},
	} {
		e.text(f.name, value{token: text, raw: []byte(f.text)})
	}
	ended := !a.End.IsZero()
	if ended {
		e.fields = append(e.fields, ",end_ms="...)
		e.fields = strconv.AppendInt(e.fields, a.End.UnixMilli(), 10)
		if took := a.End.Sub(a.Start); took >= 0 { // or the clock was set back meanwhile
			e.fields = append(e.fields, ",duration="...)
			e.fields = strconv.AppendFloat(e.fields, took.Seconds(), 'g', -1, 64)
		}
	}
	dst = append(append(dst, e.fields...), ' ')
	dst = strconv.AppendInt(dst, out.time, 10)
	dst = append(dst, '\n')
	point := string(dst[begin:series]) + " " + strconv.FormatInt(out.time, 10)
	if ended {
		e.runs.keep(point, string(dst[begin:]))
	} else {
		out.goesOn = point
	}
	return dst, out, nil
}

// checkAnnotation reports why an annotation makes no point.
func checkAnnotation(a *wire.Annotation) error {
	if a.Run < 1 {
		return fmt.Errorf("%d is not the number of a run", a.Run)
	}
	if a.Start.IsZero() || a.Start.UTC().Year() < minYear || a.Start.UTC().Year() > maxYear {
		return errors.New("no start, or one that InfluxDB cannot hold")
	}
	if err := checkWord(a.Procedure); err != nil {
		return fmt.Errorf("procedure: %w", err)
	}
	if len(a.Procedure) > maxText {
		return fmt.Errorf("procedure: %d bytes: at most %d", len(a.Procedure), maxText)
	}
	return nil
}

// titleOf is what a dashboard shows of a run: 42 calibration M12 finished.
func titleOf(a *wire.Annotation) string {
	words := []string{strconv.FormatInt(a.Run, 10), a.Procedure}
	for _, w := range []string{a.Module, a.State} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// maxEnds is of how many runs that have ended the line is kept.
const maxEnds = 256

// ends are the lines of runs that have ended. Batches reach InfluxDB in any
// order: one that is written again after a failure, or that comes out of the
// backlog, may put a run's start over its end, and then the end is written
// once more.
type ends struct {
	mu   sync.Mutex
	kept []end // the latest last
}

type end struct{ point, line string }

func (r *ends) keep(point, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == maxEnds {
		r.kept = append(r.kept[:0], r.kept[1:]...)
	}
	r.kept = append(r.kept, end{point, line})
}

// of gives the lines of those of the points whose runs have ended.
func (r *ends) of(points []string) (lines []byte) {
	if len(points) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range points {
		for i := len(r.kept) - 1; i >= 0; i-- {
			if r.kept[i].point == p {
				lines = append(lines, r.kept[i].line...)
				break
			}
		}
	}
	return lines
}
