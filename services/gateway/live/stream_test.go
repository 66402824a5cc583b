package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/problem"
)

func TestStreamSaysWhatIsKnownAndThenWhatHappens(t *testing.T) {
	inWorld(t, func(w *world) {
		w.leave("/hv/meta", `{"kind":"psu","model":"m","driver":"d","period":1}`)
		w.leave("/hv/state", stateOf("ready", "a"))
		w.leave("/service/loader/state", stateOf("ready", "l"))
		w.status("hv", 1)
		p := w.open("")
		assert.Equal(t, "text/event-stream", p.Header().Get("Content-Type"))
		assert.Equal(t, "no-store", p.Header().Get("Cache-Control"))
		news := p.news()
		require.Equal(t, []string{EventHello}, names(news))
		hello := read[Snapshot](t, news[0])
		require.Len(t, hello.Devices, 1)
		assert.Equal(t, Fresh, hello.Devices[0].Freshness)
		assert.Equal(t, "ready", hello.Devices[0].State.State)
		assert.Len(t, hello.Services, 1)

		w.say("/hv/state", stateOf("unreachable", "a"))
		w.status("hv", 2)
		w.say("/hv/ack", `{"id":"1","op":"setv","channel":0,"value":3,"phase":"done","code":"OK"}`)
		w.say("/hv/locks", `{"0":{"user":"alice","reason":"glue","time":"`+aTime+`"}}`)
		w.say("/hv/run", `{"run":4,"state":"running"}`)
		w.say("/hv/log", `{"run":4,"lines":[{"text":"x"}]}`)
		w.say("/run/state", `{"run":4,"state":"running"}`)
		w.say("/run/ack", `{"id":"2","op":"start","channel":null,"phase":"accepted","code":"OK","run":4}`)
		w.say("/sensor/room/t", `21.3`)
		w.say("/service/loader/state", stateOf("stopped", "l"))
		w.say("/lv/meta", `{"kind":"psu"}`)
		settle()
		news = p.news()
		assert.Equal(t, []string{EventState, EventStatus, EventAck, EventLocks, EventReport, EventLog, EventRun, EventAck, EventSensor, EventState, EventMeta}, names(news), "in order")
		assert.Equal(t, "unreachable", read[StateOf](t, news[0]).State.State)
		assert.Equal(t, "run", read[AckOf](t, news[7]).Device)
		assert.Equal(t, "loader", read[StateOf](t, news[9]).Service)
		p.close()
	})
}

func TestStreamOfSomeDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, d := range []string{"hv", "lv", "dht"} {
			w.status(d, 1)
			w.say("/"+d+"/ack", `{"id":"1","phase":"done"}`)
		}
		w.say("/run/ack", `{"id":"2","phase":"done"}`)
		w.say("/sensor/room/t", `21.3`)
		p := w.open("?device=hv&device=lv")
		news := p.news()
		require.Equal(t, []string{EventHello}, names(news))
		hello := read[Snapshot](t, news[0])
		require.Len(t, hello.Devices, 2)
		assert.Equal(t, "hv", hello.Devices[0].Name)
		assert.Len(t, hello.Acks, 3)
		assert.Empty(t, hello.Sensors)
		w.status("dht", 2)
		w.status("lv", 2)
		w.say("/sensor/room/t", `21.4`)
		w.say("/run/state", `{"run":4,"state":"running"}`)
		w.say("/service/loader/state", stateOf("ready", "l"))
		w.say("/dht/ack", `{"id":"3","phase":"done"}`)
		settle()
		assert.Equal(t, []string{EventStatus, EventRun, EventState}, names(p.news()))
		time.Sleep(tickEvery)
		settle()
		assert.NotEmpty(t, p.ticks())
		p.close()
	})
}

func TestStreamRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		for query, want := range map[string]string{
			"?devices=hv":    "devices",
			"?device=hv&x=1": "x",
			"?device=a/b":    "a/b",
			"?device=":       "",
			"?device=" + strings.Repeat("x", 99) + "/": "device",
			"?device=%ff":                           "device",
			"?device=" + strings.Repeat("x", 129):   "device",
			"?%zz":                                  "query",
			"?a;b":                                  "query",
			strings.Repeat("&device=a", 101):        "101",
			"?" + strings.Repeat("z", 9000) + "=hv": "zzz",
		} {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/stream", nil)
			r.URL.RawQuery = strings.TrimPrefix(query, "?")
			rec := httptest.NewRecorder()
			w.ServeStream(rec, r)
			assert.Equal(t, http.StatusBadRequest, rec.Code, "%.40s", query)
			assert.Equal(t, problem.ContentType, rec.Header().Get("Content-Type"))
			assert.Contains(t, rec.Body.String(), want, "%.40s", query)
			assert.Less(t, rec.Body.Len(), 1000)
		}
		rec := httptest.NewRecorder()
		w.ServeStream(rec, httptest.NewRequest(http.MethodHead, "/api/v1/stream", nil))
		assert.Equal(t, http.StatusOK, rec.Code)
		assert.Empty(t, rec.Body.String())
	})
}

func TestStreamsAreLimited(t *testing.T) {
	inWorld(t, func(w *world) {
		var pages []*page
		for range maxStreams {
			pages = append(pages, w.open(""))
		}
		p := w.open("")
		<-p.ended
		assert.Equal(t, http.StatusServiceUnavailable, p.Code)
		assert.Equal(t, "5", p.Header().Get("Retry-After"))
		assert.Equal(t, 1., w.metric("streams_refused_total"))
		pages[0].close()
		p = w.open("")
		assert.Equal(t, []string{EventHello}, names(p.news()))
		p.close()
		for _, p := range pages[1:] {
			p.close()
		}
		assert.Zero(t, w.hub.count())
	})
}

func TestStreamSaysBye(t *testing.T) {
	inWorld(t, func(w *world) {
		p, other := w.open(""), w.open("")
		p.news()
		p.leave(errors.New("the session has ended: log in again"))
		news := p.news()
		require.Equal(t, []string{EventBye}, names(news))
		assert.Equal(t, "the session has ended: log in again", read[Bye](t, news[0]).Reason)
		other.leave(context.Canceled)
		assert.Equal(t, []string{EventHello}, names(other.all()), "who has left is told nothing")
	})
}

func TestStreamsEndWithTheGateway(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.open("")
		w.hub.end()
		<-p.ended
		late := w.open("")
		<-late.ended
		assert.Equal(t, http.StatusServiceUnavailable, late.Code)
	})
}

func TestTicks(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.open("")
		time.Sleep(10*time.Second + gather)
		synctest.Wait()
		ticks := p.ticks()
		assert.InDelta(t, 20, len(ticks), 1)
		last := ticks[len(ticks)-1]
		assert.True(t, last.Bus.Connected && last.Bus.Alive)
		assert.Less(t, time.Since(time.UnixMilli(last.Now)), 700*time.Millisecond)
		p.close()
	})
}

// A reader that does not read is dropped; the others do not notice.
func TestStoppedReaderIsDropped(t *testing.T) {
	for _, tt := range []struct {
		name    string
		every   time.Duration
		hello   bool // it does not even read that
		within  time.Duration
		dropped float64
	}{
		{"much happens", 10 * time.Millisecond, false, queueAge, 1},
		{"little happens", time.Second, false, queueAge, 1},
		{"what it begins with may take its time, and much happens", 10 * time.Millisecond, true, queueBatches * gather, 1},
		{"what it begins with may take its time, but not for ever", time.Second, true, writeWait, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				good, bad := w.open(""), w.page()
				block := func() {
					bad.mu.Lock()
					defer bad.mu.Unlock()
					bad.block = make(chan struct{})
				}
				if tt.hello {
					block()
				}
				w.read(bad, "")
				if !tt.hello {
					block()
				}
				good.news()
				seq := 0
				gone := time.Duration(0)
				for began := time.Now(); time.Since(began) < 12*time.Second; time.Sleep(tt.every) {
					seq++
					w.status("hv", seq)
					if gone == 0 && w.hub.count() == 1 {
						gone = time.Since(began)
					}
				}
				assert.InDelta(t, tt.within.Seconds(), gone.Seconds(), 1.1)
				select {
				case <-bad.ended:
				default:
					t.Error("it is still there")
				}
				settle()
				news := good.news()
				assert.Len(t, news, seq, "the other has all")
				for i, e := range news {
					var channels []struct{ Seq int }
					s := read[StatusOf](t, e)
					require.NoError(t, json.Unmarshal(s.Status, &channels))
					assert.Equal(t, i+1, channels[0].Seq, "in order")
				}
				assert.Equal(t, 1, w.hub.count())
				assert.Equal(t, tt.dropped, w.metric("streams_dropped_total"))
				good.close()
			})
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	r := &reader{wake: make(chan struct{}, 1), gone: make(chan struct{})}
	now := time.Now()
	put := func(n int) bool { return r.put(newBatch([]event{{frame: make([]byte, n)}}, n), now) }
	r.first(newBatch(nil, 3*queueBytes))
	assert.True(t, put(queueBytes), "what it begins with does not count")
	assert.False(t, put(1))
	r.take()
	for range queueBatches {
		assert.True(t, put(1))
	}
	assert.False(t, put(1))
	assert.True(t, put(0), "nothing finds room")
}

func TestStreamBeginsTogether(t *testing.T) {
	inWorld(t, func(w *world) {
		var pages []*page
		for i := range 50 {
			w.status(fmt.Sprintf("d%d", i%7), i+1)
			pages = append(pages, w.open(""))
			w.status(fmt.Sprintf("d%d", i%7), i+101)
		}
		settle()
		for _, p := range pages {
			all := p.all()
			known := map[string]string{}
			for i, e := range all {
				require.Equal(t, i == 0, e.name == EventHello, "first and once")
				if e.name == EventHello {
					for _, d := range read[Snapshot](t, e).Devices {
						known[d.Name] = string(d.Status)
					}
					continue
				}
				s := read[StatusOf](t, e)
				assert.NotEqual(t, known[s.Device], string(s.Status), "nothing twice")
				known[s.Device] = string(s.Status)
			}
			for _, d := range w.Snapshot().Devices {
				assert.Equal(t, string(d.Status), known[d.Name], "nothing missed")
			}
			p.close()
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"", "device=hv", "device=hv&device=lv", "device=%2f", "x=1", ";", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		devices, err := filterOf(query)
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%d bytes of error", len(err.Error()))
		}
		for name := range devices {
			if wire.CheckName(name) != nil || len(name) > maxName {
				t.Errorf("%q passes", name)
			}
		}
	})
}
