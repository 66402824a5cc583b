package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// configFile holds the installation's own files: plain tar, gzipped, regular
// files alone, their names relative to the installation's folder. dcs init
// --from reads it.
const configFile = "config.tar.gz"

// configFolders are saved with all below them.
var configFolders = []string{"secrets", "mosquitto", "grafana/provisioning", "grafana/dashboards", "procedures"}

// maxConfig is how much dcs init --from takes, packed and unpacked: pkg/install
// has the same limit.
const maxConfig = 64 << 20 // bytes

// config packs what makes this installation this one: what a checkout of the
// repository has too is saved with it, so that the backup does not depend on it.
func (b *maker) config(ctx context.Context) error {
	root, err := os.OpenRoot(b.src.Install)
	if err != nil {
		return fmt.Errorf("DCS_INSTALL_DIR: %w", err)
	}
	defer func() { _ = root.Close() }()
	l := &configList{root: root, files: map[string]string{}, left: map[string]string{}}
	if err := l.collect(); err != nil {
		return err
	}
	largest, size := "", int64(0)
	p, err := b.archive(configFile, root, func(p *packer) error {
		for _, name := range slices.Sorted(maps.Keys(l.files)) {
			was := p.tree.Bytes
			if err := b.configFile(ctx, p, name, l.files[name]); err != nil {
				return err
			}
			if n := p.tree.Bytes - was; n > size {
				largest, size = name, n
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if max(p.tree.Bytes, b.manifest.Files[configFile].Size) > maxConfig {
		return fmt.Errorf("it has %d bytes, and a restore takes %d: the largest file is %s with %d, put that elsewhere", p.tree.Bytes, maxConfig, largest, size)
	}
	b.manifest.Config = &p.tree
	b.note("configuration", p)
	for _, name := range slices.Sorted(maps.Keys(l.left)) {
		b.skip("configuration/%s: %s", name, l.left[name])
	}
	return nil
}

// configFile packs a file, or what a link leads to, which may be elsewhere.
func (b *maker) configFile(ctx context.Context, p *packer, name, target string) error {
	if target == "" {
		return p.file(ctx, name)
	}
	root, err := os.OpenRoot(filepath.Dir(target))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	of := &copier{root: root, temp: p.temp, gap: p.gap}
	c, err := of.copyFile(ctx, filepath.Base(target))
	if err != nil {
		return gone(err)
	}
	defer c.remove()
	return p.add(name, c)
}

// configList collects the files of the configuration.
type configList struct {
	root  *os.Root
	files map[string]string // what a link leads to; empty for a file
	left  map[string]string // what is left out, and why
}

func (l *configList) collect() error {
	entries, err := fs.ReadDir(l.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if ext != ".yml" && ext != ".yaml" && e.Name() != ".env" {
			continue
		}
		l.add(e.Name())
		for _, mounted := range mounts(l.root, e.Name()) {
			if err := l.mounted(mounted); err != nil {
				return err
			}
		}
	}
	for _, folder := range configFolders {
		if err := l.folder(folder); err != nil {
			return err
		}
	}
	return nil
}

// folder adds what is below a folder, if there is one.
func (l *configList) folder(folder string) error {
	if info, err := l.root.Lstat(folder); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		l.left[folder] = "it is a link to a folder"
		return nil
	}
	err := fs.WalkDir(l.root.FS(), folder, func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			l.add(name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return gone(err)
}

// mounted adds what an instrument mounts.
func (l *configList) mounted(name string) error {
	if !filepath.IsLocal(name) {
		l.left[name] = "a file of instruments that is not in the installation's folder"
		return nil
	}
	info, err := l.root.Lstat(name)
	if err == nil && info.IsDir() {
		return l.folder(path.Clean(name))
	}
	if err != nil {
		l.left[name] = "a file of instruments that is not there"
		return nil
	}
	l.add(name)
	return nil
}

// add adds a file, or a link to one.
func (l *configList) add(name string) {
	name = path.Clean(name)
	info, err := l.root.Lstat(name)
	switch {
	case err != nil: // it has gone
	case info.Mode().IsRegular():
		if !lockFile(info) {
			l.files[name] = ""
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := filepath.EvalSymlinks(filepath.Join(l.root.Name(), name))
		if err != nil {
			l.left[name] = "a link to what is not there, or not to be seen from here"
			return
		}
		if info, err = os.Stat(target); err != nil || !info.Mode().IsRegular() {
			l.left[name] = "a link to what is no file"
			return
		}
		l.files[name] = target
	case !info.IsDir():
		l.left[name] = "it is no file, folder or link"
	}
}

// mounts are the files that a file of instruments gives to them:
// ./procedures.yml:/etc/dcs/procedures.yml. Any other file has none.
func mounts(root *os.Root, name string) (files []string) {
	if !strings.HasPrefix(name, "instruments") {
		return nil
	}
	b, err := root.ReadFile(name)
	if err != nil {
		return nil
	}
	var list struct {
		Instruments map[string]struct {
			Files []string `yaml:"files"`
		} `yaml:"instruments"`
	}
	if yaml.Unmarshal(b, &list) != nil {
		return nil // it is saved as it is
	}
	for _, instrument := range list.Instruments {
		for _, mount := range instrument.Files {
			if from, _, _ := strings.Cut(mount, ":"); from != "" {
				files = append(files, path.Clean(from))
			}
		}
	}
	return files
}
