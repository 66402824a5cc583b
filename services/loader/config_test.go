package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

func TestBadSettings(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want string // begins the one complaint, or nothing is wrong
		make func(*config)
	}{
		{"DCS_BROKER:", func(c *config) { c.Broker = "localhost:1883" }},
		{"DCS_TOPIC_ROOT:", func(c *config) { c.Root = "lab/#" }},
		{"DCS_INFLUX_URL:", func(c *config) { c.InfluxURL = "" }},
		{"DCS_INFLUX_URL:", func(c *config) { c.InfluxURL = "127.0.0.1:8086" }},
		{"DCS_INFLUX_URL:", func(c *config) { c.InfluxURL = "http://" }},
		{"DCS_INFLUX_ORG:", func(c *config) { c.InfluxOrg = "" }},
		{"DCS_INFLUX_BUCKET:", func(c *config) { c.InfluxBucket = "" }},
		{"DCS_INFLUX_BUCKET:", func(c *config) { c.InfluxBucket = "/autogen" }},
		{"DCS_INFLUX_TOKEN_FILE: the token: open ", func(c *config) { c.InfluxTokenFile = empty + "-not" }},
		{"DCS_INFLUX_TOKEN_FILE: the token: ", func(c *config) { c.InfluxTokenFile = empty }},
		{"DCS_BATCH_LINES:", func(c *config) { c.BatchLines = 0 }},
		{"DCS_BATCH_BYTES:", func(c *config) { c.BatchBytes = -1 }},
		{"DCS_BATCH_AGE:", func(c *config) { c.BatchAge = 0 }},
		{"DCS_BATCH_QUIET:", func(c *config) { c.BatchQuiet = -time.Second }},
		{"DCS_WRITE_TIMEOUT:", func(c *config) { c.WriteTimeout = 0 }},
		{"DCS_QUEUE_MESSAGES:", func(c *config) { c.QueueMessages = 1 }},
		{"DCS_QUEUE_BYTES:", func(c *config) { c.QueueBytes = maxPayload }},
		{"DCS_SPOOL_BYTES:", func(c *config) { c.SpoolBytes = 64<<20 - 1 }},
		{"DCS_DEAD_LETTER_BYTES:", func(c *config) { c.DeadLetterBytes = -1 }},
		{"", func(*config) {}},
		{"", func(c *config) { c.InfluxURL, c.InfluxBucket = "https://influx.example:443/x", "dcs/autogen" }},
	} {
		c := testConfig(t, "http://127.0.0.1:8086")
		c.Bus = service.Bus{Broker: "tcp://127.0.0.1:1883"}
		tt.make(c)
		err := c.Validate()
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("good settings: %v", err)
		case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Count(err.Error(), "\n") > 0):
			t.Errorf("want %s…: %v", tt.want, err)
		}
	}
}
