package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// A number that JSON would change on the way is refused, not changed.
func TestWholeNumbersKeepAllTheirDigits(t *testing.T) {
	whole := wire.MetaParameter{Type: wire.TypeInt}
	for text, want := range map[string]float64{
		"20231101": 20231101, "-5": -5, "9007199254740992": 1 << 53, "-9007199254740992": -1 << 53,
	} {
		got, err := typed(text, whole)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for text, want := range map[string]string{
		"9007199254740993":     `"9007199254740993" is beyond 2^53 (9007199254740992)`,
		"-9007199254740993":    "has to be a string",
		"12345678901234567890": "beyond 2^53",
		"1e3":                  `"1e3" is no whole number`,
		"":                     "is no whole number",
	} {
		_, err := typed(text, whole)
		assert.ErrorContains(t, err, want, text)
	}
}

// Without a description only what is plainly a number is one: a serial number
// stays as it was typed.
func TestSerialNumbersStayTextWithoutADescription(t *testing.T) {
	got, err := parametersOf("x", []string{
		"a=1e3", "b=007", "c=12345678901234567890", "d=1E-3", "e=00", "f=+1", "g=.5", "h=1.", "i=0x10",
		"n=42", "o=-1.5", "p=0", "q=0.001", "r=true",
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, wire.Parameters{
		"a": "1e3", "b": "007", "c": "12345678901234567890", "d": "1E-3", "e": "00", "f": "+1", "g": ".5", "h": "1.", "i": "0x10",
		"n": 42., "o": -1.5, "p": 0., "q": 0.001, "r": true,
	}, got)
}

func TestSettingsArePrintedAsTheyWereWritten(t *testing.T) {
	for want, v := range map[string]any{
		"1000000": 1e6, "20231101": 20231101., "0.000001": 1e-6, "9007199254740992": float64(maxWhole), "-0.5": -0.5, "0": 0., "1e-07": 1e-7, "1e+21": 1e21,
		"true": true, "M12": "M12", "7": int32(7),
	} {
		assert.Equal(t, want, settingText(v))
	}
	assert.Equal(t, "20231101123", anyText(20231101123.))
	assert.Equal(t, "0.333333333", anyText(1./3))
}
