package psu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/wire"
)

func limits(l map[int]Limit) func(*Config) { return func(c *Config) { c.Limits = l } }

func common(s *supply) { s.ops = Ops{SetI: true, CommonRamp: true, Clear: true} }

func TestRule1RefusedNeverClamped(t *testing.T) {
	play(t, []scene{
		{name: "past the model", do: "a: setv/0 1000.1", acks: "a rejected OUT_OF_RANGE closest=1000", says: "allowed are 0 to 1000 V"},
		{name: "far past", do: "a: setv/0 1e9", acks: "a rejected OUT_OF_RANGE closest=1000"},
		{name: "below", do: "a: setv/0 -0.001", acks: "a rejected OUT_OF_RANGE closest=0"},
		{name: "at the ends", do: "a: setv/0 1000; b: setv/1 -0", acks: "a accepted; a done; b accepted; b done", writes: "setv/0 1000"},
		{name: "operator is narrowest", machine: limits(map[int]Limit{0: {10, 500}}),
			do:   "max 0 600; read; a: setv/0 501; b: setv/0 9; c: setv/1 501",
			acks: "a rejected OUT_OF_RANGE closest=500; b rejected OUT_OF_RANGE closest=10; c accepted; c done", writes: "setv/1 501"},
		{name: "instrument is narrowest", machine: limits(map[int]Limit{0: {10, 500}}),
			do: "max 0 400; read; a: setv/0 401", acks: "a rejected OUT_OF_RANGE closest=400"},
		{name: "model is narrowest", machine: limits(map[int]Limit{0: {-300, 5000}}),
			do: "max 0 4000; read; a: setv/0 1001; b: setv/0 -1", acks: "a rejected OUT_OF_RANGE closest=1000; b rejected OUT_OF_RANGE closest=0"},
		{name: "nothing is left", machine: limits(map[int]Limit{0: {-300, -10}}),
			do: "a: setv/0 0", acks: "a rejected OUT_OF_RANGE", says: "no value is allowed"},
		{name: "current", do: "a: seti/0 0.011; b: seti/0 -1; c: seti/0 0.01",
			acks: "a rejected OUT_OF_RANGE closest=0.01; b rejected OUT_OF_RANGE closest=0; c accepted; c done", writes: "seti/0 0.01"},
		{name: "current by the instrument", supply: func(s *supply) { s.channels[0].MaxAmps = wire.Known(0.005) },
			do: "a: seti/0 0.006", acks: "a rejected OUT_OF_RANGE closest=0.005"},
		{name: "current by the instrument alone", supply: func(s *supply) { s.info.Channels[0].MaxAmps, s.channels[0].MaxAmps = 0, wire.Known(0.005) },
			do: "a: seti/0 0.006; b: seti/0 0.005", acks: "a rejected OUT_OF_RANGE closest=0.005; b accepted; b done", writes: "seti/0 0.005"},
		{name: "no current limit known", supply: func(s *supply) { s.info.Channels[0].MaxAmps = 0 },
			do: "a: seti/0 2; b: seti/0 -1", acks: "a accepted; a done; b rejected OUT_OF_RANGE closest=0", writes: "seti/0 2"},
		{name: "ramp", do: "a: ramp/0 0.5; b: ramp/0 101; c: ramp/0 -5; d: ramp/0 50",
			acks: "a rejected OUT_OF_RANGE closest=1; b rejected OUT_OF_RANGE closest=100; c rejected OUT_OF_RANGE closest=1; d accepted; d done", writes: "ramp/0 50"},
		{name: "a limit narrowed while it waited", do: "hold; a: seti/0 0.002; b: setv/0 100; max 0 50; read; go",
			acks: "a accepted; b accepted; b failed OUT_OF_RANGE closest=50; a done", writes: "seti/0 0.002"},
	})
}

func TestRule2RetainedIsRefused(t *testing.T) {
	play(t, []scene{
		{name: "plain", do: "retained setv/0 100", acks: "b00-1 rejected RETAINED", says: "retain flag"},
		{name: "with an id", do: "retained a: setv/0 100", acks: "a rejected RETAINED"},
		{name: "off too", do: "retained a: switch/0 off", acks: "a rejected RETAINED"},
		{name: "clear and unlock too", do: "retained a: clear/0; retained b: unlock/0", acks: "a rejected RETAINED; b rejected RETAINED"},
		{name: "malformed", do: "retained setv/0 nan", acks: "b00-1 rejected RETAINED"},
		{name: "unknown op", do: "retained boil/0 1", acks: "b00-1 rejected RETAINED"},
		{name: "cleared from the broker", do: "retained setv/0 "},
		{name: "a copy of one that was executed", do: "a: setv/0 100; retained a: setv/0 100; a: setv/0 100",
			acks: "a accepted; a done; a rejected RETAINED; a done", writes: "setv/0 100"},
	})
}

func TestRule3Expired(t *testing.T) {
	play(t, []scene{
		{name: "setv", do: "a: setv/0 100 in=-1s", acks: "a rejected EXPIRED", says: "compare the clocks"},
		{name: "just in time", do: "a: setv/0 100 in=0s", acks: "a accepted; a done", writes: "setv/0 100"},
		{name: "switch on", do: "a: switch/0 on in=-1s", acks: "a rejected EXPIRED"},
		{name: "lock, unlock, clear", do: "a: lock/0 why in=-1s; b: unlock/0 in=-1s; c: clear/0 in=-1s",
			acks: "a rejected EXPIRED; b rejected EXPIRED; c rejected EXPIRED"},
		{name: "switch off is executed", do: "a: switch/0 off in=-1h; b: switch/all off in=-1h",
			acks:   "a accepted; a done; b accepted; b done",
			writes: "switch/0 off; switch/0 off; switch/1 off; switch/2 off"},
		{name: "while it waited", do: "hold; a: seti/0 0.002; b: setv/0 100 in=5s; c: switch/1 off in=5s; sleep 6s; go",
			acks: "a accepted; b accepted; c accepted; b failed EXPIRED; a done; c done", writes: "seti/0 0.002; switch/1 off"},
		{name: "what joined it and has time left is executed",
			do:     "hold; a: seti/0 0.002; b: setv/0 100 in=5s; c: setv/0 100 in=2s; d: setv/0 100 in=20s; e: setv/0 100; sleep 6s; go",
			acks:   "a accepted; b accepted; c accepted; d accepted; e accepted; b failed EXPIRED; c failed EXPIRED; a done; d done; e done",
			writes: "seti/0 0.002; setv/0 100"},
	})
}

func TestRule4NothingIsKeptForLater(t *testing.T) {
	t.Run("before the instrument was seen", func(t *testing.T) {
		m := NewMachine(Config{Boot: "b00"})
		for _, topic := range []string{"setv/0 1", "switch/0 off", "lock/0 {\"reason\":\"x\"}", "seti/9 1"} {
			topic, payload, _ := strings.Cut(topic, " ")
			e := m.Handle(noon, received(topic, payload, false))
			assert.Equal(t, wire.CodeUnreachable, e.Acks[0].Code, topic)
			assert.Equal(t, wire.Rejected, e.Acks[0].Phase, topic)
		}
		s := newSupply()
		assert.Empty(t, m.Handle(noon, s.opened()))
		assert.Nil(t, m.Handle(noon, s.read()).Write)
	})
	play(t, []scene{
		{name: "broken", do: "break; a: setv/0 100; b: switch/0 off; back; wait 1s", acks: "a rejected UNREACHABLE; b rejected UNREACHABLE"},
		{name: "gone", do: "gone; a: setv/0 100; b: lock/0 why; back; wait 1s", acks: "a rejected UNREACHABLE; b rejected UNREACHABLE"},
		{name: "not read yet", do: "break; open; a: setv/0 100; read; b: setv/0 100", acks: "a rejected UNREACHABLE; b accepted; b done", writes: "setv/0 100"},
		{name: "waiting when it goes", do: "hold; a: seti/0 0.002; b: setv/0 100; c: switch/1 off; lose; gone; back; wait 20s",
			acks:   "a accepted; b accepted; c accepted; b failed UNREACHABLE; c failed UNREACHABLE; a failed UNREACHABLE",
			writes: "seti/0 0.002"},
		{name: "a reading from before the break is dropped", do: "break; read; a: setv/0 100", acks: "a rejected UNREACHABLE",
			also: func(g *stage) error {
				if _, fresh := g.m.Status(); fresh {
					return fmt.Errorf("a status is given while the connection is lost")
				}
				return nil
			}},
	})
}

func TestRule5Repeats(t *testing.T) {
	play(t, []scene{
		{name: "of a command done", do: "a: setv/0 100; a: setv/0 100", acks: "a accepted; a done; a done", writes: "setv/0 100"},
		{name: "of one under way", do: "a: setv/0 100; b: switch/0 on; b: switch/0 on; wait 11s; b: switch/0 on",
			acks: "a accepted; a done; b accepted; b accepted; b done; b done", writes: "setv/0 100; switch/0 on"},
		{name: "of one rejected", do: "a: setv/0 2000; a: setv/0 2000", acks: "a rejected OUT_OF_RANGE closest=1000; a rejected OUT_OF_RANGE closest=1000"},
		{name: "with a later expiry", do: "a: setv/0 100 in=1s; a: setv/0 100 in=2s", acks: "a accepted; a done; a done", writes: "setv/0 100"},
		{name: "once expired", do: "a: setv/0 100 in=1s; sleep 5s; a: setv/0 100 in=-4s", acks: "a accepted; a done; a done", writes: "setv/0 100"},
		{name: "other value", do: "a: setv/0 100; a: setv/0 101; a: setv/0 100", acks: "a accepted; a done; a rejected DUPLICATE; a done", writes: "setv/0 100"},
		{name: "other channel", do: "a: setv/0 100; a: setv/1 100", acks: "a accepted; a done; a rejected DUPLICATE", writes: "setv/0 100"},
		{name: "other op", do: "a: setv/0 0; a: ramp/0 0", acks: "a accepted; a done; a rejected DUPLICATE"},
		{name: "other user", do: "a: setv/0 0 user=x; a: setv/0 0 user=y", acks: "a accepted; a done; a rejected DUPLICATE"},
		{name: "dry, then not", do: "a: setv/0 100 dry=1; a: setv/0 100", acks: "a accepted DRY; a rejected DUPLICATE"},
		{name: "malformed", do: "a: setv/0 \"x\"; a: setv/0 \"x\"; a: setv/0 \"y\"", acks: "a rejected BAD_VALUE; a rejected BAD_VALUE; a rejected DUPLICATE"},
		{name: "after ten minutes", do: "a: switch/0 off; sleep 10m; a: switch/0 off; sleep 10m; sleep 1s; a: switch/0 off",
			acks: "a accepted; a done; a done; a accepted; a done", writes: "switch/0 off; switch/0 off"},
		{name: "after ten minutes of a ramp", do: "ramp/0 1; o: switch/0 on; a: setv/0 1000; wait 11m; a: setv/0 1000; wait 6m",
			acks: "b00-1 accepted; b00-1 done; o accepted; o done; a accepted; a accepted; a done", writes: "ramp/0 1; switch/0 on; setv/0 1000"},
		{name: "of a switch off while unreachable", do: "a: switch/0 off; gone; a: switch/0 off", acks: "a accepted; a done; a done", writes: "switch/0 off"},
	})
}

func TestRule5KnowsTheLastThousand(t *testing.T) {
	g := newStage(nil, nil)
	for i := range 1000 {
		assert.NoError(t, g.step(fmt.Sprintf("n%d: seti/0 %g", i, 0.001+float64(i%2)*0.001)))
	}
	writes := len(g.writes)
	assert.Equal(t, 1000, writes)
	assert.NoError(t, g.step("n0: seti/0 0.001"))
	assert.Len(t, g.writes, writes, "the first of a thousand is known")
	assert.NoError(t, g.step("other: seti/0 0.003"))
	assert.NoError(t, g.step("n1: seti/0 0.002"))
	assert.Len(t, g.writes, writes+1, "a thousand with it: the second is known")
	assert.NoError(t, g.step("n0: seti/0 0.001"))
	assert.Len(t, g.writes, writes+2, "the first is not any more")
}

// Nobody can repeat an id that was made up: it takes no place.
func TestRule5MadeUpIDsTakeNoPlace(t *testing.T) {
	g := newStage(nil, nil)
	for range 5 {
		assert.NoError(t, g.step("setv/9 1"))
	}
	assert.Zero(t, g.m.ids.Len())
}

func TestRule6Order(t *testing.T) {
	play(t, []scene{
		{name: "order is the order of the writes", do: "hold; a: seti/0 0.002; b: ramp/0 20; c: setv/0 100; d: setv/1 50; go",
			acks:   "a accepted; b accepted; c accepted; d accepted; a done; b done; c done; d done",
			writes: "seti/0 0.002; ramp/0 20; setv/0 100; setv/1 50"},
		{name: "nothing waits for a ramp", do: "a: switch/0 on; b: setv/0 500; wait 1s; c: setv/1 20; d: seti/0 0.002",
			acks:   "a accepted; a done; b accepted; c accepted; c done; d accepted; d done",
			writes: "switch/0 on; setv/0 500; setv/1 20; seti/0 0.002"},
		{name: "a ramp is superseded", do: "a: switch/0 on; b: setv/0 500; wait 1s; c: setv/0 20; wait 5s",
			acks: "a accepted; a done; b accepted; c accepted; b superseded; c done", writes: "switch/0 on; setv/0 500; setv/0 20"},
		{name: "a switch on is superseded", do: "a: setv/0 500; b: switch/0 on; wait 1s; c: setv/0 20; wait 5s",
			acks: "a accepted; a done; b accepted; c accepted; b superseded; c done", writes: "setv/0 500; switch/0 on; setv/0 20"},
		{name: "a chain of waiting ones", do: "hold; z: seti/1 0.002; a: setv/0 1; b: setv/0 2; c: setv/0 3; x: setv/1 9; go",
			acks:   "z accepted; a accepted; b accepted; a superseded; c accepted; b superseded; x accepted; c done; z done; x done",
			writes: "seti/1 0.002; setv/0 3; setv/1 9"},
		{name: "one being written ends first", do: "hold; a: setv/0 1; b: setv/0 2; go", acks: "a accepted; b accepted; a superseded; b done", writes: "setv/0 1; setv/0 2"},
		{name: "not one that was refused", do: "hold; a: setv/0 1; b: setv/0 2; refuse; go", acks: "a accepted; b accepted; a failed HARDWARE; b done", writes: "setv/0 1; setv/0 2"},
		{name: "behind a current limit sent before it", do: "hold; z: seti/1 0.002; a: setv/0 1; i: seti/0 0.002; b: setv/0 2; go",
			acks:   "z accepted; a accepted; i accepted; b accepted; a superseded; i done; b done; z done",
			writes: "seti/1 0.002; seti/0 0.002; setv/0 2"},
		{name: "a channel never comes up at a setpoint from before", do: "hold; z: seti/1 0.002; a: setv/0 1; o: switch/0 on; b: setv/0 0.2; go",
			acks:   "z accepted; a accepted; o accepted; b accepted; a superseded; b done; o done; z done",
			writes: "seti/1 0.002; setv/0 0.2; switch/0 on"},
		{name: "a switch on before a setv", do: "knob 0 5; read; hold; z: seti/1 0.002; o: switch/0 on; b: setv/0 80; next; next; go",
			acks:   "z accepted; o accepted; b accepted; o superseded; z done",
			writes: "seti/1 0.002; switch/0 on; setv/0 80"},
	})
	g := scene{do: "hold; z: seti/1 0.002; a: setv/0 1; b: setv/0 2; c: setv/0 3",
		acks: "z accepted; a accepted; b accepted; a superseded; c accepted; b superseded", writes: "seti/1 0.002"}.play(t)
	assert.Equal(t, "superseded by setv b", g.acks[3].Message)
	assert.Equal(t, "superseded by setv c", g.acks[5].Message)
}

func TestRule6EqualSetVJoins(t *testing.T) {
	quiet := func(n int) func(*stage) error {
		return func(g *stage) error {
			if g.statuses != n {
				return fmt.Errorf("%d statuses instead of %d", g.statuses, n)
			}
			return nil
		}
	}
	play(t, []scene{
		{name: "a waiting one", do: "hold; z: seti/1 0.002; a: setv/0 100; b: setv/0 100; go",
			acks: "z accepted; a accepted; b accepted; a done; b done; z done", writes: "seti/1 0.002; setv/0 100"},
		{name: "one being written", do: "hold; a: setv/0 100; b: setv/0 100; go", acks: "a accepted; b accepted; a done; b done", writes: "setv/0 100", also: quiet(1)},
		{name: "a ramp", do: "a: switch/0 on; b: setv/0 100; wait 1s; c: setv/0 100; d: setv/0 100.005; wait 10s",
			acks:   "a accepted; a done; b accepted; c accepted; d accepted; b done; c done; d done",
			writes: "switch/0 on; setv/0 100"},
		{name: "a switch on under way goes on", do: "a: setv/0 100; b: switch/0 on; wait 1s; c: setv/0 100; wait 10s",
			acks: "a accepted; a done; b accepted; c accepted; b done; c done", writes: "setv/0 100; switch/0 on"},
		{name: "what stands", do: "knob 0 100; read; a: setv/0 100", acks: "a accepted; a done", also: quiet(0)},
		{name: "the fate of the refused", do: "hold; a: setv/0 100; b: setv/0 100; refuse", acks: "a accepted; b accepted; a failed HARDWARE; b failed HARDWARE", writes: "setv/0 100"},
		{name: "the fate of the superseded", do: "hold; z: seti/1 0.002; a: setv/0 1; b: setv/0 1; c: setv/0 2",
			acks: "z accepted; a accepted; b accepted; c accepted; a superseded; b superseded", writes: "seti/1 0.002"},
		{name: "not what is being replaced", do: "hold; a: setv/0 100; b: setv/0 50; c: setv/0 100; go",
			acks: "a accepted; b accepted; c accepted; b superseded; a superseded; c done", writes: "setv/0 100; setv/0 100"},
		{name: "not one that an off has cut", do: "hold; a: setv/0 100; o: switch/0 off; c: setv/0 100; go",
			acks: "a accepted; o accepted; c accepted; a superseded; o done; c done", writes: "setv/0 100; switch/0 off; setv/0 100"},
		{name: "done only by a reading from after the writes",
			do:   "knob 0 50; a: switch/0 on; wait 6s; blind; hold; o: switch/0 off; n: switch/0 on; next; next; b: setv/0 50; trip 0; read",
			acks: "a accepted; a done; o accepted; n accepted; o superseded; b accepted; n failed TRIPPED; b failed TRIPPED", writes: "switch/0 on; switch/0 off; switch/0 on"},
	})
}

func TestRule7SwitchOffCutsIn(t *testing.T) {
	play(t, []scene{
		{name: "single", do: "hold; z: seti/1 0.002; a: setv/0 100; i: seti/0 0.002; c: clear/0; b: setv/2 5; o: switch/0 off; go",
			acks:   "z accepted; a accepted; i accepted; c accepted; b accepted; o accepted; a superseded; i superseded; c superseded; o done; z done; b done",
			writes: "seti/1 0.002; switch/0 off; setv/2 5"},
		{name: "all", do: "hold; z: seti/1 0.002; a: setv/0 100; b: setv/2 5; o: switch/all off; go",
			acks:   "z accepted; a accepted; b accepted; o accepted; a superseded; b superseded; z superseded; o done",
			writes: "seti/1 0.002; switch/0 off; switch/1 off; switch/2 off"},
		{name: "a ramp", do: "a: setv/0 100; b: switch/0 on; wait 2s; o: switch/0 off; wait 1s; wait 3s",
			acks: "a accepted; a done; b accepted; o accepted; b superseded; o done", writes: "setv/0 100; switch/0 on; switch/0 off"},
		{name: "a ramp of a setv", do: "b: switch/0 on; a: setv/0 100; wait 4s; o: switch/0 off; wait 9s",
			acks: "b accepted; b done; a accepted; o accepted; a superseded; o done", writes: "switch/0 on; setv/0 100; switch/0 off"},
		{name: "the write under way", do: "knob 0 50; read; hold; b: switch/0 on; o: switch/0 off; go",
			acks: "b accepted; o accepted; b superseded; o done", writes: "switch/0 on; switch/0 off"},
		{name: "all, then single", do: "hold; z: seti/1 0.002; a: switch/all off; b: switch/1 off; go",
			acks:   "z accepted; a accepted; b accepted; z superseded; b done; a done",
			writes: "seti/1 0.002; switch/0 off; switch/1 off; switch/2 off; switch/1 off"},
		{name: "all under way, then single", do: "hold; a: switch/all off; b: switch/1 off; go",
			acks: "a accepted; b accepted; b done; a done", writes: "switch/0 off; switch/1 off; switch/2 off; switch/1 off"},
		{name: "single, then all", do: "hold; z: seti/1 0.002; a: switch/1 off; b: switch/all off; go",
			acks:   "z accepted; a accepted; b accepted; a superseded; z superseded; b done",
			writes: "seti/1 0.002; switch/0 off; switch/1 off; switch/2 off"},
		{name: "an off after an off", do: "hold; a: switch/1 off; b: switch/1 off; go", acks: "a accepted; b accepted; a superseded; b done", writes: "switch/1 off; switch/1 off"},
		{name: "two offs in order", do: "hold; z: seti/2 0.002; a: switch/1 off; b: switch/0 off; go",
			acks: "z accepted; a accepted; b accepted; b done; a done; z done", writes: "seti/2 0.002; switch/1 off; switch/0 off"},
		{name: "a clear of all leaves the channel out", do: "hold; a: clear/all; o: switch/2 off; go", acks: "a accepted; o accepted; a done; o done", writes: "clear/0; switch/2 off; clear/1"},
		{name: "a waiting clear of all leaves the channel out", do: "hold; z: seti/1 0.002; a: clear/all; o: switch/0 off; go", acks: "z accepted; a accepted; o accepted; o done; z done; a done", writes: "seti/1 0.002; switch/0 off; clear/1; clear/2"},
		{name: "a switch on takes its channel out of an off of all", do: "knob 0 50; knob 1 50; a: switch/0 on; b: switch/1 on; wait 6s; o: switch/all off; c: switch/0 on; wait 10s", acks: "a accepted; b accepted; a done; b done; o accepted; c accepted; c done; o done", writes: "switch/0 on; switch/1 on; switch/0 off; switch/1 off; switch/2 off; switch/0 on"},
		{name: "what comes after it is executed", do: "hold; z: seti/1 0.002; o: switch/0 off; a: setv/0 3; b: switch/0 on; go; wait 1s",
			acks:   "z accepted; o accepted; a accepted; b accepted; o superseded; z done; a done; b done",
			writes: "seti/1 0.002; switch/0 off; setv/0 3; switch/0 on"},
		{name: "refused by the instrument", do: "hold; a: switch/0 off; refuse", acks: "a accepted; a failed HARDWARE", writes: "switch/0 off"},
		{name: "all, one refused", do: "hold; a: switch/all off; next; refuse; go; wait 11s",
			acks: "a accepted; a failed HARDWARE", writes: "switch/0 off; switch/1 off; switch/2 off",
			supply: func(s *supply) { s.channels[1].On = wire.Yes }},
	})
}

func TestRule8SwitchOn(t *testing.T) {
	play(t, []scene{
		{name: "names the target", do: "knob 0 2; read; a: switch/0 on", acks: "a accepted", writes: "switch/0 on", says: "target is 2 V"},
		{name: "names the target of what waits", do: "hold; z: seti/1 0.002; b: setv/0 70; a: switch/0 on", acks: "z accepted; b accepted; a accepted", writes: "seti/1 0.002", says: "target is 70 V"},
		{name: "standing outside the limit", machine: limits(map[int]Limit{0: {0, 500}}), do: "knob 0 600; read; a: switch/0 on",
			acks: "a rejected OUT_OF_RANGE closest=500", says: "target 600 V"},
		{name: "standing outside, a good one waits", machine: limits(map[int]Limit{0: {0, 500}}),
			do:   "knob 0 600; read; hold; b: setv/0 5; a: switch/0 on; go; wait 1s",
			acks: "b accepted; a accepted; b done; a done", writes: "setv/0 5; switch/0 on"},
		{name: "the good one is refused", machine: limits(map[int]Limit{0: {0, 500}}),
			do:   "knob 0 600; read; hold; b: setv/0 5; a: switch/0 on; refuse",
			acks: "b accepted; a accepted; b failed HARDWARE; a failed OUT_OF_RANGE closest=500", writes: "setv/0 5", says: "target 600 V"},
		{name: "the limit narrowed while it waited, a good one comes after it",
			do:   "knob 0 80; read; hold; z: seti/1 0.002; a: switch/0 on; b: setv/0 5; max 0 50; read; go",
			acks: "z accepted; a accepted; b accepted; a failed OUT_OF_RANGE closest=50; b done; z done", writes: "seti/1 0.002; setv/0 5"},
		{name: "another target than was told", do: "knob 0 6; read; hold; b: setv/0 5; a: switch/0 on; refuse",
			acks: "b accepted; a accepted; b failed HARDWARE; a failed HARDWARE", writes: "setv/0 5", says: "the target is 6 V, and was to be 5 V"},
		{name: "the knob was turned while it waited", do: "hold; z: seti/0 0.002; a: switch/0 on; knob 0 900; break; go; back",
			acks: "z accepted; a accepted; a failed UNREACHABLE; z done", writes: "seti/0 0.002"},
		{name: "tripped", do: "knob 0 7; trip 0; read; a: switch/0 on", acks: "a rejected TRIPPED", says: "target is 7 V"},
		{name: "interlock", do: "knob 0 7; interlock 0; read; a: switch/0 on", acks: "a rejected INTERLOCK", says: "target is 7 V"},
		{name: "tripped while it waited", do: "hold; z: seti/1 0.002; a: switch/0 on; trip 0; read; go", acks: "z accepted; a accepted; a failed TRIPPED; z done", writes: "seti/1 0.002"},
		{name: "another channel's trip", do: "trip 1; read; a: switch/0 on", acks: "a accepted; a done", writes: "switch/0 on"},
		{name: "clear never energises", do: "knob 0 50; a: switch/0 on; wait 6s; trip 0; wait 6s; c: clear/0; wait 5s",
			acks: "a accepted; a done; c accepted; c done", writes: "switch/0 on; clear/0"},
		{name: "setpoint unknown", supply: func(s *supply) { s.channels[0].VReq = wire.Value{} }, do: "a: switch/0 on", acks: "a rejected UNREACHABLE"},
		{name: "all", do: "a: switch/all on", acks: "a rejected NO_CHANNEL"},
		{name: "dry", do: "trip 0; read; a: switch/0 on dry=1; b: switch/1 on dry=1", acks: "a rejected TRIPPED; b accepted DRY"},
	})
}

func TestRule9Busy(t *testing.T) {
	g := newStage(nil, nil)
	g.hold = true
	do := func(s string) string {
		assert.NoError(t, g.step(s))
		return ackText(g.acks[len(g.acks)-1])
	}
	do("z: seti/2 0.002")
	do("v: setv/0 5")
	for i := range MaxWaiting - 2 {
		assert.Contains(t, do(fmt.Sprintf("n%d: seti/%d 0.002", i, i%2)), "accepted")
	}
	assert.Equal(t, "j accepted", do("j: setv/0 5"), "the hundredth")
	assert.Equal(t, "x rejected BUSY", do("x: seti/0 0.002"))
	assert.Equal(t, "y rejected BUSY", do("y: setv/1 1"))
	assert.Equal(t, "k rejected BUSY", do("k: setv/0 5"), "who joins waits too")
	assert.Equal(t, "x rejected BUSY", do("x: seti/0 0.002"), "repeated")
	before := len(g.acks)
	assert.Equal(t, "j superseded", do("w: setv/0 6"), "it takes the place of another")
	assert.Equal(t, []string{"w accepted", "v superseded", "j superseded"}, g.ackTexts()[before:])
	assert.Equal(t, "l accepted", do("l: lock/2 why"), "it does not wait")
	assert.LessOrEqual(t, g.m.waiting(), MaxWaiting)
	assert.Equal(t, "p accepted", do("p: seti/0 0.002"))
	assert.Equal(t, MaxWaiting, g.m.waiting())
	assert.Contains(t, do("o: switch/all off"), "superseded", "switch off has always room")
	assert.Equal(t, 1, g.m.waiting())
	assert.NoError(t, g.step("go"))
	assert.Equal(t, []string{"seti/2 0.002", "switch/0 off", "switch/1 off", "switch/2 off"}, g.writes)
}

func TestRule11AStartWritesNothing(t *testing.T) {
	s := newSupply()
	s.channels[0].On, s.channels[0].VReq, s.channels[0].VMon = wire.Yes, wire.Known(2000), wire.Known(300)
	s.trip(1)
	s.openInterlock(2)
	m := NewMachine(Config{Boot: "b00", Limits: Limits{0: {0, 10}}, Locks: map[int]wire.LockTag{0: {Reason: "x"}}})
	for _, ev := range []any{Tick{}, Broken{}, s.opened(), s.read(), Tick{}, s.read(), Gone{}, s.opened(), s.read(), Written{}, Saved{}} {
		assert.Equal(t, Effects{}, m.Handle(noon, ev), "%T", ev)
	}
	status, fresh := m.Status()
	assert.True(t, fresh)
	assert.Equal(t, wire.Yes, status[0].On)
	assert.Equal(t, wire.Yes, status[0].Locked)
}

func TestRule12OutcomeUnknown(t *testing.T) {
	play(t, []scene{
		{name: "setv not executed", do: "hold; a: setv/0 100; lose; back; wait 1s", acks: "a accepted; a failed UNREACHABLE", writes: "setv/0 100", says: "0 V reads back: it was not executed"},
		{name: "setv executed", do: "hold; a: setv/0 100; lose done; back; wait 1s", acks: "a accepted; a done", writes: "setv/0 100"},
		{name: "setv executed and ramping", do: "o: switch/0 on; hold; a: setv/0 100; lose done; back; wait 10s", acks: "o accepted; o done; a accepted; a done", writes: "switch/0 on; setv/0 100"},
		{name: "seti both ways", do: "hold; a: seti/0 0.002; lose; back; hold; b: seti/0 0.003; lose done; back",
			acks: "a accepted; a failed UNREACHABLE; b accepted; b done", writes: "seti/0 0.002; seti/0 0.003"},
		{name: "ramp both ways", do: "hold; a: ramp/0 20; lose; back; hold; b: ramp/0 30; lose done; back",
			acks: "a accepted; a failed UNREACHABLE; b accepted; b done", writes: "ramp/0 20; ramp/0 30"},
		{name: "switch on not executed", do: "hold; a: switch/0 on; lose; back", acks: "a accepted; a failed UNREACHABLE", writes: "switch/0 on", says: "is off: it was not executed"},
		{name: "switch on executed", do: "knob 0 50; read; hold; a: switch/0 on; lose done; back; wait 5s", acks: "a accepted; a done", writes: "switch/0 on"},
		{name: "switch off not executed", do: "a: switch/0 on; hold; b: switch/0 off; lose; back", acks: "a accepted; a done; b accepted; b failed UNREACHABLE", writes: "switch/0 on; switch/0 off", says: "send it again"},
		{name: "switch off executed", do: "a: switch/0 on; hold; b: switch/0 off; lose done; back", acks: "a accepted; a done; b accepted; b done", writes: "switch/0 on; switch/0 off"},
		{name: "clear executed", do: "trip 0; read; hold; b: clear/0; lose done; back", acks: "b accepted; b done", writes: "clear/0"},
		{name: "clear not executed", do: "trip 0; read; hold; b: clear/0; lose; back; wait 11s", acks: "b accepted; b failed TIMEOUT", writes: "clear/0", says: "still latched"},
		{name: "off of all on its way", do: "a: switch/2 on; hold; b: switch/all off; next; lose; back", acks: "a accepted; a done; b accepted; b done",
			writes: "switch/2 on; switch/0 off; switch/1 off; switch/2 off"},
		{name: "an off and a lock that are refused are not followed by a switch on from before", do: "hold; z: seti/1 0.002; a: switch/0 on; break; o: switch/0 off; l: lock/0 why; back; go; wait 1s",
			acks: "z accepted; a accepted; a failed UNREACHABLE; o rejected UNREACHABLE; l rejected UNREACHABLE; z done", writes: "seti/1 0.002"},
		{name: "never comes back", do: "hold; a: setv/0 100; lose; gone; sleep 11s", acks: "a accepted; a failed UNREACHABLE", writes: "setv/0 100", says: "outcome is unknown",
			also: func(g *stage) error {
				if r := g.acks[1].Readback; r.Valid {
					return fmt.Errorf("the readback %v is from before", r)
				}
				return nil
			}},
		{name: "before the write", do: "hold; z: seti/1 0.002; a: setv/0 100; lose; back; wait 1s", acks: "z accepted; a accepted; a failed UNREACHABLE; z failed UNREACHABLE", writes: "seti/1 0.002"},
		{name: "after the write", do: "o: switch/0 on; a: setv/0 100; break; sleep 5s; back; wait 5s", acks: "o accepted; o done; a accepted; a done", writes: "switch/0 on; setv/0 100"},
		{name: "an off waits for no reading", do: "o: switch/0 on; hold; a: setv/0 100; b: switch/0 off; lose; open; read",
			acks: "o accepted; o done; a accepted; b accepted; a superseded; b done", writes: "switch/0 on; setv/0 100; switch/0 off"},
		{name: "repeated by its sender", do: "hold; a: setv/0 100; lose; back; a: setv/0 100", acks: "a accepted; a failed UNREACHABLE; a failed UNREACHABLE", writes: "setv/0 100"},
	})
}

func TestAnotherInstrumentAnswers(t *testing.T) {
	g := newStage(nil, nil)
	for _, step := range []string{"hold", "a: setv/0 100", "b: setv/1 100", "lose"} {
		assert.NoError(t, g.step(step))
	}
	g.supply.info.Serial = "18"
	assert.NoError(t, g.step("back"))
	assert.Equal(t, []string{"a accepted", "b accepted", "b failed UNREACHABLE", "a failed UNREACHABLE"}, g.ackTexts())
	assert.Equal(t, []string{"setv/0 100"}, g.writes)

	assert.NoError(t, g.step("c: setv/2 100"))
	for _, step := range []string{"hold", "d: setv/2 200", "e: setv/0 100", "f: setv/2 300", "lose"} {
		assert.NoError(t, g.step(step))
	}
	g.supply.info.Channels = g.supply.info.Channels[:2]
	g.supply.channels = g.supply.channels[:2]
	before := len(g.acks)
	assert.NoError(t, g.step("back"))
	assert.Equal(t, []string{"d failed UNREACHABLE"}, g.ackTexts()[before:])
	assert.NoError(t, g.step("g: setv/2 1"))
	assert.Equal(t, "g rejected NO_CHANNEL", g.ackTexts()[len(g.acks)-1])
}

func TestRule13Dry(t *testing.T) {
	play(t, []scene{
		{name: "of all ops", do: "a: setv/0 1 dry=1; b: seti/0 0.002 dry=1; c: switch/0 on dry=1; d: switch/all off dry=1; e: ramp/0 5 dry=1; f: clear/all dry=1; g: lock/0 why dry=1; h: unlock/0 dry=1; i: setv/0 1; wait 1s",
			acks:   "a accepted DRY; b accepted DRY; c accepted DRY; d accepted DRY; e accepted DRY; f accepted DRY; g accepted DRY; h accepted DRY; i accepted; i done",
			writes: "setv/0 1"},
		{name: "is checked", do: "a: setv/0 2000 dry=1; b: setv/7 1 dry=1; c: setv/0 1 dry=1 in=-1s; d: setv/0 1 dry=2; e: setv/0 1 dri=1",
			acks: "a rejected OUT_OF_RANGE closest=1000; b rejected NO_CHANNEL; c rejected EXPIRED; d rejected BAD_VALUE; e rejected BAD_VALUE"},
		{name: "does not supersede", do: "o: switch/0 on; a: setv/0 100; b: setv/0 5 dry=1; c: switch/0 off dry=1; wait 10s",
			acks: "o accepted; o done; a accepted; b accepted DRY; c accepted DRY; a done", writes: "switch/0 on; setv/0 100"},
	})
}
