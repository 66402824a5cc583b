package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"trackerdcs/pkg/runs"
)

type runFilesCmd struct {
	mongoFlags
	To     string `help:"Write the files into this folder, and check their sums." placeholder:"DIR"`
	Force  bool   `help:"With --to: replace files that are there."`
	Number int64  `arg:"" name:"run" help:"The number of the run."`
}

// Run lists or writes the files.
func (c *runFilesCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *runFilesCmd) run(ctx context.Context, con console, store runStore) error {
	r, err := fetchRun(ctx, store, c.Number)
	switch {
	case err != nil:
		return err
	case c.To != "":
		return c.write(ctx, con, store, r)
	case c.Output == "json":
		for _, f := range r.Files {
			if err := printJSON(con, f); err != nil {
				return err
			}
		}
		return nil
	case len(r.Files) == 0:
		con.notef("run %d has no files (results: %s)", r.Number, r.Outcome)
		return nil
	}
	fileTable(r.Files).print(con, "")
	return nil
}

// write writes all files of a run below a folder, which names cannot leave.
func (c *runFilesCmd) write(ctx context.Context, con console, store runStore, r runs.Run) error {
	if err := os.MkdirAll(c.To, 0o755); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	root, err := os.OpenRoot(c.To)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written through it
	w := fileWriter{store: store, root: root, run: r.Number, force: c.Force}
	var worst error
	for _, f := range r.Files {
		said, err := w.write(ctx, f)
		switch {
		case err == nil:
			c.tell(con, f, said)
		case ctx.Err() != nil, errors.Is(err, runs.ErrNoAnswer):
			return fmt.Errorf("%s: %w", f.Name, err)
		default: // the others may be good
			con.notef("%s: %v", oneLine(f.Name), err)
			worst = exitFailed
		}
	}
	return worst
}

func (c *runFilesCmd) tell(con console, f runs.File, said string) {
	if c.Output == "json" {
		_ = printJSON(con, f)
		return
	}
	fmt.Fprintf(con.out, "%s  %s  %s\n", oneLine(f.Name), sizeText(f.Size), said)
}

// fileWriter writes files of one run.
type fileWriter struct {
	store runStore
	root  *os.Root
	run   int64
	force bool
}

const partMark = ".dcs-part-"

// write writes a file under another name and gives it its own once its sum is
// right, so that nothing damaged ever has it.
func (w *fileWriter) write(ctx context.Context, f runs.File) (said string, err error) {
	name := filepath.FromSlash(f.Name)
	if !filepath.IsLocal(name) || filepath.Clean(name) != name || name == "." {
		return "", errors.New("the name leads out of the folder: not written")
	}
	if !w.force {
		if same, err := w.there(name, f); err != nil || same {
			return "is there already, the sum is right", err
		}
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := w.root.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	part := name + partMark + rand.Text()[:8]
	defer func() {
		if err := w.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			said += " (" + err.Error() + ")"
		}
	}()
	if err := w.fetch(ctx, part, f); err != nil {
		return "", err
	}
	if w.force {
		return "written, the sum is right", w.root.Rename(part, name)
	}
	if err := w.root.Link(part, name); err == nil { // never over a file that has come meanwhile
		return "written, the sum is right", nil
	} else if errors.Is(err, fs.ErrExist) {
		return "", errExists
	}
	return "written, the sum is right", w.root.Rename(part, name) // a file system without links
}

var errExists = errors.New("a file of that name is there, and is another: --force replaces it")

// there reports whether the file is there. One that is another is an error.
func (w *fileWriter) there(name string, f runs.File) (bool, error) {
	info, err := w.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular() || info.Size() != f.Size:
		return false, errExists
	}
	in, err := w.root.Open(name)
	if err != nil {
		return false, err
	}
	defer in.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return false, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return false, errExists
	}
	return true, nil
}

// fetch writes a file's bytes and compares them with what the run's document
// says of it.
func (w *fileWriter) fetch(ctx context.Context, part string, f runs.File) error {
	in, _, err := w.store.OpenFile(ctx, w.run, f.Name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := w.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), in)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.Size || got != f.SHA256 {
		return fmt.Errorf("%w: it has %d bytes and the sum %s, and should have %d bytes and %s", runs.ErrDamaged, n, got, f.Size, f.SHA256)
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}
