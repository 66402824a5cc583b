//go:build e2e && linux

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two loaders side by side write every point once, and one of them may be
// killed for good: nothing is missing. So the machine of a loader may burn.
func TestArchiveTwoLoaders(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	one, two := s.loader("one", s.dir+"/one"), s.loader("two", s.dir+"/two")
	one.start()
	two.start()
	f := s.send("twice", 10, 50*time.Millisecond)
	lasts(t, 4*time.Second)
	for _, l := range []*part{one, two} {
		within(t, patience, l.name+" takes statuses", func() bool {
			n, err := l.figures("dcs_loader_messages_total", `kind="status"`)
			return err == nil && n > 0
		})
	}
	before := f.made()
	within(t, patience, "all points", func() bool {
		n, err := s.points(f.prefix, "")
		return err == nil && n >= channels*before
	})
	n, err := s.points(f.prefix, "")
	require.NoError(t, err)
	assert.LessOrEqual(t, n, channels*f.made(), "points are there twice")
	one.kill()
	lasts(t, 3*time.Second)
	f.complete(allIn)
	f.agrees(two)
}
