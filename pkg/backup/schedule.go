package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"trackerdcs/pkg/health"
)

// RetryAfter is when a backup that failed is tried again.
const RetryAfter = 10 * time.Minute

// Schedule makes backups one after another.
type Schedule struct {
	Dir   string
	Every time.Duration // from the beginning of one to that of the next
	Keep  int           // complete ones; at least 1
	Log   *slog.Logger

	// Make makes one backup in Dir.
	Make    func(ctx context.Context) (name string, m *Manifest, err error)
	Health  *health.Health
	Metrics *health.Figures

	last, duration, bytes, made, failures *health.Number
}

// Run makes a backup whenever the last is old enough, until ctx ends. It is
// ready as long as the last attempt was good, and sick when the last good one is
// twice as old as it should be.
func (s *Schedule) Run(ctx context.Context) error {
	s.register()
	s.Health.SetReady(true, "")
	failed := false
	for {
		wait, err := s.wait(time.Now())
		if err != nil {
			s.fail(err)
		}
		if err != nil || failed {
			wait = RetryAfter
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		err = s.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if failed = err != nil; failed {
			s.fail(err)
		}
	}
}

// wait is how long the next backup is off. A clock that was set back does not
// put it off any further.
func (s *Schedule) wait(now time.Time) (time.Duration, error) {
	at, ok, err := s.latest()
	if err != nil || !ok {
		return 0, err
	}
	return min(max(at.Add(s.Every).Sub(now), 0), s.Every), nil
}

// latest is when the last complete backup was begun.
func (s *Schedule) latest() (at time.Time, ok bool, err error) {
	names, err := List(s.Dir)
	if err != nil || len(names) == 0 {
		return at, false, err
	}
	at, err = Time(names[len(names)-1])
	return at, err == nil, err
}

func (s *Schedule) once(ctx context.Context) error {
	began := time.Now()
	name, m, err := s.Make(ctx)
	if err != nil {
		return err
	}
	size := int64(0)
	for _, f := range m.Files {
		size += f.Size
	}
	s.made.Inc()
	s.last.Set(float64(m.Start.Unix()))
	s.duration.Set(time.Since(began).Seconds())
	s.bytes.Set(float64(size))
	s.Health.SetReady(true, "")
	s.Health.SetSick("")
	s.Log.Info("a backup is made", "name", name, "bytes", size, "took", time.Since(began).Round(time.Millisecond))
	removed, err := Prune(s.Dir, s.Keep)
	for _, old := range removed {
		s.Log.Info("an old backup is removed", "name", old)
	}
	if err != nil { // the new one is good
		s.Log.Error("old backups cannot be removed", "error", err)
	}
	return nil
}

func (s *Schedule) fail(err error) {
	s.failures.Inc()
	s.Log.Error("NO BACKUP was made, it is tried again", "error", err, "in", RetryAfter)
	s.Health.SetReady(false, "the last backup failed: "+err.Error())
	at, ok, listed := s.latest()
	switch {
	case listed != nil:
		s.Health.SetSick(listed.Error())
	case ok && time.Since(at) > 2*s.Every:
		s.Health.SetSick(fmt.Sprintf("the last backup is of %s: %v", at.Format(time.RFC3339), err))
	}
}

func (s *Schedule) register() {
	s.last = s.Metrics.Gauge("dcs_backup_last_timestamp_seconds", "When the last complete backup was begun, s since 1970; 0 if there is none.")
	s.duration = s.Metrics.Gauge("dcs_backup_duration_seconds", "How long the last one took, s; 0 before the first of this process.")
	s.bytes = s.Metrics.Gauge("dcs_backup_bytes", "Size of the last one, what it shares with others included; 0 before the first of this process.")
	s.made = s.Metrics.Counter("dcs_backup_made_total", "Backups made.")
	s.failures = s.Metrics.Counter("dcs_backup_failures_total", "Attempts that failed.")
	if at, ok, err := s.latest(); ok && err == nil {
		s.last.Set(float64(at.Unix()))
	}
}

// Find finds a backup: a folder, or the name of one in dir, or "latest".
func Find(name, dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(name, manifestName)); err == nil {
		return name, nil
	}
	names, err := List(dir)
	if err != nil {
		return "", err
	}
	if name == "latest" && len(names) > 0 {
		return filepath.Join(dir, names[len(names)-1]), nil
	}
	if namePattern.MatchString(name) {
		if _, err := os.Stat(filepath.Join(dir, name, manifestName)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s is no backup, and there is none in %s", name, dir)
	}
	return "", errors.New(name + " is no backup; the newest in " + dir + " is " + names[len(names)-1])
}
