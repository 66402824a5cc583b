package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"trackerdcs/pkg/wire"
)

// appendAnnotation appends the point of a run. What is said of the run at its
// start and at its end has the same time and tags, so it is one point, and
// InfluxDB keeps the fields of both. They may come in any order and be written
// any number of times, after a failure or out of the backlog: so what is not the
// same in all of them stands only in the last, of a run that has ended.
func (e *encoder) appendAnnotation(dst []byte, t *target, m *message, out outcome) ([]byte, outcome, error) {
	var a wire.Annotation
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		return dst, out, fmt.Errorf("not an annotation of a run: %w", err)
	}
	if err := checkAnnotation(&a); err != nil {
		return dst, out, err
	}
	out.time = a.Start.UnixNano()
	dst = append(append(dst, t.prefix...), escaped(a.Procedure)...)
	e.fields = append(e.fields[:0], " number="...)
	e.fields = strconv.AppendInt(e.fields, a.Run, 10)
	for _, f := range []struct{ name, text string }{
		{",module=", a.Module}, {",user=", a.User}, {",uid=", a.UID}, {",title=", titleOf(&a)},
	} {
		e.text(f.name, value{token: text, raw: []byte(f.text)})
	}
	if wire.RunEnded(a.State) {
		e.appendEnd(&a)
	}
	dst = append(append(dst, e.fields...), ' ')
	dst = strconv.AppendInt(dst, out.time, 10)
	dst = append(dst, '\n')
	return dst, out, nil
}

// appendEnd appends the fields of a run that has ended. A run without them is
// still under way, as far as the archive knows.
func (e *encoder) appendEnd(a *wire.Annotation) {
	e.text(",state=", value{token: text, raw: []byte(a.State)})
	if a.End.IsZero() {
		return
	}
	e.fields = append(e.fields, ",end_ms="...)
	e.fields = strconv.AppendInt(e.fields, a.End.UnixMilli(), 10)
	if took := a.End.Sub(a.Start); took >= 0 { // or the clock was set back meanwhile
		e.fields = append(e.fields, ",duration="...)
		e.fields = strconv.AppendFloat(e.fields, took.Seconds(), 'g', -1, 64)
	}
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

// titleOf is what a dashboard shows of a run: 42 calibration M12.
func titleOf(a *wire.Annotation) string {
	title := strconv.FormatInt(a.Run, 10) + " " + a.Procedure
	if a.Module != "" {
		title += " " + a.Module
	}
	return title
}
