package main

import (
	"regexp"
	"slices"
	"time"
)

// parseMoment reads a time as parseWhen does, and RFC 3339 without seconds.
func parseMoment(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse("2006-01-02T15:04Z07:00", s); err == nil {
		s = t.Format(time.RFC3339)
	}
	return parseWhen(s, now)
}

var agoArgument = regexp.MustCompile(`^-\d+[a-z]`)

// letAgo lets dcs at take -10m, in which kong would look for a flag named 1.
// How long ago is written without the sign, too.
func letAgo(args []string) []string {
	if len(args) == 0 || args[0] != "at" {
		return args
	}
	args = slices.Clone(args)
	for i, a := range args {
		if agoArgument.MatchString(a) {
			args[i] = a[1:]
		}
	}
	return args
}
