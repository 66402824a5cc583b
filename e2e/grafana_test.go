//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Grafana keeps of a dashboard, as far as its queries go.
type dashboard struct {
	UID         string
	Templating  struct{ List []dashboardVariable }
	Panels      []dashboardPanel
	Annotations struct {
		List []struct {
			Name   string
			Target dashboardTarget
		}
	}
}

type dashboardPanel struct {
	Title, Type, Repeat, Interval string
	Targets                       []dashboardTarget
	Panels                        []dashboardPanel // of a row that is shut

	headline string // of the row that it is in
}

// all are the panels with their headlines, those of shut rows too.
func (b dashboard) all() (panels []dashboardPanel) {
	var headline string
	for _, p := range b.Panels {
		within := []dashboardPanel{p}
		if p.Type == "row" {
			headline, within = p.Title, p.Panels
		}
		for _, q := range within {
			q.headline = headline
			panels = append(panels, q)
		}
	}
	return panels
}

type dashboardVariable struct {
	Name, Type, Regex string
	Query             any
	IncludeAll        bool
}

type dashboardTarget struct{ RefID, Query string }

// Each column of each query of each dashboard finds something in the archive, of
// the devices that it is meant for, in five minutes and in thirty days.
func dashboards(t *testing.T, d *demo) {
	for _, provoke := range []func(*testing.T, *demo){month, newDevice, outsideDevice, endedRuns, refusedCommand, deadLetter, loaderFigures, secondMinute} {
		provoke(t, d)
	}
	files, err := filepath.Glob(filepath.Join(root(t), "grafana", "dashboards", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 7)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var b dashboard
		require.NoError(t, json.Unmarshal(raw, &b))
		for name, width := range map[string]time.Duration{"5m": 5 * time.Minute, "30d": 30 * 24 * time.Hour} {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+name, func(t *testing.T) { everyQuery(t, d, b, width) })
		}
	}
}

// newDevice is heard for the first time: no dashboard knows its name.
func newDevice(t *testing.T, d *demo) {
	for seq := range 3 {
		d.publish("/e2e_gauge/status", fmt.Sprintf(`{"pressure":%g,"time":%q,"seq":%d,"boot":"e2e"}`, 1e-3, time.Now().UTC().Format(time.RFC3339Nano), seq+1))
	}
	eventually(t, "the gauge in InfluxDB", func() bool { return d.count(`SELECT COUNT(pressure) FROM e2e_gauge WHERE time > now() - 1m`) >= 3 })
}

func outsideDevice(t *testing.T, d *demo) {
	d.publish("/sensor/e2e_arduino/temperature", "21.5")
	eventually(t, "the sensor in InfluxDB", func() bool {
		return d.count(`SELECT COUNT(value) FROM sensor WHERE "sensor" = 'e2e_arduino'`) > 0
	})
}

// endedRuns has an annotation of each way in which a run may end.
func endedRuns(t *testing.T, d *demo) {
	for i, state := range []string{"finished", "failed", "aborted", "interrupted"} {
		number, start := 900_000_000+i, time.Now().Add(-time.Minute).Add(time.Duration(i)*time.Second).UTC()
		d.publish("/run/annotation", fmt.Sprintf(`{"run":%d,"procedure":"calibration","module":"M12","user":"e2e","state":%q,"start":%q,"end":%q}`,
			number, state, start.Format(time.RFC3339Nano), start.Add(10*time.Second).Format(time.RFC3339Nano)))
	}
	eventually(t, "the runs in InfluxDB", func() bool {
		return d.count(`SELECT COUNT("number") FROM run WHERE "number" >= 900000000 AND end_ms > 0`) >= 4
	})
}

func refusedCommand(t *testing.T, d *demo) {
	d.publish("/hv/cmd/setv/0", "1e9")
	d.publish("/lv/cmd/setv/1", "1e9")
	d.publish("/lv/cmd/switch/1", "perhaps") // words have a column of their own
	d.publish("/run/cmd/start", `{"procedure":"e2e"}`)
	eventually(t, "the refusals in InfluxDB", func() bool {
		return !slices.ContainsFunc([]string{"hv", "lv", "run"}, func(device string) bool {
			return d.count(fmt.Sprintf(`SELECT COUNT(code) FROM ack WHERE time > now() - 4m AND device = '%s' AND phase = 'rejected'`, device)) == 0
		})
	})
}

func deadLetter(t *testing.T, d *demo) {
	d.publish("/e2e_gauge/status", "not JSON")
	eventually(t, "the dead letter in InfluxDB", func() bool {
		return d.count(`SELECT COUNT(reason) FROM service WHERE time > now() - 4m AND "record" = 'dead_letter'`) > 0
	})
}

// loaderFigures come every ten seconds, and make a rate when there are two; the
// ledger comes once a minute.
func loaderFigures(t *testing.T, d *demo) {
	eventually(t, "the loader's figures in InfluxDB", func() bool {
		return d.count(`SELECT COUNT(broker_rtt) FROM service WHERE "record" = 'loader' AND time > now() - 1m`) > 1 &&
			d.count(`SELECT COUNT(missing) FROM service WHERE "record" = 'ledger' AND device = 'hv'`) > 0
	})
}

// secondMinute is when a rate by the minute can be told.
func secondMinute(t *testing.T, d *demo) {
	eventually(t, "a minute and more of each device in InfluxDB", func() bool {
		return !slices.ContainsFunc([]string{"hv", "lv", "sensor_1", "dht_room"}, func(device string) bool {
			return d.count(fmt.Sprintf(`SELECT COUNT(seq) FROM %s WHERE time < now() - 65s`, device)) == 0
		})
	})
}

// everyQuery asks all that a dashboard would ask with every choice that its
// variables leave.
func everyQuery(t *testing.T, d *demo, b dashboard, width time.Duration) {
	to := time.Now()
	at := grafanaTime{from: to.Add(-width), to: to}
	choices := []map[string][]string{{}}
	for _, v := range b.Templating.List {
		choices = v.choose(t, d, choices, at)
	}
	checkChoices(t, b.UID, choices)

	found := make(answers)
	ask := func(name string, target dashboardTarget, interval string, vars map[string][]string) {
		q := at.fill(t, target.Query, interval, vars)
		series, took, err := d.series(q)
		for again := 0; err == nil && took >= 5*time.Second && again < 2; again++ { // the machine is shared: the soonest answer counts
			series, took, err = d.series(q)
		}
		if !assert.NoError(t, err, "%s: %s", name, q) {
			return
		}
		assert.Less(t, took, 5*time.Second, "%s: %s", name, q)
		found.add(name, series, vars)
		for _, s := range series {
			assert.LessOrEqual(t, len(s.Values), 1100, "%s: more points than a screen has: %s", name, q)
		}
	}
	panels := b.all()
	for _, vars := range choices {
		for _, p := range panels {
			for _, one := range repeated(vars, p.Repeat) {
				for _, target := range p.Targets {
					ask(p.Title+" "+target.RefID, target, p.Interval, one)
				}
			}
		}
		for _, a := range b.Annotations.List {
			ask("annotation "+a.Name, a.Target, "", vars)
		}
	}
	found.check(t, b.UID, panels)
	if width > 24*time.Hour {
		found.checkMonth(t, b.UID)
	}
}

// checkChoices wants supplies to be told apart and the new device to be there.
func checkChoices(t *testing.T, uid string, choices []map[string][]string) {
	var devices []string
	for _, c := range choices {
		devices = append(devices, c["device"]...)
	}
	switch uid {
	case "dcs-high-voltage":
		assert.Equal(t, []string{"hv", monthSupply}, devices)
	case "dcs-low-voltage":
		assert.Equal(t, []string{"lv"}, devices)
	case "dcs-device", "dcs-environment":
		assert.Subset(t, devices, []string{"hv", "lv", "dht_room", "sensor_1", "e2e_gauge", monthRoom})
		assert.NotContains(t, devices, "ack")
		assert.NotContains(t, devices, "service")
	}
}
