package hmp4040

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/sim/hmp4040"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/wire"
)

func bench(t *testing.T) (*hmp4040.Instrument, psu.Instrument) {
	sim := hmp4040.New(hmp4040.Options{})
	in, err := Open(t.Context(), serve(t, sim))
	require.NoError(t, err)
	t.Cleanup(func() { in.Close() })
	return sim, in
}

// A switch that would energise another armed channel is refused, and changes nothing.
func TestOtherChannelArmed(t *testing.T) {
	sim, in := bench(t)
	sim.SetArmed(3, true)
	err := in.Switch(t.Context(), 1, true)
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorContains(t, err, "channel 3 is armed")
	assert.Empty(t, sim.Writes())

	require.NoError(t, in.Switch(t.Context(), 3, false))
	require.NoError(t, in.Switch(t.Context(), 1, true))
	assert.True(t, sim.Master())
	assert.True(t, sim.Channel(1).Armed)
	require.NoError(t, in.Switch(t.Context(), 2, true))
	require.NoError(t, in.Switch(t.Context(), 1, false))
	assert.True(t, sim.Master(), "others are not touched")
	assert.True(t, sim.Channel(2).Armed)
}

func TestLimited(t *testing.T) {
	_, in := bench(t)
	require.NoError(t, in.SetVoltage(t.Context(), 2, 10))
	require.NoError(t, in.(psu.CurrentLimiter).SetCurrent(t.Context(), 2, .5)) // 5 V at 10 ohm
	require.NoError(t, in.Switch(t.Context(), 2, true))
	for end := time.Now().Add(time.Minute); ; {
		rs, err := in.Read(t.Context(), []int{2})
		require.NoError(t, err)
		assert.Equal(t, wire.Known(10), rs[0].VReq)
		if rs[0].Limited == wire.Yes {
			assert.Less(t, rs[0].VMon.V, 9.)
			return
		}
		require.True(t, time.Now().Before(end), "not limited: %+v", rs[0])
	}
}

// Somebody else's mistake is not ours.
func TestOldErrorsAreNotOurs(t *testing.T) {
	sim := hmp4040.New(hmp4040.Options{})
	sim.Execute("NONSENSE")
	in, err := Open(t.Context(), serve(t, sim))
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, in.SetVoltage(t.Context(), 1, 5))
	sim.Execute("NONSENSE")
	require.NoError(t, in.SetVoltage(t.Context(), 1, 6))
	sim.Execute("NONSENSE")
	require.NoError(t, in.Switch(t.Context(), 1, true))
	require.ErrorIs(t, in.SetVoltage(t.Context(), 1, 40), psu.ErrRefused)
}
