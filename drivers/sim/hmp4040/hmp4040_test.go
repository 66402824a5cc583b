package hmp4040

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
// "!" in front lets a second pass.
func play(t *testing.T, in *Instrument, h *hands, script string) {
	t.Helper()
	for text := range strings.Lines(script) {
		text = strings.TrimSpace(text)
		if rest, ok := strings.CutPrefix(text, "!"); ok {
			h.Pass(time.Second)
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
			*IDN? -> ROHDE&SCHWARZ,HMP4040,103221,HW50020003/SW2.70
			*idn? -> ROHDE&SCHWARZ,HMP4040,103221,HW50020003/SW2.70`},
		{"unknown header: no answer, an error", `
			IDN? ->
			VOLTA 3 ->
			VOLT:FOO? ->
			SYST:ERR? -> -113,"Undefined header"
			SYST:ERR? -> -113,"Undefined header"
			SYST:ERR? -> -113,"Undefined header"
			SYST:ERR? -> 0,"No error"`},
		{"short, long and any case", `
			SOURce:VOLTage:LEVel:IMMediate:AMPLitude 1
			VOLT? -> 1.000
			sour:volt 2
			:Voltage? -> 2.000`},
		{"no form between short and long", `
			VOLTAG 3
			SYST:ERR? -> -113,"Undefined header"`},
		{"out of range is refused, not clamped", `
			VOLT 5
			VOLT 32.06
			VOLT? -> 5.000
			SYST:ERR? -> -222,"Data out of range"
			VOLT -1
			SYST:ERR? -> -222,"Data out of range"
			CURR 10.01
			CURR? -> 1.0000
			SYST:ERROR? -> -222,"Data out of range"
			*ESR? -> 16
			*ESR? -> 0`},
		{"no numbers", `
			VOLT NaN
			SYST:ERR? -> -120,"Numeric data error"
			VOLT inf
			SYST:ERR? -> -120,"Numeric data error"
			VOLT 0x1p2
			SYST:ERR? -> -120,"Numeric data error"
			VOLT
			SYST:ERR? -> -109,"Missing parameter"
			VOLT 1,2
			SYST:ERR? -> -108,"Parameter not allowed"
			VOLT? -> 0.000`},
		{"numbers", `
			VOLT 1.5E1
			VOLT? -> 15.000
			VOLT .5
			VOLT? -> 0.500
			VOLT 500 mV
			VOLT? -> 0.500
			VOLT 2V
			VOLT? -> 2.000`},
		{"resolution", `
			VOLT 1.23456
			VOLT? -> 1.235
			CURR 0.12345
			CURR? -> 0.1234
			CURR 1.23456
			CURR? -> 1.2350`},
		{"limits and steps", `
			VOLT? MIN -> 0.000
			VOLT? MAX -> 32.050
			CURR? MAXimum -> 10.0000
			VOLT MAX
			VOLT? -> 32.050
			VOLT DOWN
			VOLT? -> 31.050
			VOLT:STEP 0.05
			VOLT UP
			VOLT? -> 31.100`},
		{"selection", `
			INST:NSEL? -> 1
			INST:NSEL 3
			INST? -> OUTP3
			INST OUT2
			INST:NSEL? -> 2
			INST:NSEL 5
			SYST:ERR? -> -222,"Data out of range"
			INST:NSEL 0
			SYST:ERR? -> -222,"Data out of range"
			INST:NSEL 1.5
			SYST:ERR? -> -222,"Data out of range"
			INST OUT9
			SYST:ERR? -> -224,"Illegal parameter value"
			INST:NSEL? -> 2`},
		{"a selection is the instrument's", `
			INST:NSEL 2
			VOLT 2
			INST:NSEL 1
			VOLT? -> 0.000
			INST:NSEL 2
			VOLT? -> 2.000`},
		{"compounds", `
			INST OUT1;VOLT 3;CURR 0.5
			VOLT?;CURR? -> 3.000;0.5000
			INST:NSEL 2;:VOLT 4;:INST:NSEL?;:VOLT? -> 2;4.000
			MEAS:VOLT?;CURR? -> 0.000;0.0000
			INST:NSEL 3;VOLT 5
			SYST:ERR? -> -113,"Undefined header"
			VOLT? -> 0.000
			*IDN?;*OPC? -> ROHDE&SCHWARZ,HMP4040,103221,HW50020003/SW2.70;1`},
		{"apply sets both or nothing", `
			APPL 6,2
			APPL? -> 6.000, 2.0000
			APPL 7,99
			SYST:ERR? -> -222,"Data out of range"
			APPL? -> 6.000, 2.0000
			APPL 8
			APPL? -> 8.000, 2.0000`},
		{"queries without command form", `
			MEAS:VOLT
			SYST:ERR? -> -113,"Undefined header"
			MEAS:VOLT? 1
			SYST:ERR? -> -108,"Parameter not allowed"`},
		{"reset", `
			INST:NSEL 2;:VOLT 3
			OUTP 1
			*RST
			INST:NSEL? -> 1
			OUTP:GEN? -> 0
			INST:NSEL 2
			VOLT? -> 0.000`},
		{"housekeeping", `
			SYST:REM;LOC;RWL;MIX;BEEP
			SYST:VERS? -> 1999.0
			*ESE 32
			*ESE? -> 32
			*SRE 256
			SYST:ERR? -> -222,"Data out of range"
			FOO
			*STB? -> 32
			*CLS
			SYST:ERR? -> 0,"No error"
			*STB? -> 0`},
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
		{"armed and master together", `
			VOLT 5
			OUTP:SEL 1
			! MEAS:VOLT? -> 0.000
			OUTP? -> 0
			OUTP:GEN ON
			! MEAS:VOLT? -> 5.000
			OUTP? -> 1
			MEAS:CURR? -> 0.5000
			OUTP:SEL OFF
			! MEAS:VOLT? -> 0.000
			OUTP:GEN? -> 1`},
		{"OUTP energises other armed channels too", `
			INST:NSEL 2;:VOLT 2;:OUTP:SEL 1
			INST:NSEL 1;:VOLT 1;:OUTP 1
			! MEAS:VOLT? -> 1.000
			INST:NSEL 2
			MEAS:VOLT? -> 2.000`},
		{"OUTP 0 leaves the others", `
			INST:NSEL 1;:VOLT 1;:OUTP 1
			INST:NSEL 2;:VOLT 2;:OUTP 1
			OUTP 0
			OUTP:GEN? -> 1
			INST:NSEL 1
			! MEAS:VOLT? -> 1.000`},
		{"constant current", `
			VOLT 5;CURR 0.2;:OUTP 1
			! MEAS:VOLT? -> 2.000
			MEAS:CURR? -> 0.2000
			STAT:QUES:INST:ISUM1:COND? -> 1
			CURR 1
			! STAT:QUES:INST:ISUM1:COND? -> 2
			STAT:QUES:INST:ISUM2:COND? -> 0
			STAT:QUES:INST:ISUM1? -> 3
			STAT:QUES:INST:ISUM1? -> 2
			STAT:QUES:INST:ISUM5:COND? ->
			SYST:ERR? -> -114,"Header suffix out of range"`},
		{"fuse", `
			VOLT 5;CURR 0.2;:FUSE ON;:FUSE:DEL 100
			FUSE:DEL? -> 100
			OUTP 1
			FUSE:TRIP? -> 0
			! FUSE:TRIP? -> 1
			OUTP:SEL? -> 0
			OUTP:GEN? -> 1
			! MEAS:VOLT? -> 0.000
			STAT:QUES:INST:ISUM1:COND? -> 1024
			OUTP:SEL 0
			FUSE:TRIP? -> 0`},
		{"fuse links", `
			INST:NSEL 2;:VOLT 1;:OUTP 1
			INST:NSEL 1;:FUSE:LINK 2
			FUSE:LINK? 2 -> 1
			FUSE:LINK? 3 -> 0
			FUSE:LINK 1
			SYST:ERR? -> -221,"Settings conflict"
			VOLT 5;CURR 0.2;:FUSE 1;:OUTP 1
			! INST:NSEL 2
			OUTP:SEL? -> 0
			FUSE:TRIP? -> 0`},
		{"overvoltage", `
			VOLT:PROT 6;:VOLT 5;:OUTP 1
			! VOLT 7
			! VOLT:PROT:TRIP? -> 1
			OUTP? -> 0
			OUTP 1
			SYST:ERR? -> -221,"Settings conflict"
			VOLT:PROT:CLE
			VOLT:PROT:TRIP? -> 0
			OUTP? -> 0
			VOLT 5;:OUTP 1
			! MEAS:VOLT? -> 5.000
			VOLT:PROT:MODE? -> MEAS
			VOLT:PROT:MODE PROT
			VOLT 6.5
			VOLT:PROT:TRIP? -> 1`},
		{"power of a channel", `
			VOLT 32;CURR 10;:OUTP 1
			! MEAS:CURR? -> 3.2000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, h := bench(Options{})
			play(t, in, h, tt.script)
		})
	}
}

func TestPowerTogether(t *testing.T) {
	in, h := bench(Options{Load: map[int]float64{1: 2, 2: 2, 3: 2, 4: 2}})
	for range 2 {
		play(t, in, h, `
			INST:NSEL 1;:VOLT 16;:CURR 10;:OUTP 1
			INST:NSEL 2;:VOLT 16;:CURR 10;:OUTP 1
			INST:NSEL 3;:VOLT 16;:CURR 10;:OUTP 1
			INST:NSEL 4;:VOLT 16;:CURR 10;:OUTP 1
			! OUTP:GEN? -> 1`)
	}
	var sum float64
	for ch := 1; ch <= 4; ch++ {
		s := in.Channel(ch)
		sum += s.Voltage * s.Current
	}
	assert.LessOrEqual(t, sum, totalPower+1e-6)
	assert.Equal(t, 10.0, in.Channel(4).Limit, "the setting stays")
}

func TestWritesNameTheChannel(t *testing.T) {
	in, h := bench(Options{})
	play(t, in, h, `
		*IDN? -> ROHDE&SCHWARZ,HMP4040,103221,HW50020003/SW2.70
		INST:NSEL 2
		VOLT? -> 0.000
		SYST:ERR? -> 0,"No error"`)
	assert.Empty(t, in.Writes())
	assert.Len(t, in.Log(), 4)
	in.ResetLog()
	play(t, in, h, `
		VOLT 3;CURR 2
		VOLT 99
		OUTP:GEN 1`)
	assert.Equal(t, []string{"2 VOLT 3", "2 CURR 2", "- OUTP:GEN 1"}, in.Writes())
	assert.Equal(t, []string{"VOLT 3;CURR 2", "VOLT 99", "OUTP:GEN 1"}, in.Log())
}

func TestHands(t *testing.T) {
	in, h := bench(Options{})
	in.SetVoltage(1, 5)
	in.SetArmed(1, true)
	in.SetMaster(true)
	h.Pass(time.Second)
	assert.InDelta(t, 5, in.Channel(1).Voltage, 1e-9)
	assert.True(t, in.Channel(1).On)
	assert.True(t, in.Master())
	in.Freeze(true)
	in.SetVoltage(1, 3)
	play(t, in, h, `! MEAS:VOLT? -> 5.000
		VOLT? -> 3.000`)
	in.Freeze(false)
	play(t, in, h, `MEAS:VOLT? -> 3.000`)
	in.Trip(1)
	assert.True(t, in.Channel(1).FuseTripped)
	assert.False(t, in.Channel(1).On)
	in.TripOVP(2)
	assert.True(t, in.Channel(2).OVPTripped)
	in.SetLoad(1, 1, 0)
	in.SetCurrent(1, 2)
	in.SetArmed(1, true)
	h.Pass(time.Second)
	s := in.Channel(1)
	assert.True(t, s.Limited)
	assert.InDelta(t, 2, s.Current, 1e-9)
	assert.Empty(t, in.Writes(), "hands are no commands")
	in.Trip(9)
	assert.Zero(t, in.Channel(9))
}

func FuzzExecute(f *testing.F) {
	for _, s := range []string{
		"*IDN?", "INST:NSEL 2;:VOLT 5;CURR 1;:OUTP 1", "VOLT:PROT:MODE MEAS", "FUSE:LINK? 2",
		"STAT:QUES:INST:ISUM4:COND?", "STAT:QUES:INST:ISUM99999999999999999999?", "VOLT 1e400", ";;:;*", "APPL (,),\"", "FUSE:DEL -1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, h := bench(Options{})
		in.Execute(text)
		h.Pass(time.Second)
		if in.Execute(":*CLS;*OPC?;:OUTP:GEN?") == "" {
			in.Execute("*CLS")
		}
		for ch := 1; ch <= 4; ch++ {
			s := in.Channel(ch)
			if s.Setpoint > MaxVoltage || s.Setpoint < 0 || s.Limit > MaxCurrent || s.Limit < 0 {
				t.Fatalf("%q left channel %d at %+v", text, ch, s)
			}
		}
	})
}
