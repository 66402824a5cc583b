package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// incoming is a run that is being received.
type incoming struct {
	Offered
	dir   string
	at    position // all before it is there
	file  *writing // the file at at.file, if it is open
	asked time.Time
	mark  position // the hole that was asked for
	all   bool
}

// find gives the run that is being received, after a restart from disk; nil if
// there is none.
func (r *Receiver) find(run int64) (*incoming, error) {
	if in := r.open[run]; in != nil {
		return in, nil
	}
	dir := r.Folder(run)
	o, all, err := Load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in := &incoming{Offered: o, dir: dir, all: all}
	if !all {
		if in.at, err = resume(dir, o.Manifest.Files); err != nil {
			return nil, err
		}
	} else {
		in.at = position{file: len(o.Manifest.Files)}
	}
	r.open[run] = in
	return in, nil
}

// begin makes the folder of a run; nil when the run is in the database.
func (r *Receiver) begin(device string, m wire.Manifest) (*incoming, error) {
	state, err := r.o.Known(m.Run, m.UID)
	if err != nil {
		return nil, err
	}
	if state == wire.ResultsStored {
		return nil, nil
	}
	in := &incoming{Offered: Offered{Device: device, Manifest: m}, dir: r.Folder(m.Run)}
	if err := os.MkdirAll(r.o.Dir, 0o750); err != nil {
		return nil, err
	}
	if err := r.room(m.Files); err != nil {
		return nil, err
	}
	if err := r.keep(in); err != nil {
		in.undo()
		return nil, err
	}
	r.open[m.Run] = in
	r.o.Log.Info("results are coming", "device", device, "run", m.Run, "files", len(m.Files), "bytes", total(m.Files))
	return in, nil
}

// keep brings what was offered to the disk.
func (r *Receiver) keep(in *incoming) error {
	if err := os.MkdirAll(filepath.Join(in.dir, "files"), 0o750); err != nil {
		return err
	}
	b, err := json.Marshal(in.Offered)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(filepath.Join(in.dir, "manifest.json"), b, 0o640); err != nil {
		return err
	}
	return disk.SyncDir(r.o.Dir)
}

// undo removes what keep has left half done. What else is in the folder of the
// run is another's.
func (in *incoming) undo() {
	for _, name := range []string{"manifest.json", "manifest.json.new", "files", ""} {
		_ = os.Remove(filepath.Join(in.dir, name)) // a folder only if it is empty
	}
}

// replace begins anew with other files of the same run: its driver has written
// its manifest once more.
func (r *Receiver) replace(in *incoming, m wire.Manifest) error {
	r.o.Log.Warn("results come anew, the driver has changed its manifest", "device", in.Device, "run", m.Run, "files", len(m.Files), "bytes", total(m.Files))
	// The files go first: they must not be taken for those of the new manifest.
	if err := in.cut(0); err != nil {
		return err
	}
	if err := r.room(m.Files); err != nil {
		return err
	}
	now := *in
	now.Manifest = m
	if err := r.keep(&now); err != nil {
		return err
	}
	*in = now
	return nil
}

// cut removes the files from number first on, the last one first: what is left
// is always the beginning of the run, as resume expects it.
func (in *incoming) cut(first int) error {
	in.drop()
	in.at = position{file: first}
	for i := len(in.Manifest.Files) - 1; i >= first; i-- {
		if err := os.Remove(FilePath(in.dir, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return disk.SyncDir(filepath.Join(in.dir, "files"))
}

// total is how many bytes files have.
func total(files []wire.File) (size int64) {
	for _, f := range files {
		size += f.Size
	}
	return size
}

// room reports whether the disk has room for files.
func (r *Receiver) room(files []wire.File) error {
	size := total(files)
	free, err := disk.Free(r.o.Dir)
	if err != nil {
		return fmt.Errorf("asking how much room there is: %w", err)
	}
	if free-size < r.o.Reserve {
		return fmt.Errorf("no room on the disk: %d bytes are free, %d are to come and %d are kept free", free, size, r.o.Reserve)
	}
	return nil
}

// write appends the next chunk's data to its file.
func (r *Receiver) write(in *incoming, data []byte) error {
	f := in.Manifest.Files[in.at.file]
	if want := min(wire.ChunkSize, f.Size-in.at.chunk*wire.ChunkSize); int64(len(data)) != want {
		return fmt.Errorf("%w: %d bytes of data, not %d", errDamaged, len(data), want)
	}
	if in.file == nil {
		w, err := openWriting(FilePath(in.dir, in.at.file), in.at.chunk*wire.ChunkSize)
		if err != nil {
			return err
		}
		in.file = w
	}
	return in.file.write(data)
}

// advance closes what is complete and goes on to the next file that needs a
// chunk. A file whose sum is wrong begins anew.
func (r *Receiver) advance(in *incoming) error {
	files := in.Manifest.Files
	for !in.all {
		if in.at.file == len(files) {
			if err := disk.WriteFile(filepath.Join(in.dir, "received"), nil, 0o640); err != nil {
				return err
			}
			in.all = true
			r.o.Log.Info("results are received", "device", in.Device, "run", in.Manifest.Run)
			r.o.Received(in.Device, in.Manifest)
			return nil
		}
		f := files[in.at.file]
		if in.at.chunk < chunks(f.Size) {
			return nil
		}
		if in.file == nil {
			w, err := openWriting(FilePath(in.dir, in.at.file), f.Size)
			if err != nil {
				return err
			}
			in.file = w
		}
		sum, err := in.file.finish()
		in.file = nil
		if err != nil {
			in.at = position{file: in.at.file}
			return err
		}
		if sum != f.SHA256 {
			in.at = position{file: in.at.file}
			if err := os.Truncate(FilePath(in.dir, in.at.file), 0); err != nil {
				return err
			}
			if f.Size == 0 {
				return fmt.Errorf("file %s: an empty file cannot have the SHA-256 %s", f.Name, f.SHA256)
			}
			return fmt.Errorf("file %s: its SHA-256 is %s, not %s: it is taken anew", f.Name, sum, f.SHA256)
		}
		in.at = position{file: in.at.file + 1}
	}
	return nil
}

func (in *incoming) drop() {
	if in.file != nil {
		in.file.close()
		in.file = nil
	}
}
