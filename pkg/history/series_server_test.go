//go:build e2e

package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startInflux starts bin/influxd on a directory of its own, with an empty
// database dcs, and returns its address.
func startInflux(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs("../../bin/influxd")
	require.NoError(t, err)
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: build it with: go -C tools/influxd build -o ../../bin/ github.com/influxdata/influxdb/cmd/influxd", err)
	}
	addr, dir := freeAddress(t), t.TempDir()
	cmd := exec.Command(bin, "run", "-config", "../../tools/influxd/influxd.conf")
	cmd.Env = append(os.Environ(), "INFLUXDB_HTTP_BIND_ADDRESS="+addr, "INFLUXDB_HTTP_FLUX_ENABLED=false", // which costs seconds of a core
		"INFLUXDB_META_DIR="+filepath.Join(dir, "meta"),
		"INFLUXDB_DATA_DIR="+filepath.Join(dir, "data"), "INFLUXDB_DATA_WAL_DIR="+filepath.Join(dir, "wal"))
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	base := "http://" + addr
	require.Eventually(t, func() bool {
		return post(base+"/query?q="+url.QueryEscape(`CREATE DATABASE "dcs" WITH NAME "autogen"`), "") == nil
	}, 2*time.Minute, 20*time.Millisecond)
	return base
}

// freeAddress is below the ports that the system gives away by itself: nobody
// takes it before the server has.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func post(url, body string) error {
	res, err := http.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s", res.Status)
	}
	return nil
}

// Minimum, mean and maximum of InfluxDB itself are those of the points, of
// which none is counted in two intervals or in none.
func TestServerSeries(t *testing.T) {
	base := startInflux(t)
	begin := time.Unix(1_795_000_000, 920_528_001).UTC()
	var lines strings.Builder
	value := func(i, ch int) float64 { return math.Sin(float64(i)/50) + float64(10*ch) }
	const points = 3000 // 1 Hz, a break from 1000 to 1999
	broken := func(i int) bool { return i >= 1000 && i < 2000 }
	for i := range points {
		if broken(i) {
			continue
		}
		for ch := range 2 {
			fmt.Fprintf(&lines, "hv,number=%d vmon=%v,on=%d,boot=\"b\" %d\n", ch, value(i, ch), i%2, begin.Add(time.Duration(i)*time.Second).UnixNano())
		}
		fmt.Fprintf(&lines, "sensor,sensor=room,measurement=t value=%d %d\n", i, begin.Add(time.Duration(i)*time.Second).UnixNano())
	}
	require.NoError(t, post(base+"/write?db=dcs", lines.String()))
	c, err := New(Config{URL: base, Bucket: "dcs/autogen"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	q := SeriesQuery{Device: "hv", Field: "vmon", From: begin, To: begin.Add(points * time.Second), Points: 200}

	for _, channels := range [][]int{nil, {1}, {0, 1, 7}} {
		q := q
		q.Channels = channels
		s, err := c.Series(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, 15076*time.Millisecond, s.Interval)
		require.LessOrEqual(t, len(s.Time), q.Points)
		want := 2
		if len(channels) == 1 {
			want = 1
		}
		require.Len(t, s.Channels, want)
		for _, got := range s.Channels {
			ch := 0
			if got.Channel == "1" {
				ch = 1
			}
			for n, from := range s.Time {
				least, most, sum, count := math.Inf(1), math.Inf(-1), 0.0, 0
				for i := range points {
					if at := begin.Add(time.Duration(i) * time.Second).UnixMilli(); !broken(i) && at >= from && at < from+s.Interval.Milliseconds() {
						least, most, sum, count = min(least, value(i, ch)), max(most, value(i, ch)), sum+value(i, ch), count+1
					}
				}
				if count == 0 {
					require.True(t, math.IsNaN(got.Mean[n]) && math.IsNaN(got.Min[n]) && math.IsNaN(got.Max[n]))
					continue
				}
				require.InDelta(t, least, got.Min[n], 1e-9)
				require.InDelta(t, most, got.Max[n], 1e-9)
				require.InDelta(t, sum/float64(count), got.Mean[n], 1e-9)
			}
		}
	}

	q.To, q.Field = begin.Add(100*time.Second), "on" // a keyword of InfluxQL, and few enough to come as they are
	s, err := c.Series(t.Context(), q)
	require.NoError(t, err)
	require.Zero(t, s.Interval)
	require.Len(t, s.Time, 100)
	assert.Equal(t, begin.UnixMilli(), s.Time[0])
	assert.Equal(t, []float64{0, 1, 0}, s.Channels[1].Mean[:3])
	q.Points = 10
	s, err = c.Series(t.Context(), q)
	require.NoError(t, err)
	assert.InDelta(t, 1.0, s.Channels[0].Max[3], 0)
	assert.InDelta(t, 0.0, s.Channels[0].Min[3], 0)

	room := SeriesQuery{Device: "room", Sensor: true, Field: "t", From: begin, To: begin.Add(points * time.Second), Points: 10}
	s, err = c.Series(t.Context(), room)
	require.NoError(t, err)
	require.Len(t, s.Channels, 1)
	assert.InDelta(t, 0.0, s.Channels[0].Min[0], 0)

	q.Field = "boot"
	_, err = c.Series(t.Context(), q)
	require.ErrorIs(t, err, ErrNotNumbers)
	for _, field := range []string{"number", "nothing", `no"thing`} {
		q.Field = field
		s, err = c.Series(t.Context(), q)
		require.NoError(t, err, field)
		assert.Empty(t, s.Channels, field)
	}
	q.Device = `no"body`
	s, err = c.Series(t.Context(), q)
	require.NoError(t, err)
	assert.Empty(t, s.Channels)
	c.db = "other"
	_, err = c.Series(t.Context(), q)
	require.ErrorIs(t, err, ErrNoDatabase)
}
