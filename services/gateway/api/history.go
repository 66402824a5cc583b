package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"trackerdcs/pkg/history"
	"trackerdcs/pkg/wire"
)

const (
	maxChannels   = 64
	minPoints     = 2
	maxPoints     = 5000
	defaultPoints = 500
	maxRange      = 10 * 366 * 24 * time.Hour
)

var fieldRE = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// values are numbers; NaN is null.
type values []float64

// MarshalJSON writes the list.
func (v values) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 12*len(v)+2)
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, x, 'g', -1, 64)
	}
	return append(b, ']'), nil
}

type historyAnswer struct {
	Device   string          `json:"device"`
	Field    string          `json:"field"`
	Unit     string          `json:"unit"`
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Interval float64         `json:"interval"` // s
	Time     []int64         `json:"time"`     // ms
	Series   []historySeries `json:"series"`
}

type historySeries struct {
	Channel *int   `json:"channel"`
	Min     values `json:"min"`
	Mean    values `json:"mean"`
	Max     values `json:"max"`
}

// parseHistory reads what is asked for.
func parseHistory(r *http.Request, now time.Time) (history.SeriesQuery, error) {
	q := readQuery(r, "device sensor field from to points", "channel")
	asked := history.SeriesQuery{
		Device: q.text("device"), Sensor: q.number("sensor", 0, 1, 0) == 1, Field: q.text("field"), Channels: q.channels("channel", maxChannels),
		From: q.time("from", now, time.Time{}), To: q.time("to", now, now), Points: int(q.number("points", minPoints, maxPoints, defaultPoints)),
	}
	check := wire.CheckDevice
	if asked.Sensor {
		check = wire.CheckName
	}
	switch {
	case q.err != nil:
		return asked, q.err
	case asked.Device == "":
		q.fail(`"device" is missing`)
	case check(asked.Device) != nil:
		q.fail(`"device" is %q, which cannot be one: %v`, wire.Echo(asked.Device), check(asked.Device))
	case asked.Field == "":
		q.fail(`"field" is missing: vmon, for instance`)
	case !fieldRE.MatchString(asked.Field):
		q.fail(`"field" is %q: write 1 to 64 letters, digits, _, . and -`, wire.Echo(asked.Field))
	case asked.Sensor && asked.Channels != nil:
		q.fail(`an outside sensor has no "channel"`)
	case asked.From.IsZero():
		q.fail(`"from" is missing: a time, or -15m`)
	case !asked.To.After(asked.From):
		q.fail(`"to" is not after "from"`)
	case asked.To.Sub(asked.From) > maxRange:
		q.fail(`"from" to "to" is more than ten years`)
	}
	return asked, q.err
}

func (s *server) history(w http.ResponseWriter, r *http.Request) error {
	q, err := parseHistory(r, s.cfg.Now())
	if err != nil {
		return err
	}
	return s.heavy(w, r, func() (any, error) {
		found, err := s.cfg.History.Series(r.Context(), q)
		if err != nil {
			return nil, s.historyError(r.Context(), err)
		}
		return s.historyAnswer(q, found), nil
	})
}

func (s *server) historyAnswer(q history.SeriesQuery, found history.Series) historyAnswer {
	a := historyAnswer{
		Device: q.Device, Field: q.Field, Unit: s.unit(q), From: q.From, To: q.To, Interval: found.Interval.Seconds(),
		Time: found.Time, Series: make([]historySeries, 0, len(found.Channels)),
	}
	for _, ch := range found.Channels {
		one := historySeries{Min: ch.Min, Mean: ch.Mean, Max: ch.Max}
		if n, err := strconv.Atoi(ch.Channel); err == nil {
			one.Channel = &n
		} else if ch.Channel != "" {
			continue // a tag of others that is no channel's number
		}
		a.Series = append(a.Series, one)
	}
	if len(a.Series) == 0 {
		a.Time = []int64{}
	}
	return a
}

func (s *server) unit(q history.SeriesQuery) string {
	if d, ok := s.cfg.Live.Device(q.Device); ok && d.Meta != nil && !q.Sensor {
		return d.Meta.Fields[q.Field].Unit
	}
	return ""
}

func (s *server) historyError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, history.ErrNotNumbers), errors.Is(err, history.ErrTooMuch):
		return bad("%v.", err)
	case ctx.Err() != nil:
		return refuse(http.StatusServiceUnavailable, "given-up", "The request has ended before InfluxDB's answer.")
	}
	s.cfg.Log.WarnContext(ctx, "no history", "error", err)
	if errors.Is(err, history.ErrNoAnswer) {
		return refuse(http.StatusServiceUnavailable, "no-archive", "The archive of measurements does not answer. What is live is not touched by that. Look whether InfluxDB runs; the gateway's log says more.")
	}
	if errors.Is(err, history.ErrDenied) {
		return refuse(http.StatusBadGateway, "archive-denied", "InfluxDB denies the gateway access: see DCS_INFLUX_TOKEN_FILE.")
	}
	if errors.Is(err, history.ErrNoDatabase) {
		return refuse(http.StatusBadGateway, "no-database", "InfluxDB has no such database: see DCS_INFLUX_BUCKET.")
	}
	return refuse(http.StatusBadGateway, "archive", "InfluxDB could not answer; the gateway's log says why.")
}
