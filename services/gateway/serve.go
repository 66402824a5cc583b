package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/service"
	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/console"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/pages"
	"trackerdcs/services/gateway/proxy"
)

// How long somebody may take to ask. How long to read the answer stands in
// crowd.go.
const (
	headerTime = 10 * time.Second
	bodyTime   = time.Minute
	idleTime   = 2 * time.Minute
	leaveTime  = 2 * time.Second // for requests that are under way at the end
	maxHeader  = 64 << 10
)

// server puts the parts behind their addresses.
func (g *gateway) server(env *service.Env, cfg *config) (*http.Server, error) {
	grafana, err := part(cfg.GrafanaURL)
	if err != nil {
		return nil, err
	}
	nodeRed, err := part(cfg.NodeRedURL)
	if err != nil {
		return nil, err
	}
	secret, err := cfg.nodeRedSecret()
	if err != nil {
		return nil, fmt.Errorf("DCS_NODERED_SECRET_FILE: %w", err)
	}
	behind := proxy.New(proxy.Config{Grafana: grafana, NodeRED: nodeRed, NodeREDSecret: secret, Audit: g.record.Append, Log: env.Log, Metrics: env.Metrics})
	g.behind = behind
	page, err := consoleHandler(console.Built())
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle("/pages.css", pages.Style())
	mux.Handle("/healthz", health(g))
	g.api = api.New(api.Config{
		Live: g.live, History: g.history, Runs: g.runs, Audit: g.record, Door: g.door, Root: cfg.Root, Log: env.Log, Metrics: env.Metrics,
		Publish: func(ctx context.Context, m bus.Message) error { return g.member.Publish(ctx, m) },
	})
	mux.Handle("/api/", g.api)
	mux.Handle("/grafana/", behind.Grafana())
	mux.Handle("/grafana", behind.Grafana())
	mux.Handle("/nodered/", behind.NodeRED())
	mux.Handle("/nodered", behind.NodeRED())
	return &http.Server{
		Handler:           headers(g.cert.Given(), g.door.Identify(usual.bounded(mux))),
		TLSConfig:         g.cert.TLS(),
		ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingTime, WriteByteTimeout: pingTime},
		ErrorLog: slog.NewLogLogger(env.Log.Handler(), slog.LevelDebug), // handshakes of scanners and of browsers that do not trust the CA
	}, nil
}

// serve answers until ctx ends; then it gives what is under way a moment.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
		defer cancel()
		if server.Shutdown(leave) != nil {
			_ = server.Close() // streams and sockets do not end by themselves
		}
	}()
	err := server.ServeTLS(boundedListener{listener, newCrowd(maxConns, maxConnsOfOne)}, "", "")
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// headers are what every answer has, whoever made it.
func headers(realCertificate bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=()")
		if realCertificate && realName(r.Host) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// realName reports whether a browser that is told to come back with TLS alone
// does no harm by that: on localhost and on addresses other ports would suffer.
func realName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	return net.ParseIP(name) == nil && name != "localhost" && !strings.HasSuffix(name, ".localhost") && strings.Contains(name, ".")
}

// consoleText says for the log whether there is a console.
func consoleText() string {
	if _, ok := console.Built(); ok {
		return "built in"
	}
	return "not built: run make console, and build the gateway again"
}

// consoleHandler serves the console, or says how it is built.
func consoleHandler(fsys fs.FS, built bool) (http.Handler, error) {
	missing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.Write(w, r, pages.NotFound()) })
	if built {
		return console.Handler(fsys, missing)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !console.Own(r.URL.Path) {
			missing.ServeHTTP(w, r)
			return
		}
		pages.Write(w, r, pages.NotBuilt())
	}), nil
}

// links says what else is behind the gateway for somebody.
func links(cfg *config) func(door.Who) map[string]string {
	return func(who door.Who) map[string]string {
		l := map[string]string{}
		if cfg.GrafanaURL != "" {
			l["grafana"] = "/grafana/"
		}
		if cfg.NodeRedURL != "" && who.Role.May(accounts.Operator) {
			l["dashboard"] = "/nodered/dashboard/power"
		}
		if cfg.NodeRedURL != "" && who.Role.May(accounts.Expert) {
			l["editor"] = "/nodered/"
		}
		return l
	}
}

// health is for those who ask whether the door is open; it says no more, since
// everybody may ask. With the time a page can tell how late what it hears is.
func health(g *gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Now", strconv.FormatInt(time.Now().UnixMilli(), 10))
		if b := g.live.Snapshot().Bus; !b.Connected || !b.Alive {
			_, _ = w.Write([]byte("ok, without the bus\n"))
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}
