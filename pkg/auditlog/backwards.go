package auditlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
)

// blockSize is read at once.
const blockSize = 64 << 10

// readBackwards gives look the lines of a segment whose numbers are below
// before, the last first, until it returns an error. What follows the last
// newline is not a line yet.
func readBackwards(s segment, before int64, look func([]byte) error) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pos, err := seek(f, info.Size(), before)
	if err != nil {
		return err
	}
	var rest []byte // the end of a line that begins further in front
	first, long := true, false
	for pos > 0 {
		n := min(pos, blockSize)
		pos -= n
		block := make([]byte, n, n+int64(len(rest)))
		if _, err := f.ReadAt(block, pos); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		block = append(block, rest...)
		for {
			i := bytes.LastIndexByte(block, '\n')
			if i < 0 {
				break
			}
			if line := block[i+1:]; !first && !long {
				if err := look(line); err != nil {
					return err
				}
			}
			first, long = false, false
			block = block[:i]
		}
		rest = block
		if len(rest) > maxLine {
			rest, long = nil, true
		}
	}
	if first || long {
		return nil
	}
	return look(rest)
}

// seek finds where the first entry stands whose number is not below before, or
// else the end. The numbers of a segment grow.
func seek(f io.ReaderAt, size, before int64) (int64, error) {
	answer, low, high := size, int64(0), size
	for low < high {
		middle := low + (high-low)/2
		start, seq, err := numberFrom(f, middle, high)
		switch {
		case err != nil:
			return 0, err
		case seq == 0: // no entry begins between middle and high
			high = middle
		case seq >= before:
			answer, high = start, middle
		default:
			low = start + 1
		}
	}
	return answer, nil
}

// numberFrom finds the first entry that begins at from or behind it, and before
// limit, and says where and which number it has: 0 when there is none.
func numberFrom(f io.ReaderAt, from, limit int64) (start, seq int64, err error) {
	at := max(0, from-1) // a line begins behind a newline
	fresh := from == 0
	for at < limit {
		block := make([]byte, 4<<10)
		n, err := f.ReadAt(block, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if n == 0 {
			return 0, 0, nil
		}
		block = block[:n]
		begin := 0
		if !fresh {
			if begin = bytes.IndexByte(block, '\n') + 1; begin == 0 {
				at += int64(n)
				continue
			}
		}
		if start = at + int64(begin); start >= limit {
			return 0, 0, nil
		}
		head := make([]byte, 40)
		n, err = f.ReadAt(head, start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if seq := numberIn(head[:n]); seq > 0 {
			return start, seq, nil
		}
		at, fresh = start, false // no entry: on to the next line
	}
	return 0, 0, nil
}

// numberIn reads the number of an entry from the first bytes of its line.
func numberIn(b []byte) int64 {
	digits, ok := bytes.CutPrefix(b, []byte(`{"seq":`))
	if !ok {
		return 0
	}
	end := bytes.IndexByte(digits, ',')
	if end < 0 {
		return 0
	}
	seq, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	if err != nil || seq < 1 {
		return 0
	}
	return seq
}
