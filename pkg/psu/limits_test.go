package psu

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func TestLimitsText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"500", `"500": want channel=min:max, as in 0=0:500,1=-300:0`},
		{"0=500", `"0=500": want channel=min:max, as in`},
		{"0:0=500", `"0:0=500": want channel=min:max`},
		{"=0:500", `"" is not a channel number`},
		{"a=0:500", `"a" is not a channel number`},
		{"-1=0:500", `"-1" is not a channel number`},
		{"70000=0:500", `"70000" is not a channel number`},
		{"0=:500", `"" is not a voltage`},
		{"0=0:", `"" is not a voltage`},
		{"0=0:nan", `"nan" is not a voltage`},
		{"0=0:inf", `"inf" is not a voltage`},
		{"0=0:1e999", `"1e999" is not a voltage`},
		{"0=0:5 kV", `"5 kV" is not a voltage`},
		{"0=0:0x1p4", `"0x1p4" is not a voltage`},
		{"0=0:5:6", `"5:6" is not a voltage`},
		{"0=500:0", `the minimum 500 is above the maximum 0`},
		{"1=0:5,0=0:500,1=0:6", `"1=0:6": channel 1 has a limit already`},
		{"0=0:500;1=0:5", `is not a voltage`},
	} {
		l := Limits{9: {1, 2}}
		err := l.UnmarshalText([]byte(c.in))
		assert.ErrorContains(t, err, c.want, c.in)
		assert.Equal(t, Limits{9: {1, 2}}, l, "nothing is taken of %q", c.in)
	}
	for in, want := range map[string]Limits{
		"":                     {},
		" ":                    {},
		"0=0:500,1=-300:0":     {0: {0, 500}, 1: {-300, 0}},
		" 0 = 0 : 500 , 3=1:1": {0: {0, 500}, 3: {1, 1}},
		"2=1e1:2.5e2,":         {2: {10, 250}},
	} {
		var l Limits
		require.NoError(t, l.UnmarshalText([]byte(in)), in)
		assert.Equal(t, want, l, in)
	}
}

func TestClosest(t *testing.T) {
	for _, c := range []struct {
		l    Limit
		x    float64
		want wire.Value
	}{
		{Limit{5, 1}, 3, wire.Value{}},
		{Limit{0, 500}, 1e9, wire.Known(500)},
		{Limit{0, 500}, -1, wire.Known(0)},
		{Limit{-300, -10}, 0, wire.Known(-10)},
		{Limit{-300, -10}, -1e300, wire.Known(-300)},
		{Limit{0, 500}, 7, wire.Known(7)},
		{Limit{7, 7}, 0, wire.Known(7)},
	} {
		assert.Equal(t, c.want, c.l.closest(c.x), "%v in %v", c.x, c.l)
	}
}

func TestMeta(t *testing.T) {
	m := NewMachine(Config{Limits: Limits{1: {10, 300}}})
	_, known := m.Meta()
	assert.False(t, known, "not seen yet")
	s := newSupply()
	s.channels[2].Max = wire.Known(700)
	m.Handle(noon, s.opened())
	m.Handle(noon, s.read())
	meta, known := m.Meta()
	require.True(t, known)
	assert.JSONEq(t, `{"kind":"psu","model":"HV3","serial":"17","firmware":"1.0","driver":"","period":0,
		"channels":[{"number":0,"min":0,"max":1000},{"number":1,"min":10,"max":300},{"number":2,"min":0,"max":700}],
		"fields":{"vreq":{"unit":"V","min":0,"max":1000},"vmon":{"unit":"V","tolerance":0.5},"imon":{"unit":"A"},
			"ireq":{"unit":"A","min":0,"max":0.01},"ramp":{"unit":"V/s","min":1,"max":100}},
		"commands":{"setv":{"unit":"V","min":0,"max":1000},"seti":{"unit":"A","min":0,"max":0.01},"ramp":{"unit":"V/s","min":1,"max":100},
			"switch":{"values":["on","off"]},"clear":{},"lock":{},"unlock":{}}}`, string(wire.Encode(meta)))

	s.ops = Ops{}
	m.Handle(noon, s.opened())
	meta, _ = m.Meta()
	assert.JSONEq(t, `{"setv":{"unit":"V","min":0,"max":1000},"switch":{"values":["on","off"]},"lock":{},"unlock":{}}`, string(wire.Encode(meta.Commands)))
	assert.NotContains(t, meta.Fields, "ramp")
}

func TestStatus(t *testing.T) {
	g := newStage(locked(1), nil)
	status, fresh := g.m.Status()
	require.True(t, fresh)
	assert.JSONEq(t, `{"number":1,"on":0,"vreq":0,"ireq":0.001,"vmon":0,"imon":0,"ramp":10,"ramping":0,"limited":0,"trip":0,"interlock":0,"locked":1,
		"time":"2026-11-20T12:00:00Z","boot":"b00"}`, string(wire.Encode(status[1])))
	g.handle(g.supply.read())
	again, _ := g.m.Status()
	assert.True(t, again[1].Time.After(status[1].Time), "times strictly increase")

	require.NoError(t, g.step("break"))
	_, fresh = g.m.Status()
	assert.False(t, fresh, "broken")
	require.NoError(t, g.step("open"))
	_, fresh = g.m.Status()
	assert.False(t, fresh, "not read yet")
	g.handle(Read{g.supply.channels[:2]})
	_, fresh = g.m.Status()
	assert.False(t, fresh, "one is missing")
	g.handle(Read{g.supply.channels[2:]})
	_, fresh = g.m.Status()
	assert.True(t, fresh)
	g.handle(Read{[]Reading{{Number: 7}}})
	_, fresh = g.m.Status()
	assert.True(t, fresh, "what it has not is not taken")
}

func TestStatusIsAskedForAtOnce(t *testing.T) {
	for name, change := range map[string]func(*Reading){
		"trip":      func(r *Reading) { r.Trip = wire.Yes },
		"interlock": func(r *Reading) { r.Interlock = wire.Yes },
		"off":       func(r *Reading) { r.On = wire.Yes },
		"limited":   func(r *Reading) { r.Limited = wire.Yes },
	} {
		g := newStage(nil, nil)
		change(&g.supply.channels[1])
		assert.True(t, g.m.Handle(noon, g.supply.read()).Status, name)
		assert.False(t, g.m.Handle(noon, g.supply.read()).Status, "%s, once", name)
	}
	g := newStage(nil, nil)
	assert.False(t, g.m.Busy())
	require.NoError(t, g.step("hold"))
	require.NoError(t, g.step("a: setv/0 5"))
	assert.True(t, g.m.Busy())
	require.NoError(t, g.step("go"))
	assert.False(t, g.m.Busy())
}
