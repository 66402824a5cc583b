package history

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		url, bucket, want string
	}{
		{"", "dcs", "want http://host:port"},
		{"127.0.0.1:8086", "dcs", "InfluxDB's address"},
		{"localhost:8086", "dcs", "want http://host:port"},
		{"tcp://127.0.0.1:8086", "dcs", "want http://host:port"},
		{"http://", "dcs", "want http://host:port"},
		{"http://u:secret@127.0.0.1:8086", "dcs", "a login goes into the token's file"},
		{"http://127.0.0.1:8086?db=x", "dcs", "nothing but scheme, host, port and path"},
		{"http://127.0.0.1:8086#x", "dcs", "nothing but scheme"},
		{"http://127.0.0.1:80 86", "dcs", "InfluxDB's address"},
		{"http://127.0.0.1:8086", "", "want a name, or database/policy"},
		{"http://127.0.0.1:8086", "/autogen", "want a name, or database/policy"},
	} {
		_, err := New(Config{URL: tt.url, Bucket: tt.bucket})
		require.ErrorContains(t, err, tt.want, tt.url)
		assert.NotContains(t, err.Error(), "secret")
	}
}

// scripted is an InfluxDB that answers as a test tells it to.
func scripted(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL, Bucket: "dcs", Timeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func all(t *testing.T, c *Client) ([]Status, error) {
	t.Helper()
	var got []Status
	err := c.Statuses(t.Context(), "hv", time.Unix(0, 1), time.Unix(0, 9), func(s Status) error {
		got = append(got, s)
		return nil
	})
	return got, err
}

const chunk1 = `{"results":[{"statement_id":0,"series":[{"name":"hv","tags":{"number":"0"},"columns":["time","seq","boot"],` +
	`"values":[[1795000000920528001,1,"7f3a9c"],[1795000001920528001,2,"7f3a9c"]],"partial":true}],"partial":true}]}` + "\n"

const chunk2 = `{"results":[{"statement_id":0,"series":[{"name":"hv","tags":{"number":"1"},"columns":["time","seq","boot"],` +
	`"values":[[1795000000920528001,null,"7f\u0033a\"9"],[-5,1.5e3,null]]}]}]}` + "\n"

func TestChunks(t *testing.T) {
	c := scripted(t, says(200, chunk1+chunk2))
	got, err := all(t, c)
	require.NoError(t, err)
	assert.Equal(t, []Status{
		{"0", 1795000000920528001, "7f3a9c", 1}, {"0", 1795000001920528001, "7f3a9c", 2},
		{"1", 1795000000920528001, `7f3a"9`, 0}, {"1", -5, "", 1500},
	}, got)
}

// An answer that is not whole must never look like an archive in which nothing
// more is.
func TestBrokenOff(t *testing.T) {
	whole := chunk1 + chunk2
	for cut := range len(whole) - 1 { // the last byte is a line feed
		_, err := all(t, scripted(t, says(200, whole[:cut])))
		require.ErrorIs(t, err, ErrNoAnswer, whole[:cut])
		require.ErrorContains(t, err, "broke off")
	}
	for name, answer := range map[string]http.HandlerFunc{
		"after a chunk, in HTTP": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(chunk2))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"less than promised": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(chunk2))
		},
	} {
		got, err := all(t, scripted(t, answer))
		require.ErrorIs(t, err, ErrNoAnswer, name)
		require.ErrorContains(t, err, "broke off", name)
		assert.Len(t, got, 2, name)
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		is     error
		want   []string
	}{
		"database, 1.8":      {200, `{"results":[{"statement_id":0,"error":"database not found: dcs"}]}`, ErrNoDatabase, []string{"dcs at http://127", "database not found: dcs", "DCS_INFLUX_BUCKET"}},
		"policy, 1.8":        {200, `{"results":[{"statement_id":0,"error":"retention policy not found: x"}]}`, ErrNoDatabase, []string{"retention policy not found: x"}},
		"database, 2.x":      {404, `{"code":"not found","message":"database not found"}`, ErrNoDatabase, []string{"404 Not Found: database not found"}},
		"error after rows":   {200, chunk1 + `{"results":[{"statement_id":0,"error":"query interrupted"}]}`, nil, []string{"could not answer: query interrupted"}},
		"error beside":       {200, `{"error":"timeout"}`, nil, []string{"could not answer: timeout"}},
		"bad question":       {400, `{"error":"error parsing query"}`, nil, []string{"refuses the question: 400 Bad Request: error parsing query"}},
		"login, 1.8":         {401, `{"error":"authorization failed"}`, ErrDenied, []string{"401 Unauthorized: authorization failed", "name a file with a token"}},
		"token, 2.x":         {401, `{"code":"unauthorized","message":"Unauthorized"}`, ErrDenied, []string{"401 Unauthorized: Unauthorized"}},
		"forbidden":          {403, ``, ErrDenied, []string{"403 Forbidden)"}},
		"another server":     {404, `<html>not here</html>`, nil, []string{"has no /query", "404 Not Found"}},
		"overloaded":         {503, `<html>`, ErrNoAnswer, []string{"503 Service Unavailable"}},
		"too many":           {429, ``, ErrNoAnswer, []string{"429 Too Many Requests"}},
		"a page":             {200, `<html>welcome</html>`, nil, []string{"is not InfluxDB's", "'<' where an object should begin"}},
		"a list":             {200, `[]`, nil, []string{"is not InfluxDB's"}},
		"behind it":          {200, chunk2 + `rubbish`, nil, []string{"is not InfluxDB's", "'r'"}},
		"something else":     {200, `{"hello":[1,{"a":null,"b":true}],"n":-1.5e3}`, ErrNoAnswer, []string{"broke off"}},
		"nothing":            {200, ``, ErrNoAnswer, []string{"broke off"}},
		"values first":       {200, `{"results":[{"series":[{"name":"hv","values":[[1,2]],"columns":["time","seq"]}]}]}`, nil, []string{"before the names"}},
		"short row":          {200, `{"results":[{"series":[{"columns":["time","seq"],"values":[[1]]}]}]}`, nil, []string{"']' in the place of ','"}},
		"long row":           {200, `{"results":[{"series":[{"columns":["time"],"values":[[1,2]]}]}]}`, nil, []string{"',' in the place of ']'"}},
		"no number":          {200, `{"results":[{"series":[{"columns":["time"],"values":[[1-2]]}]}]}`, nil, []string{`"1-2" where a value`}},
		"no value":           {200, `{"results":[{"series":[{"columns":["time"],"values":[[]]}]}]}`, nil, []string{`"" where a value`}},
		"no word":            {200, `{"results":[{"series":[{"columns":["time"],"values":[[nul1]]}]}]}`, nil, []string{`in the place of null`}},
		"bad escape":         {200, `{"results":[{"series":[{"name":"\x"}]}]}`, nil, []string{"cannot be read"}},
		"deep":               {200, `{"x":` + strings.Repeat("[", 100), nil, []string{"more than 32 deep"}},
		"a text without end": {200, `{"x":"` + strings.Repeat("x", 2<<20), nil, []string{"a text of more than"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := all(t, scripted(t, says(tt.status, tt.body)))
			require.Error(t, err)
			for _, kind := range []error{ErrNoAnswer, ErrDenied, ErrNoDatabase} {
				assert.Equal(t, errors.Is(tt.is, kind), errors.Is(err, kind), "%v is %v", err, kind)
			}
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func TestNothingIsNoError(t *testing.T) {
	got, err := all(t, scripted(t, says(200, `{"results":[{"statement_id":0}]}`)))
	require.NoError(t, err)
	assert.Empty(t, got)
}

func TestUnreachable(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	c, err := New(Config{URL: addr, Bucket: "dcs"})
	require.NoError(t, err)
	_, err = all(t, c)
	require.ErrorIs(t, err, ErrNoAnswer)
	assert.ErrorContains(t, err, "at "+addr+": ")
	assert.ErrorContains(t, err, "connection refused; does it run, and is the address right?")
	assert.NotContains(t, err.Error(), "SELECT", "a person need not see the question")
}

// InfluxDB may be silent at the beginning or in the middle.
func TestSilent(t *testing.T) {
	for _, first := range []string{"", chunk1} {
		c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(first))
			if first != "" {
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done() // until the client has had enough
		})
		c.cfg.Timeout = 50 * time.Millisecond
		_, err := all(t, c)
		require.ErrorIs(t, err, ErrNoAnswer)
		assert.ErrorContains(t, err, "silent for 50ms")
	}
}

func TestStopped(t *testing.T) {
	enough := errors.New("enough")
	c := scripted(t, says(200, chunk1+chunk2))
	n := 0
	err := c.Statuses(t.Context(), "hv", time.Unix(0, 1), time.Unix(0, 9), func(Status) error {
		n++
		return enough
	})
	assert.Equal(t, enough, err)
	assert.Equal(t, 1, n)
}

func TestLogins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	seen := make(chan string, 10)
	c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		says(401, "")(w, r)
	})
	c.cfg.TokenFile = file

	_, err := all(t, c)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte(" \n"), 0o600))
	_, err = all(t, c)
	require.ErrorContains(t, err, "is empty")
	assert.Empty(t, seen)

	for content, want := range map[string]string{
		"abc==\n":    "Token abc==",
		"user:p:w\n": "Basic dXNlcjpwOnc=",
	} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err = all(t, c)
		require.ErrorIs(t, err, ErrDenied)
		require.ErrorContains(t, err, "may the token in "+file+" read dcs?")
		assert.Equal(t, want, <-seen)
	}
}

// What is asked, for names that somebody chose to do harm.
func TestQuestions(t *testing.T) {
	var asked url.Values
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		assert.Equal(t, "/influx/query", r.URL.Path)
		says(200, `{"results":[{"statement_id":0}]}`)(w, r)
	}))
	t.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL + "/influx/", Org: "lab", Bucket: "dcs/one day"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	from, to := time.Unix(1795000000, 920528001), time.Unix(1795000001, 0)
	const evil = "h\"v\\'\n; DROP"
	for want, ask := range map[string]func() error{
		`SELECT "seq", "boot" FROM "h\"v\\'\n; DROP" WHERE time >= 1795000000920528001 AND time < 1795000001000000000 GROUP BY "number"`: func() error {
			return c.Statuses(t.Context(), evil, from, to, nil)
		},
		`SELECT "seq", "boot" FROM "h\"v\\'\n; DROP" WHERE "seq" > 0 AND time < 1795000000920528001 GROUP BY "number" ORDER BY time DESC LIMIT 1`: func() error {
			_, err := c.Before(t.Context(), evil, from)
			return err
		},
		`SELECT "seq", "boot" FROM "hv" WHERE "seq" > 0 AND time >= 1795000001000000000 GROUP BY "number" ORDER BY time ASC LIMIT 1`: func() error {
			_, err := c.After(t.Context(), "hv", to)
			return err
		},
		`SELECT * FROM "h\"v\\'\n; DROP" WHERE time < 1795000001000000000 ORDER BY time DESC LIMIT 1`: func() error {
			_, ok, err := c.Newest(t.Context(), evil, to)
			assert.False(t, ok)
			return err
		},
		`SELECT "topic", "reason", "boot", "seq" FROM "service" WHERE "record" = 'dead_letter' AND "device" = 'h"v\\\'\n; DROP' AND time >= 1795000000920528001 GROUP BY "service"`: func() error {
			return c.DeadLetters(t.Context(), evil, from, nil)
		},
		`SELECT "boot", "duplicates", "skew" FROM "service" WHERE "record" = 'ledger' AND "device" = 'h"v\\\'\n; DROP' AND time >= 1795000000920528001 AND time < 1795000001000000000 GROUP BY "service" ORDER BY time DESC LIMIT 1`: func() error {
			_, err := c.Ledgers(t.Context(), evil, from, to)
			return err
		},
		`SELECT "state", "boot", "seq" FROM "state" WHERE time >= 1795000000920528001 GROUP BY "device"`: func() error {
			return c.States(t.Context(), from, nil)
		},
	} {
		require.NoError(t, ask())
		assert.Equal(t, url.Values{
			"db": {"dcs"}, "rp": {"one day"}, "org": {"lab"}, "epoch": {"ns"}, "chunked": {"true"}, "chunk_size": {"10000"}, "q": {want},
		}, asked)
	}
}

func TestDevices(t *testing.T) {
	c := scripted(t, says(200, `{"results":[{"statement_id":0,"series":[{"name":"measurements","columns":["name"],"values":[["state"],["sensor_1"],["sensor"]]}],"partial":true}]}
{"results":[{"statement_id":0,"series":[{"name":"measurements","columns":["name"],"values":[["service"],["hv"],["run"],["alarm"],["ack"]]}]}]}`))
	got, err := c.Devices(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"hv", "sensor_1"}, got)
}

func TestRecords(t *testing.T) {
	rows := func(tag, value, columns, values string) http.HandlerFunc {
		return says(200, fmt.Sprintf(`{"results":[{"series":[{"name":"x","tags":{%q:%q},"columns":[%s],"values":[%s]}]}]}`, tag, value, columns, values))
	}
	c := scripted(t, rows("device", "hv", `"time","state","boot","seq"`, `[5,"ready","a",null],[6,"stopped","a",42]`))
	var states []State
	require.NoError(t, c.States(t.Context(), time.Unix(0, 0), func(s State) error {
		states = append(states, s)
		return nil
	}))
	assert.Equal(t, []State{{"hv", 5, "ready", "a", 0, ""}, {"hv", 6, "stopped", "a", 42, ""}}, states)

	c = scripted(t, rows("service", "loader", `"time","topic","reason","boot","seq"`, `[5,"/hv/status","not JSON",null,null],[6,"/hv/status","time","a",42]`))
	var letters []DeadLetter
	require.NoError(t, c.DeadLetters(t.Context(), "hv", time.Unix(0, 0), func(l DeadLetter) error {
		letters = append(letters, l)
		return nil
	}))
	assert.Equal(t, []DeadLetter{{"loader", 5, "/hv/status", "not JSON", "", 0}, {"loader", 6, "/hv/status", "time", "a", 42}}, letters)

	c = scripted(t, rows("service", "loader", `"time","boot","duplicates","skew"`, `[5,"a",3,-1.5]`))
	ledgers, err := c.Ledgers(t.Context(), "hv", time.Unix(0, 0), time.Unix(1, 0))
	require.NoError(t, err)
	assert.Equal(t, []Ledger{{"loader", 5, "a", 3, -1.5, true}}, ledgers)

	c = scripted(t, rows("x", "", `"time","vmon","word","yes"`, `[5,1.5,"a",true]`))
	at, ok, err := c.Newest(t.Context(), "hv", time.Unix(1, 0))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, time.Unix(0, 5).UTC(), at)
}

// A row costs no memory: an answer may have as many as it likes.
func TestRowsDoNotAllocate(t *testing.T) {
	answer := func(rows int) string {
		var b strings.Builder
		b.WriteString(`{"results":[{"series":[{"name":"hv","tags":{"number":"0"},"columns":["time","seq","boot"],"values":[`)
		for i := range rows {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `[%d,%d,"7f3a9c"]`, 1795000000920528000+i, i)
		}
		b.WriteString(`]}]}]}`)
		return b.String()
	}
	cost := func(rows int) float64 {
		s := answer(rows)
		r := bufio.NewReader(strings.NewReader(s))
		return testing.AllocsPerRun(10, func() {
			r.Reset(strings.NewReader(s))
			n := 0
			assert.NoError(t, decode(r, func(row Row) error {
				n += len(row.Values)
				return nil
			}))
			assert.Equal(t, 3*rows, n)
		})
	}
	assert.InDelta(t, cost(10), cost(1000), 3)
}
