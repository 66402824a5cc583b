package hmp4040

import (
	"context"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/scpi/scpitest"
	"trackerdcs/pkg/wire"
)

var (
	_ psu.Opener         = Open
	_ psu.CurrentLimiter = (*Supply)(nil)
	_ psu.TripClearer    = (*Supply)(nil)
)

// The instrument has no ramp.
func TestNoRamp(t *testing.T) {
	_, each := any(&Supply{}).(psu.Ramper)
	_, common := any(&Supply{}).(psu.CommonRamper)
	assert.False(t, each || common)
}

const opening = `
	*IDN? -> ROHDE&SCHWARZ,HMP4040,109401,HW50020003/SW2.70
	STAT:QUES:INST:ISUM1:COND? -> 0
	*IDN? -> ROHDE&SCHWARZ,HMP4040,109401,HW50020003/SW2.70
	SYST:ERR? -> 0,"No error"
`

// replay opens a supply on a conversation.
func replay(t *testing.T, script string) *Supply {
	t.Helper()
	s, err := replayed(t, opening+script)
	require.NoError(t, err)
	return s
}

func replayed(t *testing.T, script string) (*Supply, error) {
	conn := scpi.New(scpitest.Play(t, "\n", scpitest.Script(script)), scpi.Options{Quiet: time.Millisecond, Timeout: 10 * time.Second})
	t.Cleanup(func() { conn.Close() })
	return start(t.Context(), conn)
}

func TestOpen(t *testing.T) {
	info := replay(t, "").Info()
	assert.Equal(t, "HMP4040", info.Model)
	assert.Equal(t, "109401", info.Serial)
	assert.Equal(t, "HW50020003/SW2.70", info.Firmware)
	require.Len(t, info.Channels, 4)
	assert.Equal(t, psu.ChannelInfo{Number: 1, Max: 32.05, MaxAmps: 10}, info.Channels[0], "there is no channel 0")
	assert.Equal(t, 4, info.Channels[3].Number)
	assert.True(t, info.OneByOne)
}

func TestOpenRefusesAnotherModel(t *testing.T) {
	for idn, want := range map[string]string{
		"ROHDE&SCHWARZ,HMP4030,1,2":              `"ROHDE&SCHWARZ HMP4030" and not an HMP4040`,
		"iseg Spezialelektronik GmbH,HMP4040,1,": "iseg",
	} {
		_, err := replayed(t, "*IDN? -> "+idn)
		require.ErrorContains(t, err, want)
	}
	_, err := replayed(t, `
		*IDN? -> HAMEG,HMP4040,010131673,2.30
		STAT:QUES:INST:ISUM1:COND?
		*IDN? -> HAMEG,HMP4040,010131673,2.30
		SYST:ERR? -> -113,"Undefined header"
		SYST:ERR? -> 0,"No error"`)
	require.NoError(t, err, "the maker's old name, and firmware without the register")
}

const readTwo = `
	OUTP:GEN? -> 1
	INST:NSEL 2
	OUTP:SEL? -> 1
	VOLT? -> 12.000
	CURR? -> 1.5000
	MEAS:VOLT? -> 11.998
	MEAS:CURR? -> 0.2500
	FUSE:TRIP? -> 0
	VOLT:PROT:TRIP? -> 0
	STAT:QUES:INST:ISUM2:COND? -> 2
	INST:NSEL? -> 2
`

func TestRead(t *testing.T) {
	s := replay(t, readTwo)
	got, err := s.Read(t.Context(), []int{2})
	require.NoError(t, err)
	assert.Equal(t, []psu.Reading{{Number: 2, On: wire.Yes, Limited: wire.No, Trip: wire.No,
		VReq: wire.Known(12), IReq: wire.Known(1.5), VMon: wire.Known(11.998), IMon: wire.Known(.25)}}, got)
}

// The original's driver wrote the measured voltage into vreq, threw the
// measured current away, and reported a channel 0.
func TestRegressionsOfTheOriginal(t *testing.T) {
	s := replay(t, readTwo)
	got, err := s.Read(t.Context(), []int{2})
	require.NoError(t, err)
	assert.Equal(t, wire.Known(12), got[0].VReq)
	assert.Equal(t, wire.Known(.25), got[0].IMon)
	_, err = s.Read(t.Context(), []int{0})
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorIs(t, s.SetVoltage(t.Context(), 0, 1), psu.ErrRefused)
}

func TestReadOfWhatIsNotNormal(t *testing.T) {
	for name, c := range map[string]struct {
		replace []string
		check   func(t *testing.T, r psu.Reading)
	}{
		"master off": {[]string{"GEN? -> 1", "GEN? -> 0", "STAT:QUES:INST:ISUM2:COND? -> 2\n", "\n"}, func(t *testing.T, r psu.Reading) {
			assert.Equal(t, wire.No, r.On, "armed is not on")
			assert.Equal(t, wire.No, r.Limited)
		}},
		"disarmed": {[]string{"SEL? -> 1", "SEL? -> 0", "STAT:QUES:INST:ISUM2:COND? -> 2\n", "\n"}, func(t *testing.T, r psu.Reading) {
			assert.Equal(t, wire.No, r.On)
		}},
		"limited": {[]string{"COND? -> 2", "COND? -> 1"}, func(t *testing.T, r psu.Reading) {
			assert.Equal(t, wire.Yes, r.Limited)
		}},
		"fuse": {[]string{"FUSE:TRIP? -> 0", "FUSE:TRIP? -> 1", "STAT:QUES:INST:ISUM2:COND? -> 2\n", "\n"}, func(t *testing.T, r psu.Reading) {
			assert.Equal(t, wire.Yes, r.Trip)
			assert.Equal(t, wire.No, r.On)
		}},
		"overvoltage": {[]string{"PROT:TRIP? -> 0", "PROT:TRIP? -> 1", "STAT:QUES:INST:ISUM2:COND? -> 2\n", "\n"}, func(t *testing.T, r psu.Reading) {
			assert.Equal(t, wire.Yes, r.Trip)
		}},
		"overflow": {[]string{"11.998", "9.91E37"}, func(t *testing.T, r psu.Reading) {
			assert.False(t, r.VMon.Valid)
			assert.True(t, r.VReq.Valid)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := replay(t, strings.NewReplacer(c.replace...).Replace(readTwo))
			got, err := s.Read(t.Context(), []int{2})
			require.NoError(t, err)
			c.check(t, got[0])
		})
	}
}

func TestReadNoticesThatSomebodyElseSelected(t *testing.T) {
	s := replay(t, strings.Replace(readTwo, "NSEL? -> 2", "NSEL? -> 3", 1))
	_, err := s.Read(t.Context(), []int{2})
	require.ErrorContains(t, err, "channel 3 is selected")
	assert.NotErrorIs(t, err, psu.ErrRefused)
	_, err = s.Read(t.Context(), []int{2})
	require.ErrorIs(t, err, scpi.ErrGivenUp)
}

func TestWrites(t *testing.T) {
	s := replay(t, `
		SYST:ERR? -> 0,"No error"
		INST:NSEL 3
		INST:NSEL? -> 3
		VOLT 5.125
		SYST:ERR? -> 0,"No error"
		SYST:ERR? -> 0,"No error"
		INST:NSEL 3
		INST:NSEL? -> 3
		VOLT 0
		SYST:ERR? -> 0,"No error"
		SYST:ERR? -> 0,"No error"
		INST:NSEL 1
		INST:NSEL? -> 1
		CURR 0.1500
		SYST:ERR? -> 0,"No error"
		SYST:ERR? -> 0,"No error"
		INST:NSEL 1
		INST:NSEL? -> 1
		VOLT 40.000
		SYST:ERR? -> -222,"Data out of range"
		SYST:ERR? -> 0,"No error"
		SYST:ERR? -> 0,"No error"
		INST:NSEL 4
		INST:NSEL? -> 4
		OUTP:SEL 0
		SYST:ERR? -> 0,"No error"
	`)
	ctx := t.Context()
	require.NoError(t, s.SetVoltage(ctx, 3, 5.125))
	require.NoError(t, s.SetVoltage(ctx, 3, -1e-9))
	require.NoError(t, s.SetCurrent(ctx, 1, .15))
	err := s.SetVoltage(ctx, 1, 40)
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorContains(t, err, "channel 1: VOLT 40.000: -222 Data out of range")
	require.NoError(t, s.Switch(ctx, 4, false), "only this channel, whatever the master switch")
}

// A limit of 1.2345 V is not passed by the rounding to the resolution.
func TestLevelsAreNotRoundedUp(t *testing.T) {
	var script strings.Builder
	levels := []struct {
		header string
		x      float64
		want   string
	}{
		{"VOLT", 1.2345, "1.234"}, {"VOLT", 1.2349999, "1.234"}, {"VOLT", 5, "5.000"}, {"VOLT", .3, "0.300"},
		{"VOLT", .1 + .2, "0.300"}, {"VOLT", 32.05, "32.050"}, {"VOLT", 1.001, "1.001"}, {"VOLT", 4.35, "4.350"},
		{"VOLT", .0009, "0"}, {"VOLT", -1.2349, "-1.234"},
		{"CURR", .1503, "0.1502"}, {"CURR", .1505, "0.1504"}, {"CURR", .3, "0.3000"}, {"CURR", .9999, "0.9998"},
		{"CURR", 1.2349, "1.2340"}, {"CURR", 10, "10.0000"},
	}
	for _, l := range levels {
		script.WriteString("SYST:ERR? -> 0,\"No error\"\nINST:NSEL 1\nINST:NSEL? -> 1\n" + l.header + " " + l.want + "\nSYST:ERR? -> 0,\"No error\"\n")
	}
	s := replay(t, script.String())
	for _, l := range levels {
		set := s.SetVoltage
		if l.header == "CURR" {
			set = s.SetCurrent
		}
		require.NoError(t, set(t.Context(), 1, l.x), "%s %g", l.header, l.x)
	}
}

func TestSwitchOnWithMasterOn(t *testing.T) {
	s := replay(t, `
		OUTP:GEN? -> 1
		SYST:ERR? -> 0,"No error"
		INST:NSEL 2
		INST:NSEL? -> 2
		OUTP:SEL 1
		SYST:ERR? -> 0,"No error"
	`)
	require.NoError(t, s.Switch(t.Context(), 2, true))
}

func TestSwitchOnWithMasterOff(t *testing.T) {
	s := replay(t, `
		OUTP:GEN? -> 0
		INST:NSEL 1
		INST:NSEL? -> 1
		OUTP:SEL? -> 0
		INST:NSEL 3
		INST:NSEL? -> 3
		OUTP:SEL? -> 0
		INST:NSEL 4
		INST:NSEL? -> 4
		OUTP:SEL? -> 0
		SYST:ERR? -> 0,"No error"
		INST:NSEL 2
		INST:NSEL? -> 2
		OUTP:SEL 1
		SYST:ERR? -> 0,"No error"
		OUTP:GEN 1
		SYST:ERR? -> 0,"No error"
	`)
	require.NoError(t, s.Switch(t.Context(), 2, true))
}

func TestSwitchOnDoesNotEnergiseAnotherChannel(t *testing.T) {
	s := replay(t, `
		OUTP:GEN? -> 0
		INST:NSEL 1
		INST:NSEL? -> 1
		OUTP:SEL? -> 0
		INST:NSEL 3
		INST:NSEL? -> 3
		OUTP:SEL? -> 1
	`)
	err := s.Switch(t.Context(), 2, true)
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorContains(t, err, "channel 3 is armed")
}

// Clearing gives an output back its state of before: the channel is disarmed first.
func TestClearTripDisarmsFirst(t *testing.T) {
	s := replay(t, `
		INST:NSEL 2
		INST:NSEL? -> 2
		FUSE:TRIP? -> 0
		VOLT:PROT:TRIP? -> 1
		SYST:ERR? -> 0,"No error"
		INST:NSEL 2
		INST:NSEL? -> 2
		OUTP:SEL 0
		SYST:ERR? -> 0,"No error"
		VOLT:PROT:CLE
		SYST:ERR? -> 0,"No error"
		FUSE:TRIP? -> 0
		VOLT:PROT:TRIP? -> 0
	`)
	require.NoError(t, s.ClearTrip(t.Context(), 2))
}

func TestClearTripThatStays(t *testing.T) {
	s := replay(t, `
		INST:NSEL 2
		INST:NSEL? -> 2
		FUSE:TRIP? -> 1
		VOLT:PROT:TRIP? -> 0
		SYST:ERR? -> 0,"No error"
		INST:NSEL 2
		INST:NSEL? -> 2
		OUTP:SEL 0
		SYST:ERR? -> 0,"No error"
		FUSE:TRIP? -> 1
		VOLT:PROT:TRIP? -> 0
	`)
	require.ErrorIs(t, s.ClearTrip(t.Context(), 2), psu.ErrRefused)
}

// The original polled in one thread and commanded in another, so that a poll's
// selection could come between a command's selection and its VOLT.
func TestSelectAndActionAreNotInterleaved(t *testing.T) {
	sim := harness.New()
	address := serve(t, sim)
	in, err := Open(t.Context(), address)
	require.NoError(t, err)
	defer in.Close()
	var wg sync.WaitGroup
	for n := 1; n <= channels; n++ {
		wg.Go(func() {
			for range 25 {
				assert.NoError(t, in.SetVoltage(t.Context(), n, float64(n)))
			}
		})
		wg.Go(func() {
			for range 10 {
				_, err := in.Read(t.Context(), []int{1, 2, 3, 4})
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.Len(t, sim.Writes(), 4*25)
	for _, w := range sim.Writes() {
		channel, cmd, _ := strings.Cut(w, " ")
		assert.Equal(t, "VOLT "+channel+".000", cmd, "the voltage of another channel")
	}
}

func FuzzReplies(f *testing.F) {
	f.Add("1", "12.000", `0,"No error"`, "2")
	f.Add("1", "9.91E37", `-222,"x"`, "1")
	f.Add("", "NAN", "\xff", "4294967296")
	f.Add("1\n1", "1e999", "0", "-1")
	f.Fuzz(func(t *testing.T, flag, number, entry, register string) {
		near, far := net.Pipe()
		go scpitest.Answer(far, "\n", func(cmd string) string {
			switch {
			case cmd == "*IDN?":
				return "HAMEG,HMP4040,1,2"
			case cmd == "SYST:ERR?":
				return entry
			case strings.HasPrefix(cmd, "STAT") || cmd == "INST:NSEL?":
				return register
			case strings.HasPrefix(cmd, "VOLT?") || strings.HasPrefix(cmd, "CURR?") || strings.HasPrefix(cmd, "MEAS"):
				return number
			case strings.HasSuffix(cmd, "?"):
				return flag
			}
			return ""
		})
		conn := scpi.New(near, scpi.Options{Timeout: 20 * time.Millisecond, Quiet: time.Microsecond})
		defer conn.Close()
		s := &Supply{conn: conn, mode: true}
		rs, err := s.Read(context.Background(), []int{1, 2})
		if err == nil && len(rs) != 2 {
			t.Fatalf("%d readings", len(rs))
		}
		for _, r := range rs {
			for _, v := range []wire.Value{r.VReq, r.IReq, r.VMon, r.IMon, r.Ramp, r.Min, r.Max, r.MaxAmps} {
				if math.IsNaN(v.V) || math.Abs(v.V) >= wire.Overflow {
					t.Fatalf("a reading of %v", v.V)
				}
			}
		}
		_ = s.SetVoltage(context.Background(), 1, 5)
		_ = s.Switch(context.Background(), 1, true)
		_ = s.ClearTrip(context.Background(), 1)
	})
}
