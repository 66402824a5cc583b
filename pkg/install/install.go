// Package install makes what an installation is made of besides programs: its
// secrets, the accounts and the access list of the broker, certificates, the
// first login, and the compose file for its instruments. Each is made once: what
// is there stays as it is.
package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/brokerauth"
	"trackerdcs/pkg/install/instruments"
)

// DefaultInstruments is the file that may be missing: then there are no
// instruments yet.
const DefaultInstruments = "instruments.yml"

// Options say what is made, and where.
type Options struct {
	Dir         string              // the installation's folder
	Instruments string              // the file that names the instruments, relative to Dir; default DefaultInstruments
	Hosts       []string            // more names and addresses for the broker's certificate
	Rotate      []string            // names of secrets that are renewed
	From        string              // a backup, whose secrets and configuration are taken
	Getenv      func(string) string // default os.Getenv
	Now         func() time.Time    // default time.Now
}

// State says what became of a file.
type State string

// The states.
const (
	Made     State = "made"
	There    State = "there"
	Changed  State = "changed" // a file that is made from others was brought up to date
	Renewed  State = "renewed"
	Restored State = "restored" // taken out of a backup
)

// Item is a file of the installation.
type Item struct {
	Group string // what it belongs to, for people
	Name  string
	State State
}

// Login is a name and a password.
type Login struct{ Name, Password string }

// Report says what was done.
type Report struct {
	Items       []Item
	Instruments *instruments.File // nil when no file names any
	Until       time.Time         // the end of the broker's certificate
	Hosts       []string          // whom it is for
	Login       *Login            // the first login, when it was made
	LoginIf     string            // a sentence on when it counts, where it may not
	Notes       []string          // what somebody should know
	Next        []string          // what to type next
}

// Run makes what is missing. When it fails what was made until then stays, and
// is not made again.
func Run(ctx context.Context, o Options) (*Report, error) {
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return &s.report, nil
}

// session is one run.
type session struct {
	Options
	*folder
	env      map[string]string // of .env
	accounts []brokerauth.Account
	rotate   []string
	report   Report
	held     io.Closer // the lock
	live     bool      // there was an access list before: a broker may be running with it
}

func open(o Options) (*session, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dir == "" {
		o.Dir = "."
	}
	if o.Instruments == "" {
		o.Instruments = DefaultInstruments
	}
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	return &session{Options: o, folder: f}, nil
}

func (s *session) run(ctx context.Context) error {
	if err := s.lockSecrets(); err != nil {
		return err
	}
	if s.From != "" {
		if err := s.restore(); err != nil {
			return fmt.Errorf("taking %s: %w", s.From, err)
		}
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.makeSecrets(); err != nil {
		return err
	}
	if err := s.backups(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.secrets, s.certificates, s.firstLogin, s.broker, s.compose} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.handOn()
	s.leftOver()
	s.next()
	return nil
}

// prepare reads and checks everything before anything is made.
func (s *session) prepare() error {
	var err error
	if s.env, err = s.readEnv(); err != nil {
		return err
	}
	var errs []error
	file, err := instruments.Read(s.Dir, s.Instruments)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.Instruments == DefaultInstruments:
		errs = append(errs, s.noInstruments())
	case errors.Is(err, fs.ErrNotExist):
		errs = append(errs, fmt.Errorf("there is no %s: name the instruments in it, as instruments.example.yml shows", s.Instruments))
	case err != nil:
		errs = append(errs, err)
	default:
		s.report.Instruments = file
		errs = append(errs, s.ourOverride(), s.elsewhere())
	}
	if file != nil {
		s.accounts = append(ownAccounts(), file.Accounts()...)
	} else {
		s.accounts = ownAccounts()
	}
	slices.SortFunc(s.accounts, func(a, b brokerauth.Account) int { return strings.Compare(a.Name, b.Name) })
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if _, err := brokerauth.ACL(s.topicRoot(), s.accounts); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, s.checkRotate())
	}
	if _, err := s.wantedHosts(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// noInstruments complains of a compose file whose instruments are not named any
// more: its drivers would lose their logins.
func (s *session) noInstruments() error {
	text, there, err := s.read(instruments.OverrideName)
	if err != nil || !there || !instruments.Generated(text) {
		return err
	}
	return fmt.Errorf("%s was made from a file of instruments, and %s is not there: put it back, or remove %s if there are none any more",
		instruments.OverrideName, DefaultInstruments, instruments.OverrideName)
}

// setting is a variable of the environment or, as Compose does it, of .env.
func (s *session) setting(name string) string {
	if v := s.Getenv(name); v != "" {
		return v
	}
	return s.env[name]
}

func (s *session) topicRoot() string { return s.setting("DCS_TOPIC_ROOT") }

// readEnv reads .env as far as simple values go.
func (s *session) readEnv() (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, ".env"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the settings of Compose: %w", err)
	}
	env := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		key = strings.TrimSpace(strings.TrimPrefix(key, "export "))
		env[key] = unquote(strings.TrimSpace(value))
	}
	return env, nil
}

func unquote(v string) string {
	if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') {
		if end := strings.IndexByte(v[1:], v[0]); end >= 0 {
			return v[1 : 1+end]
		}
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = strings.TrimSpace(v[:i])
	}
	return v
}

// wantedHosts are the names and addresses that the broker's certificate should have.
func (s *session) wantedHosts() ([]string, error) {
	hosts := []string{"mosquitto", "localhost", "127.0.0.1", "::1"}
	for _, h := range slices.Concat(strings.Split(s.setting("DCS_TLS_HOSTS"), ","), s.Hosts) {
		h = strings.Trim(strings.TrimSpace(h), "[]")
		if ip := net.ParseIP(h); ip != nil {
			h = ip.String()
		} else if h = strings.ToLower(h); h != "" && !hostRE.MatchString(h) {
			return nil, fmt.Errorf("%q is neither the name nor the address of a host: mend --host, or DCS_TLS_HOSTS", h)
		}
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

func (s *session) add(group, name string, state State) {
	s.report.Items = append(s.report.Items, Item{group, name, state})
}

func (s *session) notef(format string, args ...any) {
	s.report.Notes = append(s.report.Notes, fmt.Sprintf(format, args...))
}

// secretPath is where a secret is.
func secretPath(name string) string { return filepath.Join(secretsDir, name) }
