package auditlog

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// segment is one file of a log.
type segment struct {
	number int
	path   string
}

// name is the file's name without the folder.
func (s segment) name() string { return filepath.Base(s.path) }

func segmentOf(dir string, number int) segment {
	return segment{number, filepath.Join(dir, fmt.Sprintf("audit-%06d.jsonl", number))}
}

var segmentRE = regexp.MustCompile(`^audit-(\d{6,9})\.jsonl$`)

// segments are those in dir, in order.
func segments(dir string) ([]segment, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the audit log: %w", err)
	}
	var found []segment
	for _, f := range files {
		m := segmentRE.FindStringSubmatch(f.Name())
		if m == nil {
			continue
		}
		number, err := strconv.Atoi(m[1])
		if s := segmentOf(dir, number); err == nil && number > 0 && s.name() == f.Name() {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return found, nil
}
