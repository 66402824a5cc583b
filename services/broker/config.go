package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/service"
	"trackerdcs/services/broker/mqttd"
)

type config struct {
	service.Service

	Listen       string        `env:"DCS_LISTEN" envDefault:"tcp://127.0.0.1:1883" doc:"where clients connect: tcp://host:port, or ssl://host:port with a certificate; port 0 takes a free one and logs it"`
	User         string        `env:"DCS_BROKER_USER" doc:"login that every client must give"`
	PasswordFile string        `env:"DCS_BROKER_PASSWORD_FILE" doc:"file with the login's password"`
	CertFile     string        `env:"DCS_TLS_CERT_FILE" doc:"file with the certificate, for ssl://"`
	KeyFile      string        `env:"DCS_TLS_KEY_FILE" doc:"file with the certificate's key, for ssl://"`
	MaxStore     int64         `env:"DCS_MAX_STORE" envDefault:"10737418240" doc:"bytes kept on disk at most; a full broker drops nothing, but refuses publishes and persistent sessions until this is raised"`
	SyncInterval time.Duration `env:"DCS_SYNC_INTERVAL" envDefault:"10s" doc:"time between two flushes to disk: what a power cut may take; 0 flushes before each acknowledgement"`
}

// Validate reports everything that is wrong with the settings.
func (c *config) Validate() error {
	_, err := c.options()
	return err
}

// options are the broker's options for these settings; files are read here.
func (c *config) options() (mqttd.Options, error) {
	o := mqttd.Options{User: c.User, MaxStore: c.MaxStore, Sync: c.SyncInterval == 0, SyncInterval: c.SyncInterval}
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, service.Bad(setting, format, args...))
	}

	scheme, host, port, err := parseListen(c.Listen)
	if err != nil {
		bad("DCS_LISTEN", "%v", err)
	}
	o.Host, o.Port = host, port

	if (c.User == "") != (c.PasswordFile == "") {
		bad("DCS_BROKER_USER", "goes with DCS_BROKER_PASSWORD_FILE: set both or none")
	}
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		o.Password = strings.TrimRight(string(b), "\r\n")
		switch {
		case err != nil:
			bad("DCS_BROKER_PASSWORD_FILE", "%v", err)
		case o.Password == "":
			bad("DCS_BROKER_PASSWORD_FILE", "%s is empty", c.PasswordFile)
		}
	}

	switch files := c.CertFile != "" || c.KeyFile != ""; {
	case scheme == "ssl":
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			bad("DCS_TLS_CERT_FILE", "and DCS_TLS_KEY_FILE: %v", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	case scheme == "tcp" && files:
		bad("DCS_TLS_CERT_FILE", "is given, but DCS_LISTEN is not ssl://")
	}

	if c.MaxStore < 1<<20 {
		bad("DCS_MAX_STORE", "%d is less than a mebibyte", c.MaxStore)
	}
	if c.SyncInterval < 0 {
		bad("DCS_SYNC_INTERVAL", "%v is negative", c.SyncInterval)
	}
	return o, errors.Join(errs...)
}

func parseListen(s string) (scheme, host string, port int, err error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", "", 0, fmt.Errorf("%q is not tcp://host:port", s)
	}
	host, p, err := net.SplitHostPort(u.Host)
	if err != nil || host == "" || u.Path != "" || u.Scheme != "tcp" && u.Scheme != "ssl" {
		return "", "", 0, fmt.Errorf("%q is not tcp://host:port or ssl://host:port", s)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", "", 0, fmt.Errorf("%q: %q is not a port, 0 to 65535", s, p)
	}
	return u.Scheme, host, int(n), nil
}
