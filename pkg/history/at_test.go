package history

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers is an InfluxDB that answers a question by the first of these keys
// that stands in it, and notes what it was asked.
type answers struct {
	by    [][2]string
	asked []string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	a.asked = append(a.asked, q)
	for _, kv := range a.by {
		if strings.Contains(q, kv[0]) {
			_, _ = w.Write([]byte(kv[1]))
			return
		}
	}
	_, _ = w.Write([]byte(`{"results":[{"statement_id":0}]}`))
}

func results(series ...string) string {
	return `{"results":[{"statement_id":0,"series":[` + strings.Join(series, ",") + `]}]}`
}

func seriesOf(tags, columns, values string) string {
	return fmt.Sprintf(`{"name":"hv","tags":{%s},"columns":[%s],"values":[%s]}`, tags, columns, values)
}

// at is a time in s after 1970.
func at(s int64) time.Time { return time.Unix(s, 0).UTC() }

func TestAt(t *testing.T) {
	a := &answers{by: [][2]string{
		{"LAST(", results(
			seriesOf(`"number":"2"`, `"time","last"`, `[900000000000,7]`),
			seriesOf(`"number":"10"`, `"time","last"`, `[910000000000,8]`))},
		{"time > ", results(
			seriesOf(`"number":"10"`, `"time","boot","imon","vmon","vreq"`, `[1005000000000,"b",null,2,100],[1007000000000,"b",null,2,100],[1009000000000,"b",null,2,100]`))},
		{"time <= ", results(
			seriesOf(`"number":"10"`, `"time","boot","imon","vmon","vreq"`, `[998000000000,"b",null,1.5,100]`),
			seriesOf(`"number":"2"`, `"time","boot","imon","vmon","vreq"`,
				`[999000000000,"b",null,null,50],[998000000000,"b",null,49.5,50],[997000000000,"b",null,49.4,50],[600000000000,"a",null,49,50]`))},
	}}
	got, err := scripted(t, a.ServeHTTP).At(t.Context(), `h"v`, at(1000), 5*time.Minute)
	require.NoError(t, err)
	assert.Equal(t, []Snapshot{
		{
			Tags: map[string]string{"number": "2"}, Time: at(999), Period: time.Second,
			Fields: map[string]Sample{"boot": {Text: "b", Time: at(999)}, "vreq": {Value: 50, Time: at(999)}, "vmon": {Value: 49.5, Time: at(998)}, "imon": {Value: 7, Time: at(900)}},
		},
		{
			Tags: map[string]string{"number": "10"}, Time: at(998), Period: 2 * time.Second, // from what comes after, without the break
			Fields: map[string]Sample{"boot": {Text: "b", Time: at(998)}, "vreq": {Value: 100, Time: at(998)}, "vmon": {Value: 1.5, Time: at(998)}, "imon": {Value: 8, Time: at(910)}},
		},
	}, got)
	assert.Equal(t, []string{
		`SELECT * FROM "h\"v" WHERE time >= 700000000000 AND time <= 1000000000000 GROUP BY * ORDER BY time DESC LIMIT 12`,
		`SELECT LAST("imon") FROM "h\"v" WHERE time >= 700000000000 AND time <= 1000000000000 GROUP BY *`,
		`SELECT * FROM "h\"v" WHERE time > 1000000000000 AND time <= 1300000000000 GROUP BY * ORDER BY time ASC LIMIT 3`,
	}, a.asked)
}

// One point alone tells no period, and one after it neither.
func TestAtWithoutPeriod(t *testing.T) {
	a := &answers{by: [][2]string{
		{"time > ", results(seriesOf(``, `"time","meas1"`, `[1009000000000,1]`))},
		{"time <= ", results(seriesOf(``, `"time","meas1"`, `[999000000000,1]`))},
	}}
	got, err := scripted(t, a.ServeHTTP).At(t.Context(), "s", at(1000), time.Minute)
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Empty(t, got[0].Channel())
	assert.Zero(t, got[0].Period)
}

func TestAtOfNothing(t *testing.T) {
	a := &answers{}
	got, err := scripted(t, a.ServeHTTP).At(t.Context(), "s", at(1000), time.Minute)
	require.NoError(t, err)
	assert.Empty(t, got)
	assert.Len(t, a.asked, 1)
}

// An answer that breaks off in any of the questions is no answer.
func TestAtBrokenOff(t *testing.T) {
	whole := results(seriesOf(``, `"time","meas1","meas2"`, `[999000000000,1,null]`))
	for _, broken := range []string{"LAST(", "time > ", "time <= "} {
		a := &answers{by: [][2]string{{broken, whole[:40]}, {"", whole}}}
		_, err := scripted(t, a.ServeHTTP).At(t.Context(), "s", at(1000), time.Minute)
		assert.ErrorIs(t, err, ErrNoAnswer, broken)
	}
}

func TestRunMarks(t *testing.T) {
	run := func(procedure, values string) string {
		return seriesOf(`"procedure":"`+procedure+`"`, `"time","number","state","end_ms"`, values)
	}
	for name, tt := range map[string]struct {
		answer string
		later  string
		want   RunMark
		ok     bool
	}{
		"none":     {results(), "", RunMark{}, false},
		"ended":    {results(run("scan", `[900000000000,41,"finished",950000.0]`)), "", RunMark{41, "scan", "finished", at(900), at(950), false}, false},
		"in it":    {results(run("scan", `[900000000000,41,"finished",1000000]`)), "", RunMark{41, "scan", "finished", at(900), at(1000), false}, true},
		"open":     {results(run("scan", `[900000000000,41,null,null]`)), results(), RunMark{41, "scan", "", at(900), time.Time{}, true}, true},
		"missed":   {results(run("scan", `[900000000000,41,null,null]`)), results(run("b", `[1200000000000,42,"finished",1300000]`)), RunMark{41, "scan", "", at(900), time.Time{}, false}, true},
		"the last": {results(run("a", `[900000000000,41,"interrupted",0]`), run("b", `[980000000000,42,"running",null]`), run("c", `[800000000000,40,"running",null]`)), results(), RunMark{42, "b", "running", at(980), time.Time{}, true}, true},
		"foreign":  {results(run("a", `[900000000000,null,"x",null]`)), "", RunMark{}, false},
	} {
		a := &answers{by: [][2]string{{"time <= 1000000000000 ", tt.answer}, {fmt.Sprintf("time > %d ", tt.want.Start.UnixNano()), tt.later}}}
		got, ok, err := scripted(t, a.ServeHTTP).RunAt(t.Context(), at(1000))
		require.NoError(t, err, name)
		assert.Equal(t, tt.ok, ok, name)
		assert.Equal(t, tt.want, got, name)
	}
	a := &answers{by: [][2]string{{`WHERE "number" = 42 `, results(run("scan", `[900000000000,42,"finished",950000]`))}}}
	got, ok, err := scripted(t, a.ServeHTTP).RunNumber(t.Context(), 42)
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, at(900), got.Start)
}

// Without an end a mark counts only while the run may still be under way.
func TestMarkWithoutEndDoesNotCountForEver(t *testing.T) {
	open := RunMark{Number: 42, Start: at(1000), Newest: true}
	assert.False(t, open.EndMissing(at(1000).Add(longestRun)))
	assert.True(t, open.EndMissing(at(1001).Add(longestRun)), "months later")
	passed, ended, failed := open, open, open
	passed.Newest = false
	assert.True(t, passed.EndMissing(at(1001)), "another run has begun")
	failed.State = "failed"
	assert.True(t, failed.EndMissing(at(1001)), "it has ended, and nobody knows when")
	ended.End = at(1010)
	assert.False(t, ended.EndMissing(at(1001).Add(longestRun)))
}

func TestStatesAt(t *testing.T) {
	a := &answers{by: [][2]string{{"time <= 1000000000000", results(
		seriesOf(`"device":"hv"`, `"time","state","boot","seq","error"`, `[900000000000,"unreachable","b",null,"no route"]`))}}}
	got, err := scripted(t, a.ServeHTTP).StatesAt(t.Context(), at(1000))
	require.NoError(t, err)
	assert.Equal(t, []State{{Name: "hv", Time: 900e9, State: "unreachable", Boot: "b", Error: "no route"}}, got)
}
