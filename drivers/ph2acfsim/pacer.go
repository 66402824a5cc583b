package main

import (
	"context"
	"time"
)

// Progress is printed this often: at least twice and at most fifty times a second.
const (
	seldom = 400 * time.Millisecond
	often  = 25 * time.Millisecond
)

// pacer makes work last as long as it shall and prints how far it is. Work
// that takes longer than that is not held up.
type pacer struct {
	printer
	duration time.Duration
	start    time.Time
	shown    time.Time
	phase    string
	from, to float64 // of the duration: the part that is the phase's

	faultAt float64
	fault   func(context.Context) error // nil once it has happened
}

func newPacer(p printer, d time.Duration) *pacer {
	now := time.Now()
	return &pacer{printer: p, duration: d, start: now, shown: now}
}

// begin starts a phase that ends at so much of the duration.
func (p *pacer) begin(phase string, until float64, format string, args ...any) {
	p.phase, p.from, p.to = phase, p.to, until
	p.info("[phase] "+phase+": "+format, args...)
}

// done says how much of the phase is done, 0 to 1, and waits until it is time.
func (p *pacer) done(ctx context.Context, part float64) error {
	target := p.from + (p.to-p.from)*part
	if p.fault != nil && target >= p.faultAt {
		if err := p.wait(ctx, p.faultAt); err != nil {
			return err
		}
		fault := p.fault
		p.fault = nil
		if err := fault(ctx); err != nil {
			return err
		}
	}
	return p.wait(ctx, target)
}

func (p *pacer) wait(ctx context.Context, target float64) error {
	every := min(max(p.duration/100, often), seldom)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		elapsed := now.Sub(p.start)
		left := time.Duration(target*float64(p.duration)) - elapsed
		at := target
		if left > 0 {
			at = float64(elapsed) / float64(p.duration)
		}
		if now.Sub(p.shown) >= every {
			p.shown = now
			p.progress(at)
		}
		if left <= 0 {
			return nil
		}
		t := time.NewTimer(min(left, every-now.Sub(p.shown)))
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func (p *pacer) progress(at float64) {
	p.info("[progress] %.1f %% phase=%s", 100*at, p.phase)
}
