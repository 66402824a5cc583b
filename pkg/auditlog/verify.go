package auditlog

import (
	"context"
	"fmt"
	"os"
	"time"
)

// maxProblems is how many of them a report has.
const maxProblems = 100

// Report is what Verify found.
type Report struct {
	Entries     int64     `json:"entries"` // that can be read
	Segments    int       `json:"segments"`
	First       time.Time `json:"first,omitzero"`
	Last        time.Time `json:"last,omitzero"`
	Head        Head      `json:"head"`
	Unfinished  int64     `json:"unfinished,omitzero"` // bytes behind the last entry: one that is being written, or was when the power failed
	Gaps        int64     `json:"gaps"`                // entries that say that something may be missing; they are no problem of the chain
	Problems    []Problem `json:"problems"`            // the first hundred, in the order of the files
	MoreFollows bool      `json:"more_follows,omitzero"`
}

// OK reports whether the chain is whole.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Problem is a place where the chain is broken.
type Problem struct {
	File string `json:"file,omitzero"` // without the folder
	Line int    `json:"line,omitzero"` // from 1; 0 when it is not about a line
	Seq  int64  `json:"seq,omitzero"`  // of the entry, or where it should be
	Kind string `json:"kind"`          // changed, missing, order, rehashed, garbage, segment, cut, rewritten
	What string `json:"what"`
}

// String says where and what.
func (p Problem) String() string {
	s := p.What
	if p.Line > 0 {
		s = fmt.Sprintf("line %d: %s", p.Line, s)
	}
	if p.File != "" {
		s = p.File + ": " + s
	}
	return s
}

// Verify checks all of the log in dir, and that the heads that were once written
// down are still in it. The log may be written to meanwhile. The error says that
// the log cannot be read; what is wrong with it stands in the report.
func Verify(ctx context.Context, dir string, known ...Head) (Report, error) {
	r, err := verify(ctx, dir, known)
	if err == nil && !r.OK() && ctx.Err() == nil {
		// Lines that found no room are taken off again: read in between, they
		// look like damage.
		r, err = verify(ctx, dir, known)
	}
	return r, err
}

// verifier is one pass over a log.
type verifier struct {
	chain
	report Report
	known  map[int64]string // hashes that were written down
}

func verify(ctx context.Context, dir string, known []Head) (Report, error) {
	v := &verifier{known: map[int64]string{}, report: Report{Problems: []Problem{}}}
	var wanted []Head
	for _, h := range known {
		if old, ok := v.known[h.Seq]; ok && old != h.Hash {
			return v.report, fmt.Errorf("heads %d:%s and %d:%s cannot both have been in one log", h.Seq, old, h.Seq, h.Hash)
		}
		v.known[h.Seq] = h.Hash
		wanted = append(wanted, h)
	}
	all, err := segments(dir)
	if err != nil {
		return v.report, err
	}
	for i, s := range all {
		v.before(dir, all, i)
		if err := v.segment(ctx, s, i == len(all)-1); err != nil {
			return v.report, fmt.Errorf("reading the audit log: %w", err)
		}
	}
	v.report.Head = v.head
	for _, h := range wanted {
		if _, open := v.known[h.Seq]; !open {
			continue
		}
		what := fmt.Sprintf("entry %d, which was the head once, is not in the log", h.Seq)
		if h.Seq > v.head.Seq {
			what = fmt.Sprintf("the log ends with entry %d, and entry %d was its head once: the end was cut off", v.head.Seq, h.Seq)
		}
		v.problem(Problem{Seq: h.Seq, Kind: "cut", What: what})
	}
	return v.report, nil
}

// before looks at what stands between segment i and the one before it.
func (v *verifier) before(dir string, all []segment, i int) {
	from := 1
	if i > 0 {
		from = all[i-1].number + 1
	}
	to := all[i].number - 1
	if from > to {
		return
	}
	what := "the segment is missing"
	if from < to {
		what = fmt.Sprintf("this segment is missing, and those up to %s", segmentOf(dir, to).name())
	}
	v.problem(Problem{File: segmentOf(dir, from).name(), Seq: v.head.Seq + 1, Kind: "segment", What: what})
	v.loose = true
}

func (v *verifier) segment(ctx context.Context, s segment, last bool) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	v.report.Segments++
	line := 0
	_, rest, err := eachLine(f, func(b []byte) error {
		if line++; line%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		v.line(s, line, b)
		return nil
	})
	switch {
	case err != nil:
		return err
	case last:
		v.report.Unfinished = rest
	case rest > 0:
		v.problem(Problem{File: s.name(), Line: line + 1, Seq: v.head.Seq + 1, Kind: garbage, What: "the last line has no end"})
	}
	return nil
}

func (v *verifier) line(s segment, number int, b []byte) {
	expected := v.head.Seq + 1
	e, bad := v.next(b)
	if e.Seq == 0 {
		e.Seq = expected // it cannot be read: this is where it stands
	} else {
		v.seen(e)
	}
	if bad.kind == "" || bad.kind == order {
		v.found(e.Seq)
	}
	if bad.kind != "" {
		if bad.kind == missing && len(v.report.Problems) < maxProblems {
			bad.gap.problem = len(v.report.Problems)
			v.gaps = append(v.gaps, bad.gap)
		}
		v.problem(Problem{File: s.name(), Line: number, Seq: e.Seq, Kind: bad.kind, What: bad.what})
	}
	if want, ok := v.known[e.Seq]; ok && bad.kind != garbage && bad.kind != changed {
		delete(v.known, e.Seq)
		if want != e.Hash {
			v.problem(Problem{File: s.name(), Line: number, Seq: e.Seq, Kind: "rewritten",
				What: fmt.Sprintf("entry %d is not the one whose hash was written down: the log was written anew up to here", e.Seq)})
		}
	}
}

// seen counts an entry.
func (v *verifier) seen(e Entry) {
	r := &v.report
	r.Entries++
	if e.Kind == Gap {
		r.Gaps++
	}
	if r.First.IsZero() || e.Time.Before(r.First) {
		r.First = e.Time
	}
	if e.Time.After(r.Last) {
		r.Last = e.Time
	}
}

// found turns an entry that was called missing into one that stands elsewhere.
func (v *verifier) found(seq int64) {
	for _, g := range v.gaps {
		if g.from <= seq && seq <= g.to {
			p := &v.report.Problems[g.problem]
			p.Kind, p.What = order, fmt.Sprintf("entry %d stands where entry %d belongs: out of order", p.Seq, g.from)
		}
	}
}

func (v *verifier) problem(p Problem) {
	if len(v.report.Problems) == maxProblems {
		v.report.MoreFollows = true
		return
	}
	v.report.Problems = append(v.report.Problems, p)
}
