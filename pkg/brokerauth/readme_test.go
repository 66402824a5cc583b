package brokerauth

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	readme     = "../../mosquitto/README.md"
	begin, end = "<!-- roles -->\n", "<!-- /roles -->"
)

// table is what the README says of the roles.
func table() string {
	var b strings.Builder
	b.WriteString("| Role | Is | Reads | Writes |\n|---|---|---|---|\n")
	for _, r := range roles() {
		var reads, writes []string
		for _, g := range r.grants {
			f := "`" + g.filter + "`"
			if g.access != write {
				reads = append(reads, f)
			}
			if g.access != read {
				writes = append(writes, f)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.role, r.who, orNothing(reads), orNothing(writes))
	}
	return b.String()
}

func orNothing(filters []string) string {
	if len(filters) == 0 {
		return "nothing"
	}
	return strings.Join(filters, ", ")
}

// UPDATE=1 writes the table.
func TestREADME(t *testing.T) {
	b, err := os.ReadFile(readme)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	require.True(t, ok && ok2, "%s has no table of roles between %q and %q", readme, begin, end)
	want := before + begin + table() + end + after
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(b), "the roles in %s are not those of the code: run the test with UPDATE=1", readme)
}
