package accounts

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoles(t *testing.T) {
	for i, r := range Roles {
		got, err := ParseRole(string(r))
		require.NoError(t, err)
		assert.Equal(t, r, got)
		for j, needed := range Roles {
			assert.Equal(t, i >= j, r.May(needed), "%s may %s", r, needed)
		}
		assert.False(t, r.May(""))
		assert.False(t, r.May("root"))
		assert.False(t, Role("").May(r))
		assert.False(t, Role("root").May(r))
	}
	_, err := ParseRole("root")
	require.EqualError(t, err, `role "root": choose one of viewer, operator, expert, admin`)
}
