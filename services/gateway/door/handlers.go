package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/problem"
)

// turnTime is how long an attempt waits while other passwords are checked.
const turnTime = 5 * time.Second

// maxName is how long a name may be, in characters; what is not one of ours is
// audited up to as many bytes.
const maxName = 64

// What an attempt to log in comes to, in the metrics.
const (
	resultIn      = "in"
	resultWrong   = "wrong"
	resultLimited = "limited"
	resultBusy    = "busy"
)

// Login lets somebody in who knows a password. The session gets a new id, also
// when somebody was logged in with this browser.
func (d *Door) Login() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readTexts(w, r, "user", "password")
		if err == nil {
			err = errors.Join(short(body, "user", maxName), short(body, "password", accounts.MaxPassword))
		}
		if err != nil {
			bad(w, "", err)
			return
		}
		address := addressOf(r)
		denied := auditlog.Entry{User: cut(body["user"], maxName), Via: BySession, Address: address}
		u, ok := d.check(w, r, denied, body["user"], body["password"], func(w http.ResponseWriter) {
			unauthorized(w, "wrong-login", "The name or the password is wrong.")
		})
		if !ok {
			return
		}
		key, end, err := d.begin(w, r, u)
		if err != nil {
			d.failed(w, "beginning a session", err)
			return
		}
		d.logins.WithLabelValues(resultIn).Inc()
		who := Who{Name: u.Name, Role: u.Role, Via: BySession, Address: address}
		if v, ok := visitOf(r.Context()); ok && v.key != "" { // the session that this browser had has ended
			d.audit(r.Context(), auditlog.Entry{
				Kind: auditlog.Logout, User: v.who.Signed(), Role: string(v.who.Role), Verified: true, Via: BySession, Address: address, Message: "a login as " + u.Name + " in the same browser",
			})
		}
		d.audit(r.Context(), auditlog.Entry{Kind: auditlog.Login, User: u.Name, Role: string(u.Role), Verified: true, Via: BySession, Address: address})
		d.left(r.Context(), d.store.most(u.Name, key, maxSessions))
		d.writeMe(w, who, end)
	})
}

// check checks a name and a password within the limits; it has answered when
// not ok, with wrong if that is what they are.
func (d *Door) check(w http.ResponseWriter, r *http.Request, denied auditlog.Entry, name, password string, wrong func(http.ResponseWriter)) (u accounts.User, ok bool) {
	address := addressOf(r)
	if wait, first := d.limits.take(address, name); wait > 0 {
		d.logins.WithLabelValues(resultLimited).Inc()
		if first { // the log is no place for all that a machine can try
			denied.Message = "too many attempts; more are not written down until there is room again"
			d.deny(r.Context(), denied)
		}
		later(w, wait, "There were too many attempts with this name or from this address.")
		return u, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), turnTime)
	defer cancel()
	u, err := d.cfg.Accounts.Authenticate(ctx, name, password)
	switch {
	case errors.Is(err, accounts.ErrWrong):
		d.logins.WithLabelValues(resultWrong).Inc()
		denied.Message = err.Error()
		d.deny(r.Context(), denied)
		wrong(w)
		return u, false
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		d.logins.WithLabelValues(resultBusy).Inc()
		later(w, turnTime, "Too many passwords are being checked.")
		return u, false
	case err != nil:
		d.failed(w, "checking a password", err)
		return u, false
	}
	d.limits.worked(address, u.Name)
	return u, true
}

// begin begins a session with a new id; the one that the browser had is gone.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, u accounts.User) (key string, end time.Time, err error) {
	ctx, err := d.sessions.Load(r.Context(), "") // what Identify has loaded, if it has
	if err != nil {
		return "", end, err
	}
	if err := errors.Join(d.sessions.Clear(ctx), d.sessions.RenewToken(ctx)); err != nil {
		return "", end, err
	}
	d.sessions.Put(ctx, keyName, u.Name)
	d.sessions.Put(ctx, keyGeneration, u.Generation)
	id, end, err := d.sessions.Commit(ctx)
	if err != nil {
		return "", end, err
	}
	d.sessions.WriteSessionCookie(ctx, w, id, end)
	return keyOf(id), end, nil
}

// Logout ends a session, its streams and its sockets.
func (d *Door) Logout() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := visitOf(r.Context())
		if !ok || v.key == "" {
			unauthorized(w, "login", "There is no session to end.")
			return
		}
		ctx := context.WithoutCancel(r.Context()) // which ends here
		if err := d.sessions.Destroy(ctx); err != nil {
			d.failed(w, "ending a session", err)
			return
		}
		d.look()
		d.audit(ctx, auditlog.Entry{Kind: auditlog.Logout, User: v.who.Signed(), Role: string(v.who.Role), Verified: true, Via: BySession, Address: v.who.Address})
		d.sessions.WriteSessionCookie(ctx, w, "", time.Time{})
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
}

// Me says who asks, and what else they may open.
func (d *Door) Me() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := visitOf(r.Context())
		if !ok {
			notIn(w)
			return
		}
		d.writeMe(w, v.who, v.end)
	})
}

// me is Me in openapi.yaml.
type me struct {
	User    string            `json:"user"`
	Role    accounts.Role     `json:"role"`
	Via     string            `json:"via"`
	Expires time.Time         `json:"expires"`
	Idle    float64           `json:"idle"` // s
	Links   map[string]string `json:"links"`
}

func (d *Door) writeMe(w http.ResponseWriter, who Who, end time.Time) {
	m := me{User: who.Signed(), Role: who.Role, Via: who.Via, Expires: end.UTC(), Links: map[string]string{}}
	if who.Via == BySession {
		m.Idle = d.cfg.Idle.Seconds()
	}
	if d.cfg.Links != nil {
		if l := d.cfg.Links(who); l != nil {
			m.Links = l
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(m) // who has gone away learns nothing
}

// Password changes one's own password. All sessions of the user end, with the
// requests that are under way in them; the one who asked has a new one, with a
// new id.
func (d *Door) Password() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := From(r.Context())
		if !ok {
			notIn(w)
			return
		}
		if who.Via != BySession {
			problem.Write(w, problem.Problem{Status: http.StatusForbidden, Slug: "session", Detail: "A token has no password. Log in to change one's own."})
			return
		}
		body, err := readTexts(w, r, "old", "new")
		if err == nil {
			err = short(body, "old", accounts.MaxPassword)
		}
		if err != nil {
			bad(w, "", err)
			return
		}
		if err := accounts.CheckPassword(who.Name, body["new"]); err != nil {
			bad(w, "weak-password", err)
			return
		}
		if body["new"] == body["old"] {
			bad(w, "weak-password", errors.New("the new password is the old one: choose another"))
			return
		}
		entry := auditlog.Entry{User: who.Signed(), Role: string(who.Role), Verified: true, Via: who.Via, Address: who.Address, Op: "password"}
		_, ok = d.check(w, r, entry, who.Name, body["old"], func(w http.ResponseWriter) {
			problem.Write(w, problem.Problem{Status: http.StatusForbidden, Slug: "wrong-password", Detail: "The old password is wrong."})
		})
		if ok {
			d.changePassword(w, r, who, body["new"])
		}
	})
}

func (d *Door) changePassword(w http.ResponseWriter, r *http.Request, who Who, password string) {
	ctx := context.WithoutCancel(r.Context()) // the session of this request ends on the way
	limited, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	u, err := d.setPassword(limited, who.Name, password)
	if errors.Is(err, context.DeadlineExceeded) {
		later(w, turnTime, "Too many passwords are being checked or changed.")
		return
	}
	if err != nil {
		d.failed(w, "changing a password", err)
		return
	}
	d.audit(ctx, auditlog.Entry{
		Kind: auditlog.Account, User: who.Signed(), Role: string(who.Role), Verified: true, Via: who.Via, Address: who.Address, Message: "password changed",
	})
	if _, _, err := d.begin(w, r.WithContext(ctx), u); err != nil { // it is changed all the same
		d.cfg.Log.Error("beginning a session after a password was changed", "user", who.Name, "error", err)
	}
	d.look()
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// short reports a text that is too long.
func short(body map[string]string, key string, most int) error {
	if n := utf8.RuneCountInString(body[key]); n > most {
		return fmt.Errorf("%q has %d characters: %d are the most", key, n, most)
	}
	return nil
}

func bad(w http.ResponseWriter, slug string, err error) {
	problem.Write(w, problem.Problem{Status: http.StatusBadRequest, Slug: slug, Detail: err.Error()})
}

// later says when to try again.
func later(w http.ResponseWriter, wait time.Duration, detail string) {
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	problem.Write(w, problem.Problem{
		Status: http.StatusTooManyRequests, Slug: "too-many",
		Detail: fmt.Sprintf("%s Try again in %d s.", detail, seconds),
	})
}

func (d *Door) failed(w http.ResponseWriter, doing string, err error) {
	d.cfg.Log.Error(doing, "error", err)
	problem.Write(w, problem.Problem{Status: http.StatusInternalServerError, Detail: "The gateway has failed in " + doing + "; its log says more."})
}
