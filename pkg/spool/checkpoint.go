package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Forever is the end of the last range: what is still to come.
const Forever = Pos(math.MaxUint64)

// Range is the positions from From up to To.
type Range struct {
	From Pos `json:"from"`
	To   Pos `json:"to"`
}

// Ranges are what is still to be read: in order, without overlap, and the last
// one goes on Forever.
type Ranges []Range

// touch reports whether some of the positions from a up to b is in the ranges.
func (r Ranges) touch(a, b Pos) bool {
	return slices.ContainsFunc(r, func(x Range) bool { return x.From < b && a < x.To })
}

// Bytes is how many positions up to end are in the ranges.
func (r Ranges) Bytes(end Pos) (n int64) {
	for _, x := range r {
		if to := min(x.To, end); to > x.From {
			n += int64(to - x.From)
		}
	}
	return n
}

// check reports why r is not what Ranges are.
func (r Ranges) check() error {
	if len(r) == 0 || r[len(r)-1].To != Forever {
		return errors.New("the ranges do not go on for ever")
	}
	for i, x := range r {
		if x.From > x.To || i > 0 && x.From < r[i-1].To {
			return errors.New("the ranges are not in order")
		}
	}
	return nil
}

// All is what is pending where nothing has been read yet.
func All() Ranges { return Ranges{{0, Forever}} }

// Checkpoint is how far the reading of a spool has come.
type Checkpoint struct {
	Version int             `json:"version"`
	Pending Ranges          `json:"pending"`
	Note    json.RawMessage `json:"note,omitempty"` // the reader's own, true for exactly these ranges
}

// A checkpoint's file is one line of JSON, and its CRC-32C in eight
// hexadecimal digits on the next.
const (
	checkpointName    = "checkpoint"
	checkpointVersion = 1
)

// Save replaces the checkpoint in one step: whatever happens, the old one or
// the new one is there.
func (s *Spool) Save(pending Ranges, note any) error {
	if err := pending.check(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	raw, err := json.Marshal(note)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	line, err := json.Marshal(Checkpoint{checkpointVersion, pending, raw})
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	text := fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum(line, castagnoli))
	name := filepath.Join(s.dir, checkpointName)
	if err := writeSynced(name+".new", text); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func writeSynced(name string, text []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Load reads the checkpoint. Where there is none, all is pending. One that
// cannot be read is an error, and all is pending then too: what is read twice
// is the lesser harm.
func (s *Spool) Load() (Checkpoint, error) {
	all := Checkpoint{Version: checkpointVersion, Pending: All()}
	b, err := os.ReadFile(filepath.Join(s.dir, checkpointName))
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := parseCheckpoint(b)
	if err != nil {
		return all, fmt.Errorf("checkpoint %s: %w", filepath.Join(s.dir, checkpointName), err)
	}
	return c, nil
}

// end is behind all that has been read.
func (r Ranges) end() Pos { return r[len(r)-1].From }

func parseCheckpoint(b []byte) (Checkpoint, error) {
	var c Checkpoint
	if len(b) < 10 {
		return c, errors.New("it is cut off")
	}
	line, sum := b[:len(b)-10], b[len(b)-10:]
	if string(sum) != fmt.Sprintf("\n%08x\n", crc32.Checksum(line, castagnoli)) {
		return c, errors.New("its checksum is wrong")
	}
	if err := json.Unmarshal(line, &c); err != nil {
		return c, err
	}
	if c.Version != checkpointVersion {
		return c, fmt.Errorf("%w: version %d", ErrVersion, c.Version)
	}
	return c, c.Pending.check()
}

// Done takes the positions from a up to b out of the ranges.
func (r Ranges) Done(a, b Pos) Ranges {
	if a >= b {
		return slices.Clone(r)
	}
	out := make(Ranges, 0, len(r)+1)
	for _, x := range r {
		if x.To <= a || b <= x.From { // not touched
			out = append(out, x)
			continue
		}
		if x.From < a {
			out = append(out, Range{x.From, a})
		}
		if b < x.To {
			out = append(out, Range{b, x.To})
		}
	}
	return out
}
