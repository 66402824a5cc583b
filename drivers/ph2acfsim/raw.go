package main

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"math/rand/v2"
	"sort"
)

// The raw events, little-endian; README.md has the table.
const (
	rawMagic    = "PH2SIM\r\n"
	rawVersion  = 1
	rawHeader   = 64
	rawTrailer  = 16
	rawEnd      = "END\n"
	eventHeader = 8
	crossings   = 3564 // bunch crossings of an orbit of the LHC
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rawRun is what the header of the raw events says.
type rawRun struct {
	run      int64
	seed     uint64
	channels int
	vcal     int
	offset   float64 // of the threshold above the chip's mean pedestal, Vcth
	volts    float64 // V
}

// bitmap is the bytes of an event's hits: a bit a channel, in words of 64.
func (r rawRun) bitmap() int { return (r.channels + 63) / 64 * 8 }

func (r rawRun) record() int { return eventHeader + r.bitmap() }

// events is how many whole ones, at least one, a file of so many bytes has.
func (r rawRun) events(bytes int64) int64 {
	return max(1, (bytes-rawHeader-rawTrailer)/int64(r.record()))
}

func (r rawRun) header(events int64) []byte {
	b := make([]byte, rawHeader)
	copy(b, rawMagic)
	le := binary.LittleEndian
	le.PutUint16(b[8:], rawVersion)
	le.PutUint16(b[10:], rawHeader)
	le.PutUint32(b[12:], uint32(r.record()))
	le.PutUint32(b[16:], uint32(r.channels))
	le.PutUint32(b[20:], uint32(r.bitmap()))
	le.PutUint64(b[24:], uint64(r.run))
	le.PutUint64(b[32:], r.seed)
	le.PutUint64(b[40:], uint64(events))
	le.PutUint32(b[48:], math.Float32bits(float32(r.offset)))
	le.PutUint32(b[52:], math.Float32bits(float32(r.volts)))
	le.PutUint16(b[56:], uint16(r.vcal))
	return b
}

// rawSums is what there is to check of the raw events.
type rawSums struct {
	Version   int     `json:"version"`
	Events    int64   `json:"events"`
	Hits      int64   `json:"hits"`
	Occupancy float64 `json:"occupancy"` // hits by event and channel
	CRC32C    uint32  `json:"crc32c"`    // of all before the trailer
}

// write writes the file. A channel has a hit in an event with the probability
// occupancy[channel]. done is told how much is written and may end it.
func (r rawRun) write(w *bufio.Writer, bytes int64, occupancy []float64, done func(part float64) error) (rawSums, error) {
	sums := rawSums{Version: rawVersion, Events: r.events(bytes)}
	head := r.header(sums.Events)
	sums.CRC32C = crc32.Update(0, castagnoli, head)
	if _, err := w.Write(head); err != nil {
		return sums, err
	}
	rng := rand.New(rand.NewPCG(r.seed, uint64(r.run)))
	draw := newHits(occupancy)
	size := r.record()
	block := make([]byte, max(1, (256<<10)/size)*size)
	for at := int64(0); at < sums.Events; {
		n := min(int64(len(block)/size), sums.Events-at)
		b := block[:n*int64(size)]
		clear(b)
		for i := range n {
			event := b[int(i)*size:][:size]
			binary.LittleEndian.PutUint32(event, uint32(at+i))
			binary.LittleEndian.PutUint16(event[4:], uint16(rng.IntN(crossings)))
			event[6] = byte(rng.Uint32() & 7)
			sums.Hits += int64(draw.event(rng, event[eventHeader:]))
		}
		sums.CRC32C = crc32.Update(sums.CRC32C, castagnoli, b)
		if _, err := w.Write(b); err != nil {
			return sums, err
		}
		at += n
		if err := done(float64(at) / float64(sums.Events)); err != nil {
			return sums, err
		}
	}
	sums.Occupancy = float64(sums.Hits) / float64(sums.Events) / float64(r.channels)
	tail := append([]byte(rawEnd), make([]byte, rawTrailer-len(rawEnd))...)
	binary.LittleEndian.PutUint32(tail[4:], sums.CRC32C)
	binary.LittleEndian.PutUint64(tail[8:], uint64(sums.Hits))
	_, err := w.Write(tail)
	return sums, err
}

// hits draws the channels that an event has. Asking every channel would be
// slow, and most have none: a Poisson number of hits is thrown on the channels,
// each in proportion to its rate -ln(1-p). Then a channel has at least one with
// the probability p exactly, whatever the others have.
type hits struct {
	first int       // number of hits that cumulative begins with
	sums  []float64 // probability of at most first+i hits
	limit []uint32  // alias method of Walker: channel i is kept below limit[i],
	other []uint32  // else it is other[i]
}

func newHits(occupancy []float64) *hits {
	n := len(occupancy)
	rate := make([]float64, n)
	total := 0.0
	for i, p := range occupancy {
		rate[i] = -math.Log1p(-math.Min(p, 0.999))
		total += rate[i]
	}
	h := &hits{}
	h.count(total)
	h.aliases(rate, total)
	return h
}

// count tabulates the Poisson distribution as far as it matters.
func (h *hits) count(mean float64) {
	if mean <= 0 {
		h.sums = []float64{1}
		return
	}
	width := 9*math.Sqrt(mean) + 20
	h.first = int(math.Max(0, mean-width))
	sum := 0.0
	for k := h.first; float64(k) <= mean+width; k++ {
		lg, _ := math.Lgamma(float64(k) + 1)
		sum += math.Exp(float64(k)*math.Log(mean) - mean - lg)
		h.sums = append(h.sums, sum)
	}
}

func (h *hits) aliases(rate []float64, total float64) {
	n := len(rate)
	h.limit, h.other = make([]uint32, n), make([]uint32, n)
	if total <= 0 {
		return
	}
	share := make([]float64, n) // of the channel, in mean ones
	var small, large []int
	for i, r := range rate {
		share[i] = r * float64(n) / total
		if share[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		h.limit[s], h.other[s] = uint32(share[s]*math.MaxUint32), uint32(l)
		share[l] -= 1 - share[s]
		if share[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) { // what is left is 1 but for rounding
		h.limit[i], h.other[i] = math.MaxUint32, uint32(i)
	}
}

// event sets the bits of the channels that are hit and returns how many are.
func (h *hits) event(rng *rand.Rand, bitmap []byte) int {
	u := rng.Float64()
	n := h.first + sort.SearchFloat64s(h.sums, u)
	set := 0
	for range n {
		r := rng.Uint64()
		high, _ := bits.Mul64(r&^math.MaxUint32, uint64(len(h.limit)))
		ch := uint32(high)
		if uint32(r) >= h.limit[ch] {
			ch = h.other[ch]
		}
		mask := byte(1) << (ch & 7)
		if bitmap[ch>>3]&mask == 0 {
			bitmap[ch>>3] |= mask
			set++
		}
	}
	return set
}
