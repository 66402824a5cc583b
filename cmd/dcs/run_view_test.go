package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// On a terminal there is one line, drawn anew.
func TestRunBar(t *testing.T) {
	out := newPaper()
	v := &runView{con: console{out: out, err: out, size: func() (int, int, bool) { return 70, 24, true }}}
	now := runStart.Add(12 * time.Second)
	v.ofRun(wire.Run{Run: 42, State: wire.RunRunning, Asked: runStart, Start: runStart.Add(2 * time.Second), Phase: "scan", Progress: wire.Known(0.5)}, now)
	assert.Equal(t, "\rrun 42  running  scan  [#######--------]   50 %  10.0 s\x1b[K", out.String())
	v.ofLog(wire.LogBatch{Run: 41, Lines: []wire.LogLine{{Text: "old"}}}, now)
	v.ofLog(wire.LogBatch{Run: 42, Lines: []wire.LogLine{{Text: "a"}, {Text: "a long line of the program\x1b[2J"}}}, now)
	last := out.String()[strings.LastIndex(out.String(), "\r")+1:]
	assert.Equal(t, 69, len([]rune(strings.TrimSuffix(last, clearLine))))
	assert.Contains(t, last, "10.0 s  a long line…")
	v.notef("something")
	assert.True(t, strings.HasSuffix(out.String(), "\r\x1b[Kdcs: something\n"))
	v.ofRun(wire.Run{Run: 42, State: wire.RunRunning, Asked: runStart, Time: runStart.Add(time.Hour)}, now)
	assert.Equal(t, time.Hour+time.Second, v.elapsed(now.Add(time.Second)), "by the run's own clock")
	assert.Equal(t, "2 h 03 min", durationText(2*time.Hour+3*time.Minute))
	assert.Equal(t, "2 min 03 s", durationText(2*time.Minute+3*time.Second))
	assert.Equal(t, "999 B", sizeText(999))
}

func TestRunLogFollow(t *testing.T) {
	c := newControl(t)
	batch := func(b wire.LogBatch) {
		c.Say(root.Log("ph2acf"), string(wire.Encode(b)))
	}
	c.kept(wire.Run{State: wire.RunRunning})
	cmd := &runLogCmd{busFlags: c.flags(), Follow: true}
	follow := func(kept *bool) func(context.Context, console) error {
		return func(ctx context.Context, con console) (err error) {
			*kept, err = cmd.follow(ctx, con)
			return err
		}
	}
	var kept bool
	con, out, errs := printed()
	ended := going(t, t.Context(), follow(&kept), con)
	l := wire.LogLine{Time: runStart, Stream: "out", Text: "line"}
	// It is on the bus when it has printed something.
	for i := 0; !strings.Contains(errs.String(), "has printed 4 lines before"); i++ {
		require.Less(t, i, 1000)
		batch(wire.LogBatch{Run: 42, First: 5, Lines: []wire.LogLine{l}})
	}
	batch(wire.LogBatch{Run: 41, First: 6, Lines: []wire.LogLine{{Text: "another run's"}}})
	batch(wire.LogBatch{Run: 42, First: 5, Lines: []wire.LogLine{l, {Time: runStart, Stream: "err", Text: "six"}}})
	batch(wire.LogBatch{Run: 42, First: 10, Lines: []wire.LogLine{{Time: runStart, Stream: "out", Text: "ten"}}})
	out.await(t, "ten")
	c.run(wire.Run{State: wire.RunFinished})
	assert.Equal(t, 0, ended())
	assert.False(t, kept)
	assert.Equal(t, "2026-11-20T12:00:00.000Z out line\n2026-11-20T12:00:00.000Z err six\n2026-11-20T12:00:00.000Z out ten\n", out.String())
	assert.Contains(t, errs.String(), "3 lines are missing here")
	assert.Contains(t, errs.String(), "run 42 is finished: dcs run log 42 prints all")

	c.kept(wire.Run{State: wire.RunFinished})
	con, _, _ = printed() // it has ended: what is kept is printed
	cmd.Number = 42
	assert.Equal(t, 0, codeOf(t, follow(&kept)(t.Context(), con)))
	assert.True(t, kept)
	cmd.Number = 43
	assert.ErrorContains(t, follow(&kept)(t.Context(), con), "there is no run 43 yet")
	cmd.Number = 0
	con, _, errs = printed()
	assert.Equal(t, 0, codeOf(t, follow(&kept)(t.Context(), con)))
	assert.Contains(t, errs.String(), "no run is under way")
	cmd.Root = "lab2"
	con, _, errs = printed()
	assert.Equal(t, 5, codeOf(t, follow(&kept)(t.Context(), con)))
	assert.Contains(t, errs.String(), "no run control has said anything on lab2/run/state")
}
