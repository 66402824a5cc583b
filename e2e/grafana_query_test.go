//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// choose adds a variable to each choice so far: one choice with all of its
// values, or one for each where only one can be chosen.
func (v dashboardVariable) choose(t *testing.T, d *demo, so []map[string][]string, at grafanaTime) (choices []map[string][]string) {
	t.Helper()
	for _, vars := range so {
		with := func(values []string) {
			c := map[string][]string{v.Name: values}
			for k, w := range vars {
				c[k] = w
			}
			choices = append(choices, c)
		}
		if v.Type == "textbox" {
			with([]string{v.Query.(string)})
			continue
		}
		values := v.values(t, d, at.fill(t, v.Query.(map[string]any)["query"].(string), "", vars))
		if v.IncludeAll {
			with(values)
			continue
		}
		for _, value := range values {
			with([]string{value})
		}
	}
	return choices
}

// but is the one expression of our dashboards that Go's regexp has no words for.
var but = regexp.MustCompile(`^/\^\(\?!\(\?:([a-z|]+)\)\$\)\.\+/$`)

// values takes the last column, as Grafana does of SHOW.
func (v dashboardVariable) values(t *testing.T, d *demo, q string) (values []string) {
	t.Helper()
	series, _, err := d.series(q)
	require.NoError(t, err, q)
	var without []string
	if v.Regex != "" {
		m := but.FindStringSubmatch(v.Regex)
		require.NotNil(t, m, "%s: %s is not understood by this test", v.Name, v.Regex)
		without = strings.Split(m[1], "|")
	}
	for _, s := range series {
		for _, row := range s.Values {
			if value := fmt.Sprint(row[len(row)-1]); !slices.Contains(without, value) {
				values = append(values, value)
			}
		}
	}
	return values
}

// repeated is what a panel's copies have chosen.
func repeated(vars map[string][]string, by string) (copies []map[string][]string) {
	if by == "" {
		return []map[string][]string{vars}
	}
	for _, value := range vars[by] {
		c := map[string][]string{}
		for k, v := range vars {
			c[k] = v
		}
		c[by] = []string{value}
		copies = append(copies, c)
	}
	return copies
}

// grafanaTime is what is chosen in the time picker.
type grafanaTime struct{ from, to time.Time }

var grafanaVariable = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}|\$(\w+)`)

// fill puts values in place of variables and macros, as Grafana 12 does.
func (g grafanaTime) fill(t *testing.T, query, interval string, vars map[string][]string) string {
	t.Helper()
	return grafanaVariable.ReplaceAllStringFunc(query, func(v string) string {
		m := grafanaVariable.FindStringSubmatch(v)
		switch name := m[1] + m[3]; {
		case name == "timeFilter":
			return fmt.Sprintf("time >= %dms and time <= %dms", g.from.UnixMilli(), g.to.UnixMilli())
		case name == "__interval":
			return g.interval(t, interval)
		case name == "__from":
			return fmt.Sprint(g.from.UnixMilli())
		case name == "__to":
			return fmt.Sprint(g.to.UnixMilli())
		case m[2] == "raw":
			require.Len(t, vars[name], 1, "%s in %s", v, query)
			return vars[name][0]
		case m[2] == "regex":
			var escaped []string
			for _, value := range vars[name] {
				escaped = append(escaped, strings.ReplaceAll(regexp.QuoteMeta(value), "/", `\/`))
			}
			if len(escaped) == 1 {
				return escaped[0]
			}
			return "(" + strings.Join(escaped, "|") + ")"
		}
		t.Fatalf("%s: %s says no format", query, v)
		return ""
	})
}

// interval is a time that a thousand of fill the range, rounded up as Grafana
// rounds, and not shorter than the panel's or the data source's.
func (g grafanaTime) interval(t *testing.T, least string) string {
	want := g.to.Sub(g.from) / 1000
	if least == "" {
		least = "1s"
	}
	min, err := time.ParseDuration(least)
	require.NoError(t, err)
	for _, d := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour} {
		if d >= want && d >= min {
			return fmt.Sprintf("%ds", int(d.Seconds()))
		}
	}
	return "1d"
}

type influxSeries struct {
	Name    string
	Tags    map[string]string
	Columns []string
	Values  [][]any
}

type point struct {
	at    time.Time
	value any
}

// points are those of the rows in which a column has a value.
func (s influxSeries) points(column int) (points []point) {
	for _, row := range s.Values {
		if ms, ok := row[0].(float64); ok && row[column] != nil {
			points = append(points, point{time.UnixMilli(int64(ms)), row[column]})
		}
	}
	return points
}

// of is the device that the series is about.
func (s influxSeries) of(vars map[string][]string) string {
	own := []string{"ack", "run", "sensor", "service", "state"}
	switch device, tagged := s.Tags["device"]; {
	case tagged:
		return device
	case !slices.Contains(own, s.Name):
		return s.Name
	case len(vars["device"]) == 1:
		return vars["device"][0]
	}
	return s.Name
}

// series asks as Grafana's server does.
func (d *demo) series(q string) ([]influxSeries, time.Duration, error) {
	began := time.Now()
	res, err := http.PostForm(fmt.Sprintf("http://127.0.0.1:%d/query?db=dcs&epoch=ms", d.port(8086)), url.Values{"q": {q}})
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Results []struct {
			Series []influxSeries
			Error  string
		}
		Error string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, 0, err
	}
	for _, r := range answer.Results {
		answer.Error += r.Error
		if answer.Error == "" && len(answer.Results) == 1 {
			return r.Series, time.Since(began), nil
		}
	}
	return nil, 0, fmt.Errorf("InfluxDB: %s", answer.Error)
}
