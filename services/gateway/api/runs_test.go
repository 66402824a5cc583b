package api_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/live"
)

func TestRuns(t *testing.T) {
	l := newLab(t)
	l.runs.found = []runs.Run{{Number: 7, UID: "u", State: "finished", Procedure: "p", Module: "M1", Asked: now, Outcome: "stored", Files: []runs.File{{Name: "a", Read: "raw"}}}}
	var got struct{ Runs []runs.Run }
	l.ask(accounts.Viewer, "GET", "/api/v1/runs?procedure=p&module=M1&state=finished&from=2026-11-20T00:00:00%2B01:00&to=-1h&before=9&limit=1000", "").into(&got)
	assert.Len(t, got.Runs, 1)
	assert.Equal(t, []runs.Filter{{
		Procedure: "p", Module: "M1", State: "finished", From: time.Date(2026, 11, 19, 23, 0, 0, 0, time.UTC), To: now.Add(-time.Hour), Before: 9, Limit: 1000,
	}}, l.runs.asked)
	l.runs.found = nil
	a := l.ask(accounts.Viewer, "GET", "/api/v1/runs", "")
	assert.JSONEq(t, `{"runs":[]}`, string(a.body))
	assert.Equal(t, runs.Filter{Limit: 50}, l.runs.asked[1])
	for query, want := range map[string]string{
		"limit=0": "1 to 1000", "limit=1001": "1 to 1000", "limit=x": "whole number", "before=0": "whole number", "from=yesterday": "2026-11-20T12:00:00Z",
		"number=1": `"number" is none: there are procedure`, "limit=1&limit=2": "stands twice", "a=%zz": "cannot be read", "module=" + long(300): "300 bytes", "a;b": "cannot be read",
	} {
		l.ask(accounts.Viewer, "GET", "/api/v1/runs?"+query, "").refused(400, "bad-request", want)
	}
}

func TestRun(t *testing.T) {
	l := newLab(t)
	l.runs.found = []runs.Run{{Number: 7, UID: "u", State: "finished", Procedure: "p", Results: map[string]any{"a": map[string]any{"b": 1.5}}}}
	var got runs.Run
	l.ask(accounts.Viewer, "GET", "/api/v1/runs/7", "").into(&got)
	assert.Equal(t, map[string]any{"a": map[string]any{"b": 1.5}}, got.Results)
	l.ask(accounts.Viewer, "GET", "/api/v1/runs/8", "").refused(404, "no-such-run", "Run 8")
	for _, bad := range []string{"0", "-1", "x", "1.5", "99999999999999999999", "7%2F8"} {
		l.ask(accounts.Viewer, "GET", "/api/v1/runs/"+bad, "").refused(400, "bad-request", "not the number of a run")
		l.ask(accounts.Viewer, "GET", "/api/v1/runs/"+bad+"/files", "").problem(400, "bad-request")
		l.ask(accounts.Viewer, "GET", "/api/v1/runs/"+bad+"/files/a", "").problem(400, "bad-request")
		l.ask(accounts.Operator, "POST", "/api/v1/runs/"+bad+"/abort", "").problem(400, "bad-request")
	}
	assert.Empty(t, l.live.sent)
	l.runs.found[0].Results["a"] = func() {} // what cannot be written is no half answer
	l.ask(accounts.Viewer, "GET", "/api/v1/runs/7", "").problem(500, "internal")
}

// The database of runs away, shut, or broken.
func TestRunsAway(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		slug   string
		want   string
	}{
		{runs.ErrNoAnswer, 503, "no-runs", "Look whether MongoDB runs"},
		{runs.ErrDenied, 502, "runs-denied", "DCS_MONGO_URI_FILE"},
		{runs.ErrDamaged, 502, "damaged", "damaged"},
		{errors.New("mongodb://u:secret@h"), 502, "runs", "could not answer"},
	} {
		for _, path := range []string{"/runs", "/runs/1", "/runs/1/files", "/runs/1/files/a", "/configurations"} {
			l := newLab(t)
			l.runs.found = []runs.Run{{Number: 1}}
			l.runs.files = []runs.File{{Name: "a"}}
			l.runs.open = func() io.ReadCloser { return nil }
			l.runs.err = fmt.Errorf("listing: %w", tt.err)
			a := l.ask(accounts.Viewer, "GET", api.Prefix+path, "")
			a.refused(tt.status, tt.slug, tt.want)
			assert.NotContains(t, string(a.body), "secret")
			assert.Contains(t, l.log.String(), "no runs")
		}
	}
}

func TestConfigurations(t *testing.T) {
	l := newLab(t)
	assert.JSONEq(t, `{"configurations":[]}`, string(l.ask(accounts.Viewer, "GET", "/api/v1/configurations", "").body))
	l.runs.names = []runs.NamedConfiguration{{Name: "hv-on", Time: now}}
	assert.Contains(t, string(l.ask(accounts.Viewer, "GET", "/api/v1/configurations", "").body), `"name":"hv-on"`)
}

func TestStartRun(t *testing.T) {
	l := newLab(t)
	a := l.ask(accounts.Expert, "POST", "/api/v1/runs", `{"procedure":"calibration","device":"ph2acf","parameters":{"module":"M12","vcal":200,"fast":true,"x":""},"configurations":{"run":"hv-on","end":"hv-off"}}`)
	require.Equal(t, 202, a.status, "%s", a.body)
	var out live.Outcome
	a.into(&out)
	assert.Equal(t, int64(42), out.Run)
	assert.Equal(t, []sent{{device: "run", audited: 1, run: wire.RunCommand{
		Op: "start", Procedure: "calibration", Device: "ph2acf", Parameters: wire.Parameters{"module": "M12", "vcal": 200.0, "fast": true, "x": ""},
		Configurations: map[string]wire.ConfigurationOrName{"run": {Name: "hv-on"}, "end": {Name: "hv-off"}},
		ID:             out.ID, User: "ann", Expires: now.Add(10 * time.Second),
	}}}, l.live.sent)
	assert.Equal(t, []auditlog.Entry{{
		Kind: "command", User: "ann", Role: "expert", Verified: true, Via: "session", Address: "192.0.2.1", Device: "run", Op: "start", Value: "calibration", ID: out.ID,
	}}, l.audit.entries)
}

func TestStartRunRefuses(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":1`, i)
	}
	for body, want := range map[string]string{
		`{}`:                                                               `"procedure" is missing`,
		`{"procedure":""}`:                                                 "0 bytes",
		`{"procedure":1}`:                                                  "not a string",
		`{"procedure":"p","device":"a/b"}`:                                 "cannot be a device's",
		`{"procedure":"p","device":"run"}`:                                 "reserved",
		`{"procedure":"p","parameters":[]}`:                                "not an object",
		`{"procedure":"p","parameters":{"a":null}}`:                        `"a" is neither`,
		`{"procedure":"p","parameters":{"a":[1]}}`:                         `"a" is neither`,
		`{"procedure":"p","parameters":{"a":1,"a":2}}`:                     "stands twice",
		`{"procedure":"p","parameters":{"a":1e999}}`:                       "too large",
		`{"procedure":"p","parameters":{"a":"` + long(4097):                "too early",
		`{"procedure":"p","parameters":{"a":"` + long(4097) + `"}}`:        "4097 bytes",
		`{"procedure":"p","parameters":{` + strings.Join(many, ",") + `}}`: "more than 100",
		`{"procedure":"p","configurations":{"run":{"setpoints":[]}}}`:      "not a string",
		`{"procedure":"p","configurations":"hv-on"}`:                       "not an object",
		`{"procedure":"p","configuration":"hv-on"}`:                        "unknown key",
		`{"procedure":"p","dry":1}`:                                        "neither true nor false",
		`{"procedure":"p","parameters":{"a":"` + strings.Repeat(`<`, 4096) + `","b":"` + strings.Repeat(`<`, 4096) + `","c":"` + strings.Repeat(`<`, 4096) + `"}}`: "too long for the bus",
	} {
		l := newLab(t)
		l.ask(accounts.Expert, "POST", "/api/v1/runs", body).refused(400, "bad-request", want)
		assert.Empty(t, l.live.sent)
	}
}

func TestAbortRun(t *testing.T) {
	l := newLab(t)
	l.audit.refuse = errors.New("the disk is full") // it is sent all the same
	assert.Equal(t, 202, l.ask(accounts.Operator, "POST", "/api/v1/runs/42/abort", `{"reason":"wrong module"}`).status)
	c := l.live.sent[0].run
	assert.Equal(t, wire.RunCommand{Op: "abort", Run: 42, Reason: "wrong module", ID: c.ID, User: "ann", Expires: now.Add(10 * time.Second)}, c)
	assert.Contains(t, l.log.String(), "SENT WITHOUT THE AUDIT LOG")
	assert.Equal(t, 202, l.ask(accounts.Operator, "POST", "/api/v1/runs/42/abort", "").status)
	assert.Equal(t, 202, l.ask(accounts.Operator, "POST", "/api/v1/runs/42/abort", `{}`).status)
	l.ask(accounts.Operator, "POST", "/api/v1/runs/42/abort", `{"run":43}`).refused(400, "bad-request", "unknown key")

	l = newLab(t)
	l.audit.refuse = errors.New("the disk is full")
	l.ask(accounts.Expert, "POST", "/api/v1/runs", `{"procedure":"p"}`).problem(503, "audit")
	assert.Empty(t, l.live.sent)
}

func TestRunOutcomes(t *testing.T) {
	l := newLab(t)
	l.live.doRun = func(c wire.RunCommand) (live.Outcome, error) {
		return live.Outcome{Phase: "rejected", Code: "BUSY", Message: "run 41 is under way", Run: 41}, nil
	}
	p := l.ask(accounts.Expert, "POST", "/api/v1/runs", `{"procedure":"p"}`).refused(409, "busy", "run 41 is under way")
	assert.Equal(t, "BUSY", p["code"])
	l.live.doRun = func(c wire.RunCommand) (live.Outcome, error) { return live.Outcome{Phase: "unanswered"}, nil }
	l.ask(accounts.Expert, "POST", "/api/v1/runs/1/abort", "").refused(504, "unanswered", "Run control has not answered")
	require.Len(t, l.audit.of(auditlog.Silence), 1)
	assert.Equal(t, int64(1), l.audit.of(auditlog.Silence)[0].Run)
}

// breaks gives some bytes and then an error.
type breaks struct {
	io.Reader
	err error
}

func (b breaks) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func TestFile(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 10_000)
	for name, tt := range map[string]struct{ kind, saved, content string }{
		"a/scurves.csv":   {"text/csv; charset=utf-8", "run7-scurves.csv", "a,b\n1,2\n"},
		"summary.JSON":    {"application/json", "run7-summary.JSON", "{}"},
		"log.txt":         {"text/plain; charset=utf-8", "run7-log.txt", big},
		"x.log":           {"text/plain; charset=utf-8", "run7-x.log", ""},
		"page.html":       {"application/octet-stream", "run7-page.html", "<script>"},
		"plot.svg":        {"application/octet-stream", "run7-plot.svg", "<svg>"},
		"a b\"ü\r;.root.": {"application/octet-stream", "run7-a_b____.root.", big[:128<<10]},
		"<b>.csv":         {"text/csv; charset=utf-8", "run7-_b_.csv", big[:64<<10]},
	} {
		l := newLab(t)
		l.runs.files = []runs.File{{Name: name, Size: int64(len(tt.content))}}
		l.runs.open = func() io.ReadCloser { return io.NopCloser(strings.NewReader(tt.content)) }
		escaped := strings.NewReplacer(" ", "%20", `"`, "%22", "ü", "%C3%BC", "\r", "%0D", "<", "%3C", ">", "%3E").Replace(name)
		a := l.ask(accounts.Viewer, "GET", "/api/v1/runs/7/files/"+escaped, "")
		if strings.Contains(name, "\r") {
			a.problem(404, "no-such-file")
			continue
		}
		require.Equal(t, 200, a.status, "%s: %s", name, a.body)
		assert.Equal(t, tt.content, string(a.body), name)
		assert.Equal(t, tt.kind, a.header.Get("Content-Type"), name)
		assert.Equal(t, "attachment; filename="+tt.saved, a.header.Get("Content-Disposition"), name)
		assert.Equal(t, "sandbox; default-src 'none'", a.header.Get("Content-Security-Policy"), name)
		assert.Equal(t, fmt.Sprint(len(tt.content)), a.header.Get("Content-Length"), name)
		assert.Equal(t, []auditlog.Entry{{
			Kind: "download", User: "ann", Role: "viewer", Verified: true, Via: "session", Address: "192.0.2.1", Run: 7, Message: name,
		}}, l.audit.entries)
	}
}

func TestFileNames(t *testing.T) {
	l := newLab(t)
	l.runs.open = func() io.ReadCloser { panic("not to be opened") }
	for _, name := range []string{"%2e%2e/8/a", "a%2F..%2Fb", "..%2F..%2Fetc", `a%5Cb`, "..", "a..b", "", "%00", "a%0Ab", "%2Fetc", long(1025), "missing"} {
		a := l.ask(accounts.Viewer, "GET", "/api/v1/runs/7/files/"+name, "")
		assert.Equal(t, 404, a.status, name)
	}
	assert.Empty(t, l.audit.entries)
	l.runs.files = []runs.File{{Name: "a"}}
	l.runs.open = func() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }
	l.ask(accounts.Viewer, "HEAD", "/api/v1/runs/7/files/a", "")
	assert.Empty(t, l.audit.entries, "nothing was fetched")
}

// A file that turns out to be damaged at its end is never taken for a whole one,
// short or long.
func TestDamagedFile(t *testing.T) {
	for _, size := range []int{0, 10, 64 << 10, 200 << 10} {
		l := newLab(t)
		l.runs.files = []runs.File{{Name: "a.csv", Size: int64(size)}}
		l.runs.open = func() io.ReadCloser {
			return io.NopCloser(breaks{strings.NewReader(long(size)), runs.ErrDamaged})
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Role", "viewer")
			l.handler.ServeHTTP(w, r)
		}))
		res, err := http.Get(server.URL + "/api/v1/runs/1/files/a.csv")
		if err == nil {
			var got []byte
			got, err = io.ReadAll(res.Body)
			res.Body.Close()
			assert.Less(t, len(got), max(size, 1))
		}
		require.Error(t, err, "%d bytes", size)
		server.Close()
		assert.Contains(t, l.log.String(), "a download has broken off")
	}
}

func TestFiles(t *testing.T) {
	l := newLab(t)
	l.ask(accounts.Viewer, "GET", "/api/v1/runs/7/files", "").refused(404, "no-such-run", "Run 7")
	l.runs.found = []runs.Run{{Number: 7}}
	assert.JSONEq(t, `{"files":[]}`, string(l.ask(accounts.Viewer, "GET", "/api/v1/runs/7/files", "").body))
	l.runs.files = []runs.File{{ID: "7/a", Name: "a", Size: 1, SHA256: "s", Read: "raw"}}
	assert.JSONEq(t, `{"files":[{"id":"7/a","name":"a","size":1,"sha256":"s","read":"raw"}]}`, string(l.ask(accounts.Viewer, "GET", "/api/v1/runs/7/files", "").body))
}
