// Tests of the binary through mongo-driver: that it does what the stack asks of it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

var binary string // built by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ferretdb-test")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "ferretdb")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running ferretdb.
type server struct {
	cmd  *exec.Cmd
	addr string
	done chan struct{} // closed when it has closed its standard error
	log  []byte        // what it said there after the address, once done
}

func start(tb testing.TB, dir string) *server {
	tb.Helper()
	s := &server{cmd: exec.Command(binary), done: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "FERRETDB_LISTEN=127.0.0.1:0", "FERRETDB_DIR="+dir)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	r := bufio.NewReader(stderr)
	line, err := r.ReadString('\n')
	go func() {
		s.log, _ = io.ReadAll(r)
		close(s.done)
	}()
	tb.Cleanup(func() {
		_ = s.end(os.Kill)
		if tb.Failed() {
			tb.Logf("%s said: %s", s.addr, s.log)
		}
	})
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ferretdb: listening on ")
	if !ok {
		tb.Fatalf("first line %q, %v", line, err)
	}
	s.addr = addr
	return s
}

// end ends it with a signal and returns how it ended.
func (s *server) end(sig os.Signal) error {
	_ = s.cmd.Process.Signal(sig)
	select { // Wait closes the pipe: read it out before
	case <-s.done:
		return s.cmd.Wait()
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
		_ = s.cmd.Wait()
		return errors.New("did not end")
	}
}

func (s *server) connect(tb testing.TB) *mongo.Database {
	tb.Helper()
	yes := true
	c, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + s.addr + "/").
		SetRetryWrites(false).SetServerSelectionTimeout(10 * time.Second).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &yes}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Disconnect(ctx)
	})
	return c.Database("dcs")
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(tb testing.TB, what string, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

func count(t *testing.T, c *mongo.Collection, filter any, want int64) {
	t.Helper()
	n, err := c.CountDocuments(deadline(t), filter)
	must(t, "count", err)
	if n != want {
		t.Fatalf("%s holds %d documents with %v, want %d", c.Name(), n, filter, want)
	}
}

func TestUpserts(t *testing.T) {
	db := start(t, t.TempDir()).connect(t)
	ctx := deadline(t)
	upsert := options.Replace().SetUpsert(true)
	for _, id := range []any{int64(1) << 40, "42/0/17", bson.NewObjectID()} {
		c := db.Collection(fmt.Sprintf("upserts_%T", id))
		for i, state := range []string{"running", "finished", "finished"} {
			r, err := c.ReplaceOne(ctx, bson.M{"_id": id}, bson.M{"_id": id, "state": state}, upsert)
			must(t, "replace", err)
			if (r.UpsertedCount == 1) != (i == 0) || (r.MatchedCount == 1) != (i > 0) {
				t.Errorf("%v, replacement %d: %+v", id, i, r)
			}
		}
		_, err := c.UpdateOne(ctx, bson.M{"_id": id}, bson.M{"$setOnInsert": bson.M{"state": "new"}}, options.UpdateOne().SetUpsert(true))
		must(t, "$setOnInsert", err)
		var d bson.M
		must(t, "find", c.FindOne(ctx, bson.M{"_id": id}).Decode(&d))
		if d["state"] != "finished" || d["_id"] != id {
			t.Errorf("%v: %v", id, d)
		}
		count(t, c, bson.M{}, 1)
		if _, err := c.InsertOne(ctx, bson.M{"_id": id}); !mongo.IsDuplicateKeyError(err) {
			t.Errorf("a second insert of %v: %v", id, err)
		}
	}
}

func TestInsertManyGoesOnAfterDuplicates(t *testing.T) {
	c := start(t, t.TempDir()).connect(t).Collection("c")
	_, err := c.InsertMany(deadline(t), []any{bson.M{"_id": "1"}, bson.M{"_id": "3"}})
	must(t, "insert", err)
	_, err = c.InsertMany(deadline(t), []any{bson.M{"_id": "1"}, bson.M{"_id": "2"}, bson.M{"_id": "3"}, bson.M{"_id": "4"}},
		options.InsertMany().SetOrdered(false))
	var many mongo.BulkWriteException
	if !errors.As(err, &many) || len(many.WriteErrors) != 2 || many.WriteErrors[0].Index != 0 || many.WriteErrors[1].Index != 2 ||
		!many.WriteErrors[0].HasErrorCode(11000) {
		t.Fatalf("%#v", err)
	}
	count(t, c, bson.M{}, 4)
}

func TestIndexes(t *testing.T) {
	db := start(t, t.TempDir()).connect(t)
	ctx := deadline(t)
	c := db.Collection("fs.chunks")
	indexes := []mongo.IndexModel{
		{Keys: bson.D{{Key: "files_id", Value: 1}, {Key: "n", Value: 1}}, Options: options.Index().SetUnique(true)},
		{Keys: bson.D{{Key: "run.module", Value: 1}, {Key: "start", Value: -1}}},
	}
	for range 3 { // safe to repeat, one by one: several in a call would panic on the second
		for _, i := range indexes {
			_, err := c.Indexes().CreateOne(ctx, i)
			must(t, "index", err)
		}
	}
	all, err := c.Indexes().ListSpecifications(ctx)
	must(t, "list", err)
	if len(all) != 3 {
		t.Errorf("%d indexes, want 3", len(all))
	}
	_, err = c.InsertOne(ctx, bson.M{"files_id": "42/a", "n": 0})
	must(t, "insert", err)
	_, err = c.InsertOne(ctx, bson.M{"files_id": "42/a", "n": 1})
	must(t, "insert", err)
	if _, err = c.InsertOne(ctx, bson.M{"files_id": "42/a", "n": 0}); !mongo.IsDuplicateKeyError(err) {
		t.Errorf("a second chunk 0: %v", err)
	}
}

// Without indexer a lookup by _id reads the whole table.
func TestLookups(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	plan := func(db *mongo.Database) string {
		// SQLite notices a new index when it executes, and EXPLAIN does not.
		must(t, "find", db.Collection("c").FindOne(deadline(t), bson.M{"_id": "1"}).Err())
		var answer bson.M
		must(t, "explain", db.RunCommand(deadline(t), bson.D{{Key: "explain",
			Value: bson.D{{Key: "find", Value: "c"}, {Key: "filter", Value: bson.M{"_id": "1"}}}}}).Decode(&answer))
		return fmt.Sprint(answer["queryPlanner"])
	}
	db := s.connect(t)
	for range 2 {
		_, err := db.Collection("c").InsertOne(deadline(t), bson.M{"_id": "1"})
		must(t, "insert", err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for !strings.Contains(plan(db), "SEARCH c_") {
			if ctx.Err() != nil {
				t.Fatal(plan(db))
			}
		}
		must(t, "drop", db.Drop(deadline(t)))
	}
	_, err := db.Collection("c").InsertOne(deadline(t), bson.M{"_id": "1"})
	must(t, "insert", err)
	_ = s.end(os.Kill)
	if p := plan(start(t, dir).connect(t)); !strings.Contains(p, "SEARCH c_") {
		t.Errorf("after a start: %s", p)
	}
}

const chunkSize = 255 * 1024

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// Chunks by hand, with deterministic ids, twice: the bucket reads the file.
func TestGridFS(t *testing.T) {
	db := start(t, t.TempDir()).connect(t)
	ctx := deadline(t)
	content := noise(3*chunkSize + 17)
	id := "42/scurves.csv"
	for range 2 {
		var models []mongo.WriteModel
		for n := 0; n*chunkSize < len(content); n++ {
			key := fmt.Sprintf("42/0/%d", n)
			doc := bson.D{{Key: "_id", Value: key}, {Key: "files_id", Value: id}, {Key: "n", Value: int32(n)},
				{Key: "data", Value: content[n*chunkSize : min((n+1)*chunkSize, len(content))]}}
			models = append(models, mongo.NewReplaceOneModel().SetFilter(bson.M{"_id": key}).SetReplacement(doc).SetUpsert(true))
		}
		_, err := db.Collection("fs.chunks").BulkWrite(ctx, models)
		must(t, "chunks", err)
		_, err = db.Collection("fs.files").ReplaceOne(ctx, bson.M{"_id": id}, bson.M{"length": int64(len(content)),
			"chunkSize": int32(chunkSize), "uploadDate": time.Now(), "filename": id}, options.Replace().SetUpsert(true))
		must(t, "file", err)
	}
	count(t, db.Collection("fs.chunks"), bson.M{}, 4)
	count(t, db.Collection("fs.files"), bson.M{}, 1)
	bucket := db.GridFSBucket()
	var b bytes.Buffer
	_, err := bucket.DownloadToStream(ctx, id, &b)
	must(t, "download", err)
	if !bytes.Equal(b.Bytes(), content) {
		t.Errorf("%d bytes, differing from the %d written", b.Len(), len(content))
	}
	b.Reset()
	_, err = bucket.DownloadToStreamByName(ctx, id, &b)
	must(t, "download by name", err)
	if !bytes.Equal(b.Bytes(), content) {
		t.Error("by name it differs")
	}
	must(t, "delete", bucket.Delete(ctx, id))
	count(t, db.Collection("fs.chunks"), bson.M{}, 0)
}

func TestQueries(t *testing.T) {
	c := start(t, t.TempDir()).connect(t).Collection("runs")
	ctx := deadline(t)
	var docs []any
	for i := range int64(10) {
		docs = append(docs, bson.M{"_id": i + 1, "module": fmt.Sprint("m", i%2), "duration": float64(i)})
	}
	_, err := c.InsertMany(ctx, docs)
	must(t, "insert", err)
	var last struct {
		ID int64 `bson:"_id"`
	}
	must(t, "last", c.FindOne(ctx, bson.M{}, options.FindOne().SetSort(bson.M{"_id": -1}).SetProjection(bson.M{"_id": 1})).Decode(&last))
	if last.ID != 10 {
		t.Errorf("the last run is %d", last.ID)
	}
	cur, err := c.Aggregate(ctx, mongo.Pipeline{
		{{Key: "$match", Value: bson.M{"_id": bson.M{"$gt": 2}}}},
		{{Key: "$group", Value: bson.M{"_id": "$module", "time": bson.M{"$sum": "$duration"}}}}, // a second sum would be 0
		{{Key: "$sort", Value: bson.M{"_id": 1}}},
	})
	must(t, "aggregate", err)
	var groups []struct {
		ID   string `bson:"_id"`
		Time float64
	}
	must(t, "groups", cur.All(ctx, &groups))
	if got := fmt.Sprint(groups); got != "[{m0 20} {m1 24}]" {
		t.Error(got)
	}
}

// What MongoDB takes and FerretDB refuses, so that nobody is surprised: if one
// of these passes one day, the README needs a line less.
func TestRefused(t *testing.T) {
	c := start(t, t.TempDir()).connect(t).Collection("c")
	ctx := deadline(t)
	for name, v := range map[string]any{
		"a dot in a key":      bson.M{"a.b": 1},
		"a dollar":            bson.M{"$a": 1},
		"an array in one":     bson.M{"a": bson.A{bson.A{1, 2}}},
		"NaN":                 bson.M{"a": math.NaN()}, // closes the connection
		"infinity":            bson.M{"a": math.Inf(1)},
		"the same key twice":  bson.D{{Key: "a", Value: 1}, {Key: "a", Value: 2}},
		"a dot in a deep key": bson.M{"a": bson.A{bson.M{"b": bson.M{"c.d": 1}}}},
	} {
		_, err := c.ReplaceOne(ctx, bson.M{"_id": "x"}, bson.M{"results": v}, options.Replace().SetUpsert(true))
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
		t.Logf("%s: %v", name, err)
	}
	for name, v := range map[string]any{
		"an empty key": bson.M{"": 1}, "null": nil, "a time": time.Now(), "an empty array": bson.A{},
		"arrays in documents in arrays": bson.A{bson.M{"a": bson.A{bson.M{"b": bson.A{1}}}}},
	} {
		_, err := c.ReplaceOne(ctx, bson.M{"_id": "x"}, bson.M{"results": v}, options.Replace().SetUpsert(true))
		must(t, name, err)
		must(t, name, c.FindOne(ctx, bson.M{"_id": "x"}).Err())
	}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := s.connect(t).Collection("c")
	acknowledged := make(chan int, 1)
	enough := make(chan struct{})
	go func() { // writes till it dies
		data := noise(10_000)
		for i := 0; ; i++ {
			if _, err := c.ReplaceOne(context.Background(), bson.M{"_id": fmt.Sprint(i)}, bson.M{"i": i, "data": data}, options.Replace().SetUpsert(true)); err != nil {
				acknowledged <- i
				return
			}
			if i == 100 {
				close(enough)
			}
		}
	}()
	select {
	case <-enough:
	case <-deadline(t).Done():
		t.Fatal("too slow")
	}
	_ = s.end(os.Kill)
	n := <-acknowledged

	c = start(t, dir).connect(t).Collection("c")
	for i := range n {
		must(t, fmt.Sprint("document ", i, " of ", n), c.FindOne(deadline(t), bson.M{"_id": fmt.Sprint(i)}).Err())
	}
}

func TestEnds(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		s := start(t, filepath.Join(t.TempDir(), "to", "be", "made"))
		db := s.connect(t) // remains connected
		_, err := db.Collection("c").InsertOne(deadline(t), bson.M{})
		must(t, "insert", err)
		must(t, sig.String(), s.end(sig))
		if strings.Contains(string(s.log), "endSessions") {
			t.Errorf("it says too much: %s", s.log)
		}
	}
}

func TestBadStarts(t *testing.T) {
	s := start(t, t.TempDir())
	for _, c := range []struct {
		args, env []string
		code      int
		want      string
	}{
		{[]string{"--port"}, nil, 2, `unknown argument "--port"`},
		{nil, []string{"FERRETDB_LISTEN=" + s.addr}, 1, "address already in use"},
		{nil, []string{"FERRETDB_LISTEN=nonsense"}, 1, "missing port"},
		{nil, []string{"FERRETDB_LISTEN=127.0.0.1:0", "FERRETDB_DIR=/dev/null/x"}, 1, "not a directory"},
		{nil, []string{"FERRETDB_LISTEN=127.0.0.1:0", "FERRETDB_DIR=" + t.TempDir() + "/a?b"}, 1, "do not work"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, c.args...)
		cmd.Env = append(append(os.Environ(), "FERRETDB_DIR="+t.TempDir()), c.env...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%v %v: exit %d, %s", c.args, c.env, code, out)
		}
	}
}
