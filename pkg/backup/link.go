package backup

import (
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"trackerdcs/pkg/history"
)

const (
	linkFrom = 2000 // points that a day has to have for its file to be linked

	// Each day is read again in one of so many backups, whatever the server
	// counts: what was written over with values of the same sum is there then. And
	// the sum of a file that is linked is checked in one of so many.
	readEach  = 30
	checkEach = 10
)

// turn reports whether it is a day's turn for what is done in one of n backups.
func (b *maker) turn(at time.Time, n int64) bool {
	return (at.Unix()/int64(day/time.Second)+b.manifest.Sequence)%n == 0
}

// printOf is a short form of what the server counts and adds up on a day; empty if
// it could not.
func printOf(fields []history.Field, d history.DayCount) string {
	if d.Sums == nil {
		return ""
	}
	sum := fnv.New64a()
	for i, f := range fields {
		if d.Values[i] > 0 {
			fmt.Fprintf(sum, "%q %d %x;", f.Key(), d.Values[i], math.Float64bits(d.Sums[i]))
		}
	}
	return strconv.FormatUint(sum.Sum64(), 16)
}

// unchanged finds the file of a day in the backup before, if the server counts
// and adds up now what it did then. What a driver replays late, or somebody
// writes over, changes that.
func (b *maker) unchanged(name string, at time.Time, is string) (file string, ok bool) {
	if is == "" || b.before == nil || b.before.manifest.Influx == nil || b.turn(at, readEach) {
		return "", false
	}
	m := b.before.manifest.Influx.Measurements[name]
	if m == nil {
		return "", false
	}
	d, ok := m.Days[at.Format(time.DateOnly)]
	if !ok || d.Points < linkFrom || d.Print != is {
		return "", false
	}
	return dayFile(m.Folder, at), true
}

// link takes over a file of the backup before, if it is still what it was: a
// file that goes bad must not do so in all backups.
func (b *maker) link(old, file string, check bool) error {
	was, ok := b.before.manifest.Files[old]
	if !ok {
		return os.ErrNotExist
	}
	root, err := os.OpenRoot(b.before.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Lstat(old)
	if err != nil {
		return err
	}
	if check || info.Size() != was.Size || was.Inode == 0 || was.Inode != inode(info) || was.Time != info.ModTime().UnixNano() {
		if err := checkFile(root, old, was); err != nil {
			b.log.Warn("a file of an earlier backup is damaged", "backup", b.before.name, "error", err)
			return err
		}
		was.Inode, was.Time = inode(info), info.ModTime().UnixNano()
	}
	to := filepath.Join(b.dir, file)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(b.before.dir, old), to); err != nil {
		return err
	}
	b.manifest.Files[file] = was
	b.linked++
	return nil
}
