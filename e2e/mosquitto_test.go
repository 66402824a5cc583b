//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"
)

// What the dummy stack's password file lets in.
const mosquittoUser, mosquittoPassword = "dcs", "dummy-password"

// startMosquitto runs the real broker with the repository's configuration,
// only its port and its paths changed, and returns its URL.
func startMosquitto(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("mosquitto")
	if err != nil {
		binary = "/usr/sbin/mosquitto" // not in everybody's path
	}
	shipped, err := os.ReadFile("../mosquitto/mosquitto.conf")
	require.NoError(t, err)
	passwords, err := filepath.Abs("../secrets/dummy/mosquitto_passwd")
	require.NoError(t, err)
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	conf := string(shipped)
	for old, mine := range map[string]string{
		"listener 1883":                 "listener " + port + " 127.0.0.1",
		"/run/secrets/mosquitto_passwd": passwords,
		"/mosquitto/data/":              t.TempDir() + "/",
	} {
		require.Contains(t, conf, old)
		conf = strings.ReplaceAll(conf, old, mine)
	}
	if os.Geteuid() == 0 {
		conf += "\nuser root\n" // or it could not write into the test's directory
	}
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))

	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "-c", file)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })

	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			require.NoError(t, conn.Close())
			return "tcp://" + addr
		}
		select {
		case <-ended:
			t.Fatal("mosquitto did not accept the configuration")
		case <-time.After(20 * time.Millisecond): // until it listens
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func mosquittoOptions(url, id string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(url).SetClientID(id).SetAutoReconnect(false).
		SetUsername(mosquittoUser).SetPassword(mosquittoPassword)
}

func await(t *testing.T, tok mqtt.Token) error {
	t.Helper()
	require.True(t, tok.WaitTimeout(30*time.Second), "no answer")
	return tok.Error()
}

func TestMosquittoAsksForTheLogin(t *testing.T) {
	url := startMosquitto(t)
	for name, tt := range map[string]struct {
		user, password string
		ok             bool
	}{
		"nobody":         {"", "", false},
		"wrong password": {mosquittoUser, "wrong", false},
		"right":          {mosquittoUser, mosquittoPassword, true},
	} {
		c := mqtt.NewClient(mosquittoOptions(url, "x").SetUsername(tt.user).SetPassword(tt.password))
		err := await(t, c.Connect())
		require.Equal(t, tt.ok, err == nil, "%s: %v", name, err)
		c.Disconnect(0)
	}
}

// More waits for an absent subscriber than Mosquitto's default of 1000, and
// more is handed out unacknowledged than its default of 20.
func TestMosquittoQueuesForTheLoader(t *testing.T) {
	const n = 4000
	url := startMosquitto(t)
	in := make(chan mqtt.Message, n)
	loader := func() mqtt.Client {
		c := mqtt.NewClient(mosquittoOptions(url, "loader").SetCleanSession(false).SetAutoAckDisabled(true).
			SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { in <- m }))
		require.NoError(t, await(t, c.Connect()))
		return c
	}
	c := loader()
	require.NoError(t, await(t, c.Subscribe("/+/status", 1, nil)))
	c.Disconnect(250)

	p := mqtt.NewClient(mosquittoOptions(url, "p"))
	require.NoError(t, await(t, p.Connect()))
	defer p.Disconnect(250)
	for i := range n {
		require.NoError(t, await(t, p.Publish("/hv/status", 1, false, fmt.Sprint(i))))
	}

	c = loader()
	defer c.Disconnect(250)
	for i := range n {
		select {
		case m := <-in:
			require.Equal(t, fmt.Sprint(i), string(m.Payload()))
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d of %d came", i, n)
		}
	}
}
