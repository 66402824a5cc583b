package scpi

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func TestCheckAddressSaysWhatIsWrong(t *testing.T) {
	for address, want := range map[string]string{
		"":                                "it is empty",
		"10.0.0.7:5025":                   "does not begin with tcp:// or serial://",
		"/dev/ttyUSB0":                    "does not begin with",
		"http://10.0.0.7:80":              `"http" is neither tcp nor serial`,
		"tcp://10.0.0.7":                  "no port",
		"tcp://:5025":                     "no host",
		"tcp://10.0.0.7:0":                "not between 1 and 65535",
		"tcp://10.0.0.7:70000":            "not between 1 and 65535",
		"tcp://10.0.0.7:x":                "invalid port",
		"tcp://10.0.0.7:5025/inst0":       "nothing may follow the port",
		"tcp://10.0.0.7:5025?baud=1":      "nothing may follow the port",
		"tcp://root@10.0.0.7:5025":        "no user",
		"serial://":                       "no device file",
		"serial://dev/ttyUSB0":            "three slashes",
		"serial:///dev/tty?baud=fast":     "baud=fast is not a speed",
		"serial:///dev/tty?data=9":        "data=9 is not 5 to 8 bits",
		"serial:///dev/tty?parity=e":      "parity=e is not none, odd",
		"serial:///dev/tty?stop=3":        "stop=3 is not 1, 1.5 or 2",
		"serial:///dev/tty?bauds=9600":    `no setting "bauds"`,
		"serial:///dev/tty?baud=1&baud=2": "baud is given twice",
	} {
		err := CheckAddress(address)
		require.ErrorContains(t, err, want, address)
		assert.ErrorContains(t, err, "write for instance tcp://10.0.0.7:5025 or serial:///dev/ttyUSB0", address)
	}
	for _, good := range []string{"tcp://10.0.0.7:5025", "tcp://hmp.lab:5025/", "tcp://[::1]:5025", "serial:///dev/ttyUSB0",
		"serial:///dev/serial/by-id/usb-x?baud=115200&data=7&parity=even&stop=2"} {
		assert.NoError(t, CheckAddress(good))
	}
}

func TestNumber(t *testing.T) {
	missing := wire.Value{}
	for _, c := range []struct {
		in, unit string
		want     wire.Value
	}{
		{"1.1234E-3A", "A", wire.Known(1.1234e-3)},
		{"100.000E0V", "V", wire.Known(100)},
		{" -12.5 V ", "V", wire.Known(-12.5)},
		{"+5", "", wire.Known(5)},
		{"5.", "", wire.Known(5)},
		{".5", "", wire.Known(.5)},
		{"10.000E0%/s", "%/s", wire.Known(10)},
		{"5E", "E", wire.Known(5)}, // a unit that looks like an exponent
		{"+9.9E37", "", missing},
		{"9.91E37V", "V", missing},
		{"-9.9E37", "", missing},
		{"1E999", "", missing},
		{"NAN", "V", missing},
		{"-INF", "V", missing},
	} {
		got, err := Number(c.in, c.unit)
		require.NoError(t, err, c.in)
		assert.Equal(t, c.want, got, c.in)
	}
	for _, c := range [][2]string{{"", ""}, {"V", "V"}, {"1.2", "V"}, {"1.2V", ""}, {"1.2mV", "V"}, {"1.2A", "V"}, {"1.2.3", ""}, {"0x10", ""}, {"1,2", ""}, {"-", ""}, {".", ""}, {"1_0", ""}} {
		_, err := Number(c[0], c[1])
		assert.Error(t, err, "%q in %q", c[0], c[1])
	}
}

func TestLists(t *testing.T) {
	got, err := Numbers("1.1234E-3A, 1.2345E-3A,9.91E37A", 3, "A")
	require.NoError(t, err)
	assert.Equal(t, []wire.Value{wire.Known(1.1234e-3), wire.Known(1.2345e-3), {}}, got)
	for _, bad := range []string{"1A,2A", "1A,2A,3A,4A", "1A,2A,", "1A,2A,3V", ""} {
		_, err := Numbers(bad, 3, "A")
		assert.Error(t, err, bad)
	}
	r, err := Registers("128,4294967295", 2)
	require.NoError(t, err)
	assert.Equal(t, []uint32{128, 1<<32 - 1}, r)
	for _, bad := range []string{"1,-1", "1,4294967296", "1,1.0", "1,0x1", "1"} {
		_, err := Registers(bad, 2)
		assert.Error(t, err, bad)
	}
	on, err := Bool(" 1")
	require.NoError(t, err)
	assert.True(t, on)
	for _, bad := range []string{"", "2", "ON", "1.0"} {
		_, err := Bool(bad)
		assert.Error(t, err, bad)
	}
}

func TestParseIdentityAndError(t *testing.T) {
	id, err := ParseIdentity("ROHDE&SCHWARZ, HMP4040, 109401, HW50020003/SW2.70")
	require.NoError(t, err)
	assert.Equal(t, Identity{"ROHDE&SCHWARZ", "HMP4040", "109401", "HW50020003/SW2.70"}, id)
	_, err = ParseIdentity("HMP4040")
	require.Error(t, err)

	code, text, err := ParseError(`-222,"Data out of range"`)
	require.NoError(t, err)
	assert.Equal(t, -222, code)
	assert.Equal(t, "Data out of range", text)
	code, _, err = ParseError(`+0,"No error"`)
	require.NoError(t, err)
	assert.Zero(t, code)
	for _, bad := range []string{"", "0", "No error", "1.000"} {
		_, _, err := ParseError(bad)
		assert.Error(t, err, bad)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.1234E-3A", "9.91E37", "1e999", "NAN", "1,2,3", `-222,"x"`, "a,b,c,d", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, unit := range []string{"", "V", "%/s"} {
			v, err := Number(s, unit)
			if (err != nil || !v.Valid) && v != (wire.Value{}) {
				t.Fatalf("%q gave %v with %v", s, v, err)
			}
			if math.IsNaN(v.V) || math.Abs(v.V) >= wire.Overflow {
				t.Fatalf("%q gave %v", s, v)
			}
		}
		if got, err := Numbers(s, 3, "V"); err == nil && len(got) != 3 {
			t.Fatalf("%q gave %d numbers", s, len(got))
		}
		_, _ = Registers(s, 2)
		_, _ = Bool(s)
		_, _ = ParseIdentity(s)
		_, _, _ = ParseError(s)
		_ = CheckAddress(s)
	})
}
