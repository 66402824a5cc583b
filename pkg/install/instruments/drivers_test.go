package instruments

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const tree = "../../.."

var (
	settingRow = regexp.MustCompile("(?m)^\\| `(DCS_[A-Z_]+)` \\|")
	modelRow   = regexp.MustCompile("(?m)^\t\"([a-z0-9]+)\": ")
)

// TestDriversTakeWhatTheirTablesSay: an entry can say all that a driver knows,
// and nothing else.
func TestDriversTakeWhatTheirTablesSay(t *testing.T) {
	names := func(re *regexp.Regexp, file string) (found []string) {
		b, err := os.ReadFile(filepath.Join(tree, "drivers", file))
		require.NoError(t, err)
		for _, m := range re.FindAllSubmatch(b, -1) {
			found = append(found, string(m[1]))
		}
		return found
	}
	for name, d := range drivers {
		table := names(settingRow, name+"/README.md")
		known := slices.Concat(d.settings, common, slices.Collect(maps.Keys(own)))
		if len(d.models) == 0 {
			known = slices.DeleteFunc(known, func(s string) bool { return s == "DCS_MODEL" || s == "DCS_ADDRESS" })
		} else {
			assert.ElementsMatch(t, names(modelRow, name+"/instruments.go"), d.models, name)
		}
		assert.ElementsMatch(t, table, known, name)
	}
}

// TestShippedFiles: what is shipped can be read.
func TestShippedFiles(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(tree, "instruments.example.yml"))
	require.NoError(t, err)
	f, err := parse(text, there)
	require.NoError(t, err)
	assert.Equal(t, []string{"dht_room", "hv", "lv", "ph2acf"}, f.Names())
	f, err = Read(tree, "instruments.dummy.yml")
	require.NoError(t, err)
	assert.False(t, f.Compose)
	assert.Equal(t, []string{"dht_room", "hv", "lv", "ph2acf", "sensor_1"}, f.Names())
}
