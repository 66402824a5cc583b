package main

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"trackerdcs/pkg/runs"
)

type runCompareCmd struct {
	mongoFlags
	All bool  `help:"What is equal, too."`
	A   int64 `arg:"" name:"a" help:"The number of a run."`
	B   int64 `arg:"" name:"b" help:"The number of another."`
}

// Run prints two runs side by side.
func (c *runCompareCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *runCompareCmd) run(ctx context.Context, con console, store runStore) error {
	a, err := fetchRun(ctx, store, c.A)
	if err != nil {
		return err
	}
	b, err := fetchRun(ctx, store, c.B)
	if err != nil {
		return err
	}
	sections := map[string]*table{}
	equal := 0
	for _, d := range runs.Compare(a, b) {
		if d.Equal {
			equal++
			if !c.All {
				continue
			}
		}
		if c.Output == "json" {
			if err := printJSON(con, d); err != nil {
				return err
			}
			continue
		}
		t := sections[d.Part]
		if t == nil {
			t = &table{heads: []string{d.Part + "s", ">run " + strconv.FormatInt(c.A, 10), ">run " + strconv.FormatInt(c.B, 10), ">difference", ">"}}
			sections[d.Part] = t
		}
		color := plain
		if !d.Equal && c.All {
			color = yellow
		}
		t.add(color, d.Path, anyText(d.A), anyText(d.B), deltaText(d), relativeText(d))
	}
	if c.Output == "json" {
		return nil
	}
	fmt.Fprintf(con.out, "%s\n%s\n", oneLine(c.title(a)), oneLine(c.title(b)))
	for _, part := range []string{runs.Setting, runs.Result} {
		if t := sections[part]; t != nil {
			fmt.Fprintln(con.out)
			t.print(con, "")
		}
	}
	switch {
	case len(sections) == 0:
		fmt.Fprintf(con.out, "\nno difference: %d settings and results are equal\n", equal)
	case !c.All && equal > 0:
		fmt.Fprintf(con.out, "\n%d more are equal: --all shows them\n", equal)
	}
	return nil
}

func (c *runCompareCmd) title(r runs.Run) string {
	return fmt.Sprintf("run %d  %s  %s %s  %s", r.Number, r.State, r.Procedure, r.Module, stampSeconds(r.Start, r.Asked))
}

func deltaText(d runs.Difference) string {
	if d.Delta == nil || d.Equal {
		return ""
	}
	return fmt.Sprintf("%+.6g", *d.Delta)
}

func relativeText(d runs.Difference) string {
	if d.Relative == nil || d.Equal {
		return ""
	}
	return fmt.Sprintf("%+.3g %%", 100**d.Relative)
}

// anyText is a setting or a result for people.
func anyText(v any) string {
	switch x := v.(type) {
	case nil:
		return "-"
	case float64:
		if x == math.Trunc(x) && math.Abs(x) <= float64(maxWhole) {
			return settingText(x) // two serial numbers differ in the last digit
		}
		return strconv.FormatFloat(x, 'g', 9, 64)
	case string:
		return cut(oneLine(x), 40)
	}
	return cut(oneLine(fmt.Sprint(v)), 40)
}
