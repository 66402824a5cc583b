package door

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/problem"
)

// CookieName is the session's cookie. The browser takes one with this prefix
// over TLS only, for this host alone, and no other host can set it.
const CookieName = "__Host-dcs"

// What is kept in a session.
const (
	keyName       = "user"
	keyGeneration = "generation"
)

// visit is one request of somebody who is known.
type visit struct {
	who        Who
	key        string // of the session, empty for a token
	generation string // of the session's user
	secret     string // of the token
	end        time.Time
	cancel     context.CancelCauseFunc
}

type visitKey struct{}

func visitOf(ctx context.Context) (*visit, bool) {
	v, ok := ctx.Value(visitKey{}).(*visit)
	return v, ok
}

// Identify finds out who asks, from the session's cookie or from a token, and
// lets everybody on: From tells who it was. A token that is wrong is answered
// 401, and what another site makes a browser do 403. Every request is a use of
// its session, and one that lasts is use for as long as it does: a page on the
// wall of a control room stays there until the session's absolute end. When the
// session or the token ends meanwhile, by a logout, its time, or a change of the
// user, the request's context ends with ErrSessionEnded within a second.
//
// The response writer is passed on as it is, so that streams and WebSockets
// work.
func (d *Door) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v *visit
		var ok bool
		if len(r.Header.Values("Authorization")) > 0 {
			v, ok = d.byToken(w, r)
		} else if ok = d.own(w, r); ok {
			v, r, ok = d.bySession(w, r)
		}
		if !ok {
			return
		}
		if v == nil {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancelCause(With(r.Context(), v.who))
		defer cancel(nil)
		v.cancel = cancel
		d.enter(v)
		defer d.leave(v)
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, visitKey{}, v)))
	})
}

// byToken finds the token of a request; it has answered when not ok.
func (d *Door) byToken(w http.ResponseWriter, r *http.Request) (v *visit, ok bool) {
	headers := r.Header.Values("Authorization")
	scheme, secret, _ := strings.Cut(headers[0], " ")
	if len(headers) != 1 || !strings.EqualFold(scheme, "Bearer") {
		d.badToken(w, r, "", "a request with an Authorization that is no token", "Send a token as `Authorization: Bearer …`, or log in and send the session's cookie alone.")
		return nil, false
	}
	secret = strings.TrimSpace(secret)
	t, err := d.cfg.Accounts.Token(secret)
	switch {
	case errors.Is(err, accounts.ErrTokenEnded):
		d.badToken(w, r, t.Name, "the token has ended", "The token "+t.Name+" has ended: make a new one with dcs token add.")
		return nil, false
	case err != nil:
		d.badToken(w, r, "", "a token that is not known", "The token is not known: dcs token list shows those that there are.")
		return nil, false
	}
	return &visit{who: Who{Name: t.Name, Role: t.Role, Via: ByToken, Address: addressOf(r)}, secret: secret, end: t.End}, true
}

// badToken refuses a token, and notes that. Name is that of one that has ended.
func (d *Door) badToken(w http.ResponseWriter, r *http.Request, name, why, detail string) {
	e := auditlog.Entry{Via: ByToken, Address: addressOf(r), Message: why}
	if name != "" {
		e.User, e.Verified = Who{Name: name, Via: ByToken}.Signed(), true
	}
	d.deny(r.Context(), e)
	if wait := d.limits.takeToken(e.Address); wait > 0 {
		later(w, wait, "There were too many attempts with wrong tokens from this address. "+detail)
		return
	}
	unauthorized(w, "bad-token", detail)
}

// bySession finds the session of a request, nil when there is none; it has
// answered when not ok.
func (d *Door) bySession(w http.ResponseWriter, r *http.Request) (v *visit, with *http.Request, ok bool) {
	id := ""
	if c, err := r.Cookie(CookieName); err == nil {
		id = c.Value
	}
	ctx, err := d.sessions.Load(r.Context(), id)
	if err != nil {
		d.cfg.Log.Error("reading a session", "error", err)
		problem.Write(w, problem.Problem{Status: http.StatusInternalServerError, Detail: "The session cannot be read. Log in again; the gateway's log says more."})
		return nil, r, false
	}
	r = r.WithContext(ctx)
	name := d.sessions.GetString(ctx, keyName)
	if name == "" {
		return nil, r, true
	}
	v = &visit{key: keyOf(id), generation: d.sessions.GetString(ctx, keyGeneration), end: d.sessions.Deadline(ctx)}
	u, known := d.cfg.Accounts.User(name)
	if !known || u.Generation != v.generation {
		return nil, r, true
	}
	v.who = Who{Name: u.Name, Role: u.Role, Via: BySession, Address: addressOf(r)}
	d.store.touch(v.key, time.Now())
	return v, r, true
}

// own refuses what another site makes a browser do. A browser sends the cookie
// along with that; SameSite alone lets sites of the same domain through.
func (d *Door) own(w http.ResponseWriter, r *http.Request) bool {
	err := d.foreign.Check(r)
	if err == nil && r.Header.Get("Upgrade") != "" && !sameOrigin(r) { // Check lets every GET through
		err = errors.New("upgrade from another origin")
	}
	if err == nil {
		return true
	}
	d.complain.Do(func() { // anybody can cause it
		d.cfg.Log.Warn("refused what another site asks for; of many, only some are said",
			"method", cut(r.Method, 16), "path", cut(r.URL.Path, 128), "origin", cut(r.Header.Get("Origin"), 128), "address", addressOf(r))
	})
	problem.Write(w, problem.Problem{
		Status: http.StatusForbidden, Slug: "cross-origin",
		Detail: "Another web site has made the browser ask for this. Open the console at the gateway's own address.",
	})
	return false
}

// sameOrigin reports whether a browser says that a page of this host asks; what
// says nothing is no browser.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host) && (u.Scheme == "https" || u.Scheme == "http" && r.TLS == nil)
}

// Require lets those on who may do what role may. Others are told to log in
// (401), or that they may not (403); the latter is audited, up to a limit, unless
// nothing would have been changed.
func (d *Door) Require(role accounts.Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := From(r.Context())
		if !ok {
			notIn(w)
			return
		}
		if !who.Role.May(role) {
			if !safe(r.Method) {
				d.deny(r.Context(), auditlog.Entry{
					User: who.Signed(), Role: string(who.Role), Verified: true, Via: who.Via, Address: who.Address,
					Message: cut(r.Method+" "+r.URL.Path, 128) + " needs the role " + string(role),
				})
			}
			problem.Write(w, problem.Problem{
				Status: http.StatusForbidden, Slug: "role",
				Detail: "This needs the role " + string(role) + "; " + who.Name + " is " + string(who.Role) + ". An administrator can change that with dcs user role.",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func notIn(w http.ResponseWriter) {
	unauthorized(w, "login", "Nobody is logged in, or the session has ended: log in, or send a token as `Authorization: Bearer …`.")
}

func unauthorized(w http.ResponseWriter, slug, detail string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="trackerdcs"`) // RFC 9110, 15.5.2: browsers do not ask on it
	problem.Write(w, problem.Problem{Status: http.StatusUnauthorized, Slug: slug, Detail: detail})
}

func (d *Door) enter(v *visit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visits[v] = struct{}{}
}

func (d *Door) leave(v *visit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.visits, v)
}

// look ends the requests whose session or token has ended. What lasts is a use
// of its session.
func (d *Door) look() {
	now := time.Now()
	d.mu.Lock()
	visits := make([]*visit, 0, len(d.visits))
	for v := range d.visits {
		visits = append(visits, v)
	}
	d.mu.Unlock()
	type of struct{ key, generation, secret string }
	known := map[of]bool{} // a browser has many requests under way
	for _, v := range visits {
		o := of{v.key, v.generation, v.secret}
		stands, seen := known[o]
		if !seen {
			stands = d.stands(v, now)
			known[o] = stands
		}
		if !stands {
			v.cancel(ErrSessionEnded)
		}
	}
}

// stands reports whether a visit's session or token has not ended, and notes
// that the session is used.
func (d *Door) stands(v *visit, now time.Time) bool {
	if v.key == "" {
		_, err := d.cfg.Accounts.Token(v.secret)
		return err == nil
	}
	u, ok := d.cfg.Accounts.User(v.who.Name)
	if !ok || u.Generation != v.generation || !d.store.stands(v.key, now) {
		return false
	}
	d.store.touch(v.key, now)
	return true
}

// addressOf is from where a request comes. Headers that say so are not looked
// at: anybody can send them.
func addressOf(r *http.Request) string {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr().Unmap().WithZone("").String()
	}
	return r.RemoteAddr
}

// cut shortens what somebody has sent to at most n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
