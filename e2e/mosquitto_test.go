//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
)

// usedPorts are those that this run has given away.
var usedPorts sync.Map

// freePort is a port that nobody listens on and that no outgoing connection
// gets by chance while its owner is away: below those that the kernel hands out.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		p := 20000 + rand.IntN(12000)
		if _, used := usedPorts.LoadOrStore(p, true); used {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err == nil {
			_ = l.Close()
			return p
		}
	}
	t.Fatal("no free port")
	return 0
}

// freeAddr is freePort's on this machine.
func freeAddr(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
}

// options are those of a client with an account.
func (b *broker) options(account, id string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(b.url).SetClientID(id).SetAutoReconnect(false).
		SetUsername(account).SetPassword(b.passwords[account])
}

func await(t *testing.T, tok mqtt.Token) error {
	t.Helper()
	require.True(t, tok.WaitTimeout(30*time.Second), "no answer")
	return tok.Error()
}

func TestMosquittoAsksForTheLogin(t *testing.T) {
	b := startBroker(t, newAccess(t, ""))
	for name, tt := range map[string]struct {
		user, password string
		ok             bool
	}{
		"nobody":         {"", "", false},
		"no password":    {everybody, "", false},
		"wrong password": {everybody, "wrong", false},
		"no such user":   {"hv", b.passwords[everybody], false},
		"right":          {everybody, b.passwords[everybody], true},
	} {
		c := mqtt.NewClient(b.options(everybody, "x").SetUsername(tt.user).SetPassword(tt.password))
		err := await(t, c.Connect())
		require.Equal(t, tt.ok, err == nil, "%s: %v", name, err)
		c.Disconnect(0)
	}
}

// The hashes are Mosquitto's own: what mosquitto_passwd writes we verify, and
// what we write the broker takes, which all other tests show.
func TestMosquittoPasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	for _, name := range []string{"hv", "bob"} {
		out, err := exec.Command("mosquitto_passwd", append(map[string][]string{"hv": {"-c"}, "bob": nil}[name], "-b", file, name, "password of "+name)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	hashes, err := brokerauth.ParsePasswd(text)
	require.NoError(t, err)
	require.Len(t, hashes, 2)
	for name, hash := range hashes {
		ours, err := brokerauth.Hash("password of " + name)
		require.NoError(t, err)
		require.Equal(t, hash[:len("$7$101$")], ours[:len("$7$101$")])
		require.Len(t, ours, len(hash))
		require.True(t, brokerauth.Verify(hash, "password of "+name))
		require.False(t, brokerauth.Verify(hash, "password of nobody"))
	}
}

// More waits for an absent subscriber than Mosquitto's default of 1000, and
// more is handed out unacknowledged than its default of 20.
func TestMosquittoQueuesForTheLoader(t *testing.T) {
	const n = 4000
	b := startBroker(t, newAccess(t, "", brokerauth.Account{Name: "loader", Role: brokerauth.Loader}, brokerauth.Account{Name: "hv", Role: brokerauth.Driver}))
	in := make(chan mqtt.Message, n)
	loader := func() mqtt.Client {
		c := mqtt.NewClient(b.options("loader", "dcs-loader").SetCleanSession(false).SetAutoAckDisabled(true).
			SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { in <- m }))
		require.NoError(t, await(t, c.Connect()))
		return c
	}
	c := loader()
	require.NoError(t, await(t, c.Subscribe("/+/status", 1, nil)))
	c.Disconnect(250)

	p := mqtt.NewClient(b.options("hv", "dcs-hv"))
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
