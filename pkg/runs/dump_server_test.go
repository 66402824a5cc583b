//go:build e2e

package runs

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestServerDump takes all out of one server and puts it into another, twice.
func TestServerDump(t *testing.T) {
	_, from := prepared(t)
	for n := range int64(30) {
		require.NoError(t, from.Put(t.Context(), sample(n+1)))
	}
	file, data := fileOf(t, "results.root", 3<<20)
	require.NoError(t, from.PutFile(t.Context(), 7, sample(7).UID, file, data))

	// One that was made with options has them in the copy too.
	require.NoError(t, from.db.RunCommand(t.Context(), bson.D{{Key: "create", Value: "ring"}, {Key: "capped", Value: true}, {Key: "size", Value: int64(1 << 20)}}).Err())

	_, to := prepared(t)
	names, err := from.Collections(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{Bucket + ".files", Bucket + ".chunks"}, names[len(names)-2:], "files before their chunks")
	for round := range 2 {
		for _, name := range names {
			var documents bytes.Buffer
			n, err := from.Dump(t.Context(), name, &documents)
			require.NoError(t, err)
			indexes, err := from.Metadata(t.Context(), name)
			require.NoError(t, err)
			require.NoError(t, to.MakeCollection(t.Context(), name, indexes))
			loaded, err := to.Load(t.Context(), name, bytes.NewReader(documents.Bytes()))
			require.NoError(t, err, "round %d, %s", round, name)
			assert.Equal(t, n, loaded, name)
			require.NoError(t, to.MakeIndexes(t.Context(), name, indexes))
			again, err := to.Metadata(t.Context(), name)
			require.NoError(t, err)
			assert.Equal(t, string(indexes), string(again))
			count, err := to.Count(t.Context(), name)
			require.NoError(t, err)
			assert.Equal(t, n, count)
		}
	}
	about, err := to.Metadata(t.Context(), "ring")
	require.NoError(t, err)
	assert.Contains(t, string(about), `"capped":true`)
	others, err := from.Others(t.Context())
	require.NoError(t, err)
	assert.Empty(t, others)
	for _, n := range []int64{1, 7, 30} {
		a, err := from.Get(t.Context(), n)
		require.NoError(t, err)
		b, err := to.Get(t.Context(), n)
		require.NoError(t, err)
		assert.Equal(t, a, b)
	}
	back, err := read(t, to, 7, "results.root")
	require.NoError(t, err)
	assert.True(t, bytes.Equal(all(t, data), back))
	version, err := from.Version(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, version)
}
