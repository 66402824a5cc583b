package history

import (
	"context"
	"strconv"
	"time"
)

// RunMark is the mark that a run has left in the archive.
type RunMark struct {
	Number    int64
	Procedure string
	State     string // how it ended; empty as long as the archive does not know
	Start     time.Time
	End       time.Time // zero if it is not known
	Newest    bool      // no run in the archive began after it; only RunAt finds out
}

// longestRun is longer than any run takes: after it an end has been missed.
const longestRun = 24 * time.Hour

// EndMissing reports whether the run has ended by now, and the archive does not
// say when: then no later time is known to lie in it. There is one run at a time,
// so one that began after it is as good as an end.
func (m RunMark) EndMissing(now time.Time) bool {
	return m.End.IsZero() && (m.State != "" && m.State != running || !m.Newest || now.Sub(m.Start) > longestRun)
}

// running is the state that earlier loaders gave a mark at the run's start.
const running = "running"

const marks = `SELECT "number", "state", "end_ms" FROM "run" WHERE `

// RunAt returns the run that was under way at t; not ok if none was. There is
// one at a time, so it is the last one that started, if it had not ended. Of one
// whose end is not known EndMissing says whether it may have.
func (c *Client) RunAt(ctx context.Context, t time.Time) (mark RunMark, ok bool, err error) {
	mark, ok, err = c.mark(ctx, marks+"time <= "+instant(t)+` GROUP BY "procedure" ORDER BY time DESC LIMIT 1`)
	if err != nil || !ok || !mark.End.IsZero() {
		ended := !mark.End.IsZero() && mark.End.Before(t)
		return mark, ok && !ended, err
	}
	_, later, err := c.mark(ctx, marks+"time > "+instant(mark.Start)+` GROUP BY "procedure" ORDER BY time LIMIT 1`)
	mark.Newest = !later
	return mark, true, err
}

// RunNumber returns the run with that number.
func (c *Client) RunNumber(ctx context.Context, number int64) (mark RunMark, ok bool, err error) {
	return c.mark(ctx, marks+`"number" = `+strconv.FormatInt(number, 10)+` GROUP BY "procedure" ORDER BY time DESC LIMIT 1`)
}

// mark returns the latest mark of an answer.
func (c *Client) mark(ctx context.Context, question string) (found RunMark, ok bool, err error) {
	err = c.Query(ctx, question, func(r Row) error {
		ns, _ := r.Int("time")
		start := time.Unix(0, ns).UTC()
		number, has := r.Float("number")
		if !has || ok && start.Before(found.Start) {
			return nil
		}
		found, ok = RunMark{Number: int64(number), Procedure: r.Tags["procedure"], State: r.Text("state"), Start: start}, true
		if ms, has := r.Float("end_ms"); has && ms > 0 {
			found.End = time.UnixMilli(int64(ms)).UTC()
		}
		return nil
	})
	return found, ok, err
}

// StatesAt returns the last state that each device and service had said by t.
func (c *Client) StatesAt(ctx context.Context, t time.Time) ([]State, error) {
	var found []State
	question := `SELECT "state", "boot", "seq", "error" FROM "state" WHERE time <= ` + instant(t) + ` GROUP BY "device" ORDER BY time DESC LIMIT 1`
	err := c.Query(ctx, question, func(r Row) error {
		s := State{Name: r.Tags["device"], State: r.Text("state"), Boot: r.Text("boot"), Error: r.Text("error")}
		s.Time, _ = r.Int("time")
		s.Seq, _ = r.Float("seq")
		found = append(found, s)
		return nil
	})
	return found, err
}
