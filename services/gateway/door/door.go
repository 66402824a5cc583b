package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

// ErrSessionEnded is the cause with which a request's context ends when its
// session or its token does: context.Cause tells it from a client that has
// gone away.
var ErrSessionEnded = errors.New("the session has ended")

// How often the door looks whether the sessions of requests under way still
// stand, and how often it writes to disk when sessions were last used.
const (
	lookEvery = 500 * time.Millisecond
	keepEvery = 10 * time.Second
)

// Config is what a door needs. Metrics may be nil.
type Config struct {
	Accounts *accounts.Store
	Dir      string        // sessions are in sessions.db in it
	Idle     time.Duration // a session ends after this long without use; an open stream or socket is use
	Absolute time.Duration // and this long after the login in any case
	Log      *slog.Logger
	Audit    func(context.Context, auditlog.Entry) error // who came, went and was refused; nil for nobody listens
	Links    func(Who) map[string]string                 // what else somebody may open, for the answer to a login; may be nil
	Metrics  prometheus.Registerer
}

// Door lets people and scripts in. Identify goes around everything, Require
// around what is not for everybody; Run must run.
type Door struct {
	cfg      Config
	store    *store
	sessions *scs.SessionManager
	foreign  *http.CrossOriginProtection
	limits   *limits
	logins   *prometheus.CounterVec

	mu     sync.Mutex
	visits map[*visit]struct{} // requests under way
}

// New opens the sessions that were there when the gateway was last stopped.
func New(cfg Config) (*Door, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Idle <= 0 || cfg.Absolute <= 0 {
		return nil, fmt.Errorf("sessions of %v, %v when idle: both must be above 0", cfg.Absolute, cfg.Idle)
	}
	s, err := openStore(cfg.Dir, cfg.Idle, cfg.Log)
	if err != nil {
		return nil, err
	}
	d := &Door{
		cfg: cfg, store: s, foreign: http.NewCrossOriginProtection(), limits: newLimits(),
		// Not scs.New, which starts a goroutine that has no end. The store hashes
		// the ids and knows when each was used.
		sessions: &scs.SessionManager{
			Lifetime: cfg.Absolute, Store: s, Codec: codec{},
			Cookie: scs.SessionCookie{Name: CookieName, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode},
		},
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_gateway_logins_total", Help: "Attempts to log in."}, []string{"result"}),
		visits: map[*visit]struct{}{},
	}
	if cfg.Metrics != nil {
		if err := d.register(cfg.Metrics); err != nil {
			_ = s.close()
			return nil, fmt.Errorf("registering the door's metrics: %w", err)
		}
	}
	return d, nil
}

func (d *Door) register(r prometheus.Registerer) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	for _, result := range []string{resultIn, resultWrong, resultLimited, resultBusy} {
		d.logins.WithLabelValues(result)
	}
	return errors.Join(
		r.Register(d.logins),
		r.Register(gauge("dcs_gateway_sessions", "Sessions that are kept.", func() float64 { return float64(d.store.count()) })),
		r.Register(gauge("dcs_gateway_visits", "Requests of sessions and tokens under way, streams and sockets included.", func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(len(d.visits))
		})),
		r.Register(gauge("dcs_gateway_users_file_bad", "1 while the users' file cannot be read, and what was in it before counts.", func() float64 {
			if d.cfg.Accounts.Err() != nil {
				return 1
			}
			return 0
		})),
	)
}

// Close writes down when sessions were last used, and closes their file.
func (d *Door) Close() error {
	if err := d.store.close(); err != nil {
		return fmt.Errorf("closing the sessions: %w", err)
	}
	return nil
}

// Run ends requests whose sessions have ended, within a second, and forgets
// ended sessions, until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	look, keep := time.NewTicker(lookEvery), time.NewTicker(keepEvery)
	defer look.Stop()
	defer keep.Stop()
	bad := false
	for {
		select {
		case <-look.C:
			d.look()
			bad = d.sayBad(bad)
		case <-keep.C:
			if err := d.store.flush(); err != nil {
				d.cfg.Log.Error("writing when sessions were used", "error", err)
			}
			d.sweep(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// sayBad says once when the users' file has become bad, and when it is good again.
func (d *Door) sayBad(was bool) bool {
	err := d.cfg.Accounts.Err()
	switch {
	case err != nil && !was:
		d.cfg.Log.Error("the users' file cannot be read: what was in it before counts until it can", "error", err)
	case err == nil && was:
		d.cfg.Log.Info("the users' file can be read again")
	}
	return err != nil
}

// sweep forgets the sessions that have ended by themselves, or because their
// user was changed.
func (d *Door) sweep(ctx context.Context) {
	ended, err := d.store.sweep(time.Now(), func(name, generation string) bool {
		u, ok := d.cfg.Accounts.User(name)
		return ok && u.Generation == generation
	})
	if err != nil {
		d.cfg.Log.Error("forgetting sessions that have ended", "error", err)
	}
	for _, e := range ended {
		d.audit(ctx, auditlog.Entry{Kind: auditlog.Logout, User: e.name, Verified: true, Via: BySession, Message: e.why})
	}
}

// audit writes an entry. A log that cannot be written keeps nobody out: a full
// disk must not stand between an operator and the switch.
func (d *Door) audit(ctx context.Context, e auditlog.Entry) {
	if d.cfg.Audit == nil {
		return
	}
	if err := d.cfg.Audit(context.WithoutCancel(ctx), e); err != nil { // who hangs up is written down all the same
		d.cfg.Log.Error("not in the audit log", "kind", e.Kind, "user", e.User, "address", e.Address, "message", e.Message, "error", err)
	}
}
