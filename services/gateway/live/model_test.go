package live

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func TestSubscriptions(t *testing.T) {
	f := &fakeMember{}
	New(Config{Root: "lab1", Name: "gateway"}).Attach(f)
	assert.ElementsMatch(t, []string{
		"lab1/+/status", "lab1/+/state", "lab1/+/meta", "lab1/+/ack", "lab1/+/locks", "lab1/+/run", "lab1/+/log",
		"lab1/sensor/+/+", "lab1/service/+/state", "lab1/service/gateway/beat",
	}, f.filters)
}

func TestReservedNamesAreNoDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		w.say("/run/state", `{"run":3,"state":"running","boot":"b","error":""}`)
		w.say("/run/ack", `{"id":"x","phase":"done","run":3}`)
		for _, name := range []string{"run", "service", "sensor", "alarm", "ack", "state"} {
			w.status(name, 1)
			w.say("/"+name+"/meta", `{"kind":"psu"}`)
		}
		w.say("/service/state", stateOf("ready", "a"))
		s := w.Snapshot()
		assert.Empty(t, s.Devices)
		assert.Empty(t, s.Services)
		require.NotNil(t, s.Run)
		assert.EqualValues(t, 3, s.Run.Run)
		assert.Equal(t, "run", s.Acks[0].Device)
	})
}

func TestEmptyIsNotNull(t *testing.T) {
	inWorld(t, func(w *world) {
		w.say("/hv/meta", `{"kind":"psu"}`)
		b := string(wire.Encode(w.Snapshot()))
		for _, want := range []string{`"sensors":[]`, `"services":[]`, `"acks":[]`, `"run":null`, `"locks":{}`, `"status":null`, `"state":null`, `"freshness":"none"`, `"fields":{}`, `"at":0`} {
			assert.Contains(t, b, want)
		}
	})
}

func TestMalformedIsIgnored(t *testing.T) {
	inWorld(t, func(w *world) {
		for topic, k := range map[string]kind{
			"/hv/status": aStatus, "/hv/state": aState, "/hv/meta": aMeta, "/hv/ack": anAck, "/hv/locks": aLocks, "/hv/run": aReport,
			"/hv/log": aLog, "/sensor/a/b": aSensor, "/service/a/state": aService, "/run/ack": aRunAck, "/run/state": aRun,
		} {
			before := w.ignored(k)
			for _, payload := range []string{`{`, `"x"`, strings.Repeat(" ", maxPayload+1), `{"a":"` + strings.Repeat("x", maxPayload) + `"}`} {
				w.say(topic, payload)
			}
			assert.Equal(t, before+4, w.ignored(k), topic)
		}
		w.say("/hv/status", "")
		w.say("/hv/ack", "")
		w.leave("/hv/status", statusAt(time.Now(), "a", 1))
		assert.EqualValues(t, 6, w.ignored(aStatus), "a retained status has no age")
		assert.Empty(t, w.Snapshot().Devices)
		assert.Equal(t, 1, strings.Count(w.log.String(), "\n"), "said once: %s", w.log)
		time.Sleep(complain + time.Second)
		w.say("/hv/ack", "{")
		assert.Contains(t, w.log.String(), "ignored=47", "and again, with their number")
	})
}

func TestRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.open("")
		say := func(topic, payload string) []heard {
			w.say(topic, payload)
			settle()
			return p.news()
		}
		say("/hv/meta", `{"kind":"psu"}`)
		say("/hv/state", stateOf("ready", "a"))
		say("/hv/locks", `{"1":{"user":"alice"}}`)
		say("/hv/run", `{"run":4,"state":"running"}`)
		w.status("hv", 1)
		settle()
		p.news()

		news := say("/hv/run", "")
		assert.Equal(t, []string{EventRemoved, EventMeta, EventState, EventLocks, EventStatus}, names(news), "what is left is said again")
		assert.Nil(t, w.device("hv").Report)
		assert.Empty(t, say("/hv/run", ""), "once")
		say("/hv/locks", "")
		assert.Empty(t, w.device("hv").Locks)
		news = say("/hv/meta", "")
		assert.Equal(t, []string{EventRemoved, EventState, EventStatus}, names(news))
		news = say("/hv/state", "")
		require.Equal(t, []string{EventRemoved}, names(news))
		assert.Equal(t, "hv", read[Removed](t, news[0]).Device)
		_, there := w.Device("hv")
		assert.False(t, there)
		assert.Zero(t, w.model.bytes)

		say("/service/x/state", stateOf("ready", "a"))
		news = say("/service/x/state", "")
		assert.Equal(t, "x", read[Removed](t, news[0]).Service)
		say("/run/state", `{"run":1,"state":"running"}`)
		news = say("/run/state", "")
		assert.Equal(t, "idle", read[wire.Run](t, news[0]).State)
		assert.Nil(t, w.Snapshot().Run)
		say("/sensor/a/b", "1")
		assert.Len(t, w.Snapshot().Sensors, 1)
		say("/sensor/a/b", "")
		assert.Empty(t, w.Snapshot().Sensors)
		p.close()
	})
}

func TestStatuses(t *testing.T) {
	inWorld(t, func(w *world) {
		began := time.Now()
		vmon := func() string { return string(w.device("hv").Status) }
		w.say("/hv/status", statusAt(began, "a", 5))
		assert.Equal(t, Fresh, w.device("hv").Freshness)
		assert.Equal(t, began.UnixMilli(), w.device("hv").At)
		w.say("/hv/status", statusAt(began.Add(time.Second), "a", 5))
		w.say("/hv/status", statusAt(began.Add(time.Second), "a", 4))
		assert.Contains(t, vmon(), `"vmon":5`, "a number that came already")
		time.Sleep(2 * time.Second)
		assert.Equal(t, Stale, w.device("hv").Freshness)
		time.Sleep(5 * time.Second)
		assert.Equal(t, Invalid, w.device("hv").Freshness)

		w.say("/hv/status", statusAt(began.Add(time.Second), "a", 6))
		assert.Equal(t, Invalid, w.device("hv").Freshness, "it came late")
		assert.Contains(t, vmon(), `"vmon":6`)
		assert.Equal(t, began.Add(time.Second).UnixMilli(), w.device("hv").At)
		w.say("/hv/status", statusAt(time.Now(), "b", 1))
		assert.Equal(t, Fresh, w.device("hv").Freshness)
		assert.Contains(t, vmon(), `"vmon":1`, "a new start")
		w.say("/hv/status", statusAt(began.Add(2*time.Second), "a", 7))
		assert.Contains(t, vmon(), `"vmon":1`, "what is older than what is shown is not shown")

		w.say("/hv/meta", `{"kind":"psu","period":60}`)
		time.Sleep(80 * time.Second)
		assert.Equal(t, Fresh, w.device("hv").Freshness, "by its period")
		w.say("/hv/state", stateOf("lost", "b"))
		assert.Equal(t, Stale, w.device("hv").Freshness)
	})
}

func TestReadings(t *testing.T) {
	inWorld(t, func(w *world) {
		began := time.Now()
		w.leave("/sensor/b/t", "1")
		w.say("/sensor/a/x", "2")
		w.say("/sensor/a/t", `{"value":3}`)
		assert.Equal(t, []Reading{{"a", "t", 3, began.UnixMilli()}, {"a", "x", 2, began.UnixMilli()}, {"b", "t", 1, 0}}, w.Snapshot().Sensors, "of what was retained nobody knows the age")
		time.Sleep(time.Minute)
		w.leave("/sensor/a/t", `{"value":3}`)
		assert.Equal(t, began.UnixMilli(), w.Snapshot().Sensors[0].At, "it is the same one")
		w.leave("/sensor/a/t", `{"value":4}`)
		assert.Zero(t, w.Snapshot().Sensors[0].At)
	})
}

// Strangers who make up names do not eat the memory, and when they are quiet there
// is room again.
func TestFloodOfNames(t *testing.T) {
	inWorld(t, func(w *world) {
		w.say("/hv/meta", `{"kind":"psu"}`)
		p := w.open("")
		for i := range 100_000 {
			at, _ := route("", fmt.Sprintf("/x%d/status", i))
			w.mail.put(mail{address: at, payload: []byte(`{}`), arrival: time.Now()})
			w.mail.put(mail{address: address{kind: aSensor, name: "s", of: at.name}, payload: []byte(`1`), arrival: time.Now()})
			w.mail.put(mail{address: address{kind: aService, name: at.name}, payload: []byte(`{"state":"ready"}`), arrival: time.Now()})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		settle()
		s := w.Snapshot()
		assert.Len(t, s.Devices, maxDevices)
		assert.Len(t, s.Sensors, maxSensors)
		assert.Len(t, s.Services, maxServices)
		assert.Equal(t, 1, strings.Count(w.log.String(), "level=ERROR"), "said once")
		w.say("/hv/state", stateOf("ready", "a"))
		assert.NotNil(t, w.device("hv").State, "who was there goes on")
		p.close()

		time.Sleep(quiet + time.Minute)
		w.status("new", 1)
		assert.Len(t, w.Snapshot().Devices, 2)
		w.say("/sensor/new/t", "1")
		assert.Len(t, w.Snapshot().Sensors, 1)
	})
}

func TestFloodOfBytes(t *testing.T) {
	inWorld(t, func(w *world) {
		long := `{"x":"` + strings.Repeat("x", maxPayload-100) + `"}`
		for i := range 300 {
			w.say(fmt.Sprintf("/x%d/status", i), long)
		}
		assert.LessOrEqual(t, w.model.bytes, maxKept)
		n := len(w.Snapshot().Devices)
		assert.InDelta(t, maxKept/maxPayload, n, 2)
		w.say("/x0/status", `{}`)
		w.say("/new/status", `{}`)
		assert.Len(t, w.Snapshot().Devices, n+1, "what is given back can be used")
	})
}

func TestAcksAreTheLastHundred(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 250 {
			w.say("/hv/ack", fmt.Sprintf(`{"id":"%d","phase":"done"}`, i))
		}
		acks := w.Snapshot().Acks
		require.Len(t, acks, keptAcks)
		for i, a := range acks {
			assert.Equal(t, fmt.Sprint(150+i), a.Ack.ID)
		}
	})
}

// What was retained and is not there any more after a reconnect.
func TestReconnect(t *testing.T) {
	inWorld(t, func(w *world) {
		describe := func(name string) {
			w.leave("/"+name+"/meta", `{"kind":"psu"}`)
			w.leave("/"+name+"/state", stateOf("ready", "a"))
			w.leave("/"+name+"/locks", `{"1":{"user":"alice"}}`)
		}
		describe("stays")
		describe("unlocked")
		describe("gone")
		w.leave("/service/stays/state", stateOf("ready", "a"))
		w.leave("/service/gone/state", stateOf("ready", "a"))
		time.Sleep(time.Hour)
		assert.Len(t, w.Snapshot().Devices, 3, "in one connection nothing is forgotten")

		w.lose()
		time.Sleep(time.Hour)
		assert.Len(t, w.Snapshot().Devices, 3, "nor while there is none")
		describe("stays") // before the hook: messages come as soon as there is a subscription
		w.connect()
		w.leave("/unlocked/state", stateOf("ready", "a"))
		w.leave("/unlocked/meta", `{"kind":"psu"}`)
		w.leave("/service/stays/state", stateOf("ready", "a"))
		time.Sleep(partsWait / 2)
		assert.Len(t, w.device("unlocked").Locks, 1)
		time.Sleep(partsWait)
		assert.Empty(t, w.device("unlocked").Locks)
		assert.NotNil(t, w.device("unlocked").Meta)
		assert.Len(t, w.device("stays").Locks, 1)
		assert.Len(t, w.device("gone").Locks, 1, "an emptied broker has forgotten its last will")
		time.Sleep(deviceWait)
		s := w.Snapshot()
		require.Len(t, s.Devices, 2)
		assert.Equal(t, "stays", s.Devices[0].Name)
		require.Len(t, s.Services, 1)
	})
}

func TestPulse(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.open("")
		time.Sleep(time.Minute)
		b := w.Snapshot().Bus
		assert.True(t, b.Connected && b.Alive)
		assert.WithinDuration(t, time.Now().Add(-time.Minute), b.Since, time.Second)
		assert.Equal(t, 1., w.metric("bus_alive"))

		w.bus.set(func() { w.bus.deaf = true }) // a frozen broker
		frozen := time.Now()
		time.Sleep(1400 * time.Millisecond)
		assert.True(t, w.Snapshot().Bus.Alive)
		time.Sleep(800 * time.Millisecond)
		settle()
		b = w.Snapshot().Bus
		assert.True(t, b.Connected)
		assert.False(t, b.Alive)
		last := p.ticks()[len(p.ticks())-1]
		assert.False(t, last.Bus.Alive)
		assert.Less(t, time.UnixMilli(last.Now).Sub(frozen), 2200*time.Millisecond)

		time.Sleep(10 * time.Second)
		w.bus.mu.Lock()
		late := w.bus.sent
		w.bus.mu.Unlock()
		for _, m := range late[:len(late)-5] { // what a broker that thaws delivers first
			w.bus.handler(m)
		}
		settle()
		assert.False(t, w.Snapshot().Bus.Alive, "they were sent long ago")
		w.say("/service/gateway/beat", `{"boot":"b0071e","n":99999999}`)
		w.say("/service/gateway/beat", `{"boot":"another","n":150}`)
		w.say("/service/gateway/beat", `b0071e`)
		assert.False(t, w.Snapshot().Bus.Alive, "nor are they ours")
		w.bus.set(func() { w.bus.deaf = false })
		time.Sleep(beatEvery + 10*time.Millisecond)
		assert.True(t, w.Snapshot().Bus.Alive)

		before := len(p.ticks())
		w.lose()
		settle()
		assert.Greater(t, len(p.ticks()), before, "at once")
		b = w.Snapshot().Bus
		assert.False(t, b.Connected || b.Alive)
		time.Sleep(checkEvery)
		synctest.Wait()
		assert.Equal(t, 0., w.metric("bus_alive"))
		w.connect()
		settle()
		time.Sleep(checkEvery + 10*time.Millisecond)
		assert.True(t, w.Snapshot().Bus.Alive)
		p.close()
	})
}
