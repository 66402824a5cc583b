package history

import (
	"strconv"
	"strings"
	"time"
)

// identifiers and literals of InfluxQL. Names come from the archive, in which
// anybody may have written.
var (
	identEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	textEscapes  = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`)
)

// ident quotes the name of a measurement, a tag or a field.
func ident(name string) string { return `"` + identEscapes.Replace(name) + `"` }

// literal quotes a text.
func literal(s string) string { return `'` + textEscapes.Replace(s) + `'` }

// instant is a time as a literal, in ns.
func instant(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// between is the condition that a point's time is in [from, to).
func between(from, to time.Time) string {
	return "time >= " + instant(from) + " AND time < " + instant(to)
}
