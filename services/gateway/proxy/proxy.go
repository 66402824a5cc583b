// Package proxy puts Grafana and Node-RED behind the gateway's login. Who may
// not see a part is kept from it here, WebSockets included; Grafana is told who
// asks in headers that nobody outside can set.
package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Where the parts are. Both know their prefix and nothing is rewritten.
const (
	GrafanaPrefix = "/grafana"
	NodeREDPrefix = "/nodered"
)

// What a part may take, where Config says nothing. Node-RED's dashboard holds a
// poll for 25 s before it answers.
const (
	dialTime    = 3 * time.Second
	answerTime  = time.Minute
	connections = 256
	sockets     = 1024
)

// Config is what a Proxy needs.
type Config struct {
	Grafana *url.URL      // scheme and host; nil: there is none
	NodeRED *url.URL      // likewise
	Answer  time.Duration // how long a part may take to begin its answer; 0: one minute
	Sockets int           // how many WebSockets may be open for each part; 0: 1024
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: nobody counts
}

// Proxy is both parts behind the door.
type Proxy struct {
	grafana, nodeRED *part
}

// New makes a proxy. Nothing is dialled until somebody asks.
func New(cfg Config) *Proxy {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Answer <= 0 {
		cfg.Answer = answerTime
	}
	if cfg.Sockets <= 0 {
		cfg.Sockets = sockets
	}
	m := newMetrics(cfg.Metrics)
	return &Proxy{
		grafana: newPart(cfg, m, &part{name: "Grafana", prefix: GrafanaPrefix, setting: "DCS_GRAFANA_URL", target: cfg.Grafana, may: mayGrafana, identify: identifyToGrafana}),
		nodeRED: newPart(cfg, m, &part{name: "Node-RED", prefix: NodeREDPrefix, setting: "DCS_NODERED_URL", target: cfg.NodeRED, may: mayNodeRED}),
	}
}

// Grafana serves /grafana and what is below it.
func (p *Proxy) Grafana() http.Handler { return p.grafana }

// NodeRED serves /nodered and what is below it.
func (p *Proxy) NodeRED() http.Handler { return p.nodeRED }

// part is one of the two.
type part struct {
	name    string // for people
	prefix  string
	setting string   // that names its address
	target  *url.URL // nil: there is none

	may      func(ask) verdict
	identify func(http.Header, ask) // tells it who asks; nil: it is not told

	reverse *httputil.ReverseProxy
	cross   *http.CrossOriginProtection
	open    chan struct{} // one element for each socket
	away    atomic.Bool
	log     *slog.Logger
	metrics *metrics
}

func newPart(cfg Config, m *metrics, p *part) *part {
	p.log = cfg.Log.With("part", p.name)
	p.metrics = m
	p.cross = http.NewCrossOriginProtection()
	p.open = make(chan struct{}, cfg.Sockets)
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		ModifyResponse: p.modify,
		ErrorHandler:   p.failed,
		FlushInterval:  -1, // streams
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		Transport: quiet{&http.Transport{ // without a proxy from the environment: the parts are near
			DialContext:           (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   dialTime,
			ResponseHeaderTimeout: cfg.Answer,
			ExpectContinueTimeout: time.Second,
			IdleConnTimeout:       90 * time.Second,
			MaxConnsPerHost:       connections, // sockets are counted by themselves
			MaxIdleConnsPerHost:   32,
			DisableCompression:    true, // what the browser and the part agree on is theirs
		}},
	}
	return p
}

// ServeHTTP lets through what may pass.
func (p *part) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &writer{ResponseWriter: w, ctx: r.Context(), sockets: p.metrics.sockets.WithLabelValues(p.prefix[1:])}
	defer func() { p.metrics.count(p.prefix[1:], out.status) }()
	a, ok := p.admit(out, r)
	if !ok {
		return
	}
	h := out.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if a.upgrade {
		select {
		case p.open <- struct{}{}:
			defer func() { <-p.open }()
		default:
			p.refuse(out, r, tooMany(p.name))
			return
		}
	}
	p.reverse.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), askKey{}, a)))
}

// rewrite makes the request that the part gets.
func (p *part) rewrite(pr *httputil.ProxyRequest) {
	a, _ := pr.In.Context().Value(askKey{}).(ask)
	pr.Out.URL = &url.URL{
		Scheme: p.target.Scheme, Host: p.target.Host,
		Path: pr.In.URL.Path, RawPath: pr.In.URL.RawPath, RawQuery: pr.Out.URL.RawQuery, ForceQuery: pr.In.URL.ForceQuery,
	}
	pr.Out.Host = pr.In.Host // Grafana Live compares it with the Origin
	pr.Out.Trailer = nil
	strip(pr.Out.Header)
	pr.SetXForwarded()
	if p.identify != nil {
		p.identify(pr.Out.Header, a)
	}
}

// failed answers when the part did not.
func (p *part) failed(w http.ResponseWriter, r *http.Request, err error) {
	if out, ok := w.(*writer); ok && out.hijacked {
		return // nobody is there to be told
	}
	if r.Context().Err() != nil {
		p.refuse(w, r, givenUp(p.name))
		return
	}
	if !p.away.Swap(true) {
		p.log.Warn("away", "error", err)
	}
	p.refuse(w, r, away(p.name))
}

// back notes that the part answers.
func (p *part) back() {
	if p.away.Swap(false) {
		p.log.Info("back")
	}
}

// below reports whether an escaped path is the prefix's or below it.
func below(escaped, prefix string) bool {
	return escaped == prefix || strings.HasPrefix(escaped, prefix+"/")
}
