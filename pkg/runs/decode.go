package runs

import (
	"bytes"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// unmarshal decodes a document with ordinary maps in it.
func unmarshal(raw bson.Raw, into any) error {
	dec := bson.NewDecoder(bson.NewDocumentReader(bytes.NewReader(raw)))
	dec.DefaultDocumentMap()
	return dec.Decode(into)
}

// plain makes of what the driver decoded what encoding/json would have, but for
// int64: who reads runs need not know the driver.
func plain(v any) any {
	switch v := v.(type) {
	case bson.A:
		return plain([]any(v))
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case int32: // of another writer
		return int64(v)
	case bson.DateTime:
		return v.Time().UTC()
	}
	return v
}
