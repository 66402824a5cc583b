package runs

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// What takes all of the database out, and puts it in again: a backup.

const (
	dumpSilence = 2 * time.Minute // how long the server may take over one piece
	maxDocument = 17 << 20        // bytes; MongoDB allows 16 MiB and a little more inside
	loadDocs    = 1000            // in one write
	loadBytes   = 8 << 20
)

// Version returns what the server says that it is.
func (c *Client) Version(ctx context.Context) (string, error) {
	one, cancel := c.within(ctx)
	defer cancel()
	var info struct{ Version string }
	err := c.db.RunCommand(one, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	return info.Version, c.fail(ctx, "asking for the version", err)
}

// Collections returns the database's collections in the order in which they are
// copied while others write: files are known only when all of their chunks are
// there, so they go before the chunks, and what names files before both.
func (c *Client) Collections(ctx context.Context) ([]string, error) {
	one, cancel := c.within(ctx)
	defer cancel()
	names, err := c.db.ListCollectionNames(one, bson.D{{Key: "type", Value: "collection"}})
	if err != nil {
		return nil, c.fail(ctx, "listing the collections", err)
	}
	names = slices.DeleteFunc(names, isSystem)
	slices.SortFunc(names, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names, nil
}

func isSystem(name string) bool { return strings.HasPrefix(name, "system.") }

// Others describes what Collections leaves out: views and time series.
func (c *Client) Others(ctx context.Context) (list []string, err error) {
	one, cancel := c.within(ctx)
	defer cancel()
	specs, err := c.db.ListCollectionSpecifications(one, bson.D{})
	if err != nil {
		return nil, c.fail(ctx, "listing views", err)
	}
	for _, s := range specs {
		if s.Type != "collection" && s.Type != "" && !isSystem(s.Name) {
			list = append(list, fmt.Sprintf("%s (%s)", s.Name, s.Type))
		}
	}
	slices.Sort(list)
	return list, nil
}

func rank(collection string) int {
	switch {
	case strings.HasSuffix(collection, ".files"):
		return 1
	case strings.HasSuffix(collection, ".chunks"):
		return 2
	}
	return 0
}

// Dump writes all documents of a collection behind each other as they are, BSON:
// the format of mongodump. It returns how many there were.
func (c *Client) Dump(ctx context.Context, collection string, w io.Writer) (n int64, err error) {
	doing := "copying " + collection
	first, cancel := context.WithTimeout(ctx, dumpSilence)
	defer cancel()
	cursor, err := c.db.Collection(collection).Find(first, bson.D{})
	if err != nil {
		return 0, c.fail(ctx, doing, err)
	}
	defer cursor.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the cursor is read to its end, or the copy has failed
	for {
		next, cancel := context.WithTimeout(ctx, dumpSilence)
		more := cursor.Next(next)
		cancel()
		if !more {
			return n, c.fail(ctx, doing, cursor.Err())
		}
		if _, err := w.Write(cursor.Current); err != nil {
			return n, err
		}
		n++
	}
}

// Metadata returns how a collection was made and its indexes but for the one of
// _id, as extended JSON: {"options":{…},"indexes":[{"key":…,"name":…}]}.
func (c *Client) Metadata(ctx context.Context, collection string) ([]byte, error) {
	one, cancel := c.within(ctx)
	defer cancel()
	doing := "describing " + collection
	specs, err := c.db.ListCollectionSpecifications(one, bson.D{{Key: "name", Value: collection}})
	if err != nil {
		return nil, c.fail(ctx, doing, err)
	}
	var made bson.D
	for _, s := range specs { // FerretDB may list all
		if s.Name == collection && len(s.Options) > 0 {
			if err := bson.Unmarshal(s.Options, &made); err != nil {
				return nil, c.fail(ctx, doing, err)
			}
		}
	}
	indexes, err := c.indexList(one, collection)
	if err != nil {
		return nil, c.fail(ctx, doing, err)
	}
	about := bson.D{{Key: "indexes", Value: indexes}}
	if len(made) > 0 {
		about = append(bson.D{{Key: "options", Value: made}}, about...)
	}
	b, err := bson.MarshalExtJSON(about, true, false)
	return b, c.fail(ctx, doing, err)
}

func (c *Client) indexList(ctx context.Context, collection string) (bson.A, error) {
	cursor, err := c.db.Collection(collection).Indexes().List(ctx)
	if err != nil {
		return nil, err
	}
	var all []bson.Raw
	if err := cursor.All(ctx, &all); err != nil {
		return nil, err
	}
	indexes := bson.A{}
	for _, raw := range all {
		var index bson.D // of which the client would make a map: the order of the keys matters
		if err := bson.Unmarshal(raw, &index); err != nil {
			return nil, err
		}
		index = slices.DeleteFunc(index, func(e bson.E) bool { return e.Key == "ns" || e.Key == "v" })
		if !slices.ContainsFunc(index, func(e bson.E) bool { return e.Key == "name" && e.Value == "_id_" }) {
			indexes = append(indexes, index)
		}
	}
	return indexes, nil
}

// layout is what Metadata writes.
type layout struct {
	Options bson.D
	Indexes []bson.D
}

// MakeCollection makes a collection with the options that it had, unless it is
// there. One without options is made when it gets documents or indexes.
func (c *Client) MakeCollection(ctx context.Context, collection string, about []byte) error {
	doing := "making " + collection
	var want layout
	if err := bson.UnmarshalExtJSON(about, true, &want); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if len(want.Options) == 0 {
		return nil
	}
	names, err := c.Collections(ctx)
	if err != nil || slices.Contains(names, collection) {
		return err
	}
	one, cancel := context.WithTimeout(ctx, dumpSilence)
	defer cancel()
	err = c.db.RunCommand(one, append(bson.D{{Key: "create", Value: collection}}, want.Options...)).Err()
	return c.fail(ctx, doing, err)
}

// MakeIndexes makes those of the indexes that are missing.
func (c *Client) MakeIndexes(ctx context.Context, collection string, about []byte) error {
	doing := "making the indexes of " + collection
	var want layout
	if err := bson.UnmarshalExtJSON(about, true, &want); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	have, err := c.indexes(ctx, c.db.Collection(collection))
	if err != nil {
		return c.fail(ctx, doing, err)
	}
	for _, index := range want.Indexes { // one by one: FerretDB panics when it has some of several
		i := slices.IndexFunc(index, func(e bson.E) bool { return e.Key == "name" })
		if i < 0 {
			return fmt.Errorf("%s: one has no name", doing)
		}
		if name, _ := index[i].Value.(string); have[name] {
			continue
		}
		one, cancel := context.WithTimeout(ctx, dumpSilence)
		err := c.db.RunCommand(one, bson.D{{Key: "createIndexes", Value: collection}, {Key: "indexes", Value: bson.A{index}}}).Err()
		cancel()
		if err != nil {
			return c.fail(ctx, doing, err)
		}
	}
	return nil
}

// Load stores documents that Dump wrote; one that is there already, by its _id,
// is replaced. It returns how many there were.
func (c *Client) Load(ctx context.Context, collection string, r io.Reader) (n int64, err error) {
	br := bufio.NewReaderSize(r, 1<<20)
	var batch []bson.Raw
	size := 0
	for {
		doc, err := readDocument(br)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return n, fmt.Errorf("document %d of %s: %w", n+int64(len(batch))+1, collection, err)
		}
		if len(batch) > 0 && (end || len(batch) == loadDocs || size+len(doc) > loadBytes) {
			if err := c.loadBatch(ctx, collection, batch); err != nil {
				return n, c.fail(ctx, "storing documents of "+collection, err)
			}
			n += int64(len(batch))
			batch, size = batch[:0], 0
		}
		if end {
			return n, nil
		}
		batch, size = append(batch, doc), size+len(doc)
	}
}

// loadBatch inserts, which FerretDB does much faster than it replaces; what is
// there already is replaced.
func (c *Client) loadBatch(ctx context.Context, collection string, batch []bson.Raw) error {
	ctx, cancel := context.WithTimeout(ctx, dumpSilence)
	defer cancel()
	to := c.db.Collection(collection)
	_, err := to.InsertMany(ctx, batch, options.InsertMany().SetOrdered(false))
	var failed mongo.BulkWriteException
	if !errors.As(err, &failed) || failed.WriteConcernError != nil {
		return err
	}
	for _, w := range failed.WriteErrors {
		if !mongo.IsDuplicateKeyError(w) && !duplicate(w) {
			return err
		}
		doc := batch[w.Index]
		if _, err := to.ReplaceOne(ctx, bson.D{{Key: "_id", Value: doc.Lookup("_id")}}, doc, options.Replace().SetUpsert(true)); err != nil {
			return err
		}
	}
	return nil
}

// readDocument reads one document; the error is io.EOF at the end alone.
func readDocument(r *bufio.Reader) (bson.Raw, error) {
	head, err := r.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	if size < 5 || size > maxDocument {
		return nil, fmt.Errorf("a document of %d bytes cannot be", size)
	}
	doc := make(bson.Raw, size)
	if _, err := io.ReadFull(r, doc); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return doc, doc.Validate()
}

// Count counts the documents of a collection.
func (c *Client) Count(ctx context.Context, collection string) (int64, error) {
	one, cancel := context.WithTimeout(ctx, dumpSilence)
	defer cancel()
	n, err := c.db.Collection(collection).CountDocuments(one, bson.D{})
	return n, c.fail(ctx, "counting "+collection, err)
}
