package runs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Prepare makes the indexes that are missing. It can be called again.
func (c *Client) Prepare(ctx context.Context) error {
	index := func(keys ...bson.E) mongo.IndexModel { return mongo.IndexModel{Keys: bson.D(keys)} }
	up, down := int32(1), int32(-1)
	pieces := index(bson.E{Key: "files_id", Value: up}, bson.E{Key: "n", Value: up})
	pieces.Options = options.Index().SetUnique(true)
	for _, on := range []struct {
		collection *mongo.Collection
		indexes    []mongo.IndexModel
	}{
		{c.runs, []mongo.IndexModel{
			index(bson.E{Key: "start", Value: down}),
			index(bson.E{Key: "asked", Value: down}),
			index(bson.E{Key: "procedure", Value: up}, bson.E{Key: "start", Value: down}),
			index(bson.E{Key: "module", Value: up}, bson.E{Key: "start", Value: down}),
			index(bson.E{Key: "state", Value: up}, bson.E{Key: "start", Value: down}),
		}},
		{c.chunks, []mongo.IndexModel{pieces}},
		{c.files, []mongo.IndexModel{index(bson.E{Key: "filename", Value: up}, bson.E{Key: "uploadDate", Value: up})}},
	} {
		if err := c.index(ctx, on.collection, on.indexes); err != nil {
			return err
		}
	}
	return nil
}

// index makes the indexes that are missing, each by itself: FerretDB panics
// when it is asked for several that it has.
func (c *Client) index(ctx context.Context, collection *mongo.Collection, indexes []mongo.IndexModel) error {
	doing := "making the indexes of " + collection.Name()
	have, err := c.indexes(ctx, collection)
	if err != nil {
		return c.fail(ctx, doing, err)
	}
	for _, index := range indexes {
		name := indexName(index.Keys.(bson.D))
		if have[name] {
			continue
		}
		one, cancel := c.within(ctx)
		_, err := collection.Indexes().CreateOne(one, index)
		cancel()
		if err != nil {
			return c.fail(ctx, doing, fmt.Errorf("%s: %w", name, err))
		}
	}
	return nil
}

// indexName is the name that MongoDB gives an index: its keys tell it.
func indexName(keys bson.D) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s_%d", k.Key, k.Value)
	}
	return strings.Join(parts, "_")
}

func (c *Client) indexes(ctx context.Context, collection *mongo.Collection) (map[string]bool, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	specs, err := collection.Indexes().ListSpecifications(ctx)
	have := make(map[string]bool, len(specs))
	for _, spec := range specs {
		have[spec.Name] = true
	}
	return have, err
}

// Put stores the run's document in place of the one that it may have. If there
// is one of another UID nothing is written and the error is ErrConflict. A run
// that has no room in a document is cut as Fit does; if that does not help the
// error is ErrTooLarge.
func (c *Client) Put(ctx context.Context, run Run) error {
	doing := fmt.Sprintf("storing run %d", run.Number)
	if run.Number < 1 || run.UID == "" {
		return fmt.Errorf("%s: it has no number, or no uid", doing)
	}
	doc, err := document(run, false)
	if err == nil && len(doc) > MaxDocument {
		if err = Fit(&run); err == nil {
			doc, err = document(run, false)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	err = c.put(ctx, run, doc)
	if err != nil && strings.Contains(err.Error(), "nested arrays are not supported") { // FerretDB
		if doc, err = document(run, true); err == nil {
			err = c.put(ctx, run, doc)
		}
	}
	return c.fail(ctx, doing, err)
}

// document is the run as it is stored.
func document(run Run, wrap bool) (bson.Raw, error) {
	plain, err := bson.Marshal(run)
	if err != nil {
		return nil, err
	}
	return storing(plain, wrap)
}

// put writes a document. Two writers of one run may meet in such a way that
// one of them is told of a conflict with itself: it tries once more.
func (c *Client) put(ctx context.Context, run Run, doc bson.Raw) error {
	const most = 16<<20 - 16<<10
	if len(doc) > most {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(doc))
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	filter := bson.D{{Key: "_id", Value: run.Number}, {Key: "uid", Value: run.UID}}
	for again := false; ; again = true {
		_, err := c.runs.ReplaceOne(ctx, filter, doc, options.Replace().SetUpsert(true))
		if err == nil || !mongo.IsDuplicateKeyError(err) && !duplicate(err) {
			return err
		}
		var there struct{ UID string }
		if e := c.runs.FindOne(ctx, filter[:1], options.FindOne().SetProjection(bson.D{{Key: "uid", Value: 1}})).Decode(&there); e != nil {
			return e
		}
		if there.UID != run.UID {
			return fmt.Errorf("%w: there is a run of that number with uid %q, this one has %q", ErrConflict, there.UID, run.UID)
		}
		if again {
			return err
		}
	}
}

// Get reads the run's document.
func (c *Client) Get(ctx context.Context, number int64) (Run, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	raw, err := c.runs.FindOne(ctx, bson.D{{Key: "_id", Value: number}}).Raw()
	var run Run
	if err == nil {
		run, err = decode(raw)
	}
	return run, c.fail(ctx, fmt.Sprintf("reading run %d", number), err)
}

func decode(raw bson.Raw) (run Run, err error) {
	if raw, err = original(raw); err != nil {
		return run, err
	}
	if err = unmarshal(raw, &run); err != nil {
		return run, err
	}
	run.Results, _ = plain(run.Results).(map[string]any)
	run.Parameters, _ = plain(run.Parameters).(map[string]any)
	for name, cfg := range run.Configurations {
		run.Configurations[name] = plainConfiguration(cfg)
	}
	return run, nil
}

// Filter says which runs are meant. What is empty does not matter.
type Filter struct {
	Procedure, Module, State string

	From, To time.Time // when they were asked for: From ≤ asked < To
	Before   int64     // numbers below it alone, to go on where a list ended
	Limit    int       // how many at most; DefaultLimit if not positive, MaxLimit if more
}

// How many runs a list has.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// List gives runs without their logs, results and capsules, that with the
// highest number first.
func (c *Client) List(ctx context.Context, f Filter) ([]Run, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	if f.Limit <= 0 {
		f.Limit = DefaultLimit
	}
	cursor, err := c.runs.Find(ctx, f.query(), options.Find().SetLimit(int64(min(f.Limit, MaxLimit))).
		SetSort(bson.D{{Key: "_id", Value: -1}}).
		SetProjection(bson.D{{Key: "log", Value: 0}, {Key: "results", Value: 0}, {Key: "capsule", Value: 0}}))
	if err != nil {
		return nil, c.fail(ctx, "listing runs", err)
	}
	found := []Run{}
	for cursor.Next(ctx) {
		run, err := decode(cursor.Current)
		if err != nil {
			return nil, errors.Join(c.fail(ctx, "listing runs", err), cursor.Close(ctx))
		}
		found = append(found, run)
	}
	if err := errors.Join(cursor.Err(), cursor.Close(ctx)); err != nil {
		return nil, c.fail(ctx, "listing runs", err)
	}
	return found, nil
}

func (f Filter) query() bson.D {
	q := bson.D{}
	for _, is := range []struct{ key, value string }{{"procedure", f.Procedure}, {"module", f.Module}, {"state", f.State}} {
		if is.value != "" {
			q = append(q, bson.E{Key: is.key, Value: is.value})
		}
	}
	asked := bson.D{}
	if !f.From.IsZero() {
		asked = append(asked, bson.E{Key: "$gte", Value: f.From})
	}
	if !f.To.IsZero() {
		asked = append(asked, bson.E{Key: "$lt", Value: f.To})
	}
	if len(asked) > 0 {
		q = append(q, bson.E{Key: "asked", Value: asked})
	}
	if f.Before > 0 {
		q = append(q, bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: f.Before}}})
	}
	return q
}

// Highest is the highest number that a run has, 0 if there are none.
func (c *Client) Highest(ctx context.Context) (int64, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	var run struct {
		Number int64 `bson:"_id"`
	}
	err := c.runs.FindOne(ctx, bson.D{}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}).
		SetProjection(bson.D{{Key: "_id", Value: 1}})).Decode(&run)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	return run.Number, c.fail(ctx, "asking for the highest number of a run", err)
}
