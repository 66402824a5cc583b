package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"trackerdcs/drivers/ph2acf/keep"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// maxAborts is how many aborts can wait for the end of a run.
const maxAborts = 100

const retainedText = "the command was left on the broker from before: commands are sent without the retain flag"

const endedText = "the program of run %d has ended already, its results are being collected"

// task is a command that is being answered.
type task struct {
	cmd     wire.RunCommand
	content ids.Content
	unnamed bool // its id was made up
	payload []byte
}

// refusal is why a command is not accepted.
type refusal struct {
	code wire.Code
	text string
}

func refuse(code wire.Code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// command judges a command and does what it says.
func (d *driver) command(ctx context.Context, m bus.Message) {
	op, channel, ok := d.Root().CutCommand(d.env.Name, m.Topic)
	if !ok || len(m.Payload) == 0 {
		return // an empty payload is what clearing a retained message looks like
	}
	if m.Retained { // an empty retained message takes it off the broker
		d.Keep(bus.Message{Topic: m.Topic, QoS: 1, Retained: true})
	}
	now := time.Now()
	c, err := wire.ParseRunCommand(op, m.Payload)
	t := &task{cmd: c, content: ids.ContentOfRun(c, err, m.Payload), payload: m.Payload}
	if c.ID == "" {
		t.cmd.ID, t.unnamed = d.makeID(), true
	}
	if m.Retained {
		d.reject(t, refuse(wire.Retained, "%s", retainedText))
		return
	}
	if d.repeated(now, t) {
		return
	}
	if no := d.form(t, channel, err); no != nil {
		d.reject(t, no)
		return
	}
	if op == wire.Abort {
		d.abort(t)
		return
	}
	d.start(ctx, now, t)
}

// makeID makes an id up, one that no sender has used.
func (d *driver) makeID() string {
	for {
		d.made++
		if id := d.env.Boot + "-" + strconv.Itoa(d.made); !d.known.Used(id) {
			return id
		}
	}
}

// repeated answers a command that was answered before: by its id or, after a
// restart too, by the run that it has started.
func (d *driver) repeated(now time.Time, t *task) bool {
	if t.unnamed {
		return false
	}
	if latest, content, known := d.known.Find(now, t.cmd.ID); known {
		if content == t.content {
			d.answer(latest)
		} else { // not noted: the id's own ack stays the one that is repeated
			d.answer(d.ack(t, wire.Rejected, wire.Duplicate, "this id was another command's: choose a new one"))
		}
		return true
	}
	r := d.records[t.cmd.Run]
	if r == nil || t.cmd.Op != wire.Start || r.Ack.ID != t.cmd.ID || r.Content != hex.EncodeToString(t.content[:]) {
		return false
	}
	d.known.Note(now, t.cmd.ID, t.content, r.Ack)
	d.answer(r.Ack)
	return true
}

// form is what can be said of a command by itself.
func (d *driver) form(t *task, channel string, err error) *refusal {
	c := &t.cmd
	switch {
	case c.Op != wire.Start && c.Op != wire.Abort:
		c.Echo = wire.Echo(strings.TrimSpace(string(t.payload)))
		return refuse(wire.BadOp, "%q is not a command of this driver: it takes start and abort", wire.Echo(c.Op))
	case channel != "":
		return refuse(wire.NoChannel, "there are no channels (%q): send to %s", wire.Echo(channel), d.Root().RunOp(d.env.Name, c.Op))
	case err != nil:
		return refuse(wire.BadValue, "%v", err)
	}
	return nil
}

func (d *driver) reject(t *task, no *refusal) {
	d.say(t, d.ack(t, wire.Rejected, no.code, no.text))
}

func (d *driver) ack(t *task, phase string, code wire.Code, message string) wire.Ack {
	a := wire.Ack{
		Time: d.ackTimes.Next(time.Now()), Boot: d.env.Boot, ID: t.cmd.ID, Op: wire.Echo(t.cmd.Op), User: t.cmd.User,
		Phase: phase, Code: code, Message: message, Run: t.cmd.Run,
	}
	switch {
	case t.cmd.Echo != "":
		a.Value = t.cmd.Echo
	case t.cmd.Procedure != "":
		a.Value = t.cmd.Procedure
	}
	return a
}

// say sends an ack and remembers it as the latest of its id.
func (d *driver) say(t *task, a wire.Ack) {
	if !t.unnamed {
		d.known.Note(time.Now(), t.cmd.ID, t.content, a)
	}
	d.answer(a)
}

func (d *driver) answer(a wire.Ack) {
	d.acks.WithLabelValues(a.Phase, string(a.Code)).Inc()
	d.env.Log.Info("command", "op", a.Op, "run", a.Run, "value", a.Value, "user", a.User, "id", a.ID, "phase", a.Phase, "code", a.Code, "message", a.Message)
	d.Answer(a)
}

// abort asks for the end of the run under way. It is never refused for having
// expired: a wrong clock must not keep a program running.
func (d *driver) abort(t *task) {
	switch {
	case d.x == nil && d.last != nil && !wire.RunEnded(d.last.Report.State):
		d.reject(t, refuse(wire.BadValue, endedText, d.last.Report.Run))
		return
	case d.x == nil:
		d.reject(t, refuse(wire.BadValue, "no run is under way"))
		return
	case t.cmd.Run != 0 && t.cmd.Run != d.last.Report.Run:
		d.reject(t, refuse(wire.BadValue, "run %d is not under way: it is run %d", t.cmd.Run, d.last.Report.Run))
		return
	case t.cmd.UID != "" && t.cmd.UID != d.last.Report.UID:
		d.reject(t, refuse(wire.BadValue, "run %d with uid %s is not under way: the one that is has uid %s", d.last.Report.Run, t.cmd.UID, d.last.Report.UID))
		return
	case len(d.aborts) >= maxAborts:
		d.reject(t, refuse(wire.Busy, "%d commands wait for the end of run %d already", maxAborts, d.last.Report.Run))
		return
	}
	t.cmd.Run = d.last.Report.Run
	if t.cmd.Dry {
		d.say(t, d.ack(t, wire.Accepted, wire.Dry, "checked and not executed"))
		return
	}
	if !d.x.stop(stopAborted, by(t.cmd)) {
		d.reject(t, refuse(wire.BadValue, endedText, t.cmd.Run))
		return
	}
	a := keep.Abort{Ack: d.ack(t, wire.Accepted, wire.OK, "")}
	if !t.unnamed {
		a.Content = hex.EncodeToString(t.content[:])
	}
	d.last.Aborts = append(d.last.Aborts, a)
	d.last.Reason, d.last.Who = d.x.why()
	d.save(d.last) // a disk that does not take it must not keep the program running
	d.aborts = append(d.aborts, t)
	d.say(t, a.Ack)
}

// answerAborts answers the aborts of a run whose driver was killed before it
// could do that.
func (d *driver) answerAborts(r *keep.Record) {
	if len(r.Aborts) == 0 {
		return
	}
	for _, a := range r.Aborts {
		a.Ack.Time, a.Ack.Boot, a.Ack.Phase = d.ackTimes.Next(time.Now()), d.env.Boot, wire.Done
		var content ids.Content
		if n, err := hex.Decode(content[:], []byte(a.Content)); err == nil && n == len(content) {
			d.known.Note(time.Now(), a.Ack.ID, content, a.Ack)
		}
		d.answer(a.Ack)
	}
	r.Aborts = nil
	d.save(r)
}

// by names who has sent a command, and why.
func by(c wire.RunCommand) string {
	who := "abort"
	if c.User != "" {
		who = "abort by " + c.User
	}
	who += ", id " + c.ID
	if c.Reason != "" {
		who += ": " + c.Reason
	}
	return who
}
