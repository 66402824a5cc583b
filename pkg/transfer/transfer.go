// Package transfer carries the results of runs over the bus, from the driver
// that has them to the sink that keeps them (docs/contract.md, section 11).
//
// A Sender offers a run with its manifest and then sends its files in chunks, at
// most wire.ChunkWindow of them without a receipt: a slow sink slows the driver
// down and never fills the broker. The chunks go with QoS 0 over a connection of
// their own, because everything that can be lost on the way is on the sender's
// disk and is asked for again. A Receiver writes them to disk and says how far it
// has come; from that point a transfer goes on after a break of either side, or
// of the broker. Checksums stand at three places: CRC-32C of each chunk, SHA-256
// of each file, and both size and SHA-256 in the manifest.
package transfer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"strings"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// Limits on a manifest.
const (
	MaxFiles    = 1000
	MaxName     = 255     // bytes
	MaxManifest = 1 << 20 // bytes
	MaxSize     = 1 << 40 // bytes of all files
	MaxRun      = 1<<53 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal writes the checksum of a chunk's data, which begins at wire.ChunkSum.
func seal(chunk []byte) {
	binary.BigEndian.PutUint32(chunk, crc32.Checksum(chunk[wire.ChunkSum:], castagnoli))
}

// errDamaged is a chunk that did not come as it was sent: it is asked for again.
var errDamaged = errors.New("a damaged chunk")

// unseal checks a chunk and gives its data.
func unseal(chunk []byte) ([]byte, error) {
	if len(chunk) <= wire.ChunkSum || len(chunk) > wire.ChunkSum+wire.ChunkSize {
		return nil, fmt.Errorf("%w: it has %d bytes", errDamaged, len(chunk))
	}
	data := chunk[wire.ChunkSum:]
	if crc32.Checksum(data, castagnoli) != binary.BigEndian.Uint32(chunk) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	return data, nil
}

// chunks is how many chunks a file of that size has.
func chunks(size int64) int64 { return (size + wire.ChunkSize - 1) / wire.ChunkSize }

// position is a place in a transfer: everything before it is there.
type position struct {
	file  int
	chunk int64
}

// before reports whether p comes before q.
func (p position) before(q position) bool {
	return p.file < q.file || p.file == q.file && p.chunk < q.chunk
}

// skip moves a position that stands at the end of a file to the next file that
// has a chunk. At the end of all files it is {len(files), 0}.
func (p position) skip(files []wire.File) position {
	for p.file < len(files) && p.chunk >= chunks(files[p.file].Size) {
		p = position{file: p.file + 1}
	}
	return p
}

// next is the position behind the chunk at p.
func (p position) next(files []wire.File) position {
	p.chunk++
	return p.skip(files)
}

// between is how many chunks there are from p up to q.
func between(p, q position, files []wire.File) (n int64) {
	for f := p.file; f < q.file; f++ {
		n += chunks(files[f].Size)
	}
	return n - p.chunk + q.chunk
}

// CheckManifest reports why a manifest cannot be accepted.
func CheckManifest(m *wire.Manifest) error {
	if m.Run < 1 {
		return errors.New("a manifest without the number of its run")
	}
	if m.Run > MaxRun {
		return fmt.Errorf("the manifest of run %d: the highest number is %d, JSON cannot tell higher ones apart everywhere", m.Run, int64(MaxRun))
	}
	if m.UID == "" || len(m.UID) > wire.MaxID {
		return fmt.Errorf("the manifest of run %d has no uid, or one that is too long", m.Run)
	}
	if !wire.RunEnded(m.State) {
		return fmt.Errorf("the manifest of run %d says that it is %q: only runs that have ended are offered", m.Run, wire.Echo(m.State))
	}
	if len(m.Files) > MaxFiles {
		return fmt.Errorf("the manifest of run %d has %d files, at most %d are taken", m.Run, len(m.Files), MaxFiles)
	}
	seen := make(map[string]bool, len(m.Files))
	left := int64(MaxSize)
	for _, f := range m.Files {
		switch {
		case CheckFileName(f.Name) != nil:
			return fmt.Errorf("run %d: %w", m.Run, CheckFileName(f.Name))
		case seen[f.Name]:
			return fmt.Errorf("run %d: file %q stands twice in the manifest", m.Run, f.Name)
		case f.Size < 0:
			return fmt.Errorf("run %d: file %q has %d bytes", m.Run, f.Name, f.Size)
		case f.Size > left:
			return fmt.Errorf("run %d: file %q has %d bytes: at most %d are taken of all files together", m.Run, f.Name, f.Size, int64(MaxSize))
		case !isSum(f.SHA256):
			return fmt.Errorf("run %d: file %q has no SHA-256 of 64 hexadecimal digits", m.Run, f.Name)
		}
		seen[f.Name] = true
		left -= f.Size
	}
	return nil
}

// CheckFileName reports why a name cannot be that of a result: it is relative,
// with slashes, and leads nowhere else.
func CheckFileName(name string) error {
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == utf8.RuneError }
	switch {
	case name == "" || len(name) > MaxName:
		return fmt.Errorf("a file name of %d bytes: 1 to %d are taken", len(name), MaxName)
	case path.Clean(name) != name || path.IsAbs(name) || name == "." || name == ".." || strings.HasPrefix(name, "../"):
		return fmt.Errorf("file name %q is not a plain relative path", wire.Echo(name))
	case strings.ContainsFunc(name, bad):
		return fmt.Errorf("file name %q has a backslash, a control character or is not UTF-8", wire.Echo(name))
	}
	return nil
}

func isSum(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
