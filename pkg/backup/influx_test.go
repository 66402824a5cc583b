package backup

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/history"
)

// fakeInflux answers the questions of a backup about one measurement, hv, with
// one field, v, which has a value at each time in at.
type fakeInflux struct {
	mu     sync.Mutex
	at     []int64
	value  map[int64]float64 // other than 0.5
	cut    bool              // answers with points break off
	refuse int               // writes that are refused first
	asked  []string
}

func (f *fakeInflux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/api/v2/write" {
		f.write(w, r)
		return
	}
	w.Header().Set("X-Influxdb-Version", "v2.7.12")
	q := r.URL.Query().Get("q")
	f.asked = append(f.asked, q)
	var from, to int64
	if _, rest, ok := strings.Cut(q, "WHERE time >= "); ok {
		_, _ = fmt.Sscanf(rest, "%d AND time < %d", &from, &to)
	} else {
		to = 1<<63 - 1
	}
	slices.Sort(f.at)
	var rows []string
	add := func(format string, args ...any) { rows = append(rows, fmt.Sprintf(format, args...)) }
	columns := `"time","v"`
	switch {
	case r.URL.Path == "/ping" || len(f.at) == 0 && q != "SHOW RETENTION POLICIES":
	case q == "SHOW MEASUREMENTS":
		columns = `"name"`
		add(`["hv"]`)
	case q == "SHOW RETENTION POLICIES":
		columns = `"name","default"`
		add(`["autogen",true]`)
	case strings.HasPrefix(q, "SHOW FIELD KEYS"):
		columns = `"fieldKey","fieldType"`
		add(`["v","float"]`)
	case strings.Contains(q, "ORDER BY time ASC"):
		add(`[%d,1]`, f.at[0])
	case strings.Contains(q, "ORDER BY time DESC"):
		add(`[%d,1]`, f.at[len(f.at)-1])
	case strings.Contains(q, "COUNT"):
		days, counts, sums := []int64{}, map[int64]int{}, map[int64]float64{}
		for _, at := range f.at {
			if d := at - at%int64(day); at >= from && at < to {
				if !strings.Contains(q, "time(1d)") {
					d = 0
				}
				if counts[d] == 0 {
					days = append(days, d)
				}
				counts[d]++
				sums[d] += f.of(at)
			}
		}
		for _, d := range days {
			if strings.Contains(q, "SUM") {
				columns = `"time","v","sum"`
				add(`[%d,%d,%v]`, d, counts[d], sums[d])
			} else {
				add(`[%d,%d]`, d, counts[d])
			}
		}
	default:
		for _, at := range f.at {
			if at >= from && at < to {
				add(`[%d,%v]`, at, f.of(at))
			}
		}
		if f.cut {
			fmt.Fprintf(w, `{"results":[{"series":[{"name":"hv","columns":[%s],"values":[%s,`, columns, rows[0])
			return
		}
	}
	fmt.Fprintf(w, `{"results":[{"series":[{"name":"hv","columns":[%s],"values":[%s]}]}]}`, columns, strings.Join(rows, ","))
}

func (f *fakeInflux) of(at int64) float64 {
	if v, ok := f.value[at]; ok {
		return v
	}
	return 0.5
}

func (f *fakeInflux) write(w http.ResponseWriter, r *http.Request) {
	if f.refuse > 0 {
		f.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	b, _ := io.ReadAll(r.Body)
	for line := range strings.Lines(string(b)) {
		var at int64
		var v float64
		if _, err := fmt.Sscanf(line, "hv v=%g %d", &v, &at); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.at = append(f.at, at)
	}
	w.WriteHeader(http.StatusNoContent)
}

// points are how often it was asked for points.
func (f *fakeInflux) points() (n int) {
	for _, q := range f.asked {
		if strings.HasPrefix(q, `SELECT "v"`) && !strings.Contains(q, "ORDER BY") {
			n++
		}
	}
	return n
}

func (f *fakeInflux) client(t *testing.T) *history.Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := history.New(history.Config{URL: server.URL, Bucket: "dcs"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// A day that has ended and has not changed is linked; one that got something
// late, one whose file is damaged, a small one and today are read.
func TestInfluxDays(t *testing.T) {
	now := time.Date(2026, 11, 21, 18, 30, 0, 0, time.UTC)
	f := &fakeInflux{}
	for d, n := range map[int]int{0: 5000, 1: 3000, 2: 3000, 3: 3000, 4: 100} {
		for i := range n {
			f.at = append(f.at, now.AddDate(0, 0, -d).Truncate(day).UnixNano()+int64(i))
		}
	}
	f.at = append(f.at, 17) // somebody's clock was wrong
	src := Source{Influx: f.client(t)}
	o := Options{Dir: t.TempDir(), Settle: time.Nanosecond, Now: func() time.Time { now = now.Add(time.Second); return now }}
	make2 := func() (string, *Manifest) {
		f.asked = nil
		name, m, err := Make(t.Context(), src, o)
		require.NoError(t, err)
		require.EqualValues(t, len(f.at), m.Influx.Points())
		_, err = Verify(t.Context(), filepath.Join(o.Dir, name))
		require.NoError(t, err)
		return filepath.Join(o.Dir, name), m
	}
	first, m := make2()
	assert.Equal(t, 6, f.points())
	assert.Equal(t, "2.7.12", m.Influx.Version)
	assert.Len(t, m.Influx.Measurements["hv"].Days, 6)
	make2()
	assert.Equal(t, 3, f.points(), "today, the small day and the wrong clock")
	f.at = append(f.at, now.AddDate(0, 0, -2).Truncate(day).UnixNano()+77777)
	second, _ := make2()
	assert.Equal(t, 4, f.points(), "a day that got something late")
	file := dayFile("hv", now.AddDate(0, 0, -1).Truncate(day))
	a, err := os.Stat(filepath.Join(first, file))
	require.NoError(t, err)
	b, err := os.Stat(filepath.Join(second, file))
	require.NoError(t, err)
	assert.True(t, os.SameFile(a, b))
	require.NoError(t, os.WriteFile(filepath.Join(second, file), []byte("damaged"), 0o600))
	last, m := make2()
	assert.Equal(t, 4, f.points(), "a damaged file is not handed on")

	overwritten := now.AddDate(0, 0, -1).Truncate(day).UnixNano() + 7
	read := 0
	f.value = map[int64]float64{overwritten: 7}
	make2()
	assert.Equal(t, 4, f.points(), "a value that was written over")
	for range readEach { // each has its turn
		last, m = make2()
		read += f.points()
	}
	assert.Equal(t, 3*(readEach+1), read, "three each time, and three once")

	// Back into another one, which stumbles.
	to := &fakeInflux{refuse: 1}
	_, err = Restore(t.Context(), Source{Influx: to.client(t)}, RestoreOptions{Backup: last})
	require.NoError(t, err)
	slices.Sort(to.at)
	assert.Equal(t, f.at, to.at)
	_, err = Restore(t.Context(), Source{Influx: f.client(t)}, RestoreOptions{Backup: last})
	require.ErrorContains(t, err, "InfluxDB is not empty, it has hv: --force adds to it")
	m.Influx.Measurements["hv"].Days["1970-01-01"] = Day{Points: 1, Values: map[string]int64{"v": 2}}
	require.NoError(t, m.write(last))
	_, err = Restore(t.Context(), Source{Influx: new(fakeInflux).client(t)}, RestoreOptions{Backup: last})
	require.ErrorContains(t, err, "values were saved and")

	// An answer that breaks off is no short day.
	_, made := make2()
	f.cut = true
	_, _, err = Make(t.Context(), src, o)
	require.ErrorIs(t, err, history.ErrNoAnswer)
	names, err := List(o.Dir)
	require.NoError(t, err)
	assert.Len(t, names, int(made.Sequence))
	_, _, err = Make(t.Context(), Source{Influx: missing(t)}, o)
	require.ErrorIs(t, err, history.ErrNoDatabase)
}

// missing is a server without the database: of InfluxDB 1.8 it answers most
// questions as if that were there and empty.
func missing(t *testing.T) *history.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := `{"results":[{"statement_id":0}]}`
		if strings.HasPrefix(r.URL.Query().Get("q"), "SHOW RETENTION") {
			said = `{"results":[{"statement_id":0,"error":"database not found: nope"}]}`
		}
		_, _ = io.WriteString(w, said)
	}))
	t.Cleanup(server.Close)
	c, err := history.New(history.Config{URL: server.URL, Bucket: "nope"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestFolderOf(t *testing.T) {
	for name, want := range map[string]string{
		"hv": "hv", "a b/c": "a%20b%2Fc", "..": "%7", ".x": "%7", strings.Repeat("é", 100): "%7",
	} {
		assert.Equal(t, want, folderOf(name, 7))
	}
}
