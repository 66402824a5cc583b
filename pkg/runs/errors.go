package runs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// What a caller may want to tell apart. The errors themselves say what was
// being done, and at which address.
var (
	// ErrNotFound is that there is no such run, file or configuration.
	ErrNotFound = errors.New("not found")
	// ErrNoAnswer is that MongoDB cannot be reached, is too slow or has broken
	// off: try again later.
	ErrNoAnswer = errors.New("MongoDB does not answer")
	// ErrDenied is that MongoDB does not accept the login, or that the login
	// may not do this.
	ErrDenied = errors.New("MongoDB denies access")
	// ErrConflict is that another run has this number, or a file other bytes
	// than were to be written. Nothing has been overwritten.
	ErrConflict = errors.New("conflict")
	// ErrTooLarge is that something has no room in a document.
	ErrTooLarge = errors.New("too large for a document")
	// ErrDamaged is that a file does not have the size or the sum that it should.
	ErrDamaged = errors.New("the file is damaged")
)

const maxCause = 300 // bytes of what a server says: FerretDB repeats whole documents

// Codes of MongoDB that mean that the login is at fault.
var denied = []int{
	13,   // Unauthorized
	18,   // AuthenticationFailed
	11,   // UserNotFound
	8000, // AtlasError: bad login
	391,  // ReauthenticationRequired
}

// Codes that mean that the server is there but cannot serve now.
var later = []int{
	91,    // ShutdownInProgress
	11600, // InterruptedAtShutdown
	11602, // InterruptedDueToReplStateChange
	10107, // NotWritablePrimary
	13436, // NotPrimaryOrSecondary
	189,   // PrimarySteppedDown
	50,    // MaxTimeMSExpired
	262,   // ExceededTimeLimit
	64,    // WriteConcernTimeout
	112,   // WriteConflict
	24,    // LockTimeout
}

// fail says what was being done and at which address, and which of the errors
// above it is.
func (c *Client) fail(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	kind := c.kind(ctx, err)
	if kind == nil || errors.Is(err, kind) { // the text says what it is
		return fmt.Errorf("%s: MongoDB at %s: %w", doing, c.address, shortened{err})
	}
	return fmt.Errorf("%s: %w: %s: %w", doing, kind, c.address, shortened{err})
}

func (c *Client) kind(ctx context.Context, err error) error {
	for _, known := range []error{ErrNotFound, ErrNoAnswer, ErrDenied, ErrConflict, ErrTooLarge, ErrDamaged} {
		if errors.Is(err, known) {
			return known
		}
	}
	codes := mongo.ErrorCodes(err)
	among := func(list []int) bool {
		return slices.ContainsFunc(codes, func(code int) bool { return slices.Contains(list, code) })
	}
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return ErrNotFound
	case among(denied), strings.Contains(err.Error(), "auth error:"):
		return ErrDenied
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled // the caller has had enough: nobody's fault
	case mongo.IsTimeout(err), mongo.IsNetworkError(err), among(later),
		strings.Contains(err.Error(), "server selection error:"):
		return ErrNoAnswer
	case mongo.IsDuplicateKeyError(err), duplicate(err):
		return ErrConflict
	}
	return nil
}

// duplicate reports whether FerretDB met a unique index in an update, which it
// gives no code of its own.
func duplicate(err error) bool {
	return strings.Contains(err.Error(), "UNIQUE constraint failed") || strings.Contains(err.Error(), "E11000")
}

// shortened is an error with a text that fits into a log.
type shortened struct{ error }

func (s shortened) Unwrap() error { return s.error }

func (s shortened) Error() string {
	text := s.error.Error()
	// Of a server that is away the driver gives a whole topology; the cause is its end.
	if i := strings.LastIndex(text, "Last error: "); i >= 0 {
		text = strings.TrimRight(text[i+len("Last error: "):], " ,}]")
	}
	if len(text) <= maxCause {
		return text
	}
	cut := maxCause
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// within gives one operation its time.
func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}
