package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table is text in columns. Columns that nothing stands in are left out.
type table struct {
	heads []string // one that begins with > is set to the right
	rows  []tableRow
}

type tableRow struct {
	cells []string
	color string
}

func (t *table) add(color string, cells ...string) {
	t.rows = append(t.rows, tableRow{cells, color})
}

// print writes the table, each line behind indent.
func (t *table) print(con console, indent string) {
	widths := make([]int, len(t.heads))
	for _, r := range t.rows {
		for i, c := range r.cells {
			r.cells[i] = oneLine(c)
			widths[i] = max(widths[i], utf8.RuneCountInString(r.cells[i]))
		}
	}
	heads := make([]string, len(t.heads))
	for i, h := range t.heads {
		heads[i] = oneLine(strings.TrimPrefix(h, ">"))
		if widths[i] > 0 {
			widths[i] = max(widths[i], utf8.RuneCountInString(heads[i]))
		}
	}
	if strings.Join(heads, "") != "" {
		fmt.Fprintln(con.out, con.paint(dim, indent+t.line(heads, widths)))
	}
	for _, r := range t.rows {
		fmt.Fprintln(con.out, con.paint(r.color, indent+t.line(r.cells, widths)))
	}
}

func (t *table) line(cells []string, widths []int) string {
	var parts []string
	for i, c := range cells {
		if widths[i] == 0 {
			continue
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
		if strings.HasPrefix(t.heads[i], ">") {
			parts = append(parts, pad+c)
		} else {
			parts = append(parts, c+pad)
		}
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}
