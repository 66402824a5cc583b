package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"trackerdcs/pkg/history"
)

const (
	day      = 24 * time.Hour
	countFor = 30 * day // that are counted with one question

	// linkFrom is how many points a day has to have for its file to be linked
	// instead of written anew. What is written over in place, a run's mark for
	// instance, is not counted as changed, and there are few of those.
	linkFrom = 2000
)

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
	b.manifest.Influx = &InfluxPart{Version: version, Measurements: make(map[string]*Measurement, len(names))}
	spans := make([]span, len(names))
	for i, name := range names {
		if spans[i], err = b.span(ctx, name); err != nil {
			return fmt.Errorf("measurement %s: %w", name, err)
		}
	}
	select {
	case <-time.After(b.settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for i, name := range names {
		if !spans[i].some {
			continue
		}
		if err := b.measurement(ctx, name, folderOf(name, i), spans[i]); err != nil {
			return fmt.Errorf("measurement %s: %w", name, err)
		}
	}
	return nil
}

// span is the times of a measurement's points that are saved. The loader writes
// several batches at a time, so what is the newest may be there before something
// older, which would look lost in the copy. It is over soon: nothing newer is
// read than what was there a while before.
type span struct {
	from, to time.Time // from ≤ time < to
	some     bool
}

func (b *maker) span(ctx context.Context, name string) (s span, err error) {
	first, last, ok, err := b.src.Influx.Edges(ctx, name)
	return span{from: first, to: last.Add(1), some: ok}, err
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

func (b *maker) measurement(ctx context.Context, name, folder string, s span) error {
	fields, err := b.src.Influx.Fields(ctx, name)
	if err != nil || len(fields) == 0 {
		return err
	}
	m := &Measurement{Folder: folder, Days: map[string]Day{}}
	b.manifest.Influx.Measurements[name] = m
	// A bad clock may have put a point anywhere: days are asked for by month, and
	// only those that have something are read.
	for from := s.from.Truncate(day); from.Before(s.to); from = from.Add(countFor) {
		var days []history.DayCount
		err := b.src.Influx.CountDays(ctx, name, fields, from, earlier(from.Add(countFor), s.to), func(d history.DayCount) error {
			days = append(days, d)
			return nil
		})
		if err != nil {
			return err
		}
		for _, d := range days {
			if err := b.day(ctx, name, m, fields, d, earlier(d.Day.Add(day), s.to)); err != nil {
				return fmt.Errorf("%s: %w", d.Day.Format(time.DateOnly), err)
			}
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// day links the file of a day that is as it was, or writes it.
func (b *maker) day(ctx context.Context, name string, m *Measurement, fields []history.Field, d history.DayCount, to time.Time) error {
	date, file := d.Day.Format(time.DateOnly), dayFile(m.Folder, d.Day)
	counted := make(map[string]int64)
	for i, f := range fields {
		if d.Values[i] > 0 {
			counted[f.Key()] = d.Values[i]
		}
	}
	if old, ok := b.unchanged(name, d.Day, counted); ok {
		if err := b.link(old, file); err == nil {
			m.Days[date] = b.before.manifest.Influx.Measurements[name].Days[date]
			return nil
		} // it is damaged, or on another disk: it is written anew
	}
	written, err := b.writeDay(ctx, name, file, fields, d.Day, to)
	if err != nil || written.Points == 0 {
		return err
	}
	if !d.Day.Add(day).After(b.manifest.Start) {
		written.Counted = counted
	}
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
	d := Day{Points: e.points, Values: make(map[string]int64)}
	for i, n := range e.counts {
		if n > 0 {
			d.Values[fields[i].Key()] = n
		}
	}
	return d, out.done()
}

// unchanged finds the file of a day in the backup before, if the server counts
// now what it counted then. What a driver replays late changes the count.
func (b *maker) unchanged(name string, at time.Time, counted map[string]int64) (file string, ok bool) {
	if b.before == nil || b.before.manifest.Influx == nil {
		return "", false
	}
	m := b.before.manifest.Influx.Measurements[name]
	if m == nil {
		return "", false
	}
	d, ok := m.Days[at.Format(time.DateOnly)]
	if !ok || d.Points < linkFrom || !maps.Equal(d.Counted, counted) {
		return "", false
	}
	return dayFile(m.Folder, at), true
}

// link takes over a file of the backup before, if it is still what it was: a
// file that goes bad must not do so in all backups.
func (b *maker) link(old, file string) error {
	sum, ok := b.before.manifest.Files[old]
	if !ok {
		return os.ErrNotExist
	}
	root, err := os.OpenRoot(b.before.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := checkFile(root, old, sum); err != nil {
		b.log.Warn("a file of the last backup is damaged", "backup", filepath.Base(b.before.dir), "error", err)
		return err
	}
	to := filepath.Join(b.dir, file)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(b.before.dir, old), to); err != nil {
		return err
	}
	b.manifest.Files[file] = sum
	b.linked++
	return nil
}
