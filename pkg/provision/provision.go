// Package provision makes in the databases what the stack's programs need before
// they can use them: the database itself, a token for each program that may do no
// more than the program must, and users. Run again it changes nothing that works.
package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrNoAnswer is that a server has not answered for as long as it was waited for.
var ErrNoAnswer = errors.New("no answer")

// requestTime is how long one request may take.
const requestTime = 10 * time.Second

// askEvery is how far apart questions are to a server that is not there yet.
const askEvery = time.Second

// sayEvery is how often it is said that a server is waited for.
const sayEvery = 10 * time.Second

// await asks until there is an answer, for the time of limit. What it waits for
// is said now and then.
func await(ctx context.Context, limit time.Duration, log *slog.Logger, what, address string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var said time.Time
	var last error
	for {
		err := ask(ctx)
		var no *refusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &no):
			return err // it is there
		case ctx.Err() == nil:
			last = err
		}
		if ctx.Err() == nil && time.Since(said) >= sayEvery {
			said = time.Now()
			log.Info("waiting for "+what, "address", address, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
			}
			if last == nil {
				last = err
			}
			return fmt.Errorf("%s at %s: %w within %v (%w): does it run, and is the address right?", what, address, ErrNoAnswer, limit, last)
		}
	}
}

// refusal is an answer of a server that is there and says no.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refused makes an error one that waiting does not mend.
func refused(format string, args ...any) error { return &refusal{fmt.Errorf(format, args...)} }
