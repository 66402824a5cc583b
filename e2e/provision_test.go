//go:build e2e && linux

package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// estate is databases that ask for logins, and what provisions them.
type estate struct {
	*stack
	mongo   *part
	tokens  string
	address string // of InfluxDB, without a login
	env     []string
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{stack: newStack(t)}
	e.tokens, e.address = filepath.Join(e.dir, "tokens"), e.archive.url
	e.influx.env = append(e.influx.env, "INFLUXDB_HTTP_AUTH_ENABLED=true")
	e.influx.ready = func() bool {
		res, err := http.Get(e.address + "/ping")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusNoContent
	}
	mongo := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	e.mongo = newPart(t, "ferretdb", filepath.Join(e.dir, "ferretdb.log"),
		[]string{"FERRETDB_LISTEN=" + mongo, "FERRETDB_DIR=" + filepath.Join(e.dir, "ferretdb")}, filepath.Join(root(t), "bin", "ferretdb"))
	e.mongo.ready = listens(mongo)

	uri := func(user string) string {
		return e.secret("mongo_uri_"+user, "mongodb://"+user+":pw@"+mongo+"/?authSource=admin&authMechanism=PLAIN")
	}
	e.env = []string{
		"DCS_INFLUX_URL=" + e.address, "DCS_INFLUX_ADMIN_PASSWORD_FILE=" + e.secret("influx_password", "of the administrator"),
		"DCS_TOKENS_DIR=" + e.tokens, "DCS_MONGO_ADMIN_URI_FILE=" + uri("dcs"),
		"DCS_MONGO_URI_FILES=" + strings.Join([]string{uri("gateway"), uri("runcontrol"), uri("calibration"), uri("backup")}, ","),
	}
	return e
}

// secret is a file as dcs init makes them.
func (e *estate) secret(name, content string) string {
	e.t.Helper()
	file := filepath.Join(e.dir, name)
	require.NoError(e.t, os.WriteFile(file, []byte(content+"\n"), 0o444))
	return file
}

// provision runs it to its end, and returns what it says and its exit code.
func (e *estate) provision(args ...string) (string, int) {
	e.t.Helper()
	p := e.provisions(args...)
	p.launch()
	within(e.t, 3*patience, "dcs provision ends", func() bool { return p.pid() == 0 })
	return p.said(1 << 20), p.code()
}

// provisions prepares it.
func (e *estate) provisions(args ...string) *part {
	e.t.Helper()
	log := filepath.Join(e.t.TempDir(), "provision.log")
	return newPart(e.t, "dcs provision", log, e.env, append([]string{filepath.Join(root(e.t), "bin", "dcs"), "provision"}, args...)...)
}

func (e *estate) token(name string) string {
	e.t.Helper()
	b, err := os.ReadFile(filepath.Join(e.tokens, name, "token"))
	require.NoError(e.t, err)
	return strings.TrimSpace(string(b))
}

// as is the archive as the owner of a token sees it.
func (e *estate) as(name string) archive {
	return archive{e.t, strings.Replace(e.address, "://", "://"+e.token(name)+"@", 1)}
}

// TestProvision: databases that ask for logins come after what provisions them; then
// each program may do what it must and no more, also with what InfluxDB 1.8 does at a
// GET.
func TestProvision(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	p := e.provisions()
	p.launch()
	within(t, patience, "it waits", func() bool { return strings.Contains(p.said(1<<20), "waiting for InfluxDB") })
	e.influx.start()
	e.mongo.start()
	within(t, 3*patience, "dcs provision ends", func() bool { return p.pid() == 0 })
	out := p.said(1 << 20)
	require.Zero(t, p.code(), out)
	assert.Contains(t, out, "this server has no users, as FerretDB")
	assert.Equal(t, 4, strings.Count(out, "a token is made"), out)
	t.Log(out)

	loader, gateway, backup := e.as("loader"), e.as("gateway"), e.as("backup")
	loader.write("m v=1 1000")
	backup.write("m v=2 2000")
	write := func(a archive) error {
		_, err := a.post("/api/v2/write", url.Values{"org": {"dcs"}, "bucket": {"dcs"}}, "m v=3 3000")
		return err
	}
	get := func(a archive, q string) (string, error) {
		res, err := http.Get(a.url + "/query?" + url.Values{"db": {"dcs"}, "q": {q}}.Encode())
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		return string(body), err
	}
	for name, a := range map[string]archive{"gateway": gateway, "grafana": e.as("grafana")} {
		require.ErrorContains(t, write(a), "403", name)
		for _, q := range []string{
			"DROP MEASUREMENT m", "DROP SERIES FROM m", "DELETE FROM m", "DROP DATABASE dcs", "SELECT * INTO n FROM m",
			"DROP RETENTION POLICY autogen ON dcs", "CREATE DATABASE x", "DROP USER loader", "SET PASSWORD FOR loader = 'x'", "SHOW USERS",
		} {
			_, err := get(a, q)
			require.ErrorContains(t, err, "403", "%s: %s", name, q)
		}
		body, err := get(a, "SELECT COUNT(v) FROM m")
		require.NoError(t, err)
		assert.Contains(t, body, ",2]", "both points are still there")
	}
	for _, q := range []string{"SELECT * FROM m", "SHOW MEASUREMENTS", "DROP MEASUREMENT m", "DROP DATABASE dcs"} {
		_, err := get(loader, q)
		require.ErrorContains(t, err, "403", "loader: %s", q)
	}
	require.ErrorContains(t, write(archive{t, e.address}), "401")

	first := map[string]string{}
	for _, name := range []string{"loader", "grafana", "gateway", "backup"} {
		first[name] = e.token(name)
	}
	out, code := e.provision()
	require.Zero(t, code, out)
	for name, token := range first {
		assert.Equal(t, token, e.token(name), name)
	}
}

// TestProvisionRotatesUnderALoader: the loader takes up a new token while it writes,
// and nothing is lost.
func TestProvisionRotatesUnderALoader(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.influx.start()
	e.mongo.start()
	e.broker.start()
	out, code := e.provision()
	require.Zero(t, code, out)
	e.archive = e.as("gateway")
	l := e.loader("loader", e.dir+"/loader", "DCS_INFLUX_URL="+e.address, "DCS_INFLUX_TOKEN_FILE="+filepath.Join(e.tokens, "loader", "token"))
	l.start()
	f := e.send("order", 4, 50*time.Millisecond)
	within(t, patience, "points", func() bool { n, err := e.points(f.prefix, ""); return err == nil && n > 0 })
	old := e.token("loader")
	out, code = e.provision("--rotate", "loader")
	require.Zero(t, code, out)
	assert.Contains(t, out, "a token is replaced")
	require.NotEqual(t, old, e.token("loader"))
	_, err := archive{t, strings.Replace(e.address, "://", "://"+old+"@", 1)}.post("/api/v2/write", url.Values{"org": {"dcs"}, "bucket": {"dcs"}}, "m v=1")
	require.ErrorContains(t, err, "401")
	lasts(t, time.Second)
	f.hush()
	made := f.made()
	within(t, patience, "all points", func() bool {
		n, err := e.points(f.prefix, "")
		return err == nil && n == channels*made
	})
	assert.Zero(t, l.counts("dcs_loader_dead_letters_total", ""))
	refused, err := l.figures("dcs_loader_write_errors_total", `status="401"`)
	within(t, patience, "the loader's own figures, and that it hears itself through the access list", func() bool {
		rows, err := e.ask(`SELECT LAST(broker_rtt) FROM service WHERE record = 'loader' AND service = 'loader' AND connected = 1`)
		return err == nil && len(rows) == 1
	})
	t.Logf("%d statuses, %v writes refused while the token was exchanged (%v)", made, refused, err)
}
