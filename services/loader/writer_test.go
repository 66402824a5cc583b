package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/spool"
)

// archiveFunc is an archive of one function.
type archiveFunc func(ctx context.Context, lines []byte) error

func (f archiveFunc) Write(ctx context.Context, lines []byte) error { return f(ctx, lines) }

func (f archiveFunc) explain(err error) string { return err.Error() }

func answered(status int, header ...string) error {
	e := &influxhttp.Error{StatusCode: status, Code: "scripted", Message: fmt.Sprint("answer ", status), Header: make(http.Header)}
	for i := 0; i < len(header); i += 2 {
		e.Header.Set(header[i], header[i+1])
	}
	return e
}

var errNetwork = &influxhttp.Error{Err: errors.New("connection refused")}

// batchOf makes a batch of messages of two lines each.
func batchOf(messages int) *batch {
	var b batch
	e := newEncoder("")
	for i := range messages {
		payload := fmt.Sprintf(`[{"number":0,"seq":%d},{"number":1,"seq":%d}]`, i, i)
		if _, err := b.add(e, received("/hv/status", payload), spool.Pos(i)); err != nil {
			panic(err)
		}
	}
	return &b
}

// telling is a writer's tell that keeps what changed.
type telling struct {
	said []string
	at   []time.Duration
	from time.Time
}

func (l *telling) tell(err error) {
	word := "well"
	if err != nil {
		word = err.Error()
	}
	if len(l.said) == 0 || l.said[len(l.said)-1] != word {
		l.said = append(l.said, word)
		l.at = append(l.at, time.Since(l.from))
	}
}

func newWriter(t testing.TB, a archive) (*writer, *telling) {
	told := &telling{from: time.Now()}
	return &writer{
		archive: a, metrics: testMetrics(t),
		refused: func(*batch, int, error) {}, tell: told.tell,
	}, told
}

// testMetrics are metrics that nobody looks at.
func testMetrics(t testing.TB) *metrics {
	s, _, err := spool.Open(filepath.Join(t.TempDir(), "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return newMetrics(prometheus.NewRegistry(), newQueue(10, 1<<22), newLedger(), s)
}

// Whatever InfluxDB says but that the lines are bad: they are written again
// until it takes them, with pauses that grow and end.
func TestWriterRepeats(t *testing.T) {
	for _, tt := range []struct {
		name          string
		err           error
		longest       time.Duration
		told          string
		toldAtOnce    bool
		shortestPause time.Duration
	}{
		{"no answer", errNetwork, lastKnock, "connection refused", false, lastKnock / 2},
		{"no database", answered(404), lastKnock, "scripted: answer 404", true, lastKnock / 2},
		{"token refused", answered(401), lastRetry, "scripted: answer 401", true, lastRetry / 2},
		{"forbidden", answered(403), lastRetry, "scripted: answer 403", true, lastRetry / 2},
		{"broken", answered(500), lastRetry, "scripted: answer 500", false, lastRetry / 2},
		{"overloaded", answered(503), lastRetry, "scripted: answer 503", false, lastRetry / 2},
		{"asked to wait", answered(503, "Retry-After", "42"), 42 * time.Second, "scripted: answer 503", false, 42 * time.Second},
		{"too many", answered(429, "Retry-After", "7"), lastRetry, "scripted: answer 429", false, 7 * time.Second},
		{"asked to wait a day", answered(503, "Retry-After", "86400"), maxRetryAfter, "scripted: answer 503", false, maxRetryAfter},
		{"nonsense", answered(302), lastRetry, "scripted: answer 302", false, lastRetry / 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := batchOf(1)
				began := time.Now()
				var pauses []time.Duration
				last := began
				w, told := newWriter(t, archiveFunc(func(_ context.Context, lines []byte) error {
					if !bytes.Equal(lines, b.lines) {
						t.Errorf("other lines: %q", lines)
					}
					pauses = append(pauses, time.Since(last))
					last = time.Now()
					if time.Since(began) > 2*time.Hour {
						return nil
					}
					return tt.err
				}))
				if err := w.store(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if got := slices.Max(pauses); got > tt.longest || got < tt.longest/2 {
					t.Errorf("the longest pause is %v, want near %v", got, tt.longest)
				}
				if got := pauses[len(pauses)-2]; got < tt.shortestPause {
					t.Errorf("in the end it pauses for %v, want at least %v", got, tt.shortestPause)
				}
				if len(told.said) != 2 || told.said[0] != tt.told || told.said[1] != "well" {
					t.Errorf("told %q", told.said)
				}
				if atOnce := told.at[0] == 0; atOnce != tt.toldAtOnce {
					t.Errorf("told after %v", told.at[0])
				}
			})
		})
	}
}

func TestRetryAfterDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		when := time.Now().Add(90 * time.Second)
		attempts := 0
		w, _ := newWriter(t, archiveFunc(func(context.Context, []byte) error {
			if attempts++; attempts == 1 {
				return answered(429, "Retry-After", when.UTC().Format(http.TimeFormat))
			}
			return nil
		}))
		if err := w.store(t.Context(), batchOf(1)); err != nil || time.Now().Before(when) {
			t.Errorf("%v, %v too early", err, time.Until(when))
		}
	})
}

// A hiccup is not worth a new state: drivers replay when it turns ready.
func TestHiccupIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		w, told := newWriter(t, archiveFunc(func(context.Context, []byte) error {
			if attempts++; attempts <= 2 {
				return answered(503)
			}
			return nil
		}))
		if err := w.store(t.Context(), batchOf(1)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told.said, []string{"well"}) {
			t.Errorf("told %q", told.said)
		}
	})
}

func TestWriterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w, _ := newWriter(t, archiveFunc(func(context.Context, []byte) error { return errNetwork }))
		if err := w.store(ctx, batchOf(3)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	})
}

// Lines that InfluxDB will never take are found by halving; all others are
// stored, whatever it stores of a batch that it complains of.
func TestWriterFindsBadLines(t *testing.T) {
	const lines = 5000
	for _, tt := range []struct {
		name     string
		code     int
		bad      []int // lines
		attempts int   // at most
	}{
		{"none", 400, nil, 1},
		{"one, 400", 400, []int{1234}, 1 + 2*13},
		{"one, 422", 422, []int{4999}, 1 + 2*13},
		{"the first", 400, []int{0}, 1 + 2*13},
		{"three", 422, []int{7, 8, 4000}, 1 + 6*13},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := batchOf(lines / 2)
			refuse := make(map[string]bool)
			for _, i := range tt.bad {
				refuse[string(b.span(i, i+1))] = true
			}
			stored := make(map[string]bool)
			attempts := 0
			w, told := newWriter(t, archiveFunc(func(_ context.Context, body []byte) error {
				if len(body) == 0 {
					return nil // asked whether it is InfluxDB
				}
				attempts++
				var all []string
				for line := range strings.Lines(string(body)) {
					if refuse[line] {
						return answered(tt.code)
					}
					all = append(all, line)
				}
				for _, line := range all {
					stored[line] = true
				}
				return nil
			}))
			var refused []string
			w.refused = func(of *batch, i int, reason error) {
				if of != b || !strings.Contains(reason.Error(), fmt.Sprint("answer ", tt.code)) {
					t.Errorf("refused line %d: %v", i, reason)
				}
				refused = append(refused, string(b.span(i, i+1)))
			}
			if err := w.store(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if len(stored) != lines-len(tt.bad) || len(refused) != len(tt.bad) {
				t.Errorf("%d stored, %d refused", len(stored), len(refused))
			}
			for _, line := range refused {
				if !refuse[line] {
					t.Errorf("refused %q", line)
				}
			}
			if attempts > tt.attempts {
				t.Errorf("%d attempts", attempts)
			}
			if !slices.Equal(told.said, []string{"well"}) {
				t.Errorf("told %q", told.said)
			}
		})
	}
}

func TestWriterSplitsWhatIsTooLarge(t *testing.T) {
	b := batchOf(500)
	var stored []byte
	w, _ := newWriter(t, archiveFunc(func(_ context.Context, body []byte) error {
		if len(body) > 1000 {
			return answered(413)
		}
		stored = append(stored, body...)
		return nil
	}))
	w.refused = func(_ *batch, i int, _ error) { t.Errorf("refused line %d", i) }
	if err := w.store(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, b.lines) {
		t.Errorf("%d bytes stored of %d", len(stored), len(b.lines))
	}
}

func testConfig(t testing.TB, url string) *config {
	return &config{InfluxURL: url, InfluxOrg: "dcs", InfluxBucket: "dcs/autogen", WriteTimeout: 10 * time.Second,
		BatchLines: 5000, BatchBytes: 1e6, BatchAge: time.Second, BatchQuiet: 5 * time.Millisecond,
		QueueMessages: 10000, QueueBytes: 8e6, SpoolBytes: 1 << 30, DeadLetterBytes: 1 << 30}
}

func writeOnce(t testing.TB, cfg *config, lines string) error {
	a := newInflux(cfg)
	defer a.Close()
	return a.Write(t.Context(), []byte(lines))
}

// What the client makes of each answer over HTTP.
func TestInfluxAnswers(t *testing.T) {
	f := newFakeInflux(t)
	cfg := testConfig(t, f.URL)
	for _, tt := range []struct {
		answer  int
		explain string
	}{
		{204, ""},
		{302, "takes no data"},
		{400, "takes no data"}, {413, "takes no data"}, {422, "takes no data"}, {429, "takes no data"},
		{401, "check DCS_INFLUX_TOKEN_FILE"}, {403, "give the token"},
		{404, `CREATE DATABASE "dcs"`},
		{500, "takes no data"}, {502, ""}, {503, ""},
	} {
		f.answer(tt.answer)
		err := writeOnce(t, cfg, "hv seq=1 1\n")
		if tt.answer == http.StatusNoContent {
			if err != nil {
				t.Errorf("%d: %v", tt.answer, err)
			}
			continue
		}
		if statusOf(err) != tt.answer {
			t.Errorf("%d: %v has status %d", tt.answer, err, statusOf(err))
			continue
		}
		said := newInflux(cfg).explain(err)
		if !strings.Contains(said, tt.explain) || !strings.Contains(said, fmt.Sprint("answer ", tt.answer)) {
			t.Errorf("%d: %s", tt.answer, said)
		}
	}
	f.answer(http.StatusOK)
	if err := writeOnce(t, cfg, "hv seq=1 1\n"); err == nil || !strings.Contains(err.Error(), "no InfluxDB there") {
		t.Errorf("200, as from a login page: %v", err)
	}
	f.do(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if got := retryAfter(writeOnce(t, cfg, "hv seq=1 1\n")); got != 17*time.Second {
		t.Errorf("Retry-After is read as %v", got)
	}
}

func TestInfluxRequest(t *testing.T) {
	f := newFakeInflux(t)
	cfg := testConfig(t, f.URL+"/behind/a/proxy")
	cfg.InfluxTokenFile = filepath.Join(t.TempDir(), "token")
	setToken := func(token string) {
		if err := os.WriteFile(cfg.InfluxTokenFile, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	setToken("old\n")
	a := newInflux(cfg)
	defer a.Close()
	f.do(func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.String(), "/behind/a/proxy/api/v2/write?bucket=dcs%2Fautogen&org=dcs&precision=ns"; got != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
		if r.Header.Get("Authorization") != "Token new" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := a.Write(t.Context(), []byte("hv seq=1 1\n")); statusOf(err) != http.StatusUnauthorized {
		t.Errorf("with the old token: %v", err)
	}
	setToken("new\n")
	_ = a.Write(t.Context(), []byte("hv seq=1 1\n")) // is refused, and reads the file again
	if err := a.Write(t.Context(), []byte("hv seq=1 1\n")); err != nil {
		t.Errorf("with the new token: %v", err)
	}
}

// A server that is not there, hangs, or breaks off is no answer.
func TestInfluxWithoutAnswer(t *testing.T) {
	f := newFakeInflux(t)
	cfg := testConfig(t, f.URL)
	cfg.WriteTimeout = 20 * time.Millisecond
	f.do(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	hangs := writeOnce(t, cfg, "hv seq=1 1\n")
	cfg.WriteTimeout = 10 * time.Second
	f.do(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	breaks := writeOnce(t, cfg, "hv seq=1 1\n")
	f.Close()
	gone := writeOnce(t, cfg, "hv seq=1 1\n")
	for name, err := range map[string]error{"hangs": hangs, "breaks off": breaks, "is gone": gone} {
		if err == nil || statusOf(err) != 0 {
			t.Errorf("%s: %v", name, err)
		} else if said := newInflux(cfg).explain(err); !strings.HasPrefix(said, "InfluxDB does not answer at "+f.URL+": ") || strings.Contains(said, "/api/") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// InfluxDB 2 answers a write without points with 400, and that is well. A
// server that is not InfluxDB does so too, and that is not.
func TestProbe(t *testing.T) {
	f := newFakeInflux(t)
	cfg := testConfig(t, f.URL)
	for answer, well := range map[int]bool{204: true, 400: true, 422: true, 401: false, 404: false, 503: false} {
		f.answer(answer)
		if err := writeOnce(t, cfg, ""); (err == nil) != well {
			t.Errorf("%d: %v", answer, err)
		}
	}
	stranger := newFakeInflux(t)
	stranger.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if err := writeOnce(t, testConfig(t, stranger.URL), ""); err == nil {
		t.Error("a stranger passes for InfluxDB")
	}
}

// What InfluxDB asks of one writer holds for all.
func TestRetryAfterHoldsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var at []time.Duration
		a := archiveFunc(func(context.Context, []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if at = append(at, time.Since(began)); len(at) == 1 {
				return answered(503, "Retry-After", "42")
			}
			return nil
		})
		first, _ := newWriter(t, a)
		second, _ := newWriter(t, a)
		first.respite = new(respite)
		second.respite = first.respite
		var wg sync.WaitGroup
		wg.Go(func() { _ = first.store(t.Context(), batchOf(1)) })
		wg.Go(func() {
			time.Sleep(time.Second)
			_ = second.store(t.Context(), batchOf(1))
		})
		wg.Wait()
		if len(at) != 3 || at[1] < 42*time.Second {
			t.Errorf("written after %v", at)
		}
	})
}

// A web server that says 400 to everything refuses nothing: the lines are kept
// until InfluxDB is there.
func TestWriterKeepsWhatAStrangerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := batchOf(10)
		w, told := newWriter(t, archiveFunc(func(_ context.Context, body []byte) error {
			switch {
			case time.Since(began) > time.Minute:
				return nil
			case len(body) == 0:
				return errNetwork
			}
			return answered(http.StatusBadRequest)
		}))
		w.refused = func(*batch, int, error) { t.Error("a line was given up") }
		if err := w.store(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if len(told.said) != 2 || told.said[1] != "well" {
			t.Errorf("told %q", told.said)
		}
	})
}
