package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProvisionNamesWhatIsMissing(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("x\n"), 0o600))
	for want, c := range map[string]provisionCmd{
		"without an administrator's secret nothing can be made":                               {},
		"DCS_MONGO_URI_FILES: DCS_MONGO_ADMIN_URI_FILE is needed":                             {MongoURIFiles: []string{secret}, InfluxTokenFile: secret, InfluxURL: "http://x", InfluxOrg: "dcs", InfluxBucket: "dcs"},
		"--rotate: tokens are InfluxDB's":                                                     {Rotate: []string{"loader"}, MongoAdminURIFile: secret},
		"only loader, grafana, gateway, backup":                                               {Rotate: []string{"psu"}, InfluxTokenFile: secret, InfluxURL: "http://x", InfluxOrg: "dcs", InfluxBucket: "dcs"},
		"DCS_INFLUX_URL: begin with http":                                                     {InfluxTokenFile: secret, InfluxURL: "influxdb:8086", InfluxOrg: "dcs", InfluxBucket: "dcs"},
		"DCS_MONGO_ADMIN_URI_FILE: " + secret + ": want one line that begins with mongodb://": {MongoAdminURIFile: secret, MongoDatabase: "dcs"},
	} {
		var log bytes.Buffer
		require.Equal(t, exitCode(2), c.run(t.Context(), &log), want)
		assert.Contains(t, log.String(), want)
	}
}

func TestProvisionOfADatabaseThatIsAway(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("x\n"), 0o600))
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	c := provisionCmd{InfluxURL: address, InfluxOrg: "dcs", InfluxBucket: "dcs", InfluxTokenFile: secret, TokensDir: t.TempDir(), Wait: 50 * time.Millisecond}
	var log bytes.Buffer
	require.Equal(t, exitNoAnswer, c.run(t.Context(), &log))
	assert.Contains(t, log.String(), address)
}
