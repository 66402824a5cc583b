package runs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Parts of a comparison.
const (
	Setting = "setting"
	Result  = "result"
)

// Difference is one setting or one number of the results, of two runs side by
// side. Delta and Relative are there when both are numbers.
type Difference struct {
	Part     string   `json:"part"` // Setting, Result
	Path     string   `json:"path"` // parameters/vcal, setpoints/hv/0/vreq, summary.json/threshold/mean
	A        any      `json:"a"`    // nil: the run has none
	B        any      `json:"b"`
	Equal    bool     `json:"equal"`
	Delta    *float64 `json:"difference,omitempty"` // B less A
	Relative *float64 `json:"relative,omitempty"`   // Delta over the magnitude of A, if that is not 0
}

// setpoints are the keys of a status that say what a supply was told.
var setpoints = []string{"on", "vreq", "ireq", "ramp"}

// Compare puts two runs side by side, first the settings, then the results, each
// in order of their paths, those that are equal too. Settings are procedure, module,
// device, program, parameters (or the arguments, where there are none), configurations, versions, and the
// setpoints of all supplies at the start. Results are all numbers in Results,
// by file and path; an entry of a list is named after its "name" if all have one,
// else it is counted from 0.
func Compare(a, b Run) []Difference {
	return slices.Concat(sideBySide(Setting, settings(a), settings(b)), sideBySide(Result, results(a), results(b)))
}

func settings(r Run) map[string]any {
	into := make(map[string]any)
	for key, text := range map[string]string{"procedure": r.Procedure, "module": r.Module, "device": r.Device, "program": r.Program} {
		if text != "" {
			into[key] = text
		}
	}
	if len(r.Arguments) > 0 && len(r.Parameters) == 0 { // else they say the same once more
		into["arguments"] = strings.Join(r.Arguments, " ")
	}
	for name, v := range r.Parameters {
		into["parameters/"+name] = v
	}
	for name, v := range r.Versions {
		into["versions/"+name] = v
	}
	for transition, cfg := range r.Configurations {
		var v any
		if text, err := json.Marshal(cfg); err == nil && json.Unmarshal(text, &v) == nil {
			flatten(into, "configurations/"+transition, v)
		}
	}
	if r.Capsule == nil {
		return into
	}
	for dev, d := range r.Capsule.Devices {
		for _, ch := range d.Channels {
			for _, key := range setpoints {
				if v, ok := ch.Before[key]; ok && ch.Number != nil {
					into[fmt.Sprintf("setpoints/%s/%d/%s", dev, *ch.Number, key)] = v
				}
			}
		}
	}
	return into
}

// results are the numbers alone.
func results(r Run) map[string]any {
	into := make(map[string]any)
	for name, v := range r.Results {
		flatten(into, name, v)
	}
	maps.DeleteFunc(into, func(_ string, v any) bool {
		_, number := float(v)
		return !number
	})
	return into
}

// flatten puts what is in v into a map by its path.
func flatten(into map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			flatten(into, path+"/"+k, inner)
		}
	case []any:
		names := entryNames(v)
		for i, inner := range v {
			flatten(into, path+"/"+names[i], inner)
		}
	default:
		into[path] = v
	}
}

// entryNames are the names of a list's entries: their own if each has another.
func entryNames(list []any) []string {
	names, seen := make([]string, len(list)), make(map[string]bool, len(list))
	for i, entry := range list {
		object, _ := entry.(map[string]any)
		name, _ := object["name"].(string)
		if name == "" || seen[name] {
			seen = nil
			break
		}
		names[i], seen[name] = name, true
	}
	if seen == nil {
		for i := range list {
			names[i] = strconv.Itoa(i)
		}
	}
	return names
}

func sideBySide(part string, a, b map[string]any) []Difference {
	all := maps.Clone(a)
	maps.Copy(all, b)
	found := make([]Difference, 0, len(all))
	for _, path := range slices.SortedFunc(maps.Keys(all), byPath) {
		found = append(found, difference(part, path, a[path], b[path]))
	}
	return found
}

func difference(part, path string, a, b any) Difference {
	d := Difference{Part: part, Path: path, A: a, B: b}
	x, numberA := float(a)
	y, numberB := float(b)
	if !numberA || !numberB {
		d.Equal = reflect.DeepEqual(a, b)
		return d
	}
	d.Equal = x == y
	if delta := y - x; !math.IsInf(delta, 0) {
		d.Delta = &delta
		if relative := delta / math.Abs(x); x != 0 && !math.IsInf(relative, 0) {
			d.Relative = &relative
		}
	}
	return d
}

// float is the value of a number.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}

// byPath orders paths; numbers in them stand before names, in order of their value.
func byPath(a, b string) int {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(x), len(y)) {
		n, err1 := strconv.Atoi(x[i])
		m, err2 := strconv.Atoi(y[i])
		c := strings.Compare(x[i], y[i])
		switch {
		case err1 == nil && err2 == nil && n != m:
			c = cmp.Compare(n, m)
		case err1 == nil && err2 != nil:
			c = -1
		case err1 != nil && err2 == nil:
			c = 1
		}
		if c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}
