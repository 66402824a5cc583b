package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// openQueues are lines of the broker's configuration. Without them it lets 1000
// messages wait for a subscriber and drops the rest, and hands out 20
// unacknowledged.
func (b *bench) openQueues() string {
	return fmt.Sprintf("max_queued_messages 0\nmax_queued_bytes 1000000000\nmax_inflight_messages %d\n", b.inflight)
}

// mosquitto is the broker. It can be killed and started again on the same data.
type mosquitto struct {
	*child
	addr string
	boot func() (*child, error)
}

func (m *mosquitto) url() string { return "tcp://" + m.addr }

// broker is the broker's binary.
func (b *bench) broker() string {
	if b.mqttd != "" {
		return b.mqttd
	}
	if p, err := exec.LookPath("mosquitto"); err == nil {
		return p
	}
	return "/usr/sbin/mosquitto" // not in everybody's path
}

func (b *bench) startMosquitto(ctx context.Context, dir, queues string) (*mosquitto, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	store := filepath.Join(dir, "mosquitto")
	if err := os.MkdirAll(store, 0o750); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`listener %s 127.0.0.1
allow_anonymous true
persistence true
persistence_location %s/
autosave_on_changes false
autosave_interval 1
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
%s`, port, store, queues)
	if os.Geteuid() == 0 {
		conf += "user root\n" // or it could not write into our folder
	}
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	m := &mosquitto{addr: "127.0.0.1:" + port}
	m.boot = func() (*child, error) {
		return startChild("mosquitto", filepath.Join(dir, "mosquitto.log"), nil, b.broker(), "-c", file)
	}
	return m, m.start(ctx)
}

// start runs it and waits until it listens.
func (m *mosquitto) start(ctx context.Context) error {
	c, err := m.boot()
	if err != nil {
		return err
	}
	m.child = c
	if err := c.await(ctx, time.Minute, func(ctx context.Context) bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", m.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}); err != nil {
		c.stop()
		return err
	}
	return nil
}
