package ids

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (b *Book) knows(now time.Time, id string) bool {
	_, _, ok := b.Find(now, id)
	return ok
}

// The id of a command that is still on its way is not pushed out by others:
// repeated, it would be executed a second time.
func TestRule5AnIDLivesAsLongAsItsCommand(t *testing.T) {
	b := New()
	b.Note(noon, "ramp", Content{1}, wire.Ack{Phase: wire.Accepted})
	for i := range 3 * Kept {
		b.Note(noon, fmt.Sprint(i), Content{}, wire.Ack{Phase: wire.Rejected})
	}
	assert.True(t, b.knows(noon.Add(2*KeptFor), "ramp"), "neither by number nor by age")
	assert.LessOrEqual(t, b.Len(), Kept)
	b.Note(noon, "ramp", Content{1}, wire.Ack{Phase: wire.Done})
	for i := range Kept {
		b.Note(noon, fmt.Sprint("x", i), Content{}, wire.Ack{Phase: wire.Rejected})
	}
	assert.False(t, b.knows(noon, "ramp"), "it has ended, and a thousand came after it")
}

func TestRule5AnIDUsedAgainIsNew(t *testing.T) {
	b := New()
	b.Note(noon, "a", Content{1}, wire.Ack{Phase: wire.Done})
	for i := range Kept / 2 {
		b.Note(noon, fmt.Sprint(i), Content{}, wire.Ack{})
	}
	later := noon.Add(KeptFor + 1)
	assert.False(t, b.knows(later, "a"))
	assert.True(t, b.Used("a"), "though too old to be answered")
	b.Note(later, "a", Content{2}, wire.Ack{})
	for i := range Kept - 1 {
		b.Note(later, fmt.Sprint("x", i), Content{}, wire.Ack{})
	}
	_, content, ok := b.Find(later, "a")
	assert.True(t, ok, "999 came after it")
	assert.Equal(t, Content{2}, content)
	b.Note(later, "last", Content{}, wire.Ack{})
	assert.False(t, b.knows(later, "a"), "a thousand came after it")
	assert.Equal(t, Kept, b.Len())
}

func TestContentOfRunIsAllButTheExpiry(t *testing.T) {
	of := func(op, payload string) Content {
		c, err := wire.ParseRunCommand(op, []byte(payload))
		return ContentOfRun(c, err, []byte(payload))
	}
	same := of("start", `{"procedure":"p","parameters":{"a":1,"b":true}}`)
	assert.Equal(t, same, of("start", `{"parameters":{"b":true,"a":1.0},"expires":"2026-11-20T12:00:00Z","procedure":"p"}`))
	for _, other := range []string{
		`{"procedure":"p","parameters":{"a":2,"b":true}}`,
		`{"procedure":"p","parameters":{"a":1,"b":true},"dry":1}`,
		`{"procedure":"p","parameters":{"a":1,"b":true},"user":"x"}`,
		`{"procedure":"p","parameters":{"a":1,"b":true},"run":1}`,
		`{"procedure":"q","parameters":{"a":1,"b":true}}`,
	} {
		assert.NotEqual(t, same, of("start", other), other)
	}
	assert.NotEqual(t, of("start", "{"), of("abort", "{"))
	assert.NotEqual(t, of("start", "{"), of("start", "{ "), "what cannot be read is its bytes")
	require.Equal(t, of("start", "x"), of("start", "x"))
}
