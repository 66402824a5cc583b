package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/disk"
)

// Format is the version of a backup's layout that this package writes. It reads
// no newer one.
const Format = 1

const manifestName = "manifest.json"

// Manifest says what is in a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of dcs
	Host    string    `json:"host"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`

	Parts     []string `json:"parts"`               // PartVolumes …; a whole backup has all of them
	Sequence  int64    `json:"sequence"`            // one more than any other in its folder had: clocks err
	Scheduled bool     `json:"scheduled,omitempty"` // made by itself
	Doubts    []string `json:"doubts,omitempty"`    // why it may be less than it should be

	Config  *Tree             `json:"config,omitempty"`
	Volumes map[string]Tree   `json:"volumes,omitempty"`
	Mongo   *MongoPart        `json:"mongo,omitempty"`
	Influx  *InfluxPart       `json:"influx,omitempty"`
	Files   map[string]File   `json:"files"`             // all but the manifest, by their path
	Torn    map[string]string `json:"torn,omitempty"`    // files of volumes that never stood still, and what is known of their copies
	Skipped []string          `json:"skipped,omitempty"` // what is not in it, or not as it was
}

// File is a file of a backup.
type File struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Of a file that the next backup may link: while these are the same, nobody
	// has written to it. A copy of the backup has others, which says nothing.
	Time  int64  `json:"time,omitempty"` // ns since 1970
	Inode uint64 `json:"inode,omitempty"`
}

// Tree is what is in a folder.
type Tree struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// MongoPart is what is there of MongoDB.
type MongoPart struct {
	Version     string           `json:"version"`     // of the server
	Collections map[string]int64 `json:"collections"` // documents
}

// InfluxPart is what is there of InfluxDB.
type InfluxPart struct {
	Version      string                  `json:"version"` // of the server
	Measurements map[string]*Measurement `json:"measurements"`
}

// Points counts all points.
func (p *InfluxPart) Points() (n int64) {
	for _, m := range p.Measurements {
		n += m.Points()
	}
	return n
}

// Measurement is what is there of a measurement.
type Measurement struct {
	Folder string         `json:"folder"` // below influx
	Days   map[string]Day `json:"days"`
}

// Day is what a measurement has on a day, UTC.
type Day struct {
	Points int64            `json:"points"` // lines
	Values map[string]int64 `json:"values"` // by field and type: name::float
	// Print is a sum of what the server counted and added up of each field before
	// the points were read, on a day that had ended: as long as it says the same,
	// the file is good.
	Print string `json:"print,omitempty"`
	// Points that hold the mark U+FFFD, which InfluxDB answers with for bytes that
	// are no UTF-8; two of the same time may be one in the copy.
	Replaced int64 `json:"replaced,omitempty"`
	Rounded  int64 `json:"rounded,omitempty"` // whole numbers from 2⁵³ on that were read as floats
}

// Points counts the measurement's points.
func (m *Measurement) Points() (n int64) {
	for _, d := range m.Days {
		n += d.Points
	}
	return n
}

// flawed counts points that are not as they were.
func (m *Measurement) flawed() (replaced, rounded int64) {
	for _, d := range m.Days {
		replaced, rounded = replaced+d.Replaced, rounded+d.Rounded
	}
	return replaced, rounded
}

// totals counts the values of each field.
func (m *Measurement) totals() map[string]int64 {
	sum := make(map[string]int64)
	for _, d := range m.Days {
		for field, n := range d.Values {
			sum[field] += n
		}
	}
	return sum
}

func (m *Manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	if err := disk.WriteFile(filepath.Join(dir, manifestName), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

// ReadManifest reads the manifest of the backup in dir. One of a newer format is
// an error.
func ReadManifest(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no complete backup: it has no %s", dir, manifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	var head struct {
		Format  int
		Version string
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("the manifest of %s is damaged: %w", dir, err)
	}
	if head.Format > Format {
		return nil, fmt.Errorf("%s has format %d, made by dcs %s; this dcs knows up to %d: use a newer one", dir, head.Format, head.Version, Format)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("the manifest of %s is damaged: %w", dir, err)
	}
	if m.Format < 1 || m.Files == nil {
		return nil, fmt.Errorf("the manifest of %s is not one of dcs backup", dir)
	}
	for name := range m.Files {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("the manifest of %s names %q, which is not in it", dir, name)
		}
	}
	return m, nil
}

// Verify checks the sum of every file of the backup in dir. The error names all
// that is wrong.
func Verify(ctx context.Context, dir string) (*Manifest, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	names := make([]string, 0, len(m.Files))
	for name := range m.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := checkFile(root, name, m.Files[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s is damaged:\n%w", dir, errors.Join(errs...))
	}
	return m, nil
}

// checkFile reads a file and compares its size and sum.
func checkFile(root *os.Root, name string, want File) error {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", name, err)
	case n != want.Size:
		return fmt.Errorf("%s has %d bytes, not %d", name, n, want.Size)
	case hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		return fmt.Errorf("%s was changed: its SHA-256 is not the one in the manifest", name)
	}
	return nil
}

// output is a file of a backup that is being written.
type output struct {
	b    *maker
	name string // below the backup's folder
	f    *os.File
	sum  hash.Hash
	size int64
}

// create makes a file of the backup.
func (b *maker) create(name string) (*output, error) {
	full := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &output{b: b, name: filepath.ToSlash(name), f: f, sum: sha256.New()}, nil
}

// Write is io.Writer's.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.f.Write(p)
	o.sum.Write(p[:n])
	o.size += int64(n)
	return n, err
}

// done brings the file to the disk and enters it in the manifest.
func (o *output) done() error {
	if err := errors.Join(o.f.Sync(), o.f.Close()); err != nil {
		return err
	}
	f := File{Size: o.size, SHA256: hex.EncodeToString(o.sum.Sum(nil))}
	if strings.HasPrefix(o.name, "influx/") {
		info, err := os.Lstat(o.f.Name())
		if err != nil {
			return err
		}
		f.Time, f.Inode = info.ModTime().UnixNano(), inode(info)
	}
	o.b.manifest.Files[o.name] = f
	return nil
}

// drop gives up writing.
func (o *output) drop() { _ = o.f.Close() }
