package main

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"trackerdcs/pkg/wire"
)

const rfc3339 = "rfc3339"

// unixUnits are the formats of a time that counts from 1970, in ns.
var unixUnits = map[string]int64{"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1}

// The times that are stored: those of the years minYear to maxYear.
var (
	minTime = time.Date(minYear, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	maxTime = time.Date(maxYear+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() - 1
)

// takeForeignTime takes a time in a rule's format. Without one a text is of
// RFC 3339 and a number counts seconds.
func (p *point) takeForeignTime(c *clock, format string, v value) {
	if v.token == null {
		return
	}
	if format == "" {
		format = "s"
		if v.token == text {
			format = rfc3339
		}
	}
	var ns int64
	ok := false
	switch {
	case format == rfc3339:
		if v.token == text {
			ns, ok = c.read(v.raw)
		}
	case v.token == text || v.token == number:
		ns, ok = parseUnix(bytes.TrimSpace(v.raw), unixUnits[format])
	}
	if !ok {
		p.complain("time %q is not %s of the years %d to %d", wire.Echo(string(v.raw)), timeForms[format], minYear, maxYear)
		p.useless = true // when was it?
		return
	}
	p.time, p.timed = ns, true
}

var timeForms = map[string]string{
	rfc3339: "a time of RFC 3339", "s": "in seconds since 1970", "ms": "in ms since 1970",
	"us": "in µs since 1970", "ns": "in ns since 1970",
}

// parseUnix reads how many units have passed since 1970, to the nanosecond: a
// float could not hold that.
func parseUnix(b []byte, unit int64) (ns int64, ok bool) {
	whole, fraction, _ := bytes.Cut(b, []byte{'.'})
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || !onlyDigits(fraction) {
		x, err := parseBare(b) // it has an exponent, or is no number
		if x *= float64(unit); err != nil || x < float64(minTime) || x >= float64(maxTime) {
			return 0, false
		}
		return int64(math.Round(x)), true
	}
	if n < minTime/unit || n > maxTime/unit {
		return 0, false
	}
	ns = n * unit
	for _, c := range fraction {
		unit /= 10
		if whole[0] == '-' {
			ns -= int64(c-'0') * unit
		} else {
			ns += int64(c-'0') * unit
		}
	}
	return ns, ns >= minTime && ns <= maxTime
}

func onlyDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
