package backup

import (
	"maps"
	"slices"
)

// fewAre is how many documents or points say nothing when half of them is gone.
const fewAre = 100

// compare looks for what the last good backup had and this one has not: a
// database that was emptied by mistake would otherwise push the last copies of
// what it held out of the folder. A backup by hand says that all is as it should
// be: the next ones are compared with it.
func (b *maker) compare(heads []Head, dir string) {
	for _, h := range slices.Backward(heads) {
		if h.Scheduled && len(h.Doubts) > 0 || !h.Whole() || h.future(b.manifest.Start) {
			continue
		}
		p := b.before
		if p == nil || p.name != h.Name {
			var err error
			if p, err = readPrevious(dir, h); err != nil {
				b.doubt("backup %s, with which this one is compared, cannot be read: %v", h.Name, err)
				return
			}
		}
		b.compareWith(p)
		return
	}
}

func (b *maker) compareWith(p *previous) {
	was, is := p.manifest, b.manifest
	if was.Volumes != nil && is.Volumes != nil {
		for _, name := range slices.Sorted(maps.Keys(was.Volumes)) {
			if _, ok := is.Volumes[name]; !ok {
				b.doubt("volume %s is gone; backup %s has it", name, p.name)
			}
		}
	}
	less := func(what string, was, is int64) {
		switch {
		case is == 0 && was > 0:
			b.doubt("%s is gone; backup %s has %d of it", what, p.name, was)
		case is < was/2 && was > fewAre:
			b.doubt("%s has %d, less than half of the %d of backup %s", what, is, was, p.name)
		}
	}
	if was.Mongo != nil && is.Mongo != nil {
		for _, name := range slices.Sorted(maps.Keys(was.Mongo.Collections)) {
			less("MongoDB's collection "+name, was.Mongo.Collections[name], is.Mongo.Collections[name])
		}
	}
	if was.Influx != nil && is.Influx != nil {
		for _, name := range slices.Sorted(maps.Keys(was.Influx.Measurements)) {
			n := int64(0)
			if m := is.Influx.Measurements[name]; m != nil {
				n = m.Points()
			}
			less("InfluxDB's measurement "+name, was.Influx.Measurements[name].Points(), n)
		}
	}
}
