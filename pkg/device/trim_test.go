package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBacklogLetsGo(t *testing.T) {
	// A status a second, for as long as the marks go: + is confirmed, - is not.
	for _, tt := range []struct {
		name    string
		limit   time.Duration
		marks   string
		later   time.Duration // after the last status
		first   int           // the oldest that is kept; 0: none
		dropped int
	}{
		{"all fresh", time.Hour, "+++++", 0, 1, 0},
		{"and no longer", time.Hour, "+++", 29 * time.Second, 2, 0},
		{"until none is left", time.Hour, "+++", time.Minute, 0, 0},
		{"unconfirmed ones all", time.Hour, strings.Repeat("-", 100), 0, 1, 0},
		{"no longer than the limit", time.Minute, strings.Repeat("-", 100), 0, 40, 39},
		{"of which only unconfirmed ones are dropped", time.Minute, strings.Repeat("+", 20) + strings.Repeat("-", 80), 0, 40, 19},
		{"confirmed late", time.Minute, strings.Repeat("-", 100), 2 * time.Minute, 0, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := backlog{limit: tt.limit}
			now := time.Now()
			for i, mark := range tt.marks {
				now = now.Add(time.Second)
				if e := b.add(now, uint64(i+1), fmt.Append(nil, i+1)); mark == '+' {
					e.confirm(now)
				}
			}
			kept := b.again(now.Add(tt.later))
			if tt.first == 0 {
				assert.Empty(t, kept)
			} else if assert.NotEmpty(t, kept) {
				assert.EqualValues(t, tt.first, kept[0].seq)
				for i, e := range kept {
					assert.EqualValues(t, tt.first+i, e.seq, "in order and complete")
				}
				assert.EqualValues(t, len(tt.marks), kept[len(kept)-1].seq)
			}
			assert.EqualValues(t, tt.dropped, b.dropped)
		})
	}
}

// What is let go of is let go of in memory too.
func TestBacklogStaysSmall(t *testing.T) {
	b := backlog{limit: time.Hour}
	now := time.Now()
	for i := range uint64(100_000) {
		now = now.Add(time.Second)
		b.add(now, i, nil).confirm(now)
	}
	assert.Len(t, b.entries, 31)
	assert.Less(t, cap(b.entries), 200)
}

// What was confirmed just before the connection was lost is kept for as long as
// there is none, and what was sent again for 30 s after the confirmation.
func TestBacklogWaitsForTheArchive(t *testing.T) {
	b := backlog{limit: time.Hour}
	now := time.Now()
	first := b.add(now, 1, nil)
	first.confirm(now)
	b.away(now.Add(time.Second))
	b.away(now.Add(time.Minute)) // once is enough
	now = now.Add(20 * time.Minute)
	b.add(now, 2, nil)
	kept := b.again(now)
	assert.Len(t, kept, 2, "the one confirmed a second before the break, and the new one")
	for _, e := range kept {
		e.confirm(now)
	}
	assert.Len(t, b.again(now.Add(29*time.Second)), 2, "who subscribes late still gets them")
	for _, e := range kept {
		e.confirm(now)
	}
	assert.Empty(t, b.again(now.Add(31*time.Second)))
	assert.Zero(t, b.dropped)
}

// A replay begins with what was never confirmed, in order; what was goes
// backwards, because a broker that was killed forgets the latest.
func TestReplayOrder(t *testing.T) {
	b := backlog{limit: time.Hour}
	now := time.Now()
	for seq := range uint64(6) {
		now = now.Add(100 * time.Millisecond)
		if e := b.add(now, seq+1, nil); seq < 3 {
			e.confirm(now)
		}
	}
	todo := b.again(now)
	assert.InDelta(t, 10, rate(todo), 0.01, "statuses a second")
	assert.Zero(t, rate(todo[:1]))
	var got []uint64
	backlog, again := split(todo)
	for _, e := range slices.Concat(backlog, again) {
		got = append(got, e.seq)
	}
	assert.Equal(t, []uint64{4, 5, 6, 3, 2, 1}, got)
}
