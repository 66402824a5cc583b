package live

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/wire"
)

// sent is a status in a test of the age rule: when it was measured, in truth, and
// how long it was on its way.
type sent struct {
	at, way time.Duration
	clock   time.Duration // the sender's clock less ours
	boot    string
	old     time.Duration // how old it is to be thought when it comes
}

func TestAge(t *testing.T) {
	s, ms := time.Second, time.Millisecond
	every := func(from, to, clock, old time.Duration) (out []sent) {
		for at := from; at < to; at += s {
			out = append(out, sent{at: at, way: 5 * ms, clock: clock, old: old})
		}
		return out
	}
	join := func(parts ...[]sent) (out []sent) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	// What a broker delivers that was frozen from 'from' to 'to'.
	frozen := func(from, to, clock time.Duration) (out []sent) {
		for at := from; at < to; at += s {
			way := to - at + at/10000
			out = append(out, sent{at: at, way: way, clock: clock, old: way - 5*ms})
		}
		return out
	}
	for _, tt := range []struct {
		name string
		sent []sent
		off  time.Duration // that is allowed
	}{
		{"a good clock", every(0, 10*s, 0, 0), 6 * ms},
		{"an hour ahead", every(0, 10*s, time.Hour, 0), 0},
		{"an hour behind: believed once the pace confirms it",
			join([]sent{{at: 0, way: 5 * ms, clock: -time.Hour, old: time.Hour + 5*ms}}, every(s, 10*s, -time.Hour, 0)), 0},
		{"in 1970", join([]sent{{at: 0, way: 5 * ms, clock: -50 * 365 * 24 * time.Hour, old: 50*365*24*time.Hour + 5*ms}}, every(s, 4*s, -50*365*24*time.Hour, 0)), 0},
		{"late after a freeze", join(every(0, 10*s, 0, 0), frozen(10*s, 30*s, 0), every(31*s, 35*s, 0, 0)), 60 * ms},
		{"late after a freeze, an hour ahead", join(every(0, 10*s, time.Hour, 0), frozen(10*s, 30*s, time.Hour), every(31*s, 35*s, time.Hour, 0)), 60 * ms},
		{"late after a freeze that was there before us", join(frozen(0, 20*s, 0), every(20*s, 30*s, 0, 0)), 6 * ms},
		{"stays late: as old as it says", []sent{{at: 0, way: 20 * s, old: 20 * s}}, 0},
		{"quick ones beside a slow one", []sent{{at: 0, way: 5 * ms}, {at: s, way: 5 * ms}, {at: 2 * s, way: 905 * ms, old: 900 * ms}, {at: 3 * s, way: 5 * ms}}, 6 * ms},
		{"set forward", join(every(0, 5*s, 0, 0), every(5*s, 9*s, time.Hour, 0)), 6 * ms},
		{"set back, against the contract", join(every(0, 5*s, 0, 0), []sent{{at: 5 * s, way: 5 * ms, clock: -time.Hour, old: time.Hour}}, every(6*s, 9*s, -time.Hour, 0)), 12 * ms},
		{"a new start of one that is an hour behind", join(
			[]sent{{at: 0, way: 5 * ms, clock: -time.Hour, old: time.Hour + 5*ms}}, every(s, 4*s, -time.Hour, 0),
			[]sent{{at: 4 * s, way: 5 * ms, clock: -time.Hour, boot: "b"}, {at: 5 * s, way: 5 * ms, clock: -time.Hour, boot: "b"}}), 6 * ms},
		{"a new start of one that was set back meanwhile", join(every(0, 4*s, 0, 0),
			[]sent{{at: 4 * s, way: 5 * ms, clock: -time.Hour, boot: "b", old: time.Hour}, {at: 5 * s, way: 5 * ms, clock: -time.Hour, boot: "b"}}), 12 * ms},
		{"several at once, late: their pace is not judged by them alone",
			[]sent{{at: 0, way: 20 * s, old: 20 * s}, {at: 5 * ms, way: 20 * s, old: 20 * s}, {at: 10 * ms, way: 20 * s, old: 20 * s}, {at: 20 * s, way: 20 * ms, old: 20 * ms}}, 30 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := time.Now()
			var c clock
			for i, s := range tt.sent {
				boot := s.boot
				if boot == "" {
					boot = "a"
				}
				old := c.late(boot, base.Add(s.at+s.way), base.Round(0).UTC().Add(s.at+s.clock))
				assert.InDelta(t, s.old, old, float64(tt.off), "status %d, measured at %v", i, s.at)
				assert.GreaterOrEqual(t, old, time.Duration(0), "status %d", i)
			}
		})
	}
}

func TestAgeWithoutATime(t *testing.T) {
	var c clock
	now := time.Now()
	for range 3 {
		assert.Zero(t, c.late("", now, time.Time{}))
		assert.Zero(t, c.late("", now, now.AddDate(5000, 0, 0)))
		now = now.Add(time.Second)
	}
	assert.Zero(t, c.late("", now, now), "its clock is judged from its first time on")
}

// A clock that is too slow by 0.05 % is followed.
func TestAgeDrift(t *testing.T) {
	base := time.Now()
	var c clock
	for at := time.Duration(0); at < 24*time.Hour; at += time.Second {
		measured := base.Round(0).Add(at - at/2000)
		old := c.late("a", base.Add(at), measured)
		if old > 10*time.Millisecond {
			t.Fatalf("after %v thought to be %v old", at, old)
		}
	}
}

func TestFreshness(t *testing.T) {
	ms, s := time.Millisecond, time.Second
	state := func(is string) *wire.State { return &wire.State{State: is} }
	for _, tt := range []struct {
		age, period time.Duration
		state       *wire.State
		want        string
	}{
		{0, s, nil, Fresh},
		{1500 * ms, s, state(wire.Ready), Fresh},
		{1540 * ms, s, state(wire.Ready), Fresh},
		{1560 * ms, s, state(wire.Ready), Stale},
		{5 * s, s, state(wire.Ready), Stale},
		{5100 * ms, s, state(wire.Ready), Invalid},
		{80 * s, 60 * s, state(wire.Ready), Fresh},
		{91 * s, 60 * s, state(wire.Ready), Stale},
		{60 * ms, 10 * ms, state(wire.Ready), Fresh},
		{0, s, state(wire.Starting), Fresh},
		{0, s, state(wire.Unreachable), Stale},
		{0, s, state(wire.Stopped), Stale},
		{0, s, state(wire.Lost), Stale},
		{6 * s, s, state(wire.Lost), Invalid},
	} {
		assert.Equal(t, tt.want, freshness(tt.age, tt.period, tt.state), "%v of %v, %v", tt.age, tt.period, tt.state)
	}
}

func TestPeriod(t *testing.T) {
	for p, want := range map[float64]time.Duration{1: time.Second, 0.01: 10 * time.Millisecond, 3600: time.Hour, 0: time.Second, -3: time.Second, 1e300: time.Second} {
		assert.Equal(t, want, period(&wire.Meta{Period: p}), "%v", p)
	}
	assert.Equal(t, time.Second, period(nil))
}
