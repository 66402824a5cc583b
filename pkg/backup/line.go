package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"trackerdcs/pkg/history"
)

// Characters that a name has to escape. A backslash escapes nothing but these
// and has no escape itself: a name that has an odd number of them before one of
// these, or at its end, cannot be written, and no line protocol has written it.
const (
	escapedInMeasurement = ", "
	escapedInKey         = ", ="
)

var errName = errors.New("has no form in line protocol")

// appendName appends a measurement, a tag or the key of a field.
func appendName(dst []byte, name, special string) ([]byte, error) {
	odd := false // backslashes before
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '\\':
			odd = !odd
		case strings.IndexByte(special, c) >= 0:
			if odd {
				return dst, fmt.Errorf("the name %q %w", name, errName)
			}
			dst = append(dst, '\\')
		case c == '\n' && !odd:
			return dst, fmt.Errorf("the name %q %w", name, errName)
		default:
			odd = false
		}
		dst = append(dst, c)
	}
	if odd || name == "" {
		return dst, fmt.Errorf("the name %q %w", name, errName)
	}
	return dst, nil
}

// appendText appends a text as the value of a field.
func appendText(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendValue appends a value as its field's type wants it, exactly as it is.
func appendValue(dst []byte, v history.Value, fieldType string) ([]byte, error) {
	switch fieldType {
	case history.FloatField:
		if x, ok := v.Float(); ok && !math.IsNaN(x) && !math.IsInf(x, 0) {
			return strconv.AppendFloat(dst, x, 'g', -1, 64), nil
		}
	case history.IntegerField:
		if n, ok := v.Int(); ok {
			return append(strconv.AppendInt(dst, n, 10), 'i'), nil
		}
	case history.UnsignedField:
		if n, ok := v.Uint(); ok {
			return append(strconv.AppendUint(dst, n, 10), 'u'), nil
		}
	case history.StringField:
		if text := v.Text(); text != nil {
			return appendText(dst, text), nil
		}
	case history.BooleanField:
		if yes, ok := v.Bool(); ok {
			return strconv.AppendBool(dst, yes), nil
		}
	}
	return dst, fmt.Errorf("a value is no %s", fieldType)
}

// mark is what InfluxDB answers with instead of bytes that are no UTF-8.
var mark = []byte(string(utf8.RuneError))

// encoder turns the rows of one measurement into lines.
type encoder struct {
	fields []history.Field
	keys   [][]byte // of the fields, escaped, with the equals sign
	counts []int64  // values of each field so far
	points int64

	// What comes out otherwise than it was written: points with the mark that
	// InfluxDB gives instead of bytes that are no UTF-8, and whole numbers that
	// were read as floats and may be rounded.
	replaced, rounded int64
	seriesReplaced    bool

	tags   map[string]string // of the last row: a series has one map
	prefix []byte            // measurement and tags
	line   []byte
}

func newEncoder(fields []history.Field) (*encoder, error) {
	e := &encoder{fields: fields, counts: make([]int64, len(fields))}
	for _, f := range fields {
		key, err := appendName(nil, f.Name, escapedInKey)
		if err != nil {
			return nil, err
		}
		e.keys = append(e.keys, append(key, '='))
	}
	return e, nil
}

// encode returns the line of a row, valid until the next; nothing for a row
// without values.
func (e *encoder) encode(measurement string, r history.Row) ([]byte, error) {
	if err := e.series(measurement, r.Tags); err != nil {
		return nil, err
	}
	line := append(e.line[:0], e.prefix...)
	begin, replaced := len(line), e.seriesReplaced
	for i, v := range r.Values[1:] {
		if v.IsNull() {
			continue
		}
		if len(line) > begin {
			line = append(line, ',')
		}
		line = append(line, e.keys[i]...)
		var err error
		if line, err = appendValue(line, v, e.fields[i].Type); err != nil {
			return nil, fmt.Errorf("field %s: %w", e.fields[i].Name, err)
		}
		e.counts[i]++
		switch f := e.fields[i]; {
		case f.Type == history.StringField:
			replaced = replaced || bytes.Contains(v.Text(), mark)
		case f.Mixed:
			if x, _ := v.Float(); math.Abs(x) >= 1<<53 && x == math.Trunc(x) {
				e.rounded++
			}
		}
	}
	if len(line) == begin {
		return nil, nil
	}
	at, ok := r.Values[0].Int()
	if !ok {
		return nil, errors.New("a point has no time")
	}
	e.points++
	if replaced {
		e.replaced++
	}
	e.line = append(strconv.AppendInt(append(line, ' '), at, 10), '\n')
	return e.line, nil
}

// series writes what the lines of a series begin with.
func (e *encoder) series(measurement string, tags map[string]string) error {
	if e.prefix != nil && sameMap(e.tags, tags) {
		return nil
	}
	prefix, err := appendName(e.prefix[:0], measurement, escapedInMeasurement)
	if err != nil {
		return err
	}
	if measurement[0] == '#' {
		return fmt.Errorf("the name %q %w", measurement, errName) // it begins a comment
	}
	keys := make([]string, 0, len(tags))
	for k, v := range tags {
		if v != "" { // another series has it
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	e.seriesReplaced = false
	for _, k := range keys {
		e.seriesReplaced = e.seriesReplaced || strings.ContainsRune(k+tags[k], utf8.RuneError)
		if prefix, err = appendName(append(prefix, ','), k, escapedInKey); err != nil {
			return err
		}
		if prefix, err = appendName(append(prefix, '='), tags[k], escapedInKey); err != nil {
			return err
		}
	}
	e.prefix, e.tags = append(prefix, ' '), tags
	return nil
}

// sameMap reports whether two maps of tags say the same.
func sameMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// maxLine is longer than any line that InfluxDB takes.
const maxLine = 32 << 20

// readPoint reads one line with its end and appends it to dst. A newline within
// a text does not end it. The error is io.EOF at the end alone.
func readPoint(r *bufio.Reader, dst []byte) ([]byte, error) {
	begin := len(dst)
	escaped, inFields, atValue, quoted := false, false, false, false
	for {
		c, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && len(dst) > begin {
				err = io.ErrUnexpectedEOF
			}
			return dst, err
		}
		if dst = append(dst, c); len(dst)-begin > maxLine {
			return dst, fmt.Errorf("a line has more than %d bytes", maxLine)
		}
		value := atValue
		atValue = false
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case quoted:
			quoted = c != '"'
		case c == '\n':
			return dst, nil
		case !inFields:
			inFields = c == ' '
		case c == '"':
			quoted = value
		case c == '=':
			atValue = true
		}
	}
}
