package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// chunkRows is how many rows InfluxDB puts into one piece of an answer.
const chunkRows = "10000"

// Query asks one question in InfluxQL and calls fn for each row of the answer,
// in the order in which InfluxDB sends them: one series after another. The row
// and its values are valid only during the call. An error of fn ends the query
// and is returned as it is. Times are in ns.
func (c *Client) Query(ctx context.Context, question string, fn func(Row) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(c.cfg.Timeout, func() { cancel(errSilent) })
	defer silent.Stop()

	req, err := c.request(ctx, question)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.noAnswer(ctx, err)
	}
	defer res.Body.Close()
	body := &patientReader{body: res.Body, silent: silent, timeout: c.cfg.Timeout}
	if res.StatusCode != http.StatusOK {
		return c.refusal(res.StatusCode, body)
	}
	err = decode(bufio.NewReaderSize(body, 1<<16), fn)
	var failed *answerError
	var stopped *rowError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stopped):
		return stopped.err
	case errors.As(err, &failed):
		return c.complaint(failed.text)
	case body.err != nil:
		return c.noAnswer(ctx, fmt.Errorf("the answer broke off: %w", body.err))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return c.noAnswer(ctx, fmt.Errorf("the answer broke off: %w", err))
	}
	return fmt.Errorf("the answer of %s is not InfluxDB's: %w", c.cfg.URL, err)
}

func (c *Client) request(ctx context.Context, question string) (*http.Request, error) {
	values := url.Values{"db": {c.db}, "q": {question}, "epoch": {"ns"}, "chunked": {"true"}, "chunk_size": {chunkRows}}
	if c.rp != "" {
		values.Set("rp", c.rp)
	}
	if c.cfg.Org != "" {
		values.Set("org", c.cfg.Org)
	}
	u := c.endpoint
	u.RawQuery = values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("question for InfluxDB: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	return req, c.authorize(req)
}

var errSilent = errors.New("nothing came in time")

// noAnswer is the error of a request that got none, or only a part.
func (c *Client) noAnswer(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return fmt.Errorf("%w at %s: silent for %v; ask for less, or give it more time", ErrNoAnswer, c.cfg.URL, c.cfg.Timeout)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("asking InfluxDB: %w", context.Cause(ctx))
	}
	var in *url.Error // it would repeat the question
	if errors.As(err, &in) {
		err = in.Err
	}
	return fmt.Errorf("%w at %s: %w; does it run, and is the address right?", ErrNoAnswer, c.cfg.URL, err)
}

// refusal is the error of an HTTP status other than 200.
func (c *Client) refusal(status int, body io.Reader) error {
	b, _ := io.ReadAll(io.LimitReader(body, 4096))
	said := complaintIn(b)
	what := fmt.Sprintf("%d %s", status, http.StatusText(status))
	if said != "" {
		what += ": " + said
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		if c.cfg.TokenFile == "" {
			return fmt.Errorf("%w at %s (%s): name a file with a token that may read %s", ErrDenied, c.cfg.URL, what, c.cfg.Bucket)
		}
		return fmt.Errorf("%w at %s (%s): may the token in %s read %s?", ErrDenied, c.cfg.URL, what, c.cfg.TokenFile, c.cfg.Bucket)
	case status == http.StatusNotFound && said == "":
		return fmt.Errorf("%s has no /query (%s): is that InfluxDB's address?", c.cfg.URL, what)
	case status == http.StatusNotFound:
		return c.noDatabase(what)
	case status >= 500 || status == http.StatusTooManyRequests:
		return fmt.Errorf("%w at %s: %s", ErrNoAnswer, c.cfg.URL, what)
	}
	return fmt.Errorf("InfluxDB at %s refuses the question: %s", c.cfg.URL, what)
}

// complaintIn is what the body of a refusal says: 1.8 and 3 call it error, 2.x
// message.
func complaintIn(body []byte) string {
	var said struct{ Error, Message string }
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	if said.Message != "" {
		return said.Message
	}
	return said.Error
}

// complaint is the error of an answer that says, with status 200, that there is
// none.
func (c *Client) complaint(text string) error {
	if strings.Contains(text, "not found") && (strings.Contains(text, "database") || strings.Contains(text, "retention policy") || strings.Contains(text, "bucket")) {
		return c.noDatabase(text)
	}
	return fmt.Errorf("InfluxDB at %s could not answer: %s", c.cfg.URL, text)
}

func (c *Client) noDatabase(said string) error {
	return fmt.Errorf("%w: %s at %s (%s): is the bucket right? The loader's setting is DCS_INFLUX_BUCKET", ErrNoDatabase, c.cfg.Bucket, c.cfg.URL, said)
}

// patientReader reads a body for as long as something comes, and keeps the
// error with which it ended.
type patientReader struct {
	body    io.Reader
	silent  *time.Timer
	timeout time.Duration
	err     error // other than io.EOF
}

func (r *patientReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if n > 0 {
		r.silent.Reset(r.timeout)
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
