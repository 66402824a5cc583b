package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The times that InfluxDB can tell, with a margin.
var (
	earliest = time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2260, 1, 1, 0, 0, 0, 0, time.UTC)
)

// whenLayouts are the ways to write a time; without a zone it is local.
var whenLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", time.DateOnly,
}

// parseWhen reads a time in the past as people say it: how long ago (12h, 3d),
// a date with or without a time, a weekday (the last one, at 00:00), today,
// yesterday or now. What has no zone is in now's.
func parseWhen(s string, now time.Time) (time.Time, error) {
	t, err := when(strings.TrimSpace(s), now)
	if err != nil {
		return time.Time{}, err
	}
	if t.Before(earliest) || t.After(latest) {
		return time.Time{}, fmt.Errorf("%q is in a year that no archive knows", s)
	}
	if t.After(now) {
		return time.Time{}, fmt.Errorf("%q is in the future: it is %s", s, now.Format(time.RFC3339))
	}
	return t, nil
}

func when(s string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	midnight := func(daysAgo int) time.Time { return time.Date(year, month, day-daysAgo, 0, 0, 0, 0, now.Location()) }
	word := strings.ToLower(s)
	switch word {
	case "now":
		return now, nil
	case "today":
		return midnight(0), nil
	case "yesterday":
		return midnight(1), nil
	}
	for d := range 7 {
		name := strings.ToLower(time.Weekday(d).String())
		if word == name || word == name[:3] {
			return midnight((int(now.Weekday()) - d + 7) % 7), nil
		}
	}
	for _, layout := range whenLayouts {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if d, ok := parseAgo(word); ok {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: want how long ago (90m, 12h, 3d), a date (2026-11-20, 2026-11-20T12:00, RFC 3339), a weekday, today or yesterday", s)
}

var agoRE = regexp.MustCompile(`^(?:(\d{1,5})w)?(?:(\d{1,5})d)?(.*)$`)

// parseAgo reads a duration that may begin with weeks and days of 24 hours.
func parseAgo(s string) (time.Duration, bool) {
	m := agoRE.FindStringSubmatch(s)
	weeks, _ := strconv.Atoi(m[1]) // digits or nothing
	days, _ := strconv.Atoi(m[2])
	days += 7 * weeks
	if days > 36500 {
		return 0, false
	}
	d := time.Duration(days) * 24 * time.Hour
	if m[3] != "" {
		rest, err := time.ParseDuration(m[3])
		if err != nil || rest < 0 || m[3][0] == '-' || m[3][0] == '+' {
			return 0, false
		}
		d += rest
	}
	return d, d > 0
}
