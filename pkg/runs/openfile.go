package runs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// OpenFile gives a file of a run, chunk by chunk as it is read; its chunks are
// asked for with ctx. A file that is not whole or has not the sum that it should
// ends with ErrDamaged in place of io.EOF: what was read until then may be wrong.
func (c *Client) OpenFile(ctx context.Context, run int64, name string) (io.ReadCloser, File, error) {
	id := fileID(run, name)
	doing := "reading file " + id
	doc, err := c.file(ctx, id)
	if err != nil {
		return nil, File{}, c.fail(ctx, doing, err)
	}
	if doc.ChunkSize <= 0 || doc.Length < 0 {
		return nil, File{}, c.fail(ctx, doing, fmt.Errorf("%w: length %d in chunks of %d", ErrDamaged, doc.Length, doc.ChunkSize))
	}
	f := doc.file()
	r := &fileReader{left: doc.Length, chunk: int64(doc.ChunkSize), sum: sha256.New(), want: doc.Metadata.SHA256}
	r.next = func(n int32) ([]byte, error) {
		data, err := c.chunk(ctx, doc, n)
		if errors.Is(err, mongo.ErrNoDocuments) {
			err = fmt.Errorf("%w: chunk %d is missing", ErrDamaged, n)
		}
		return data, err
	}
	r.fail = func(err error) error { return c.fail(ctx, doing, err) }
	return r, f, nil
}

func (d fileDocument) file() File {
	return File{ID: d.Filename, Name: d.Metadata.Name, Size: d.Length, SHA256: d.Metadata.SHA256, Read: d.Metadata.Read}
}

// chunk reads one chunk: one of ours by its id, which FerretDB finds at once,
// one that another program wrote by its place in the file.
func (c *Client) chunk(ctx context.Context, of fileDocument, n int32) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	var doc chunkDocument
	err := mongo.ErrNoDocuments
	if of.Metadata.UID != "" {
		err = c.chunks.FindOne(ctx, bson.D{{Key: "_id", Value: chunkID(of.Filename, of.Metadata.UID, n)}}).Decode(&doc)
	}
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = c.chunks.FindOne(ctx, bson.D{{Key: "files_id", Value: of.ID}, {Key: "n", Value: n}}).Decode(&doc)
	}
	return doc.Data, err
}

type fileReader struct {
	next  func(n int32) ([]byte, error)
	fail  func(error) error
	n     int32  // of the next chunk
	data  []byte // of the last one, what was not yet read
	left  int64  // bytes in chunks that were not yet asked for
	chunk int64
	sum   hash.Hash
	want  string
	ended error
}

func (r *fileReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.data) == 0 && r.ended == nil {
		r.ended = r.ask()
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	if n == 0 {
		return 0, r.ended
	}
	return n, nil
}

// ask gets the next chunk, or says how the file ended.
func (r *fileReader) ask() error {
	if r.left == 0 {
		if got := hex.EncodeToString(r.sum.Sum(nil)); r.want != "" && got != r.want {
			return r.fail(fmt.Errorf("%w: its sum is %s and should be %s", ErrDamaged, got, r.want))
		}
		return io.EOF
	}
	data, err := r.next(r.n)
	if err != nil {
		return r.fail(err)
	}
	if want := min(r.left, r.chunk); int64(len(data)) != want {
		return r.fail(fmt.Errorf("%w: chunk %d has %d bytes and should have %d", ErrDamaged, r.n, len(data), want))
	}
	r.sum.Write(data) // never fails
	r.data = data
	r.left -= int64(len(data))
	r.n++
	return nil
}

// Close ends the reading.
func (r *fileReader) Close() error {
	r.data, r.ended = nil, errors.New("the file is closed")
	return nil
}

// Files lists the files of a run that are in GridFS, in order of their names.
func (c *Client) Files(ctx context.Context, run int64) ([]File, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	doing := fmt.Sprintf("listing the files of run %d", run)
	from := fileID(run, "")
	to := strings.TrimSuffix(from, "/") + "0" // what comes after "/"
	cursor, err := c.files.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}},
		options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, c.fail(ctx, doing, err)
	}
	var docs []fileDocument
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, c.fail(ctx, doing, err)
	}
	files := make([]File, 0, len(docs))
	for _, d := range docs {
		files = append(files, d.file())
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}
