package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/wire"
)

var errNotFoundForTest = runs.ErrNotFound

const startM12 = `{"procedure":"calibration","parameters":{"module":"M12"},"id":"a","user":"alice"}`

func TestThroughTheBroker(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	zero := 0
	l.db = stored{"hv-on": {
		Setpoints: []wire.Setpoint{{Device: "hv", Channel: int32(0), Op: wire.SetV, Value: int32(100)}, {Device: "hv", Channel: 0., Op: wire.Switch, Value: "on"}, {Device: "hv", Channel: 0., Op: wire.SetV, Value: 100.}},
		Sensors:   []wire.Require{{Device: "hv", Channel: &zero, Field: "vmon", Min: at(95), MaxAge: 60}},
	}}
	l.up()
	l.ear.Say(root.RunCommand(wire.Start), `{"procedure":"calibration","id":"bad"}`)
	a := l.awaitAck(0, "bad", wire.Rejected)
	assert.Equal(t, wire.BadValue, a.Code)
	assert.Equal(t, `ph2acf: parameter "module" is missing`, a.Message)

	withHV := strings.Replace(startM12, `"id"`, `"configuration":"hv-on","id"`, 1)
	l.ear.Say(root.RunCommand(wire.Start), withHV)
	a = l.awaitAck(0, "a", wire.Accepted)
	assert.EqualValues(t, 42, a.Run)
	l.awaitRun(0, 42, wire.RunConfiguring)
	r := l.awaitRun(0, 42, wire.RunRunning)
	assert.Equal(t, "hv-on", r.Configurations["run"].Name)
	mark := l.ear.Mark()
	l.progress(0.5)
	l.ear.Await(mark, "progress", func(m bus.Message) bool {
		var r wire.Run
		return m.Topic == root.RunState() && json.Unmarshal(m.Payload, &r) == nil && r.Progress == wire.Known(0.5) && r.Phase == "scanning"
	})
	l.programEnds(wire.RunFinished)
	l.awaitAck(0, "a", wire.Done)
	r = l.awaitRun(0, 42, wire.RunFinished)
	assert.Equal(t, wire.ResultsStored, r.Results)
	assert.Equal(t, 0, *r.Exit)
	notes := l.ear.Heard(root.RunAnnotation())
	require.Len(t, notes, 2)
	bustest.AwaitRetained(t, l.broker.URL(), root.RunState())
	assert.Len(t, l.starts, 1)
	assert.Equal(t, "run 42 (alice)", l.starts[0].User)

	// somebody else's word does not stand for long
	mark = l.ear.Mark()
	l.ear.Leave(root.RunState(), `{"run":7}`)
	l.awaitRun(mark, 42, wire.RunFinished)

	// a start that was left on the broker is refused, and taken off it
	l.end()
	l.ear.Leave(root.RunCommand(wire.Start), strings.Replace(startM12, `"a"`, `"left"`, 1))
	l.up()
	assert.Equal(t, wire.Retained, l.awaitAck(0, "left", wire.Rejected).Code)
	mark = l.ear.Mark()
	l.ear.Say(root.RunCommand(wire.Start), withHV)
	assert.EqualValues(t, 42, l.awaitAck(mark, "a", wire.Done).Run, "the id is known over the restart")
}

func TestKilledInARun(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.up()
	l.ear.Say(root.RunCommand(wire.Start), startM12)
	l.awaitRun(0, 42, wire.RunRunning)
	l.end()
	l.programEnds(wire.RunFinished)
	l.up()
	l.awaitAck(0, "a", wire.Done)
	l.awaitRun(0, 42, wire.RunFinished)
	assert.Len(t, l.starts, 1)

	mark := l.ear.Mark()
	l.ear.Say(root.RunCommand(wire.Start), strings.Replace(startM12, `"a"`, `"b"`, 1))
	l.awaitRun(mark, 43, wire.RunRunning)
	l.broker.DropClients()
	l.insist(root.RunCommand(wire.Abort), "c", `{"id":"c","user":"bob","reason":"wrong module"}`)
	l.awaitRun(mark, 43, wire.RunAborted)
	l.awaitAck(mark, "c", wire.Done)
	l.awaitAck(mark, "b", wire.Superseded)
	l.end()

	// the book is torn: the number comes from the sink and the bus
	name := filepath.Join(l.dir, bookName)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, b[:len(b)/2], 0o600))
	mark = l.ear.Mark()
	l.up()
	assert.FileExists(t, name+".damaged")
	l.ear.Say(root.RunCommand(wire.Start), strings.Replace(startM12, `"a"`, `"d"`, 1))
	assert.EqualValues(t, 44, l.awaitAck(mark, "d", wire.Accepted).Run)
	l.awaitRun(mark, 44, wire.RunRunning)
}

func TestBrokenConnectionWhileConfiguring(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.up()
	l.mu.Lock()
	l.quiet = true
	l.mu.Unlock()
	l.ear.Say(root.RunCommand(wire.Start), strings.Replace(startM12, `"id"`, `"configuration":{"setpoints":[{"device":"hv","channel":0,"op":"setv","value":5}]},"id"`, 1))
	l.awaitRun(0, 42, wire.RunConfiguring)
	l.mu.Lock()
	l.quiet = false
	l.mu.Unlock()
	l.broker.DropClients()
	l.awaitRun(0, 42, wire.RunRunning)
}

func TestFetch(t *testing.T) {
	hv := wire.Configuration{Timeout: 3}
	f := fetch(t.Context(), stored{"hv": hv}, Fetch{Ask: 7, Names: []string{"hv"}})
	assert.Equal(t, Fetched{Ask: 7, Found: map[string]wire.Configuration{"hv": hv}}, f)
	f = fetch(t.Context(), stored{"hv": hv}, Fetch{Names: []string{"hv", "x"}})
	assert.Equal(t, "x", f.Name)
	require.ErrorIs(t, f.Err, errNoConfiguration)
	f = fetch(t.Context(), away{}, Fetch{Names: []string{"hv"}})
	require.ErrorContains(t, f.Err, "connection refused")
}

type away struct{}

func (away) Configuration(context.Context, string) (wire.Configuration, error) {
	return wire.Configuration{}, errors.New("connection refused")
}

func TestShelf(t *testing.T) {
	s := shelf{t.TempDir()}
	log := servicetest.Env(t, "x", "x").Log
	book, why, refs, err := s.load(log)
	require.NoError(t, err)
	assert.Zero(t, book)
	assert.Empty(t, why)
	assert.Empty(t, refs)
	r := wire.Run{Run: 3, UID: "u", State: wire.RunFailed, Error: "why"}
	want := Book{Highest: 3, Sure: true, Life: &Life{Run: r, Step: stepEnded}}
	require.NoError(t, s.save(Save{Book: want, Keep: []wire.Run{r}}))
	ended := filepath.Join(s.dir, endedName)
	require.NoError(t, os.WriteFile(filepath.Join(ended, "4-u.json"), []byte(`{"run":4`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(ended, "5-u.json.new"), nil, 0o600))
	book, why, refs, err = s.load(log)
	require.NoError(t, err)
	assert.Equal(t, want.Highest, book.Highest)
	assert.Equal(t, "why", book.Life.Run.Error)
	assert.Empty(t, why)
	assert.Equal(t, []Ref{{3, "u", wire.RunFailed}}, refs)
	assert.FileExists(t, filepath.Join(ended, "4-u.json.damaged"))
	b, err := s.read(refs[0])
	require.NoError(t, err)
	assert.JSONEq(t, string(wire.Encode(r)), string(b))
	require.NoError(t, s.save(Save{Book: want, Forget: refs}))
	_, err = s.read(refs[0])
	require.ErrorIs(t, err, os.ErrNotExist)

	name := filepath.Join(s.dir, bookName)
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for _, bad := range [][]byte{nil, []byte("{}"), whole[:len(whole)-20], append([]byte("x"), whole...)} {
		require.NoError(t, os.WriteFile(name, bad, 0o600))
		book, why, _, err = s.load(log)
		require.NoError(t, err)
		assert.Zero(t, book)
		assert.Contains(t, why, name+" is damaged")
	}
	require.NoError(t, os.Mkdir(name, 0o700))
	_, _, _, err = s.load(log)
	require.ErrorContains(t, err, name)
}

func TestNoReadingIsOld(t *testing.T) {
	m := newMailbox()
	for _, p := range []string{"1", "2"} {
		m.put(bus.Message{Topic: "/hv/status", Payload: []byte(p)})
		m.put(bus.Message{Topic: "/hv/state", Payload: []byte(p)})
	}
	m.tell(Connected{})
	var got []string
	for e := m.take(); e != nil; e = m.take() {
		got = append(got, e.msg.Topic+string(e.msg.Payload))
	}
	assert.Equal(t, []string{"/hv/status2", "/hv/state1", "/hv/state2", ""}, got)
	for range mailboxSize + 5 {
		m.put(bus.Message{Topic: "/hv/ack"})
	}
	assert.InDelta(t, 5, m.lostCount(), 0)
	m.put(bus.Message{Topic: "/run/cmd/start", Payload: make([]byte, 2*maxPayload)})
}
