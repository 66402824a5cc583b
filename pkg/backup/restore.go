package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Parts that can be restored by themselves. PartVolumes/<name> is one volume.
const (
	PartVolumes = "volumes"
	PartConfig  = "configuration" // by dcs init --from
	PartMongo   = "mongo"
	PartInflux  = "influx"
)

// RestoreOptions say what is restored, and how.
type RestoreOptions struct {
	Backup string   // its folder
	Only   []string // parts; all of them if empty
	Broker string   // address of the broker, who answers there is in the way; not asked if empty
	Force  bool     // replace what is there
	Log    *slog.Logger
}

// restorer restores one backup.
type restorer struct {
	to       Source
	opts     RestoreOptions
	force    bool
	log      *slog.Logger
	backup   *os.Root
	manifest *Manifest
	volumes  []string // that are restored
}

// Restore brings back what a backup holds. Before anything is changed all sums
// are checked, and what stands in the way is told, all of it at once. Databases
// are counted afterwards.
func Restore(ctx context.Context, to Source, o RestoreOptions) (*Manifest, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &restorer{to: to, opts: o, force: o.Force, log: o.Log}
	release, err := share(filepath.Dir(o.Backup))
	if err != nil {
		return nil, err
	}
	defer release()
	if r.manifest, err = Verify(ctx, o.Backup); err != nil {
		return nil, err
	}
	if r.backup, err = os.OpenRoot(o.Backup); err != nil {
		return nil, err
	}
	defer func() { _ = r.backup.Close() }()
	if err := r.choose(); err != nil {
		return nil, err
	}
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	for _, name := range r.volumes {
		if err := r.volume(ctx, name); err != nil {
			return nil, fmt.Errorf("volume %s: %w; what was begun is begun anew with --force", name, err)
		}
	}
	syncAll()
	if r.wants(PartMongo) {
		if err := r.loadMongo(ctx); err != nil {
			return nil, fmt.Errorf("MongoDB: %w", err)
		}
	}
	if r.wants(PartInflux) {
		if err := r.loadInflux(ctx); err != nil {
			return nil, fmt.Errorf("InfluxDB: %w", err)
		}
	}
	return r.manifest, nil
}

// choose finds what is to be restored.
func (r *restorer) choose() error {
	all := slices.Sorted(maps.Keys(r.manifest.Volumes))
	if err := r.missing(); err != nil {
		return err
	}
	for _, part := range r.opts.Only {
		volume, one := strings.CutPrefix(part, PartVolumes+"/")
		switch {
		case part == PartVolumes:
			r.volumes = append(r.volumes, all...)
		case one && slices.Contains(all, volume):
			r.volumes = append(r.volumes, volume)
		case one:
			return fmt.Errorf("the backup has no volume %q: it has %s", volume, strings.Join(all, ", "))
		case part != PartMongo && part != PartInflux:
			return fmt.Errorf("part %q: want %s, %s/NAME, %s or %s", part, PartVolumes, PartVolumes, PartMongo, PartInflux)
		}
	}
	if len(r.opts.Only) == 0 {
		r.volumes = all
	}
	slices.Sort(r.volumes)
	r.volumes = slices.Compact(r.volumes)
	for _, name := range r.volumes {
		if !filepath.IsLocal(name) || filepath.Base(name) != name {
			return fmt.Errorf("the backup names a volume %q, which cannot be", name)
		}
	}
	return nil
}

// missing names what is asked for and is not in the backup.
func (r *restorer) missing() error {
	var missing, has []string
	for _, part := range []struct {
		name    string
		is, can bool
	}{
		{PartVolumes, r.manifest.Volumes != nil, r.to.Volumes != ""},
		{PartMongo, r.manifest.Mongo != nil, r.to.Mongo != nil},
		{PartInflux, r.manifest.Influx != nil, r.to.Influx != nil},
	} {
		switch {
		case part.is:
			has = append(has, part.name)
		case slices.Contains(r.opts.Only, part.name) || len(r.opts.Only) == 0 && part.can:
			missing = append(missing, part.name)
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case len(has) == 0:
		return fmt.Errorf("the backup has no %s, and nothing else that a restore brings back", strings.Join(missing, ", "))
	}
	return fmt.Errorf("the backup has no %s: it has %s; take another, or name what is to be restored: --only %s",
		strings.Join(missing, ", "), strings.Join(has, ", "), strings.Join(has, ","))
}

// wants reports whether a database is to be restored.
func (r *restorer) wants(part string) bool {
	has := part == PartMongo && r.manifest.Mongo != nil && r.to.Mongo != nil ||
		part == PartInflux && r.manifest.Influx != nil && r.to.Influx != nil
	return has && (len(r.opts.Only) == 0 || slices.Contains(r.opts.Only, part))
}

// packed is a gzipped file of the backup.
type packed struct {
	io.Reader
	f *os.File
}

// Close is io.Closer's.
func (p *packed) Close() error { return p.f.Close() }

func (r *restorer) open(name string) (*packed, error) {
	if _, ok := r.manifest.Files[name]; !ok {
		return nil, fmt.Errorf("%s is not in the manifest", name)
	}
	f, err := r.backup.Open(name)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return &packed{z, f}, nil
}
