package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
)

// auditLogOf is a folder with a log of five entries.
func auditLogOf(t *testing.T) (dir string, head auditlog.Head) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "audit")
	l, err := auditlog.Open(dir, auditlog.Options{})
	require.NoError(t, err)
	closest := 500.0
	at := func(s int) time.Time { return time.Date(2026, 11, 20, 12, 0, s, 0, time.UTC) }
	require.NoError(t, l.Append(t.Context(),
		auditlog.Entry{Time: at(1), Kind: auditlog.Login, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "10.0.0.9"},
		auditlog.Entry{Time: at(2), Kind: auditlog.Command, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "10.0.0.9", Device: "hv", Op: "setv", Channel: "0", Value: 600.0, ID: "gw-1"},
		auditlog.Entry{Time: at(3), Kind: auditlog.Outcome, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "10.0.0.9", Device: "hv", Op: "setv", Channel: "0", Value: 600.0, ID: "gw-1", Phase: "rejected", Code: "OUT_OF_RANGE", Closest: &closest, Message: "too\x1b[2Jmuch"},
		auditlog.Entry{Time: at(4), Kind: auditlog.Outcome, User: "bob", Via: "bus", Device: "lv", Op: "switch", Channel: "1", Value: "on", ID: "nr-1", Phase: "done", Code: "OK"},
		auditlog.Entry{Time: at(5), Kind: auditlog.Gap, Verified: true, Message: "something"},
	))
	head = l.Head()
	require.NoError(t, l.Close())
	return dir, head
}

func TestAuditLogVerify(t *testing.T) {
	dir, head := auditLogOf(t)
	file := filepath.Join(dir, "audit-000001.jsonl")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	verify := func(known ...string) (string, error) {
		con, out, _ := printed()
		err := (&auditLogVerifyCmd{auditLogFlags: auditLogFlags{Dir: dir}, Known: known}).run(t.Context(), con)
		return out.String(), err
	}
	out, err := verify()
	require.NoError(t, err)
	assert.Equal(t, "5 entries in 1 file, 2026-11-20T12:00:01Z to 2026-11-20T12:00:05Z\n"+
		"head "+head.String()+"\n"+
		"1 entry where the gateway itself says that something may be missing: dcs audit-log list --kind gap\n"+
		"The chain is whole. Whether its end was cut off, or all of it written anew, only a head tells that was written down: --head.\n", out)
	out, err = verify(head.String())
	require.NoError(t, err)
	assert.Contains(t, out, "The chain is whole, and what was written down is in it.\n")
	_, err = verify("5")
	assert.ErrorContains(t, err, `--head: head "5": want the number`)

	require.NoError(t, os.WriteFile(file, bytes.Replace(good, []byte("600"), []byte("100"), 1), 0o600))
	out, err = verify()
	assert.Equal(t, exitBroken, err)
	assert.Contains(t, out, "BROKEN  audit-000001.jsonl: line 2: the entry was changed")
	assert.NotContains(t, out, "whole")

	lines := bytes.SplitAfter(good, []byte("\n"))
	require.NoError(t, os.WriteFile(file, bytes.Join(lines[:3], nil), 0o600))
	_, err = verify()
	assert.NoError(t, err, "nobody can know")
	con, text, _ := printed()
	err = (&auditLogVerifyCmd{auditLogFlags: auditLogFlags{Dir: dir, JSON: true}, Known: []string{head.String()}}).run(t.Context(), con)
	assert.Equal(t, exitBroken, err)
	var r auditlog.Report
	require.NoError(t, json.Unmarshal([]byte(text.String()), &r))
	require.Len(t, r.Problems, 1)
	assert.Equal(t, "cut", r.Problems[0].Kind)
}

func TestAuditLogHead(t *testing.T) {
	dir, head := auditLogOf(t)
	con, out, _ := printed()
	require.NoError(t, (&auditLogHeadCmd{auditLogFlags{Dir: dir}}).run(t.Context(), con))
	assert.Equal(t, head.String()+"\n", out.String())
	con, out, _ = printed()
	require.NoError(t, (&auditLogHeadCmd{auditLogFlags{Dir: dir, Output: "json"}}).run(t.Context(), con))
	assert.Equal(t, `{"seq":5,"hash":"`+head.Hash+`","time":"2026-11-20T12:00:05Z"}`+"\n", out.String())
	assert.ErrorContains(t, (&auditLogHeadCmd{auditLogFlags{Dir: t.TempDir()}}).run(t.Context(), con), "has no entries")
	assert.ErrorContains(t, (&auditLogHeadCmd{auditLogFlags{Dir: "nowhere"}}).run(t.Context(), con), "there is no audit log in nowhere: name its folder with --dir")
}

func TestAuditLogList(t *testing.T) {
	dir, _ := auditLogOf(t)
	list := func(c auditLogListCmd) (string, error) {
		con, out, errs := printed()
		c.Dir = dir
		if c.Last == 0 {
			c.Last = 50
		}
		err := c.run(t.Context(), con)
		return out.String() + errs.String(), err
	}
	out, err := list(auditLogListCmd{})
	require.NoError(t, err)
	assert.Equal(t, strings.TrimPrefix(`
number  time                  kind     user   role      from              device  op      channel  value              phase     code          message
     1  2026-11-20T12:00:01Z  login    alice  operator  session 10.0.0.9
     2  2026-11-20T12:00:02Z  command  alice  operator  session 10.0.0.9  hv      setv    0        600
     3  2026-11-20T12:00:03Z  outcome  alice  operator  session 10.0.0.9  hv      setv    0        600 (closest 500)  rejected  OUT_OF_RANGE  too [2Jmuch
     4  2026-11-20T12:00:04Z  outcome  (bob)            bus               lv      switch  1        on                 done      OK
     5  2026-11-20T12:00:05Z  gap                                                                                                             something
`, "\n"), out)
	for _, tt := range []struct {
		cmd  auditLogListCmd
		want []string
	}{
		{auditLogListCmd{Last: 2}, []string{`"seq":4`, `"seq":5`}},
		{auditLogListCmd{Device: "hv"}, []string{`"seq":2`, `"seq":3`}},
		{auditLogListCmd{User: "bob"}, []string{`"seq":4`}},
		{auditLogListCmd{Kind: "outcome", Last: 1}, []string{`"seq":4`}},
		{auditLogListCmd{Kind: "denied"}, nil},
	} {
		tt.cmd.JSON = true
		out, err := list(tt.cmd)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if out == "" {
			lines = nil
		}
		require.Len(t, lines, len(tt.want), "%+v", tt.cmd)
		for i, want := range tt.want {
			assert.Contains(t, lines[i], want)
		}
	}
	out, err = list(auditLogListCmd{Kind: "denied"})
	require.NoError(t, err)
	assert.Equal(t, "dcs: no such entry\n", out)
	_, err = list(auditLogListCmd{Kind: "logins"})
	assert.ErrorContains(t, err, `--kind "logins": choose one of login, denied`)
	_, err = list(auditLogListCmd{Last: -1})
	assert.ErrorContains(t, err, "--last -1")
}

// TestAuditLogListShowsWhatIsThere: what others have sent cannot make an entry
// look like another one.
func TestAuditLogListShowsWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := auditlog.Open(dir, auditlog.Options{})
	require.NoError(t, err)
	const nasty = "a\u202eb\u200bc\u2066d\u0085e\u009bf\u2028g\U000e0041h\x1b[2J"
	require.NoError(t, l.Append(t.Context(), auditlog.Entry{
		Kind: auditlog.Outcome, User: nasty, Via: nasty, Address: nasty, Device: nasty, Op: nasty, Channel: nasty, Value: nasty, Phase: nasty, Code: nasty, Message: nasty, Role: nasty,
	}))
	require.NoError(t, l.Close())
	for _, asJSON := range []bool{false, true} {
		con, out, _ := printed()
		require.NoError(t, (&auditLogListCmd{auditLogFlags: auditLogFlags{Dir: dir, JSON: asJSON}, Last: 1}).run(t.Context(), con))
		text := strings.ReplaceAll(out.String(), "\n", "")
		assert.Equal(t, -1, strings.IndexFunc(text, unseen), "%q", text)
		if asJSON {
			var e auditlog.Entry
			require.NoError(t, json.Unmarshal([]byte(text), &e))
			assert.Equal(t, nasty, e.Message, "it is the same entry")
		} else {
			assert.Contains(t, text, "a b c d e f g h [2J")
		}
	}
}
