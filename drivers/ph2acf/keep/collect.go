package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

// Bounds of a manifest, which a sink takes up to transfer.MaxManifest; the rest
// of that is for what else stands in it.
const (
	maxLeft   = 100       // reasons
	maxReason = 300       // bytes of one
	maxListed = 512 << 10 // bytes of all entries of files
)

// clockGrain is how far the times of files are behind the clock.
const clockGrain = 20 * time.Millisecond

// Results are what a run has left.
type Results struct {
	Manifest wire.Manifest
	Missing  []string // what the run lacks of the files that it has to leave, as in "left no x"
	Only     bool     // files that are not in the manifest are only here
}

// collector finds the files of a run.
type collector struct {
	ctx   context.Context
	root  *os.Root
	since time.Time // what is older is not this run's, in a shared directory
	into  string    // where copies go, in a shared directory; else empty
	seen  map[string]bool
	files []wire.File
	bytes int // of the entries of files
	left  []string
	more  int  // reasons that found no room in left
	only  bool // see Results
}

// Collect sums up the files of a run that has ended; those in a directory that
// it shares with others are copied, so that the next run cannot overwrite them.
// A file that cannot be taken for what it is, is left out. An error is one of
// the disk, and no last word: it is to be tried again.
func (s *Store) Collect(ctx context.Context, r *Record) (results Results, err error) {
	c := &collector{ctx: ctx, seen: map[string]bool{LogName: true}}
	if r.Shared {
		c.since, c.into = r.Report.Start.Add(-clockGrain), s.base(r)
		if err := s.remove(c.into); err != nil { // of an attempt that was cut off
			return results, fmt.Errorf("making room for copies: %w", err)
		}
	}
	switch c.root, err = os.OpenRoot(r.Directory); {
	case err != nil && !ownFault(err):
		return results, fmt.Errorf("opening the directory of run %d: %w", r.Report.Run, err)
	case err != nil && len(r.Files) > 0:
		c.leave("the directory: %v", err)
		c.only = !errors.Is(err, fs.ErrNotExist)
	case err == nil && r.Shared && r.Report.Start.IsZero(): // nothing in it can be this run's
		_ = c.root.Close()
		c.root = nil
	case err == nil:
		defer func() { _ = c.root.Close() }() // it was only read
	}
	for _, f := range r.Files {
		lack := "left no " + procedure.WithRun(f.Glob, r.Report.Run) + ", which it has to"
		if c.root != nil {
			if lack, err = c.glob(f, r.Report.Run); err != nil {
				return results, fmt.Errorf("collecting the files of run %d: %w", r.Report.Run, err)
			}
		}
		if f.Required && lack != "" {
			results.Missing = append(results.Missing, lack)
		}
	}
	if err := c.log(s, r); err != nil {
		return results, fmt.Errorf("collecting the log of run %d: %w", r.Report.Run, err)
	}
	if c.more > 0 {
		c.left = append(c.left, fmt.Sprintf("… and %d more", c.more))
	}
	results.Only = c.only && !r.Shared // in a shared directory nothing is removed
	results.Manifest = wire.Manifest{Report: r.Report, Program: r.Program, Arguments: r.Arguments, Versions: r.Versions, Files: c.files, Left: c.left}
	return results, nil
}

// SaveManifest writes a manifest down.
func (s *Store) SaveManifest(m wire.Manifest) error {
	b, err := json.Marshal(m)
	if err == nil {
		err = disk.WriteFile(s.manifest(m.Run), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping the manifest of run %d: %w", m.Run, err)
	}
	return nil
}

// leave says why something is not in the manifest. What is said is bounded.
func (c *collector) leave(format string, args ...any) (reason string) {
	reason = fmt.Sprintf(format, args...)
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	if len(c.left) == maxLeft {
		c.more++
	} else {
		c.left = append(c.left, reason)
	}
	return reason
}

// isFile reports whether a name is that of a file in the directory, or of a link
// to one there.
func (c *collector) isFile(name string) bool {
	info, err := c.root.Lstat(name)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = c.root.Stat(name)
		return err == nil && info.Mode().IsRegular()
	}
	return err != nil || info.Mode().IsRegular() // what cannot be looked at can be one
}

// glob takes the files that fit, those apart that an earlier glob has taken. It
// says what is lacking: that there is none, or the first that was left out; the
// error is the context's or the disk's.
func (c *collector) glob(f procedure.File, run int64) (lack string, err error) {
	pattern := procedure.WithRun(f.Glob, run)
	found := false
	leave := func(name string, why any) {
		c.only = c.only || c.isFile(name)
		reason := c.leave("%s: %v", name, why)
		if lack == "" {
			lack = "of what it has to leave one file cannot be taken: " + reason
		}
	}
	look := &looking{FS: c.root.FS()}
	names, err := fs.Glob(look, pattern)
	switch {
	case err != nil:
		leave(f.Glob, err)
	case look.err != nil && !ownFault(look.err):
		return "", look.err
	case look.err != nil:
		leave(f.Glob, look.err)
	}
	for _, name := range names {
		if c.seen[name] {
			switch {
			case c.taken(name):
				found = true
			case name == LogName:
				leave(name, "the name is taken by what the program printed")
			case lack == "":
				lack = "of what it has to leave " + name + " could not be taken"
			}
			continue
		}
		info, err := c.root.Stat(name) // through symbolic links, but not out of the directory
		if err == nil && (info.IsDir() || info.ModTime().Before(c.since)) {
			continue
		}
		c.seen[name] = true
		switch {
		case err != nil && !ownFault(err):
			return "", err
		case err != nil:
			leave(name, err)
			continue
		case !info.Mode().IsRegular():
			leave(name, errIrregular)
			continue
		case transfer.CheckFileName(name) != nil:
			leave(strconv.Quote(wire.Echo(name)), transfer.CheckFileName(name))
			continue
		case len(c.files) >= transfer.MaxFiles-1 || c.bytes >= maxListed: // and the log
			leave(name, fmt.Sprintf("there are %d files already, and no more are taken", len(c.files)))
			continue
		}
		size, sum, err := c.take(name)
		switch {
		case c.ctx.Err() != nil:
			return "", c.ctx.Err()
		case err != nil && !ownFault(err):
			return "", fmt.Errorf("%s: %w", name, err)
		case err != nil:
			leave(name, err)
		default:
			found = true
			c.add(wire.File{Name: name, Size: size, SHA256: sum, Read: f.Read})
		}
	}
	if !found && lack == "" {
		lack = "left no " + pattern + ", which it has to"
	}
	return lack, nil
}

func (c *collector) add(f wire.File) {
	c.files = append(c.files, f)
	c.bytes += len(wire.Encode(f)) + 1 // the comma
}

func (c *collector) taken(name string) bool {
	return slices.ContainsFunc(c.files, func(f wire.File) bool { return f.Name == name })
}

// log takes what the program has printed.
func (c *collector) log(s *Store, r *Record) error {
	if r.LogError != "" {
		c.leave("%s: it is not whole: %s", LogName, r.LogError)
	}
	f, err := s.sumLog(c.ctx, r.Report.Run)
	switch {
	case err == nil:
		c.add(f)
		return nil
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case !ownFault(err):
		return err
	case errors.Is(err, fs.ErrNotExist): // it could not be made
		c.leave("%s: %v", LogName, err)
	default:
		c.only = true
		c.leave("%s: %v", LogName, err)
	}
	return nil
}
