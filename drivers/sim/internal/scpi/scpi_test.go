package scpi

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMatch(t *testing.T) {
	const volt = "[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]"
	tests := []struct {
		pattern, header string
		want            bool
	}{
		{volt, "VOLT", true},
		{volt, "sour:voltage", true},
		{volt, "VOLT:AMPL", true},
		{volt, "VOLT:LEV:AMPL", true},
		{volt, "VOLT:AMPL:LEV", false},
		{volt, "VOLTA", false},
		{volt, "SOUR", false},
		{volt, "", false},
		{"*IDN", "*idn", true},
		{"A:B#[:EVENt]", "A:B12", true},
		{"A:B#[:EVENt]", "A:B:EVEN", true},
		{"A:B#", "A:B1x", false},
		{"A:B#", "A:B99999999999999999999", false},
	}
	for _, tt := range tests {
		_, ok := Compile(tt.pattern).Match(strings.Split(tt.header, ":"))
		assert.Equal(t, tt.want, ok, "%s %s", tt.pattern, tt.header)
	}
	numbers, _ := Compile("A#:B#").Match([]string{"a", "b7"})
	assert.Equal(t, []int{1, 7}, numbers)
}

func TestSplit(t *testing.T) {
	units := Split(`:VOLT EMCY OFF,(@0-2,5);:MEAS:VOLT? (@1);CURR?;*OPC?;VOLT "a;b",'c,'`)
	assert.Equal(t, []Unit{
		{Text: ":VOLT EMCY OFF,(@0-2,5)", Header: []string{"VOLT"}, Args: []string{"EMCY OFF", "(@0-2,5)"}},
		{Text: ":MEAS:VOLT? (@1)", Header: []string{"MEAS", "VOLT"}, Query: true, Args: []string{"(@1)"}},
		{Text: "CURR?", Header: []string{"MEAS", "CURR"}, Query: true},
		{Text: "*OPC?", Header: []string{"*OPC"}, Query: true},
		{Text: `VOLT "a;b",'c,'`, Header: []string{"MEAS", "VOLT"}, Args: []string{`"a;b"`, `'c,'`}},
	}, units)
}

func TestNumber(t *testing.T) {
	for _, text := range []string{"", "NaN", "inf", "0x1p2", "1_000", "1e", "--1", "1e400", "e5", "1 2"} {
		_, err := Number(text)
		assert.Error(t, err, text)
	}
	for text, want := range map[string]float64{"5": 5, "5.": 5, ".5": .5, "-1.5E3": -1500, "+1e-3": 1e-3} {
		v, err := Number(text)
		assert.NoError(t, err)
		assert.Equal(t, want, v, text)
	}
	for text, want := range map[string]float64{"5V": 5, "500 mV": .5, "5 v": 5, "5": 5} {
		v, err := Quantity(text, "V")
		assert.NoError(t, err)
		assert.InDelta(t, want, v, 1e-12, text)
	}
	_, err := Quantity("5A", "V")
	assert.Error(t, err, "another unit")
}

func TestQueue(t *testing.T) {
	var q Queue
	for range 100 {
		q.Add(OutOfRange)
	}
	for range queueSize - 1 {
		assert.Equal(t, OutOfRange, q.Next())
	}
	assert.Equal(t, Overflow, q.Next())
	assert.Equal(t, `0,"No error"`, q.Next().Error())
}

func FuzzSplit(f *testing.F) {
	f.Add(":VOLT 100,(@0-2,5);CURR?;*CLS")
	f.Add("((((;;\"'")
	f.Fuzz(func(t *testing.T, text string) {
		for _, u := range Split(text) {
			if len(u.Header) == 0 {
				t.Fatalf("%q has a unit without header", text)
			}
			Compile("[A:]B[:C][:D#]").Match(u.Header)
		}
	})
}
