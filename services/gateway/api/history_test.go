package api_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/history"
	"trackerdcs/services/gateway/api"
)

func TestHistory(t *testing.T) {
	l := newLab(t)
	l.history.series = history.Series{
		Interval: 1500 * time.Millisecond, Time: []int64{1000, 2500},
		Channels: []history.ChannelSeries{
			{Channel: "0", Min: []float64{-1, math.NaN()}, Mean: []float64{0.25, math.NaN()}, Max: []float64{1e-9, math.Inf(1)}},
			{Channel: "x", Min: []float64{1, 1}, Mean: []float64{1, 1}, Max: []float64{1, 1}},
			{Channel: "10", Min: []float64{1e21, 1}, Mean: []float64{1e21, 1}, Max: []float64{1e21, 1}},
		},
	}
	a := l.ask(accounts.Viewer, "GET", "/api/v1/history?device=hv&field=vmon&channel=10&channel=0&channel=0&from=-15m&points=2", "")
	require.Equal(t, 200, a.status, "%s", a.body)
	assert.JSONEq(t, `{"device":"hv","field":"vmon","unit":"V","from":"2026-11-20T11:45:00Z","to":"2026-11-20T12:00:00Z","interval":1.5,"time":[1000,2500],"series":[
		{"channel":0,"min":[-1,null],"mean":[0.25,null],"max":[1e-9,null]},{"channel":10,"min":[1e21,1],"mean":[1e21,1],"max":[1e21,1]}]}`, string(a.body))
	assert.Equal(t, []history.SeriesQuery{{Device: "hv", Field: "vmon", Channels: []int{0, 10}, From: now.Add(-15 * time.Minute), To: now, Points: 2}}, l.history.asked)
}

func TestHistoryOfSensors(t *testing.T) {
	l := newLab(t)
	l.history.series = history.Series{Time: []int64{1}, Channels: []history.ChannelSeries{{Min: []float64{1}, Mean: []float64{1}, Max: []float64{1}}}}
	a := l.ask(accounts.Viewer, "GET", "/api/v1/history?device=hv&sensor=1&field=vmon&from=2026-11-20T00:00:00.5Z&to=-1s", "")
	assert.JSONEq(t, `{"device":"hv","field":"vmon","unit":"","from":"2026-11-20T00:00:00.5Z","to":"2026-11-20T11:59:59Z","interval":0,"time":[1],"series":[{"channel":null,"min":[1],"mean":[1],"max":[1]}]}`, string(a.body))
	assert.Equal(t, history.SeriesQuery{Device: "hv", Sensor: true, Field: "vmon", From: now.Add(-12*time.Hour + 500*time.Millisecond), To: now.Add(-time.Second), Points: 500}, l.history.asked[0])

	l.history.series = history.Series{Interval: time.Second, Time: []int64{1, 2}}
	a = l.ask(accounts.Viewer, "GET", "/api/v1/history?device=nobody&field=x.y-z&from=-2w", "")
	assert.Contains(t, string(a.body), `"time":[],"series":[]`)
}

func TestHistoryRefuses(t *testing.T) {
	for query, want := range map[string]string{
		"":                                                              `"device" is missing`,
		"device=hv":                                                     `"field" is missing`,
		"device=hv&field=vmon":                                          `"from" is missing`,
		"device=hv/x&field=vmon&from=-1h":                               "letters, digits",
		`device="&field=vmon&from=-1h`:                                  "letters, digits",
		"device=run&field=state&from=-1h":                               "reserved",
		"device=hv&field=v%20mon&from=-1h":                              `"field" is "v mon"`,
		`device=hv&field=v"mon&from=-1h`:                                `"field" is`,
		"device=hv&field=" + long(65) + "&from=-1h":                     `"field" is`,
		"device=hv&device=lv&field=a&from=-1h":                          `"device" stands twice`,
		"device=hv&field=a&from=-1h&chanel=1":                           `"chanel" is none: there are device`,
		"device=hv&field=a&from=-1h&channel=x":                          "number of a channel",
		"device=hv&field=a&from=-1h&channel=-1":                         "number of a channel",
		"device=hv&field=a&from=-1h&channel=all":                        "number of a channel",
		"device=hv&field=a&from=-1h&channel=":                           "number of a channel",
		"device=hv&field=a&from=-1h" + strings.Repeat("&channel=1", 65): "64 at most",
		"device=hv&field=a&from=-1h&sensor=1&channel=1":                 "has no \"channel\"",
		"device=hv&field=a&from=-1h&sensor=2":                           "0 to 1",
		"device=hv&field=a&from=-1h&sensor=true":                        "0 to 1",
		"device=hv&field=a&from=-1h&points=1":                           "2 to 5000",
		"device=hv&field=a&from=-1h&points=5001":                        "2 to 5000",
		"device=hv&field=a&from=-1h&to=-1h":                             "is not after",
		"device=hv&field=a&from=-1h&to=-2h":                             "is not after",
		"device=hv&field=a&from=-11d&to=now":                            "write a time as",
		"device=hv&field=a&from=-4000d":                                 "more than ten years",
		"device=hv&field=a&from=-999999999w":                            "before the year 1700",
		"device=hv&field=a&from=1500-01-01T00:00:00Z":                   "1700 to 2200",
		"device=hv&field=a&from=-1h&to=2300-01-01T00:00:00Z":            "1700 to 2200",
		"device=hv&field=a&from=1h":                                     "write a time as",
		"device=hv&field=a&from=-1y":                                    "write a time as",
		"device=hv&field=a&from=2026-11-20":                             "write a time as",
	} {
		l := newLab(t)
		l.ask(accounts.Viewer, "GET", "/api/v1/history?"+query, "").refused(400, "bad-request", want)
		assert.Empty(t, l.history.asked)
	}
}

func TestHistoryAway(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		slug   string
		want   string
	}{
		{history.ErrNoAnswer, 503, "no-archive", "Look whether InfluxDB runs"},
		{history.ErrDenied, 502, "archive-denied", "DCS_INFLUX_TOKEN_FILE"},
		{history.ErrNoDatabase, 502, "no-database", "DCS_INFLUX_BUCKET"},
		{history.ErrNotNumbers, 400, "bad-request", "no numbers"},
		{history.ErrTooMuch, 400, "bad-request", "too many values"},
		{errors.New("secret"), 502, "archive", "could not answer"},
	} {
		l := newLab(t)
		l.history.err = fmt.Errorf("%w at http://influx", tt.err)
		a := l.ask(accounts.Viewer, "GET", "/api/v1/history?device=hv&field=vmon&from=-1h", "")
		a.refused(tt.status, tt.slug, tt.want)
		assert.NotContains(t, string(a.body), "secret")
	}
}

// waiting is an archive that answers when it is told to.
type waiting struct {
	asked  chan struct{}
	answer chan struct{}
}

func (w waiting) Series(context.Context, history.SeriesQuery) (history.Series, error) {
	w.asked <- struct{}{}
	<-w.answer
	return history.Series{}, nil
}

const aHistory = "/api/v1/history?device=hv&field=vmon&from=-1h"

// as asks in somebody's name.
func (l *lab) as(name, path string) answer {
	req := l.request("GET", path, "")
	req.Header.Set("Name", name)
	return l.send(accounts.Viewer, req)
}

// Answers that take memory are made a few at a time, and fewer of one person;
// nobody waits for room for long.
func TestHistoryAtATime(t *testing.T) {
	_, err := loaded()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		archive := waiting{make(chan struct{}, 10), make(chan struct{})}
		l.cfg.History = archive
		l.handler = api.New(l.cfg)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { assert.Equal(t, 200, l.as("ann", aHistory).status) })
		}
		synctest.Wait()
		assert.Len(t, archive.asked, 2)
		begin := time.Now()
		l.as("ann", aHistory).refused(503, "busy", "2 answers for you")
		assert.Equal(t, 5*time.Second, time.Since(begin))
		for range 2 {
			all.Go(func() { assert.Equal(t, 200, l.as("bob", aHistory).status) })
		}
		synctest.Wait()
		assert.Len(t, archive.asked, 4, "another has room of their own")
		l.as("eve", aHistory).refused(503, "busy", "Too much")
		assert.Equal(t, 10*time.Second, time.Since(begin))
		close(archive.answer)
		all.Wait()
		for range 3 {
			assert.Equal(t, 200, l.as("eve", aHistory).status, "all have left their room")
		}
	})
}

// unread is the way to somebody who reads nothing until it is closed.
type unread struct {
	http.ResponseWriter
	begun chan<- struct{}
	until <-chan struct{}
}

func (u unread) Write(b []byte) (int, error) {
	u.begun <- struct{}{}
	<-u.until
	return u.ResponseWriter.Write(b)
}

// Answers that nobody reads keep nobody else from theirs.
func TestUnreadAnswers(t *testing.T) {
	l := newLab(t)
	begun, until := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			req := l.request("GET", []string{aHistory, "/api/v1/runs"}[i%2], "")
			req.Header.Set("Role", "viewer")
			l.handler.ServeHTTP(unread{httptest.NewRecorder(), begun, until}, req)
		})
	}
	for range 10 {
		<-begun
	}
	for _, path := range []string{aHistory, "/api/v1/runs", "/api/v1/configurations"} {
		assert.Equal(t, 200, l.ask(accounts.Viewer, "GET", path, "").status)
	}
	close(until)
	all.Wait()
}
