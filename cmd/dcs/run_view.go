package main

import (
	"fmt"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// runView shows how a run goes on: on a terminal in one line that is drawn
// anew, elsewhere in a line for each state and each tenth of the way.
type runView struct {
	con    console
	silent bool // with -o json only the acks are printed

	run     wire.Run // its last record
	came    time.Time
	line    string // the last one of its log
	drawn   bool
	printed string // state and tenth of the last line
}

// ofRun takes a record.
func (v *runView) ofRun(r wire.Run, now time.Time) {
	if v.run.Run != r.Run {
		v.line, v.printed = "", ""
	}
	v.run, v.came = r, now
	v.show(now)
}

// ofLog takes lines of the program.
func (v *runView) ofLog(b wire.LogBatch, now time.Time) {
	if n := len(b.Lines); n > 0 && b.Run == v.run.Run {
		v.line = oneLine(b.Lines[n-1].Text)
		if v.terminal() {
			v.show(now)
		}
	}
}

func (v *runView) terminal() bool {
	_, _, is := v.con.size()
	return is
}

// show draws the line, or prints one if there is something new.
func (v *runView) show(now time.Time) {
	if v.silent || v.run.State == "" || wire.RunEnded(v.run.State) {
		return // of the end the last line tells
	}
	if width, _, is := v.con.size(); is {
		fmt.Fprint(v.con.out, "\r"+v.text(now, width-1)+clearLine)
		v.drawn = true
		return
	}
	key := v.run.State
	if p := v.run.Progress; p.Valid && key == wire.RunRunning {
		key += fmt.Sprint(int(p.V * 10))
	}
	if key == v.printed {
		return
	}
	v.printed = key
	fmt.Fprintln(v.con.out, v.text(now, 0))
}

// clear takes the line away, so that something else can be printed.
func (v *runView) clear() {
	if v.drawn {
		fmt.Fprint(v.con.out, "\r"+clearLine)
		v.drawn = false
	}
}

// notef tells people something that is not the answer.
func (v *runView) notef(format string, args ...any) {
	v.clear()
	v.con.notef(format, args...)
}

// barWidth is how many characters the bar has; on a narrow terminal half.
const barWidth = 30

// text is the run in one line of at most width characters; with a width of 0 it
// has no bar and no log.
func (v *runView) text(now time.Time, width int) string {
	r := v.run
	parts := []string{fmt.Sprintf("run %d  %s", r.Run, oneLine(r.State))}
	if r.Phase != "" {
		parts = append(parts, oneLine(r.Phase))
	}
	if r.Progress.Valid && r.State == wire.RunRunning {
		done := min(max(r.Progress.V, 0), 1)
		if width > 0 {
			n := barWidth
			if width < 100 {
				n /= 2
			}
			full := int(done * float64(n))
			parts = append(parts, "["+strings.Repeat("#", full)+strings.Repeat("-", n-full)+"]")
		}
		parts = append(parts, fmt.Sprintf("%3.0f %%", 100*done))
	}
	parts = append(parts, durationText(v.elapsed(now)))
	if r.Error != "" {
		parts = append(parts, oneLine(r.Error))
	}
	if width > 0 && v.line != "" {
		parts = append(parts, v.line)
	}
	return cut(strings.Join(parts, "  "), width)
}

// elapsed is how long the run takes, by its own clock as far as that has told.
func (v *runView) elapsed(now time.Time) time.Duration {
	begin, told := v.run.Start, v.run.Time
	if begin.IsZero() {
		begin = v.run.Asked
	}
	if begin.IsZero() {
		return 0
	}
	if told.IsZero() {
		return max(0, now.Sub(begin))
	}
	return max(0, told.Sub(begin)+now.Sub(v.came))
}

// end says how a run has ended.
func (v *runView) end() {
	v.clear()
	if v.silent {
		return
	}
	r := v.run
	line := fmt.Sprintf("run %d ", r.Run) + v.con.paint(stateColor(r.State), oneLine(r.State))
	switch {
	case !r.Start.IsZero() && r.End.After(r.Start):
		line += " after " + durationText(r.End.Sub(r.Start))
	case !r.Asked.IsZero() && r.Since.After(r.Asked):
		line += ", " + durationText(r.Since.Sub(r.Asked)) + " after it was asked for"
	}
	if r.Error != "" {
		line += ": " + oneLine(r.Error)
	}
	fmt.Fprintln(v.con.out, line)
	fmt.Fprintf(v.con.out, "see dcs run show %d, dcs run log %d, dcs run files %d --to DIR\n", r.Run, r.Run, r.Run)
}
