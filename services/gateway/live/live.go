package live

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/wire"
)

// Config says where a Live is.
type Config struct {
	Root    wire.Root
	Name    string // the service's name on the bus
	Boot    string // new at each start
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil for none
	Now     func() time.Time      // nil for time.Now
	Wait    time.Duration         // how long an ack is waited for; 2 s when 0
}

// Live knows what is on the bus now.
type Live struct{ c Config }

// New makes a Live that knows nothing yet.
func New(c Config) *Live { return &Live{c: c} }

// Attach subscribes to all that is needed. It is called before the bus runs.
func (l *Live) Attach(Member) {}

// Run follows the bus until ctx ends.
func (l *Live) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Snapshot is all that is known now.
func (l *Live) Snapshot() Snapshot { return Snapshot{} }

// Device is what is known of a device now.
func (l *Live) Device(string) (Device, bool) { return Device{}, false }

// Do sends a command to a device and waits for its end.
func (l *Live) Do(context.Context, string, wire.Command) (Outcome, error) { return Outcome{}, nil }

// DoRun sends a command to run control and waits for its end.
func (l *Live) DoRun(context.Context, wire.RunCommand) (Outcome, error) { return Outcome{}, nil }

// Outcome is what is known of one of the last thousand commands.
func (l *Live) Outcome(string) (Outcome, bool) { return Outcome{}, false }

// ServeStream answers with server-sent events until the request's context ends.
func (l *Live) ServeStream(http.ResponseWriter, *http.Request) {}
