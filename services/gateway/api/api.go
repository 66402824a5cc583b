// Package api is the gateway's interface for the console and for scripts, under
// /api/v1. openapi.yaml describes it.
package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/live"
	"trackerdcs/services/gateway/ration"
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

// Config is what the API stands on. All of it is needed but Log, Metrics and Now.
type Config struct {
	Live    Live
	History History
	Runs    Runs
	Audit   Audit
	Door    Door
	Publish func(ctx context.Context, m bus.Message) error // of values from outside
	Root    wire.Root
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time
}

// API is the handler of /api/.
type API struct {
	http.Handler
	s *server
}

// New makes it.
func New(cfg Config) *API {
	s := newServer(cfg)
	return &API{s.handler(), s}
}

// Close brings into the audit log what was counted and is not in it yet. It is
// called when nobody can ask any more, and before the audit log is closed.
func (a *API) Close() {
	a.s.denied.Close()
	a.s.fetched.Close()
	a.s.tally.close()
}

// How often one person from one address, and all together, get an entry of what
// everybody may cause; the rest is counted.
var (
	ofOne = ration.Rate{Burst: 30, Every: 6 * time.Second}
	ofAll = ration.Rate{Burst: 300, Every: time.Second}
)

// server answers.
type server struct {
	cfg     Config
	metrics *metrics
	slots   *slots
	tally   *tally
	denied  *ration.Ration[door.Who] // entries of what was refused
	fetched *ration.Ration[door.Who] // and of downloads

	unread     time.Duration // unreadTime, but for tests
	auditDelay time.Duration // auditDelay, but for tests
}

func newServer(cfg Config) *server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &server{cfg: cfg, metrics: newMetrics(cfg.Metrics), slots: newSlots(), unread: unreadTime, auditDelay: auditDelay}
	s.tally = newTally(cfg.Now, func(e auditlog.Entry) error { return s.note(context.Background(), e) })
	s.denied = ration.New(ofOne, ofAll, s.more(auditlog.Denied, "refused requests"))
	s.fetched = ration.New(ofOne, ofAll, s.more(auditlog.Download, "downloads"))
	return s
}
