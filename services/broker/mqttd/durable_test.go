package mqttd_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// childDir tells this test binary to be a broker that can be killed.
const childDir = "MQTTD_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := mqttd.Start(context.Background(), mqttd.Options{DataDir: dir, AckWait: time.Second})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	select {} // until killed
}

// child runs a broker in a process of its own.
func child(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line), kill
}

// Fault 6 of the stack's list, from the broker's side: what it acknowledged
// for an absent subscriber survives a kill.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	const n = 2000
	dir := t.TempDir()
	url, kill := child(t, dir)
	s := dial(t, url, "loader", persistent)
	s.sub("/hv/status", 1)
	s.Disconnect(250)
	p := dial(t, url, "p")
	p.pub("/hv/state", 1, true, "ready")
	toks := make([]mqtt.Token, n)
	for i := range toks {
		toks[i] = p.Publish("/hv/status", 1, false, fmt.Sprint(i))
	}
	for _, tok := range toks {
		p.done(tok)
	}
	kill() // at once after the last acknowledgement

	url, _ = child(t, dir)
	s = dial(t, url, "loader", persistent)
	got := make(map[string]bool)
	for len(got) < n {
		got[string(s.next().Payload())] = true
	}
	w := dial(t, url, "w")
	w.sub("/hv/state", 1)
	require.Equal(t, "ready", string(w.next().Payload()), "the retained state")
}

// A full broker acknowledges no more and takes back no session either: it must
// be given more room, and then has lost nothing.
func TestFullBrokerNeedsRoomAndHasLostNothing(t *testing.T) {
	o := mqttd.Options{DataDir: t.TempDir(), MaxStore: 4 << 20, AckWait: time.Second, Log: slog.New(slog.DiscardHandler)}
	b := brokertest.New(t, o)
	s := dial(t, b.URL(), "loader", persistent)
	s.sub("/hv/status", 1)
	s.Disconnect(250)
	p := dial(t, b.URL(), "p")
	filler := strings.Repeat("x", 20000)
	acked := 0
	for ; acked < 1000; acked++ {
		tok := p.Publish("/hv/status", 1, false, fmt.Sprintf("%04d%s", acked, filler))
		if !tok.WaitTimeout(patience) || tok.Error() != nil || !p.IsConnectionOpen() {
			break
		}
	}
	require.NotZero(t, acked)
	require.Less(t, acked, 1000, "it never filled up")
	b.Stop()

	o.MaxStore = 64 << 20
	b = brokertest.New(t, o)
	s = dial(t, b.URL(), "loader", persistent)
	got := make(map[string]bool) // a set: the order is not kept over a reconnect
	for len(got) < acked {
		got[string(s.next().Payload()[:4])] = true
	}
}
