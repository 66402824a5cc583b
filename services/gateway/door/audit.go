package door

import (
	"context"
	"fmt"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/ration"
)

// Writing to the audit log.
const (
	auditWait    = 300 * time.Millisecond // how long a request waits for its entry
	auditLate    = 10 * time.Second       // how long an entry waits for others
	mostAuditing = 64                     // entries that are being written
)

// reserve is how much of the disk is kept for the entries of commands: without
// them no command goes out. What is refused is then in the gateway's log alone.
const reserve = 64 << 20

// What of one person or address that is refused has an entry of its own, and of
// all together; the rest is counted.
var (
	deniedEach = ration.Rate{Burst: 10, Every: time.Minute}
	deniedAll  = ration.Rate{Burst: 500, Every: time.Second}
)

// denier is who was refused: a person at an address, or, with no name, whoever
// is at the address.
type denier struct{ name, via, address string }

func (d *Door) newDenials() *ration.Ration[denier] {
	return ration.New(deniedEach, deniedAll, d.sayDenied)
}

// deny notes that somebody was refused, unless that is noted often enough: a log
// that anybody can fill would stop all commands in the end.
func (d *Door) deny(ctx context.Context, e auditlog.Entry) {
	e.Kind = auditlog.Denied
	by := denier{via: e.Via, address: network(e.Address)}
	if e.Verified {
		by.name = e.User // one that was only claimed can be another each time
	}
	if d.denials.Take(by) {
		d.audit(ctx, e)
	}
}

// sayDenied notes how often those were refused who were refused too often.
func (d *Door) sayDenied(more []ration.Refused[denier]) {
	for _, m := range more {
		e := auditlog.Entry{Kind: auditlog.Denied, Message: fmt.Sprintf("%d more were refused", m.Count)}
		if m.Others {
			e.Message += ", of many"
		} else {
			e.User, e.Verified, e.Via, e.Address = m.Key.name, m.Key.name != "", m.Key.via, m.Key.address
		}
		d.audit(context.Background(), e)
	}
}

// audit writes an entry. A log that cannot be written keeps nobody out: a full
// disk, or one that hangs, must not stand between an operator and the switch.
func (d *Door) audit(ctx context.Context, e auditlog.Entry) {
	if d.cfg.Audit == nil {
		return
	}
	select {
	case d.auditing <- struct{}{}:
	default:
		d.unwritten(e, "the disk hangs")
		return
	}
	done := make(chan struct{})
	go func() { // ends with the audit log's answer
		defer func() { <-d.auditing }()
		defer close(done)
		if e.Kind == auditlog.Denied && d.low() {
			d.unwritten(e, "the rest of the disk is kept for commands")
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditLate) // who hangs up is written down all the same
		defer cancel()
		if err := d.cfg.Audit(ctx, e); err != nil {
			d.unwritten(e, err.Error())
		}
	}()
	timer := time.NewTimer(d.patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		d.cfg.Log.Warn("the audit log is slow: it is not waited for", "kind", e.Kind, "user", e.User, "address", e.Address, "message", e.Message)
	}
}

func (d *Door) unwritten(e auditlog.Entry, why string) {
	d.cfg.Log.Error("not in the audit log", "kind", e.Kind, "user", e.User, "address", e.Address, "message", e.Message, "error", why)
}

// low reports whether the disk is nearly full.
func (d *Door) low() bool {
	n, err := d.free(d.cfg.Dir)
	return err == nil && n < reserve
}

// awaitAudits waits until what is being written is in the audit log, but not for
// a disk that hangs.
func (d *Door) awaitAudits() {
	timer := time.NewTimer(d.patience)
	defer timer.Stop()
	taken := 0
	defer func() {
		for range taken {
			<-d.auditing
		}
	}()
	for range cap(d.auditing) {
		select {
		case d.auditing <- struct{}{}:
			taken++
		case <-timer.C:
			return
		}
	}
}
