package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"trackerdcs/services/gateway/problem"
)

// handler answers a request, or says in its error why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// refusal is an error that is told as it is. All others are logged, and the
// asker learns no more than that there was one.
type refusal struct{ problem.Problem }

func (r *refusal) Error() string { return r.Detail }

func refuse(status int, slug, format string, a ...any) error {
	return &refusal{problem.Problem{Status: status, Slug: slug, Detail: fmt.Sprintf(format, a...)}}
}

// bad refuses what cannot be read.
func bad(format string, a ...any) error {
	return refuse(http.StatusBadRequest, "bad-request", format, a...)
}

// answers turns a handler into one of net/http.
func (s *server) answers(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		var told *refusal
		switch {
		case err == nil:
		case errors.As(err, &told):
			problem.Write(w, told.Problem)
		default:
			s.cfg.Log.ErrorContext(r.Context(), "a request has failed", "method", r.Method, "path", r.URL.Path, "error", err)
			problem.Write(w, internal())
		}
	})
}

func internal() problem.Problem {
	return problem.Problem{Status: http.StatusInternalServerError, Slug: "internal", Detail: "The gateway has failed at this; its log says how. Try again, and if it stays so tell who looks after it."}
}

// writeJSON writes an answer.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	writeBody(w, status, body)
	return nil
}

// encode makes an answer as a whole before anything is sent, so that what cannot
// be written is an error and not half an answer.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return nil, fmt.Errorf("writing the answer: %w", err)
	}
	return b.Bytes(), nil
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who has gone away learns nothing
}

// guarded is what every answer has, and what becomes of a handler that panics.
func (s *server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		seen := &seenWriter{ResponseWriter: w}
		defer func() {
			said := recover()
			if said == nil {
				return
			}
			if err, is := said.(error); is && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler) // somebody means to break the answer off
			}
			s.cfg.Log.ErrorContext(r.Context(), "a handler has panicked", "method", r.Method, "path", r.URL.Path, "panic", said, "stack", string(debug.Stack()))
			if seen.begun {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			problem.Write(w, internal())
		}()
		next.ServeHTTP(seen, r)
	})
}

// seenWriter knows whether an answer has begun.
type seenWriter struct {
	http.ResponseWriter
	begun bool
}

func (w *seenWriter) WriteHeader(status int) {
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *seenWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Flush is for those who ask for an http.Flusher.
func (w *seenWriter) Flush() {
	w.begun = true
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController: streams set deadlines.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
