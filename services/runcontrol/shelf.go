package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// shelf is the data folder: the book, and ended records that wait for the sink,
// each in a file of its own.
type shelf struct{ dir string }

const (
	bookName  = "runs.json"
	endedName = "ended"
	fileMode  = 0o640
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// load reads what is there. A book that is damaged is put aside, and why says
// so: the numbers come from elsewhere then. A book that cannot be reached is an
// error.
func (s shelf) load(log *slog.Logger) (b Book, why string, refs []Ref, err error) {
	if err := os.MkdirAll(filepath.Join(s.dir, endedName), 0o750); err != nil {
		return b, "", nil, fmt.Errorf("DCS_DATA_DIR: %w", err)
	}
	name := filepath.Join(s.dir, bookName)
	raw, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first start, or a lost disk
	case err != nil:
		return b, "", nil, fmt.Errorf("reading what is known of runs: %w", err)
	default:
		if bad := parseBook(raw, &b); bad != nil {
			b = Book{}
			why = fmt.Sprintf("%s is damaged (%v)", name, bad)
			log.Error("the book of runs is damaged: it is put aside, and the highest number is asked for elsewhere", "file", name, "aside", name+".damaged", "error", bad)
			if err := os.Rename(name, name+".damaged"); err != nil {
				return b, why, nil, fmt.Errorf("putting %s aside: %w", name, err)
			}
		}
	}
	refs, err = s.ended(log)
	return b, why, refs, err
}

// parseBook reads a line of JSON, and its CRC-32C in eight hexadecimal digits
// on the next.
func parseBook(raw []byte, b *Book) error {
	if len(raw) < 10 {
		return errors.New("it is cut off")
	}
	line, sum := raw[:len(raw)-10], raw[len(raw)-10:]
	if string(sum) != fmt.Sprintf("\n%08x\n", crc32.Checksum(line, castagnoli)) {
		return errors.New("its checksum is wrong")
	}
	if err := json.Unmarshal(line, b); err != nil {
		return err
	}
	if l := b.Life; l != nil && (l.Run.Run < 1 || l.Run.Run > b.Highest) {
		return fmt.Errorf("its run is %d and its highest number %d", l.Run.Run, b.Highest)
	}
	return nil
}

// ended lists the ended records, in order.
func (s shelf) ended(log *slog.Logger) ([]Ref, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, endedName))
	if err != nil {
		return nil, fmt.Errorf("reading ended runs: %w", err)
	}
	var refs []Ref
	for _, e := range entries {
		name := filepath.Join(s.dir, endedName, e.Name())
		if !strings.HasSuffix(name, ".json") {
			continue // what a crash has left half written
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading an ended run: %w", err)
		}
		var r wire.Run
		if err := json.Unmarshal(raw, &r); err != nil || s.file(Ref{Run: r.Run, UID: r.UID}) != name {
			log.Error("the record of an ended run is damaged: it is put aside", "file", name, "aside", name+".damaged", "error", err)
			if err := os.Rename(name, name+".damaged"); err != nil {
				return nil, fmt.Errorf("putting %s aside: %w", name, err)
			}
			continue
		}
		refs = append(refs, Ref{r.Run, r.UID, r.State})
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Compare(a.Run, b.Run) })
	return refs, nil
}

func (s shelf) file(r Ref) string {
	return filepath.Join(s.dir, endedName, strconv.FormatInt(r.Run, 10)+"-"+r.UID+".json")
}

// save writes records first and then the book, so that what the book says to
// have ended is there; what the sink has is removed last.
func (s shelf) save(w Save) error {
	for _, r := range w.Keep {
		if err := disk.WriteFile(s.file(Ref{Run: r.Run, UID: r.UID}), wire.Encode(r), fileMode); err != nil {
			return fmt.Errorf("keeping run %d: %w", r.Run, err)
		}
	}
	line, err := json.Marshal(w.Book)
	if err != nil {
		return fmt.Errorf("keeping the book of runs: %w", err)
	}
	text := fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum(line, castagnoli))
	if err := disk.WriteFile(filepath.Join(s.dir, bookName), text, fileMode); err != nil {
		return fmt.Errorf("keeping the book of runs: %w", err)
	}
	for _, r := range w.Forget {
		if err := os.Remove(s.file(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing what the sink has: %w", err)
		}
	}
	return nil
}

// read reads an ended record.
func (s shelf) read(r Ref) ([]byte, error) {
	b, err := os.ReadFile(s.file(r))
	if err != nil {
		return nil, fmt.Errorf("reading an ended run: %w", err)
	}
	return b, nil
}
