// Package history reads what the loader has archived in InfluxDB.
//
// It asks in InfluxQL at /query, which InfluxDB 1.8 and 3 answer as they are
// and 2.x through its compatibility with 1.x. Answers are read row by row while
// they come: months of data need no more memory than a minute. An answer that
// breaks off is an error, never a short answer.
package history

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// What a caller may want to tell apart. The errors themselves name the address
// and what can be done.
var (
	// ErrNoAnswer is that InfluxDB cannot be reached, is too slow, fails, or
	// breaks off in the middle of an answer.
	ErrNoAnswer = errors.New("InfluxDB does not answer")
	// ErrDenied is that InfluxDB does not accept the token or the login.
	ErrDenied = errors.New("InfluxDB denies access")
	// ErrNoDatabase is that there is no such database or retention policy.
	ErrNoDatabase = errors.New("no such database")
)

// Config says where InfluxDB is.
type Config struct {
	URL       string        // http:// or https://, with a path if it is behind a proxy
	Org       string        // organisation of InfluxDB 2.x; may be empty
	Bucket    string        // database, or database/policy; not empty
	TokenFile string        // file with the token, or with user:password; none if empty
	Timeout   time.Duration // how long InfluxDB may be silent; DefaultTimeout if not positive
}

// DefaultTimeout is how long InfluxDB may be silent, at the beginning of an
// answer or in the middle.
const DefaultTimeout = 30 * time.Second

// Client asks one InfluxDB. It may be used by several goroutines at once.
type Client struct {
	cfg      Config
	endpoint url.URL
	db, rp   string
	http     *http.Client
}

// New checks cfg and returns a client for it. It does not ask anything yet.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("InfluxDB's address: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("InfluxDB's address %q: want http://host:port or https://host:port", cfg.URL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, fmt.Errorf("InfluxDB's address %q: want nothing but scheme, host, port and path; a login goes into the token's file", u.Redacted())
	}
	db, rp, _ := strings.Cut(cfg.Bucket, "/")
	if db == "" {
		return nil, fmt.Errorf("bucket %q: want a name, or database/policy", cfg.Bucket)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // it costs InfluxDB more than the network
	return &Client{cfg: cfg, endpoint: *u.JoinPath("query"), db: db, rp: rp, http: &http.Client{Transport: transport}}, nil
}

// Close closes the connections that are kept for the next question.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// authorize reads the token's file anew: tokens are exchanged while programs run.
func (c *Client) authorize(req *http.Request) error {
	if c.cfg.TokenFile == "" {
		return nil
	}
	b, err := os.ReadFile(c.cfg.TokenFile)
	if err != nil {
		return fmt.Errorf("token for InfluxDB: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return fmt.Errorf("token for InfluxDB: %s is empty", c.cfg.TokenFile)
	}
	if user, password, ok := strings.Cut(token, ":"); ok {
		req.SetBasicAuth(user, password)
		return nil
	}
	req.Header.Set("Authorization", "Token "+token)
	return nil
}
