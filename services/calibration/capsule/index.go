package capsule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/spool"
)

const (
	indexName    = "runs.json"
	indexVersion = 1
)

// errIndex says that the index cannot be read.
var errIndex = errors.New("the index of the journal cannot be read")

// index is which runs are recorded.
type index struct {
	Version int         `json:"version"`
	Runs    []*recorded `json:"runs"`
}

// recorded is a run that is recorded.
type recorded struct {
	Run     int64     `json:"run"`
	From    spool.Pos `json:"from"` // of the journal
	Begun   time.Time `json:"begun"`
	Dropped int64     `json:"dropped,omitempty"` // messages that found no room
}

// loadIndex reads the index; where there is none no run is recorded.
func loadIndex(dir string) (index, error) {
	x := index{Version: indexVersion}
	b, err := os.ReadFile(filepath.Join(dir, indexName))
	if errors.Is(err, os.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return x, fmt.Errorf("open the journal of measurements: %w", err)
	}
	var read index
	if err := json.Unmarshal(b, &read); err != nil {
		return x, fmt.Errorf("%w: %s: %w", errIndex, indexName, err)
	}
	if read.Version != indexVersion {
		return x, fmt.Errorf("%s: %w: version %d", indexName, spool.ErrVersion, read.Version)
	}
	for _, n := range read.Runs {
		if n == nil || n.Run < 1 {
			return x, fmt.Errorf("%w: %s: an empty entry", errIndex, indexName)
		}
	}
	return read, nil
}

func (x *index) save(dir string) error {
	b, err := json.Marshal(x)
	if err == nil {
		err = disk.WriteFile(filepath.Join(dir, indexName), append(b, '\n'), 0o640)
	}
	if err != nil {
		return fmt.Errorf("note which runs are recorded: %w", err)
	}
	return nil
}

func (x *index) find(run int64) *recorded {
	for _, n := range x.Runs {
		if n.Run == run {
			return n
		}
	}
	return nil
}

// from is where the journal is still needed.
func (x *index) from() spool.Pos {
	from := spool.Forever
	for _, n := range x.Runs {
		from = min(from, n.From)
	}
	return from
}

func (x *index) numbers() []int64 {
	var all []int64
	for _, n := range x.Runs {
		all = append(all, n.Run)
	}
	return all
}
