package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseWhen(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 18, 9, 30, 0, 0, zone) // a Wednesday
	for _, s := range []string{
		"", "soon", "3", "3x", "-3d", "+3h", "0s", "d", "3d-1h", "1h3d", "99999999d", "2026-13-01", "2026-11-31", "20.11.2026",
		"2026-11-18T25:00", "2026-11-19", "2026-11-18T09:31", "1500-01-01", "40000d", "mo", "mondays", "tomorrow",
	} {
		_, err := parseWhen(s, now)
		assert.ErrorContains(t, err, `"`+s+`" is `, "%q", s)
	}
	for s, want := range map[string]string{
		"90m":                       "2026-11-18T08:00:00+01:00",
		"12h":                       "2026-11-17T21:30:00+01:00",
		"3d":                        "2026-11-15T09:30:00+01:00",
		"2w":                        "2026-11-04T09:30:00+01:00",
		"1w1d1h30m":                 "2026-11-10T08:00:00+01:00",
		"2026-11-17":                "2026-11-17T00:00:00+01:00",
		"2026-11-17T12:00":          "2026-11-17T12:00:00+01:00",
		"2026-11-17 12:00":          "2026-11-17T12:00:00+01:00",
		"2026-11-17T12:00:05":       "2026-11-17T12:00:05+01:00",
		"2026-11-17T12:00:05Z":      "2026-11-17T12:00:05Z",
		"2026-11-17T12:00:05-08:00": "2026-11-17T12:00:05-08:00",
		"monday":                    "2026-11-16T00:00:00+01:00",
		"Tue":                       "2026-11-17T00:00:00+01:00",
		"WEDNESDAY":                 "2026-11-18T00:00:00+01:00",
		"thursday":                  "2026-11-12T00:00:00+01:00",
		" sunday ":                  "2026-11-15T00:00:00+01:00",
		"today":                     "2026-11-18T00:00:00+01:00",
		"yesterday":                 "2026-11-17T00:00:00+01:00",
		"now":                       "2026-11-18T09:30:00+01:00",
	} {
		got, err := parseWhen(s, now)
		if assert.NoError(t, err, s) {
			assert.Equal(t, want, got.Format(time.RFC3339), s)
		}
	}
}

// On the day after the clock was changed, the last Sunday is not 24 h ago.
func TestParseWhenSummertime(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	now := time.Date(2026, 10, 26, 0, 0, 0, 0, zone)
	got, err := parseWhen("sunday", now)
	require.NoError(t, err)
	assert.Equal(t, "2026-10-25T00:00:00+02:00", got.Format(time.RFC3339))
	assert.Equal(t, 25*time.Hour, now.Sub(got))
}

func TestAuditWindow(t *testing.T) {
	now := time.Date(2026, 11, 18, 9, 30, 0, 0, time.UTC)
	for _, tt := range []struct{ since, until, want string }{
		{"x", "now", `--since: "x" is no time`},
		{"1h", "x", `--until: "x" is no time`},
		{"1h", "1h", "there is nothing between 2026-11-18T08:30:00.000Z and 2026-11-18T08:30:00.000Z"},
		{"1h", "2h", "--since has to be before --until"},
		{"1s", "now", "there is nothing between"},
		{"1h", "2026-11-19", "in the future"},
	} {
		_, err := (&auditCmd{Since: tt.since, Until: tt.until}).window(now)
		assert.ErrorContains(t, err, tt.want)
	}
	w, err := (&auditCmd{Since: "24h", Until: "now"}).window(now)
	require.NoError(t, err)
	assert.Equal(t, window{now.Add(-24 * time.Hour), now.Add(-2 * time.Second), false}, w)
	w, err = (&auditCmd{Since: "monday", Until: "today"}).window(now)
	require.NoError(t, err)
	assert.Equal(t, "2026-11-16T00:00:00.000Z to 2026-11-18T00:00:00.000Z, true", stamp(w.from)+" to "+stamp(w.to)+", "+map[bool]string{true: "true"}[w.settled])
}
