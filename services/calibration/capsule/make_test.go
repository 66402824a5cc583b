package capsule

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/runs"
)

// hv is the only channel of the only device.
func hv(t *testing.T, c runs.Capsule) runs.Channel {
	t.Helper()
	require.Len(t, c.Devices["hv"].Channels, 1)
	return c.Devices["hv"].Channels[0]
}

func TestSummary(t *testing.T) {
	x := newMade(t0, after(10))
	x.say("/hv/meta", `{"kind":"psu","model":"SHQ","serial":"7","firmware":"1.2","driver":"psu 0.1","period":1,"channels":[{"number":0,"label":"M12"}],"fields":{"vmon":{"unit":"V"}}}`)
	for i, v := range []float64{90, 95, 100, 110, 105} { // seconds -1, 0, 1, 10, 11
		x.say("/hv/status", psu("a", i+1, after([]float64{-1, 0, 1, 10, 11}[i]), v, 0))
	}
	c := x.m.capsule()
	d := c.Devices["hv"]
	assert.Equal(t, []string{"psu", "SHQ", "7", "1.2", "psu 0.1"}, []string{d.Kind, d.Model, d.Serial, d.Firmware, d.Driver})
	assert.Equal(t, int64(3), d.Statuses)
	assert.Equal(t, []string{"a"}, d.Boots)
	assert.Equal(t, t0, d.First)
	assert.Equal(t, after(10), d.Last)
	ch := hv(t, c)
	assert.Equal(t, 0, *ch.Number)
	assert.Equal(t, "M12", ch.Label)
	assert.Equal(t, t0, ch.At, "a reading at the start is the last one before it")
	assert.Equal(t, map[string]float64{"on": 1, "vreq": 100, "vmon": 95, "trip": 0}, ch.Before)
	assert.Equal(t, runs.Field{First: 95, Last: 110, Min: 95, Max: 110, Mean: 305.0 / 3, Count: 3, Unit: "V"}, ch.Fields["vmon"])
	assert.NotContains(t, ch.Fields, "seq")
	assert.Zero(t, c.Missing)
}

func TestAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		at   []float64
		want time.Time
	}{
		"the last before":    {[]float64{-20, -2, 3}, after(-2)},
		"the first in it":    {[]float64{2, 4}, after(2)},
		"too long before":    {[]float64{-61, 2}, after(2)},
		"out of order":       {[]float64{5, -2, -3, 4}, after(-2)},
		"nothing in the run": {[]float64{-2}, after(-2)},
	} {
		t.Run(name, func(t *testing.T) {
			x := newMade(t0, after(10))
			for _, s := range c.at {
				x.say("/hv/status", psu("a", 100+int(s), after(s), s, 0))
			}
			ch := hv(t, x.m.capsule())
			assert.Equal(t, c.want, ch.At)
			assert.Equal(t, c.want.Sub(t0).Seconds(), ch.Before["vmon"])
		})
	}
}

func TestMissing(t *testing.T) {
	type s struct {
		boot string
		seq  int
		at   float64
	}
	for name, c := range map[string]struct {
		said    []s
		stopped string
		want    int64
	}{
		"nothing":              {[]s{{"a", 7, 0}, {"a", 8, 1}, {"a", 9, 2}}, "", 0},
		"a hole":               {[]s{{"a", 7, 0}, {"a", 9, 2}}, "", 1},
		"filled by a replay":   {[]s{{"a", 7, 0}, {"a", 9, 2}, {"a", 8, 1}}, "", 0},
		"before the run":       {[]s{{"a", 1, -9}, {"a", 7, -2}, {"a", 8, 1}}, "", 0},
		"after the run":        {[]s{{"a", 7, 9}, {"a", 8, 11}, {"a", 20, 23}}, "", 0},
		"across the start":     {[]s{{"a", 1, -10}, {"a", 21, 10}}, "", 10},
		"across the end":       {[]s{{"a", 1, 9}, {"a", 6, 14}}, "", 1},
		"around all of it":     {[]s{{"a", 1, -10}, {"a", 41, 30}}, "", 10},
		"the head of a boot":   {[]s{{"a", 50, 2}, {"b", 3, 5}}, "", 2},
		"a head that is whole": {[]s{{"a", 50, 2}, {"b", 1, 5}}, "", 0},
		"the first boot":       {[]s{{"a", 50, 2}}, "", 0},
		"the end of a boot":    {[]s{{"a", 5, 2}}, `{"state":"stopped","time":"2026-11-20T12:00:05Z","since":"2026-11-20T12:00:05Z","boot":"a","seq":8}`, 3},
		"an end that is whole": {[]s{{"a", 8, 2}}, `{"state":"stopped","time":"2026-11-20T12:00:05Z","since":"2026-11-20T12:00:05Z","boot":"a","seq":8}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := newMade(t0, after(10))
			for _, s := range c.said {
				x.say("/hv/replay", psu(s.boot, s.seq, after(s.at), 1, 0))
			}
			if c.stopped != "" {
				x.say("/hv/state", c.stopped)
			}
			got := x.m.capsule()
			assert.Equal(t, c.want, got.Missing)
			assert.Equal(t, c.want, got.Devices["hv"].Missing)
		})
	}
}

func TestMissingAlone(t *testing.T) {
	x := newMade(t0, after(10))
	x.say("/hv/status", psu("a", 1, after(-70), 1, 0))
	x.say("/hv/status", psu("a", 100, after(20), 1, 0))
	c := x.m.capsule()
	assert.Equal(t, int64(11), c.Missing, "a device of which all is missing is in it")
	assert.Contains(t, c.Devices, "hv")
}

func TestTrips(t *testing.T) {
	x := newMade(t0, after(100))
	for _, i := range []int{1, 2, 3, 4, 9, 10, 11, 5, 6, 8, 7, 7, 3} { // 5 and 8 are up
		trip := 0
		if i == 5 || i == 8 {
			trip = 1
		}
		x.say("/hv/status", psu("a", i, after(float64(i)), 1, trip))
	}
	x.say("/hv/status", psu("b", 1, after(20), 1, 1)) // the boot before had none at its end
	x.say("/hv/status", psu("b", 2, after(21), 1, 1))
	x.say("/hv/status", `[{"number":0,"interlock":1,"trip":1,"seq":3,"boot":"b","time":"2026-11-20T12:00:22Z"}]`)
	x.say("/hv/status", `[{"number":0,"interlock":0,"trip":1,"seq":4,"boot":"b","time":"2026-11-20T12:00:23Z"}]`)
	x.say("/hv/status", `[{"number":0,"interlock":1,"trip":1,"seq":5,"boot":"b","time":"2026-11-20T12:00:24Z"}]`)
	x.say("/hv/status", psu("b", 6, after(101), 1, 0))
	x.say("/hv/status", psu("b", 7, after(102), 1, 1)) // after the run
	assert.Equal(t, []runs.Event{{Time: after(5), What: "trip"}, {Time: after(8), What: "trip"}, {Time: after(20), What: "trip"}, {Time: after(24), What: "interlock open"}},
		hv(t, x.m.capsule()).Trips)
}

func TestTripAtTheStart(t *testing.T) {
	x := newMade(t0, after(100))
	x.say("/hv/status", psu("a", 1, after(-1), 1, 0))
	x.say("/hv/status", psu("a", 2, after(1), 1, 1))
	x.say("/lv/status", psu("a", 1, after(1), 1, 1)) // it may have been there before
	c := x.m.capsule()
	assert.Len(t, hv(t, c).Trips, 1)
	assert.Empty(t, c.Devices["lv"].Channels[0].Trips)
	assert.Equal(t, 1.0, c.Devices["lv"].Channels[0].Before["trip"])
}

func TestManyTrips(t *testing.T) {
	const n = 3000
	x := newMade(t0, after(2*n))
	for i := range 2 * n {
		x.say("/hv/status", psu("a", i+1, after(float64(i)), 1, i%2))
	}
	c := x.m.capsule()
	require.Len(t, hv(t, c).Trips, maxEvents)
	assert.Equal(t, after(1), hv(t, c).Trips[0].Time)
	assert.Equal(t, after(199), hv(t, c).Trips[99].Time)
	assert.Equal(t, int64(n-maxEvents), c.More)
}

func TestRefusals(t *testing.T) {
	x := newMade(t0, after(10))
	ack := func(s float64, id, phase string) string {
		return fmt.Sprintf(`{"time":%q,"boot":"a","id":%q,"op":"setv","channel":1,"value":2000,"user":"alice","phase":%q,"code":"OUT_OF_RANGE","message":"too high","closest":1000,"readback":null}`,
			stamp(after(s)), id, phase)
	}
	for _, p := range []string{ack(3, "n3", "failed"), ack(2, "n2", "rejected"), ack(2, "n2", "rejected"), ack(4, "n4", "accepted"), ack(5, "n4", "done"),
		ack(11, "n5", "rejected"), ack(-1, "n6", "rejected"), `{"time":`, `[]`} {
		x.say("/hv/ack", p)
	}
	x.say("/run/ack", ack(5, "n9", "rejected"))
	c := x.m.capsule()
	require.Len(t, c.Refused, 2)
	assert.Equal(t, runs.Refusal{Time: after(2), Device: "hv", Channel: "1", Op: "setv", Value: "2000", User: "alice",
		Phase: "rejected", Code: "OUT_OF_RANGE", Message: "too high"}, c.Refused[0])
	assert.Equal(t, "failed", c.Refused[1].Phase)

	for i := range maxRefusals + 5 {
		x.say("/hv/ack", ack(6, fmt.Sprint("m", i), "rejected"))
	}
	c = x.m.capsule()
	assert.Len(t, c.Refused, maxRefusals)
	assert.Equal(t, int64(7), c.More)
}

func TestStates(t *testing.T) {
	x := newMade(t0, after(100))
	say := func(state string, since, said float64, problem string) {
		x.say("/hv/state", fmt.Sprintf(`{"state":%q,"since":%q,"time":%q,"boot":"a","error":%q}`, state, stamp(after(since)), stamp(after(said)), problem))
	}
	say("ready", -10, -10, "")
	say("ready", -10, 5, "") // said again after a reconnect
	say("unreachable", 10, 10, "no answer")
	say("ready", 20, 20, "")
	say("ready", 20, 25, "")
	x.arrival = after(30)
	x.say("/hv/state", `{"state":"lost","boot":"a","error":""}`)
	x.arrival = after(31)
	x.say("/hv/state", `{"state":"lost","boot":"a","error":""}`)
	say("ready", 20, 32, "") // it was only the connection
	say("stopped", 101, 101, "")
	x.m.take(&message{topic: "/old/state", payload: []byte(`{"state":"lost","boot":"z"}`), arrival: after(40).UnixNano(), retained: true})
	x.say("/junk/state", `{"state":1}`)
	c := x.m.capsule()
	assert.Equal(t, []runs.Event{{Time: after(10), What: "unreachable: no answer"}, {Time: after(20), What: "ready"}, {Time: after(30), What: "lost"}}, c.Devices["hv"].States)
	assert.Len(t, c.Devices, 1)
}

func TestSensors(t *testing.T) {
	x := newMade(t0, after(100))
	for _, p := range []string{`20`, `{"value":22.5}`, `{"topic":"x","sensor":"room","measurement":"t","value":"21.5"}`, `null`, `NaN`, `{"value":1`, `1e99`, ``} {
		x.say("/sensor/room/t", p)
		x.arrival = x.arrival.Add(time.Second)
	}
	x.m.take(&message{topic: "/sensor/room/t", payload: []byte(`-40`), arrival: after(50).UnixNano(), retained: true})
	x.m.take(&message{topic: "/old/status", payload: []byte(`{"temperature":-40}`), arrival: after(50).UnixNano(), retained: true})
	x.say("/sensor/a.b/$t.1", `1`)
	x.say("/dht/status", `{"temperature":21,"humidity":40,"number":3,"time":"2026-11-20T12:00:01Z","seq":1,"boot":"b"}`)
	x.say("/old/status", `{"temperature":21,"time":"2026-11-20T12:00:01Z"}`)
	x.say("/old/status", `{"temperature":21,"time":"2026-11-20T12:00:01Z"}`)
	c := x.m.capsule()
	room := c.Devices["sensor/room"].Channels[0]
	assert.Equal(t, runs.Field{First: 20, Last: 21.5, Min: 20, Max: 22.5, Mean: 64.0 / 3, Count: 3}, room.Fields["t"])
	assert.Nil(t, room.Number)
	assert.Equal(t, 20.0, room.Before["t"])
	assert.Contains(t, c.Devices["sensor/a%2Eb"].Channels[0].Fields, "%24t%2E1")
	assert.Equal(t, int64(1), c.Devices["dht"].Channels[0].Fields["humidity"].Count)
	assert.Nil(t, c.Devices["dht"].Channels[0].Number)
	assert.Equal(t, int64(1), c.Devices["old"].Channels[0].Fields["temperature"].Count)
}

func TestPadsAndJunk(t *testing.T) {
	x := newMade(t0, after(100))
	for _, p := range []string{
		`[{"number":0,"on":0,"vreq":0},{"number":1,"on":1,"vreq":5,"time":"2026-11-20T12:00:01Z","seq":1,"boot":"b"}]`,
		`[{"number":1,"vreq":7,"time":"2026-11-20T12:00:02Z","seq":2,"boot":"b"},{"number":2,"vreq":]`, // all or nothing
		`[]`, `{`, `[1,"x",null]`, `"text"`, `{}`, `[{"number":1,"seq":-3}]`, `nonsense`, "\x00",
	} {
		x.say("/lv/status", p)
	}
	c := x.m.capsule()
	require.Len(t, c.Devices["lv"].Channels, 1)
	assert.Equal(t, 1, *c.Devices["lv"].Channels[0].Number)
	assert.Equal(t, int64(1), c.Devices["lv"].Channels[0].Fields["vreq"].Count)
}

func TestArrivalDoesNotCount(t *testing.T) {
	x := newMade(t0, after(10))
	x.arrival = after(86400) // our clock is a day ahead
	x.say("/hv/status", psu("a", 1, after(5), 7, 0))
	x.arrival = after(5)
	x.say("/hv/status", psu("a", 2, after(86400), 9, 0)) // theirs is
	assert.Equal(t, runs.Field{First: 7, Last: 7, Min: 7, Max: 7, Mean: 7, Count: 1}, hv(t, x.m.capsule()).Fields["vmon"])
}

func TestBoundedByJunk(t *testing.T) {
	x := newMade(t0, after(1e6))
	for i := range 4200 {
		x.say(fmt.Sprintf("/junk%d/status", i), `{"x":1,"time":"2026-11-20T12:00:01Z","seq":1,"boot":"b"}`)
		x.say("/hv/status", psu(fmt.Sprint("boot", i), 1, after(float64(i)), 1, 0))
		x.say("/hv/status", fmt.Sprintf(`[{"number":%d,"f%d":1,"seq":%d,"boot":"one","time":%q}]`, i, i, i+1, stamp(after(float64(i)))))
	}
	c := x.m.capsule()
	assert.LessOrEqual(t, len(c.Devices), maxDevices)
	d := c.Devices["hv"]
	assert.LessOrEqual(t, len(d.Channels), maxChannels)
	assert.Positive(t, d.Missing, "statuses of boots that found no room")
	assert.Positive(t, c.More)
}

func TestMakeEndsWithItsContext(t *testing.T) {
	r := open(t, t.TempDir(), Options{})
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(1, 1100)...)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Make(ctx, 1, t0, after(1))
	assert.ErrorIs(t, err, context.Canceled)
	_, err = r.Make(context.Background(), 2, t0, after(1))
	assert.ErrorContains(t, err, "run 2: it is not recorded")
}
