package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// loaderName is the name of our loader on the bus; its state is on
// /service/bench-loader/state and its client id dcs-bench-loader.
const loaderName = "bench-loader"

// contender is one of the two programs that are compared.
type contender struct {
	name     string
	clientID string // of its MQTT session
	says     bool   // that it is ready, on its state topic
	command  func(s *stand) (env, command []string, err error)
}

// contenders are the two, ours first.
func (b *bench) contenders() [2]contender { return [2]contender{b.loader(), b.telegrafs()} }

func (b *bench) loader() contender {
	return contender{
		name: "loader", clientID: "dcs-" + loaderName, says: true,
		command: func(s *stand) ([]string, []string, error) {
			return []string{
				"DCS_BROKER=" + s.broker.url(), "DCS_INFLUX_URL=" + s.influx.url, "DCS_INFLUX_BUCKET=dcs/autogen",
				"DCS_NAME=" + loaderName, "DCS_DATA_DIR=" + s.data,
			}, []string{filepath.Join(b.bin, "loader")}, nil
		},
	}
}

// telegrafConf does with Telegraf what the loader does with statuses. See
// README.md for why each value.
var telegrafConf = template.Must(template.New("telegraf.conf").Parse(`[agent]
  interval = "1s"
  metric_batch_size = {{.Batch}}
  metric_buffer_limit = 200000
  flush_interval = "1s"
  flush_jitter = "0s"
  omit_hostname = true
  quiet = true

[[inputs.mqtt_consumer]]
  servers = ["{{.Broker}}"]
  topics = ["/+/status", "/+/replay"]
  topic_tag = ""
  qos = 1
  persistent_session = true
  client_id = "{{.ClientID}}"
  max_undelivered_messages = {{.Undelivered}}
  data_format = "json"
  tag_keys = ["number"]
  json_string_fields = ["boot"]
  json_time_key = "time"
  json_time_format = "2006-01-02T15:04:05.999999999Z07:00"
  [[inputs.mqtt_consumer.topic_parsing]]
    topic = "+/+/+"
    measurement = "_/measurement/_"

[[outputs.influxdb_v2]]
  urls = ["{{.Influx}}"]
  organization = "dcs"
  bucket = "dcs/autogen"
  token = ""
`))

func (b *bench) telegrafs() contender {
	const clientID = "bench-telegraf"
	return contender{
		name: "Telegraf", clientID: clientID,
		command: func(s *stand) ([]string, []string, error) {
			file := filepath.Join(s.dir, "telegraf.conf")
			f, err := os.Create(file)
			if err != nil {
				return nil, nil, err
			}
			defer f.Close()
			err = telegrafConf.Execute(f, struct {
				Broker, Influx, ClientID string
				Undelivered, Batch       int
			}{s.broker.url(), s.influx.url, clientID, b.undelivered, b.batch})
			return nil, []string{filepath.Join(b.bin, "telegraf"), "--config", file}, err
		},
	}
}

// begin starts a contender with nothing left of its last run, and waits until
// what is published can be queried.
func (s *stand) begin(ctx context.Context, c contender) (*child, error) {
	if err := forget(ctx, s.broker.url(), c.clientID); err != nil {
		return nil, err
	}
	s.runs++
	s.data = filepath.Join(s.dir, fmt.Sprint("data-", s.runs))
	if err := os.MkdirAll(s.data, 0o750); err != nil {
		return nil, err
	}
	ready, say, hangUp, err := s.listen(ctx) // before it can say anything
	if err != nil {
		return nil, err
	}
	defer hangUp()
	p, err := s.launch(c)
	if err != nil {
		return nil, err
	}
	if err := s.awaitProbe(ctx, c, p, ready, say); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// launch runs the contender's binary on what it left behind, if anything.
func (s *stand) launch(c contender) (*child, error) {
	env, command, err := c.command(s)
	if err != nil {
		return nil, err
	}
	return startChild(c.name, filepath.Join(s.dir, c.name+".log"), env, command[0], command[1:]...)
}

// probe is a device that only says that a contender is there.
const probe = "probe"

// listen hears when our loader says that it is ready.
func (s *stand) listen(ctx context.Context) (ready chan struct{}, say *bus.Client, hangUp func(), err error) {
	ready = make(chan struct{}, 1)
	hear := func(m bus.Message) {
		var state wire.State
		if m.Retained || json.Unmarshal(m.Payload, &state) != nil || state.State != wire.Ready {
			return // what is retained was said in the last round
		}
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	say, hangUp, err = connect(ctx, bus.Options{Broker: s.broker.url(), ClientID: "bench-probe"}, func(c *bus.Client) {
		c.Subscribe(wire.Root("").ServiceState(loaderName), 1, hear)
	})
	return ready, say, hangUp, err
}

// awaitProbe waits until the contender says that it is ready, if it does, and
// until a status that is published now can be queried.
func (s *stand) awaitProbe(ctx context.Context, c contender, p *child, ready chan struct{}, say *bus.Client) error {
	if c.says {
		if err := p.await(ctx, time.Minute, func(context.Context) bool { return len(ready) > 0 }); err != nil {
			return err
		}
	}
	g := newGenerator(probe)
	return p.await(ctx, time.Minute, func(ctx context.Context) bool {
		if say.Publish(ctx, g.next()) != nil || sleep(ctx, 100*time.Millisecond) != nil {
			return false
		}
		seq, err := s.influx.last(ctx, probe)
		return err == nil && seq > 0
	})
}

// forget ends the session that the broker keeps for a client.
func forget(ctx context.Context, broker, clientID string) error {
	_, hangUp, err := connect(ctx, bus.Options{Broker: broker, ClientID: clientID}, nil)
	if err == nil {
		hangUp()
	}
	return err
}

// connect waits until a client of the bus is connected. hangUp waits until it
// is not any more.
func connect(ctx context.Context, o bus.Options, prepare func(*bus.Client)) (c *bus.Client, hangUp func(), err error) {
	if c, err = bus.New(o); err != nil {
		return nil, nil, err
	}
	if prepare != nil {
		prepare(c)
	}
	up := make(chan struct{}, 1)
	c.OnConnect(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(ctx)
	}()
	hangUp = func() { cancel(); <-ended }
	select {
	case <-up:
		return c, hangUp, nil
	case <-time.After(20 * time.Second):
		err = errors.New("no connection to the broker")
	case <-ctx.Done():
		err = ctx.Err()
	}
	hangUp()
	return nil, nil, err
}
