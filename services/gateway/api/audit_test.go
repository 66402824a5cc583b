package api_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

func TestAudit(t *testing.T) {
	l := newLab(t)
	assert.JSONEq(t, `{"entries":[],"next":null}`, string(l.ask(accounts.Operator, "GET", "/api/v1/audit", "").body))
	l.audit.list = []auditlog.Entry{{Seq: 9, Time: now, Kind: auditlog.Command, User: "ann", Value: 1.5, Hash: "h", Prev: "p", Run: 3, Said: now}}
	l.audit.next = 9
	var got struct {
		Entries []auditlog.Entry
		Next    *int64
	}
	l.ask(accounts.Admin, "GET", "/api/v1/audit?before=10&limit=1000&device=hv&user=token:ann&kind=login", "").into(&got)
	assert.Equal(t, l.audit.list, got.Entries)
	assert.Equal(t, int64(9), *got.Next)
	open := []string{"command", "outcome", "silence", "ingest", "download", "proxy", "gap", "start"}
	assert.Equal(t, []auditlog.Filter{
		{Limit: 100, Kinds: open},
		{Before: 10, Limit: 1000, Device: "hv", User: "token:ann", Kind: "login"},
	}, l.audit.asked)
	l.ask(accounts.Expert, "GET", "/api/v1/audit?kind=outcome", "")
	assert.Equal(t, auditlog.Filter{Limit: 100, Kind: "outcome", Kinds: open}, l.audit.asked[2])
}

// Who comes from where is for admins.
func TestAuditOfLogins(t *testing.T) {
	for _, kind := range []string{"login", "denied", "logout", "account"} {
		for _, role := range []accounts.Role{accounts.Operator, accounts.Expert} {
			l := newLab(t)
			l.ask(role, "GET", "/api/v1/audit?kind="+kind, "").refused(403, "role", "the role admin, and yours is "+string(role))
			assert.Empty(t, l.audit.asked)
		}
	}
}

func TestAuditRefuses(t *testing.T) {
	for query, want := range map[string]string{
		"kind=logins": "there are command", "limit=0": "1 to 1000", "before=-1": "whole number", "until=1": "is none",
	} {
		newLab(t).ask(accounts.Admin, "GET", "/api/v1/audit?"+query, "").refused(400, "bad-request", want)
	}
	l := newLab(t)
	l.audit.err = errors.New("secret")
	a := l.ask(accounts.Admin, "GET", "/api/v1/audit", "")
	a.refused(503, "audit", "dcs audit-log verify")
	assert.NotContains(t, string(a.body), "secret")
}
