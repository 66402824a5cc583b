package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"trackerdcs/pkg/history"
)

// What one write to InfluxDB holds, and how many are under way.
const (
	batchLines = 10_000
	batchBytes = 4 << 20
	batchesOut = 2
)

// How long InfluxDB may be away in the middle of a restore.
const (
	loadPatience = 5 * time.Minute
	loadRetry    = time.Second
)

// loadInflux writes all points and counts what is there then.
func (r *restorer) loadInflux(ctx context.Context) error {
	all := r.manifest.Influx.Measurements
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := r.loadMeasurement(ctx, name, all[name]); err != nil {
			return fmt.Errorf("measurement %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := r.count(ctx, name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

func (r *restorer) loadMeasurement(ctx context.Context, name string, m *Measurement) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(batchesOut)
	points := int64(0)
	read := func() error {
		for _, date := range slices.Sorted(maps.Keys(m.Days)) {
			at, err := time.Parse(time.DateOnly, date)
			if err != nil {
				return err
			}
			n, err := r.loadDay(gctx, dayFile(m.Folder, at), func(lines []byte) {
				g.Go(func() error { return writeLines(gctx, r.to.Influx, lines) })
			})
			if err == nil && n != m.Days[date].Points {
				err = fmt.Errorf("its file has %d points, not %d", n, m.Days[date].Points)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", date, err)
			}
			points += n
		}
		return nil
	}
	err := read()
	if failed := g.Wait(); failed != nil {
		return failed // it has ended the reading
	}
	if err == nil {
		r.log.Info("a measurement is back", "measurement", name, "points", points)
	}
	return err
}

// loadDay reads a file and hands its lines on, in batches.
func (r *restorer) loadDay(ctx context.Context, name string, write func(lines []byte)) (points int64, err error) {
	f, err := r.open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 1<<18)
	var lines []byte
	n := 0
	for {
		lines, err = readPoint(in, lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return points, err
		}
		points++
		if n++; n == batchLines || len(lines) >= batchBytes {
			write(lines)
			lines, n = make([]byte, 0, len(lines)+len(lines)/8), 0
			if ctx.Err() != nil {
				return points, ctx.Err()
			}
		}
	}
	if n > 0 {
		write(lines)
	}
	return points, nil
}

// writeLines writes a batch, for as long as there is hope.
func writeLines(ctx context.Context, to *history.Client, lines []byte) error {
	for began := time.Now(); ; {
		err := to.Write(ctx, lines)
		if !errors.Is(err, history.ErrNoAnswer) || time.Since(began) > loadPatience {
			return err
		}
		select {
		case <-time.After(loadRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count compares how many values each field has with what was saved.
func (r *restorer) count(ctx context.Context, name string, m *Measurement) error {
	want := m.totals()
	replaced, _ := m.flawed()
	fields, err := r.to.Influx.Fields(ctx, name)
	if err != nil {
		return err
	}
	has, err := r.to.Influx.Count(ctx, name, fields)
	if err != nil {
		return err
	}
	found := make(map[string]int64, 2*len(fields))
	for i, f := range fields {
		found[f.Key()] = has[i]
		found[f.Name] += has[i] // as the first manifests name it
	}
	for field, n := range want {
		if found[field] < n && found[field] >= n-replaced {
			r.log.Warn("fewer values than were saved: points that hold U+FFFD are one", "measurement", name, "field", field, "saved", n, "now", found[field])
			continue
		}
		if found[field] < n || found[field] > n && !r.force {
			return fmt.Errorf("measurement %s, field %s: %d values were saved and %d are there now", name, field, n, found[field])
		}
	}
	return nil
}
