package runs

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"strconv"
	"strings"
)

// Limits of a CSV result and of what is kept of it.
const (
	MaxColumns  = 10_000
	MaxRecord   = 1 << 20 // bytes of one row
	MaxDistinct = 1000    // values that are told apart in a column …
	allDistinct = 200_000 // … and in all columns together
)

var utf8BOM = []byte("\xef\xbb\xbf")

// Summary reads a CSV result and says what is in it:
//
//	{"rows":4096,"columns":[{"name":"threshold","count":4096,"min":118.2,"max":131.9,"mean":124.5},
//	                        {"name":"chip","count":4096,"distinct":8}]}
//
// The first row has the names, unless all of it are numbers: then the columns
// are "1", "2" … Rows that begin with # are left out, and so are empty ones. What
// separates columns is the one of comma, semicolon and tab that is most frequent
// in the first row. count is of cells that are not empty, min, max and mean are of
// those that are finite numbers, distinct is how many values the others have.
// Of a column with both there are both, and "numbers" says how many cells are
// numbers; "distinct_more" is there when there are more values than were told
// apart; "not_finite" is the number of NaN and infinities.
//
// It needs memory for one row and for the columns, whatever the number of rows.
// An error names the line.
func Summary(r io.Reader) (map[string]any, error) {
	bounded := &recordReader{r: r}
	in := bufio.NewReaderSize(bounded, 64<<10)
	if head, _ := in.Peek(len(utf8BOM)); string(head) == string(utf8BOM) {
		_, _ = in.Discard(len(utf8BOM))
	}
	records := csv.NewReader(in)
	records.Comma = comma(in)
	records.Comment = '#'
	records.ReuseRecord = true
	records.TrimLeadingSpace = records.Comma != '\t'

	var columns []*column
	left := allDistinct
	rows, line := int64(0), 0
	for {
		cells, err := records.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, csvError(err, line, len(columns), len(cells))
		}
		bounded.since = 0
		line, _ = records.FieldPos(0)
		if columns == nil {
			if len(cells) > MaxColumns {
				return nil, fmt.Errorf("line %d: %d columns, more than %d", line, len(cells), MaxColumns)
			}
			named := false
			if columns, named = header(cells); named {
				continue
			}
		}
		rows++
		for i, cell := range cells {
			columns[i].add(cell, &left)
		}
	}
	list := make([]any, len(columns))
	for i, c := range columns {
		list[i] = c.summary()
	}
	return map[string]any{"rows": rows, "columns": list}, nil
}

func csvError(err error, last, want, got int) error {
	var at *csv.ParseError
	switch {
	case errors.As(err, &at) && errors.Is(err, csv.ErrFieldCount):
		return fmt.Errorf("line %d: %d columns, and %d in the first row", at.Line, got, want)
	case errors.As(err, &at):
		return fmt.Errorf("line %d: %w", at.Line, at.Err)
	}
	return fmt.Errorf("after line %d: %w", last, err)
}

// comma looks at the beginning for what separates columns.
func comma(in *bufio.Reader) rune {
	head, _ := in.Peek(in.Size())
	for line := range strings.Lines(string(head)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		count, quoted := make(map[rune]int), false
		for _, c := range line {
			if c == '"' {
				quoted = !quoted
			} else if !quoted {
				count[c]++
			}
		}
		best := ','
		for _, c := range ";\t" {
			if count[c] > count[best] {
				best = c
			}
		}
		return best
	}
	return ','
}

// header makes the columns of the first row, and says whether it has their names.
func header(cells []string) (columns []*column, named bool) {
	for _, cell := range cells {
		if _, number := numeric(cell); !number && strings.TrimSpace(cell) != "" {
			named = true
		}
	}
	for i, cell := range cells {
		name := strings.ToValidUTF8(strings.TrimSpace(cell), "\uFFFD")
		if !named || name == "" {
			name = strconv.Itoa(i + 1)
		}
		columns = append(columns, &column{name: shortKey(name), min: math.Inf(1), max: math.Inf(-1)})
	}
	return columns, named
}

type column struct {
	name           string
	numbers, texts int64
	notFinite      int64
	min, max, mean float64
	distinct       map[uint64]struct{} // sums of values
	more           bool
}

func (c *column) add(cell string, left *int) {
	cell = strings.TrimSpace(cell)
	if cell == "" {
		return
	}
	f, number := numeric(cell)
	switch {
	case !number:
		c.text(cell, left)
	case math.IsNaN(f) || math.IsInf(f, 0):
		c.notFinite++
	default:
		c.numbers++
		c.min, c.max = min(c.min, f), max(c.max, f)
		n := float64(c.numbers)
		c.mean += f/n - c.mean/n // the difference first could overflow
	}
}

func (c *column) text(cell string, left *int) {
	c.texts++
	if c.more {
		return
	}
	sum := fnv.New64a()
	_, _ = io.WriteString(sum, cell)
	if _, known := c.distinct[sum.Sum64()]; known {
		return
	}
	if len(c.distinct) == MaxDistinct || *left == 0 {
		c.more = true
		return
	}
	if c.distinct == nil {
		c.distinct = make(map[uint64]struct{})
	}
	c.distinct[sum.Sum64()] = struct{}{}
	*left--
}

func (c *column) summary() map[string]any {
	s := map[string]any{"name": c.name, "count": c.numbers + c.texts + c.notFinite}
	if c.numbers > 0 {
		// Rounding can carry the mean of equal values past them.
		s["min"], s["max"], s["mean"] = c.min, c.max, min(max(c.mean, c.min), c.max)
	}
	if c.texts > 0 {
		s["distinct"] = int64(len(c.distinct))
		if c.numbers > 0 {
			s["numbers"] = c.numbers
		}
	}
	if c.more {
		s["distinct_more"] = true
	}
	if c.notFinite > 0 {
		s["not_finite"] = c.notFinite
	}
	return s
}

// numeric reads a number; NaN, infinities and what is beyond float64 are
// numbers that are not finite.
func numeric(cell string) (float64, bool) {
	cell = strings.TrimSpace(cell)
	if cell == "" || cell[0] > '9' && !strings.ContainsAny(cell[:1], "iInN") { // most texts, without an error being made
		return 0, false
	}
	f, err := strconv.ParseFloat(cell, 64)
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

// recordReader ends a row that has no end: a reader of CSV would put all of it
// into memory.
type recordReader struct {
	r     io.Reader
	since int // bytes since the last row
}

func (b *recordReader) Read(p []byte) (int, error) {
	if b.since > MaxRecord {
		return 0, fmt.Errorf("a row has more than %d bytes: is a quote not closed?", MaxRecord)
	}
	n, err := b.r.Read(p)
	b.since += n
	return n, err
}
