// Package api is the gateway's interface for the console and for scripts, under
// /api/v1. openapi.yaml describes it.
package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
)

// Live is what is on the bus now, and the way to it.
type Live interface {
	Snapshot() live.Snapshot
	Device(name string) (live.Device, bool)
	Do(ctx context.Context, device string, c wire.Command) (live.Outcome, error)
	DoRun(ctx context.Context, c wire.RunCommand) (live.Outcome, error)
	Outcome(id string) (live.Outcome, bool)
	ServeStream(w http.ResponseWriter, r *http.Request)
}

// History is the archive of measurements.
type History interface {
	Series(ctx context.Context, q history.SeriesQuery) (history.Series, error)
}

// Runs is what is kept of runs.
type Runs interface {
	List(ctx context.Context, f runs.Filter) ([]runs.Run, error)
	Get(ctx context.Context, number int64) (runs.Run, error)
	Files(ctx context.Context, run int64) ([]runs.File, error)
	OpenFile(ctx context.Context, run int64, name string) (io.ReadCloser, runs.File, error)
	Configurations(ctx context.Context) ([]runs.NamedConfiguration, error)
}

// Audit is the audit log.
type Audit interface {
	Append(ctx context.Context, e auditlog.Entry) error
	List(ctx context.Context, f auditlog.Filter) (entries []auditlog.Entry, next int64, err error)
}

// Door knows who asks: door.From. Require lets those through who have the role,
// and notes in the audit log who has not and wants to change something.
type Door interface {
	Require(least accounts.Role, next http.Handler) http.Handler
	Login() http.Handler
	Logout() http.Handler
	Me() http.Handler
	Password() http.Handler
}

// Config is what the API stands on. All of it is needed but Log and Now.
type Config struct {
	Live    Live
	History History
	Runs    Runs
	Audit   Audit
	Door    Door
	Publish func(ctx context.Context, m bus.Message) error // of values from outside
	Root    wire.Root
	Log     *slog.Logger
	Now     func() time.Time
}

// New is the handler of /api/.
func New(cfg Config) http.Handler { return newServer(cfg).handler() }

// server answers.
type server struct {
	cfg   Config
	heavy chan struct{} // has room for the answers that are made at a time and take much memory
}

// maxHeavy is how many answers of the databases are made at a time.
const maxHeavy = 4

func newServer(cfg Config) *server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &server{cfg: cfg, heavy: make(chan struct{}, maxHeavy)}
}

// take waits for room for an answer that takes much memory, and is undone by
// the function that it returns.
func (s *server) take(ctx context.Context) (release func(), err error) {
	select {
	case s.heavy <- struct{}{}:
		return func() { <-s.heavy }, nil
	case <-ctx.Done():
		return nil, refuse(http.StatusServiceUnavailable, "busy", "Too much is being asked for at once: try again.")
	}
}
