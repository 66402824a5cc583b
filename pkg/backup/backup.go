// Package backup saves all of an installation while it runs, and brings it back.
//
// A backup is a folder named after the time when it was begun, UTC:
//
//	20261121T183000Z/
//	  manifest.json                 what is in it, with the sum of every file
//	  config.tar.gz                 secrets, instruments.yml, compose files …
//	  volumes/<name>.tar.gz         what programs keep on disk
//	  mongo/<collection>.bson.gz    documents, as mongodump writes them
//	  mongo/<collection>.json       indexes
//	  influx/<measurement>/<day>.lp.gz   points, as line protocol
//
// It holds secrets: only its owner may read it.
//
// # The order
//
// Everything goes on while a backup is made, so its parts are of different
// times, and what is handed from one to another must not be missed between
// them. Data moves in one way: from drivers through the loader's spool into
// InfluxDB, and from the drivers of calibrations through the sink's shelf into
// MongoDB. Each lets go of what it has only when the next has it on disk. So the
// copies follow the data: drivers' volumes first, then those of services, then
// MongoDB, then InfluxDB. What has moved meanwhile is in two copies, and both
// databases take the same thing twice without harm; the other way round it would
// be in none, and a ledger would claim what the copy of the archive lacks.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/version"
)

// Source says what is saved.
type Source struct {
	Volumes string          // each folder in it is a volume; left out if empty
	Install string          // the installation's folder; left out if empty
	Mongo   *runs.Client    // left out if nil
	Influx  *history.Client // left out if nil
}

// Options say how.
type Options struct {
	Dir         string        // backups are made in it
	Scheduled   bool          // made by itself: Prune counts these
	KeepPartial bool          // one that failed is left for looking at
	Settle      time.Duration // how long what is on its way to InfluxDB may take; 5 s if zero
	Now         func() time.Time
	Log         *slog.Logger
}

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Settle == 0 {
		o.Settle = 5 * time.Second
	}
}

// maker makes one backup.
type maker struct {
	src      Source
	log      *slog.Logger
	settle   time.Duration
	dir      string    // being written
	manifest *Manifest // being written
	before   *previous // with the archive in it, for links; nil if there is none
	linked   int       // files of it that are in this one too
}

// Make makes one backup and returns its name and what is in it. When any part
// fails there is none. The error is runs.ErrNoAnswer or history.ErrNoAnswer when
// a database is away.
func Make(ctx context.Context, src Source, o Options) (name string, m *Manifest, err error) {
	o.fill()
	if err := checkPlace(src, o.Dir); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("the folder of backups: %w", err)
	}
	release, err := hold(o.Dir)
	if err != nil {
		return "", nil, err
	}
	defer release()
	if err := clean(o.Dir); err != nil {
		return "", nil, err
	}
	start := o.Now().UTC().Truncate(time.Second)
	name = start.Format(nameLayout)
	if _, err := os.Lstat(filepath.Join(o.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("there is a backup %s already in %s: wait a second", name, o.Dir)
	}
	b := &maker{src: src, log: o.Log, settle: o.Settle, dir: filepath.Join(o.Dir, partial+name)}
	host, _ := os.Hostname()
	heads, err := Heads(o.Dir)
	if err != nil {
		return "", nil, err
	}
	b.manifest = &Manifest{Format: Format, Version: version.Version(), Host: host, Start: start, Scheduled: o.Scheduled, Files: map[string]File{}}
	if len(heads) > 0 { // in their order the last has the highest
		b.manifest.Sequence = heads[len(heads)-1].Sequence + 1
	} else {
		b.manifest.Sequence = 1
	}
	if b.before, err = lastWith(o.Dir, heads, PartInflux); err != nil {
		o.Log.Warn("the last backup is of no help for this one", "error", err)
	}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("making a backup: %w", err)
	}
	err = b.parts(ctx)
	if err == nil {
		b.compare(heads, o.Dir)
		b.manifest.End = o.Now().UTC()
		err = b.finish(filepath.Join(o.Dir, name))
	}
	if err != nil {
		if !o.KeepPartial {
			_ = os.RemoveAll(b.dir)
		}
		return "", nil, err
	}
	return name, b.manifest, nil
}

// parts writes all parts, in the order that the package's comment explains.
func (b *maker) parts(ctx context.Context) error {
	for _, part := range []struct {
		part, name string
		on         bool
		make       func(context.Context) error
	}{
		{PartVolumes, "volumes", b.src.Volumes != "", b.volumes},
		{PartConfig, "configuration", b.src.Install != "", b.config},
		{PartMongo, "MongoDB", b.src.Mongo != nil, b.mongo},
		{PartInflux, "InfluxDB", b.src.Influx != nil, b.influx},
	} {
		if !part.on {
			continue
		}
		if err := part.make(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		b.manifest.Parts = append(b.manifest.Parts, part.part)
	}
	return nil
}

// skip enters what is not in the backup, or not as it was.
func (b *maker) skip(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.manifest.Skipped = append(b.manifest.Skipped, text)
	b.log.Warn("this is not in the backup, or not as it is", "what", text)
}

// doubt enters why the backup may be less than it should be.
func (b *maker) doubt(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.manifest.Doubts = append(b.manifest.Doubts, text)
	b.log.Error("LOOK AT THIS BACKUP", "what", text)
}

// finish gives the backup its name, once all of it is on the disk.
func (b *maker) finish(to string) error {
	if err := b.manifest.write(b.dir); err != nil {
		return err
	}
	err := filepath.WalkDir(b.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = disk.SyncDir(p)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("bringing the backup to the disk: %w", err)
	}
	if err := os.Rename(b.dir, to); err != nil {
		return fmt.Errorf("naming the backup: %w", err)
	}
	return disk.SyncDir(filepath.Dir(to))
}

// checkPlace refuses to save backups in themselves.
func checkPlace(src Source, dir string) error {
	if src.Volumes == "" {
		return nil
	}
	return outside(src.Volumes, dir)
}

// outside refuses a folder of backups that is in one that is saved, through
// links too.
func outside(saved, dir string) error {
	in, err := realPath(saved)
	if err != nil {
		return err
	}
	to, err := realPath(dir)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(in, to); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%s is in %s, which is saved: choose another folder for backups", dir, saved)
	}
	return nil
}

// realPath follows links as far as there is something.
func realPath(name string) (string, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	for rest := ""; ; {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			return filepath.Join(real, rest), nil
		}
		up := filepath.Dir(name)
		if up == name {
			return filepath.Join(name, rest), nil
		}
		name, rest = up, filepath.Join(filepath.Base(name), rest)
	}
}

// clean removes what a crash has left.
func clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the folder of backups: %w", err)
	}
	for _, e := range entries {
		for _, prefix := range []string{partial, removing} {
			if rest, ok := strings.CutPrefix(e.Name(), prefix); ok && namePattern.MatchString(rest) {
				if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
					return fmt.Errorf("removing what an earlier backup has left: %w", err)
				}
			}
		}
	}
	return nil
}
