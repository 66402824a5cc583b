package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// How long bodies may be, in bytes.
const (
	maxCommand = 4 << 10
	maxOff     = 64 << 10
	maxRun     = wire.MaxCommand
	maxIngest  = 16 << 10
)

// readBody reads a body of JSON; one that may be missing can be empty.
func readBody(w http.ResponseWriter, r *http.Request, most int64, needed bool) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, bad("The body has more than %d bytes: send at most that.", most)
	case err != nil:
		return nil, bad("The body broke off: %v.", err)
	case len(body) == 0 && !needed:
		return nil, nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !strings.EqualFold(params["charset"], "utf-8") && params["charset"] != "" {
		return nil, refuse(http.StatusUnsupportedMediaType, "media-type", "The body is to be JSON in UTF-8: send it with Content-Type: application/json.")
	}
	if !utf8.Valid(body) {
		return nil, bad("The body is not UTF-8.")
	}
	return body, nil
}

// keys are those that an object may have, and what reads their values.
type keys map[string]func(raw json.RawMessage) error

// object reads an object: none but the known keys, none twice, nothing after
// it. encoding/json would take the last of two in silence, and keys in any case:
// a misspelt "dry" must not execute.
func object(body []byte, known keys) error {
	return eachField(body, func(key string, raw json.RawMessage) error {
		read := known[key]
		if read == nil {
			return fmt.Errorf("unknown key %q: there are %s", wire.Echo(key), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if err := read(raw); err != nil {
			return fmt.Errorf("%q %w", key, err)
		}
		return nil
	})
}

// eachField calls f for each key of the one object that body is.
func eachField(body []byte, f func(key string, raw json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	begin, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	if begin != json.Delim('{') {
		return errors.New("it is not an object")
	}
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return notJSON(err)
		}
		key, _ := token.(string) // in an object nothing else stands before a value
		if seen[key] {
			return fmt.Errorf("key %q stands twice", wire.Echo(key))
		}
		seen[key] = true
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return notJSON(err)
		}
		if err := f(key, raw); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the object")
	}
	return nil
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early for JSON")
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// text reads a string of least to most bytes.
func text(into *string, least, most int) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if raw[0] != '"' || json.Unmarshal(raw, into) != nil {
			return errors.New("is not a string")
		}
		if len(*into) < least || len(*into) > most {
			return fmt.Errorf("has %d bytes: write %d to %d", len(*into), least, most)
		}
		return nil
	}
}

// yes reads true or false.
func yes(into *bool) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		switch string(raw) {
		case "true", "false":
			*into = raw[0] == 't'
			return nil
		}
		return errors.New("is neither true nor false")
	}
}

// number reads a number that float64 has room for.
func number(raw json.RawMessage) (float64, error) {
	var x float64
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, errors.New("is not a number")
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		return 0, errors.New("is too large for a number")
	}
	return x + 0, nil // "-0" is 0
}
