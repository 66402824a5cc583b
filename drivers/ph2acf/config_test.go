package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

func TestConfigNamesEveryWrongSetting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte("procedures:\n  p:\n    program: a/b\n    limit: x\n"), 0o600))
	c := config{Procedures: file, Sink: "a/b", LogBytes: 1, Reserve: -1, Settings: device.Settings{Period: time.Second, Bus: service.Bus{Broker: "tcp://x:1"}}}
	err := c.Validate()
	for _, want := range []string{
		"DCS_PROCEDURES: " + file + ": line 3: procedure p: program:", "DCS_PROCEDURES: " + file + ": line 4: procedure p: limit:",
		"DCS_SINK", "DCS_LOG_BYTES", "DCS_RESERVE_BYTES",
	} {
		assert.ErrorContains(t, err, want)
	}
	c = config{Procedures: "/no/such", Sink: "s", LogBytes: 1e6, Settings: c.Settings}
	assert.ErrorContains(t, c.Validate(), "DCS_PROCEDURES: /no/such: reading it: no such file or directory")
}
