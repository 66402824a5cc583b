package runs

import (
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// leastCut is the size in bytes from which on it pays to take a result out.
const leastCut = 4 << 10

// Fit cuts what is too much for a document, in this order and no further than
// it must: results of more than MaxResult bytes become TooLarge; then so do the
// largest that are left; then lines are taken out of the middle of the log, and
// counted in LogCut; then refused commands and events at the end of their lists
// in the capsule, counted in More. The files in GridFS have it all. The maps and
// lists that are cut are new ones; those that the caller holds stay as they are.
//
// An error says what cannot be put into a document at all.
func Fit(r *Run) error {
	sizes := make(map[string]int, len(r.Results))
	for name, result := range r.Results {
		n, err := size(result)
		if err != nil {
			return fmt.Errorf("result %s: %w", name, err)
		}
		sizes[name] = n
	}
	total, err := size(*r)
	if err != nil {
		return err
	}
	names := slices.Collect(maps.Keys(sizes))
	slices.SortFunc(names, func(a, b string) int { return sizes[b] - sizes[a] })
	results, cut := maps.Clone(r.Results), false
	for _, name := range names {
		if sizes[name] <= MaxResult && (total <= MaxDocument || sizes[name] < leastCut) {
			break
		}
		results[name], cut = TooLarge(int64(sizes[name])), true
		total -= sizes[name]
	}
	if cut {
		r.Results = results
	}
	if total > MaxDocument {
		if total, err = fitLog(r, total); err != nil {
			return err
		}
	}
	if total > MaxDocument && r.Capsule != nil {
		return fitCapsule(r, total)
	}
	return nil
}

// size is what a value needs in a document, in bytes, but for its key.
func size(v any) (int, error) {
	_, b, err := bson.MarshalValue(v)
	return len(b), err
}

func fitLog(r *Run, total int) (int, error) {
	log, err := size(r.Log)
	if err != nil || log == 0 {
		return total, err
	}
	keep := max(0, len(r.Log)-1-int(float64(len(r.Log))*float64(total-MaxDocument)/float64(log)))
	for {
		lines := slices.Concat(r.Log[:keep/2], r.Log[len(r.Log)-(keep-keep/2):])
		now, err := size(lines)
		if err != nil {
			return total, err
		}
		if total-log+now <= MaxDocument || keep == 0 {
			r.LogCut += int64(len(r.Log) - keep)
			r.Log = lines
			return total - log + now, nil
		}
		keep /= 2 // the lines that were kept are the long ones
	}
}

func fitCapsule(r *Run, total int) error {
	capsule := *r.Capsule
	before, err := size(capsule)
	if err != nil {
		return err
	}
	capsule.Devices = maps.Clone(capsule.Devices)
	for keep := 256; ; keep /= 4 {
		capsule.cut(keep)
		now, err := size(capsule)
		if err != nil {
			return err
		}
		if total-before+now <= MaxDocument || keep == 0 {
			r.Capsule = &capsule
			return nil
		}
	}
}

// cut keeps that many entries of each list.
func (c *Capsule) cut(keep int) {
	events := func(list []Event) []Event {
		if len(list) <= keep {
			return list
		}
		c.More += int64(len(list) - keep)
		return slices.Clone(list[:keep])
	}
	if len(c.Refused) > keep {
		c.More += int64(len(c.Refused) - keep)
		c.Refused = slices.Clone(c.Refused[:keep])
	}
	for name, d := range c.Devices {
		d.States = events(d.States)
		d.Channels = slices.Clone(d.Channels)
		for i := range d.Channels {
			d.Channels[i].Trips = events(d.Channels[i].Trips)
		}
		c.Devices[name] = d
	}
}
