package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDemoTakesNoSettingsFromOutside(t *testing.T) {
	assert.Equal(t, []string{"PATH=/bin", "TRACKER_E2E_MARK=1", "MY_DCS_HTTP=x"}, withoutSettings([]string{
		"DCS_HTTP=127.0.0.1:9100", "PATH=/bin", "DCS_TOPIC_ROOT=lab1", "INFLUXDB_HTTP_BIND_ADDRESS=:1",
		"TRACKER_E2E_MARK=1", "NODERED_PORT=1", "MY_DCS_HTTP=x",
	}))
}
