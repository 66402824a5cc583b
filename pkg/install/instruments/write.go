package instruments

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// node is a map of the compose file.
type node map[string]any

// order is that in which people look for keys; others follow by the alphabet.
var order = []string{
	"services", "image", "build", "context", "args", "pull_policy", "init", "restart", "stop_grace_period", "environment",
	"type", "source", "target", "volumes", "tmpfs", "devices", "group_add", "secrets", "depends_on",
	"healthcheck", "test", "logging", "read_only", "cap_drop", "security_opt", "mem_limit", "pids_limit",
}

// plainRE is a text that no reader of YAML takes for anything else; wordsRE are
// those that look so and are not.
var (
	plainRE = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9_./-]*$`)
	wordsRE = regexp.MustCompile(`(?i)^(y|yes|n|no|on|off|true|false|null|\.+|\.inf|\.nan)$`)
)

// writer writes YAML in one way: what is the same gives the same bytes. (The
// library's writer quotes less, and what it leaves bare differs between readers.)
type writer struct{ b strings.Builder }

func (w *writer) write(n node) { w.node(n, 0) }

func (w *writer) node(n node, depth int) {
	for i, key := range sorted(n) {
		if m, big := n[key].(node); i > 0 && (depth == 0 || depth == 1 && big && !small(m)) {
			w.b.WriteString("\n") // between parts, and between services
		}
		fmt.Fprintf(&w.b, "%s%s:", strings.Repeat("  ", depth), text(key))
		w.value(n[key], depth)
	}
}

// value writes what stands behind a key, and ends the line.
func (w *writer) value(v any, depth int) {
	switch v := v.(type) {
	case node:
		if len(v) == 0 {
			w.b.WriteString(" {}\n")
			return
		}
		if small(v) {
			fmt.Fprintf(&w.b, " %s\n", flow(v))
			return
		}
		w.b.WriteString("\n")
		w.node(v, depth+1)
	case []any:
		w.list(v, depth)
	case nil:
		w.b.WriteString("\n")
	default:
		fmt.Fprintf(&w.b, " %s\n", one(v))
	}
}

// small tells a map with one simple value.
func small(n node) bool {
	for _, v := range n {
		switch v.(type) {
		case node, []any, nil:
			return false
		}
	}
	return len(n) == 1
}

// list writes texts on one line, and everything else one below the other.
func (w *writer) list(list []any, depth int) {
	var texts []string
	for _, v := range list {
		switch v.(type) {
		case node, []any:
			w.b.WriteString("\n")
			for _, v := range list {
				w.item(v, depth+1)
			}
			return
		}
		texts = append(texts, one(v))
	}
	fmt.Fprintf(&w.b, " [%s]\n", strings.Join(texts, ", "))
}

func (w *writer) item(v any, depth int) {
	indent := strings.Repeat("  ", depth)
	n, ok := v.(node)
	if !ok || len(n) == 0 {
		fmt.Fprintf(&w.b, "%s- %s\n", indent, flow(v))
		return
	}
	inner := &writer{}
	inner.node(n, depth+1)
	lines := inner.b.String()
	w.b.WriteString(indent + "- " + lines[len(indent)+2:])
}

// flow is a value on one line.
func flow(v any) string {
	var parts []string
	switch v := v.(type) {
	case node:
		for _, key := range sorted(v) {
			parts = append(parts, text(key)+": "+flow(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, e := range v {
			parts = append(parts, flow(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return one(v)
}

func one(v any) string {
	switch v := v.(type) {
	case string:
		return text(v)
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

func text(s string) string {
	if plainRE.MatchString(s) && !wordsRE.MatchString(s) {
		return s
	}
	return strconv.Quote(s) // what Go escapes, YAML's double quotes know
}

func sorted(n node) []string {
	rank := func(key string) int {
		if i := slices.Index(order, key); i >= 0 {
			return i
		}
		return len(order)
	}
	names := slices.Sorted(maps.Keys(n))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names
}
