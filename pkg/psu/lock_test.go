package psu

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func locked(numbers ...int) func(*Config) {
	return func(c *Config) {
		c.Locks = make(map[int]wire.LockTag)
		for _, n := range numbers {
			c.Locks[n] = wire.LockTag{User: "bob", Reason: "cable out", Time: noon}
		}
	}
}

func TestRule10Lock(t *testing.T) {
	play(t, []scene{
		{name: "all but off, clear and unlock are refused", machine: locked(0),
			do:     "a: setv/0 1; b: seti/0 0.002; c: ramp/0 5; d: switch/0 on; e: lock/0 why; f: clear/0; g: switch/0 off; h: unlock/0; saved; i: setv/0 1",
			acks:   "a rejected LOCKED; b rejected LOCKED; c rejected LOCKED; d rejected LOCKED; e rejected LOCKED; f accepted; f done; g accepted; g done; h accepted; h done; i accepted; i done",
			writes: "clear/0; switch/0 off; setv/0 1"},
		{name: "says who and why", machine: locked(0), do: "a: setv/0 1", acks: "a rejected LOCKED", says: "locked by bob: cable out"},
		{name: "other channels are free", machine: locked(0), do: "a: setv/1 1", acks: "a accepted; a done", writes: "setv/1 1"},
		{name: "off and clear of all", machine: locked(1), do: "a: switch/all off; b: clear/all", acks: "a accepted; a done; b accepted; b done",
			writes: "switch/0 off; switch/1 off; switch/2 off; clear/0; clear/1; clear/2"},
		{name: "a common ramp speed", machine: locked(1), supply: common, do: "a: ramp/all 20", acks: "a rejected LOCKED"},
		{name: "stops no ramp", do: "o: switch/0 on; a: setv/0 50; l: lock/0 why; saved; wait 6s", acks: "o accepted; o done; a accepted; l accepted; l done; a done", writes: "switch/0 on; setv/0 50"},
		{name: "what waits fails", do: "hold; z: seti/0 0.002; a: setv/0 50; b: setv/0 50; i: seti/0 0.003; c: setv/1 50; d: clear/0; l: lock/0 why; go; saved",
			acks:   "z accepted; a accepted; b accepted; i accepted; c accepted; d accepted; l accepted; a failed LOCKED; b failed LOCKED; i failed LOCKED; z done; d done; c done; l done",
			writes: "seti/0 0.002; setv/1 50; clear/0"},
		{name: "all", do: "l: lock/all why; saved; a: setv/0 1; b: setv/2 1; u: unlock/all; saved; c: setv/2 1",
			acks: "l accepted; l done; a rejected LOCKED; b rejected LOCKED; u accepted; u done; c accepted; c done", writes: "setv/2 1"},
		{name: "all, one is locked already", machine: locked(1), do: "l: lock/all why; saved", acks: "l accepted; l failed LOCKED", says: "channel 1 is locked by bob",
			also: func(g *stage) error {
				if l := g.m.Locks(); len(l) != 3 || l[1].User != "bob" {
					return fmt.Errorf("the locks are %v", l)
				}
				return nil
			}},
		{name: "counts before it is on disk", do: "l: lock/0 why; a: setv/0 1; u: unlock/0; saved; b: setv/0 1; saved", acks: "l accepted; a rejected LOCKED; u accepted; l done; b accepted; b done; u done", writes: "setv/0 1"},
		{name: "cannot be kept", do: "l: lock/0 why; unsaved; a: setv/0 1", acks: "l accepted; l failed HARDWARE; a rejected LOCKED"},
		{name: "without a reason", do: "l: lock/0; lock/0 x", acks: "l rejected BAD_VALUE; b00-1 rejected BAD_VALUE"},
		{name: "unlock of what is not locked", do: "u: unlock/0; saved", acks: "u accepted; u done"},
		{name: "unlock does not write", machine: locked(0), do: "u: unlock/0; saved; wait 1s", acks: "u accepted; u done"},
	})
}

func TestLocksAreKept(t *testing.T) {
	g := newStage(nil, nil)
	require.NoError(t, g.step("l: lock/1 why user=eve"))
	assert.Equal(t, 1, g.saves)
	assert.Equal(t, 1, g.statuses, "a status shows the lock")
	assert.Equal(t, map[int]wire.LockTag{1: {User: "eve", Reason: "why", Time: noon}}, g.m.Locks())
	kept := g.m.Locks()
	kept[2] = wire.LockTag{}
	assert.Len(t, g.m.Locks(), 1, "Locks is a copy")

	after := newStage(func(c *Config) { c.Locks = g.m.Locks() }, nil)
	require.NoError(t, after.step("a: setv/1 5"))
	require.NoError(t, after.step("gone"))
	require.NoError(t, after.step("back"))
	require.NoError(t, after.step("b: setv/1 5"))
	assert.Equal(t, []string{"a rejected LOCKED", "b rejected LOCKED"}, after.ackTexts())
	assert.Zero(t, after.saves)
	assert.Equal(t, time.UTC, g.m.Locks()[1].Time.Location())
}
