//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
)

// everybody is the login of the tests themselves: no role of ours may do
// everything.
const everybody = "test"

// access is what dcs init makes for the broker: accounts with a password each,
// the access list and a certificate. The files are named as the secrets are.
type access struct {
	t         *testing.T
	dir       string
	root      string
	accounts  []brokerauth.Account
	passwords map[string]string
}

func newAccess(t *testing.T, root string, accounts ...brokerauth.Account) *access {
	t.Helper()
	a := &access{t: t, dir: t.TempDir(), root: root, passwords: map[string]string{everybody: rand.Text()}}
	a.add(accounts...)
	certify(t, a.dir)
	return a
}

// add makes more accounts. A broker that runs has to be told.
func (a *access) add(accounts ...brokerauth.Account) {
	a.t.Helper()
	for _, n := range accounts {
		a.accounts = append(a.accounts, n)
		a.passwords[n.Name] = rand.Text()
	}
	a.save()
}

// remove takes an account away. A broker that runs has to be told.
func (a *access) remove(name string) {
	a.t.Helper()
	var left []brokerauth.Account
	for _, n := range a.accounts {
		if n.Name != name {
			left = append(left, n)
		}
	}
	a.accounts = left
	delete(a.passwords, name)
	_ = os.Remove(a.file("broker_" + name))
	a.save()
}

func (a *access) save() {
	a.t.Helper()
	list, err := brokerauth.ACL(a.root, a.accounts)
	require.NoError(a.t, err)
	list = append(list, "\nuser "+everybody+"\ntopic readwrite #\ntopic read $SYS/#\n"...)
	var lines strings.Builder
	for name, password := range a.passwords {
		line, err := brokerauth.PasswdLine(name, password)
		require.NoError(a.t, err)
		lines.WriteString(line)
	}
	require.NoError(a.t, os.WriteFile(a.file("mosquitto_acl"), list, 0o600))
	require.NoError(a.t, os.WriteFile(a.file("mosquitto_passwd"), []byte(lines.String()), 0o600))
}

func (a *access) file(name string) string { return filepath.Join(a.dir, name) }

// passwordFile is the file of an account's password, as a program is given it.
func (a *access) passwordFile(name string) string {
	a.t.Helper()
	require.Contains(a.t, a.passwords, name, "no such broker account")
	file := a.file("broker_" + name)
	if _, err := os.Stat(file); err != nil { // who has it may be reading it
		require.NoError(a.t, os.WriteFile(file, []byte(a.passwords[name]+"\n"), 0o600))
	}
	return file
}

// env are the settings of a program with an account of its own.
func (a *access) env(url, name string) []string {
	return []string{"DCS_BROKER=" + url, "DCS_BROKER_USER=" + name, "DCS_BROKER_PASSWORD_FILE=" + a.passwordFile(name), "DCS_TOPIC_ROOT=" + a.root}
}

// conf writes the repository's configuration with other ports and paths, and
// some lines more, and returns its file.
func (a *access) conf(plain, encrypted, data string, more ...string) string {
	a.t.Helper()
	shipped, err := os.ReadFile("../mosquitto/mosquitto.conf")
	require.NoError(a.t, err)
	conf := string(shipped)
	for _, r := range [][2]string{
		{"listener 1883\n", "listener " + plain + "\n"},
		{"listener 8883\n", "listener " + encrypted + "\n"},
		{"/run/secrets/", a.dir + "/"},
		{"/mosquitto/data/", data + "/"},
	} {
		require.Contains(a.t, conf, r[0])
		conf = strings.ReplaceAll(conf, r[0], r[1])
	}
	if os.Geteuid() == 0 {
		more = append(more, "user root") // or it could not write into the test's directory
	}
	file := a.file("mosquitto.conf")
	require.NoError(a.t, os.WriteFile(file, []byte(conf+"\n"+strings.Join(more, "\n")+"\n"), 0o600))
	return file
}

func mosquittoBinary() string {
	if binary, err := exec.LookPath("mosquitto"); err == nil {
		return binary
	}
	return "/usr/sbin/mosquitto" // not in everybody's path
}

// broker is the real one, with the repository's configuration.
type broker struct {
	*access
	cmd        *exec.Cmd
	url        string // tcp://…
	plain, tls string // addresses
	log        string // the file with what it says
}

// startBroker runs a broker until the test ends.
func startBroker(t *testing.T, a *access, more ...string) *broker {
	t.Helper()
	b := &broker{access: a, plain: freeAddr(t), tls: freeAddr(t), log: a.file("mosquitto.log")}
	b.url = "tcp://" + b.plain
	listener := func(addr string) string {
		host, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		return port + " " + host
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cmd = exec.CommandContext(ctx, mosquittoBinary(), "-c", a.conf(listener(b.plain), listener(b.tls), t.TempDir(), more...))
	b.cmd.Cancel = func() error { return b.cmd.Process.Signal(os.Interrupt) }
	out, err := os.Create(b.log)
	require.NoError(t, err)
	b.cmd.Stderr = out
	require.NoError(t, b.cmd.Start())
	ended := make(chan struct{})
	go func() { _ = b.cmd.Wait(); _ = out.Close(); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("mosquitto said\n%s", b.said())
		}
	})
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", b.tls) // the later one
		if err == nil {
			require.NoError(t, conn.Close())
			return b
		}
		select {
		case <-ended:
			t.Fatalf("mosquitto did not accept the configuration: %s", b.said())
		case <-time.After(20 * time.Millisecond): // until it listens
		}
	}
}

// said is the end of what it has said.
func (b *broker) said() string {
	text, _ := os.ReadFile(b.log)
	return string(text[max(0, len(text)-8000):])
}

// certify makes a CA and a certificate of the broker for this machine.
func certify(t *testing.T, dir string) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return k
	}
	write := func(name, kind string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := key()
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	require.NoError(t, err)
	write("ca_crt", "CERTIFICATE", der)
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	ownKey := key()
	der, err = x509.CreateCertificate(rand.Reader, own, ca, ownKey.Public(), caKey)
	require.NoError(t, err)
	write("mosquitto_crt", "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(ownKey)
	require.NoError(t, err)
	write("mosquitto_key", "PRIVATE KEY", der)
}
