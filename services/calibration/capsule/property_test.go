package capsule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/runs"
)

// truth is one status of a supply, as it was sent.
type truth struct {
	device, boot string
	seq          int
	time         time.Time
	vmon         [2]float64 // of channels 1 and 2
	trip         [2]int
	lost         bool
}

func (s *truth) payload() string {
	one := func(i int) string {
		return fmt.Sprintf(`{"number":%d,"vmon":%v,"trip":%d,"time":%q,"seq":%d,"boot":%q}`, i+1, s.vmon[i], s.trip[i], stamp(s.time), s.seq, s.boot)
	}
	return "[" + one(0) + "," + one(1) + "]"
}

// history makes what some devices send from two minutes before t0 to two after
// the window of ten minutes; some of it is lost.
func history(rnd *rand.Rand, loss float64) []truth {
	var all []truth
	for d := range 3 {
		boot, seq, trip := 0, rnd.IntN(50), 0
		lost := 0
		for s := -120.0; s < 720; s += 1 + 0.01*rnd.Float64() {
			if rnd.IntN(200) == 0 { // a new start
				boot, seq = boot+1, 0
			}
			if rnd.IntN(30) == 0 {
				trip = 1 - trip
			}
			if rnd.Float64() < loss {
				lost = 1 + rnd.IntN(5)
			}
			seq++
			all = append(all, truth{device: fmt.Sprint("dev", d), boot: fmt.Sprint(d, "-", boot), seq: seq, time: after(s).Truncate(time.Microsecond),
				vmon: [2]float64{100 + rnd.NormFloat64(), rnd.NormFloat64() * 1e-7}, trip: [2]int{trip, 0}, lost: lost > 0 && seq > 1})
			lost--
		}
	}
	return all
}

// shuffled is in what order it comes: repeated, and for a part late.
func shuffled(rnd *rand.Rand, all []truth) []*truth {
	type arrival struct {
		s  *truth
		at time.Time
	}
	var order []arrival
	for i := range all {
		s := &all[i]
		if s.lost {
			continue
		}
		order = append(order, arrival{s, s.time.Add(time.Duration(rnd.IntN(3)) * 5 * time.Second)})
		for range rnd.IntN(3) {
			order = append(order, arrival{s, s.time.Add(time.Duration(rnd.IntN(300)) * time.Second)})
		}
	}
	slices.SortStableFunc(order, func(a, b arrival) int { return a.at.Compare(b.at) })
	var out []*truth
	for _, a := range order {
		out = append(out, a.s)
	}
	return out
}

// naive makes a capsule out of what came, knowing all of it.
func naive(all []truth, from, to time.Time) map[string]runs.Device {
	devices := make(map[string]runs.Device)
	for d := range 3 {
		name := fmt.Sprint("dev", d)
		out := runs.Device{Channels: make([]runs.Channel, 2)}
		var sum [2]float64
		was := [2]int{-1, -1}
		for ch := range out.Channels {
			out.Channels[ch].Fields = make(map[string]runs.Field)
		}
		for _, s := range all {
			if s.device != name || s.lost {
				continue
			}
			in := !s.time.Before(from) && !s.time.After(to)
			if in {
				out.Statuses++
			}
			for i := range out.Channels {
				ch := &out.Channels[i]
				if !s.time.After(from) && !s.time.Before(from.Add(-time.Minute)) {
					ch.At, ch.Before = s.time, map[string]float64{"vmon": s.vmon[i], "trip": float64(s.trip[i])}
				}
				if in && was[i] == 0 && s.trip[i] == 1 {
					ch.Trips = append(ch.Trips, runs.Event{Time: s.time, What: "trip"})
				}
				was[i] = s.trip[i]
				if !in {
					continue
				}
				f := ch.Fields["vmon"]
				if f.Count == 0 {
					f.First, f.Min, f.Max = s.vmon[i], s.vmon[i], s.vmon[i]
				}
				f.Last, f.Min, f.Max = s.vmon[i], min(f.Min, s.vmon[i]), max(f.Max, s.vmon[i])
				f.Count++
				sum[i] += s.vmon[i]
				f.Mean = sum[i] / float64(f.Count)
				ch.Fields["vmon"] = f
			}
		}
		devices[name] = out
	}
	return devices
}

func TestAsNaive(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			all := history(rnd, []float64{0, 0.01, 0.1}[seed%3])
			x := newMade(t0, after(600))
			for _, s := range shuffled(rnd, all) {
				topic := "/status"
				if rnd.IntN(2) == 0 {
					topic = "/replay"
				}
				x.say("/"+s.device+topic, s.payload())
			}
			got := x.m.capsule()
			want := naive(all, t0, after(600))
			var missing int64
			for name, w := range want {
				g := got.Devices[name]
				require.Len(t, g.Channels, 2, name)
				assert.Equal(t, w.Statuses, g.Statuses)
				missing += g.Missing
				for i, ch := range w.Channels {
					gc := g.Channels[i]
					assert.Equal(t, ch.Before, gc.Before)
					assert.True(t, ch.At.Equal(gc.At))
					assert.Equal(t, ch.Trips, gc.Trips, "%s %d", name, i)
					wf, gf := ch.Fields["vmon"], gc.Fields["vmon"]
					assert.InEpsilon(t, wf.Mean, gf.Mean, 1e-9)
					wf.Mean, gf.Mean = 0, 0
					assert.Equal(t, wf, gf)
				}
			}
			assert.Equal(t, missing, got.Missing)
			assertLost(t, all, got)
		})
	}
}

// assertLost compares what is missing with what was lost. Of a hole across an
// edge the share is by time, and of the end of a boot nothing is known.
func assertLost(t *testing.T, all []truth, got runs.Capsule) {
	t.Helper()
	most := make(map[string]int) // the last number of a boot that came
	for _, s := range all {
		if !s.lost {
			most[s.boot] = max(most[s.boot], s.seq)
		}
	}
	for name, d := range got.Devices {
		var lost int64
		for _, s := range all {
			if s.device == name && s.lost && s.seq < most[s.boot] && !s.time.Before(t0) && !s.time.After(after(600)) {
				lost++
			}
		}
		assert.InDelta(t, lost, d.Missing, 2, name) // one at each edge
	}
}
