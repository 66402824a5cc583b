//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Devices with thirty days in the archive, the last hour excepted: a supply every
// ten seconds, which was off for one status in the middle, and a room every minute.
const (
	monthSupply = "hv_month"
	monthRoom   = "month_room"
	monthOff    = 15 * 24 * time.Hour
)

// month writes them to InfluxDB itself: no driver has been running for so long.
func month(t *testing.T, d *demo) {
	t.Helper()
	influx := fmt.Sprintf("http://127.0.0.1:%d", d.port(8086))
	t.Cleanup(func() {
		for _, name := range []string{monthSupply, monthRoom} {
			_, _, err := d.series(fmt.Sprintf("DROP MEASUREMENT %q", name))
			assert.NoError(t, err)
		}
	})
	now := time.Now().Truncate(time.Minute)
	var b strings.Builder
	send := func() {
		res, err := http.Post(influx+"/write?db=dcs&precision=s", "text/plain", strings.NewReader(b.String()))
		require.NoError(t, err)
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		require.Equal(t, http.StatusNoContent, res.StatusCode, string(body))
		b.Reset()
	}
	for back, seq := 30*24*time.Hour, 1; back > time.Hour; back, seq = back-10*time.Second, seq+1 {
		at, on := now.Add(-back).Unix(), 1
		if back == monthOff {
			on = 0
		}
		fmt.Fprintf(&b, "%s,number=0 on=%d,vreq=100,vmon=%g,imon=1e-6,trip=0,limited=0,seq=%d %d\n", monthSupply, on, 100+float64(seq%7)/10, seq, at)
		if back%time.Minute == 0 {
			fmt.Fprintf(&b, "%s temperature=%g,humidity=40,seq=%d %d\n", monthRoom, 20+float64(seq%9)/10, seq, at)
		}
		if seq%10_000 == 0 {
			send()
		}
	}
	send()
}

// answers are the values of each column of each query, by device.
type answers map[string]map[string]map[string][]point

func (a answers) add(query string, series []influxSeries, vars map[string][]string) {
	if a[query] == nil {
		a[query] = make(map[string]map[string][]point)
	}
	for _, s := range series {
		for i, column := range s.Columns[1:] {
			if a[query][column] == nil {
				a[query][column] = make(map[string][]point)
			}
			if points := s.points(i + 1); len(points) > 0 {
				a[query][column][s.of(vars)] = append(a[query][column][s.of(vars)], points...)
			}
		}
	}
}

// of are all values of a device that a query gave.
func (a answers) of(query, device string) (points []point) {
	for _, devices := range a[query] {
		points = append(points, devices[device]...)
	}
	return points
}

// meant are devices of which a query has to give something, beyond those of the
// part of a device's page that is for supplies.
var meant = map[string][]string{
	"Freshness A":               {"hv", "lv", "sensor_1"},
	"Freshness B":               {monthRoom},
	"Channels on A":             {"hv", "lv"},
	"Tripped A":                 {"hv", "lv"},
	"Voltage A":                 {"hv", "lv"},
	"Current A":                 {"hv", "lv"},
	"On and off A":              {"hv", "lv"},
	"High voltage A":            {"hv"},
	"High voltage B":            {"hv"},
	"High-voltage current A":    {"hv"},
	"Low voltage A":             {"lv"},
	"Low voltage B":             {"lv"},
	"Temperature A":             {"dht_room"},
	"Temperature B":             {"dht_room"},
	"Relative humidity A":       {"dht_room"},
	"Temperature now A":         {"dht_room"},
	"Humidity now A":            {"dht_room"},
	"Air above its dew point A": {"dht_room"},
	"Dew point A":               {"dht_room"},
	"Pressure A":                {"e2e_gauge"},
	"Other quantities A":        {"sensor_1"},
	"Missing A":                 {"hv", "lv", "sensor_1", "dht_room"},
	"Devices and services A":    {"hv", "lv", "sensor_1", "dht_room"},
	"State A":                   {"hv", "lv", "sensor_1", "dht_room"},
	"Statuses a minute A":       {"hv", "lv", "sensor_1", "dht_room"},
	"Statuses a minute C":       {"hv", "lv", "sensor_1", "dht_room"},
}

// without are the columns and queries that a supply cannot fill: an HMP4040 has no
// interlock and no ramp.
var without = map[string][]string{"lv": {"interlock", "Ramp speed, V/s A", "Flags B", "Flags E"}}

// mayLack are columns that nobody need have. All fields of all devices are asked
// for as other quantities, and supplies have none; a dead letter that could not be
// read has no number.
func mayLack(query, column string) bool {
	return query == "Other quantities A" && column != "mean_meas1" || query == "Dead letters A" && column == "seq"
}

// check wants each column of each query to have a value of some device, and of each
// that it is meant for.
func (a answers) check(t *testing.T, uid string, panels []dashboardPanel) {
	t.Helper()
	require.NotEmpty(t, a)
	only := map[string]string{"dcs-high-voltage": "hv", "dcs-low-voltage": "lv"}[uid]
	for query, columns := range a {
		if only == "" || query != "Freshness B" { // of slow devices: these supplies are not
			assert.NotEmpty(t, columns, "%s: no answer, whatever is chosen", query)
		}
		for column, devices := range columns {
			if !slices.Contains(without[only], column) && !mayLack(query, column) {
				assert.NotEmpty(t, devices, "%s: no value of %s, whatever is chosen", query, column)
			}
		}
		for _, device := range meant[query] {
			if only == "" || only == device {
				assert.NotEmpty(t, a.of(query, device), "%s: nothing of %s", query, device)
			}
		}
	}
	for _, query := range []string{"Freshness A", "Freshness B"} {
		for _, p := range a.of(query, monthSupply) {
			assert.Zero(t, p.value, "%s: of a supply that has been silent for an hour", query)
		}
		for _, p := range a.of(query, "hv") {
			// What is usual is little more than the commands of these few minutes, each
			// of which made a status: it is not red, which is all that can be said.
			assert.Greater(t, p.value, 20., "%s: of a supply that speaks", query)
			assert.Less(t, p.value, 300., "%s: of a supply that speaks", query)
		}
	}
	if uid == "dcs-device" {
		a.checkSupplies(t, panels)
	}
}

// checkSupplies wants each column of what a device's page has for supplies to have
// a value of each supply.
func (a answers) checkSupplies(t *testing.T, panels []dashboardPanel) {
	t.Helper()
	var checked int
	for _, p := range panels {
		if !strings.HasPrefix(p.headline, "Power supply") && !strings.HasPrefix(p.headline, "In this time") {
			continue
		}
		for _, target := range p.Targets {
			query := p.Title + " " + target.RefID
			for column, devices := range a[query] {
				for _, device := range []string{"hv", "lv"} {
					if !slices.Contains(without[device], column) && !slices.Contains(without[device], query) {
						assert.NotEmpty(t, devices[device], "%s: no value of %s of %s", query, column, device)
						checked++
					}
				}
			}
		}
	}
	assert.Greater(t, checked, 40, "columns of hv and lv")
}

// monthly are queries that have to give all of the thirty days, if a dashboard has
// them.
var monthly = map[string][]string{
	monthSupply: {"High voltage A", "High voltage B", "High-voltage current A", "On and off A", "Voltage: measured and setpoint A",
		"Voltage: measured and setpoint C", "Current: measured B", "Flags A", "Statuses a minute C"},
	monthRoom: {"Temperature A", "Temperature B", "Relative humidity A", "Dew point A"},
}

// checkMonth wants thirty days to be thirty days; and what has ended an hour ago not
// to be shown as of now.
func (a answers) checkMonth(t *testing.T, uid string) {
	t.Helper()
	var checked int
	for device, queries := range monthly {
		for _, query := range queries {
			if a[query] == nil || uid == "dcs-low-voltage" {
				continue
			}
			points := a.of(query, device)
			if assert.Greater(t, len(points), 700, "%s: of %s", query, device) {
				first := slices.MinFunc(points, func(a, b point) int { return a.at.Compare(b.at) })
				last := slices.MaxFunc(points, func(a, b point) int { return a.at.Compare(b.at) })
				assert.Greater(t, last.at.Sub(first.at), 29*24*time.Hour, "%s: of %s", query, device)
			}
			checked++
		}
	}
	if uid != "dcs-low-voltage" && uid != "dcs-stack" {
		assert.Positive(t, checked, "queries of thirty days")
	}
	for _, query := range []string{"On and off A", "Flags A"} {
		if uid != "dcs-low-voltage" && a[query] != nil {
			both := slices.DeleteFunc(a.of(query, monthSupply), func(p point) bool { return p.value != 1.0 })
			assert.Len(t, both, 1, "%s: off for one status of thirty days", query)
		}
	}
	for _, query := range []string{"Channels on A", "Tripped A", "$device now A", "Temperature now A", "Humidity now A", "Air above its dew point A"} {
		for _, device := range []string{monthSupply, monthRoom} {
			assert.Empty(t, a.of(query, device), "%s: %s has been silent for an hour", query, device)
		}
	}
}
