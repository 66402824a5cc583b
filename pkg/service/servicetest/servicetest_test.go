package servicetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/service"
)

type settings struct {
	Speed string `env:"DCS_SPEED" envDefault:"5" doc:"how fast"`
	service.Service
}

func TestREADME(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	write := func(s string) { require.NoError(t, os.WriteFile(file, []byte(s), 0o600)) }
	assert.Error(t, readme(&settings{}, file, false), "there is none")
	write("# test\n")
	assert.ErrorContains(t, readme(&settings{}, file, true), "has no table of settings")
	write("# test\n<!-- settings -->\nold\n<!-- /settings -->\nrest\n")
	assert.ErrorContains(t, readme(&settings{}, file, false), "run the test with UPDATE=1")
	require.NoError(t, readme(&settings{}, file, true))
	require.NoError(t, readme(&settings{}, file, false))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "# test\n<!-- settings -->\n"+service.SettingsTable(&settings{})+"<!-- /settings -->\nrest\n", string(b))
	README(t, &settings{}, file)
}
