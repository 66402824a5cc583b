package dht

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/sensor"
)

var start = time.Unix(1e9, 0)

func both(t, h float64) sensor.Reading { return sensor.Reading{temperature: t, humidity: h} }

func TestParser(t *testing.T) {
	for name, c := range map[string]struct {
		stream  string
		want    []sensor.Reading
		skipped int
	}{
		"the sketch of the laboratories": {
			"Temperature: 21.30\r\nHumidity: 40.20Temperature: 21.31\r\nHumidity: 40.30Temperature: ",
			[]sensor.Reading{both(21.3, 40.2), both(21.31, 40.3)}, 0},
		"both lines end": {
			"Temperature: 21.30\nHumidity: 40.20\nTemperature: 21.31\nHumidity: 40.30\n",
			[]sensor.Reading{both(21.3, 40.2), both(21.31, 40.3)}, 0},
		"the last humidity may go on":    {"Temperature: 21.30\nHumidity: 40.2", nil, 0},
		"and did":                        {"Temperature: 21.30\nHumidity: 40.25Temperature:", []sensor.Reading{both(21.3, 40.25)}, 0},
		"the text behind may be another": {"Temperature: 21.30\nHumidity: 40.2Temp", nil, 0},
		"negative":                       {"Temperature: -12.50\nHumidity: 80.00\n", []sensor.Reading{both(-12.5, 80)}, 0},
		"whole numbers":                  {"Temperature: 21\nHumidity: 40\n", []sensor.Reading{both(21, 40)}, 0},
		"units":                          {"Temperature: 21.30°C\r\nHumidity: 40.20%\r\nTemperature: 21.40 *C\nHumidity: 40.3 %\n", []sensor.Reading{both(21.3, 40.2), both(21.4, 40.3)}, 0},
		"one line":                       {"Temperature: 21.30 Humidity: 40.20\n", []sensor.Reading{both(21.3, 40.2)}, 0},
		"no temperature": {
			"Error reading temperature!\r\nHumidity: 40.20Error reading temperature!\r\nHumidity: 40.30\n",
			[]sensor.Reading{{humidity: 40.2}, {humidity: 40.3}}, 0},
		"no humidity": {
			"Temperature: 21.30\nError reading humidity!\nTemperature: 21.40\nError reading humidity!",
			[]sensor.Reading{{temperature: 21.3}, {temperature: 21.4}}, 0},
		"neither": {"Error reading temperature!\nError reading humidity!\nTemperature: 1.0\nHumidity: 2.0\n",
			[]sensor.Reading{both(1, 2)}, 0},
		"nan": {"Temperature: nan\nHumidity: NAN\nTemperature: 21.30\nHumidity: nan\n", []sensor.Reading{{temperature: 21.3}}, 0},
		"begun in the middle": {
			"ture: 19.00\nHumidity: 39.00Temperature: 21.30\nHumidity: 40.20\n",
			[]sensor.Reading{{humidity: 39}, both(21.3, 40.2)}, 1},
		"a number without its text": {"1.30\nTemperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{both(21.4, 40)}, 1},
		"half a number":             {"Temperature: 21.Temperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{both(21.4, 40)}, 1},
		"half a line":               {"Temperature: 21.30\nHumTemperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{{temperature: 21.3}, both(21.4, 40)}, 1},
		"half a temperature":        {"Temperature: 21.3Temperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{both(21.4, 40)}, 1},
		"half a humidity":           {"Temperature: 21.30\nHumidity: 4Temperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{{temperature: 21.3}, both(21.4, 40)}, 1},
		"most of a humidity":        {"Temperature: 21.30\nHumidity: 40.2Temperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{{temperature: 21.3}, both(21.4, 40)}, 1},
		"one decimal":               {"Temperature: 21.3\nHumidity: 40.2Temperature: 21.4\nHumidity: 40.0\n", []sensor.Reading{both(21.3, 40.2), both(21.4, 40)}, 0},
		"no line end at all":        {"Temperature: 21.30Humidity: 40.20Temperature: 21.40Humidity: 40.00Temperature:", []sensor.Reading{both(21.3, 40.2), both(21.4, 40)}, 0},
		"only a sign":               {"Temperature: -\nHumidity: 40.00\n", []sensor.Reading{{humidity: 40}}, 1},
		"two points":                {"Temperature: 21.3.0\nHumidity: 40.00\n", []sensor.Reading{{humidity: 40}}, 1},
		"garbage in the number":     {"Temperature: 2\xff1.30\nHumidity: 40.00\n", []sensor.Reading{{humidity: 40}}, 1},
		"garbage in the text":       {"Temp\xe5rature: 21.30\nHumidity: 40.00\n", []sensor.Reading{{humidity: 40}}, 1},
		"garbage behind the number": {"Temperature: 21.30\nHumidity: 40.2\xfeTemperature: 21.40\nHumidity: 40.00\n", []sensor.Reading{{temperature: 21.3}, both(21.4, 40)}, 1},
		"boot messages":             {"\x00\x00DHT22 ready\nTemperature: 21.30\nHumidity: 40.00\n", []sensor.Reading{both(21.3, 40)}, 1},
		"not of the same measurement": {
			"Temperature: 21.30\nHumi#### ######ature: 21.40\nHumidity: 40.40\n",
			[]sensor.Reading{{temperature: 21.3}, {humidity: 40.4}}, 1},
		"a humidity line lost":    {"Temperature: 21.30\nTemperature: 21.40\nHumidity: 40.40\n", []sensor.Reading{{temperature: 21.3}, both(21.4, 40.4)}, 0},
		"a temperature line lost": {"Temperature: 21.30\nHumidity: 40.20\nHumidity: 40.40\n", []sensor.Reading{both(21.3, 40.2), {humidity: 40.4}}, 0},
		"a digit too many":        {"Temperature: 211.30\nHumidity: 400.00\n", nil, 2},
		"no end of digits":        {"Temperature: 99999999999999999999999999999999999999\nHumidity: 40.00\n", []sensor.Reading{{humidity: 40}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{len(c.stream), 1, 3, 7} {
				var p parser
				var got []sensor.Reading
				for i := 0; i < len(c.stream); i += size {
					got = append(got, p.feed([]byte(c.stream[i:min(i+size, len(c.stream))]), start)...)
				}
				assert.Equal(t, c.want, got, "in pieces of %d", size)
				assert.Equal(t, c.skipped, p.skipped, "in pieces of %d", size)
			}
		})
	}
}

// The original's reader lost all but the first temperature.
func TestRegressionEveryTemperatureIsRead(t *testing.T) {
	var p parser
	n := 0
	for i := range 100 {
		n += len(p.feed(fmt.Appendf(nil, "Temperature: %.2f\r\nHumidity: %.2f", 20+float64(i)/10, 40+float64(i)/10), start))
	}
	require.Equal(t, 99, n)
	require.Zero(t, p.skipped)
}

// A reading comes with the byte that completes it, not with the next one.
func TestReadingIsNotLate(t *testing.T) {
	var p parser
	assert.Empty(t, p.feed([]byte("Temperature: 21.30\nHumidity: 40.20"), start))
	assert.Len(t, p.feed([]byte("\r"), start), 1)
	assert.Empty(t, p.feed([]byte("\nTemperature: 21.30\nHumidity: 40.20Temperature"), start))
	assert.Len(t, p.feed([]byte(":"), start), 1)
	assert.Empty(t, p.feed([]byte(" 21.40\nError reading humidity"), start))
	assert.Equal(t, []sensor.Reading{{temperature: 21.4}}, p.feed([]byte("!"), start))
}

// Without a line end a humidity is complete when nothing follows and it has all
// of its decimals.
func TestSettle(t *testing.T) {
	for stream, want := range map[string][]sensor.Reading{
		"Temperature: 21.30\r\nHumidity: 40.20": {both(21.3, 40.2)},
		"Temperature: 21.30\r\nHumidity: 40.2":  nil,
		"Temperature: 21.30\r\nHumidity: 40":    nil,
		"Temperature: 21\r\nHumidity: 40":       nil,
		"Temperature: 21.30\r\nHumi":            nil,
		"Temperature: 21.30\r\n":                nil,
		"Temperature: 21.30":                    nil,
		"Humidity: 40.20":                       nil,
	} {
		var p parser
		assert.Empty(t, p.feed([]byte(stream), start), stream)
		assert.Equal(t, want, p.settle(start), stream)
		assert.Empty(t, p.settle(start), stream)
		if want != nil {
			assert.Equal(t, []sensor.Reading{both(1.5, 2.5)}, p.feed([]byte("Temperature: 1.50\r\nHumidity: 2.50\r"), start))
			assert.Zero(t, p.skipped)
		}
	}
}

// The board hangs in the middle of a measurement: what it said before is not new.
func TestOldValuesAreDropped(t *testing.T) {
	const next = "Temperature: 21.40\r\nHumidity: 40.30\r\n"
	for stream, want := range map[string][]sensor.Reading{
		"Temperature: 21.30\r\n":               {both(21.4, 40.3)},
		"Temperature: 21.30\r\nHumidity: 40.2": {both(21.4, 40.3)},
		"Humidity: 40.20":                      {both(21.4, 40.3)},
	} {
		var p parser
		assert.Empty(t, p.feed([]byte(stream), start))
		assert.Equal(t, want, p.feed([]byte(next), start.Add(9*time.Second)), stream)
		assert.NotZero(t, p.skipped, stream)
	}
	var p parser
	assert.Empty(t, p.feed([]byte("Temperature: 21.30\r\n"), start))
	assert.Equal(t, []sensor.Reading{{humidity: 40}}, p.feed([]byte("Humidity: 40.00\r\n"), start.Add(9*time.Second)))
}

func FuzzParser(f *testing.F) {
	f.Add("Temperature: 21.30\r\nHumidity: 40.20Temperature: 21.31\r\n", 3)
	f.Add("Error reading humidity!Temperature: -1e9\nHumidity: nan\n", 1)
	f.Add("Temperature:                                         ", 5)
	f.Add("\xff\x00TTTTHumidity: 1.Error", 2)
	f.Fuzz(func(t *testing.T, stream string, size int) {
		size = max(1, size%64)
		var whole, parts parser
		want := whole.feed([]byte(stream), start)
		var got []sensor.Reading
		for i := 0; i < len(stream); i += size {
			got = append(got, parts.feed([]byte(stream[i:min(i+size, len(stream))]), start)...)
			if len(parts.buf) > 128 {
				t.Fatalf("%d bytes are kept", len(parts.buf))
			}
		}
		require.Equal(t, want, got, "however it is cut")
		require.Equal(t, whole.skipped, parts.skipped)
		for _, r := range got {
			if len(r) == 0 {
				t.Fatal("an empty reading")
			}
			for k, x := range r {
				if math.IsNaN(x) || x < minTemperature || x > maxTemperature || k == humidity && x < 0 {
					t.Fatalf("%s %v", k, x)
				}
			}
		}
	})
}
