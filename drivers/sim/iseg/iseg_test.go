package iseg

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// hands is a clock that a test turns.
type hands struct {
	mu sync.Mutex
	t  time.Time
}

func (h *hands) Now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.t }

func (h *hands) Pass(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.t = h.t.Add(d) }

func bench(opts Options) (*Instrument, *hands) {
	h := &hands{t: time.Unix(0, 0)}
	opts.Now = h.Now
	return New(opts), h
}

// play sends lines that each wait for what stands behind "->"; "-> " is no answer.
// "!" in front lets ten seconds pass.
func play(t *testing.T, in *Instrument, h *hands, script string) {
	t.Helper()
	for text := range strings.Lines(script) {
		text = strings.TrimSpace(text)
		if rest, ok := strings.CutPrefix(text, "!"); ok {
			h.Pass(10 * time.Second)
			text = strings.TrimSpace(rest)
		}
		if text == "" {
			continue
		}
		ask, want, _ := strings.Cut(text, "->")
		assert.Equal(t, strings.TrimSpace(want), in.Execute(strings.TrimSpace(ask)), ask)
	}
}

func TestGrammar(t *testing.T) {
	tests := []struct{ name, script string }{
		{"identification", `
			*IDN? -> iseg Spezialelektronik GmbH,NR042060r4050000200,680041,1.74
			*OPC? -> 1
			*INSTR? -> EDCP
			:READ:MOD:CHAN? -> 4
			:READ:FIRM:REL? -> 1.74`},
		{"setpoint, limits and units", `
			:VOLT 100,(@1)
			:READ:VOLT? (@1) -> 100.000E0V
			:VOLT? (@1) -> 100.000E0V
			:VOLT? (@0) -> 0.00000E0V
			:VOLT:NOM? (@0) -> 1.00000E3V
			:READ:VOLT:LIM? (@0) -> 1.00000E3V
			:CURR 1E-3,(@1)
			:CURR? (@1) -> 1.0000E-3A
			:CURR? (@0) -> 8.0000E-3A
			:CURR:NOM? (@0) -> 8.0000E-3A
			:VOLTAGE 12.5,(@1)
			:READ:VOLTAGE? (@1) -> 12.5000E0V`},
		{"lists", `
			:VOLT 5,(@0-1,3)
			:VOLT? (@0-3) -> 5.00000E0V,5.00000E0V,0.00000E0V,5.00000E0V
			:VOLT? (@3,0) -> 5.00000E0V,5.00000E0V
			:VOLT? (@0-2,2) -> 5.00000E0V,5.00000E0V,0.00000E0V,0.00000E0V`},
		{"lists that are none", `
			:VOLT? (@4) ->
			:SYST:ERR? -> -222,"Data out of range"
			:VOLT? (@2-1) ->
			:SYST:ERR? -> -222,"Data out of range"
			:VOLT? (@) ->
			:SYST:ERR? -> -102,"Syntax error"
			:VOLT? (@a) ->
			:SYST:ERR? -> -102,"Syntax error"
			:VOLT? (1) ->
			:SYST:ERR? -> -102,"Syntax error"
			:VOLT? ->
			:SYST:ERR? -> -109,"Missing parameter"
			:VOLT?(@1) ->
			:SYST:ERR? -> -113,"Undefined header"
			:VOLT (@1) ->
			:SYST:ERR? -> -109,"Missing parameter"
			:VOLT 5 (@1) ->
			:SYST:ERR? -> -109,"Missing parameter"
			:READ:MOD:STAT? (@0) ->
			:SYST:ERR? -> -108,"Parameter not allowed"`},
		{"refused, not clamped, and seen in the status", `
			:VOLT 100,(@1)
			:VOLT 1000.1,(@1)
			:READ:CHAN:STAT? (@0-1) -> 1,5
			:READ:MOD:STAT? -> 30529
			:VOLT? (@1) -> 100.000E0V
			:VOLT -5,(@1)
			:VOLT NaN,(@1)
			:CURR 0.0081,(@1)
			:CURR? (@1) -> 8.0000E-3A
			:SYST:ERR? -> -222,"Data out of range"
			:SYST:ERR? -> -222,"Data out of range"
			:SYST:ERR? -> -120,"Numeric data error"
			:SYST:ERR? -> -222,"Data out of range"
			:READ:CHAN:EVENT:STAT? (@1) -> 4
			*CLS
			:READ:CHAN:STAT? (@1) -> 1
			:READ:CHAN:EVENT:STAT? (@1) -> 0`},
		{"one refuses, the others go on", `
			:VOLT EMCY OFF,(@1)
			:VOLT ON,(@0-2)
			:READ:VOLT:ON? (@0-2) -> 1,0,1`},
		{"compounds", `
			:VOLT 7,(@0);*OPC? -> 1
			:MEAS:VOLT? (@0);CURR? (@0) -> 0.00000E0V;0.0000E0A
			:MEAS:VOLT? (@0);:VOLT? (@0) -> 0.00000E0V;7.00000E0V`},
		{"ramp of the module", `
			:CONF:RAMP:VOLT? -> 1.00000E0%/s
			:CONF:RAMP:VOLT 20
			:CONF:RAMP:VOLT? -> 20.0000E0%/s
			:READ:RAMP:VOLT? -> 20.0000E0%/s
			:READ:RAMP:VOLT? (@0-1) -> 200.000E0V/s,200.000E0V/s
			:CONF:RAMP:VOLT 5%/s
			:CONF:RAMP:VOLT? -> 5.00000E0%/s
			:CONF:RAMP:VOLT 20.1
			:CONF:RAMP:VOLT 0
			:CONF:RAMP:VOLT? -> 5.00000E0%/s
			:READ:RAMP:VOLT:MAX? (@0) -> 200.000E0V/s`},
		{"ramp of a channel", `
			:CONF:RAMP:VOLT:UP 5,(@1)
			:CONF:RAMP:VOLT:DOWN 50,(@1)
			:CONF:RAMP:VOLT:UP? (@0-1) -> 10.0000E0V/s,5.00000E0V/s
			:CONF:RAMP:VOLT:DOWN? (@1) -> 50.0000E0V/s
			:CONF:RAMP:VOLT 7,(@2)
			:READ:RAMP:VOLT? (@2) -> 7.00000E0V/s
			:CONF:RAMP:VOLT:UP 201,(@1)
			:SYST:ERR? -> -222,"Data out of range"`},
		{"module registers", `
			:READ:MOD:STAT? -> 30465
			:CONF:KILL? -> 0
			:CONF:KILL 1
			:CONF:KILL? -> 1
			:READ:MOD:STAT? -> 63233
			:READ:MOD:EVENT:STAT? -> 0
			:CONF:AVER 63
			:CONF:AVER? -> 64`},
		{"reset", `
			:VOLT 50,(@0);:CURR 1E-3,(@0);:VOLT ON,(@0)
			! :READ:CHAN:STAT? (@0) -> 137
			*RST
			:READ:CHAN:STAT? (@0) -> 1048593
			:CURR? (@0) -> 8.0000E-3A
			! :MEAS:VOLT? (@0) -> 0.00000E0V`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, h := bench(Options{})
			play(t, in, h, tt.script)
		})
	}
}

func TestOutputs(t *testing.T) {
	tests := []struct{ name, script string }{
		{"ramp up, end of ramp, ramp down", `
			:VOLT 200,(@0);:VOLT ON,(@0)
			! :MEAS:VOLT? (@0) -> 100.000E0V
			:MEAS:CURR? (@0) -> 100.00E-9A
			:READ:CHAN:STAT? (@0) -> 152
			:READ:CHAN:EVENT:STAT? (@0) -> 128
			:READ:MOD:STAT? -> 29961
			! :READ:CHAN:STAT? (@0) -> 136
			:READ:CHAN:EVENT:STAT? (@0) -> 144
			:VOLT OFF,(@0)
			:READ:VOLT:ON? (@0) -> 0
			! :MEAS:VOLT? (@0) -> 100.000E0V
			:READ:CHAN:STAT? (@0) -> 16
			! :READ:CHAN:STAT? (@0) -> 0
			:READ:CHAN:EVENT:STAT? (@0) -> 152
			:EVENT 16,(@0)
			:READ:CHAN:EVENT:STAT? (@0) -> 136
			:EV CLEAR,(@0)
			:READ:CHAN:EV:STAT? (@0) -> 0`},
		{"emergency", `
			:VOLT 50,(@0);:VOLT ON,(@0)
			! :VOLT EMCY OFF,(@0)
			! :MEAS:VOLT? (@0) -> 0.00000E0V
			:READ:CHAN:STAT? (@0) -> 32
			:VOLT ON,(@0)
			:SYST:ERR? -> -221,"Settings conflict"
			:VOLT EMCY CLR,(@0)
			:READ:CHAN:STAT? (@0) -> 0
			:VOLT ON,(@0)
			:READ:VOLT:ON? (@0) -> 1`},
		{"current limit holds the voltage down", `
			:CURR 50E-9,(@0);:VOLT 100,(@0);:VOLT ON,(@0)
			! :MEAS:VOLT? (@0) -> 50.0000E0V
			:READ:CHAN:STAT? (@0) -> 72`},
		{"kill: a trip latches and blocks", `
			:CONF:KILL 1;:CURR 50E-9,(@0);:VOLT 100,(@0);:VOLT ON,(@0)
			! :READ:CHAN:STAT? (@0) -> 8192
			:READ:CHAN:EVENT:STAT? (@0) -> 8328
			:VOLT ON,(@0)
			:SYST:ERR? -> -221,"Settings conflict"
			:READ:VOLT:ON? (@0) -> 0
			:EVENT 8,(@0)
			:VOLT ON,(@0)
			:READ:VOLT:ON? (@0) -> 0
			:EVENT CLEAR,(@0)
			:READ:CHAN:STAT? (@0) -> 0
			:READ:VOLT:ON? (@0) -> 0
			:CURR 1E-3,(@0)
			:VOLT ON,(@0)
			! :MEAS:VOLT? (@0) -> 100.000E0V`},
		{"delayed trip with ramp", `
			:CONF:TRIP:ACT 1,(@0);TIME 1000,(@0)
			:CONF:TRIP:TIME? (@0) -> 1000ms
			:CONF:TRIP:TIME 4096,(@0)
			:SYST:ERR? -> -222,"Data out of range"
			:CURR 90E-9,(@0);:VOLT 100,(@0);:VOLT ON,(@0)
			! :READ:CHAN:STAT? (@0) -> 8208
			! :MEAS:VOLT? (@0) -> 0.00000E0V`},
		{"a trip of the whole module", `
			:CONF:TRIP:ACTION 3,(@0);:CURR 50E-9,(@0);:VOLT 100,(@0-1);:VOLT ON,(@0-1)
			! :READ:VOLT:ON? (@0-1) -> 0,0
			:READ:CHAN:STAT? (@0-1) -> 8192,0`},
		{"a blocked mask lets it through", `
			:EVENT:MASK 0,(@0);:CONF:KILL 1;:CURR 50E-9,(@0);:VOLT 100,(@0);:VOLT ON,(@0)
			! :READ:CHAN:STAT? (@0) -> 8192
			:READ:CHAN:EVENT:MASK? (@0-1) -> 0,61440
			:VOLT ON,(@0)
			:READ:VOLT:ON? (@0) -> 1`},
		{"bounds", `
			:VOLT:BOU 5,(@0);:CURR 50E-9,(@0);:VOLT 100,(@0);:VOLT ON,(@0)
			! :READ:CHAN:STAT? (@0) -> 2120`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, h := bench(Options{Registers16: true})
			play(t, in, h, tt.script)
		})
	}
}

func TestSafetyLoop(t *testing.T) {
	in, h := bench(Options{Registers16: true})
	play(t, in, h, `
		:VOLT 50,(@0-3);:VOLT ON,(@0-3)
		! :READ:VOLT:ON? (@0-3) -> 1,1,1,1`)
	in.Interlock(true)
	play(t, in, h, `
		! :MEAS:VOLT? (@0-3) -> 0.00000E0V,0.00000E0V,0.00000E0V,0.00000E0V
		:READ:MOD:STAT? -> 25345
		:READ:MOD:EVENT:STAT? -> 1024
		:VOLT ON,(@0)
		:SYST:ERR? -> -221,"Settings conflict"
		:CONF:EVENT CLEAR
		:READ:MOD:EVENT:STAT? -> 1024`)
	in.Interlock(false)
	play(t, in, h, `
		! :READ:VOLT:ON? (@0-3) -> 0,0,0,0
		:VOLT ON,(@0)
		:READ:VOLT:ON? (@0) -> 0
		:CONF:EVENT CLEAR
		:VOLT ON,(@0)
		:READ:VOLT:ON? (@0) -> 1`)
}

func TestExternalInhibit(t *testing.T) {
	in, h := bench(Options{Registers16: true})
	play(t, in, h, `:VOLT 50,(@0);:VOLT ON,(@0)
		! :READ:VOLT:ON? (@0) -> 1`)
	in.Inhibit(0, true)
	play(t, in, h, `
		! :READ:CHAN:STAT? (@0) -> 4096
		:EVENT CLEAR,(@0)
		:READ:CHAN:EVENT:STAT? (@0) -> 4096`)
	in.Inhibit(0, false)
	play(t, in, h, `
		:VOLT ON,(@0)
		:READ:VOLT:ON? (@0) -> 0
		:EVENT CLEAR,(@0)
		:VOLT ON,(@0)
		:READ:VOLT:ON? (@0) -> 1`)
}

func TestNegativePolarity(t *testing.T) {
	in, h := bench(Options{Negative: true, Registers16: false})
	play(t, in, h, `
		:VOLT 50,(@0);:VOLT -60,(@1);:VOLT ON,(@0-1)
		! :VOLT? (@0-1) -> -50.0000E0V,-60.0000E0V
		:MEAS:VOLT? (@0-1) -> -50.0000E0V,-60.0000E0V
		:CONF:OUTP:POL? (@0) -> n
		:READ:CHAN:STAT? (@0) -> 136
		:VOLT -1001,(@0)
		:SYST:ERR? -> -222,"Data out of range"`)
}

func TestWritesNameTheChannel(t *testing.T) {
	in, h := bench(Options{})
	play(t, in, h, `
		*IDN? -> iseg Spezialelektronik GmbH,NR042060r4050000200,680041,1.74
		:READ:CHAN:STAT? (@0) -> 1
		*OPC
		:SYST:ERR? -> 0,"No error"`)
	assert.Empty(t, in.Writes())
	play(t, in, h, `
		:VOLT 5,(@0-1);:VOLT ON,(@1)
		:VOLT 5000,(@1)
		:CONF:RAMP:VOLT 2
		*CLS`)
	assert.Equal(t, []string{
		"0 :VOLT 5,(@0-1)", "1 :VOLT 5,(@0-1)", "1 :VOLT ON,(@1)", "- :CONF:RAMP:VOLT 2", "- *CLS",
	}, in.Writes())
	in.ResetLog()
	assert.Empty(t, in.Log())
}

func TestHands(t *testing.T) {
	in, h := bench(Options{Speed: 10, NoiseV: 0.01, Ramp: 10})
	in.SetVoltage(2, 100)
	in.SetVoltage(3, 2000)
	in.SetOn(2, true)
	h.Pass(time.Second)
	s := in.Channel(2)
	assert.InDelta(t, 100, s.Voltage, 1e-6, "ten times as fast")
	assert.Zero(t, in.Channel(3).Setpoint)
	in.Freeze(true)
	before := in.Execute(":MEAS:VOLT? (@2)")
	in.SetVoltage(2, 0)
	h.Pass(time.Minute)
	assert.Equal(t, before, in.Execute(":MEAS:VOLT? (@2)"))
	in.Freeze(false)
	assert.NotEqual(t, before, in.Execute(":MEAS:VOLT? (@2)"))
	in.Trip(2)
	s = in.Channel(2)
	assert.True(t, s.Tripped)
	assert.NotZero(t, s.Events&bitTrip)
	in.SetCurrent(1, 1e-6)
	assert.Equal(t, 1e-6, in.Channel(1).Limit)
	in.SetLoad(1, 1, 0)
	assert.Empty(t, in.Writes(), "hands are no commands")
	assert.Zero(t, in.Channel(-1))
}

func TestEngineering(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00000E0", 100: "100.000E0", 1000: "1.00000E3", -2000: "-2.00000E3", 999.9999: "1.00000E3",
		0.5: "500.000E-3", 1.23456e-9: "1.23456E-9", 5e-324: "4.94066E-324",
	} {
		assert.Equal(t, want, engineering(v, 6))
	}
	assert.Equal(t, "1.1234E-3", engineering(1.12344e-3, 5))
}

func FuzzExecute(f *testing.F) {
	for _, s := range []string{
		"*IDN?", ":VOLT 100,(@0-2,3);:VOLT ON,(@0)", ":VOLT EMCY OFF,(@1)", ":READ:CHAN:STAT? (@0-99999)", ":VOLT? (@0,0,0,0)",
		":CONF:RAMP:VOLT 5%/s", ":EVENT 4294967296,(@0)", ":VOLT 1e308,(@0)", "(@", ":CONF:TRIP:ACT 4,(@0)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, h := bench(Options{})
		in.Execute(text)
		h.Pass(time.Second)
		for ch := range 4 {
			s := in.Channel(ch)
			if s.Setpoint > 1000 || s.Setpoint < 0 || s.Limit < 0 || s.Limit > 8e-3 || s.Ramp <= 0 {
				t.Fatalf("%q left channel %d at %+v", text, ch, s)
			}
		}
	})
}

// One poll of four channels; a driver does it once a second.
func BenchmarkPoll(b *testing.B) {
	in, h := bench(Options{Leakage: 4e-8})
	in.Execute(":VOLT 1000,(@0-3);:VOLT ON,(@0-3)")
	for b.Loop() {
		h.Pass(time.Second)
		for _, ask := range []string{
			":READ:VOLT? (@0-3)", ":READ:CURR? (@0-3)", ":MEAS:VOLT? (@0-3)", ":MEAS:CURR? (@0-3)", ":READ:CHAN:STAT? (@0-3)",
		} {
			in.Execute(ask)
		}
	}
}
