package main

import (
	"fmt"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// progressEvery is how far apart reports are that say only how far a run has
// come.
const progressEvery = time.Second

// status is what stands on the status topic.
type status struct {
	Run       int64      `json:"run"`
	Running   wire.Flag  `json:"running"`
	Progress  wire.Value `json:"progress,omitzero"` // 0 to 1
	Elapsed   wire.Value `json:"elapsed,omitzero"`  // s
	Lines     int64      `json:"lines"`
	Waiting   int        `json:"waiting"` // runs whose results are not stored yet
	Sent      int64      `json:"sent"`    // bytes of results
	Free      wire.Value `json:"free,omitzero"`
	Phase     string     `json:"phase"`
	Procedure string     `json:"procedure"`
	Time      time.Time  `json:"time"`
	Seq       uint64     `json:"seq"`
	Boot      string     `json:"boot"`
}

func (d *driver) status() {
	now := time.Now()
	s := status{Running: wire.FlagOf(d.x != nil), Waiting: d.waiting(), Sent: d.sender.Sent(), Time: d.Stamp(now), Boot: d.env.Boot}
	if free, err := disk.Free(d.env.DataDir); err == nil {
		s.Free = wire.Known(float64(free))
	}
	if r := d.last; r != nil {
		s.Run, s.Procedure, s.Progress, s.Phase, s.Lines = r.Report.Run, r.Report.Procedure, r.Report.Progress, r.Report.Phase, r.Report.Lines
		if end := r.Report.End; !r.Report.Start.IsZero() {
			if end.IsZero() {
				end = now
			}
			s.Elapsed = wire.Known(end.Sub(r.Report.Start).Round(time.Millisecond).Seconds())
		}
	}
	d.Publish(now, func(seq uint64) []byte {
		s.Seq = seq
		return wire.Encode(s)
	})
}

// waiting is how many runs that have ended are not stored yet.
func (d *driver) waiting() (n int) {
	for _, r := range d.records {
		if !r.Stored && (wire.RunEnded(r.Report.State) || d.x == nil || r != d.last) {
			n++
		}
	}
	return n
}

func (d *driver) describe() {
	d.Describe(wire.Meta{
		Kind: wire.KindCalibration, Model: "ph2acf", Driver: fmt.Sprintf("%s %s", d.env.Program, service.Version()), Period: d.cfg.Period.Seconds(),
		Fields: map[string]wire.MetaField{
			"run": {}, "running": {}, "progress": {Min: wire.Known(0), Max: wire.Known(1)}, "elapsed": {Unit: "s"},
			"lines": {}, "waiting": {}, "sent": {Unit: "B"}, "free": {Unit: "B"},
		},
		Commands:   map[string]wire.MetaOp{wire.Start: {}, wire.Abort: {}},
		Procedures: d.procedures.Meta(),
	})
}

// said is what the last report said, and when.
type said struct {
	time     time.Time
	phase    string
	progress wire.Value
}

// report says how it stands with the run, on a retained topic.
func (d *driver) report() {
	if d.last == nil {
		return
	}
	now := time.Now()
	r := d.last.Report
	r.Time, r.Boot = now.UTC().Truncate(time.Microsecond), d.env.Boot
	d.said = said{now, r.Phase, r.Progress}
	d.Send(bus.Message{Topic: d.Root().Report(d.env.Name), QoS: 1, Retained: true, Payload: wire.Encode(r)}, nil) // again in the next connection
}

// follow passes on what the program prints, and says what it has said of its
// progress.
func (d *driver) follow(last bool) {
	if d.x == nil || d.x.out == nil {
		return
	}
	d.x.out.Flush()
	for b := d.x.out.Batch(d.last.Report.Run, d.env.Boot, last); b != nil; b = d.x.out.Batch(d.last.Report.Run, d.env.Boot, last) {
		d.Send(bus.Message{Topic: d.Root().Log(d.env.Name), QoS: 1, Payload: wire.Encode(b)}, nil) // all of it is in the log
		if !last {
			break
		}
	}
	s, r := d.x.out.State(), &d.last.Report
	d.printed.Add(float64(s.Lines - d.lines.Lines))
	d.dropped.Add(float64(s.Dropped - d.lines.Dropped))
	d.lines = s
	r.Lines, r.Progress, r.Phase, d.last.LastErr = s.Lines, s.Progress, s.Phase, s.LastErr
	if !last && (r.Phase != d.said.phase || r.Progress != d.said.progress && time.Since(d.said.time) >= progressEvery) {
		d.report()
	}
}
