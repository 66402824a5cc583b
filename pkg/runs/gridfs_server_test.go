//go:build e2e

package runs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// fileOf makes a file of random bytes.
func fileOf(t *testing.T, name string, size int64) (File, *bytes.Reader) {
	t.Helper()
	data := make([]byte, size)
	_, err := rand.NewChaCha8([32]byte{byte(size)}).Read(data)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	return File{Name: name, Size: size, SHA256: hex.EncodeToString(sum[:]), Read: "raw"}, bytes.NewReader(data)
}

func count(t *testing.T, collection *mongo.Collection, filter any) int64 {
	t.Helper()
	n, err := collection.CountDocuments(t.Context(), filter)
	require.NoError(t, err)
	return n
}

func read(t *testing.T, c *Client, run int64, name string) ([]byte, error) {
	t.Helper()
	r, _, err := c.OpenFile(t.Context(), run, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func all(t *testing.T, r io.ReadSeeker) []byte {
	t.Helper()
	_, err := r.Seek(0, io.SeekStart)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

func TestServerFiles(t *testing.T) {
	s, c := prepared(t)
	ctx := t.Context()
	sizes := map[string]int64{
		"empty": 0, "one": 1, "sub/dir.csv": ChunkSize - 1, "whole": ChunkSize, "more": ChunkSize + 1,
		"bulk": bulk * ChunkSize, "bulks": 2*bulk*ChunkSize + 17,
	}
	bucket := s.straight(t).GridFSBucket()
	for name, size := range sizes {
		f, r := fileOf(t, name, size)
		require.NoError(t, c.PutFile(ctx, 42, "u", f, r), name)
		require.NoError(t, c.PutFile(ctx, 42, "u", f, nil), "%s: the second time nothing is read", name)
		if size <= ChunkSize {
			require.NoError(t, c.PutFile(ctx, 421, "v", f, bytes.NewReader(all(t, r))), name)
		}

		got, err := read(t, c, 42, name)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(all(t, r), got), name)
		if size > 2*ChunkSize && name != "bulks" {
			continue // FerretDB looks at all chunks each time
		}
		var theirs bytes.Buffer
		_, err = bucket.DownloadToStream(ctx, "42/"+name, &theirs)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(got, theirs.Bytes()), name)
		require.Equal(t, (size+ChunkSize-1)/ChunkSize, count(t, bucket.GetChunksCollection(), bson.D{{Key: "files_id", Value: "42/" + name}}), name)
	}
	files, err := c.Files(ctx, 42)
	require.NoError(t, err)
	require.Len(t, files, len(sizes))
	require.Equal(t, "bulk", files[0].Name)
	require.Equal(t, "42/bulk", files[0].ID)
	require.Equal(t, sizes["bulk"], files[0].Size)
	_, err = read(t, c, 42, "none")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestServerFileRefused(t *testing.T) {
	s, c := prepared(t)
	ctx := t.Context()
	f, r := fileOf(t, "x", 3*ChunkSize)
	data := all(t, r)
	damaged := bytes.Clone(data)
	damaged[len(damaged)-1]++
	for name, bad := range map[string][]byte{"sum": damaged, "short": data[1:], "long": append(bytes.Clone(data), 1), "none": nil} {
		err := c.PutFile(ctx, 1, "u", f, bytes.NewReader(bad))
		require.ErrorIs(t, err, ErrDamaged, name)
		files, err := c.Files(ctx, 1)
		require.NoError(t, err)
		require.Empty(t, files, name)
	}
	require.NoError(t, c.PutFile(ctx, 1, "u", f, bytes.NewReader(data)))

	g, r := fileOf(t, "x", 2*ChunkSize)
	require.ErrorIs(t, c.PutFile(ctx, 1, "u", g, r), ErrConflict, "other content")
	require.ErrorIs(t, c.PutFile(ctx, 1, "v", f, bytes.NewReader(data)), ErrConflict, "another run")
	got, err := read(t, c, 1, "x")
	require.NoError(t, err)
	require.Equal(t, data, got)

	// Another run with that number has begun: its chunks are in the way.
	chunks := s.straight(t).Collection(Bucket + ".chunks")
	_, err = chunks.InsertOne(ctx, chunkDocument{ID: chunkID("1/y", "v", 0), File: "1/y", N: 0, Data: []byte("its")})
	require.NoError(t, err)
	g, r = fileOf(t, "y", 5)
	require.ErrorIs(t, c.PutFile(ctx, 1, "u", g, r), ErrConflict)

	stopped, stop := context.WithCancel(ctx)
	stop()
	g, r = fileOf(t, "z", 5)
	err = c.PutFile(stopped, 1, "u", g, r)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrNoAnswer)
}

// What was damaged in the database is told, however it was damaged.
func TestServerFileDamaged(t *testing.T) {
	s, c := prepared(t)
	ctx := t.Context()
	f, r := fileOf(t, "x", 3*ChunkSize+1)
	data := all(t, r)
	chunks := s.straight(t).Collection(Bucket + ".chunks")
	for name, chunk := range map[string][]byte{"a byte": bytes.Repeat([]byte{1}, ChunkSize), "a length": data[:10], "missing": nil} {
		_, err := s.straight(t).Collection(Bucket+".files").DeleteMany(ctx, bson.D{})
		require.NoError(t, err)
		require.NoError(t, c.PutFile(ctx, 1, "u", f, bytes.NewReader(data)))
		id := bson.D{{Key: "_id", Value: chunkID("1/x", "u", 1)}}
		if chunk == nil {
			_, err = chunks.DeleteOne(ctx, id)
		} else {
			_, err = chunks.UpdateOne(ctx, id, bson.D{{Key: "$set", Value: bson.D{{Key: "data", Value: chunk}}}})
		}
		require.NoError(t, err)
		got, err := read(t, c, 1, "x")
		require.ErrorIs(t, err, ErrDamaged, name)
		require.Contains(t, []int{ChunkSize, len(data)}, len(got), name)
	}
}

// A file that another program put there with mongo-driver's own bucket.
func TestServerForeignFile(t *testing.T) {
	s, c := prepared(t)
	ctx := t.Context()
	_, r := fileOf(t, "x", 5*100+7)
	data := all(t, r)
	bucket := s.straight(t).GridFSBucket()
	require.NoError(t, bucket.UploadFromStreamWithID(ctx, "7/theirs", "anything", bytes.NewReader(data), options.GridFSUpload().SetChunkSizeBytes(100)))
	got, err := read(t, c, 7, "theirs")
	require.NoError(t, err)
	require.Equal(t, data, got)
	f, _ := fileOf(t, "theirs", 5)
	require.ErrorIs(t, c.PutFile(ctx, 7, "u", f, nil), ErrConflict)
}

// killer kills the server after that many bytes.
type killer struct {
	io.Reader
	s     *server
	after int
}

func (k *killer) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	if k.after -= n; k.after <= 0 && k.s != nil {
		k.s.kill()
		k.s = nil
	}
	return n, err
}

func TestServerKilledInFile(t *testing.T) {
	s, c := prepared(t)
	hasty := s.client(t, 5*time.Second) // so that its failures do not take long
	f, r := fileOf(t, "scurves.bin", 40*ChunkSize+1000)
	data := all(t, r)
	for _, after := range []int{1, 17 * ChunkSize, 33 * ChunkSize, len(data)} {
		err := hasty.PutFile(t.Context(), 42, "u", f, &killer{bytes.NewReader(data), s, after})
		require.ErrorIs(t, err, ErrNoAnswer, after)
		s.kill() // where it was too slow for the hasty one, it lives still
		s.start(t)
		require.Eventually(t, func() bool { _, err := c.Highest(t.Context()); return err == nil }, patience, 20*time.Millisecond)
		_, err = read(t, c, 42, "scurves.bin")
		require.ErrorIs(t, err, ErrNotFound)
	}
	require.NoError(t, c.PutFile(t.Context(), 42, "u", f, bytes.NewReader(data)))
	got, err := read(t, c, 42, "scurves.bin")
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	db := s.straight(t)
	require.EqualValues(t, 1, count(t, db.Collection(Bucket+".files"), bson.D{}))
	require.EqualValues(t, 41, count(t, db.Collection(Bucket+".chunks"), bson.D{}))
}

// How fast files are stored and read, beside mongo-driver's own bucket, and the
// memory of all of this process.
func TestServerThroughput(t *testing.T) {
	const size = 100_000_000
	content := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{}), size) }
	sum := sha256.New()
	_, err := io.Copy(sum, content())
	require.NoError(t, err)
	ctx := t.Context()
	measure := func(what string, fn func() error) {
		debug.FreeOSMemory()
		// The kernel forgets the peak of before.
		require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
		begin := time.Now()
		require.NoError(t, fn(), what)
		rate := size / 1e6 / time.Since(begin).Seconds()
		status, err := os.ReadFile("/proc/self/status")
		require.NoError(t, err)
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		peak, _, _ = strings.Cut(peak, "\n")
		t.Logf("%-30s %6.1f MB/s, at most %s", what, rate, strings.TrimSpace(peak))
	}
	_, c := prepared(t)
	measure("PutFile", func() error {
		return c.PutFile(ctx, 1, "u", File{Name: "ours", Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}, content())
	})
	measure("OpenFile", func() error {
		r, _, err := c.OpenFile(ctx, 1, "ours")
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		return err
	})
	theirs := startServer(t).straight(t).GridFSBucket()
	measure("mongo-driver's bucket, upload", func() error {
		return theirs.UploadFromStreamWithID(ctx, "x", "x", content())
	})
}
