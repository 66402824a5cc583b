package service

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = time.Minute

// settings are those of a program that has some of each kind.
type settings struct {
	Limit int           `env:"DCS_LIMIT,required,notEmpty" doc:"how much"`
	Every time.Duration `env:"DCS_EVERY" envDefault:"1s" doc:"how often"`
	Pipe  string        `env:"DCS_PIPE" doc:"this | that"`
	Service
	Bus
}

func (s *settings) Validate() error {
	errs := []error{s.ValidateBus()}
	if s.Limit > 100 {
		errs = append(errs, Bad("DCS_LIMIT", "%d is above 100", s.Limit))
	}
	if s.Every <= 0 {
		errs = append(errs, Bad("DCS_EVERY", "%v is not positive", s.Every))
	}
	return errors.Join(errs...)
}

// A program that is run as a child says that it is up, and how it is asked to end.
const childEnv = "SERVICE_TEST_CHILD"

func TestMain(m *testing.M) {
	how := os.Getenv(childEnv)
	if how == "" {
		os.Exit(m.Run())
	}
	Main("child", "is a test.", func(ctx context.Context, e *Env, s *settings) error {
		e.Log.Info("up")
		if how == "fail" {
			return errors.New("the bench is on fire")
		}
		<-ctx.Done()
		if how == "unclean" {
			return errors.New("something is left over")
		}
		return nil
	})
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name, how string
		args      []string
		env       []string
		signal    os.Signal
		code      int
		says      string
	}{
		{"SIGTERM", "wait", nil, []string{"DCS_LIMIT=1"}, syscall.SIGTERM, 0, "msg=ended"},
		{"SIGINT", "wait", nil, []string{"DCS_LIMIT=1"}, os.Interrupt, 0, "msg=ended"},
		{"SIGTERM, not clean", "unclean", nil, []string{"DCS_LIMIT=1"}, syscall.SIGTERM, 0, "something is left over"},
		{"failed", "fail", nil, []string{"DCS_LIMIT=1"}, nil, 1, "the bench is on fire"},
		{"bad settings", "wait", nil, nil, nil, 2, "DCS_LIMIT: is required: how much"},
		{"check", "wait", []string{"-check"}, []string{"DCS_LIMIT=1"}, nil, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], tt.args...)
			cmd.Env = append(tt.env, childEnv+"="+tt.how)
			out, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			var said strings.Builder
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				said.WriteString(lines.Text() + "\n")
				if tt.signal != nil && strings.Contains(lines.Text(), "msg=up") {
					require.NoError(t, cmd.Process.Signal(tt.signal))
				}
			}
			_ = cmd.Wait()
			assert.Equal(t, tt.code, cmd.ProcessState.ExitCode(), said.String())
			assert.Contains(t, said.String(), tt.says)
		})
	}
}

// call runs a program's main in this process.
func call(t *testing.T, args []string, environ ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	a := app{program: "test", about: "does nothing.", cfg: &settings{}, out: &o, err: &e,
		run: func(context.Context, *Env) error { return nil }}
	code = a.main(t.Context(), args, environ)
	return code, o.String(), e.String()
}

func TestEveryWrongSettingIsNamed(t *testing.T) {
	good := []string{"DCS_LIMIT=1"}
	for _, tt := range []struct {
		name string
		env  []string
		want []string // one line each, in any order
	}{
		{"required", nil, []string{"DCS_LIMIT: is required: how much"}},
		{"empty", []string{"DCS_LIMIT="}, []string{"DCS_LIMIT: is required and empty: how much"}},
		{"no number", []string{"DCS_LIMIT=ten"}, []string{`DCS_LIMIT: strconv.ParseInt: parsing "ten": invalid syntax (how much)`}},
		{"no duration", append(good, "DCS_EVERY=1"), []string{`DCS_EVERY: unable to parse duration: time: missing unit in duration "1" (how often)`}},
		{"own rule", []string{"DCS_LIMIT=101"}, []string{"DCS_LIMIT: 101 is above 100"}},
		{"name", append(good, "DCS_NAME=a/b"), []string{`DCS_NAME: name "a/b": use letters, digits, _ and - only`}},
		{"log level", append(good, "DCS_LOG_LEVEL=loud"), []string{`DCS_LOG_LEVEL: "loud" is not debug, info, warn or error`}},
		{"log format", append(good, "DCS_LOG_FORMAT=xml"), []string{`DCS_LOG_FORMAT: "xml" is neither text nor json`}},
		{"http", append(good, "DCS_HTTP=8080"), []string{`DCS_HTTP: "8080" is not host:port`}},
		{"broker", append(good, "DCS_BROKER=localhost"), []string{`DCS_BROKER: broker address "localhost": begin with tcp://, ssl://, ws:// or wss://`}},
		{"root", append(good, "DCS_TOPIC_ROOT=lab/"), []string{`DCS_TOPIC_ROOT: topic root "lab/": no wildcards, no $ in front and no slash at the end`}},
		{"password file", append(good, "DCS_BROKER_USER=me", "DCS_BROKER_PASSWORD_FILE=nowhere"), []string{`DCS_BROKER_PASSWORD_FILE: open nowhere: no such file or directory`}},
		{"password without user", append(good, "DCS_BROKER_PASSWORD_FILE=service_test.go"), []string{`DCS_BROKER_PASSWORD_FILE: needs DCS_BROKER_USER`}},
		{"CA", append(good, "DCS_BROKER_CA_FILE=service_test.go"), []string{`DCS_BROKER_CA_FILE: the broker's CA: no certificate in service_test.go`}},
		{"all at once", []string{"DCS_EVERY=x", "DCS_NAME=ä", "DCS_LOG_LEVEL=x", "DCS_LOG_FORMAT=x", "DCS_HTTP=x", "DCS_BROKER=x", "DCS_TOPIC_ROOT=+", "DCS_BROKER_CA_FILE=x"}, []string{
			"DCS_LIMIT: ", "DCS_EVERY: ", "DCS_NAME: ", "DCS_LOG_LEVEL: ", "DCS_LOG_FORMAT: ", "DCS_HTTP: ", "DCS_BROKER: ", "DCS_TOPIC_ROOT: ", "DCS_BROKER_CA_FILE: ",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := call(t, []string{"-check"}, tt.env...)
			assert.Equal(t, exitSettings, code)
			assert.Empty(t, out)
			lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
			assert.Equal(t, "test: all settings are listed by test -h", lines[len(lines)-1])
			assert.Len(t, lines, len(tt.want)+1, errs)
			for _, want := range tt.want {
				assert.Contains(t, errs, "test: "+want)
			}
		})
	}
}

type deviceSettings struct{ Device }

func TestDeviceNames(t *testing.T) {
	for value, want := range map[string]string{"": "DCS_DEVICE: is required and empty", "service": "is reserved", "h v": "use letters"} {
		errs := load(&deviceSettings{}, map[string]string{"DCS_DEVICE": value})
		require.Len(t, errs, 1, value)
		assert.ErrorContains(t, errs[0], want)
	}
	cfg := &deviceSettings{}
	require.Empty(t, load(cfg, map[string]string{"DCS_DEVICE": "hv"}))
	cfg.setInstance(cfg.instance("psu"))
	assert.Equal(t, filepath.Join("data", "hv"), cfg.DataDir)
}

func TestNames(t *testing.T) {
	cfg := &settings{}
	require.Empty(t, load(cfg, map[string]string{"DCS_LIMIT": "1"}))
	cfg.setInstance(cfg.instance("loader"))
	assert.Equal(t, "loader", cfg.Name, "a service is named after its binary")
	assert.Equal(t, filepath.Join("data", "loader"), cfg.DataDir)
	cfg = &settings{}
	require.Empty(t, load(cfg, map[string]string{"DCS_LIMIT": "1", "DCS_NAME": "two", "DCS_DATA_DIR": "/x"}))
	cfg.setInstance(cfg.instance("loader"))
	assert.Equal(t, "two", cfg.Name)
	assert.Equal(t, "/x", cfg.DataDir)
}

func TestArguments(t *testing.T) {
	for _, arg := range []string{"-h", "--help", "-help"} {
		code, out, _ := call(t, []string{arg})
		assert.Equal(t, exitOK, code)
		assert.Contains(t, out, "test does nothing.")
		assert.Regexp(t, `(?m)^DCS_LIMIT +required +how much$`, out)
		assert.Regexp(t, `(?m)^DCS_EVERY +1s +how often$`, out)
		assert.Regexp(t, `(?m)^DCS_BROKER_USER +none +login at the broker$`, out)
		assert.Less(t, strings.Index(out, "DCS_PIPE"), strings.Index(out, "DCS_NAME"), "what the program is for comes first")
	}
	code, out, _ := call(t, []string{"-version"})
	assert.Equal(t, exitOK, code)
	assert.Equal(t, "test "+Version()+"\n", out)

	code, out, _ = call(t, []string{"-check"}, "DCS_LIMIT=1", "DCS_NAME=mine")
	assert.Equal(t, exitOK, code)
	assert.Equal(t, "test: the settings of mine are good\n", out)

	for _, arg := range []string{"-x", "start", "check", "DCS_LIMIT=1", "-", ""} {
		code, _, errs := call(t, []string{arg}, "DCS_LIMIT=1")
		assert.Equal(t, exitSettings, code, arg)
		assert.Contains(t, errs, "unknown argument", arg)
	}
}

func TestSettingsTable(t *testing.T) {
	table := SettingsTable(&settings{})
	assert.True(t, strings.HasPrefix(table, "| Setting | Default | Meaning |\n|---|---|---|\n| `DCS_LIMIT` | required | how much |\n| `DCS_EVERY` | `1s` | how often |\n"), table)
	assert.Contains(t, table, `this \| that`)
}

func TestBootsDiffer(t *testing.T) {
	assert.NotEqual(t, NewBoot(), NewBoot())
	assert.Len(t, NewBoot(), 10)
}

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	c := Common{LogLevel: "warn", LogFormat: "json"}
	c.logger(&b, "hv").Info("quiet")
	assert.Empty(t, b.String())
	c.logger(&b, "hv").Warn("loud")
	assert.Contains(t, b.String(), `"msg":"loud","name":"hv"`)
}

// logOf collects a log and finds the address that is served in it.
type logOf struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logOf) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logOf) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func TestHTTP(t *testing.T) {
	log := &logOf{}
	envs := make(chan *Env, 1)
	a := app{program: "test", cfg: &settings{}, out: io.Discard, err: log, run: func(ctx context.Context, e *Env) error {
		envs <- e
		<-ctx.Done()
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- a.main(ctx, nil, []string{"DCS_LIMIT=1", "DCS_HTTP=127.0.0.1:0"}) }()
	e := <-envs
	addr := ""
	require.Eventually(t, func() bool {
		_, rest, ok := strings.Cut(log.String(), "address=")
		addr, _, _ = strings.Cut(rest, "\n")
		return ok
	}, patience, time.Millisecond)
	url := "http://" + addr
	check := func(healthz, readyz int, reason string) {
		t.Helper()
		code, body := get(t, url+"/healthz")
		assert.Equal(t, healthz, code, body)
		code, body = get(t, url+"/readyz")
		assert.Equal(t, readyz, code, body)
		assert.Contains(t, body, reason)
	}
	check(200, 503, "not ready")
	e.Health.SetReady(true, "")
	check(200, 200, "ok")
	e.Health.SetReady(false, "unreachable: no answer")
	check(200, 503, "not ready: unreachable: no answer")
	e.Health.SetSick("the store is corrupt")
	check(503, 503, "the store is corrupt")

	status, body := get(t, url+"/metrics")
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "go_goroutines")
	assert.Contains(t, body, "process_resident_memory_bytes")

	healthcheck := func() (int, string) {
		var o, errs bytes.Buffer
		a := app{program: "test", cfg: &settings{}, out: &o, err: &errs}
		code := a.main(t.Context(), []string{"-healthcheck"}, []string{"DCS_LIMIT=1", "DCS_HTTP=" + addr})
		return code, o.String() + errs.String()
	}
	got, said := healthcheck()
	assert.Equal(t, exitFailed, got)
	assert.Contains(t, said, "the store is corrupt")
	e.Health.SetSick("")
	got, said = healthcheck()
	assert.Equal(t, exitOK, got)
	assert.Equal(t, "ok\n", said)
	cancel()
	assert.Equal(t, exitOK, <-code)
	got, _ = healthcheck()
	assert.Equal(t, exitFailed, got, "nobody there")
}

func TestHealthcheckNeedsAnAddress(t *testing.T) {
	code, _, errs := call(t, []string{"-healthcheck"}, "DCS_LIMIT=1")
	assert.Equal(t, exitSettings, code)
	assert.Contains(t, errs, "DCS_HTTP")
}

// A port that is taken ends the program and says what to do.
func TestPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	log := &logOf{}
	a := app{program: "test", cfg: &settings{}, out: io.Discard, err: log, run: func(ctx context.Context, _ *Env) error {
		<-ctx.Done()
		return nil
	}}
	assert.Equal(t, exitFailed, a.main(t.Context(), nil, []string{"DCS_LIMIT=1", "DCS_HTTP=" + l.Addr().String()}))
	assert.Contains(t, log.String(), "DCS_HTTP")
	assert.Contains(t, log.String(), "choose another port")
}
