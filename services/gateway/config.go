package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"trackerdcs/pkg/service"
)

type config struct {
	service.Service
	service.Bus

	Listen      string        `env:"DCS_LISTEN" envDefault:"127.0.0.1:8443" doc:"host:port of the one door, always TLS; 0.0.0.0:8443 opens it to the network"`
	CertFile    string        `env:"DCS_TLS_CERT_FILE" doc:"certificate with its chain, PEM; without it one is made and signed by a CA of the gateway's own, ca.pem in tls in the data folder"`
	KeyFile     string        `env:"DCS_TLS_KEY_FILE" doc:"key of the certificate, PEM"`
	Hosts       []string      `env:"DCS_TLS_HOSTS" doc:"names and addresses for the certificate that is made; default localhost, its addresses and the machine's name"`
	UsersFile   string        `env:"DCS_USERS_FILE" doc:"who may come in, see dcs user; default users.json in the data folder"`
	FirstUsers  string        `env:"DCS_FIRST_USERS_FILE" doc:"users that are copied to the users file when there is none, as dcs init makes them"`
	SessionIdle time.Duration `env:"DCS_SESSION_IDLE" envDefault:"1h" doc:"a session ends after this long without use; an open page is use"`
	SessionMax  time.Duration `env:"DCS_SESSION_MAX" envDefault:"12h" doc:"and after this long in any case"`

	GrafanaURL        string `env:"DCS_GRAFANA_URL" doc:"Grafana's own address, as http://grafana:3000; empty: there is none"`
	NodeRedURL        string `env:"DCS_NODERED_URL" doc:"Node-RED's own address, as http://nodered:1880; empty: there is none"`
	NodeRedSecretFile string `env:"DCS_NODERED_SECRET_FILE" doc:"file with a secret that is shown to Node-RED with each request, so that it refuses everybody else: NODERED_GATEWAY_SECRET_FILE there; read at the start"`

	InfluxURL       string `env:"DCS_INFLUX_URL" envDefault:"http://127.0.0.1:8086" doc:"where InfluxDB listens, http:// or https://"`
	InfluxOrg       string `env:"DCS_INFLUX_ORG" envDefault:"dcs" doc:"organisation; InfluxDB 1.8 has none and does not look at it"`
	InfluxBucket    string `env:"DCS_INFLUX_BUCKET" envDefault:"dcs" doc:"bucket; for InfluxDB 1.8 database/policy, or the database alone for its default policy"`
	InfluxTokenFile string `env:"DCS_INFLUX_TOKEN_FILE" doc:"file with a token that may read; for InfluxDB 1.8 with logins it holds user:password"`

	MongoURI      string `env:"DCS_MONGO_URI" envDefault:"mongodb://127.0.0.1:27017" doc:"MongoDB, where runs are read"`
	MongoURIFile  string `env:"DCS_MONGO_URI_FILE" doc:"file with MongoDB's URI, when there is a password in it; it wins over DCS_MONGO_URI"`
	MongoDatabase string `env:"DCS_MONGO_DATABASE" envDefault:"dcs" doc:"database of the runs"`
}

// Validate reports every setting that cannot work.
func (c *config) Validate() error {
	errs := []error{c.ValidateBus()}
	bad := func(wrong bool, setting, format string, args ...any) {
		if wrong {
			errs = append(errs, service.Bad(setting, format, args...))
		}
	}
	_, port, err := net.SplitHostPort(c.Listen)
	bad(err != nil || port == "", "DCS_LISTEN", "%q is not host:port, as 127.0.0.1:8443", c.Listen)
	bad((c.CertFile == "") != (c.KeyFile == ""), "DCS_TLS_CERT_FILE", "give DCS_TLS_KEY_FILE with it, or neither")
	for _, h := range c.Hosts {
		bad(h == "" || strings.ContainsAny(h, " :/*") && net.ParseIP(h) == nil, "DCS_TLS_HOSTS", "%q is neither a name nor an address", h)
	}
	bad(c.SessionIdle < time.Minute || c.SessionIdle > c.SessionMax, "DCS_SESSION_IDLE", "%v: choose 1m up to DCS_SESSION_MAX", c.SessionIdle)
	bad(c.SessionMax < time.Minute || c.SessionMax > 30*24*time.Hour, "DCS_SESSION_MAX", "%v: choose 1m to 720h", c.SessionMax)
	for setting, address := range map[string]string{"DCS_GRAFANA_URL": c.GrafanaURL, "DCS_NODERED_URL": c.NodeRedURL} {
		u, err := part(address)
		bad(err != nil, setting, "%q: begin with http:// or https:// and a host, and end there, as http://127.0.0.1:1880", address)
		_ = u
	}
	_, err = c.nodeRedSecret()
	bad(err != nil, "DCS_NODERED_SECRET_FILE", "%v", err)
	u, err := url.Parse(c.InfluxURL)
	bad(err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "",
		"DCS_INFLUX_URL", "begin with http:// or https:// and a host, as http://127.0.0.1:8086")
	bad(c.InfluxOrg == "", "DCS_INFLUX_ORG", "is empty")
	bad(c.InfluxBucket == "" || strings.HasPrefix(c.InfluxBucket, "/"), "DCS_INFLUX_BUCKET", "%q names no bucket", c.InfluxBucket)
	for setting, file := range map[string]string{
		"DCS_INFLUX_TOKEN_FILE": c.InfluxTokenFile, "DCS_MONGO_URI_FILE": c.MongoURIFile,
	} {
		if file != "" {
			_, err := os.ReadFile(file)
			bad(err != nil, setting, "%v", err)
		}
	}
	bad(c.MongoURIFile == "" && !strings.HasPrefix(c.MongoURI, "mongodb://") && !strings.HasPrefix(c.MongoURI, "mongodb+srv://"),
		"DCS_MONGO_URI", "begin with mongodb:// or mongodb+srv:// and a host, as mongodb://127.0.0.1:27017")
	return errors.Join(errs...)
}

// part reads the address of a part that is behind the gateway; nil for none.
func part(address string) (*url.URL, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("not the address of a server")
	}
	u.Path = ""
	return u, nil
}

// nodeRedSecret reads what is shown to Node-RED; empty when nothing is.
func (c *config) nodeRedSecret() (string, error) {
	if c.NodeRedSecretFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(c.NodeRedSecretFile)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("%s is empty: put the secret into it that Node-RED has in NODERED_GATEWAY_SECRET_FILE", c.NodeRedSecretFile)
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s: one line of letters, digits and signs, without spaces, is wanted", c.NodeRedSecretFile)
	}
	return secret, nil
}

// usersFile is where the accounts are.
func (c *config) usersFile() string {
	if c.UsersFile != "" {
		return c.UsersFile
	}
	return filepath.Join(c.DataDir, "users.json")
}
