package psu

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/wire"
)

// The id of a command that is still on its way is not pushed out by others:
// repeated, it would be executed a second time.
func TestRule5AnIDLivesAsLongAsItsCommand(t *testing.T) {
	b := newIDBook()
	b.note(noon, "ramp", [32]byte{1}, wire.Ack{Phase: wire.Accepted})
	for i := range 3 * keptIDs {
		b.note(noon, fmt.Sprint(i), [32]byte{}, wire.Ack{Phase: wire.Rejected})
	}
	assert.NotNil(t, b.find(noon.Add(2*keptFor), "ramp"), "neither by number nor by age")
	assert.LessOrEqual(t, len(b.byID), keptIDs)
	b.note(noon, "ramp", [32]byte{1}, wire.Ack{Phase: wire.Done})
	for i := range keptIDs {
		b.note(noon, fmt.Sprint("x", i), [32]byte{}, wire.Ack{Phase: wire.Rejected})
	}
	assert.Nil(t, b.find(noon, "ramp"), "it has ended, and a thousand came after it")
}

// Nobody can repeat an id that was made up: it takes no place.
func TestRule5MadeUpIDsTakeNoPlace(t *testing.T) {
	g := newStage(nil, nil)
	for range 5 {
		assert.NoError(t, g.step("setv/9 1"))
	}
	assert.Empty(t, g.m.ids.byID)
}
