package main

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/ph2acfsim/physics"
)

func TestSummary(t *testing.T) {
	dir, _ := calibrate(t, "--channels=5000")
	s := readSummary(t, dir)
	assert.Equal(t, "M12", s.Module)
	assert.Equal(t, int64(42), s.Run)
	assert.Equal(t, "calibration", s.Procedure)
	assert.Equal(t, 5000, s.Channels)
	assert.False(t, s.Ended.Before(s.Started))
	assert.Len(t, s.Chips, 20)
	assert.Equal(t, "Vcth", s.Threshold.Unit)

	// What is found wrong is what is wrong.
	m := physics.New(s.Seed, 5000)
	var dead, noisy []int
	for ch := range m.Channels() {
		switch {
		case m.Dead(ch):
			dead = append(dead, ch)
		case m.Noisy(ch):
			noisy = append(noisy, ch)
		}
	}
	assert.Equal(t, dead, s.Dead)
	assert.Equal(t, noisy, s.Noisy)
	assert.Equal(t, 5000, s.Threshold.Channels+len(dead)+len(noisy))
	mean, n := 0.0, 0
	for _, c := range s.Chips {
		mean += c.Threshold.Mean * float64(c.Threshold.Channels)
		n += c.Threshold.Channels
		assert.InDelta(t, m.Pedestal(c.Chip*physics.ChannelsPerChip), c.Threshold.Mean, 10)
		assert.InDelta(t, 2, c.Threshold.RMS, 0.6)
	}
	assert.InDelta(t, s.Threshold.Mean, mean/float64(n), 1e-9)

	require.Len(t, s.Files, 2)
	for _, f := range s.Files {
		info, err := os.Stat(filepath.Join(dir, f.Name))
		require.NoError(t, err)
		assert.Equal(t, info.Size(), f.Bytes)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.part"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestCurves(t *testing.T) {
	dir, _ := calibrate(t, "--channels=1000")
	s := readSummary(t, dir)
	f, err := os.Open(filepath.Join(dir, curvesFile))
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1001)
	head := rows[0]
	assert.Equal(t, []string{"chip", "channel", "threshold", "noise", "chi2"}, head[:5])
	scan := physics.Scan{First: s.Scan.First, Step: s.Scan.Step, N: s.Scan.Points}
	require.Len(t, head, 5+scan.N)
	for i, name := range head[5:] {
		assert.Equal(t, "n_"+strconv.Itoa(scan.At(i)), name)
	}
	for ch, row := range rows[1:] {
		assert.Equal(t, []string{strconv.Itoa(ch / 254), strconv.Itoa(ch)}, row[:2])
		counts := make([]uint16, scan.N)
		for i, text := range row[5:] {
			n, err := strconv.ParseUint(text, 10, 16)
			require.NoError(t, err)
			require.LessOrEqual(t, n, uint64(100))
			counts[i] = uint16(n)
		}
		fit := physics.FitCounts(scan, counts, 100)
		if slices.Contains(s.Dead, ch) {
			assert.Equal(t, []string{"", "", ""}, row[2:5])
			continue
		}
		for i, want := range []float64{fit.Threshold, fit.Noise, fit.Chi2} {
			got, err := strconv.ParseFloat(row[2+i], 64)
			require.NoError(t, err)
			assert.InDelta(t, want, got, 0.0006, "channel %d", ch)
		}
	}
}

func TestRawEvents(t *testing.T) {
	dir, _ := calibrate(t, "--megabytes=5", "--bias=40")
	s := readSummary(t, dir)
	b, err := os.ReadFile(filepath.Join(dir, rawFile))
	require.NoError(t, err)
	le := binary.LittleEndian
	require.Equal(t, rawMagic, string(b[:8]))
	assert.EqualValues(t, 1, le.Uint16(b[8:]))
	assert.EqualValues(t, rawHeader, le.Uint16(b[10:]))
	record := int(le.Uint32(b[12:]))
	assert.Equal(t, eventHeader+256, record)
	assert.EqualValues(t, 2032, le.Uint32(b[16:]))
	assert.EqualValues(t, 256, le.Uint32(b[20:]))
	assert.EqualValues(t, 42, le.Uint64(b[24:]))
	assert.Equal(t, s.Seed, le.Uint64(b[32:]))
	events := int(le.Uint64(b[40:]))
	assert.EqualValues(t, s.Raw.Events, events)
	assert.Equal(t, float32(30), math.Float32frombits(le.Uint32(b[48:])))
	assert.Equal(t, float32(40), math.Float32frombits(le.Uint32(b[52:])))
	assert.EqualValues(t, 200, le.Uint16(b[56:]))
	require.Len(t, b, rawHeader+events*record+rawTrailer)
	assert.InDelta(t, 5e6, len(b), float64(record))

	tail := b[len(b)-rawTrailer:]
	assert.Equal(t, rawEnd, string(tail[:4]))
	sum := crc32.Checksum(b[:len(b)-rawTrailer], crc32.MakeTable(crc32.Castagnoli))
	assert.Equal(t, sum, le.Uint32(tail[4:]))
	assert.Equal(t, sum, s.Raw.CRC32C)

	hits, total := make([]int, 2048), 0
	for i := range events {
		e := b[rawHeader+i*record:][:record]
		require.EqualValues(t, i, le.Uint32(e))
		require.Less(t, le.Uint16(e[4:]), uint16(crossings))
		for ch := range hits {
			if e[eventHeader+ch/8]>>(ch%8)&1 == 1 {
				hits[ch]++
				total++
			}
		}
	}
	assert.EqualValues(t, total, s.Raw.Hits)
	assert.EqualValues(t, total, le.Uint64(tail[8:]))
	assert.InDelta(t, float64(total)/float64(events)/2032, s.Raw.Occupancy, 1e-12)

	m := physics.New(s.Seed, 2032)
	through := 1 - math.Exp(-particles/2032)
	chi := 0.0
	for ch := range 2032 {
		threshold := s.Chips[ch/254].Threshold.Mean + workingPoint
		p := (1-through)*m.Occupancy(ch, threshold, 40, 0) + through*m.Occupancy(ch, threshold, 40, physics.MIP)
		d := float64(hits[ch]) - p*float64(events)
		variance := p * (1 - p) * float64(events)
		assert.LessOrEqual(t, math.Abs(d), 6*math.Sqrt(variance)+1, "channel %d, p %v", ch, p)
		chi += d * d / math.Max(variance, 1)
	}
	assert.InDelta(t, 1, chi/2032, 0.2)
	assert.Equal(t, 0, slices.Max(hits[2032:]), "bits without a channel")
}

func TestHitsOfAllSizes(t *testing.T) {
	for _, occupancy := range [][]float64{{0}, {1}, {0.5}, slices.Repeat([]float64{0.5}, 16384), slices.Repeat([]float64{0, 1e-6}, 100)} {
		r := rawRun{channels: len(occupancy), seed: 1}
		sums, err := r.write(bufio.NewWriter(io.Discard), 3e5, occupancy, func(float64) error { return nil })
		require.NoError(t, err)
		want := 0.0
		for _, p := range occupancy {
			want += math.Min(p, 0.999) / float64(len(occupancy))
		}
		sigma := math.Sqrt(want / float64(sums.Events) / float64(r.channels))
		assert.InDelta(t, want, sums.Occupancy, 5*sigma+1e-4)
	}
	assert.EqualValues(t, 1, rawRun{channels: 16384}.events(0), "never none")
}

// What does not get its name is no result.
func TestHalfFiles(t *testing.T) {
	r := results{dir: t.TempDir()}
	require.NoError(t, r.write("a", func(w *bufio.Writer) error { _, err := w.WriteString("whole"); return err }))
	require.ErrorIs(t, r.write("b", func(w *bufio.Writer) error { return io.ErrUnexpectedEOF }), io.ErrUnexpectedEOF)
	assert.FileExists(t, filepath.Join(r.dir, "b.part"))
	r.discard()
	assertEmpty(t, r.dir)

	r = results{dir: filepath.Join(t.TempDir(), "none")}
	err := r.write("a", nil)
	require.Error(t, err)
	assert.True(t, strings.HasSuffix(err.Error(), "no such file or directory"), err)
}

func BenchmarkRaw(b *testing.B) {
	for name, volts := range map[string]float64{"300V": 300, "0V": 0} {
		b.Run(name, func(b *testing.B) {
			m := physics.New(1, 2032)
			occupancy := make([]float64, 2032)
			for ch := range occupancy {
				occupancy[ch] = m.Occupancy(ch, m.Pedestal(ch)+workingPoint, volts, 0) + particles/2032
			}
			b.SetBytes(10e6)
			for b.Loop() {
				r := rawRun{channels: 2032, seed: 1}
				if _, err := r.write(bufio.NewWriter(io.Discard), 10e6, occupancy, func(float64) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
