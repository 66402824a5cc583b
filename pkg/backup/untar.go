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
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// volume replaces what is in a volume.
func (r *restorer) volume(ctx context.Context, name string) error {
	dir := filepath.Join(r.to.Volumes, name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "lost+found" {
			continue
		}
		if err := root.RemoveAll(e.Name()); err != nil {
			return fmt.Errorf("emptying it: %w", err)
		}
	}
	f, err := r.open(volumeFile(name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	files, err := unpack(ctx, root, f, os.Geteuid() == 0)
	if err != nil {
		return err
	}
	if want := r.manifest.Volumes[name].Files; files != want {
		return fmt.Errorf("%d files were saved and %d are there now", want, files)
	}
	r.log.Info("a volume is back", "volume", name, "files", files)
	return nil
}

// unpack writes the entries of a tar into an empty folder and counts the regular
// files. It writes nothing outside, whatever the names say, and runs through no
// link that leads there. With owners, what is written belongs to whom it did.
func unpack(ctx context.Context, root *os.Root, from io.Reader, owners bool) (files int, err error) {
	type folder struct {
		name string
		h    *tar.Header
	}
	var folders []folder
	for in := tar.NewReader(from); ; {
		if ctx.Err() != nil {
			return files, ctx.Err()
		}
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return files, err
		}
		name := path.Clean(h.Name)
		if strings.ContainsRune(name, 0) || !filepath.IsLocal(name) {
			return files, fmt.Errorf("the archive names %q, which leads out of the volume", h.Name)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o700)
			folders = append(folders, folder{name, h})
		case tar.TypeReg:
			err = writeFile(root, name, h, in, owners)
			files++
		case tar.TypeSymlink:
			if err = root.Symlink(h.Linkname, name); err == nil && owners {
				err = root.Lchown(name, h.Uid, h.Gid)
			}
		default:
			return files, fmt.Errorf("the archive has %q of a kind that is never saved (%c)", h.Name, h.Typeflag)
		}
		if err != nil {
			return files, notAllowed(err)
		}
	}
	// Folders last, from the inside: a mode may forbid to write into them, and
	// what is written changes their times.
	for _, d := range slices.Backward(folders) {
		if err := finishFolder(root, d.name, d.h, owners); err != nil {
			return files, notAllowed(err)
		}
	}
	return files, nil
}

func writeFile(root *os.Root, name string, h *tar.Header, from io.Reader, owners bool) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil && owners {
		err = f.Chown(h.Uid, h.Gid)
	}
	if err == nil {
		err = f.Chmod(h.FileInfo().Mode().Perm())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}

func finishFolder(root *os.Root, name string, h *tar.Header, owners bool) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if owners {
		if err := f.Chown(h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(h.FileInfo().Mode().Perm()); err != nil {
		return err
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}

// notAllowed adds what to do about it.
func notAllowed(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: a restore is for root, in a container with CHOWN, DAC_OVERRIDE and FOWNER, as the files belong to many", err)
	}
	return err
}
