package history

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// What takes all of the archive out, and puts it in again: a backup.

// Types of fields, as InfluxDB names them.
const (
	FloatField    = "float"
	IntegerField  = "integer"
	UnsignedField = "unsigned"
	StringField   = "string"
	BooleanField  = "boolean"
)

// Field is a field of a measurement.
type Field struct {
	Name string
	Type string // FloatField …
	// Mixed is that whole numbers were written too, which are read as floats:
	// above 2⁵³ they are rounded.
	Mixed bool
	cast  bool // the name alone does not say which: it has several types
}

// Key is the field's name with its type, as in InfluxQL: name::float.
func (f Field) Key() string { return f.Name + "::" + f.Type }

func (f Field) numeric() bool {
	return f.Type == FloatField || f.Type == IntegerField || f.Type == UnsignedField
}

// Policy is a retention policy of the database; of InfluxDB 2 a bucket that
// belongs to it.
type Policy struct {
	Name string
	Own  bool // the one that the other questions are about
}

// Policies returns the retention policies. ErrNoDatabase is that there is no
// such database, or not the policy that was named with it.
func (c *Client) Policies(ctx context.Context) ([]Policy, error) {
	var list []Policy
	found := false
	err := c.Query(ctx, "SHOW RETENTION POLICIES", func(r Row) error {
		p := Policy{Name: r.Text("name")}
		if standard, _ := r.value("default").Bool(); p.Name == c.rp || c.rp == "" && standard {
			p.Own, found = true, true
		}
		if p.Name != "" {
			list = append(list, p)
		}
		return nil
	})
	if err == nil && c.rp != "" && len(list) > 0 && !found {
		err = c.noDatabase("no retention policy " + c.rp)
	}
	return list, err
}

// Inhabitants returns the measurements that have points in a retention policy.
func (c *Client) Inhabitants(ctx context.Context, policy string) (names []string, err error) {
	err = c.Query(ctx, "SELECT * FROM "+ident(policy)+"./.*/ LIMIT 1", func(r Row) error {
		names = append(names, r.Measurement)
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// Measurements returns all measurements, those that are no devices too, in order
// of their names.
func (c *Client) Measurements(ctx context.Context) ([]string, error) {
	var names []string
	err := c.Query(ctx, "SHOW MEASUREMENTS", func(r Row) error {
		if name := r.Text("name"); name != "" {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Fields returns the fields of a measurement, in order of their names. One that
// was written with several types is there once for each of them; whole numbers
// of a field that has others too are read as floats.
func (c *Client) Fields(ctx context.Context, measurement string) ([]Field, error) {
	types := make(map[string][]string)
	err := c.Query(ctx, "SHOW FIELD KEYS FROM "+ident(measurement), func(r Row) error {
		if r.Measurement == measurement {
			name := r.Text("fieldKey")
			types[name] = append(types[name], r.Text("fieldType"))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var fields []Field
	for name, has := range types {
		slices.Sort(has)
		has = slices.Compact(has)
		mixed := slices.Contains(has, FloatField) && (slices.Contains(has, IntegerField) || slices.Contains(has, UnsignedField))
		if mixed {
			has = slices.DeleteFunc(has, func(t string) bool { return t == IntegerField || t == UnsignedField })
		}
		for _, t := range has {
			fields = append(fields, Field{Name: name, Type: t, Mixed: mixed && t == FloatField, cast: len(types[name]) > 1})
		}
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name+"\x00"+a.Type, b.Name+"\x00"+b.Type) })
	return fields, nil
}

// column is the field in a question.
func (f Field) column() string {
	if f.cast {
		return ident(f.Name) + "::" + f.Type
	}
	return ident(f.Name)
}

// Edges returns the times of the first and the last point of a measurement; not
// ok if it has none. The fields are those that Fields returns: without their
// types InfluxDB would see one type of each.
func (c *Client) Edges(ctx context.Context, measurement string, fields []Field) (first, last time.Time, ok bool, err error) {
	if len(fields) == 0 {
		return first, last, false, nil
	}
	question := "SELECT " + columns(fields) + " FROM " + ident(measurement) + " ORDER BY time "
	for at, order := range map[*time.Time]string{&first: "ASC", &last: "DESC"} {
		err := c.Query(ctx, question+order+" LIMIT 1", func(r Row) error {
			ns, _ := r.Int("time")
			*at, ok = time.Unix(0, ns).UTC(), true
			return nil
		})
		if err != nil {
			return first, last, false, err
		}
	}
	return first, last, ok, nil
}

func columns(fields []Field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.column()
	}
	return strings.Join(list, ", ")
}

// Points calls fn for each point of the measurement with from ≤ time < to: one
// series after another, each in order of time. A row has the time, then a column
// for each of the fields, in their order; its tags are those of the series, with
// an empty text for one that the series does not have.
func (c *Client) Points(ctx context.Context, measurement string, fields []Field, from, to time.Time, fn func(Row) error) error {
	question := "SELECT " + columns(fields) + " FROM " + ident(measurement) + " WHERE " + between(from, to) + " GROUP BY *"
	return c.Query(ctx, question, func(r Row) error {
		if len(r.Values) != len(fields)+1 {
			return fmt.Errorf("InfluxDB at %s answers with %d fields of %s, not the %d asked for", c.cfg.URL, len(r.Values)-1, measurement, len(fields))
		}
		return fn(r)
	})
}

// Version returns what the server says that it is, "1.8.10" for instance, and
// nothing when it does not say.
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errSilent)
	defer cancel()
	u := c.endpoint
	u.Path = strings.TrimSuffix(u.Path, "query") + "ping"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", fmt.Errorf("question for InfluxDB: %w", err)
	}
	if err := c.authorize(req); err != nil {
		return "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", c.noAnswer(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return "", c.refusal(res.StatusCode, res.Body)
	}
	return strings.TrimPrefix(res.Header.Get("X-Influxdb-Version"), "v"), nil
}

// Write stores lines of the line protocol with times in ns, once: who gets
// ErrNoAnswer tries again. A point that is there already is replaced field by
// field. InfluxDB writes nothing, or all but the lines that it refuses.
func (c *Client) Write(ctx context.Context, lines []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errSilent)
	defer cancel()
	u := c.endpoint
	u.Path = strings.TrimSuffix(u.Path, "query") + "api/v2/write"
	u.RawQuery = url.Values{"org": {c.cfg.Org}, "bucket": {c.cfg.Bucket}, "precision": {"ns"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(lines))
	if err != nil {
		return fmt.Errorf("writing to InfluxDB: %w", err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if err := c.authorize(req); err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.noAnswer(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("writing: %w", c.refusal(res.StatusCode, res.Body))
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return nil
}
