package backup

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"trackerdcs/pkg/health"
)

// RetryAfter is when a backup that failed is tried again.
const RetryAfter = 10 * time.Minute

// Schedule makes backups one after another.
type Schedule struct {
	Dir   string
	Every time.Duration // from the beginning of one to that of the next
	Keep  int           // whole ones that it made; at least 1
	Log   *slog.Logger

	// Make makes one backup in Dir.
	Make    func(ctx context.Context) (name string, m *Manifest, err error)
	Health  *health.Health
	Metrics *health.Figures

	last, duration, bytes, made, failures *health.Number

	mu      sync.Mutex
	good    time.Time // the beginning of the last whole backup, or of this process
	any     bool      // there is a whole backup
	trouble string    // what else is wrong with the backups
	failure string    // why the last attempt failed
}

// Run makes a backup whenever the last is old enough, until ctx ends. It is
// ready as long as the last attempt was good.
func (s *Schedule) Run(ctx context.Context) error {
	s.begin(time.Now())
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

// Handler serves health and metrics. Sick is who has made no whole backup for
// twice the time that there should be between two, since the process began if
// there is none, or has one that somebody has to look at.
func (s *Schedule) Handler() http.Handler {
	h := health.Handler(s.Health, s.Metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sick := ""
		if now := time.Now(); s.begun() {
			if _, _, err := s.latest(now); err != nil {
				sick = err.Error()
			} else {
				sick = s.sick(now)
			}
		}
		s.Health.SetSick(sick)
		h.ServeHTTP(w, r)
	})
}

func (s *Schedule) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.good.IsZero()
}

func (s *Schedule) sick(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case now.Sub(s.good) <= 2*s.Every:
		return s.trouble
	case !s.any:
		return fmt.Sprintf("no backup was made since this began at %s: %s", s.good.UTC().Format(time.RFC3339), cmp.Or(s.failure, "it hangs"))
	}
	return fmt.Sprintf("the last backup is of %s: %s", s.good.UTC().Format(time.RFC3339), cmp.Or(s.failure, "it hangs"))
}

// wait is how long the next backup is off. One of the future puts it off no
// further.
func (s *Schedule) wait(now time.Time) (time.Duration, error) {
	h, ok, err := s.latest(now)
	if err != nil || !ok {
		return 0, err
	}
	return min(max(h.Start.Add(s.Every).Sub(now), 0), s.Every), nil
}

// latest is the last whole backup that is not of the future. What is wrong with
// those that are there is noted.
func (s *Schedule) latest(now time.Time) (latest Head, ok bool, err error) {
	heads, err := Heads(s.Dir)
	if err != nil {
		return latest, false, err
	}
	var troubles []string
	for _, h := range heads {
		switch {
		case h.future(now):
			troubles = append(troubles, fmt.Sprintf("backup %s is of the future, a clock was or is wrong: it does not count; set the clock right, or move the backup away", h.Name))
		case h.Whole():
			latest, ok = h, true
		}
	}
	if len(latest.Doubts) > 0 && latest.Scheduled {
		troubles = append(troubles, fmt.Sprintf("backup %s: %s; nothing is removed meanwhile. If that is meant, make a backup by hand: the next are compared with it",
			latest.Name, strings.Join(latest.Doubts, "; ")))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = strings.Join(troubles, "\n")
	if ok {
		s.good, s.any = latest.Start, true
	}
	return latest, ok, nil
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
	s.Log.Info("a backup is made", "name", name, "bytes", size, "took", time.Since(began).Round(time.Millisecond))
	s.prune(name, m)
	if _, _, err := s.latest(time.Now()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure = ""; s.trouble != "" {
		s.Log.Error("THE BACKUPS NEED A LOOK", "what", s.trouble)
	}
	return nil
}

// prune removes old backups, unless the new one may lack what they have.
func (s *Schedule) prune(made string, m *Manifest) {
	if len(m.Doubts) > 0 {
		s.Log.Warn("no old backup is removed: the new one may lack something", "name", made)
		return
	}
	removed, err := Prune(s.Dir, s.Keep, made, time.Now())
	for _, old := range removed {
		s.Log.Info("an old backup is removed", "name", old)
	}
	if err != nil { // the new one is good
		s.Log.Error("old backups cannot be removed", "error", err)
	}
}

func (s *Schedule) fail(err error) {
	s.failures.Inc()
	s.Log.Error("NO BACKUP was made, it is tried again", "error", err, "in", RetryAfter)
	s.Health.SetReady(false, "the last backup failed: "+err.Error())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err.Error()
}

// begin makes the figures, and counts from now.
func (s *Schedule) begin(now time.Time) {
	s.last = s.Metrics.Gauge("dcs_backup_last_timestamp_seconds", "When the last whole backup was begun, s since 1970; 0 if there is none.")
	s.duration = s.Metrics.Gauge("dcs_backup_duration_seconds", "How long the last one took, s; 0 before the first of this process.")
	s.bytes = s.Metrics.Gauge("dcs_backup_bytes", "Size of the last one, what it shares with others included; 0 before the first of this process.")
	s.made = s.Metrics.Counter("dcs_backup_made_total", "Backups made.")
	s.failures = s.Metrics.Counter("dcs_backup_failures_total", "Attempts that failed.")
	s.mu.Lock()
	s.good = now
	s.mu.Unlock()
	if h, ok, err := s.latest(now); ok && err == nil {
		s.last.Set(float64(h.Start.Unix()))
	}
}
