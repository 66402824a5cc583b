package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// AdminUser is who administers the databases where that takes a name: InfluxDB
// 1.8 and MongoDB.
const AdminUser = "dcs"

// Influx is what is made in InfluxDB. One of the two secrets is needed, by the
// version that answers.
type Influx struct {
	URL          string        // http:// or https://
	Org          string        // of InfluxDB 2
	Bucket       string        // or database of InfluxDB 1.8; what follows a slash does not count
	TokenFile    string        // admin's token, for InfluxDB 2
	PasswordFile string        // of AdminUser, for InfluxDB 1.8
	TokensDir    string        // each token is written to <name>/token in it
	Rotate       []string      // tokens that are replaced although they work
	Wait         time.Duration // how long InfluxDB may not be there yet
	Log          *slog.Logger
}

// Validate reports what cannot work.
func (c *Influx) Validate() error {
	var errs []error
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		errs = append(errs, errors.New("DCS_INFLUX_URL: begin with http:// or https:// and a host, as http://127.0.0.1:8086"))
	}
	if c.database() == "" {
		errs = append(errs, fmt.Errorf("DCS_INFLUX_BUCKET: %q names no bucket", c.Bucket))
	}
	if c.Org == "" {
		errs = append(errs, errors.New("DCS_INFLUX_ORG: is empty"))
	}
	for _, name := range c.Rotate {
		if !isGrant(name) {
			errs = append(errs, fmt.Errorf("--rotate %s: there is no such token, only %s", name, grantNames()))
		}
	}
	return errors.Join(errs...)
}

// database is the bucket without a retention policy.
func (c *Influx) database() string {
	db, _, _ := strings.Cut(c.Bucket, "/")
	return db
}

// Run waits for InfluxDB, finds out which one it is, and makes what is missing.
func (c *Influx) Run(ctx context.Context) error {
	web := &web{base: strings.TrimRight(c.URL, "/"), http: &http.Client{Timeout: requestTime}}
	defer web.http.CloseIdleConnections()
	var version string
	err := await(ctx, c.Wait, c.Log, "InfluxDB", c.URL, func(ctx context.Context) (err error) {
		version, err = web.version(ctx)
		return err
	})
	if err != nil {
		return err
	}
	s, err := c.open(web, version)
	if err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var errs []error
	for _, g := range Grants() {
		errs = append(errs, c.token(ctx, s, g))
	}
	return errors.Join(errs...)
}

// open chooses by the version that the server has said.
func (c *Influx) open(web *web, version string) (server, error) {
	c.Log.Info("InfluxDB answers", "address", c.URL, "version", version)
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	switch major {
	case "1", "unknown": // a 1.8 that was built without saying its version
		password, err := secret("DCS_INFLUX_ADMIN_PASSWORD_FILE", c.PasswordFile, "InfluxDB "+version)
		if err != nil {
			return nil, err
		}
		return &influx1{c: c, web: web, password: password}, nil
	case "2":
		token, err := secret("DCS_INFLUX_ADMIN_TOKEN_FILE", c.TokenFile, "InfluxDB "+version)
		if err != nil {
			return nil, err
		}
		return &influx2{c: c, web: web, admin: token}, nil
	}
	return nil, fmt.Errorf("InfluxDB at %s is of version %s: 1.8 and 2 are known", c.URL, version)
}

// secret reads a file with one line.
func secret(setting, file, who string) (string, error) {
	if file == "" {
		return "", fmt.Errorf("%s: %s needs it", setting, who)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("%s: %s is empty", setting, file)
	}
	return s, nil
}

// web asks InfluxDB over HTTP.
type web struct {
	base string // the server's address without a slash at its end
	http *http.Client
}

// version asks for the server's version, which needs no login.
func (w *web) version(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/ping", nil)
	if err != nil {
		return "", &refusal{err}
	}
	res, err := w.do(req)
	if err != nil {
		return "", err
	}
	v := res.header.Get("X-Influxdb-Version")
	switch {
	case res.status >= 500:
		return "", fmt.Errorf("it answers %d %s", res.status, http.StatusText(res.status))
	case v == "":
		return "", refused("what answers at %s is not InfluxDB (%d to /ping)", w.base, res.status)
	}
	return v, nil
}

// maxAnswer is more than the list of a large installation's tokens, in bytes.
const maxAnswer = 16 << 20

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// said is what the server says to a refusal: 1.8 calls it error, 2 message.
func (a *answer) said() string {
	var s struct{ Error, Message string }
	if json.Unmarshal(a.body, &s) == nil {
		if s.Message != "" {
			return s.Message
		}
		if s.Error != "" {
			return s.Error
		}
	}
	return strings.TrimSpace(string(a.body))
}

func (w *web) do(req *http.Request) (*answer, error) {
	res, err := w.http.Do(req)
	if err != nil {
		var in *url.Error // it would repeat the address, and a question
		if errors.As(err, &in) {
			err = in.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	return &answer{res.StatusCode, res.Header, body}, nil
}

// tries reports whether a token may do what its program does. It writes nothing.
func (w *web) tries(ctx context.Context, g Grant, org, database, token string) (bool, error) {
	if g.Read {
		if ok, err := w.reads(ctx, database, token); err != nil || !ok {
			return false, err
		}
	}
	if g.Write {
		return w.writes(ctx, org, database, token)
	}
	return true, nil
}

// reads asks as the gateway and Grafana do.
func (w *web) reads(ctx context.Context, database, token string) (bool, error) {
	values := url.Values{"db": {database}, "q": {"SHOW MEASUREMENTS LIMIT 1"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/query?"+values.Encode(), nil)
	if err != nil {
		return false, err
	}
	authorize(req, token)
	a, err := w.do(req)
	if err != nil {
		return false, err
	}
	if a.status == http.StatusOK {
		return resultError(a.body) == nil, nil
	}
	return false, a.unexpected()
}

// writes writes no points at all: whoever may not write is told so before
// InfluxDB 2 complains of that.
func (w *web) writes(ctx context.Context, org, bucket, token string) (bool, error) {
	values := url.Values{"org": {org}, "bucket": {bucket}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base+"/api/v2/write?"+values.Encode(), http.NoBody)
	if err != nil {
		return false, err
	}
	authorize(req, token)
	a, err := w.do(req)
	if err != nil {
		return false, err
	}
	if a.status == http.StatusNoContent || a.status == http.StatusBadRequest {
		return true, nil
	}
	return false, a.unexpected()
}

// unexpected is nothing where the server only says that the token may not.
func (a *answer) unexpected() error {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("InfluxDB answers %d: %s", a.status, a.said())
}

// authorize logs in as the stack's programs do.
func authorize(req *http.Request, token string) {
	if user, password, ok := strings.Cut(token, ":"); ok {
		req.SetBasicAuth(user, password)
		return
	}
	req.Header.Set("Authorization", "Token "+token)
}

// resultError is what an answer in InfluxQL says went wrong: its status is 200
// all the same.
func resultError(body []byte) error {
	var a struct {
		Error   string
		Results []struct{ Error string }
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("the answer is not InfluxDB's: %w", err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	for _, r := range a.Results {
		if r.Error != "" {
			return errors.New(r.Error)
		}
	}
	return nil
}
