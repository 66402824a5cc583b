package door

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"unicode/utf8"
)

// maxBody is far above what a name and two passwords need.
const maxBody = 4 << 10

// readTexts reads the body of a request: a JSON object that has exactly these
// keys, each once, and text under each.
func readTexts(w http.ResponseWriter, r *http.Request, keys ...string) (map[string]string, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, errors.New("send JSON, with Content-Type: application/json")
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	b, err := io.ReadAll(body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fmt.Errorf("the body has more than %d bytes", maxBody)
	case err != nil:
		return nil, fmt.Errorf("reading the body: %w", err)
	case !utf8.Valid(b):
		return nil, errors.New("the body is not UTF-8")
	}
	return parseTexts(b, keys)
}

func parseTexts(b []byte, keys []string) (map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the body is no JSON object")
	}
	texts := make(map[string]string, len(keys))
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		switch {
		case err != nil || !ok:
			return nil, errors.New("the body is no JSON object")
		case !slices.Contains(keys, key):
			return nil, fmt.Errorf("%.32q is not a key of this: they are %q", key, keys)
		}
		if _, twice := texts[key]; twice {
			return nil, fmt.Errorf("%q stands there twice", key)
		}
		if t, err = dec.Token(); err != nil {
			return nil, errors.New("the body is no JSON object")
		}
		if texts[key], ok = t.(string); !ok {
			return nil, fmt.Errorf("%q is no text", key)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("the body is no JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	for _, key := range keys {
		if texts[key] == "" {
			return nil, fmt.Errorf("%q is missing or empty", key)
		}
	}
	return texts, nil
}
