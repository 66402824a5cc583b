// Package influxd_test proves that the pinned influxd does with influxd.conf
// what the stack asks of it.
package influxd_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// start runs influxd on a free port with data in dir and returns its URL.
func start(t *testing.T, binary, dir string) (base string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "run", "-config", "influxd.conf")
	cmd.Env = append(os.Environ(),
		"INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:0",
		"INFLUXDB_LOGGING_LEVEL=info", // the port is said at this level
		"INFLUXDB_META_DIR="+filepath.Join(dir, "meta"),
		"INFLUXDB_DATA_DIR="+filepath.Join(dir, "data"),
		"INFLUXDB_DATA_WAL_DIR="+filepath.Join(dir, "wal"),
	)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)

	port := regexp.MustCompile(`Listening on HTTP.*addr"?[=:]"?(127\.0\.0\.1:\d+)`)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := port.FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, log)
			return "http://" + m[1], kill
		}
		t.Log(lines.Text())
	}
	t.Fatal("influxd ended before it listened")
	return "", nil
}

func ask(t *testing.T, method, url, contentType, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestInfluxd(t *testing.T) {
	// Builds the tool if need be and names the executable.
	out, err := exec.CommandContext(t.Context(), "go", "tool", "-n", "influxd").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary, dir := strings.TrimSpace(string(out)), t.TempDir()

	base, kill := start(t, binary, dir)
	expect := func(what string, status int, answer string, wantStatus int, want string) {
		t.Helper()
		if status != wantStatus || !strings.Contains(answer, want) {
			t.Fatalf("%s: %d %s; want %d and %q in it", what, status, answer, wantStatus, want)
		}
	}
	query := func(q string) (int, string) {
		return ask(t, "POST", base+"/query?db=dcs&q="+url.QueryEscape(q), "", "")
	}

	s, a := ask(t, "GET", base+"/ping", "", "")
	expect("ping", s, a, 204, "")
	s, a = query(`CREATE DATABASE "dcs" WITH NAME "autogen"`)
	expect("create database", s, a, 200, `{"results":[{"statement_id":0}]}`)
	s, a = query(`SHOW RETENTION POLICIES ON "dcs"`)
	expect("retention policy", s, a, 200, `["autogen","0s","168h0m0s",1,true]`)
	s, a = ask(t, "POST", base+"/api/v2/write?org=dcs&bucket=dcs/autogen", "",
		"hv,number=0 vmon=99.5,on=1,boot=\"7f3a9c\" 1700000000000000001")
	expect("write", s, a, 204, "")
	s, a = ask(t, "POST", base+"/api/v2/query?org=dcs", "application/vnd.flux",
		`from(bucket:"dcs/autogen") |> range(start:0) |> filter(fn: (r) => r._field == "vmon")`)
	expect("Flux", s, a, 200, "99.5,vmon,hv,0")

	kill() // as kill -9 does: what was acknowledged is there again
	base, _ = start(t, binary, dir)
	s, a = query(`SELECT "vmon","on" FROM "hv"`)
	expect("InfluxQL after a kill", s, a, 200, `["2023-11-14T22:13:20.000000001Z",99.5,1]`)
	s, a = query(`CREATE DATABASE "dcs" WITH NAME "autogen"`)
	expect("create database again", s, a, 200, `{"results":[{"statement_id":0}]}`)
}

// Without directories it would write into the working directory.
func TestDirectoriesAreDemanded(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "tool", "influxd", "run", "-config", "influxd.conf").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Meta.Dir must be specified") {
		t.Fatalf("%v: %s", err, out)
	}
}
