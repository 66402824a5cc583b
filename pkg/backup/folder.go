package backup

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// nameLayout is how a backup is named.
const nameLayout = "20060102T150405Z"

// Prefixes of folders that are no backups: begun, or being removed.
const (
	partial  = ".partial-"
	removing = ".removing-"
)

var namePattern = regexp.MustCompile(`^\d{8}T\d{6}Z$`)

// ErrBusy is that a backup is being made or restored in the same folder.
var ErrBusy = errors.New("a backup is being made or restored")

// Head is what a manifest says of the backup as a whole.
type Head struct {
	Name      string    `json:"-"` // of its folder
	Start     time.Time `json:"start"`
	Sequence  int64     `json:"sequence"`
	Scheduled bool      `json:"scheduled"`
	Parts     []string  `json:"parts"`
	Doubts    []string  `json:"doubts"`
}

// allParts are what a whole backup has.
var allParts = []string{PartVolumes, PartConfig, PartMongo, PartInflux}

// Missing are the parts that the backup does not have.
func (h Head) Missing() (parts []string) {
	for _, part := range allParts {
		if !slices.Contains(h.Parts, part) {
			parts = append(parts, part)
		}
	}
	return parts
}

// Whole reports whether the backup has all parts.
func (h Head) Whole() bool { return len(h.Missing()) == 0 }

// clockError is how far two clocks may be from each other.
const clockError = time.Minute

// future reports whether a backup was begun later than now: some clock was wrong.
func (h Head) future(now time.Time) bool { return h.Start.After(now.Add(clockError)) }

// counts reports whether keep means the backup. The ones made by hand stay until
// somebody removes them.
func (h Head) counts(now time.Time) bool { return h.Scheduled && h.Whole() && !h.future(now) }

// Heads returns the complete backups in dir in the order in which they were made,
// as their sequence says: a clock may have been wrong.
func Heads(dir string) ([]Head, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing backups: %w", err)
	}
	var heads []Head
	for _, e := range entries {
		if !e.IsDir() || !namePattern.MatchString(e.Name()) {
			continue
		}
		h, err := readHead(filepath.Join(dir, e.Name(), manifestName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil { // it is somebody's, and stays; nothing counts on it
			h = Head{}
		}
		h.Name = e.Name()
		if h.Start.IsZero() {
			h.Start, _ = Time(h.Name)
		}
		heads = append(heads, h)
	}
	slices.SortFunc(heads, func(a, b Head) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), a.Start.Compare(b.Start), strings.Compare(a.Name, b.Name))
	})
	return heads, nil
}

// readHead reads the beginning of a manifest, which is long.
func readHead(name string) (h Head, err error) {
	f, err := os.Open(name)
	if err != nil {
		return h, err
	}
	defer func() { _ = f.Close() }()
	d := json.NewDecoder(f)
	if _, err := d.Token(); err != nil {
		return h, err
	}
	into := map[string]any{"start": &h.Start, "sequence": &h.Sequence, "scheduled": &h.Scheduled, "parts": &h.Parts, "doubts": &h.Doubts}
	var found []string // parts, as the first manifests have it
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return h, err
		}
		name, _ := key.(string)
		part, ok := partKeys[name]
		if ok && h.Sequence > 0 { // all that is wanted goes before those
			return h, nil
		} else if ok {
			found = append(found, part)
		}
		to, ok := into[name]
		if !ok {
			to = new(json.RawMessage)
		}
		if err := d.Decode(to); err != nil {
			return h, err
		}
	}
	if h.Sequence == 0 {
		h.Parts, h.Scheduled = found, true
	}
	return h, nil
}

// partKeys are the names of parts in a manifest.
var partKeys = map[string]string{"volumes": PartVolumes, "config": PartConfig, "mongo": PartMongo, "influx": PartInflux}

// List returns the names of the complete backups in dir, those of parts too, in
// the order in which they were made.
func List(dir string) ([]string, error) {
	heads, err := Heads(dir)
	names := make([]string, len(heads))
	for i, h := range heads {
		names[i] = h.Name
	}
	return names, err
}

// Time is when a backup was begun, as its name says.
func Time(name string) (time.Time, error) { return time.Parse(nameLayout, name) }

// Prune removes the oldest of the whole backups that were made by schedule until
// keep of them are left, and returns their names. What was made by hand, has not
// all parts or is of the future stays, and so does the one named made.
func Prune(dir string, keep int, made string, now time.Time) (removed []string, err error) {
	release, err := hold(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	heads, err := Heads(dir)
	if err != nil {
		return nil, err
	}
	heads = slices.DeleteFunc(heads, func(h Head) bool { return !h.counts(now) })
	for _, h := range heads[:max(0, len(heads)-keep)] {
		if h.Name == made {
			continue
		}
		gone := filepath.Join(dir, removing+h.Name) // half removed it must not look like one
		if err := os.Rename(filepath.Join(dir, h.Name), gone); err != nil {
			return removed, fmt.Errorf("removing backup %s: %w", h.Name, err)
		}
		if err := os.RemoveAll(gone); err != nil {
			return removed, fmt.Errorf("removing backup %s: %w", h.Name, err)
		}
		removed = append(removed, h.Name)
	}
	return removed, nil
}

// Find finds a backup: a folder, or the name of one in dir, or "latest", the
// last one that is whole.
func Find(name, dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(name, manifestName)); err == nil {
		return name, nil
	}
	heads, err := Heads(dir)
	if err != nil {
		return "", err
	}
	for _, h := range slices.Backward(heads) {
		if name == h.Name || name == "latest" && h.Whole() {
			return filepath.Join(dir, h.Name), nil
		}
	}
	switch {
	case len(heads) == 0:
		return "", fmt.Errorf("%s is no backup, and there is none in %s", name, dir)
	case name == "latest":
		h := heads[len(heads)-1]
		return "", fmt.Errorf("none in %s is whole: the last, %s, lacks %s; name it if that is meant", dir, h.Name, strings.Join(h.Missing(), ", "))
	}
	return "", fmt.Errorf("%s is no backup; the newest in %s is %s", name, dir, heads[len(heads)-1].Name)
}

// previous is a backup before.
type previous struct {
	name, dir string
	manifest  *Manifest
}

// lastWith is the last backup that has a part, or nil.
func lastWith(dir string, heads []Head, part string) (*previous, error) {
	for _, h := range slices.Backward(heads) {
		if slices.Contains(h.Parts, part) {
			return readPrevious(dir, h)
		}
	}
	return nil, nil
}

func readPrevious(dir string, h Head) (p *previous, err error) {
	p = &previous{name: h.Name, dir: filepath.Join(dir, h.Name)}
	if p.manifest, err = ReadManifest(p.dir); err != nil {
		return nil, err
	}
	return p, nil
}
