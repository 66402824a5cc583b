package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

func settings(t *testing.T, environ map[string]string) *config {
	t.Helper()
	var c config
	require.NoError(t, env.ParseWithOptions(&c, env.Options{Environment: environ}))
	return &c
}

func TestBadSettings(t *testing.T) {
	tests := []struct{ setting, value, want string }{
		{"DCS_MODEL", "keithley", `"keithley" is none of dht, hmp4040, iseg`},
		{"DCS_ADDRESS", "127.0.0.1:1", "neither tcp://host:port nor pty:///path"},
		{"DCS_ADDRESS", "tcp://:1", "neither"},
		{"DCS_ADDRESS", "tcp://127.0.0.1:99999", "not a port"},
		{"DCS_ADDRESS", "pty://", "neither"},
		{"DCS_ADDRESS", "pty:///tmp/x", "for dht alone"},
		{"DCS_SIM_CHANNELS", "0", "not 1 to 48"},
		{"DCS_SIM_VOLTAGE", "-1", "not above 0"},
		{"DCS_SIM_VOLTAGE", "NaN", "not above 0"},
		{"DCS_SIM_CURRENT", "0", "not above 0"},
		{"DCS_SIM_RAMP", "201", "at most 200"},
		{"DCS_SIM_LOAD", "0", "no resistance"},
		{"DCS_SIM_LOAD", "4=1e6", "there is no channel 4"},
		{"DCS_SIM_LOAD", "1=1e6,1=1e6", "stands twice"},
		{"DCS_SIM_LOAD", "1=x", "is not channel=value"},
		{"DCS_SIM_LEAKAGE", "-1", "negative"},
		{"DCS_SIM_NOISE", "-1", "negative"},
		{"DCS_SIM_DELAY", "-1s", "negative"},
		{"DCS_SIM_START", "0=1001", "not 0 to 1000 V"},
		{"DCS_SIM_SPEED", "0", "not above 0"},
		{"DCS_SIM_PERIOD", "0s", "less than 1ms"},
		{"DCS_SIM_FAIL_EVERY", "-1", "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.setting+"="+tt.value, func(t *testing.T) {
			environ := map[string]string{"DCS_MODEL": "iseg", tt.setting: tt.value}
			err := settings(t, environ).Validate()
			assert.ErrorContains(t, err, tt.setting)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	err := settings(t, map[string]string{"DCS_MODEL": "hmp4040", "DCS_SIM_CHANNELS": "5", "DCS_SIM_DELAY": "-1s"}).Validate()
	assert.ErrorContains(t, err, "1 to 4")
	assert.ErrorContains(t, err, "DCS_SIM_DELAY", "all at once")
}

func TestTheModelSuffices(t *testing.T) {
	for _, model := range modelNames() {
		assert.NoError(t, settings(t, map[string]string{"DCS_MODEL": model}).Validate(), model)
	}
}

// Every folder that offers an instrument stands in the table.
func TestModelsAreFolders(t *testing.T) {
	dirs, err := os.ReadDir(".")
	require.NoError(t, err)
	var found []string
	for _, d := range dirs {
		if d.IsDir() && d.Name() != "internal" && d.Name() != "physics" && d.Name() != "testdata" {
			found = append(found, d.Name())
		}
	}
	assert.Equal(t, found, modelNames())
}

// start runs the program and returns the address that it logs.
func start(t *testing.T, environ map[string]string) string {
	c := settings(t, environ)
	require.NoError(t, c.Validate())
	addresses := make(chan string, 1)
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{}))
	e := &service.Env{Log: slog.New(catch{log.Handler(), addresses}), Health: &service.Health{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, e, c) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	select {
	case a := <-addresses:
		return a
	case err := <-done:
		done <- err
		t.Fatal("ended:", err)
		return ""
	}
}

// catch takes the address out of the log.
type catch struct {
	slog.Handler
	addresses chan string
}

func (c catch) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "address" {
			c.addresses <- a.Value.String()
		}
		return true
	})
	return nil
}

func TestRun(t *testing.T) {
	tests := []struct{ model, ask, want string }{
		{"iseg", ":READ:VOLT:ON? (@0-1);:READ:VOLT? (@1)\r\n", "0,1;25.0000E0V\r\n"},
		{"hmp4040", "INST:NSEL 1;:OUTP?;:VOLT?\n", "1;25.000\n"},
		{"dht", "", "Temperature: 21.30\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.model, func(t *testing.T) {
			environ := map[string]string{
				"DCS_MODEL": tt.model, "DCS_ADDRESS": "tcp://127.0.0.1:0", "DCS_SIM_LOAD": "1=100", "DCS_SIM_START": "1=25", "DCS_SIM_PERIOD": "1ms",
			}
			if tt.model == "dht" {
				delete(environ, "DCS_SIM_LOAD")
				delete(environ, "DCS_SIM_START")
			}
			address := start(t, environ)
			conn, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = fmt.Fprint(conn, tt.ask)
			require.NoError(t, err)
			answer, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, tt.want, answer)
		})
	}
}

func TestRunOnAPseudoTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht")
	start(t, map[string]string{"DCS_MODEL": "dht", "DCS_ADDRESS": "pty://" + path, "DCS_SIM_PERIOD": "1ms"})
	deadline := time.Now().Add(time.Minute)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			require.True(t, time.Now().Before(deadline), "no terminal: %v", err)
			continue
		}
		defer f.Close()
		text, err := bufio.NewReader(f).ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, text, "Temperature: 21.")
		return
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := settings(t, map[string]string{"DCS_MODEL": "iseg", "DCS_ADDRESS": "tcp://" + l.Addr().String()})
	e := &service.Env{Log: slog.New(slog.DiscardHandler), Health: &service.Health{}}
	assert.ErrorContains(t, run(t.Context(), e, c), "DCS_ADDRESS")
}
