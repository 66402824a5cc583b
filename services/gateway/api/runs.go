package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// runNumber reads the number in the path.
func runNumber(r *http.Request) (int64, error) {
	s := r.PathValue("run")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, bad("%q is not the number of a run: they begin at 1.", wire.Echo(s))
	}
	return n, nil
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "procedure module state from to before limit")
	now := s.cfg.Now()
	f := runs.Filter{
		Procedure: q.text("procedure"), Module: q.text("module"), State: q.text("state"),
		From: q.time("from", now, time.Time{}), To: q.time("to", now, time.Time{}),
		Before: q.number("before", 1, 1<<62, 0), Limit: int(q.number("limit", 1, runs.MaxLimit, runs.DefaultLimit)),
	}
	if q.err != nil {
		return q.err
	}
	return s.heavy(w, r, func() (any, error) {
		found, err := s.cfg.Runs.List(r.Context(), f)
		if err != nil {
			return nil, s.runsError(r.Context(), err, "")
		}
		if found == nil {
			found = []runs.Run{}
		}
		return map[string]any{"runs": found}, nil
	})
}

func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	number, err := runNumber(r)
	if err != nil {
		return err
	}
	return s.heavy(w, r, func() (any, error) {
		doc, err := s.cfg.Runs.Get(r.Context(), number)
		if err != nil {
			return nil, s.runsError(r.Context(), err, noSuchRun(number))
		}
		return doc, nil
	})
}

func noSuchRun(number int64) string {
	return "Run " + strconv.FormatInt(number, 10) + " is not in the database: there is none with that number, or it has not got there yet."
}

func (s *server) configurations(w http.ResponseWriter, r *http.Request) error {
	return s.heavy(w, r, func() (any, error) {
		found, err := s.cfg.Runs.Configurations(r.Context())
		if err != nil {
			return nil, s.runsError(r.Context(), err, "")
		}
		if found == nil {
			found = []runs.NamedConfiguration{}
		}
		return map[string]any{"configurations": found}, nil
	})
}

// runsError tells what is wrong with the database of runs; missing is what is
// said when what was asked for is not there.
func (s *server) runsError(ctx context.Context, err error, missing string) error {
	if errors.Is(err, runs.ErrNotFound) {
		return refuse(http.StatusNotFound, "no-such-run", "%s", missing)
	}
	if ctx.Err() != nil {
		return refuse(http.StatusServiceUnavailable, "given-up", "The request has ended before MongoDB's answer.")
	}
	s.cfg.Log.WarnContext(ctx, "no runs", "error", err)
	switch {
	case errors.Is(err, runs.ErrNoAnswer):
		return refuse(http.StatusServiceUnavailable, "no-runs", "The database of runs does not answer. Runs that are under way are not touched by that. Look whether MongoDB runs; the gateway's log says more.")
	case errors.Is(err, runs.ErrDenied):
		return refuse(http.StatusBadGateway, "runs-denied", "MongoDB denies the gateway access: see DCS_MONGO_URI_FILE.")
	case errors.Is(err, runs.ErrDamaged):
		return refuse(http.StatusBadGateway, "damaged", "The file is damaged in the database; the gateway's log says how.")
	}
	return refuse(http.StatusBadGateway, "runs", "MongoDB could not answer; the gateway's log says why.")
}
