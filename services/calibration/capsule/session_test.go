package capsule

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// process is a recorder on a bus, as the sink has it.
type process struct {
	*Recorder
	kill func() // what is not on disk is lost with it
}

// start starts a process. synced, which may be nil, is called between the disk
// and the acks; gone is closed when the process has left the bus.
func start(t *testing.T, url, dir string, synced func(gone <-chan struct{})) *process {
	t.Helper()
	client, err := bus.New(bus.Options{Broker: url, ClientID: "dcs-calibration", Persistent: true, ManualAck: true})
	require.NoError(t, err)
	r := open(t, dir, Options{Again: func() { client.Hold(0, "again") }})
	gone := make(chan struct{})
	if synced != nil {
		r.synced = func() { synced(gone) }
	}
	client.SubscribeAll(Filters(""), 1, r.Put)
	up := make(chan struct{})
	var once sync.Once
	client.OnConnect(func() { once.Do(func() { close(up) }) })
	onBus, leave := context.WithCancel(context.Background())
	work, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(gone)
		_ = client.Run(onBus)
	}()
	go func() {
		defer close(ended)
		_ = r.Run(work)
	}()
	p := &process{Recorder: r}
	p.kill = func() {
		leave()
		<-gone
		stop()
		<-ended
		_ = r.Close()
	}
	t.Cleanup(p.kill)
	select {
	case <-up:
	case <-time.After(bustest.Patience):
		t.Fatal("no connection")
	}
	return p
}

// TestKilled kills the recorder between the disk and the acks, before the disk,
// and while nobody listens: the broker has the rest.
func TestKilled(t *testing.T) {
	url := brokertest.New(t, mqttd.Options{AckWait: time.Second}).URL()
	dir := t.TempDir()
	says := bustest.Listen(t, url)
	seq := 0
	say := func(n int) {
		for range n {
			seq++
			says.Say("/hv/status", psu("a", seq, after(float64(seq)), float64(seq), 0))
		}
	}

	p := start(t, url, dir, nil)
	require.NoError(t, p.Begin(1))
	say(40)
	p.kill()
	say(60)

	held := make(chan struct{}) // on disk, and never acknowledged
	var once sync.Once
	p = start(t, url, dir, func(gone <-chan struct{}) {
		once.Do(func() { close(held) })
		<-gone
	})
	say(40)
	<-held
	p.kill()
	say(20)

	p = start(t, url, dir, nil)
	say(10)
	assert.Eventually(t, func() bool {
		c, err := p.Make(context.Background(), 1, t0, after(float64(seq)))
		return err == nil && c.Devices["hv"].Statuses == int64(seq)
	}, bustest.Patience, 50*time.Millisecond)
	c := capsuleOf(t, p.Recorder, 1, t0, after(float64(seq)))
	assert.Zero(t, c.Missing+c.Dropped)
	assert.Equal(t, int64(seq), c.Devices["hv"].Channels[0].Fields["vmon"].Count)
	assert.Equal(t, float64(seq+1)/2, c.Devices["hv"].Channels[0].Fields["vmon"].Mean)
}
