package door

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

// ErrSessionEnded is the cause with which a request's context ends when its
// session or its token does.
var ErrSessionEnded = errors.New("the session has ended")

// Config is what a door needs.
type Config struct {
	Accounts *accounts.Store
	Dir      string        // sessions are in sessions.db in it
	Idle     time.Duration // a session ends after this long without use
	Absolute time.Duration // and this long after the login in any case
	Log      *slog.Logger
	Audit    func(context.Context, auditlog.Entry) error
	Metrics  prometheus.Registerer
}

// Door lets people and scripts in.
type Door struct{ Config }

// New is a skeleton.
func New(c Config) (*Door, error) { return &Door{c}, nil }

// Close is a skeleton.
func (d *Door) Close() error { return nil }

// Run is a skeleton.
func (d *Door) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Identify is a skeleton.
func (d *Door) Identify(next http.Handler) http.Handler { return next }

// Require is a skeleton.
func (d *Door) Require(role accounts.Role, next http.Handler) http.Handler { return next }

// Login is a skeleton. Its answer has links too.
func (d *Door) Login(links func(Who) map[string]string) http.Handler { return http.NotFoundHandler() }

// Logout is a skeleton.
func (d *Door) Logout() http.Handler { return http.NotFoundHandler() }

// Me is a skeleton.
func (d *Door) Me(links func(Who) map[string]string) http.Handler { return http.NotFoundHandler() }

// Password is a skeleton.
func (d *Door) Password() http.Handler { return http.NotFoundHandler() }
