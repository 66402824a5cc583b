package psu

import (
	"testing"

	"trackerdcs/pkg/wire"
)

func TestDone(t *testing.T) {
	play(t, []scene{
		{name: "setv on a channel that is off", do: "a: setv/0 500", acks: "a accepted; a done", writes: "setv/0 500"},
		{name: "setv on a channel that is on", do: "o: switch/0 on; a: setv/0 50; wait 4500ms; b: seti/1 0.002; wait 1s",
			acks: "o accepted; o done; a accepted; b accepted; b done; a done", writes: "switch/0 on; setv/0 50; seti/1 0.002"},
		{name: "switch on when vmon agrees", do: "knob 0 50; read; a: switch/0 on; wait 4500ms; b: seti/1 0.002; wait 1s",
			acks: "a accepted; b accepted; b done; a done", writes: "switch/0 on; seti/1 0.002"},
		{name: "switch off near zero", do: "knob 0 50; a: switch/0 on; wait 5s; b: switch/0 off; wait 4s; c: seti/1 0.002; wait 1s",
			acks: "a accepted; a done; b accepted; c accepted; c done; b done", writes: "switch/0 on; switch/0 off; seti/1 0.002"},
		{name: "switch off, vmon unknown", supply: func(s *supply) { s.channels[0].VMon = wire.Value{} }, do: "b: switch/0 off; wait 11s", acks: "b accepted; b failed TIMEOUT", writes: "switch/0 off"},
		{name: "clear", do: "trip 0; trip 2; read; a: clear/all", acks: "a accepted; a done", writes: "clear/0; clear/1; clear/2"},
		{name: "a trip while ramping", do: "o: switch/0 on; a: setv/0 500; wait 3s; trip 0; read; wait 1s",
			acks: "o accepted; o done; a accepted; a failed TRIPPED", writes: "switch/0 on; setv/0 500"},
		{name: "an interlock while ramping", do: "o: switch/0 on; a: setv/0 500; wait 3s; interlock 0; read; wait 1s",
			acks: "o accepted; o done; a accepted; a failed INTERLOCK", writes: "switch/0 on; setv/0 500"},
		{name: "a trip while switching on", do: "a: setv/0 500; o: switch/0 on; wait 3s; trip 0; read",
			acks: "a accepted; a done; o accepted; o failed TRIPPED", writes: "setv/0 500; switch/0 on"},
		{name: "an interlock while switching on", do: "a: setv/0 500; o: switch/0 on; wait 3s; interlock 0; read",
			acks: "a accepted; a done; o accepted; o failed INTERLOCK", writes: "setv/0 500; switch/0 on"},
		{name: "a trip of another channel", do: "o: switch/0 on; a: setv/0 50; trip 1; wait 5s", acks: "o accepted; o done; a accepted; a done", writes: "switch/0 on; setv/0 50"},
		{name: "a setpoint for a channel that has tripped", do: "trip 0; read; a: setv/0 50", acks: "a accepted; a done", writes: "setv/0 50"},
		{name: "switched off by hand while ramping", do: "o: switch/0 on; a: setv/0 500; wait 1s; off 0; wait 1s",
			acks: "o accepted; o done; a accepted; a done", writes: "switch/0 on; setv/0 500"},
		{name: "refused by the instrument", do: "hold; a: setv/0 50; refuse", acks: "a accepted; a failed HARDWARE", writes: "setv/0 50", says: "refused by the instrument: no"},
		{name: "one of all refused", do: "trip 1; read; hold; a: clear/all; next; refuse; go; wait 11s", acks: "a accepted; a failed HARDWARE", writes: "clear/0; clear/1; clear/2"},
	})
}

func TestTimeouts(t *testing.T) {
	play(t, []scene{
		{name: "setv is not read back", do: "late; a: setv/0 50; wait 9500ms; b: seti/0 0.002; wait 500ms",
			acks: "a accepted; b accepted; b done; a failed TIMEOUT", writes: "setv/0 50; seti/0 0.002", says: "reads back a setpoint of 0 V"},
		{name: "seti is not read back", do: "deaf; a: seti/0 0.002; wait 10s", acks: "a accepted; a failed TIMEOUT", writes: "seti/0 0.002", says: "current limit of 0.001 A"},
		{name: "ramp is not read back", do: "deaf; a: ramp/0 20; wait 10s", acks: "a accepted; a failed TIMEOUT", writes: "ramp/0 20", says: "ramp of 10 V/s"},
		{name: "clear does not help", do: "trip 0; read; deaf; a: clear/0; wait 10s", acks: "a accepted; a failed TIMEOUT", writes: "clear/0", says: "still latched"},
		{name: "off does not help", do: "a: switch/0 on; deaf; b: switch/0 off; wait 10s", acks: "a accepted; a done; b accepted; b failed TIMEOUT", writes: "switch/0 on; switch/0 off", says: "channel 0 is on"},
		{name: "the current limit holds the voltage: 1.5 · 100/10 + 10 s", do: "load 0 40; o: switch/0 on; a: setv/0 100; wait 24500ms; b: seti/1 0.002; wait 500ms",
			acks: "o accepted; o done; a accepted; b accepted; b done; a failed TIMEOUT", writes: "switch/0 on; setv/0 100; seti/1 0.002", says: "at 40 V, held by its current limit"},
		{name: "switch on: the same time", do: "load 0 40; a: setv/0 100; o: switch/0 on; wait 24500ms; b: seti/1 0.002; wait 500ms",
			acks: "a accepted; a done; o accepted; b accepted; b done; o failed TIMEOUT", writes: "setv/0 100; switch/0 on; seti/1 0.002", says: "held by its current limit"},
		{name: "switch off: the same time", do: "knob 0 100; a: switch/0 on; wait 11s; deaf; b: switch/0 off; wait 24500ms; c: setv/1 0; wait 500ms",
			acks: "a accepted; a done; b accepted; c accepted; c done; b failed TIMEOUT", writes: "switch/0 on; switch/0 off"},
		{name: "the setpoint stays", do: "load 0 40; o: switch/0 on; a: setv/0 100; wait 25s; b: setv/0 100; wait 19s",
			acks: "o accepted; o done; a accepted; a failed TIMEOUT; b accepted; b failed TIMEOUT", writes: "switch/0 on; setv/0 100"},
		{name: "nobody reads", do: "o: switch/0 on; a: setv/0 100; break; sleep 30s", acks: "o accepted; o done; a accepted; a failed UNREACHABLE", writes: "switch/0 on; setv/0 100"},
		{name: "no ramp speed known", supply: func(s *supply) {
			s.ops.Ramp = false
			for i := range s.channels {
				s.channels[i].Ramp = wire.Value{}
			}
		}, do: "o: switch/0 on; a: setv/0 100; wait 10s", acks: "o accepted; o done; a accepted; a failed TIMEOUT", writes: "switch/0 on; setv/0 100"},
	})
}

func TestRampChangedUnderWay(t *testing.T) {
	play(t, []scene{
		{name: "slower", do: "o: switch/0 on; a: setv/0 200; wait 5s; r: ramp/0 2; wait 80s",
			acks: "o accepted; o done; a accepted; r accepted; r done; a done", writes: "switch/0 on; setv/0 200; ramp/0 2"},
		{name: "slower, and it does not get there: 1.5 · 150/2 + 10 s", do: "load 0 55; o: switch/0 on; a: setv/0 200; wait 5s; r: ramp/0 2; wait 122s; b: setv/1 0; wait 1s",
			acks: "o accepted; o done; a accepted; r accepted; r done; b accepted; b done; a failed TIMEOUT", writes: "switch/0 on; setv/0 200; ramp/0 2"},
		{name: "faster", do: "load 0 55; o: switch/0 on; a: setv/0 1000; wait 5s; r: ramp/0 100; wait 25s",
			acks: "o accepted; o done; a accepted; r accepted; r done; a failed TIMEOUT", writes: "switch/0 on; setv/0 1000; ramp/0 100"},
		{name: "by hand", do: "o: switch/0 on; a: setv/0 200; wait 5s; speed 0 2; wait 80s", acks: "o accepted; o done; a accepted; a done", writes: "switch/0 on; setv/0 200"},
		{name: "just before the setv", do: "o: switch/0 on; hold; r: ramp/0 1; a: setv/0 100; next; go; wait 101s",
			acks: "o accepted; o done; r accepted; a accepted; r done; a done", writes: "switch/0 on; ramp/0 1; setv/0 100"},
		{name: "of all", supply: common, do: "o: switch/0 on; a: setv/0 200; wait 5s; r: ramp/all 2; wait 80s",
			acks: "o accepted; o done; a accepted; r accepted; r done; a done", writes: "switch/0 on; setv/0 200; ramp/all 2"},
		{name: "of one that is refused", do: "o: switch/0 on; a: setv/0 200; wait 5s; hold; r: ramp/0 2; refuse; wait 16s",
			acks: "o accepted; o done; a accepted; r accepted; r failed HARDWARE; a done", writes: "switch/0 on; setv/0 200; ramp/0 2"},
		{name: "an answer lost on the way", do: "o: switch/0 on; a: setv/0 200; wait 5s; hold; r: ramp/0 2; lose done; back; wait 80s",
			acks: "o accepted; o done; a accepted; r accepted; r done; a done", writes: "switch/0 on; setv/0 200; ramp/0 2"},
	})
}
