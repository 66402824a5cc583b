package auditlog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of what is written and read.
const (
	maxLine = 256 << 10 // bytes of an entry
	maxSeq  = 1 << 53   // whole numbers up to there are exact in every JSON reader
)

// Around the hash at the end of a line.
const (
	hashKey  = `,"hash":"`
	hashEnd  = `"}`
	hashTail = len(hashKey) + hashLen + len(hashEnd)
)

var (
	errUnreadable = errors.New("the line is not an entry")
	errChanged    = errors.New("the entry was changed: its hash is not that of what stands there")
)

// sum is the hash of an entry's canonical bytes: body and the closing brace.
func sum(body []byte) string {
	h := sha256.New()
	h.Write(body)
	h.Write([]byte{'}'})
	return hex.EncodeToString(h.Sum(nil))
}

// appendLine appends e to b, as the entry after head, and fills in what chains
// it. On an error b is given back as it was.
func appendLine(b []byte, head Head, e *Entry) ([]byte, Head, error) {
	if head.Seq >= maxSeq-1 {
		return b, head, errors.New("the log has as many entries as can be numbered: begin a new folder")
	}
	e.Seq, e.Prev, e.Hash = head.Seq+1, head.Hash, ""
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // people read it too
	if err := enc.Encode(e); err != nil {
		return b, head, fmt.Errorf("an entry of the kind %s cannot be written: %w", e.Kind, err)
	}
	body, ok := bytes.CutSuffix(buf.Bytes(), []byte(hashKey+hashEnd+"\n"))
	if !ok {
		panic("auditlog: hash is not the last key of an entry")
	}
	if len(body)+hashTail > maxLine {
		return b, head, fmt.Errorf("an entry of the kind %s is too long: %d bytes, at most %d", e.Kind, len(body)+hashTail, maxLine)
	}
	e.Hash = sum(body)
	b = append(b, body...)
	b = append(b, hashKey+e.Hash+hashEnd+"\n"...)
	return b, Head{Seq: e.Seq, Hash: e.Hash, Time: e.Time}, nil
}

// readLine reads a line without its newline. With errChanged the entry is what
// the line says.
func readLine(line []byte) (Entry, error) {
	var e Entry
	cut := len(line) - hashTail
	if cut < 1 || len(line) > maxLine {
		return e, errUnreadable
	}
	body, tail := line[:cut], line[cut:]
	hash := string(tail[len(hashKey) : len(hashKey)+hashLen])
	if !bytes.HasPrefix(tail, []byte(hashKey)) || !bytes.HasSuffix(tail, []byte(hashEnd)) || !isHash(hash) {
		return e, errUnreadable
	}
	if json.Unmarshal(line, &e) != nil || e.Seq < 1 || e.Seq >= maxSeq || e.Hash != hash {
		return Entry{}, errUnreadable
	}
	if sum(body) != hash {
		return e, errChanged
	}
	return e, nil
}

// eachLine gives f every line of r without its newline, and returns how many
// bytes these lines have and how many follow them. Of a line that is too long f
// gets a part, which is too long too.
func eachLine(r io.Reader, f func(line []byte) error) (whole, rest int64, err error) {
	in := bufio.NewReaderSize(r, maxLine+2)
	for {
		line, err := in.ReadSlice('\n')
		n := int64(len(line))
		part := line
		if errors.Is(err, bufio.ErrBufferFull) {
			part = bytes.Clone(line) // the buffer is used again
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = in.ReadSlice('\n')
			n += int64(len(line))
		}
		switch {
		case errors.Is(err, io.EOF):
			return whole, n, nil
		case err != nil:
			return whole, n, err
		}
		whole += n
		if err := f(bytes.TrimSuffix(part, []byte("\n"))); err != nil {
			return whole, 0, err
		}
	}
}
