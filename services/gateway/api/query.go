package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// query reads the parameters of a request and keeps the first thing that is
// wrong with them.
type query struct {
	values url.Values
	err    error
}

// readQuery reads the parameters with those names; of those in many there can
// be several.
func readQuery(r *http.Request, names string, many ...string) *query {
	q := new(query)
	known := append(strings.Fields(names), many...)
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.fail("what follows the ? cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		switch {
		case !slices.Contains(known, name):
			q.fail("%q is none: there are %s", wire.Echo(name), strings.Join(known, ", "))
		case len(q.values[name]) > 1 && !slices.Contains(many, name):
			q.fail("%q stands twice", name)
		}
	}
	return q
}

func (q *query) fail(format string, a ...any) {
	if q.err == nil {
		q.err = bad("The parameters of the address: %s.", fmt.Sprintf(format, a...))
	}
}

// maxText is how long a text can be, in bytes.
const maxText = 256

func (q *query) text(name string) string {
	s := q.values.Get(name)
	if len(s) > maxText {
		q.fail("%q has %d bytes: write %d at most", name, len(s), maxText)
	}
	return s
}

// number reads a whole number; without it it is what is otherwise.
func (q *query) number(name string, least, most, otherwise int64) int64 {
	if !q.values.Has(name) {
		return otherwise
	}
	n, err := strconv.ParseInt(q.values.Get(name), 10, 64)
	if err != nil || n < least || n > most {
		q.fail("%q is %q: write a whole number, %d to %d", name, wire.Echo(q.values.Get(name)), least, most)
		return otherwise
	}
	return n
}

// channels reads numbers of channels.
func (q *query) channels(name string, most int) []int {
	all := q.values[name]
	if len(all) > most {
		q.fail("%q stands %d times: %d at most", name, len(all), most)
		return nil
	}
	var numbers []int
	for _, s := range all {
		c := wire.ParseChannel(s)
		if c.Kind != wire.OneChannel {
			q.fail("%q is %q: write the number of a channel, 0 to 65535", name, wire.Echo(s))
			return nil
		}
		numbers = append(numbers, c.Number)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// backRE is a time before now.
var backRE = regexp.MustCompile(`^-([0-9]{1,9})(s|m|h|d|w)$`)

var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}

// Times that the archive can have, in ns since 1970, lie well within these years.
const (
	firstYear = 1700
	lastYear  = 2200
)

// time reads a time: RFC 3339, or one before now as -15m. Without it it is what
// is otherwise.
func (q *query) time(name string, now, otherwise time.Time) time.Time {
	s := q.values.Get(name)
	if s == "" {
		return otherwise
	}
	t, err := parseTime(s, now)
	if err != nil {
		q.fail("%q is %q: %v", name, wire.Echo(s), err)
		return otherwise
	}
	return t
}

func parseTime(s string, now time.Time) (time.Time, error) {
	var t time.Time
	if m := backRE.FindStringSubmatch(s); m != nil {
		n, _ := strconv.ParseInt(m[1], 10, 64) // nine digits
		seconds := n * int64(units[m[2]]/time.Second)
		if seconds > 500*366*24*3600 {
			return t, fmt.Errorf("that is before the year %d", firstYear)
		}
		t = time.Unix(now.Unix()-seconds, int64(now.Nanosecond()))
	} else {
		var err error
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return t, fmt.Errorf("write a time as 2026-11-20T12:00:00Z, or one before now as -15m, -2h, -30d")
		}
	}
	if t = t.UTC(); t.Year() < firstYear || t.Year() > lastYear {
		return t, fmt.Errorf("the year is to be %d to %d", firstYear, lastYear)
	}
	return t, nil
}
