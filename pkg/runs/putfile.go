package runs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// How files are cut for GridFS. The size of a chunk is the usual one of GridFS.
const (
	ChunkSize = 255 << 10
	bulk      = 4 // chunks that are written at once, 1 MiB: more are no faster and need memory
	inFlight  = 2 // bulks: one is filled while the other is written
)

// fileDocument is a file in GridFS.
type fileDocument struct {
	ID         any       `bson:"_id"`
	Length     int64     `bson:"length"`
	ChunkSize  int32     `bson:"chunkSize"`
	UploadDate time.Time `bson:"uploadDate"`
	Filename   string    `bson:"filename"`
	Metadata   metadata  `bson:"metadata"`
}

type metadata struct {
	Run    int64  `bson:"run"`
	UID    string `bson:"uid"`
	Name   string `bson:"name"`
	SHA256 string `bson:"sha256"`
	Read   string `bson:"read,omitempty"`
}

// chunkDocument is a piece of a file in GridFS.
type chunkDocument struct {
	ID   any    `bson:"_id"`
	File any    `bson:"files_id"`
	N    int32  `bson:"n"`
	Data []byte `bson:"data"`
}

// fileID names a file of a run in GridFS.
func fileID(run int64, name string) string { return strconv.FormatInt(run, 10) + "/" + name }

// chunkID names a chunk. The uid in it keeps the chunks of two runs that were
// given one number apart: GridFS's unique index then refuses the second.
func chunkID(file, uid string, n int32) string {
	return file + "/" + uid + "/" + strconv.FormatInt(int64(n), 10)
}

// PutFile stores a file of a run in GridFS under the id "<run>/<name>": first
// its chunks, last the document that makes it a file. Name, Size and SHA256 of f
// must be set, and r must give exactly that: else there is an error, ErrDamaged,
// and no file.
//
// After an error, or a crash, it is called again with the same arguments, and
// writes the same chunks in place of those that are there already. If the file
// is there with the same uid, size and sum it reads and writes nothing. If it is
// there with others, the error is ErrConflict.
//
// It needs memory for two times 4 chunks, whatever the file's size.
func (c *Client) PutFile(ctx context.Context, run int64, uid string, f File, r io.Reader) error {
	id := fileID(run, f.Name)
	doing := "storing file " + id
	if run < 1 || uid == "" || f.Name == "" || f.Size < 0 || len(f.SHA256) != hex.EncodedLen(sha256.Size) {
		return fmt.Errorf("%s: number, uid, name, size or sha256 is missing", doing)
	}
	meta := metadata{Run: run, UID: uid, Name: f.Name, SHA256: f.SHA256, Read: f.Read}
	there, err := c.file(ctx, id)
	switch {
	case err == nil:
		return c.fail(ctx, doing, same(there, meta, f.Size))
	case !errors.Is(err, mongo.ErrNoDocuments):
		return c.fail(ctx, doing, err)
	}
	if err := c.putChunks(ctx, doing, uid, id, f, r); err != nil {
		return err
	}
	err = c.putFileDocument(ctx, fileDocument{
		ID: id, Length: f.Size, ChunkSize: ChunkSize, UploadDate: time.Now().UTC(), Filename: id, Metadata: meta,
	})
	return c.fail(ctx, doing, err)
}

// same says how the file that is there differs from what it should be.
func same(there fileDocument, want metadata, size int64) error {
	switch m := there.Metadata; {
	case m.UID != want.UID:
		return fmt.Errorf("%w: it is there, of a run with uid %q, this one has %q", ErrConflict, m.UID, want.UID)
	case m.SHA256 != want.SHA256 || there.Length != size:
		return fmt.Errorf("%w: it is there with %d bytes and sum %s, and not with %d and %s", ErrConflict, there.Length, m.SHA256, size, want.SHA256)
	}
	return nil
}

// file reads the document of a file.
func (c *Client) file(ctx context.Context, id string) (fileDocument, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	var doc fileDocument
	err := c.files.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&doc)
	return doc, err
}

// putFileDocument makes chunks a file.
func (c *Client) putFileDocument(ctx context.Context, doc fileDocument) error {
	one, cancel := c.within(ctx)
	defer cancel()
	filter := bson.D{{Key: "_id", Value: doc.ID}, {Key: "metadata.uid", Value: doc.Metadata.UID}, {Key: "metadata.sha256", Value: doc.Metadata.SHA256}}
	_, err := c.files.ReplaceOne(one, filter, doc, options.Replace().SetUpsert(true))
	if err == nil || !mongo.IsDuplicateKeyError(err) && !duplicate(err) {
		return err
	}
	there, e := c.file(ctx, doc.Filename) // somebody was faster
	if e != nil {
		return e
	}
	return same(there, doc.Metadata, doc.Length)
}

// putChunks reads chunks while others are being written.
func (c *Client) putChunks(ctx context.Context, doing, uid, id string, f File, r io.Reader) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full, empty := make(chan *bulkOfChunks), make(chan *bulkOfChunks, inFlight)
	var writers sync.WaitGroup
	for range inFlight {
		empty <- &bulkOfChunks{}
		writers.Go(func() { // ends when full is closed
			for b := range full {
				if running.Err() == nil {
					if err := c.writeChunks(running, b.chunks(id, uid)); err != nil {
						cancel(c.fail(ctx, doing, err))
					}
				}
				empty <- b
			}
		})
	}
	err := cutChunks(running, f, r, empty, full)
	close(full)
	writers.Wait()
	switch failed := context.Cause(running); {
	case ctx.Err() != nil:
		return c.fail(ctx, doing, ctx.Err())
	case failed != nil:
		return failed
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// cutChunks reads r into bulks, and checks its size and its sum.
func cutChunks(ctx context.Context, f File, r io.Reader, empty, full chan *bulkOfChunks) error {
	sum := sha256.New()
	for at := int64(0); at < f.Size; {
		var b *bulkOfChunks
		select {
		case b = <-empty:
		case <-ctx.Done():
			return ctx.Err()
		}
		n, err := b.fill(r, at, f.Size)
		if err != nil {
			return err
		}
		sum.Write(b.data[:n]) // never fails
		at += int64(n)
		select {
		case full <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("%w: there are more than the %d bytes that it should have", ErrDamaged, f.Size)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading it: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%w: its sum is %s and should be %s", ErrDamaged, got, f.SHA256)
	}
	return nil
}

// bulkOfChunks are chunks that are written with one request.
type bulkOfChunks struct {
	buffer []byte
	data   []byte
	first  int32 // number of the first chunk
}

// fill reads from offset at as much as there is room for, and there should be.
func (b *bulkOfChunks) fill(r io.Reader, at, size int64) (int, error) {
	if b.buffer == nil {
		b.buffer = make([]byte, min(bulk*ChunkSize, size))
	}
	b.data = b.buffer[:min(int64(len(b.buffer)), size-at)]
	b.first = int32(at / ChunkSize)
	n, err := io.ReadFull(r, b.data)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("%w: there are %d bytes of the %d that it should have", ErrDamaged, at+int64(n), size)
	case err != nil:
		return n, fmt.Errorf("reading it: %w", err)
	}
	return n, nil
}

// chunks cuts what was read.
func (b *bulkOfChunks) chunks(file, uid string) (chunks []chunkDocument) {
	for n, data := b.first, b.data; len(data) > 0; n++ {
		piece := data[:min(ChunkSize, len(data))]
		data = data[len(piece):]
		chunks = append(chunks, chunkDocument{ID: chunkID(file, uid, n), File: file, N: n, Data: piece})
	}
	return chunks
}

// writeChunks inserts chunks. If one is there, from an attempt that broke off,
// they are written once more, in its place: an upsert alone would do, but takes
// FerretDB three times as long.
func (c *Client) writeChunks(ctx context.Context, chunks []chunkDocument) error {
	one, cancel := c.within(ctx)
	defer cancel()
	_, err := c.chunks.InsertMany(one, chunks, options.InsertMany().SetOrdered(false))
	if err == nil || !mongo.IsDuplicateKeyError(err) && !duplicate(err) {
		return err
	}
	models := make([]mongo.WriteModel, len(chunks))
	for i, chunk := range chunks {
		models[i] = mongo.NewReplaceOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "_id", Value: chunk.ID}}). // nothing else: FerretDB would look at all chunks
			SetReplacement(chunk)
	}
	again, cancel := c.within(ctx)
	defer cancel()
	_, err = c.chunks.BulkWrite(again, models, options.BulkWrite().SetOrdered(false))
	return err
}
