package psutest

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/wire"
)

// prepare sets distinct setpoints on all channels, switches them on and waits
// until they are there, so that every value tells which channel it is of.
func (b *bench) prepare(t testing.TB, in psu.Instrument) {
	t.Helper()
	b.setAll(t, in)
	for _, n := range numbers(in) {
		require.NoError(t, in.Switch(t.Context(), n, true))
	}
	settle(t, in, "all on", func(rs []psu.Reading) bool {
		for i, r := range rs {
			if r.On != wire.Yes || math.Abs(r.VMon.V-b.Volts[i]) > in.Info().Tolerance {
				return false
			}
		}
		return true
	})
}

// right checks that every value is the one of its channel.
func (b *bench) right(t testing.TB, in psu.Instrument, rs []psu.Reading) {
	t.Helper()
	require.Len(t, rs, len(b.Volts))
	for i, r := range rs {
		assert.Equal(t, numbers(in)[i], r.Number)
		b.agreesAt(t, in, r, i)
		near(t, b.Volts[i], r.VMon, in.Info().Tolerance, "vmon of channel %d", r.Number)
		assert.Equal(t, wire.Yes, r.On)
		assert.NotEqual(t, wire.Yes, r.Trip)
	}
}

// Fault 23: each answer of a reading is disturbed in each way. The reading
// fails, or is right; and so is the one after opening anew.
func fault23Read(t *testing.T, b *bench) {
	p := newProxy(t, b.address)
	in := b.open(t, p.address())
	b.prepare(t, in)
	before := p.count()
	b.right(t, in, read(t, in))
	answers := p.count() - before
	b.sim.ResetLog()
	for _, d := range disturbances {
		failed := 0
		for k := 1; k <= answers; k++ {
			rs, err := b.disturbed(t, p, k, d, func(ctx context.Context) ([]psu.Reading, error) {
				return in.Read(ctx, numbers(in))
			})
			if err == nil {
				b.right(t, in, rs)
			} else {
				failed++
				assert.NotErrorIs(t, err, psu.ErrRefused, "%s, answer %d", d.name, k)
				_, err = in.Read(t.Context(), numbers(in))
				assert.Error(t, err, "it stays unusable")
				_ = in.Close()
				in = b.open(t, p.address())
			}
			b.right(t, in, read(t, in))
			if t.Failed() {
				t.Fatalf("%s: answer %d of a reading", d.name, k)
			}
		}
		assert.Positive(t, failed, "%s is not noticed", d.name)
	}
	assert.Empty(t, b.sim.Writes())
}

// The same for a write: it fails, or is done; only its channel changes, and
// only to what was asked for.
func fault23Write(t *testing.T, b *bench) {
	p := newProxy(t, b.address)
	in := b.open(t, p.address())
	b.prepare(t, in)
	n := numbers(in)[1]
	half := b.Volts[1] / 2
	before := p.count()
	require.NoError(t, in.SetVoltage(t.Context(), n, half))
	answers := p.count() - before
	for _, d := range disturbances {
		for k := 1; k <= answers; k++ {
			require.NoError(t, in.SetVoltage(t.Context(), n, b.Volts[1]))
			_, err := b.disturbed(t, p, k, d, func(ctx context.Context) ([]psu.Reading, error) {
				return nil, in.SetVoltage(ctx, n, half)
			})
			done := err == nil
			if err != nil {
				assert.NotErrorIs(t, err, psu.ErrRefused, "%s, answer %d", d.name, k)
				_ = in.Close()
				in = b.open(t, p.address())
			}
			for i, r := range read(t, in) {
				switch {
				case i != 1:
					b.agreesAt(t, in, r, i)
				case done || math.Abs(r.VReq.V-b.Volts[1]) > in.Info().Resolution.Volts:
					near(t, half, r.VReq, in.Info().Resolution.Volts, "vreq")
				}
			}
			if t.Failed() {
				t.Fatalf("%s: answer %d of a write", d.name, k)
			}
		}
	}
}

// disturbed makes a call while its k-th answer is disturbed. An answer that
// will never come is not waited for: the call is cancelled.
func (b *bench) disturbed(t testing.TB, p *proxy, k int, d disturbance,
	call func(context.Context) ([]psu.Reading, error)) ([]psu.Reading, error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	struck := p.strike(k, d)
	defer p.calm()
	done := make(chan struct{})
	defer close(done)
	if now, _, hangUp := d.do([]byte("1234\r\n")); !hangUp && (len(now) == 0 || now[len(now)-1] != '\n') {
		go func() {
			select {
			case <-struck:
				cancel()
			case <-done:
			}
		}()
	}
	return call(ctx)
}
