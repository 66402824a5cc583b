package runs

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDumpAway(t *testing.T) {
	c, err := New(Config{URI: "mongodb://127.0.0.1:1", Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	defer c.Close(context.Background()) //nolint:errcheck
	_, err = c.Collections(t.Context())
	require.ErrorIs(t, err, ErrNoAnswer)
}

// TestLoadRefuses: a file that was cut or changed stores nothing of the piece.
func TestLoadRefuses(t *testing.T) {
	c, err := New(Config{URI: "mongodb://127.0.0.1:1", Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	defer c.Close(context.Background()) //nolint:errcheck
	for what, b := range map[string][]byte{
		"cut head":  {5, 0},
		"cut":       {6, 0, 0, 0, 1},
		"too small": binary.LittleEndian.AppendUint32(nil, 4),
		"too large": binary.LittleEndian.AppendUint32(nil, 1<<30),
		"no end":    {5, 0, 0, 0, 1},
	} {
		_, err := c.Load(t.Context(), "runs", bytes.NewReader(b))
		require.ErrorContains(t, err, "document 1 of runs", what)
	}
	require.ErrorContains(t, c.MakeCollection(t.Context(), "runs", []byte("{")), "making runs")
	require.NoError(t, c.MakeCollection(t.Context(), "runs", []byte(`{"indexes":[]}`)), "nothing is asked of the server")
	require.ErrorContains(t, c.MakeIndexes(t.Context(), "runs", []byte("{")), "indexes of runs")
}
