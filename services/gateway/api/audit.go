package api

import (
	"net/http"
	"slices"
	"strings"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/wire"
)

// What of the audit log everybody who may read it sees, and what is for admins:
// who comes from where and tries what.
var (
	openKinds = []string{auditlog.Command, auditlog.Outcome, auditlog.Silence, auditlog.Ingest, auditlog.Download, auditlog.Proxy, auditlog.Gap, auditlog.Start}
	shutKinds = []string{auditlog.Login, auditlog.Denied, auditlog.Logout, auditlog.Account}
)

const (
	maxEntries     = 1000
	defaultEntries = 100
)

func (s *server) audit(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	q := readQuery(r, "before limit device user kind")
	f := auditlog.Filter{
		Before: q.number("before", 1, 1<<62, 0), Limit: int(q.number("limit", 1, maxEntries, defaultEntries)),
		Device: q.text("device"), User: q.text("user"), Kind: q.text("kind"),
	}
	shut := slices.Contains(shutKinds, f.Kind)
	if f.Kind != "" && !shut && !slices.Contains(openKinds, f.Kind) {
		q.fail(`"kind" is %q: there are %s`, wire.Echo(f.Kind), strings.Join(slices.Concat(openKinds, shutKinds), ", "))
	}
	if q.err != nil {
		return q.err
	}
	if !who.Role.May(accounts.Admin) {
		if shut {
			return refuse(http.StatusForbidden, "role", "Entries of the kind %s need the role admin, and yours is %s.", f.Kind, who.Role)
		}
		f.Kinds = openKinds
	}
	entries, next, err := s.cfg.Audit.List(r.Context(), f)
	if err != nil {
		s.cfg.Log.ErrorContext(r.Context(), "the audit log cannot be read", "error", err)
		return refuse(http.StatusServiceUnavailable, "audit", "The audit log cannot be read; the gateway's log says why, and dcs audit-log verify what is wrong with it.")
	}
	answer := struct {
		Entries []auditlog.Entry `json:"entries"`
		Next    *int64           `json:"next"`
	}{Entries: entries}
	if entries == nil {
		answer.Entries = []auditlog.Entry{}
	}
	if next > 0 {
		answer.Next = &next
	}
	return writeJSON(w, http.StatusOK, answer)
}
