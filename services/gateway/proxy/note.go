package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/ration"
)

// What the audit log learns.
const (
	noteTime = 300 * time.Millisecond // nobody waits longer for the disk
	noteLate = 10 * time.Second       // how long an entry waits for others
	noteWait = 16                     // so many entries may wait for a disk that hangs
	notePath = 128                    // bytes of an address
)

// class is what is noted. Each has its own share of the log, so that nobody
// hides a deploy behind a thousand refusals.
type class int

// Classes.
const (
	refusals class = iota
	deploys        // of flows: what Node-RED does from now on
	changes        // all else that is no reading
	opened         // a dashboard's socket, through which it commands
	classes
)

var (
	classNames = [classes]string{"refusals", "changes of flows", "changes", "sockets"}
	classKinds = [classes]string{auditlog.Denied, auditlog.Proxy, auditlog.Proxy, auditlog.Proxy}
	// Of one person at one address, and of all.
	noteEach = ration.Rate{Burst: 30, Every: 2 * time.Second}
	noteAll  = ration.Rate{Burst: 300, Every: 500 * time.Millisecond}
)

// doer is somebody who does something with a part.
type doer struct {
	part string // as in its prefix
	who  door.Who
}

func (d doer) entry(c class) auditlog.Entry {
	return auditlog.Entry{
		Kind: classKinds[c], User: d.who.Signed(), Role: string(d.who.Role), Verified: d.who.Name != "", Via: d.who.Via, Address: d.who.Address, Device: d.part,
	}
}

// notes writes into the audit log what was done through the proxy.
type notes struct {
	audit   func(context.Context, auditlog.Entry) error
	log     *slog.Logger
	rations [classes]*ration.Ration[doer]
	waiting chan struct{} // one element for each entry that is being written
	time    time.Duration // noteTime, but for tests
}

// newNotes gives nil, which notes nothing, when there is no audit log.
func newNotes(cfg Config) *notes {
	if cfg.Audit == nil {
		return nil
	}
	n := &notes{audit: cfg.Audit, log: cfg.Log, waiting: make(chan struct{}, noteWait), time: noteTime}
	for c := range n.rations {
		n.rations[c] = ration.New(noteEach, noteAll, func(found []ration.Refused[doer]) { n.sum(class(c), found) })
	}
	return n
}

// add notes what a person is about to do, or may not; code says why not.
func (n *notes) add(ctx context.Context, c class, d doer, op, path, code string) {
	if n == nil || !n.rations[c].Take(d) {
		return
	}
	e := d.entry(c)
	e.Op, e.Message, e.Code = op, path[:min(len(path), notePath)], code // escaped: a byte is a letter
	n.write(ctx, e)
}

// sum notes how much was not noted one by one.
func (n *notes) sum(c class, found []ration.Refused[doer]) {
	for _, f := range found {
		e, whose := f.Key.entry(c), "of this person"
		if f.Others {
			whose = "of others"
		}
		e.Message = fmt.Sprintf("%d more %s %s", f.Count, classNames[c], whose)
		n.write(context.Background(), e)
	}
}

// write writes an entry, but stops nobody for longer than a moment: what the
// disk does not take in time may come into the log later, and is in this log now.
func (n *notes) write(ctx context.Context, e auditlog.Entry) {
	missed := func(why any) {
		n.log.Error("not in the audit log", "error", why, "kind", e.Kind, "user", e.User, "address", e.Address, "device", e.Device, "op", e.Op, "message", e.Message)
	}
	select {
	case n.waiting <- struct{}{}:
	default:
		missed("the disk has not answered for others either")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteLate)
	done := make(chan error, 1)
	go func() { // ends when the disk answers; there are at most noteWait
		defer cancel()
		done <- n.audit(ctx, e)
		<-n.waiting
	}()
	late := time.NewTimer(n.time)
	defer late.Stop()
	select {
	case err := <-done:
		if err != nil {
			missed(err)
		}
	case <-late.C:
		missed("the disk takes too long")
	}
}

// close notes the sums that have not been noted yet.
func (n *notes) close() {
	if n == nil {
		return
	}
	for _, r := range n.rations {
		r.Close()
	}
}
