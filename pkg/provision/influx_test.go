package provision

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secretFile is a file with one line.
func secretFile(t *testing.T, line string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(line+"\n"), 0o444))
	return file
}

func influxAt(t *testing.T, address string) (*Influx, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	c := &Influx{
		URL: address, Org: "dcs", Bucket: "dcs", TokenFile: secretFile(t, adminToken),
		TokensDir: t.TempDir(), Wait: time.Minute, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	require.NoError(t, c.Validate())
	return c, &log
}

func tokenIn(t *testing.T, c *Influx, name string) string {
	t.Helper()
	file := filepath.Join(c.TokensDir, name, "token")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o444), info.Mode(), "each container has another user")
	return strings.TrimSpace(string(b))
}

func tokensIn(t *testing.T, c *Influx) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, g := range Grants() {
		all[g.Name] = tokenIn(t, c, g.Name)
	}
	return all
}

func TestInflux2TokensMayNoMoreThanTheyMust(t *testing.T) {
	f := newFakeInflux(t)
	c, _ := influxAt(t, f.URL)
	require.NoError(t, c.Run(t.Context()))
	assert.Equal(t, map[string]string{
		"dcs provision: loader may write":          "write:buckets/b0 ",
		"dcs provision: grafana may read":          "read:buckets/b0 ",
		"dcs provision: gateway may read":          "read:buckets/b0 ",
		"dcs provision: backup may read and write": "read:buckets/b0 write:buckets/b0 ",
	}, f.rights())
	assert.Len(t, f.mappings, 1, "the bucket's own mapping is enough")
	assert.NotContains(t, tokensIn(t, c), adminToken)
}

func TestInflux2WhatWorksStays(t *testing.T) {
	f := newFakeInflux(t)
	c, log := influxAt(t, f.URL)
	require.NoError(t, c.Run(t.Context()))
	first := tokensIn(t, c)
	log.Reset()
	require.NoError(t, c.Run(t.Context()))
	assert.Equal(t, first, tokensIn(t, c))
	assert.Equal(t, 4, f.made)
	assert.Equal(t, 4, strings.Count(log.String(), "a token works and stays"))

	f.auths = f.auths[1:] // somebody has removed the loader's
	require.NoError(t, c.Run(t.Context()))
	second := tokensIn(t, c)
	assert.NotEqual(t, first["loader"], second["loader"])
	assert.Equal(t, first["backup"], second["backup"])

	c.Rotate = []string{"grafana"}
	require.NoError(t, c.Run(t.Context()))
	third := tokensIn(t, c)
	assert.NotEqual(t, second["grafana"], third["grafana"])
	assert.Equal(t, second["loader"], third["loader"])
	assert.Len(t, f.auths, 4, "the old ones are gone")
	for _, a := range f.auths {
		assert.NotEqual(t, second["grafana"], a.Token)
	}
}

// TestInflux2StrangersStay: tokens that somebody else has made are not ours to remove.
func TestInflux2StrangersStay(t *testing.T) {
	f := newFakeInflux(t)
	f.auths = []fakeAuth{{ID: "theirs", Token: "theirs", Description: "my telegraf"}}
	c, _ := influxAt(t, f.URL)
	require.NoError(t, c.Run(t.Context()))
	require.Len(t, f.auths, 5)
	assert.Equal(t, "theirs", f.auths[0].ID)
}

func TestInflux2NewBucketAndMapping(t *testing.T) {
	f := newFakeInflux(t)
	c, _ := influxAt(t, f.URL)
	require.NoError(t, c.Run(t.Context()))
	first := tokensIn(t, c)

	f.bucket, f.mappings = "", nil // the volume is new, the tokens are not
	require.NoError(t, c.Run(t.Context()))
	require.Len(t, f.mappings, 1)
	assert.Equal(t, map[string]any{"id": "m1", "bucketID": "b1", "database": "dcs", "retention_policy": "autogen", "default": true, "orgID": "o0"}, f.mappings[0])
	assert.Equal(t, "read:buckets/b1 ", f.rights()["dcs provision: gateway may read"])
	for name, token := range tokensIn(t, c) {
		assert.NotEqual(t, first[name], token, name)
	}

	f.mappings[0]["bucketID"] = "b9"
	require.ErrorContains(t, c.Run(t.Context()), "influx v1 dbrp delete --id m1")
}

func TestInflux2ComplaintsNameTheRemedy(t *testing.T) {
	f := newFakeInflux(t)
	for want, change := range map[string]func(c *Influx){
		"organisation elsewhere":                              func(c *Influx) { c.Org = "elsewhere" },
		"unauthorized access":                                 func(c *Influx) { c.TokenFile = secretFile(t, "wrong") },
		"DCS_INFLUX_ADMIN_TOKEN_FILE: InfluxDB v2.7.12 needs": func(c *Influx) { c.TokenFile = "" },
		"is empty": func(c *Influx) { c.TokenFile = secretFile(t, "") },
		"DCS_INFLUX_ADMIN_TOKEN_FILE: open /nowhere": func(c *Influx) { c.TokenFile = "/nowhere" },
		"writing its file": func(c *Influx) {
			for _, g := range Grants() { // something is in the way
				require.NoError(t, os.MkdirAll(filepath.Join(c.TokensDir, g.Name, "token.new", "x"), 0o700))
			}
		},
	} {
		c, _ := influxAt(t, f.URL)
		change(c)
		err := c.Run(t.Context())
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), adminToken)
	}
	assert.Empty(t, f.auths, "a token that could not be kept is taken back")
}

func TestInfluxSettings(t *testing.T) {
	c, _ := influxAt(t, "http://127.0.0.1:8086")
	for want, change := range map[string]func(c *Influx){
		"DCS_INFLUX_URL":                        func(c *Influx) { c.URL = "influxdb:8086" },
		"DCS_INFLUX_ORG":                        func(c *Influx) { c.Org = "" },
		"DCS_INFLUX_BUCKET":                     func(c *Influx) { c.Bucket = "/autogen" },
		"only loader, grafana, gateway, backup": func(c *Influx) { c.Rotate = []string{"loader", "psu"} },
	} {
		bad := *c
		change(&bad)
		require.ErrorContains(t, bad.Validate(), want)
	}
}

// TestInfluxIsWaitedFor: first nobody answers well, then InfluxDB does.
func TestInfluxIsWaitedFor(t *testing.T) {
	f := newFakeInflux(t)
	var asked atomic.Int32
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" && asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	c, log := influxAt(t, slow.URL)
	require.NoError(t, c.Run(t.Context()))
	assert.Contains(t, log.String(), "waiting for InfluxDB")
	assert.Contains(t, log.String(), "503 Service Unavailable")
}

func TestInfluxThatNeverComes(t *testing.T) {
	nobody := httptest.NewServer(http.NotFoundHandler())
	address := nobody.URL
	c, _ := influxAt(t, address)
	require.ErrorContains(t, c.Run(t.Context()), "is not InfluxDB") // another server has the address
	nobody.Close()
	c.Wait = 10 * time.Millisecond
	err := c.Run(t.Context())
	require.ErrorIs(t, err, ErrNoAnswer)
	assert.Contains(t, err.Error(), address)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Wait = time.Hour
	require.ErrorIs(t, c.Run(ctx), context.Canceled)
}

func TestInfluxOfAnotherVersion(t *testing.T) {
	three := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Influxdb-Version", "3.1.0")
	}))
	t.Cleanup(three.Close)
	c, _ := influxAt(t, three.URL)
	require.ErrorContains(t, c.Run(t.Context()), "version 3.1.0: 1.8 and 2 are known")
}
