package dht

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"trackerdcs/drivers/sim/dht"
	"trackerdcs/pkg/sensor"
	"trackerdcs/pkg/sensor/sensortest"
)

func harness(o dht.Options) sensortest.Harness {
	o.Period = 20 * time.Millisecond
	return sensortest.Harness{
		New:    func() sensortest.Simulator { return dht.New(o) },
		Open:   Open,
		Fields: []string{temperature, humidity},
	}
}

func TestContract(t *testing.T) { sensortest.Run(t, harness(dht.Options{})) }

func TestContractEndedLines(t *testing.T) {
	sensortest.Run(t, harness(dht.Options{EndLines: true}))
}

// Fault 23: what the simulated board prints is cut off or garbled at each byte.
// It is read right or not at all, and the next one is read whole.
func TestFault23OfTheBoard(t *testing.T) {
	for _, ended := range []bool{false, true} {
		sim := dht.New(dht.Options{EndLines: ended, Temperature: 21.37, Humidity: 40.26})
		sim.Freeze(true)
		good := sim.Print()
		want := (&parser{}).feed([]byte(good+"\n"), start)[0]
		for i := range good {
			garbled := []byte(good)
			garbled[i] = 0x80 | garbled[i]
			for _, bad := range []string{good[:i], string(garbled)} {
				var p parser
				got := p.feed([]byte(good+bad+good+good+"\n"), start)
				for _, r := range got {
					for field, x := range r {
						assert.InDelta(t, want[field], x, 1e-9, "%s of %q", field, bad)
					}
				}
				assert.Equal(t, []sensor.Reading{want, want}, got[len(got)-2:], "after %q", bad)
			}
		}
	}
}
