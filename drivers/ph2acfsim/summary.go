package main

import (
	"math"
	"slices"
	"time"

	"trackerdcs/drivers/ph2acfsim/physics"
)

// noisyFrom is how much more noise than the median makes a channel noisy.
const noisyFrom = 2.0

// summary is summary.json.
type summary struct {
	Program   string    `json:"program"`
	Version   string    `json:"version"`
	Run       int64     `json:"run"`
	Module    string    `json:"module"`
	Procedure string    `json:"procedure"`
	Vcal      int       `json:"vcal"`
	Channels  int       `json:"channels"`
	Events    int       `json:"events"`
	Seed      uint64    `json:"seed"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	HV        voltage   `json:"hv"`
	Scan      scanned   `json:"scan"`

	Threshold quantity     `json:"threshold"`
	Noise     quantity     `json:"noise"`
	Occupancy float64      `json:"occupancy"` // without signal, at the working point
	Signal    *quantity    `json:"signal,omitempty"`
	Latency   *latencyScan `json:"latency,omitempty"`
	Dead      []int        `json:"dead"`
	Noisy     []int        `json:"noisy"`
	Chips     []chip       `json:"chips"`

	Raw   *rawSums `json:"raw,omitempty"`
	Files []file   `json:"files"`
}

// voltage is the bias as it was measured, with its sign.
type voltage struct {
	Source  string  `json:"source"` // the supply's address, or bias
	Channel int     `json:"channel"`
	Start   float64 `json:"start"`
	Middle  float64 `json:"middle"`
	End     float64 `json:"end"`
	Unit    string  `json:"unit"`
}

type scanned struct {
	First  int    `json:"first"`
	Step   int    `json:"step"`
	Points int    `json:"points"`
	Unit   string `json:"unit"`
}

// quantity is a mean over the channels that are neither dead nor noisy, and
// their standard deviation.
type quantity struct {
	Mean     float64 `json:"mean"`
	RMS      float64 `json:"rms"`
	Unit     string  `json:"unit"`
	Channels int     `json:"channels"` // none: mean and rms say nothing
}

type chip struct {
	Chip      int       `json:"chip"`
	Channels  int       `json:"channels"`
	Threshold quantity  `json:"threshold"`
	Noise     quantity  `json:"noise"`
	Occupancy float64   `json:"occupancy"`
	Signal    *quantity `json:"signal,omitempty"`

	first, end int
}

type latencyScan struct {
	Best       int     `json:"best"`
	Efficiency float64 `json:"efficiency"` // there
	Unit       string  `json:"unit"`
	Points     []point `json:"points"`
}

type point struct {
	Latency    int     `json:"latency"`
	Efficiency float64 `json:"efficiency"`
}

func (l *latencyScan) add(latency int, efficiency float64) {
	l.Points = append(l.Points, point{latency, efficiency})
	if len(l.Points) == 1 || efficiency > l.Efficiency {
		l.Best, l.Efficiency = latency, efficiency
	}
}

func newSummary(c *config, now time.Time) summary {
	s := summary{
		Program: "ph2acfsim", Version: version, Run: c.Run, Module: c.Module, Procedure: c.Procedure,
		Vcal: c.Vcal, Channels: c.Channels, Events: c.Events, Seed: c.seed(), Started: stamp(now),
		HV:   voltage{Source: "bias", Channel: c.HVChannel, Unit: "V"},
		Dead: []int{}, Noisy: []int{},
	}
	if c.HV != "" {
		s.HV.Source = c.HV
	}
	for first := 0; first < c.Channels; first += physics.ChannelsPerChip {
		end := min(first+physics.ChannelsPerChip, c.Channels)
		s.Chips = append(s.Chips, chip{Chip: len(s.Chips), Channels: end - first, first: first, end: end})
	}
	return s
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// fits takes the S-curves in.
func (s *summary) fits(scan physics.Scan, fits []physics.Fit) {
	s.Scan = scanned{scan.First, scan.Step, scan.N, "Vcth"}
	var widths []float64
	for _, f := range fits {
		if f.Complete {
			widths = append(widths, f.Noise)
		}
	}
	limit := noisyFrom * median(widths)
	for ch, f := range fits {
		switch {
		case f.Hits == 0:
			s.Dead = append(s.Dead, ch)
		case !f.Complete || f.Noise > limit:
			s.Noisy = append(s.Noisy, ch)
		}
	}
	threshold := func(ch int) float64 { return fits[ch].Threshold }
	noise := func(ch int) float64 { return fits[ch].Noise }
	s.Threshold, s.Noise = s.over(0, len(fits), threshold), s.over(0, len(fits), noise)
	for i := range s.Chips {
		c := &s.Chips[i]
		c.Threshold, c.Noise = s.over(c.first, c.end, threshold), s.over(c.first, c.end, noise)
	}
}

// signal takes in how much higher the S-curves with a pulse are.
func (s *summary) signal(without, with []physics.Fit) {
	signal := func(ch int) float64 { return with[ch].Threshold - without[ch].Threshold }
	q := s.over(0, len(with), signal)
	s.Signal = &q
	for i := range s.Chips {
		q := s.over(s.Chips[i].first, s.Chips[i].end, signal)
		s.Chips[i].Signal = &q
	}
}

// over is a quantity of the sound channels from first to before end.
func (s *summary) over(first, end int, value func(ch int) float64) quantity {
	q := quantity{Unit: "Vcth"}
	sum, squares := 0.0, 0.0
	for ch := first; ch < end; ch++ {
		_, dead := slices.BinarySearch(s.Dead, ch)
		_, noisy := slices.BinarySearch(s.Noisy, ch)
		if dead || noisy {
			continue
		}
		v := value(ch)
		q.Channels++
		delta := v - sum // Welford: sum is the mean so far
		sum += delta / float64(q.Channels)
		squares += delta * (v - sum)
	}
	if q.Channels > 0 {
		q.Mean, q.RMS = sum, math.Sqrt(squares/float64(q.Channels))
	}
	return q
}

// median sorts the values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
