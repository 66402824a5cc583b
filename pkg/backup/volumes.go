package backup

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Volumes that are left out: what is in those of the databases is asked of their
// servers, and keys for InfluxDB are good for one installation of it alone, in
// which they are made anew.
var leftOut = []string{"influxdb", "influxdb-config", "influxd", "mongo", "mongo-config", "mongodb", "ferretdb", "backups"}

func isLeftOut(volume string) bool {
	return slices.Contains(leftOut, volume) || strings.HasPrefix(volume, "tokens_") || strings.HasPrefix(volume, ".")
}

// Parts that take what drivers and each other let go of, the last ones last. A
// volume that is not named here is a driver's, or of a part that hands on
// nothing.
var handOver = []string{"mosquitto", "broker", "runcontrol", "loader", "calibration"}

// volumesOf lists the folders that are volumes, links to folders too, in the
// order in which they are copied. What else is there is left over.
func volumesOf(dir string) (names, left []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("DCS_VOLUMES_DIR: %w", err)
	}
	for _, e := range entries {
		if isLeftOut(e.Name()) {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		switch {
		case err != nil:
			left = append(left, fmt.Sprintf("%q: %v", e.Name(), err))
		case !info.IsDir():
			left = append(left, fmt.Sprintf("%q: it is no folder", e.Name()))
		case !utf8.ValidString(e.Name()):
			left = append(left, fmt.Sprintf("%q: its name is no UTF-8", e.Name()))
		default:
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(handOver, a), slices.Index(handOver, b)), strings.Compare(a, b))
	})
	return names, left, nil
}

// volumes packs each volume into a file.
func (b *maker) volumes(ctx context.Context) error {
	names, left, err := volumesOf(b.src.Volumes)
	if err != nil {
		return err
	}
	for _, what := range left {
		b.skip("volumes: %s", what)
	}
	if len(names) == 0 {
		return fmt.Errorf("there is none in %s, DCS_VOLUMES_DIR: mount them, or leave them out with --only", b.src.Volumes)
	}
	b.manifest.Volumes = make(map[string]Tree, len(names))
	for _, name := range names {
		if err := b.volume(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (b *maker) volume(ctx context.Context, name string) error {
	if err := outside(filepath.Join(b.src.Volumes, name), b.dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(b.src.Volumes, name))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	p, err := b.archive(volumeFile(name), root, func(p *packer) error { return p.folder(ctx, ".") })
	if err != nil {
		return err
	}
	b.manifest.Volumes[name] = p.tree
	b.note(name, p)
	return nil
}

func volumeFile(name string) string { return "volumes/" + name + ".tar.gz" }

// note enters what is to be known of a tree.
func (b *maker) note(tree string, p *packer) {
	for name, doubt := range p.torn {
		if b.manifest.Torn == nil {
			b.manifest.Torn = make(map[string]string)
		}
		b.manifest.Torn[tree+"/"+name] = doubt
		b.log.Warn("a file did not stand still", "file", tree+"/"+name, "what", doubt)
	}
	for _, what := range p.other {
		b.skip("%s/%s", tree, what)
	}
}
