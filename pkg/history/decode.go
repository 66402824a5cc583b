package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Limits of what an answer may be made of: a server of others may send anything.
const (
	maxText  = 1 << 20 // bytes of one text
	maxDepth = 32      // of values that are left out
)

// Row is one row of an answer.
type Row struct {
	Measurement string
	Tags        map[string]string // those that the question groups by
	Columns     []string          // the first is time, but for SHOW …
	Values      []Value           // one for each column
}

// Int returns the whole number in a column; not ok if there is none.
func (r Row) Int(column string) (n int64, ok bool) { return r.value(column).Int() }

// Float returns the number in a column; not ok if there is none.
func (r Row) Float(column string) (x float64, ok bool) { return r.value(column).Float() }

// Text returns the text in a column, or nothing.
func (r Row) Text(column string) string { return string(r.value(column).Text()) }

func (r Row) value(column string) Value {
	if i := slices.Index(r.Columns, column); i >= 0 && i < len(r.Values) {
		return r.Values[i]
	}
	return Value{}
}

// Value is one value of a row.
type Value struct {
	kind valueKind
	i    int64 // of a boolean 0 or 1
	f    float64
	text []byte // valid until the next row
}

type valueKind uint8

const (
	null valueKind = iota
	integer
	float
	text
	boolean
	unsigned // that is no integer: above 2⁶³-1
)

// Int returns a whole number, as times are; not ok for anything else.
func (v Value) Int() (n int64, ok bool) {
	if v.kind != integer {
		return 0, false
	}
	return v.i, true
}

// Uint returns a whole number that is not negative, up to 2⁶⁴-1; not ok for
// anything else.
func (v Value) Uint() (n uint64, ok bool) {
	if v.kind == unsigned || v.kind == integer && v.i >= 0 {
		return uint64(v.i), true
	}
	return 0, false
}

// Bool returns a boolean; not ok for anything else.
func (v Value) Bool() (b, ok bool) { return v.i == 1, v.kind == boolean }

// IsNull reports whether there is no value.
func (v Value) IsNull() bool { return v.kind == null }

// Float returns a number; not ok for anything else, null included.
func (v Value) Float() (x float64, ok bool) {
	switch v.kind {
	case integer:
		return float64(v.i), true
	case float, unsigned:
		return v.f, true
	}
	return 0, false
}

// Text returns a text, valid only as long as the row; nil for anything else.
func (v Value) Text() []byte {
	if v.kind == text {
		return v.text
	}
	return nil
}

// answerError is what InfluxDB says in an answer instead of rows, or after them.
type answerError struct{ text string }

func (e *answerError) Error() string { return e.text }

// rowError is the error of the function that takes the rows.
type rowError struct{ err error }

func (e *rowError) Error() string { return e.err.Error() }

// decode reads an answer to one question: JSON objects behind each other, each
// with some rows of one series, the last of which is not marked partial.
func decode(r *bufio.Reader, fn func(Row) error) error {
	d := decoder{r: r, fn: fn}
	for {
		b, err := d.peek()
		if errors.Is(err, io.EOF) && d.answered && !d.partial {
			return nil
		}
		if err != nil {
			return unexpected(err)
		}
		if b != '{' {
			return fmt.Errorf("it has %q where an object should begin", b)
		}
		if err := d.object(d.answerKey); err != nil {
			return unexpected(err)
		}
	}
}

// unexpected turns the end of the text into an error of its own.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decoder reads JSON from a stream, keeping no more than one row.
type decoder struct {
	r        *bufio.Reader
	fn       func(Row) error
	row      Row
	texts    [][]byte // of the row, reused
	scratch  []byte
	answered bool // results were there
	partial  bool // more was announced
}

func (d *decoder) answerKey(key string) error {
	switch key {
	case "error":
		return d.complaint()
	case "results":
		d.answered, d.partial = true, false
		return d.array(func() error { return d.object(d.resultKey) })
	}
	return d.skip(0)
}

func (d *decoder) resultKey(key string) error {
	switch key {
	case "error":
		return d.complaint()
	case "partial":
		var err error
		d.partial, err = d.bool()
		return err
	case "series":
		return d.array(func() error {
			d.row = Row{Values: d.row.Values[:0]}
			return d.object(d.seriesKey)
		})
	}
	return d.skip(0)
}

func (d *decoder) complaint() error {
	said, err := d.text(nil)
	if err != nil {
		return err
	}
	return &answerError{string(said)}
}

func (d *decoder) seriesKey(key string) error {
	switch key {
	case "name":
		name, err := d.text(nil)
		d.row.Measurement = string(name)
		return err
	case "tags":
		d.row.Tags = make(map[string]string)
		return d.object(func(tag string) error {
			v, err := d.text(nil)
			d.row.Tags[tag] = string(v)
			return err
		})
	case "columns":
		return d.array(func() error {
			column, err := d.text(nil)
			d.row.Columns = append(d.row.Columns, string(column))
			return err
		})
	case "values":
		if len(d.row.Columns) == 0 {
			return errors.New("rows come before the names of their columns")
		}
		d.row.Values = append(d.row.Values[:0], make([]Value, len(d.row.Columns))...)
		for len(d.texts) < len(d.row.Columns) {
			d.texts = append(d.texts, nil)
		}
		return d.array(d.readRow)
	}
	return d.skip(0)
}

func (d *decoder) readRow() error {
	if err := d.expect('['); err != nil {
		return err
	}
	for i := range d.row.Values {
		if i > 0 {
			if err := d.expect(','); err != nil {
				return err
			}
		}
		if err := d.value(i); err != nil {
			return err
		}
	}
	if err := d.expect(']'); err != nil {
		return err
	}
	if err := d.fn(d.row); err != nil {
		return &rowError{err}
	}
	return nil
}

// value reads one value of the row.
func (d *decoder) value(i int) error {
	v := &d.row.Values[i]
	b, err := d.peek()
	if err != nil {
		return err
	}
	switch b {
	case '"':
		if d.texts[i] == nil {
			d.texts[i] = []byte{} // an empty text is one
		}
		d.texts[i], err = d.text(d.texts[i][:0])
		*v = Value{kind: text, text: d.texts[i]}
		return err
	case 'n':
		*v = Value{}
		return d.word("null")
	case 't', 'f':
		yes, err := d.bool()
		if *v = (Value{kind: boolean}); yes {
			v.i = 1
		}
		return err
	}
	*v, err = d.number()
	return err
}

// number reads a number, as exactly as it is written: times need all 64 bits.
func (d *decoder) number() (Value, error) {
	d.scratch = d.scratch[:0]
	whole := true
	for {
		b, err := d.r.ReadByte()
		if err != nil {
			return Value{}, err // a number is never the last of an answer
		}
		switch {
		case '0' <= b && b <= '9', b == '-' && len(d.scratch) == 0:
		case b == '.' || b == 'e' || b == 'E' || b == '+' || b == '-':
			whole = false
		default:
			_ = d.r.UnreadByte()
			return number(d.scratch, whole)
		}
		if d.scratch = append(d.scratch, b); len(d.scratch) > 400 {
			return Value{}, errors.New("it has a number of more than 400 digits")
		}
	}
}

func number(digits []byte, whole bool) (Value, error) {
	if whole && len(digits) > 0 && len(digits) <= 18 && digits[0] != '-' {
		var n int64
		for _, b := range digits {
			n = 10*n + int64(b-'0')
		}
		return Value{kind: integer, i: n}, nil
	}
	if whole {
		// Zero with a sign is a float: the sign is kept.
		if n, err := strconv.ParseInt(string(digits), 10, 64); err == nil && (n != 0 || digits[0] != '-') {
			return Value{kind: integer, i: n}, nil
		}
		if n, err := strconv.ParseUint(string(digits), 10, 64); err == nil {
			return Value{kind: unsigned, i: int64(n), f: float64(n)}, nil
		}
	}
	x, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		return Value{}, fmt.Errorf("it has %q where a value should be", digits)
	}
	return Value{kind: float, f: x}, nil
}

// text reads a text and appends it to dst.
func (d *decoder) text(dst []byte) ([]byte, error) {
	if err := d.expect('"'); err != nil {
		return dst, err
	}
	begin := len(dst)
	escaped := false
	for {
		b, err := d.r.ReadByte()
		switch {
		case err != nil:
			return dst, err
		case len(dst)-begin > maxText:
			return dst, fmt.Errorf("it has a text of more than %d bytes", maxText)
		case b == '"':
			if !escaped {
				return dst, nil
			}
			return unescape(dst, begin)
		case b == '\\':
			escaped = true
			dst = append(dst, b)
			if b, err = d.r.ReadByte(); err != nil {
				return dst, err
			}
		}
		dst = append(dst, b)
	}
}

func unescape(dst []byte, begin int) ([]byte, error) {
	quoted := append(append([]byte{'"'}, dst[begin:]...), '"')
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return dst, fmt.Errorf("it has a text that cannot be read: %w", err)
	}
	return append(dst[:begin], s...), nil
}

func (d *decoder) bool() (bool, error) {
	b, err := d.peek()
	if err != nil {
		return false, err
	}
	if b == 't' {
		return true, d.word("true")
	}
	return false, d.word("false")
}

func (d *decoder) word(w string) error {
	for i := range len(w) {
		b, err := d.r.ReadByte()
		if err != nil {
			return err
		}
		if b != w[i] {
			return fmt.Errorf("it has %q in the place of %s", b, w)
		}
	}
	return nil
}

// object reads an object; key is called for each of its keys and has to read
// the value.
func (d *decoder) object(key func(string) error) error {
	return d.list('{', '}', func() error {
		k, err := d.text(nil)
		if err != nil {
			return err
		}
		if err := d.expect(':'); err != nil {
			return err
		}
		return key(string(k))
	})
}

// array reads an array; element has to read each of its elements.
func (d *decoder) array(element func() error) error { return d.list('[', ']', element) }

func (d *decoder) list(begin, end byte, element func() error) error {
	if err := d.expect(begin); err != nil {
		return err
	}
	if b, err := d.peek(); err != nil {
		return err
	} else if b == end {
		return d.expect(end)
	}
	for {
		if err := element(); err != nil {
			return err
		}
		b, err := d.peek()
		switch {
		case err != nil:
			return err
		case b == end:
			return d.expect(end)
		}
		if err := d.expect(','); err != nil {
			return err
		}
	}
}

// skip reads a value that nobody asked for.
func (d *decoder) skip(depth int) error {
	b, err := d.peek()
	switch {
	case err != nil:
		return err
	case depth > maxDepth:
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	case b == '{':
		return d.object(func(string) error { return d.skip(depth + 1) })
	case b == '[':
		return d.array(func() error { return d.skip(depth + 1) })
	case b == '"':
		d.scratch, err = d.text(d.scratch[:0])
		return err
	case b == 'n':
		return d.word("null")
	case b == 't', b == 'f':
		_, err := d.bool()
		return err
	}
	_, err = d.number()
	return err
}

// expect reads the next byte that is no space.
func (d *decoder) expect(want byte) error {
	b, err := d.peek()
	if err != nil {
		return err
	}
	if b != want {
		return fmt.Errorf("it has %q in the place of %q", b, want)
	}
	_, err = d.r.Discard(1)
	return err
}

// peek returns the next byte that is no space, and leaves it there.
func (d *decoder) peek() (byte, error) {
	for {
		b, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			return b, d.r.UnreadByte()
		}
	}
}
