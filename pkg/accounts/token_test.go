package accounts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTokens(t *testing.T) {
	s := open(t)
	end := time.Now().Add(time.Hour)
	secret, err := s.AddToken(t.Context(), "script", Operator, end)
	require.NoError(t, err)
	assert.Regexp(t, `^dcs_[A-Za-z0-9_-]{43}$`, secret)
	another, err := s.AddToken(t.Context(), "another", Viewer, end)
	require.NoError(t, err)
	assert.NotEqual(t, secret, another)
	_, err = s.AddToken(t.Context(), "Script", Operator, end)
	require.ErrorContains(t, err, `there is a token "Script" already`)

	b, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	assert.NotContains(t, string(b), secret)
	assert.NotContains(t, string(b), strings.TrimPrefix(secret, secretPrefix))

	got, err := s.Token(secret)
	require.NoError(t, err)
	assert.Equal(t, "script", got.Name)
	assert.Equal(t, Operator, got.Role)
	assert.WithinDuration(t, end, got.End, 0)
	tokens := s.Tokens()
	require.Len(t, tokens, 2)
	assert.Equal(t, "another", tokens[0].Name)

	for _, wrong := range []string{"", "dcs_", secret[:len(secret)-1], secret + "A", strings.ToUpper(secret), strings.TrimPrefix(secret, secretPrefix)} {
		_, err := s.Token(wrong)
		require.ErrorIs(t, err, ErrNoToken, wrong)
	}
	require.NoError(t, s.RemoveToken(t.Context(), "script"))
	_, err = s.Token(secret)
	require.ErrorIs(t, err, ErrNoToken)
	_, err = s.Token(another)
	require.NoError(t, err)
	require.ErrorIs(t, s.RemoveToken(t.Context(), "script"), ErrNoToken)
}

func TestTokenEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(path)
		require.NoError(t, err)
		for _, tt := range []struct {
			life time.Duration
			want string
		}{
			{-time.Second, "has ended already"},
			{0, "has ended already"},
			{MaxTokenLife + time.Second, "choose a year at most"},
			{MaxTokenLife, ""},
		} {
			_, err := s.AddToken(t.Context(), "script", Viewer, time.Now().Add(tt.life))
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		}
		secret, err := s.AddToken(t.Context(), "short", Viewer, time.Now().Add(time.Hour))
		require.NoError(t, err)
		time.Sleep(time.Hour - 1)
		_, err = s.Token(secret)
		require.NoError(t, err)
		time.Sleep(time.Nanosecond)
		got, err := s.Token(secret)
		require.ErrorIs(t, err, ErrTokenEnded)
		assert.Equal(t, "short", got.Name)
		assert.Len(t, s.Tokens(), 2, "it is there until it is removed")
	})
}
