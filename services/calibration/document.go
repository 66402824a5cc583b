package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// What goes into the document itself; all of it is in GridFS.
const (
	logLines = 1000    // half of them the first, half the last
	logBytes = 1 << 20 // of all of them
	logLine  = 2 << 10 // of one
	jsonMax  = 4 << 20 // of one result
	allMax   = 8 << 20 // of all results together
)

// document makes a run's document of what is known of it. What run control has
// not said, because it lives no more, is taken from the former document, or from
// the driver.
func (s *sink) document(k *kept, former runs.Run) runs.Run {
	d := former
	d.Number, d.UID = k.run, k.uid()
	if m := k.offered; m != nil {
		fromDriver(&d, m, k.device)
		if !former.Start.IsZero() { // what the capsule and the archive have it by
			d.Start, d.End = former.Start, former.End
		}
	}
	if r := k.record; r != nil {
		fromRecord(&d, r)
	}
	if d.Duration = 0; !d.Start.IsZero() && d.End.After(d.Start) {
		d.Duration = d.End.Sub(d.Start).Seconds()
	}
	d.Module, _ = d.Parameters["module"].(string)
	if k.capsule != nil && former.Capsule == nil {
		d.Capsule = k.capsule
		d.Influx = &runs.Range{Bucket: s.cfg.Bucket, From: k.capsule.From, To: k.capsule.To}
	}
	if d.Versions == nil {
		d.Versions = make(map[string]string)
	}
	d.Versions[s.env.Program] = service.Version()
	return d
}

// fromDriver takes what the driver has said.
func fromDriver(d *runs.Run, m *wire.Manifest, device string) {
	if d.State == "" || !wire.RunEnded(d.State) {
		d.State, d.Error = m.State, m.Error
	}
	d.Procedure, d.Device = m.Procedure, device
	if d.User == "" {
		d.User = m.User
	}
	d.Parameters = m.Parameters
	d.Start, d.End = m.Start, m.End
	d.Program, d.Arguments, d.Exit, d.Signal = m.Program, m.Arguments, m.Exit, m.Signal
	d.Versions = maps.Clone(m.Versions)
	d.Left = m.Left
	d.Files = nil
	for _, f := range m.Files {
		d.Files = append(d.Files, runs.File{
			ID: fmt.Sprintf("%d/%s", d.Number, f.Name), Name: f.Name, Size: f.Size, SHA256: f.SHA256, Read: f.Read,
		})
	}
}

// fromRecord takes what run control has said. Of how the program ended the
// driver knows more.
func fromRecord(d *runs.Run, r *wire.Run) {
	switch {
	case wire.RunEnded(r.State) || !wire.RunEnded(d.State):
		d.State, d.Error = r.State, r.Error
	case d.Error == "": // run control is no more; what the driver says is true as far as it goes
		d.Error = "run control has not said how it ended: it was " + r.State
	}
	d.Procedure, d.User, d.ID, d.Asked = r.Procedure, r.User, r.ID, r.Asked
	if r.Device != "" {
		d.Device = r.Device
	}
	if d.Parameters == nil {
		d.Parameters = r.Parameters
	}
	d.Start, d.End = or(d.Start, r.Start), or(d.End, r.End)
	if d.Exit == nil {
		d.Exit = r.Exit
	}
	d.Configurations = r.Configurations
	d.Transitions = nil
	for _, t := range r.Transitions {
		d.Transitions = append(d.Transitions, runs.Transition(t))
	}
	d.Outcome = r.Results
}

// interpret reads a result into the document, of which budget bytes are left for
// results.
func interpret(d *runs.Run, f runs.File, r io.Reader, budget *int) error {
	var v any
	var err error
	switch f.Read {
	case wire.ReadLog:
		d.Log, d.LogCut, err = readLog(r)
		return err
	case wire.ReadJSON:
		if f.Size > int64(min(jsonMax, *budget)) {
			v = runs.TooLarge(f.Size)
			break
		}
		v, err = readDocument(f.Size, r)
	case wire.ReadCSV:
		v, err = runs.Summary(r)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if b, err := json.Marshal(v); err != nil || len(b) > *budget {
		v = runs.TooLarge(f.Size)
	} else {
		*budget -= len(b)
	}
	if d.Results == nil {
		d.Results = make(map[string]any)
	}
	d.Results[resultName(d.Results, f.Name)] = v
	return nil
}

// readDocument reads a JSON result. Of one that is too large for a document its
// size is said.
func readDocument(size int64, r io.Reader) (any, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	v, err := runs.Document(b)
	if errors.Is(err, runs.ErrTooLarge) {
		return runs.TooLarge(size), nil
	}
	return v, err
}

// resultName is a file's key among the results: its name without extension,
// where that is free.
func resultName(taken map[string]any, name string) string {
	plain := strings.NewReplacer(".", "_", "$", "_", "/", "_")
	key := plain.Replace(strings.TrimSuffix(name, path.Ext(name)))
	if _, there := taken[key]; key == "" || there {
		key = plain.Replace(name)
	}
	for i, first := 2, key; ; i++ {
		if _, there := taken[key]; !there {
			return key
		}
		key = fmt.Sprintf("%s_%d", first, i)
	}
}

// readLog reads the driver's log file: time, stream and text of each line with
// tabs between them. It gives the first and the last lines, and how many lines
// between them are in the file alone.
func readLog(r io.Reader) (lines []runs.LogLine, cut int64, err error) {
	var first, last []runs.LogLine
	bytesLeft := [2]int{logBytes / 2, logBytes / 2}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		l := parseLogLine(line)
		if len(first) < logLines/2 && bytesLeft[0] >= len(l.Text) && len(last) == 0 {
			first = append(first, l)
			bytesLeft[0] -= len(l.Text)
			continue
		}
		last = append(last, l)
		bytesLeft[1] -= len(l.Text)
		for len(last) > logLines/2 || bytesLeft[1] < 0 {
			bytesLeft[1] += len(last[0].Text)
			last = last[1:]
			cut++
		}
	}
	return append(first, last...), cut, nil
}

// readLine reads a line, of which it keeps no more than it needs.
func readLine(in *bufio.Reader) (string, error) {
	var b []byte
	for {
		part, err := in.ReadSlice('\n')
		b = append(b, part[:min(len(part), max(0, 2*logLine-len(b)))]...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(b) > 0:
			return string(bytes.TrimRight(b, "\r\n")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return "", err
		}
	}
}

func parseLogLine(line string) runs.LogLine {
	parts := strings.SplitN(line, "\t", 3)
	l := runs.LogLine{Text: line}
	if len(parts) == 3 {
		if t, err := time.Parse(time.RFC3339Nano, parts[0]); err == nil {
			l = runs.LogLine{Time: t.UTC(), Stream: parts[1], Text: parts[2]}
		}
	}
	if len(l.Text) > logLine {
		l.Text = l.Text[:logLine] + " …"
	}
	l.Text = strings.ToValidUTF8(l.Text, "�")
	return l
}
