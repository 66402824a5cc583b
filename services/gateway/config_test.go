package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

func good() config {
	return config{
		Bus: service.Bus{Broker: "tcp://127.0.0.1:1883"}, Listen: "127.0.0.1:8443", SessionIdle: time.Hour, SessionMax: 12 * time.Hour,
		InfluxURL: "http://127.0.0.1:8086", InfluxOrg: "dcs", InfluxBucket: "dcs", MongoURI: "mongodb://127.0.0.1:27017", MongoDatabase: "dcs",
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	c := good()
	require.NoError(t, c.Validate())
	for setting, change := range map[string]func(*config){
		"DCS_LISTEN":              func(c *config) { c.Listen = "8443" },
		"DCS_TLS_CERT_FILE":       func(c *config) { c.CertFile = "cert.pem" },
		"DCS_TLS_HOSTS":           func(c *config) { c.Hosts = []string{"https://dcs"} },
		"DCS_SESSION_IDLE":        func(c *config) { c.SessionIdle = 13 * time.Hour },
		"DCS_SESSION_MAX":         func(c *config) { c.SessionMax = 0 },
		"DCS_GRAFANA_URL":         func(c *config) { c.GrafanaURL = "grafana:3000" },
		"DCS_NODERED_URL":         func(c *config) { c.NodeRedURL = "http://nodered:1880/nodered" },
		"DCS_NODERED_SECRET_FILE": func(c *config) { c.NodeRedSecretFile = "/nowhere" },
		"DCS_INFLUX_URL":          func(c *config) { c.InfluxURL = "influx" },
		"DCS_INFLUX_BUCKET":       func(c *config) { c.InfluxBucket = "" },
		"DCS_INFLUX_TOKEN_FILE":   func(c *config) { c.InfluxTokenFile = "/nowhere" },
		"DCS_MONGO_URI":           func(c *config) { c.MongoURI = "http://x" },
		"DCS_MONGO_URI_FILE":      func(c *config) { c.MongoURIFile = "/nowhere" },
	} {
		c := good()
		change(&c)
		err := c.Validate()
		if assert.Error(t, err, setting) {
			assert.Contains(t, err.Error(), setting)
		}
	}
	for _, fine := range []func(*config){
		func(c *config) { c.Hosts = []string{"localhost", "dcs.lab.example", "10.0.0.7", "::1"} },
		func(c *config) { c.GrafanaURL, c.NodeRedURL = "http://grafana:3000", "http://nodered:1880/" },
		func(c *config) {
			c.MongoURIFile, c.MongoURI = filepath.Join(t.TempDir(), "uri"), ""
			require.NoError(t, os.WriteFile(c.MongoURIFile, []byte("mongodb://dcs:x@mongo"), 0o600))
		},
	} {
		c := good()
		fine(&c)
		assert.NoError(t, c.Validate())
	}
}

func TestNodeRedSecret(t *testing.T) {
	c := good()
	secret, err := c.nodeRedSecret()
	require.NoError(t, err)
	assert.Empty(t, secret, "none is asked for")
	c.NodeRedSecretFile = filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"open-sesame\n": "",
		" \n":           "DCS_NODERED_SECRET_FILE: " + c.NodeRedSecretFile + " is empty: put the secret into it",
		"open\nsesame":  "one line of letters, digits and signs",
		"öffne":         "one line of letters, digits and signs",
	} {
		require.NoError(t, os.WriteFile(c.NodeRedSecretFile, []byte(content), 0o600))
		if want != "" {
			require.ErrorContains(t, c.Validate(), want)
			continue
		}
		require.NoError(t, c.Validate())
		secret, err = c.nodeRedSecret()
		require.NoError(t, err)
		assert.Equal(t, "open-sesame", secret)
	}
}
