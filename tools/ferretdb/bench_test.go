package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const megabytes = 100 // that each step of a benchmark writes

// rss is the resident memory of the server and its peak, in MB.
func (s *server) rss(b *testing.B) (now, peak float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	must(b, "status", err)
	get := func(key string) float64 {
		m := regexp.MustCompile(key + `:\s+(\d+) kB`).FindSubmatch(text)
		kb, err := strconv.Atoi(string(m[1]))
		must(b, key, err)
		return float64(kb) / 1000
	}
	return get("VmRSS"), get("VmHWM")
}

// cpu is the processor time of the server.
func (s *server) cpu(b *testing.B) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	must(b, "stat", err)
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+2:])
	u, _ := strconv.Atoi(string(f[11]))
	k, _ := strconv.Atoi(string(f[12]))
	return time.Duration(u+k) * 10 * time.Millisecond
}

func chunk(run, n int, data []byte) (string, bson.D) {
	id := fmt.Sprintf("%d/0/%d", run, n)
	return id, bson.D{{Key: "_id", Value: id}, {Key: "files_id", Value: fmt.Sprintf("%d/a", run)}, {Key: "n", Value: int32(n)}, {Key: "data", Value: data}}
}

// ways are those of writing chunks n to n+k-1.
var ways = map[string]func(ctx context.Context, c *mongo.Collection, run, n, k int, data []byte) error{
	"Replace": func(ctx context.Context, c *mongo.Collection, run, n, k int, data []byte) error {
		var models []mongo.WriteModel
		for i := range k {
			id, doc := chunk(run, n+i, data)
			models = append(models, mongo.NewReplaceOneModel().SetFilter(bson.M{"_id": id}).SetReplacement(doc).SetUpsert(true))
		}
		_, err := c.BulkWrite(ctx, models)
		return err
	},
	"SetOnInsert": func(ctx context.Context, c *mongo.Collection, run, n, k int, data []byte) error {
		var models []mongo.WriteModel
		for i := range k {
			id, doc := chunk(run, n+i, data)
			models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.M{"_id": id}).SetUpdate(bson.M{"$setOnInsert": doc[1:]}).SetUpsert(true))
		}
		_, err := c.BulkWrite(ctx, models)
		return err
	},
	"InsertMany": func(ctx context.Context, c *mongo.Collection, run, n, k int, data []byte) error {
		var docs []any
		for i := range k {
			_, doc := chunk(run, n+i, data)
			docs = append(docs, doc)
		}
		_, err := c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
		return err
	},
}

func indexed(b *testing.B, db *mongo.Database) *mongo.Collection {
	c := db.Collection("fs.chunks")
	_, err := c.Indexes().CreateOne(b.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "files_id", Value: 1}, {Key: "n", Value: 1}}, Options: options.Index().SetUnique(true)})
	must(b, "index", err)
	return c
}

// write writes 100 MB in calls of k chunks and returns MB/s.
func write(b *testing.B, c *mongo.Collection, way string, run, k int, data []byte) float64 {
	chunks := megabytes * 1_000_000 / chunkSize
	t0 := time.Now()
	for n := 0; n < chunks; n += k {
		must(b, way, ways[way](b.Context(), c, run, n, min(k, chunks-n), data))
	}
	return megabytes / time.Since(t0).Seconds()
}

func BenchmarkWrite(b *testing.B) {
	data := noise(chunkSize)
	for _, way := range []string{"Replace", "SetOnInsert", "InsertMany"} {
		for _, k := range []int{4, 8, 16} {
			b.Run(fmt.Sprintf("%s/%d", way, k), func(b *testing.B) {
				for range b.N {
					s := start(b, b.TempDir())
					c := indexed(b, s.connect(b))
					cpu := s.cpu(b)
					first := write(b, c, way, 42, k, data)
					b.ReportMetric(first, "MB/s")
					b.ReportMetric((s.cpu(b) - cpu).Seconds(), "cpu-s")
					if way != "InsertMany" {
						b.ReportMetric(write(b, c, way, 42, k, data), "again-MB/s")
					}
					_, peak := s.rss(b)
					b.ReportMetric(peak, "peak-MB")
				}
			})
		}
	}
	b.Run("Bucket", func(b *testing.B) {
		for range b.N {
			s := start(b, b.TempDir())
			db := s.connect(b)
			content := bytes.Repeat(data, megabytes*1_000_000/chunkSize)
			t0 := time.Now()
			must(b, "upload", db.GridFSBucket().UploadFromStreamWithID(b.Context(), "42/a", "42/a", bytes.NewReader(content)))
			b.ReportMetric(megabytes/time.Since(t0).Seconds(), "MB/s")
			_, peak := s.rss(b)
			b.ReportMetric(peak, "peak-MB")
		}
	})
}

// The rates of the first and the last 100 MB of 1 GB.
func BenchmarkGrow(b *testing.B) {
	data := noise(chunkSize)
	for _, way := range []string{"Replace", "InsertMany"} {
		b.Run(way, func(b *testing.B) {
			for range b.N {
				dir := b.TempDir()
				s := start(b, dir)
				c := indexed(b, s.connect(b))
				for i := range 10 {
					rate := write(b, c, way, i, 8, data)
					if i == 0 || i == 9 {
						b.ReportMetric(rate, fmt.Sprintf("MB/s-%d", i))
					}
				}
				if way == "Replace" {
					b.ReportMetric(write(b, c, way, 9, 8, data), "again-MB/s")
				}
				fi, err := filepath.Glob(filepath.Join(dir, "*"))
				must(b, "glob", err)
				for _, f := range fi {
					st, err := os.Stat(f)
					must(b, "stat", err)
					b.ReportMetric(float64(st.Size())/1e6, filepath.Ext(f)+"-MB")
				}
				now, peak := s.rss(b)
				b.ReportMetric(now, "now-MB")
				b.ReportMetric(peak, "peak-MB")
				// reading one file of the ten: the filter of a cursor is not pushed down
				t0 := time.Now()
				cur, err := c.Find(b.Context(), bson.M{"files_id": "9/a"}, options.Find().SetSort(bson.M{"n": 1}))
				must(b, "find", err)
				b.ReportMetric(float64(time.Since(t0).Milliseconds()), "find-file-ms")
				_ = cur.Close(b.Context())
				t0 = time.Now()
				must(b, "find", c.FindOne(b.Context(), bson.M{"_id": "9/0/100"}).Err())
				b.ReportMetric(float64(time.Since(t0).Milliseconds()), "find-id-ms")
				_, peak = s.rss(b)
				b.ReportMetric(peak, "find-peak-MB")
			}
		})
	}
}

const documents = 300

// 300 documents of 100 KB: what one upsert and one query cost then.
func BenchmarkDocuments(b *testing.B) {
	oid := func(i int) (o bson.ObjectID) {
		copy(o[:], fmt.Sprintf("%012d", i))
		return o
	}
	text := string(bytes.Repeat([]byte("0123456789"), 20))
	for name, id := range map[string]func(int) any{
		"int64":    func(i int) any { return int64(i) },
		"string":   func(i int) any { return fmt.Sprint(i) },
		"ObjectID": func(i int) any { return oid(i) },
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				s := start(b, b.TempDir())
				c := s.connect(b).Collection("runs")
				doc := bson.M{}
				for i := range 500 { // a run's document: a tree of short values, not one blob
					doc[fmt.Sprintf("k%d", i)] = bson.M{"text": text[:170], "value": float64(i)}
				}
				for i := 0; i < documents; i += 100 {
					var docs []any
					for j := range 100 {
						docs = append(docs, bson.D{{Key: "_id", Value: id(i + j)}, {Key: "run", Value: int64(i + j)}, {Key: "results", Value: doc}})
					}
					_, err := c.InsertMany(b.Context(), docs)
					must(b, "insert", err)
				}
				measure := func(what string, f func() error) {
					t0 := time.Now()
					must(b, what, f())
					b.ReportMetric(float64(time.Since(t0).Microseconds())/1000, what+"-ms")
				}
				put := func(i int, text string) func() error {
					return func() error {
						_, err := c.ReplaceOne(b.Context(), bson.M{"_id": id(i)}, bson.M{"run": int64(i), "state": text, "results": doc}, options.Replace().SetUpsert(true))
						return err
					}
				}
				measure("new", put(documents, "a"))
				measure("first", put(0, "a"))
				measure("last", put(documents-1, "a"))
				measure("get", func() error { return c.FindOne(b.Context(), bson.M{"_id": id(documents - 1)}).Err() })
				sort := options.FindOne().SetSort(bson.M{"_id": -1})
				measure("highest", func() error { return c.FindOne(b.Context(), bson.M{}, sort).Err() })
				_, peak := s.rss(b)
				b.ReportMetric(peak, "peak-MB")
				measure("highest-proj", func() error {
					return c.FindOne(b.Context(), bson.M{}, options.FindOne().SetSort(bson.M{"_id": -1}).SetProjection(bson.M{"_id": 1})).Err()
				})
				measure("natural", func() error {
					return c.FindOne(b.Context(), bson.M{}, options.FindOne().SetSort(bson.M{"$natural": -1})).Err()
				})
				measure("count", func() error { _, err := c.CountDocuments(b.Context(), bson.M{}); return err })
				measure("estimate", func() error { _, err := c.EstimatedDocumentCount(b.Context()); return err })
			}
		})
	}
}
