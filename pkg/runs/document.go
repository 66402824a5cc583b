package runs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what becomes part of a run's document. MongoDB takes documents of
// 16 MiB, and the rest of a run needs room too.
const (
	MaxResult   = 4 << 20  // bytes of one result as BSON
	MaxDocument = 15 << 20 // bytes of a document
	MaxDepth    = 100      // of arrays and objects in a result
)

// TooLarge is what stands in a document in place of a result of that many
// bytes: the file itself is in GridFS.
func TooLarge(bytes int64) map[string]any { return map[string]any{"too_large": bytes} }

// Document makes of a JSON file what goes into Run.Results: objects, arrays,
// text, true, false, null, int64 for numbers that are written without fraction
// and exponent and have room in it, float64 for all others.
//
// Keys stay as they are. Put writes those that MongoDB or FerretDB refuse in
// another way and Get takes it back: in the database "." is "%2E", "$" in front
// "%24", the empty key "%00", and "%" before such letters "%25".
//
// It refuses what has no place in a document: bytes that are not UTF-8, an
// object with a key twice, NUL in a key, more than MaxDepth arrays and objects
// in each other, numbers beyond float64; and with ErrTooLarge what would be more
// than MaxResult bytes there. The error says where.
func Document(results []byte) (any, error) {
	if !utf8.Valid(results) {
		return nil, fmt.Errorf("byte %d is not UTF-8", invalidAt(results))
	}
	d := documentReader{dec: json.NewDecoder(bytes.NewReader(results)), room: MaxResult}
	d.dec.UseNumber()
	v, err := d.value(0, 0)
	if err == nil {
		if _, err = d.dec.Token(); errors.Is(err, io.EOF) {
			return v, nil
		}
		if err == nil {
			err = errors.New("more follows the value")
		}
	}
	at := min(int(d.dec.InputOffset()), len(results))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err, at = errors.New("the end is missing"), len(results)
	}
	return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(results[:at], []byte("\n")), err)
}

func invalidAt(b []byte) (at int) {
	for at < len(b) {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

type documentReader struct {
	dec  *json.Decoder
	room int // bytes of BSON that are left
}

// value reads a value; key is the length of its key.
func (d *documentReader) value(depth, key int) (any, error) {
	t, err := d.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth == MaxDepth {
			return nil, fmt.Errorf("more than %d arrays and objects in each other", MaxDepth)
		}
		if err := d.take(key, 5); err != nil {
			return nil, err
		}
		if t == '{' {
			return d.object(depth + 1)
		}
		return d.array(depth + 1)
	case json.Number:
		n, err := number(string(t))
		if err != nil {
			return nil, err
		}
		return n, d.take(key, 8)
	case string:
		return t, d.take(key, 5+len(t))
	default: // bool, nil
		return t, d.take(key, 1)
	}
}

func (d *documentReader) object(depth int) (any, error) {
	object := make(map[string]any)
	for d.dec.More() {
		t, err := d.dec.Token()
		if err != nil {
			return nil, err
		}
		key := t.(string) // the decoder has seen to it
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("key %q stands twice in an object", shortKey(key))
		}
		if strings.Contains(key, "\x00") {
			return nil, fmt.Errorf("key %q has a NUL", shortKey(key))
		}
		if object[key], err = d.value(depth, len(key)); err != nil {
			return nil, err
		}
	}
	_, err := d.dec.Token()
	return object, err
}

func (d *documentReader) array(depth int) (any, error) {
	array := []any{}
	for d.dec.More() {
		v, err := d.value(depth, digits(len(array)))
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	_, err := d.dec.Token()
	return array, err
}

func (d *documentReader) take(key, value int) error {
	d.room -= 2 + key + value // a byte for the type, and one that ends the key
	if d.room < 0 {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxResult)
	}
	return nil
}

// digits is the length of an array's index, which is its key in BSON.
func digits(n int) int {
	d := 1
	for ; n > 9; n /= 10 {
		d++
	}
	return d
}

func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, fmt.Errorf("number %s is too large", shortKey(text))
	}
	return f, nil
}

func shortKey(key string) string {
	if len(key) <= 64 {
		return key
	}
	return strings.ToValidUTF8(key[:64], "") + "…"
}
