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
	State     string // the last that is known
	Start     time.Time
	End       time.Time // zero if it is not known
}

const marks = `SELECT "number", "state", "end_ms" FROM "run" WHERE `

// RunAt returns the run that was under way at t; not ok if none was. There is
// one at a time, so it is the last one that started, if it had not ended.
func (c *Client) RunAt(ctx context.Context, t time.Time) (mark RunMark, ok bool, err error) {
	mark, ok, err = c.mark(ctx, marks+"time <= "+instant(t)+` GROUP BY "procedure" ORDER BY time DESC LIMIT 1`)
	ended := !mark.End.IsZero() && mark.End.Before(t)
	return mark, ok && !ended, err
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
		if found.State == "" {
			found.State = "running" // the mark says how it ended once it has
		}
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
