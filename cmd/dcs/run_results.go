package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/pkg/runs"
)

// maxShown is how many lines are printed of one result: those of a long list are
// for a program.
const maxShown = 40

// results prints the values in each result by their paths.
func (p runPrinter) results(r runs.Run) {
	for _, name := range slices.Sorted(maps.Keys(r.Results)) {
		p.section("result " + oneLine(name))
		f := newFacts()
		f.values("", r.Results[name])
		more := max(0, len(f.rows)-maxShown)
		f.rows = f.rows[:len(f.rows)-more]
		f.print(p.con, "  ")
		if more > 0 {
			fmt.Fprintf(p.con.out, "  … %d more: dcs run show %d -o json\n", more, r.Number)
		}
	}
}

// values adds what is in v, a line for each value. A column of a CSV file has
// one line.
func (f *facts) values(path string, v any) {
	below := func(name string) string { return strings.TrimPrefix(path+"/"+name, "/") }
	switch x := v.(type) {
	case map[string]any:
		if text := columnText(x); text != "" {
			f.add(plain, path, text)
			return
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			f.values(below(k), x[k])
		}
	case []any:
		for i, e := range x {
			name := strconv.Itoa(i)
			if o, ok := e.(map[string]any); ok {
				if n, ok := o["name"].(string); ok {
					name = n
				}
			}
			f.values(below(name), e)
		}
	default:
		f.add(plain, path, anyText(x))
	}
}

// columnText is the summary of a column of a CSV file, or nothing of what is
// none.
func columnText(x map[string]any) string {
	if x["name"] == nil || x["count"] == nil {
		return ""
	}
	text := anyText(x["count"]) + " values"
	if x["mean"] != nil {
		text += fmt.Sprintf(", %s to %s, mean %s", anyText(x["min"]), anyText(x["max"]), anyText(x["mean"]))
	}
	if x["distinct"] != nil {
		text += fmt.Sprintf(", %s different", anyText(x["distinct"]))
	}
	return text
}
