package proxy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShares(2)
		ctx := t.Context()
		first, second := s.take(ctx, "ada", 0), s.take(ctx, "ada", 0)
		require.NotNil(t, first)
		require.NotNil(t, second)
		assert.Nil(t, s.take(ctx, "ada", 0), "that is all of hers")
		begin := time.Now()
		assert.Nil(t, s.take(ctx, "ada", 10*time.Second), "it is not waited for longer")
		assert.Equal(t, 10*time.Second, time.Since(begin))
		other := s.take(ctx, "bob", 0)
		require.NotNil(t, other, "he has his own")

		gone, cancel := context.WithCancel(ctx)
		cancel()
		assert.Nil(t, s.take(gone, "ada", time.Hour), "nobody waits any more")

		got := make(chan func())
		go func() { got <- s.take(ctx, "ada", time.Hour) }()
		synctest.Wait()
		first()
		third := <-got
		require.NotNil(t, third, "who waits gets what is given back")

		second()
		third()
		other()
		assert.Empty(t, s.by, "nothing is kept of those who have left")
	})
}
