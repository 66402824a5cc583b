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
	"golang.org/x/time/rate"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/disk"
	"trackerdcs/services/gateway/ration"
)

// ErrSessionEnded is the cause with which a request's context ends when its
// session or its token does: context.Cause tells it from a client that has
// gone away.
var ErrSessionEnded = errors.New("the session has ended")

// How often the door looks whether the sessions of requests under way still
// stand, whether the users' file was changed, and how often it writes to disk
// when sessions were last used.
const (
	lookEvery    = 500 * time.Millisecond
	compareEvery = time.Second
	keepEvery    = 10 * time.Second
)

// maxSessions is how many sessions one user has at a time. At one more login
// the oldest ends.
const maxSessions = 20

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
	denials  *ration.Ration[denier]
	auditing chan struct{} // a token for each entry that is being written
	complain rate.Sometimes
	free     func(dir string) (int64, error) // disk.Free
	patience time.Duration                   // auditWait, but for tests

	changing sync.RWMutex // held for reading by whoever changes an account and notes it
	knownMu  sync.Mutex
	known    *accounts.Known // what is noted; nil for nothing ever

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
		logins:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_gateway_logins_total", Help: "Attempts to log in."}, []string{"result"}),
		visits:   map[*visit]struct{}{},
		auditing: make(chan struct{}, mostAuditing),
		complain: rate.Sometimes{First: 10, Interval: 10 * time.Second},
		free:     disk.Free, patience: auditWait, known: knownFrom(s.known),
	}
	d.denials = d.newDenials()
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

// Close writes down when sessions were last used, and closes their file. The
// audit log must still be open.
func (d *Door) Close() error {
	d.denials.Close()
	d.awaitAudits()
	if err := d.store.close(); err != nil {
		return fmt.Errorf("closing the sessions: %w", err)
	}
	return nil
}

// Run ends requests whose sessions have ended, within a second, forgets ended
// sessions, and notes what is changed in the users' file, until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	var keeping sync.WaitGroup
	keeping.Go(func() { d.keep(ctx) }) // what waits for the disk keeps nobody's stream open
	defer keeping.Wait()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	bad := false
	for {
		select {
		case <-look.C:
			d.look()
			bad = d.sayBad(bad)
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *Door) keep(ctx context.Context) {
	compare, keep := time.NewTicker(compareEvery), time.NewTicker(keepEvery)
	defer compare.Stop()
	defer keep.Stop()
	for {
		select {
		case <-compare.C:
			d.compare(ctx)
		case <-keep.C:
			d.store.write("it is tried again")
			d.sweep(ctx)
		case <-ctx.Done():
			return
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
	d.left(ctx, d.store.sweep(time.Now(), func(name, generation string) bool {
		u, ok := d.cfg.Accounts.User(name)
		return ok && u.Generation == generation
	}))
}

// left notes sessions that have ended without a logout.
func (d *Door) left(ctx context.Context, ended []endedSession) {
	for _, e := range ended {
		d.audit(ctx, auditlog.Entry{Kind: auditlog.Logout, User: e.name, Verified: true, Via: BySession, Message: e.why})
	}
}
