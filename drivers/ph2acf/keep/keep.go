// Package keep is what the driver has on its disk: of each run a folder with
// what is known of it, its results and its log, until the sink has them in the
// database; and the highest number that was ever executed.
//
//	highest                     the number
//	runs/<n>/run.json           Record
//	runs/<n>/work/              where the program ran, if it had a folder of its own
//	runs/<n>/files/             copies of its files, if it had not
//	runs/<n>/log.txt            what it printed
//	runs/<n>/manifest.json      what is offered to the sink
//
// The folder of a run goes when the sink has it, but for the last run's
// run.json: a start that comes again is answered from it; and all of it stays
// when there are files of the run that the sink has not got.
package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/drivers/ph2acf/warden"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// LogName is the name of the log among the results.
const LogName = "log.txt"

// Record is what is known of a run.
type Record struct {
	Report      wire.Report       `json:"report"`
	Ack         wire.Ack          `json:"ack"`     // the latest, of its start
	Content     string            `json:"content"` // of its start, see pkg/ids
	Command     json.RawMessage   `json:"command"` // as it came
	Program     string            `json:"program"`
	Arguments   []string          `json:"arguments"`
	Environment []string          `json:"-"`         // that the file gives it
	Directory   string            `json:"directory"` // where it runs
	Shared      bool              `json:"shared"`    // with other runs
	Files       []procedure.File  `json:"files"`     // what it is to leave
	Versions    map[string]string `json:"versions"`
	Usage       *warden.Usage     `json:"usage,omitempty"`
	Reason      string            `json:"reason,omitempty"`    // why the driver ended it
	Who         string            `json:"who,omitempty"`       // asked for that
	Ending      *warden.Ending    `json:"ending,omitempty"`    // how the program ended
	Aborts      []Abort           `json:"aborts,omitempty"`    // that wait for its end
	LogError    string            `json:"log_error,omitempty"` // why the log is not whole
	LastErr     string            `json:"last_err,omitempty"`
	Collected   bool              `json:"collected"`      // the manifest is there
	Only        bool              `json:"only,omitempty"` // files that the manifest does not have are only here: they stay
	Stored      bool              `json:"stored"`         // the sink has it: nothing else is here
}

// Abort is one that was accepted.
type Abort struct {
	Ack     wire.Ack `json:"ack"`               // the latest
	Content string   `json:"content,omitempty"` // see pkg/ids; empty for one without an id
}

// Why a driver ended a program, or did not see its end.
const (
	Aborted = "aborted" // somebody asked for it
	Limit   = "limit"   // it took too long
	Leaving = "leaving" // the driver was to end
	Died    = "died"    // the driver was killed, or the program's warden
)

// Store is the driver's data folder. It is for one goroutine at a time, but for
// what concerns different runs.
type Store struct {
	dir     string
	highest int64
}

// Open reads what is there: the records in order of number. The log is told what
// it cannot remove.
func Open(dir string, log *slog.Logger) (*Store, []*Record, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	s := &Store{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "runs"), 0o750); err != nil {
		return nil, nil, fmt.Errorf("making the folder of runs: %w", err)
	}
	b, err := os.ReadFile(s.highestFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, fmt.Errorf("reading the highest number of a run: %w", err)
	default:
		if s.highest, err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err != nil || s.highest < 0 {
			return nil, nil, fmt.Errorf("%s holds %q and not the number of the last run: write it there (run control knows it), or remove the file", s.highestFile(), wire.Echo(string(b)))
		}
	}
	records, err := s.load(log)
	if err != nil {
		return nil, nil, err
	}
	if n := len(records); n > 0 && records[n-1].Report.Run > s.highest {
		if err := s.raise(records[n-1].Report.Run); err != nil {
			return nil, nil, err
		}
	}
	return s, records, nil
}

// load reads the records. A folder without one is that of a run that was not
// accepted any more, so that nothing of it was started, or that is stored.
func (s *Store) load(log *slog.Logger) (records []*Record, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "runs"))
	if err != nil {
		return nil, fmt.Errorf("reading the folder of runs: %w", err)
	}
	for _, e := range entries {
		run, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || run < 1 || !e.IsDir() {
			continue
		}
		file := s.record(run)
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			if err := s.remove(s.Folder(run)); err != nil {
				log.Error("removing what is left of a run that was not begun, or is stored", "run", run, "error", err)
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what is known of run %d: %w", run, err)
		}
		r := new(Record)
		if err = json.Unmarshal(b, r); err == nil && r.Report.Run != run {
			err = fmt.Errorf("it is that of run %d", r.Report.Run)
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read (%w): its results are beside it; move the folder away", file, err)
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b *Record) int { return int(a.Report.Run - b.Report.Run) })
	return records, nil
}

func (s *Store) highestFile() string { return filepath.Join(s.dir, "highest") }

// Highest is the highest number that was ever executed here.
func (s *Store) Highest() int64 { return s.highest }

func (s *Store) raise(run int64) error {
	if err := disk.WriteFile(s.highestFile(), []byte(strconv.FormatInt(run, 10)+"\n"), 0o600); err != nil {
		return fmt.Errorf("keeping the highest number: %w", err)
	}
	s.highest = run
	return nil
}

// Folder is where all of a run is.
func (s *Store) Folder(run int64) string {
	return filepath.Join(s.dir, "runs", strconv.FormatInt(run, 10))
}

// Work is the working folder of a run that has one of its own.
func (s *Store) Work(run int64) string { return filepath.Join(s.Folder(run), "work") }

// Log is the file with what its program has printed.
func (s *Store) Log(run int64) string { return filepath.Join(s.Folder(run), LogName) }

func (s *Store) record(run int64) string { return filepath.Join(s.Folder(run), "run.json") }

func (s *Store) manifest(run int64) string { return filepath.Join(s.Folder(run), "manifest.json") }

// base is where the files of a run are, that its manifest names.
func (s *Store) base(r *Record) string {
	if r.Shared {
		return filepath.Join(s.Folder(r.Report.Run), "files")
	}
	return r.Directory
}

// Begin makes the folder of a run and writes its record. When it returns
// without an error all of that is on the disk.
func (s *Store) Begin(r *Record) error {
	run := r.Report.Run
	err := s.remove(s.Folder(run)) // what could not be removed before is not this run's
	if err == nil {
		err = os.MkdirAll(s.Folder(run), 0o750)
	}
	if err == nil && !r.Shared {
		err = os.MkdirAll(s.Work(run), 0o750)
	}
	if err == nil {
		err = disk.SyncDir(filepath.Join(s.dir, "runs"))
	}
	if err != nil {
		return fmt.Errorf("making the folder of the run: %w", err)
	}
	if err := s.Save(r); err != nil {
		return err
	}
	return s.raise(run) // behind the record: a number is not used up by a run that there is not
}

// Abandon removes a run whose Begin has failed.
func (s *Store) Abandon(run int64) {
	if s.highest < run {
		_ = s.remove(s.Folder(run)) // else the next start of the driver finds it interrupted
	}
}

// Save writes the record of a run.
func (s *Store) Save(r *Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = disk.WriteFile(s.record(r.Report.Run), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing down run %d: %w", r.Report.Run, err)
	}
	return nil
}

// LastSeen is when a run was last known to be under way: its log grew.
func (s *Store) LastSeen(r *Record) time.Time {
	seen := r.Report.Start
	if info, err := os.Stat(s.Log(r.Report.Run)); err == nil && info.ModTime().After(seen) {
		seen = info.ModTime()
	}
	if seen.IsZero() {
		seen = r.Report.Time
	}
	return seen.UTC().Truncate(time.Microsecond)
}

// Manifest reads what is offered of a run.
func (s *Store) Manifest(run int64) (m wire.Manifest, err error) {
	b, err := os.ReadFile(s.manifest(run))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fmt.Errorf("reading the manifest of run %d: %w", run, err)
	}
	return m, nil
}

// OpenFile opens a file of a run by its name in the manifest; the last of them
// is the log.
func (s *Store) OpenFile(r *Record, name string) (*os.File, error) {
	if name == LogName {
		return os.Open(s.Log(r.Report.Run))
	}
	return os.OpenInRoot(s.base(r), filepath.FromSlash(name))
}
