package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// median is the middle value, NaN when there is none.
func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 0:
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[n/2]
}

// percentile is the smallest value that is not below p percent of them.
func percentile(x []time.Duration, p float64) time.Duration {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	i := int(math.Ceil(p/100*float64(len(s)))) - 1
	return s[max(0, i)]
}

// goal is what a figure is held to: at most, or at least, a limit. The zero
// goal is none.
type goal struct {
	kind  byte // '<' or '>'
	limit float64
	what  string // how the limit is written
}

func atMost(limit float64, what string) goal  { return goal{'<', limit, what} }
func atLeast(limit float64, what string) goal { return goal{'>', limit, what} }

// met reports whether x, which may be NaN for a figure that does not exist, is
// within the goal.
func (g goal) met(x float64) bool {
	switch g.kind {
	case '<':
		return x <= g.limit
	case '>':
		return x >= g.limit
	}
	return true
}

func (g goal) String() string {
	switch g.kind {
	case '<':
		return "≤ " + g.what
	case '>':
		return "≥ " + g.what
	}
	return ""
}

// verdict is PASS, FAIL or, without a goal, nothing.
func (g goal) verdict(x float64) string {
	switch {
	case g.kind == 0:
		return ""
	case g.met(x):
		return "PASS"
	}
	return "FAIL"
}

// row is a figure of both. A goal holds the ratio ours to theirs, or, with
// absolute, our figure.
type row struct {
	what         string
	ours, theirs float64 // NaN where there is none
	digits       int     // after the point
	goal         goal
	absolute     bool
}

func (r row) ratio() float64 { return r.ours / r.theirs }

func (r row) judged() float64 {
	if r.absolute {
		return r.ours
	}
	return r.ratio()
}

// table is what one part has found.
type table struct {
	title string
	notes []string
	rows  []row
}

func (t table) ok() bool {
	return !slices.ContainsFunc(t.rows, func(r row) bool { return !r.goal.met(r.judged()) })
}

func (t table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| | loader | Telegraf | ratio | goal | |\n|---|---:|---:|---:|---|---|\n", t.title)
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.what,
			number(r.ours, r.digits), number(r.theirs, r.digits), number(r.ratio(), 2), r.goal, r.goal.verdict(r.judged()))
	}
	for _, n := range t.notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	return b.String()
}

// number writes x with groups of three digits; what does not exist is empty.
func number(x float64, digits int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(math.Abs(x), 'f', digits, 64), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if x < 0 {
		whole = "-" + whole
	}
	return whole
}
