package backup

import (
	"bytes"
	"context"
	"fmt"
	"net/url"

	"github.com/klauspost/compress/gzip"
)

// mongo writes the documents and the indexes of each collection.
func (b *maker) mongo(ctx context.Context) error {
	version, err := b.src.Mongo.Version(ctx)
	if err != nil {
		return err
	}
	names, err := b.src.Mongo.Collections(ctx)
	if err != nil {
		return err
	}
	others, err := b.src.Mongo.Others(ctx)
	if err != nil {
		return err
	}
	for _, other := range others {
		b.skip("MongoDB's %s: it is no plain collection", other)
	}
	part := &MongoPart{Version: version, Collections: make(map[string]int64, len(names))}
	for _, name := range names {
		n, err := b.collection(ctx, name)
		if err != nil {
			return err
		}
		part.Collections[name] = n
	}
	b.manifest.Mongo = part
	return nil
}

func (b *maker) collection(ctx context.Context, name string) (n int64, err error) {
	about, err := b.src.Mongo.Metadata(ctx, name)
	if err != nil {
		return 0, err
	}
	out, err := b.create(mongoFile(name, "json"))
	if err != nil {
		return 0, err
	}
	if _, err := out.Write(about); err != nil {
		out.drop()
		return 0, err
	}
	if err := out.done(); err != nil {
		return 0, err
	}
	if out, err = b.create(mongoFile(name, "bson.gz")); err != nil {
		return 0, err
	}
	z, _ := gzip.NewWriterLevel(out, gzip.BestSpeed) // the level is a valid one
	n, err = b.src.Mongo.Dump(ctx, name, z)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		out.drop()
		return n, err
	}
	return n, out.done()
}

// mongoFile is where a collection is.
func mongoFile(collection, end string) string {
	return "mongo/" + url.PathEscape(collection) + "." + end
}

// loadMongo stores the documents of each collection and counts them.
func (r *restorer) loadMongo(ctx context.Context) error {
	for name, want := range r.manifest.Mongo.Collections {
		about, err := r.backup.ReadFile(mongoFile(name, "json"))
		if err != nil {
			return err
		}
		about = bytes.TrimSpace(about)
		if err := r.to.Mongo.MakeCollection(ctx, name, about); err != nil {
			return err
		}
		f, err := r.open(mongoFile(name, "bson.gz"))
		if err != nil {
			return err
		}
		n, err := r.to.Mongo.Load(ctx, name, f)
		_ = f.Close()
		if err != nil {
			return err
		}
		if err := r.to.Mongo.MakeIndexes(ctx, name, about); err != nil {
			return err
		}
		has, err := r.to.Mongo.Count(ctx, name)
		if err != nil {
			return err
		}
		if n != want || has < want || has > want && !r.force {
			return fmt.Errorf("collection %s: %d documents were saved, %d read again and %d are there now", name, want, n, has)
		}
		r.log.Info("a collection is back", "collection", name, "documents", n)
	}
	return nil
}
