package record

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
)

func TestHeadIsPublished(t *testing.T) {
	d := newDesk(t)
	r := d.start(func(r *Recorder) { r.every = 50 * time.Millisecond })
	heads := func(seq int64) func(bus.Message) bool {
		return func(m bus.Message) bool {
			var h auditlog.Head
			return m.Topic == "lab1/service/gateway/audit" && json.Unmarshal(m.Payload, &h) == nil && h.Seq == seq
		}
	}
	require.NoError(t, r.Append(t.Context(), sent()))
	m := d.bus.Await(0, "the head", heads(1))
	var h auditlog.Head
	require.NoError(t, json.Unmarshal(m.Payload, &h))
	assert.Equal(t, r.Head(), h)
	require.NoError(t, r.Append(t.Context(), sent()))
	d.bus.Await(0, "the next head", heads(2))
	r.stop()
	bustest.AwaitRetained(t, d.url, "lab1/service/gateway/audit")
	mark := d.bus.Mark()
	d.start()
	d.bus.Await(mark, "the head, at the start", heads(2))
}

func TestHeadIsPublishedSeldom(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), sent()))
	r.up <- struct{}{}
	d.bus.Await(0, "the head", func(bus.Message) bool { return true })
	for range 10 {
		require.NoError(t, r.Append(t.Context(), sent()))
		r.up <- struct{}{}
	}
	r.up <- struct{}{} // the one before was taken
	d.bus.Say(string(root)+"/service/mark", "")
	d.bus.Await(0, "the mark", func(m bus.Message) bool { return m.Topic == string(root)+"/service/mark" })
	assert.Len(t, d.bus.Heard(string(root)+"/service/gateway/audit"), 1)
}

func TestBadConfig(t *testing.T) {
	_, err := New(Config{Dir: t.TempDir(), Options: bus.Options{Broker: "http://x"}})
	assert.ErrorContains(t, err, "broker address")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = New(Config{Dir: file, Options: bus.Options{Broker: "tcp://127.0.0.1"}})
	assert.ErrorContains(t, err, "the audit log: mkdir")
	metrics := prometheus.NewRegistry()
	for _, want := range []string{"", "metrics of the audit log"} {
		r, err := New(Config{Dir: t.TempDir(), Options: bus.Options{Broker: "tcp://127.0.0.1"}, Metrics: metrics})
		if want == "" {
			require.NoError(t, err)
			require.NoError(t, r.Close())
		} else {
			assert.ErrorContains(t, err, want)
		}
	}
}
