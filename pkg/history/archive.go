package history

import (
	"context"
	"slices"
	"time"
)

// reserved are the measurements that are no devices (docs/contract.md, Topics).
var reserved = map[string]bool{"alarm": true, "run": true, "service": true, "sensor": true, "ack": true, "state": true}

// Devices returns the measurements that are devices, in order of their names:
// all but those that the contract reserves. What a foreign topic was mapped to
// is among them.
func (c *Client) Devices(ctx context.Context) ([]string, error) {
	var names []string
	err := c.Query(ctx, "SHOW MEASUREMENTS", func(r Row) error {
		if name := r.Text("name"); name != "" && !reserved[name] {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Noted gives the devices of which loaders put something aside, in order. Of
// some of them nothing else may be in the archive.
func (c *Client) Noted(ctx context.Context) ([]string, error) {
	var names []string
	err := c.Query(ctx, `SHOW TAG VALUES FROM "service" WITH KEY = "device" WHERE "record" = 'dead_letter'`, func(r Row) error {
		if name := r.Text("value"); name != "" {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Status is what the archive says of one channel's part of a status.
type Status struct {
	Channel string  // the tag number; empty for a device without channels
	Time    int64   // ns since 1970, UTC
	Boot    string  // empty if the point has none
	Seq     float64 // 0 if the point has none: they begin at 1
}

// At is the status's time.
func (s Status) At() time.Time { return time.Unix(0, s.Time).UTC() }

const numbered = `SELECT "seq", "boot" FROM `

// Statuses calls fn for each status of the device with from ≤ time < to that
// has a seq or a boot: one channel after another, each in order of time. Times
// must be in the years 1678 to 2261.
func (c *Client) Statuses(ctx context.Context, device string, from, to time.Time, fn func(Status) error) error {
	return c.statuses(ctx, numbered+ident(device)+" WHERE "+between(from, to)+` GROUP BY "number"`, fn)
}

// Before returns each channel's last numbered status before t.
func (c *Client) Before(ctx context.Context, device string, t time.Time) ([]Status, error) {
	return c.edge(ctx, numbered+ident(device)+` WHERE "seq" > 0 AND time < `+instant(t)+` GROUP BY "number" ORDER BY time DESC LIMIT 1`)
}

// After returns each channel's first numbered status at or after t.
func (c *Client) After(ctx context.Context, device string, t time.Time) ([]Status, error) {
	return c.edge(ctx, numbered+ident(device)+` WHERE "seq" > 0 AND time >= `+instant(t)+` GROUP BY "number" ORDER BY time ASC LIMIT 1`)
}

func (c *Client) edge(ctx context.Context, question string) ([]Status, error) {
	var found []Status
	err := c.statuses(ctx, question, func(s Status) error {
		found = append(found, s)
		return nil
	})
	return found, err
}

func (c *Client) statuses(ctx context.Context, question string, fn func(Status) error) error {
	var boot string // mostly the same as in the row before
	return c.Query(ctx, question, func(r Row) error {
		s := Status{Channel: r.Tags["number"]}
		for i, column := range r.Columns {
			v := r.Values[i]
			switch column {
			case "time":
				s.Time, _ = v.Int()
			case "seq":
				s.Seq, _ = v.Float()
			case "boot":
				if t := v.Text(); string(t) != boot {
					boot = string(t)
				}
				s.Boot = boot
			}
		}
		return fn(s)
	})
}

// Newest returns the time of the device's last point before t, whatever is in
// it; not ok if there is none.
func (c *Client) Newest(ctx context.Context, device string, t time.Time) (at time.Time, ok bool, err error) {
	err = c.Query(ctx, "SELECT * FROM "+ident(device)+" WHERE time < "+instant(t)+" ORDER BY time DESC LIMIT 1", func(r Row) error {
		ns, _ := r.Int("time")
		at, ok = time.Unix(0, ns).UTC(), true
		return nil
	})
	return at, ok, err
}

// State is a state that a device or a service said.
type State struct {
	Name  string // of the device or the service
	Time  int64  // ns since 1970, UTC; of a last will, when it arrived
	State string
	Boot  string
	Seq   float64 // in the state stopped the last number that the boot used; 0 if it is not said
	Error string  // of StatesAt
}

// States calls fn for each state from that time on: one name after another,
// each in order of time.
func (c *Client) States(ctx context.Context, from time.Time, fn func(State) error) error {
	question := `SELECT "state", "boot", "seq" FROM "state" WHERE time >= ` + instant(from) + ` GROUP BY "device"`
	return c.Query(ctx, question, func(r Row) error {
		s := State{Name: r.Tags["device"], State: r.Text("state"), Boot: r.Text("boot")}
		s.Time, _ = r.Int("time")
		s.Seq, _ = r.Float("seq")
		return fn(s)
	})
}

// DeadLetter is a message, or a line of one, that a loader put aside.
type DeadLetter struct {
	Loader string // the loader's name
	Time   int64  // ns since 1970, UTC
	Topic  string
	Reason string
	Boot   string  // empty if it is not known
	Seq    float64 // 0 if it is not known
}

// DeadLetters calls fn for each message of the device that loaders put aside
// from that time on.
func (c *Client) DeadLetters(ctx context.Context, device string, from time.Time, fn func(DeadLetter) error) error {
	question := `SELECT "topic", "reason", "boot", "seq" FROM "service" WHERE "record" = 'dead_letter' AND "device" = ` +
		literal(device) + " AND time >= " + instant(from) + ` GROUP BY "service"`
	return c.Query(ctx, question, func(r Row) error {
		l := DeadLetter{Loader: r.Tags["service"], Topic: r.Text("topic"), Reason: r.Text("reason"), Boot: r.Text("boot")}
		l.Time, _ = r.Int("time")
		l.Seq, _ = r.Float("seq")
		return fn(l)
	})
}

// Ledger is what a loader says of one device that it listens to.
type Ledger struct {
	Loader     string  // the loader's name
	Time       int64   // ns since 1970, UTC
	Boot       string  // of the device
	Duplicates float64 // messages of this boot that came more than once
	Skew       float64 // s by which the device's clock is ahead of the loader's
	HasSkew    bool    // whether Skew is known
}

// Ledgers returns the last entry of each loader's ledger for the device with
// from ≤ time < to.
func (c *Client) Ledgers(ctx context.Context, device string, from, to time.Time) ([]Ledger, error) {
	question := `SELECT "boot", "duplicates", "skew" FROM "service" WHERE "record" = 'ledger' AND "device" = ` +
		literal(device) + " AND " + between(from, to) + ` GROUP BY "service" ORDER BY time DESC LIMIT 1`
	var found []Ledger
	err := c.Query(ctx, question, func(r Row) error {
		l := Ledger{Loader: r.Tags["service"], Boot: r.Text("boot")}
		l.Time, _ = r.Int("time")
		l.Duplicates, _ = r.Float("duplicates")
		l.Skew, l.HasSkew = r.Float("skew")
		found = append(found, l)
		return nil
	})
	return found, err
}
