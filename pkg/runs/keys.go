package runs

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// Keys of documents come from outside: names of files, of quantities, of what
// a program wrote. In a document as it is stored
//
//	""           is  "%00"
//	"."          is  "%2E"
//	"$" in front is  "%24"
//	"%"          is  "%25", where it could be taken for one of these, or stands alone
//
// and Get takes that back, so that only who asks MongoDB directly sees it:
// results.scurves%2Ecsv.rows. MongoDB takes such keys and cannot be asked for
// them, FerretDB refuses them.
var keyCodes = map[string]string{"00": "", "2E": ".", "24": "$", "25": "%"}

// nested is the only key of a document that stands for an array in an array
// where the server refuses such, as FerretDB does.
const nested = "%"

func storedKey(key string) string {
	switch {
	case key == "":
		return "%00"
	case key == nested:
		return "%25"
	case key[0] != '$' && !strings.ContainsAny(key, ".%"):
		return key
	}
	var b strings.Builder
	for i := range len(key) {
		switch key[i] {
		case '.':
			b.WriteString("%2E")
		case '$':
			if i == 0 {
				b.WriteString("%24")
			} else {
				b.WriteByte('$')
			}
		case '%':
			b.WriteByte('%')
			if _, code := keyCodes[key[i+1:min(i+3, len(key))]]; code {
				b.WriteString("25")
			}
		default:
			b.WriteByte(key[i])
		}
	}
	return b.String()
}

func originalKey(key string) string {
	if !strings.Contains(key, "%") {
		return key
	}
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		if key[i] == '%' {
			if c, code := keyCodes[key[i+1:min(i+3, len(key))]]; code {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(key[i])
	}
	return b.String()
}

// storing makes of a document one that a server takes: keys as above, text in
// UTF-8, no infinities. With wrap an array in an array gets a document around it.
func storing(doc bson.Raw, wrap bool) (bson.Raw, error) {
	return rewriter{key: storedKey, wrap: wrap, clean: true}.document(nil, doc)
}

// original is what was given to storing.
func original(doc bson.Raw) (bson.Raw, error) {
	return rewriter{key: originalKey, unwrap: true}.document(nil, doc)
}

type rewriter struct {
	key                 func(string) string
	wrap, unwrap, clean bool
}

func (w rewriter) document(dst []byte, doc bson.Raw) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, fmt.Errorf("the document is damaged: %w", err)
	}
	start, dst := bsoncore.AppendDocumentStart(dst)
	for _, e := range elements {
		if dst, err = w.value(dst, w.key(e.Key()), e.Value(), false); err != nil {
			return nil, err
		}
	}
	return bsoncore.AppendDocumentEnd(dst, start)
}

func (w rewriter) array(dst []byte, array bson.RawArray) ([]byte, error) {
	values, err := array.Values()
	if err != nil {
		return nil, fmt.Errorf("the document is damaged: %w", err)
	}
	start, dst := bsoncore.AppendArrayStart(dst)
	for i, v := range values {
		if dst, err = w.value(dst, strconv.Itoa(i), v, true); err != nil {
			return nil, err
		}
	}
	return bsoncore.AppendArrayEnd(dst, start)
}

func (w rewriter) value(dst []byte, key string, v bson.RawValue, inArray bool) (_ []byte, err error) {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		if inner, ok := wrapped(v.Document()); ok && w.unwrap && inArray {
			return w.array(bsoncore.AppendHeader(dst, bsoncore.TypeArray, key), inner)
		}
		return w.document(bsoncore.AppendHeader(dst, bsoncore.TypeEmbeddedDocument, key), v.Document())
	case bson.TypeArray:
		if !w.wrap || !inArray {
			return w.array(bsoncore.AppendHeader(dst, bsoncore.TypeArray, key), v.Array())
		}
		start, dst := bsoncore.AppendDocumentElementStart(dst, key)
		if dst, err = w.array(bsoncore.AppendHeader(dst, bsoncore.TypeArray, nested), v.Array()); err != nil {
			return nil, err
		}
		return bsoncore.AppendDocumentEnd(dst, start)
	case bson.TypeString:
		if w.clean {
			return bsoncore.AppendStringElement(dst, key, strings.ToValidUTF8(v.StringValue(), "\uFFFD")), nil
		}
	case bson.TypeDouble:
		if f := v.Double(); w.clean && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return bsoncore.AppendNullElement(dst, key), nil
		}
	}
	return append(bsoncore.AppendHeader(dst, bsoncore.Type(v.Type), key), v.Value...), nil
}

// wrapped gives the array of a document that stands for one.
func wrapped(doc bson.Raw) (bson.RawArray, bool) {
	v, err := doc.IndexErr(0)
	if err != nil || v.Key() != nested {
		return nil, false
	}
	if _, err := doc.IndexErr(1); err == nil {
		return nil, false
	}
	return v.Value().ArrayOK()
}
