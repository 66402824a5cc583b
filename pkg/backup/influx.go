package backup

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"trackerdcs/pkg/history"
)

const (
	day      = 24 * time.Hour
	countFor = 30 * day // that are counted with one question
)

// found is a measurement that is to be saved.
type found struct {
	name   string
	folder string
	fields []history.Field
	counts []int64 // of the fields, before the span was asked for
	span   span
}

// influx writes the points of each measurement, day by day.
func (b *maker) influx(ctx context.Context) error {
	version, err := b.src.Influx.Version(ctx)
	if err != nil {
		return err
	}
	names, err := b.src.Influx.Measurements(ctx)
	if err != nil {
		return err
	}
	elsewhere, err := b.policies(ctx, names)
	if err != nil {
		return err
	}
	b.manifest.Influx = &InfluxPart{Version: version, Measurements: make(map[string]*Measurement, len(names))}
	list := make([]found, 0, len(names))
	for i, name := range names {
		m := found{name: name, folder: folderOf(name, i)}
		if err := b.look(ctx, &m); err != nil {
			return fmt.Errorf("measurement %s: %w", name, err)
		}
		switch {
		case m.span.some:
			list = append(list, m)
		case strings.ContainsRune(name, utf8.RuneError):
			b.skip("InfluxDB's measurement %q: its name is no UTF-8, so it cannot be asked for", name)
		case !elsewhere[name]:
			b.skip("InfluxDB's measurement %q: it is listed, and has no points", name)
		}
	}
	select {
	case <-time.After(b.settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, m := range list {
		if err := b.measurement(ctx, m); err != nil {
			return fmt.Errorf("measurement %s: %w", m.name, err)
		}
	}
	return nil
}

// policies looks for points in other retention policies, which are not saved,
// and returns the measurements that have some there.
func (b *maker) policies(ctx context.Context, names []string) (elsewhere map[string]bool, err error) {
	list, err := b.src.Influx.Policies(ctx)
	switch {
	case errors.Is(err, history.ErrNoAnswer), errors.Is(err, history.ErrNoDatabase), ctx.Err() != nil:
		return nil, err
	case err != nil: // not every version lets every token ask
		b.skip("InfluxDB's retention policies but the one that is saved, if there are any: %v", err)
	}
	if len(list) == 0 && len(names) == 0 { // a database that is not there is an error elsewhere already
		b.skip("InfluxDB knows no retention policy and no measurement: is the bucket right?")
	}
	elsewhere = make(map[string]bool)
	for _, policy := range list {
		if policy.Own {
			continue
		}
		in, err := b.src.Influx.Inhabitants(ctx, policy.Name)
		if errors.Is(err, history.ErrNoAnswer) || ctx.Err() != nil {
			return nil, fmt.Errorf("retention policy %s: %w", policy.Name, err)
		}
		if err != nil { // not for this token
			b.skip("InfluxDB's retention policy %s: %v", policy.Name, err)
		}
		for _, name := range in {
			elsewhere[name] = true
		}
		if len(in) > 0 {
			b.skip("InfluxDB's retention policy %s with %s: save it with --bucket DATABASE/%s", policy.Name, strings.Join(in, ", "), policy.Name)
		}
	}
	return elsewhere, nil
}

// look asks what there is of a measurement.
func (b *maker) look(ctx context.Context, m *found) (err error) {
	if m.fields, err = b.src.Influx.Fields(ctx, m.name); err != nil {
		return err
	}
	for _, f := range m.fields {
		if strings.ContainsRune(f.Name, utf8.RuneError) {
			b.skip("InfluxDB's measurement %q, field %q: if its name is no UTF-8, it cannot be asked for", m.name, f.Name)
		}
	}
	if m.counts, err = b.src.Influx.Count(ctx, m.name, m.fields); err != nil {
		return err
	}
	first, last, ok, err := b.src.Influx.Edges(ctx, m.name, m.fields)
	m.span = span{from: first, to: last.Add(1), some: ok}
	return err
}

// span is the times of a measurement's points that are saved. The loader writes
// several batches at a time, so what is the newest may be there before something
// older, which would look lost in the copy. It is over soon: nothing newer is
// read than what was there a while before.
type span struct {
	from, to time.Time // from ≤ time < to
	some     bool
}

// folderOf is the folder of a measurement: its name, escaped, or a number where
// that is longer than a file system takes.
func folderOf(measurement string, i int) string {
	folder := url.PathEscape(measurement)
	if len(folder) > 200 || strings.HasPrefix(folder, ".") {
		return fmt.Sprintf("%%%d", i)
	}
	return folder
}

func dayFile(folder string, at time.Time) string {
	return "influx/" + folder + "/" + at.Format(time.DateOnly) + ".lp.gz"
}

func (b *maker) measurement(ctx context.Context, f found) error {
	m := &Measurement{Folder: f.folder, Days: map[string]Day{}}
	b.manifest.Influx.Measurements[f.name] = m
	// A bad clock may have put a point anywhere: days are asked for by month, and
	// only those that have something are read.
	for from := f.span.from; from.Before(f.span.to); from = from.Truncate(day).Add(countFor) {
		var days []history.DayCount
		err := b.src.Influx.CountDays(ctx, f.name, f.fields, from, earlier(from.Truncate(day).Add(countFor), f.span.to), func(d history.DayCount) error {
			days = append(days, d)
			return nil
		})
		if err != nil {
			return err
		}
		for _, d := range days {
			if err := b.day(ctx, f, m, d); err != nil {
				return fmt.Errorf("%s: %w", d.Day.Format(time.DateOnly), err)
			}
		}
	}
	b.judge(f, m)
	return nil
}

// judge says what is not as the server has it.
func (b *maker) judge(f found, m *Measurement) {
	totals := m.totals()
	for i, field := range f.fields {
		if n := totals[field.Key()]; n < f.counts[i] {
			b.doubt("InfluxDB's measurement %q, field %s: the server counts %d values, and %d were read", f.name, field.Key(), f.counts[i], n)
		}
	}
	replaced, rounded := m.flawed()
	if replaced > 0 {
		b.skip("InfluxDB's measurement %q: %d points hold U+FFFD, which it gives for bytes that are no UTF-8: those bytes are lost, and points that differ in them alone are one", f.name, replaced)
	}
	if rounded > 0 {
		b.skip("InfluxDB's measurement %q: %d whole numbers from 2^53 on of a field that has floats too may be rounded", f.name, rounded)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// day links the file of a day that is as it was, or writes it.
func (b *maker) day(ctx context.Context, f found, m *Measurement, d history.DayCount) error {
	date, file, to := d.Day.Format(time.DateOnly), dayFile(m.Folder, d.Day), d.Day.Add(day)
	is := ""
	if !to.After(b.manifest.Start) {
		is = printOf(f.fields, d)
	}
	if old, ok := b.unchanged(f.name, d.Day, is); ok {
		if err := b.link(old, file, b.turn(d.Day, checkEach)); err == nil {
			m.Days[date] = b.before.manifest.Influx.Measurements[f.name].Days[date]
			return nil
		} // it is damaged, or on another disk: it is written anew
	}
	written, err := b.writeDay(ctx, f.name, file, f.fields, later(d.Day, f.span.from), earlier(to, f.span.to))
	if err != nil {
		return err
	}
	for i, field := range f.fields {
		if n := written.Values[field.Key()]; n < d.Values[i] {
			b.doubt("InfluxDB's measurement %q, field %s, %s: the server counts %d values, and gave %d", f.name, field.Key(), date, d.Values[i], n)
			is = ""
		}
	}
	if written.Points == 0 { // removed meanwhile
		return nil
	}
	written.Print = is
	m.Days[date] = written
	return nil
}

func (b *maker) writeDay(ctx context.Context, name, file string, fields []history.Field, from, to time.Time) (Day, error) {
	e, err := newEncoder(fields)
	if err != nil {
		return Day{}, err
	}
	out, err := b.create(file)
	if err != nil {
		return Day{}, err
	}
	z, _ := gzip.NewWriterLevel(out, gzip.BestSpeed) // the level is a valid one
	err = b.src.Influx.Points(ctx, name, fields, from, to, func(r history.Row) error {
		line, err := e.encode(name, r)
		if err == nil {
			_, err = z.Write(line)
		}
		return err
	})
	if err = errors.Join(err, z.Close()); err != nil {
		out.drop()
		return Day{}, err
	}
	if e.points == 0 { // removed meanwhile
		out.drop()
		return Day{}, os.Remove(out.f.Name())
	}
	d := Day{Points: e.points, Values: make(map[string]int64), Replaced: e.replaced, Rounded: e.rounded}
	for i, n := range e.counts {
		if n > 0 {
			d.Values[fields[i].Key()] = n
		}
	}
	return d, out.done()
}
