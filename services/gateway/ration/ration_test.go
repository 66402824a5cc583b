package ration_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"trackerdcs/services/gateway/ration"
)

type refused = ration.Refused[int]

var plenty = ration.Rate{Burst: 1 << 20, Every: time.Nanosecond}

// reports keeps what is reported.
type reports struct {
	mu  sync.Mutex
	all [][]refused
}

func (r *reports) add(f []refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, f)
}

func (r *reports) take() [][]refused {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.all
	r.all = nil
	return got
}

func TestRation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got reports
		r := ration.New(ration.Rate{Burst: 2, Every: 2 * time.Hour}, plenty, got.add)
		for i := range 5 {
			assert.Equal(t, i < 2, r.Take(1))
		}
		assert.True(t, r.Take(2), "each key has its own")
		time.Sleep(ration.Interval - 1)
		assert.Empty(t, got.take())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, [][]refused{{{Key: 1, Count: 3}}}, got.take())
		time.Sleep(10 * ration.Interval)
		assert.Empty(t, got.take(), "nothing is reported when nothing was refused")

		assert.False(t, r.Take(1))
		r.Close()
		assert.Equal(t, [][]refused{{{Key: 1, Count: 1}}}, got.take())
		assert.False(t, r.Take(1))
		time.Sleep(3 * time.Hour)
		assert.Empty(t, got.take())
		assert.True(t, r.Take(1), "the bucket has filled up")
	})
}

// Many keys are no way around the limit, and no way to a long report or to much
// memory; each one refused is counted.
func TestRationOfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got reports
		r := ration.New(ration.Rate{Burst: 1, Every: time.Hour}, ration.Rate{Burst: 10, Every: time.Hour}, got.add)
		const keys = 3 * ration.Keys
		let := 0
		for key := range keys {
			if r.Take(key) {
				let++
			}
		}
		assert.Equal(t, 10, let)
		for range 5 {
			assert.False(t, r.Take(keys-1))
		}
		time.Sleep(ration.Interval)
		all := got.take()
		assert.Len(t, all, 1)
		assert.Len(t, all[0], ration.Reported+1)
		assert.Equal(t, refused{Key: keys - 1, Count: 6}, all[0][0])
		assert.True(t, all[0][ration.Reported].Others)
		sum := 0
		for _, f := range all[0] {
			sum += f.Count
		}
		assert.Equal(t, keys-10+5, sum)
	})
}

func TestRationAtOnce(t *testing.T) {
	var got reports
	r := ration.New(ration.Rate{Burst: 3, Every: time.Hour}, plenty, got.add)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { r.Take(1) })
	}
	all.Wait()
	r.Close()
	assert.Equal(t, [][]refused{{{Key: 1, Count: 97}}}, got.all)
}
