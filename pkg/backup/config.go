package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
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

// config packs what makes this installation this one: what a checkout of the
// repository has too is saved with it, so that the backup does not depend on it.
func (b *maker) config(ctx context.Context) error {
	root, err := os.OpenRoot(b.src.Install)
	if err != nil {
		return fmt.Errorf("DCS_INSTALL_DIR: %w", err)
	}
	defer func() { _ = root.Close() }()
	names, err := configNames(root)
	if err != nil {
		return err
	}
	p, err := b.archive(configFile, root, func(p *packer) error {
		for _, name := range names {
			if err := p.file(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.manifest.Config = &p.tree
	b.note("configuration", p)
	return nil
}

// configNames lists the files, in order.
func configNames(root *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	add := func(name string) {
		info, err := root.Lstat(name)
		if err == nil && info.Mode().IsRegular() && !lockFile(info) {
			names = append(names, path.Clean(name))
		}
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if ext != ".yml" && ext != ".yaml" && e.Name() != ".env" {
			continue
		}
		add(e.Name())
		for _, mounted := range mounts(root, e.Name()) {
			add(mounted)
		}
	}
	for _, folder := range configFolders {
		err := fs.WalkDir(root.FS(), folder, func(name string, _ fs.DirEntry, err error) error {
			if err == nil {
				add(name)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, gone(err)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// mounts are the installation's files that a file of instruments gives to them:
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
			from, _, _ := strings.Cut(mount, ":")
			if from = path.Clean(from); fs.ValidPath(from) {
				files = append(files, from)
			}
		}
	}
	return files
}
