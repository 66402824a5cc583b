package capsule

import (
	"errors"
	"math"
	"strconv"
)

// Bounds of one status. What is beyond is not a status.
const (
	maxPayload = 1 << 20
	maxValues  = 4096 // numbers in one status
	maxKey     = 64   // bytes of a field's name
	maxName    = 128  // bytes of a boot, or of a foreign sensor's name
)

var errTooMuch = errors.New("too many values for a status")

// decoder reads statuses. What it gives is valid until the next one.
type decoder struct {
	clock    clock
	readings []reading
	fields   []field
}

// reading is one channel of a supply, or the whole of a sensor's status.
type reading struct {
	number   int
	numbered bool  // it has a channel's number
	time     int64 // ns since 1970
	timed    bool
	seq      uint64 // 0: none
	boot     []byte
	lo, hi   int // of the decoder's fields
}

// field is one number of a reading.
type field struct {
	key []byte
	x   float64
}

// status reads a status into d.readings: all of it or nothing. Channels without
// seq are pads and left out, and so is what has no number in a list.
func (d *decoder) status(payload []byte) error {
	d.readings, d.fields = d.readings[:0], d.fields[:0]
	if len(payload) > maxPayload {
		return errTooMuch
	}
	s := scanner{b: payload}
	err := errJSON
	switch s.peek() {
	case '{':
		err = d.object(&s, false)
	case '[':
		err = d.list(&s)
	}
	if err == nil && !s.end() {
		err = errJSON
	}
	if err != nil {
		d.readings, d.fields = d.readings[:0], d.fields[:0]
	}
	return err
}

func (d *decoder) list(s *scanner) error {
	s.i++
	for first := true; ; first = false {
		more, err := s.more(first, ']')
		if err != nil || !more {
			return err
		}
		if s.peek() == '{' {
			err = d.object(s, true)
		} else {
			_, err = s.value(1)
		}
		if err != nil {
			return err
		}
	}
}

func (d *decoder) object(s *scanner, inList bool) error {
	r := reading{lo: len(d.fields)}
	s.i++
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := d.member(s, &r); err != nil {
			return err
		}
	}
	r.hi = len(d.fields)
	switch {
	case inList && (r.seq == 0 || !r.numbered):
		d.fields = d.fields[:r.lo]
		return nil
	case !inList:
		r.numbered = false
	}
	d.readings = append(d.readings, r)
	return nil
}

func (d *decoder) member(s *scanner, r *reading) error {
	k, err := s.key()
	if err != nil {
		return err
	}
	v, err := s.value(2)
	if err != nil {
		return err
	}
	key := k.bytes()
	switch string(key) { // does not allocate
	case "time":
		if v.kind == text {
			r.time, r.timed = d.clock.read(v.bytes())
		}
	case "boot":
		if b := v.bytes(); v.kind == text && len(b) <= maxName {
			r.boot = b
		}
	case "seq":
		r.seq, _ = whole(v)
	case "number":
		if n, ok := whole(v); ok && n <= math.MaxUint16 {
			r.number, r.numbered = int(n), true
		}
	default:
		x, ok := v.float()
		if !ok || len(key) == 0 || len(key) > maxKey {
			return nil
		}
		if len(d.fields) >= maxValues {
			return errTooMuch
		}
		d.fields = append(d.fields, field{key, x})
	}
	return nil
}

// whole reads a number that is not negative and has no fraction.
func whole(v value) (uint64, bool) {
	if v.kind != number {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v.raw), 10, 63)
	return n, err == nil
}

// sensor reads what a foreign sensor sends: a number, or an object with a
// number in "value"; the number may stand in quotes. Not ok if it is well formed
// and there is no number in it.
func (d *decoder) sensor(payload []byte) (x float64, ok bool, err error) {
	if len(payload) > maxPayload {
		return 0, false, errTooMuch
	}
	s := scanner{b: payload}
	if s.peek() != '{' {
		v, err := s.value(0)
		if err != nil || !s.end() {
			return 0, false, errJSON
		}
		x, ok = quoted(v)
		return x, ok, nil
	}
	s.i++
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if err != nil {
			return 0, false, err
		}
		if !more {
			break
		}
		k, err := s.key()
		if err != nil {
			return 0, false, err
		}
		v, err := s.value(1)
		if err != nil {
			return 0, false, err
		}
		if string(k.bytes()) == "value" {
			x, ok = quoted(v)
		}
	}
	if !s.end() {
		return 0, false, errJSON
	}
	return x, ok, nil
}

// quoted is a number that may stand in quotes.
func quoted(v value) (float64, bool) {
	if v.kind == text {
		s := scanner{b: v.bytes()}
		inner, err := s.value(0)
		if err != nil || !s.end() {
			return 0, false
		}
		v = inner
	}
	return v.float()
}
