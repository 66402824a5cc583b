package main

import (
	"bufio"
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"trackerdcs/drivers/ph2acfsim/physics"
)

// write writes the files and gives them their names when all are there.
func (r *aRun) write(ctx context.Context, files *results) error {
	size := int64(r.Megabytes) * 1e6
	r.pace.begin("writing", 1, "%s, %s and %d MB of raw events", summaryFile, curvesFile, r.Megabytes)
	if err := files.write(curvesFile, func(w *bufio.Writer) error { return r.curves(ctx, w) }); err != nil {
		return err
	}
	if size > 0 {
		err := files.write(rawFile, func(w *bufio.Writer) error { return r.raw(ctx, w, size) })
		if err != nil {
			return err
		}
	}
	if err := r.pace.done(ctx, 1); err != nil {
		return err
	}
	var err error
	if r.out.HV.End, err = r.read(ctx, "end"); err != nil {
		return err
	}
	r.out.Files = append([]file{}, files.list...)
	r.out.Ended = stamp(time.Now())
	err = files.write(summaryFile, func(w *bufio.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r.out)
	})
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return files.publish()
}

// curvesPart is how much of the time of writing is the S-curves'.
const curvesPart = 0.1

// curves writes a row a channel. What a channel without hits does not have is empty.
func (r *aRun) curves(ctx context.Context, w *bufio.Writer) error {
	row := []byte("chip,channel,threshold,noise,chi2")
	for i := range r.scan.N {
		row = append(row, ",n_"...)
		row = strconv.AppendInt(row, int64(r.scan.At(i)), 10)
	}
	for ch, f := range r.fits {
		row = append(row, '\n')
		if _, err := w.Write(row); err != nil {
			return err
		}
		row = strconv.AppendInt(row[:0], int64(ch/physics.ChannelsPerChip), 10)
		row = append(row, ',')
		row = strconv.AppendInt(row, int64(ch), 10)
		for _, v := range []float64{f.Threshold, f.Noise, f.Chi2} {
			row = append(row, ',')
			if f.Hits > 0 {
				row = strconv.AppendFloat(row, v, 'f', 3, 64)
			}
		}
		for _, n := range r.counts[ch*r.scan.N:][:r.scan.N] {
			row = append(row, ',')
			row = strconv.AppendUint(row, uint64(n), 10)
		}
		if ch%physics.ChannelsPerChip == 0 {
			if err := r.pace.done(ctx, curvesPart*float64(ch)/float64(len(r.fits))); err != nil {
				return err
			}
		}
	}
	_, err := w.Write(append(row, '\n'))
	return err
}

// raw writes events with particles, taken at the working point.
func (r *aRun) raw(ctx context.Context, w *bufio.Writer, size int64) error {
	// A particle that goes through a channel is seen or not; noise adds to that.
	through := -math.Expm1(-particles / float64(r.Channels))
	occupancy := make([]float64, r.Channels)
	for ch := range occupancy {
		without := r.module.Occupancy(ch, r.threshold(ch), r.bias, 0)
		with := r.module.Occupancy(ch, r.threshold(ch), r.bias, physics.MIP)
		occupancy[ch] = (1-through)*without + through*with
	}
	about := rawRun{run: r.Run, seed: r.out.Seed, channels: r.Channels, vcal: r.Vcal, offset: workingPoint, volts: r.bias}
	sums, err := about.write(w, size, occupancy, func(part float64) error {
		return r.pace.done(ctx, curvesPart+(1-curvesPart)*part)
	})
	r.out.Raw = &sums
	return err
}
