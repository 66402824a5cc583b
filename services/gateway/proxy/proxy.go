// Package proxy puts Grafana and Node-RED behind the gateway's login. Who may
// not see a part is kept from it here, WebSockets included; Grafana is told who
// asks in headers that nobody outside can set.
//
// Both stand on the console's origin, and what a browser runs of theirs may act
// in the name of whoever looks at it. For Grafana that is its own code. In
// Node-RED an expert writes pages: the flow's own (http in) are answered with a
// Content-Security-Policy that puts them into a sandbox, without scripts and
// without this origin, but what a flow puts into a dashboard (a template's
// script, an http in below the dashboard's address) is the dashboard's. An
// expert can by that act as an operator or an admin who opens the dashboard:
// give that role to those who are trusted so far. Another origin for Node-RED,
// which means another name or port, would be needed to undo that.
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

	"trackerdcs/pkg/auditlog"
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

// What one person may take of a part. A page of Grafana's asks for a hundred
// files at once: those that are too many wait.
const (
	requestsEach = 32
	socketsEach  = 50
	queueTime    = 10 * time.Second
	unreadTime   = 30 * time.Second
)

// Config is what a Proxy needs.
type Config struct {
	Grafana *url.URL // scheme and host; nil: there is none
	NodeRED *url.URL // likewise

	// NodeREDSecret is shown to Node-RED with each request, which by it knows the
	// gateway from others who reach its port; empty: nothing is shown. It has to
	// be fit for a header.
	NodeREDSecret string

	Answer  time.Duration // how long a part may take to begin its answer; 0: one minute
	Sockets int           // how many WebSockets may be open for each part; 0: 1024

	RequestsEach int           // how many requests of one person may be under way to each part, others wait; 0: 32
	SocketsEach  int           // how many WebSockets to each part one person may have; 0: 50
	Queue        time.Duration // how long a request waits for its person's others; 0: 10 s
	Unread       time.Duration // how long a browser may read nothing of an answer; 0: 30 s

	// Audit is told what changes something behind the gateway, before it does,
	// and who was refused; nil: nobody is. It is not waited for longer than 300 ms.
	Audit func(context.Context, auditlog.Entry) error

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: nobody counts
}

// Proxy is both parts behind the door.
type Proxy struct {
	grafana, nodeRED *part
	notes            *notes
}

// New makes a proxy. Nothing is dialled until somebody asks.
func New(cfg Config) *Proxy {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Answer = orElse(cfg.Answer, answerTime)
	cfg.Sockets = orElse(cfg.Sockets, sockets)
	cfg.RequestsEach = orElse(cfg.RequestsEach, requestsEach)
	cfg.SocketsEach = orElse(cfg.SocketsEach, socketsEach)
	cfg.Queue = orElse(cfg.Queue, queueTime)
	cfg.Unread = orElse(cfg.Unread, unreadTime)
	m, n := newMetrics(cfg.Metrics), newNotes(cfg)
	return &Proxy{
		grafana: newPart(cfg, m, n, &part{name: "Grafana", prefix: GrafanaPrefix, setting: "DCS_GRAFANA_URL", target: cfg.Grafana, may: mayGrafana, does: doesInGrafana, identify: identifyToGrafana}),
		nodeRED: newPart(cfg, m, n, &part{name: "Node-RED", prefix: NodeREDPrefix, setting: "DCS_NODERED_URL", target: cfg.NodeRED, may: mayNodeRED, does: doesInNodeRED, page: pageOfNodeRED, identify: identifyToNodeRED(cfg.NodeREDSecret)}),
		notes:   n,
	}
}

func orElse[T int | time.Duration](value, other T) T {
	if value <= 0 {
		return other
	}
	return value
}

// Close puts into the audit log what was only counted so far. It comes after
// the last request.
func (p *Proxy) Close() { p.notes.close() }

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
	does     func(ask) (class, bool)   // what it does, if that is noted
	page     func(*http.Response) bool // whether an answer is for a page of the part's own; nil: each is
	identify func(http.Header, ask)    // tells it who asks, and that it is the gateway; nil: it is not told

	reverse *httputil.ReverseProxy
	cross   *http.CrossOriginProtection
	open    chan struct{} // one element for each socket

	requestsEach, socketsEach *shares
	queue, unread             time.Duration

	notes   *notes
	away    atomic.Bool
	log     *slog.Logger
	metrics *metrics
}

func newPart(cfg Config, m *metrics, n *notes, p *part) *part {
	p.log = cfg.Log.With("part", p.name)
	p.metrics, p.notes = m, n
	p.requestsEach, p.socketsEach = newShares(cfg.RequestsEach), newShares(cfg.SocketsEach)
	p.queue, p.unread = cfg.Queue, cfg.Unread
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
	leave, v := p.enter(r.Context(), a)
	if leave == nil {
		p.refuse(out, r, v)
		return
	}
	defer leave()
	if c, noted := p.does(a); noted {
		op := a.method
		if c == opened {
			op = "socket"
		}
		p.notes.add(r.Context(), c, p.doer(a), op, a.path, "")
	}
	out.bound(p.unread)
	defer out.unbound()
	p.reverse.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), askKey{}, a)))
}

func (p *part) doer(a ask) doer { return doer{part: p.prefix[1:], who: a.who} }

// enter finds room for what somebody asks, and gives what ends it; nil when
// there is none.
func (p *part) enter(ctx context.Context, a ask) (leave func(), v verdict) {
	if !a.upgrade {
		if leave = p.requestsEach.take(ctx, a.who.Signed(), p.queue); leave == nil {
			return nil, tooManyRequests(p.name)
		}
		return leave, verdict{}
	}
	own := p.socketsEach.take(ctx, a.who.Signed(), 0)
	if own == nil {
		return nil, tooManyOfOne(p.name)
	}
	select {
	case p.open <- struct{}{}:
		return func() { <-p.open; own() }, verdict{}
	default:
		own()
		return nil, tooMany(p.name)
	}
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
