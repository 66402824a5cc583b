package iseg

import (
	"context"
	"math"
	"net"
	"strings"
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
	_ psu.CurrentLimiter = channelRamp{}
	_ psu.TripClearer    = channelRamp{}
	_ psu.Ramper         = channelRamp{}
	_ psu.CommonRamper   = commonRamp{}
	_ psu.TripClearer    = commonRamp{}
)

const identity = "iseg Spezialelektronik GmbH,NR020020,8200005,1.74"

// older is the opening of a module of two channels with registers of 16 bits,
// fixed polarity and one ramp speed, which knows nothing of the rest.
const older = `
	*IDN? -> ID
	:READ:MOD:CHANNELNUMBER? -> 2
	:READ:VOLT:NOM? (@0-1) -> 1.00000E3V,1.00000E3V
	:READ:CURR:NOM? (@0-1) -> 8.0000E-3A,8.0000E-3A
	*IDN? -> ID
	:CONF:OUTP:POL? (@0-1)
	*IDN? -> ID
	:READ:VOLT:LIM? (@0-1)
	*IDN? -> ID
	:READ:CURR:LIM? (@0-1)
	*IDN? -> ID
	:READ:RAMP:VOLT? (@0-1)
	*IDN? -> ID
	:READ:RAMP:VOLT? -> 1.00000E0%/s
	*IDN? -> ID
	:READ:CHAN:EV:MASK? (@0-1)
	*IDN? -> ID
	:READ:CHAN:CONT? (@0-1)
	*IDN? -> ID
	:READ:MOD:STAT?
	*IDN? -> ID
	:READ:MOD:EV:STAT?
	*IDN? -> ID
	:CONF:RAMP:VOLT:UP? (@0-1)
	*IDN? -> ID
	:CONF:RAMP:VOLT? -> 1.00000E0%/s
	*IDN? -> ID
	:READ:RAMP:VOLT:MIN? (@0-1)
	*IDN? -> ID
	:READ:RAMP:VOLT:MAX? (@0-1)
	*IDN? -> ID
`

// newer is the opening of a module that knows all, of negative polarity.
const newer = `
	*IDN? -> ID
	:READ:MOD:CHANNELNUMBER? -> 2
	:READ:VOLT:NOM? (@0-1) -> 2.00000E3V,2.00000E3V
	:READ:CURR:NOM? (@0-1) -> 4.0000E-3A,4.0000E-3A
	*IDN? -> ID
	:CONF:OUTP:POL? (@0-1) -> n,n
	*IDN? -> ID
	:READ:VOLT:LIM? (@0-1) -> 2.00000E3V,2.00000E3V
	*IDN? -> ID
	:READ:CURR:LIM? (@0-1) -> 4.0000E-3A,4.0000E-3A
	*IDN? -> ID
	:READ:RAMP:VOLT? (@0-1) -> 20.0000E0V/s,20.0000E0V/s
	*IDN? -> ID
	:READ:RAMP:VOLT? -> 1.00000E0%/s
	*IDN? -> ID
	:READ:CHAN:EV:MASK? (@0-1) -> 0,0
	*IDN? -> ID
	:READ:CHAN:CONT? (@0-1) -> 0,0
	*IDN? -> ID
	:READ:MOD:STAT? -> 1793
	*IDN? -> ID
	:READ:MOD:EV:STAT? -> 0
	*IDN? -> ID
	:CONF:RAMP:VOLT:UP? (@0-1) -> 20.0000E0V/s,20.0000E0V/s
	*IDN? -> ID
	:READ:RAMP:VOLT:MIN? (@0-1) -> 2.00000E-3V/s,2.00000E-3V/s
	*IDN? -> ID
	:READ:RAMP:VOLT:MAX? (@0-1) -> 400.000E0V/s,400.000E0V/s
	*IDN? -> ID
`

func replay(t *testing.T, script string) psu.Instrument {
	t.Helper()
	in, err := replayed(t, script)
	require.NoError(t, err)
	return in
}

func replayed(t *testing.T, script string) (psu.Instrument, error) {
	steps := scpitest.Script(strings.ReplaceAll(script, "ID\n", identity+"\n"))
	conn := scpi.New(scpitest.Play(t, "\r\n", steps), scpi.Options{Send: "\r\n", Quiet: time.Millisecond, Timeout: 10 * time.Second})
	t.Cleanup(func() { conn.Close() })
	return start(t.Context(), conn)
}

func TestOpenOlder(t *testing.T) {
	in := replay(t, older)
	_, ok := in.(psu.CommonRamper)
	assert.True(t, ok)
	info := in.Info()
	assert.Equal(t, "NR020020", info.Model)
	assert.Equal(t, "8200005", info.Serial)
	assert.Equal(t, "1.74", info.Firmware)
	assert.False(t, info.OneByOne)
	assert.Equal(t, psu.ChannelInfo{Number: 1, Max: 1000, MaxAmps: 8e-3, MaxRamp: 200}, info.Channels[1])
}

func TestOpenNewer(t *testing.T) {
	in := replay(t, newer)
	_, ok := in.(psu.Ramper)
	assert.True(t, ok)
	assert.Equal(t, psu.ChannelInfo{Number: 0, Min: -2000, MaxAmps: 4e-3, MinRamp: 2e-3, MaxRamp: 400}, in.Info().Channels[0])
}

func TestOpenRefuses(t *testing.T) {
	for script, want := range map[string]string{
		"*IDN? -> ROHDE&SCHWARZ,HMP4040,1,2":                                           "not of iseg",
		"*IDN? -> ID\n:READ:MOD:CHANNELNUMBER? -> 0":                                   "a module with 0 channels",
		"*IDN? -> ID\n:READ:MOD:CHANNELNUMBER? -> 4000000000":                          "a module with 4000000000 channels",
		"*IDN? -> ID\n:READ:MOD:CHANNELNUMBER? -> four":                                "not a register",
		"*IDN? -> ID\n:READ:MOD:CHANNELNUMBER? -> 2\n:READ:VOLT:NOM? (@0-1) -> 1.0E3V": "has 1 items, want 2",
		"*IDN? -> ID\n:READ:MOD:CHANNELNUMBER? -> 1\n:READ:VOLT:NOM? (@0) -> 1.0E3":    "not a number in V",
	} {
		_, err := replayed(t, script+"\n")
		require.ErrorContains(t, err, want)
	}
}

const readOlder = `
	:READ:CHAN:STAT? (@0-1) -> 136,64
	:READ:CHAN:EV:STAT? (@0-1) -> 16,0
	:READ:VOLT? (@0-1) -> 100.000E0V,50.0000E0V
	:READ:CURR? (@0-1) -> 1.0000E-3A,2.0000E-3A
	:MEAS:VOLT? (@0-1) -> 99.9810E0V,-10.000E-3V
	:MEAS:CURR? (@0-1) -> 1.1234E-6A,9.91E37A
	:READ:RAMP:VOLT? -> 0.50000E0%/s
`

func TestReadOlder(t *testing.T) {
	in := replay(t, older+readOlder)
	got, err := in.Read(t.Context(), []int{1, 0})
	require.NoError(t, err)
	assert.Equal(t, []psu.Reading{
		{Number: 1, On: wire.No, Ramping: wire.No, Limited: wire.No, Trip: wire.No, Interlock: wire.No,
			VReq: wire.Known(50), IReq: wire.Known(2e-3), VMon: wire.Known(-.01), Ramp: wire.Known(5)},
		{Number: 0, On: wire.Yes, Ramping: wire.No, Limited: wire.No, Trip: wire.No, Interlock: wire.No,
			VReq: wire.Known(100), IReq: wire.Known(1e-3), VMon: wire.Known(99.981), IMon: wire.Known(1.1234e-6), Ramp: wire.Known(5)},
	}, got)
}

func TestReadNewer(t *testing.T) {
	in := replay(t, newer+`
		:READ:CHAN:STAT? (@1) -> 262168
		:READ:CHAN:EV:STAT? (@1) -> 0
		:READ:CHAN:EV:MASK? (@1) -> 0
		:READ:MOD:STAT? -> 1793
		:READ:MOD:EV:STAT? -> 0
		:CONF:OUTP:POL? (@1) -> n
		:READ:VOLT? (@1) -> 100.000E0V
		:READ:CURR? (@1) -> 1.0000E-3A
		:MEAS:VOLT? (@1) -> -42.5000E0V
		:MEAS:CURR? (@1) -> 1.1234E-6A
		:READ:RAMP:VOLT? (@1) -> 20.0000E0V/s
		:READ:VOLT:LIM? (@1) -> 1.50000E3V
		:READ:CURR:LIM? (@1) -> 3.0000E-3A`)
	got, err := in.Read(t.Context(), []int{1})
	require.NoError(t, err)
	assert.Equal(t, []psu.Reading{{Number: 1, On: wire.Yes, Ramping: wire.Yes, Limited: wire.No, Trip: wire.No, Interlock: wire.No,
		VReq: wire.Known(-100), IReq: wire.Known(1e-3), VMon: wire.Known(-42.5), IMon: wire.Known(1.1234e-6), Ramp: wire.Known(20),
		Min: wire.Known(-1500), Max: wire.Known(0), MaxAmps: wire.Known(3e-3)}}, got)
}

// An answer of another length would give one channel's value to another.
func TestReadOfWrongLength(t *testing.T) {
	for good, bad := range map[string]string{
		"136,64":                 "136",
		"100.000E0V,50.0000E0V":  "100.000E0V",
		"1.0000E-3A,2.0000E-3A":  "1.0000E-3A,2.0000E-3A,3.0000E-3A",
		"99.9810E0V,-10.000E-3V": "99.9810E0V,-10.0",
		"1.1234E-6A,9.91E37A":    "1.1234E-6A 9.91E37A",
	} {
		script, _, _ := strings.Cut(older+readOlder, good)
		in := replay(t, script+bad)
		rs, err := in.Read(t.Context(), []int{0, 1})
		require.Error(t, err, bad)
		assert.NotErrorIs(t, err, psu.ErrRefused)
		assert.Nil(t, rs)
		_, err = in.Read(t.Context(), []int{0})
		require.ErrorIs(t, err, scpi.ErrGivenUp)
	}
}

func TestStates(t *testing.T) {
	const no, yes = wire.No, wire.Yes
	for name, c := range map[string]struct {
		state
		on, ramping, limited, trip, interlock wire.Flag
	}{
		"off":              {state{}, no, no, no, no, no},
		"on":               {state{status: bitOn | 1<<7}, yes, no, no, no, no},
		"rising":           {state{status: bitOn | bitRamping}, yes, yes, no, no, no},
		"falling":          {state{status: bitRamping}, no, yes, no, no, no},
		"constant current": {state{status: bitOn | bitCC}, yes, no, yes, no, no},
		"hardware limit":   {state{status: bitOn | bitCurrLimit}, yes, no, yes, no, no},
		"CC while off":     {state{status: bitCC}, no, no, no, no, no},
		"trip":             {state{status: bitTrip}, no, no, no, yes, no},
		"trip latched":     {state{event: bitTrip}, no, no, no, yes, no},
		"emergency off":    {state{status: bitEmergency}, no, no, no, yes, no},
		"inhibit":          {state{status: bitInhibit, event: bitInhibit}, no, no, no, yes, yes},
		"inhibit is over":  {state{event: bitInhibit}, no, no, no, yes, no},
		"limit once":       {state{event: bitCurrLimit}, no, no, no, no, no},
		"limit masked in":  {state{event: bitCurrLimit, mask: bitCurrLimit}, no, no, no, yes, no},
		"end of ramp":      {state{event: bitRamping, mask: math.MaxUint32}, no, no, no, no, no},
		"loop closed":      {state{moduleKnown: true, module: bitSafetyLoop}, no, no, no, no, no},
		"loop open":        {state{moduleKnown: true, moduleEvent: bitSafetyLoop}, no, no, no, yes, yes},
		"loop was open":    {state{moduleKnown: true, module: bitSafetyLoop, moduleEvent: bitSafetyLoop}, no, no, no, yes, no},
	} {
		on, ramping, limited, trip, interlock := c.flags()
		assert.Equal(t, [5]wire.Flag{c.on, c.ramping, c.limited, c.trip, c.interlock},
			[5]wire.Flag{on, ramping, limited, trip, interlock}, name)
	}
}

func TestWritesOlder(t *testing.T) {
	in := replay(t, older+`
		:VOLT 100,(@1)
		:READ:VOLT? (@1) -> 100.000E0V
		:VOLT 2000,(@1)
		:READ:VOLT? (@1) -> 100.000E0V
		:CURR 0.001,(@0)
		:READ:CURR? (@0) -> 1.0000E-3A
		:VOLT ON,(@1)
		*OPC? -> 1
		:VOLT OFF,(@1)
		*OPC? -> 1
		:CONF:RAMP:VOLT 0.5
		:CONF:RAMP:VOLT? -> 0.50000E0%/s
		:CONF:RAMP:VOLT 50
		:CONF:RAMP:VOLT? -> 0.50000E0%/s
	`)
	ctx := t.Context()
	require.NoError(t, in.SetVoltage(ctx, 1, 100))
	err := in.SetVoltage(ctx, 1, 2000)
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorContains(t, err, "it stays at 100 V")
	require.ErrorIs(t, in.SetVoltage(ctx, 1, -100), psu.ErrRefused)
	require.NoError(t, in.(psu.CurrentLimiter).SetCurrent(ctx, 0, 1e-3))
	require.NoError(t, in.Switch(ctx, 1, true))
	require.NoError(t, in.Switch(ctx, 1, false))
	require.NoError(t, in.(psu.CommonRamper).SetCommonRamp(ctx, 5))
	require.ErrorIs(t, in.(psu.CommonRamper).SetCommonRamp(ctx, 500), psu.ErrRefused)
	require.ErrorIs(t, in.(psu.CommonRamper).SetCommonRamp(ctx, 0), psu.ErrRefused)
}

func TestWritesNewer(t *testing.T) {
	in := replay(t, newer+`
		:CONF:OUTP:POL? (@1) -> n
		:VOLT 250.5,(@1)
		:READ:VOLT? (@1) -> 250.500E0V
		:CONF:OUTP:POL? (@1) -> n
		:VOLT ON,(@1)
		*OPC? -> 1
		:READ:CHAN:CONT? (@1) -> 8
		:VOLT ON,(@1)
		*OPC? -> 1
		:READ:CHAN:CONT? (@1) -> 0
		:READ:CHAN:STAT? (@1) -> 0
		:READ:CHAN:EV:STAT? (@1) -> 8192
		:READ:CHAN:EV:MASK? (@1) -> 8192
		:READ:MOD:STAT? -> 1793
		:READ:MOD:EV:STAT? -> 0
		:CONF:RAMP:VOLT 12.5,(@0)
		:CONF:RAMP:VOLT:UP? (@0) -> 12.5000E0V/s
	`)
	ctx := t.Context()
	require.NoError(t, in.SetVoltage(ctx, 1, -250.5))
	require.ErrorIs(t, in.SetVoltage(ctx, 1, 250.5), psu.ErrRefused, "against the polarity")
	require.NoError(t, in.Switch(ctx, 1, true))
	err := in.Switch(ctx, 1, true)
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorContains(t, err, "events 0x2000")
	require.NoError(t, in.(psu.Ramper).SetRamp(ctx, 0, 12.5))
}

// A channel that is off is ordered off before its latches are cleared.
func TestClearTrip(t *testing.T) {
	const states = `
		:READ:CHAN:STAT? (@1) -> %s
		:READ:CHAN:EV:STAT? (@1) -> %e
		:READ:CHAN:EV:MASK? (@1) -> 0
		:READ:MOD:STAT? -> %m
		:READ:MOD:EV:STAT? -> %o
	`
	with := func(s, e, m, o string) string {
		return strings.NewReplacer("%s", s, "%e", e, "%m", m, "%o", o).Replace(states)
	}
	const clear = ":VOLT OFF,(@1)\n*OPC? -> 1\n:EVENT CLEAR,(@1)\n*OPC? -> 1\n"
	in := replay(t, newer+
		with("0", "0", "1793", "0")+ // nothing to clear
		with("0", "8192", "1793", "0")+clear+with("0", "0", "1793", "0")+
		with("4096", "4096", "1793", "0")+clear+with("4096", "4096", "1793", "0")+
		with("0", "0", "1793", "1024")+clear+":CONF:EVENT 1024\n"+with("0", "0", "1793", "0")+
		with("32", "32", "1793", "0")+":VOLT OFF,(@1)\n*OPC? -> 1\n:VOLT EMCY CLR,(@1)\n*OPC? -> 1\n:EVENT CLEAR,(@1)\n*OPC? -> 1\n"+
		with("0", "0", "1793", "0")+
		with("8200", "8192", "1793", "0")+":EVENT CLEAR,(@1)\n*OPC? -> 1\n"+with("8", "0", "1793", "0")) // tripped and on
	c := in.(psu.TripClearer)
	require.NoError(t, c.ClearTrip(t.Context(), 1))
	require.NoError(t, c.ClearTrip(t.Context(), 1))
	err := c.ClearTrip(t.Context(), 1)
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorContains(t, err, "interlock is open")
	for range 3 {
		require.NoError(t, c.ClearTrip(t.Context(), 1))
	}
}

func TestList(t *testing.T) {
	for want, channels := range map[string][]int{"(@1)": {1}, "(@0-3)": {0, 1, 2, 3}, "(@0-2,5)": {0, 1, 2, 5}, "(@0,2,4-5)": {0, 2, 4, 5}} {
		assert.Equal(t, want, list(channels))
	}
}

func FuzzReplies(f *testing.F) {
	f.Add("1.0E3V,2.0E0V", "8,136", "p,n", "10%/s")
	f.Add("9.91E37V,NAN", "4294967295,0", "n,n", "1e999%/s")
	f.Add("1,2,3\n4", "\xff", "", "-1")
	f.Fuzz(func(t *testing.T, number, register, polarity, speed string) {
		near, far := net.Pipe()
		go scpitest.Answer(far, "\r\n", func(cmd string) string {
			switch {
			case strings.Contains(cmd, "POL?"):
				return polarity
			case strings.Contains(cmd, "STAT?") || strings.Contains(cmd, "MASK?") || strings.Contains(cmd, "CONT?"):
				return register
			case strings.Contains(cmd, "RAMP:VOLT?"):
				return speed
			case strings.Contains(cmd, "CURR"):
				return strings.ReplaceAll(number, "V", "A")
			case strings.Contains(cmd, "?"):
				return number
			}
			return ""
		})
		conn := scpi.New(near, scpi.Options{Send: "\r\n", Timeout: 20 * time.Millisecond, Quiet: time.Microsecond})
		defer conn.Close()
		s := commonRamp{&Supply{conn: conn, knows: knowledge{polarity: true, voltLimit: true, currLimit: true,
			moduleSpeed: true, eventMask: true, control: true},
			info: psu.Info{Channels: []psu.ChannelInfo{{Number: 0, Max: 1000}, {Number: 1, Min: -1000}}}}}
		rs, err := s.Read(context.Background(), []int{0, 1})
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
		_ = s.SetVoltage(context.Background(), 0, 5)
		_ = s.SetCommonRamp(context.Background(), 5)
		_ = s.Switch(context.Background(), 0, true)
		_ = s.ClearTrip(context.Background(), 0)
	})
}
