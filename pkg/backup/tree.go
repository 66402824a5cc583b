package backup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// packer writes a tree into a tar.
type packer struct {
	*copier
	tar   *tar.Writer
	tree  Tree
	torn  map[string]string
	other []string // what is left out, and why
}

// archive makes a gzipped tar in the backup and lets fill fill it.
func (b *maker) archive(name string, root *os.Root, fill func(*packer) error) (*packer, error) {
	out, err := b.create(name)
	if err != nil {
		return nil, err
	}
	z, _ := gzip.NewWriterLevel(out, gzip.BestSpeed) // the level is a valid one
	p := &packer{copier: &copier{root: root, temp: b.dir, gap: triesGap}, tar: tar.NewWriter(z), torn: map[string]string{}}
	err = fill(p)
	if err = errors.Join(err, p.tar.Close(), z.Close()); err != nil {
		out.drop()
		return nil, err
	}
	return p, out.done()
}

// before orders the entries of a folder. What says how far something has been
// read or stored goes before what it is about: a checkpoint that is older than
// the log costs some work twice, one that is newer would hide what is in the log
// alone. All else goes by its name, as logs are numbered: an entry that is in
// the list is not followed by one that was closed after it was copied.
func before(a, b fs.DirEntry) int {
	first := func(e fs.DirEntry) int {
		if e.Name() == "checkpoint" {
			return 0
		}
		return 1
	}
	if d := first(a) - first(b); d != 0 {
		return d
	}
	return strings.Compare(a.Name(), b.Name())
}

// folder packs a folder and all below it; name is . for the whole tree.
func (p *packer) folder(ctx context.Context, name string) error {
	info, err := p.root.Lstat(name)
	if err != nil {
		return gone(err)
	}
	if err := p.header(name+"/", "", info); err != nil {
		return err
	}
	dir, err := p.root.Open(name)
	if err != nil {
		return gone(err)
	}
	entries, err := dir.ReadDir(-1)
	_ = dir.Close()
	if err != nil {
		return gone(err)
	}
	slices.SortFunc(entries, before)
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.entry(ctx, path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// entry packs what has a name, if it is still there.
func (p *packer) entry(ctx context.Context, name string) error {
	info, err := p.root.Lstat(name)
	if err != nil {
		return gone(err)
	}
	switch {
	case info.IsDir():
		return p.folder(ctx, name)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(name)
		if err != nil {
			return gone(err)
		}
		return p.header(name, target, info)
	case !info.Mode().IsRegular():
		p.other = append(p.other, fmt.Sprintf("%s: it is no file, folder or link", name))
		return nil
	case lockFile(info), p.withDatabase(name):
		return nil
	}
	return p.file(ctx, name)
}

// file packs a regular file.
func (p *packer) file(ctx context.Context, name string) error {
	c, err := p.copyFile(ctx, name)
	if err != nil {
		return gone(err)
	}
	defer c.remove()
	if c.doubt != "" {
		if c.kind != plainFile {
			return fmt.Errorf("%s is a %s database and was not whole in %d copies: %s", name, c.kind, tries, c.doubt)
		}
		p.torn[name] = c.doubt
	}
	if err := p.add(name, c); err != nil || c.log == nil {
		return err
	}
	return p.add(name+sqlLog, c.log)
}

// add packs a copy.
func (p *packer) add(name string, c *copied) error {
	if err := p.header(name, "", sized{c.info, c.size}); err != nil {
		return err
	}
	if _, err := io.Copy(p.tar, c); err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	p.tree.Files++
	p.tree.Bytes += c.size
	return nil
}

// sized is a file with the size of its copy.
type sized struct {
	fs.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }

// header begins an entry. Owners are numbers: names mean others elsewhere.
func (p *packer) header(name, target string, info fs.FileInfo) error {
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	h.Name, h.Uname, h.Gname = name, "", ""
	h.Format = tar.FormatPAX // times to the nanosecond
	if err := p.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	return nil
}

// gone takes it that something has vanished meanwhile.
func gone(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: backups are made by root, in a container with DAC_OVERRIDE, as the files belong to many", err)
	}
	return err
}
