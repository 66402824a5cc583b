package sine

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/sensor"
	"trackerdcs/pkg/sensor/sensortest"
)

var _ sensor.Opener = Open

func TestSine(t *testing.T) {
	now := time.Unix(1_800_000_000, 0) // whole minutes since the epoch
	s := New(func() time.Time { return now }, time.Minute)
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{0, 0}, {15 * time.Second, 1}, {30 * time.Second, 0}, {45 * time.Second, -1}, {65 * time.Second, .5}} {
		now = time.Unix(1_800_000_000, 0).Add(c.after)
		got, err := s.Read(t.Context())
		require.NoError(t, err)
		assert.InDelta(t, c.want, got["meas1"], 1e-6, "%v", c.after)
		assert.Equal(t, math.Abs(got["meas1"]), got["meas2"])
	}
}

func TestContract(t *testing.T) {
	sensortest.Run(t, sensortest.Harness{Open: Open, Fields: []string{"meas1", "meas2"}})
}
