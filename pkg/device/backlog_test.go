package device

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// one status a second; confirm says for each whether the broker confirmed it.
func filled(limit time.Duration, confirm ...bool) (*backlog, time.Time) {
	b := &backlog{limit: limit}
	now := time.Now()
	for i, c := range confirm {
		now = now.Add(time.Second)
		if e := b.add(now, uint64(i+1), nil); c {
			e.confirm(now)
		}
	}
	return b, now
}

func repeated(n int, v bool) []bool {
	out := make([]bool, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func TestBacklog(t *testing.T) {
	for name, c := range map[string]struct {
		limit       time.Duration
		confirm     []bool
		first, last uint64
		dropped     uint64
	}{
		"nothing":                       {time.Hour, nil, 0, 0, 0},
		"confirmed: the last 30 s":      {time.Hour, repeated(100, true), 70, 100, 0},
		"lost: since then and 30 s":     {time.Hour, append(repeated(100, true), repeated(200, false)...), 71, 300, 0},
		"lost for longer than kept":     {100 * time.Second, append(repeated(100, true), repeated(200, false)...), 200, 300, 99},
		"one in between unconfirmed":    {time.Hour, append(append(repeated(50, true), false), repeated(100, true)...), 21, 151, 0},
		"no backlog: 30 s all the same": {0, repeated(100, false), 70, 100, 69},
	} {
		t.Run(name, func(t *testing.T) {
			b, now := filled(c.limit, c.confirm...)
			kept := b.again(now)
			if c.last == 0 {
				assert.Empty(t, kept)
				return
			}
			assert.Equal(t, c.first, kept[0].seq)
			assert.Equal(t, c.last, kept[len(kept)-1].seq)
			assert.Len(t, kept, int(c.last-c.first)+1)
			assert.Equal(t, c.dropped, b.dropped)
		})
	}
}

func TestBacklogIsBoundedInBytes(t *testing.T) {
	b := &backlog{limit: time.Hour}
	now := time.Now()
	payload := make([]byte, 1<<20)
	for i := range 40 {
		b.add(now.Add(time.Duration(i)*time.Millisecond), uint64(i+1), payload)
	}
	assert.Len(t, b.entries, maxBytes>>20)
	assert.EqualValues(t, 40, b.entries[len(b.entries)-1].seq, "the newest are kept")
	assert.EqualValues(t, 24, b.dropped, "and the others counted")
	assert.Equal(t, maxBytes, b.bytes)
}
