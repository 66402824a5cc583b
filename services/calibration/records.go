package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"trackerdcs/pkg/wire"
)

// takeRecords takes what run control says of runs, until ctx ends.
func (s *sink) takeRecords(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.records.ready:
		}
		for _, m := range s.records.take() {
			var r wire.Run
			if err := json.Unmarshal(m.Payload, &r); err != nil || r.Run < 1 || r.UID == "" {
				s.env.Log.Warn("a record of a run that cannot be read", "error", err, "payload", wire.Echo(string(m.Payload)))
				m.Ack()
				continue
			}
			if err := s.record(&r); err != nil {
				// Run control says it again. Were it not acknowledged, some of them would
				// stop all that comes over this connection.
				s.env.Log.Error("a record of a run cannot be kept", "run", r.Run, "error", err)
				s.sayRecord(wire.RecordReceipt{Run: r.Run, UID: r.UID, Error: err.Error()})
			}
			m.Ack()
		}
	}
}

// record keeps a record on the disk and confirms it.
func (s *sink) record(r *wire.Run) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	if higher, err := s.ledger.hear(r.Run); err != nil {
		return err
	} else if higher {
		defer s.sayKept()
	}
	if e, ok := s.ledger.find(r.Run); ok {
		if e.UID != r.UID {
			s.sayRecord(wire.RecordReceipt{Run: r.Run, UID: r.UID, Error: twice(r.Run, e.UID)})
			return nil
		}
		if !e.Silent || !wire.RunEnded(r.State) {
			s.sayRecord(wire.RecordReceipt{Run: r.Run, UID: r.UID, State: r.State, Results: e.Results})
			return nil
		}
	}
	k, ok := s.shelf.get(r.Run)
	if ok && k.uid() != "" && k.uid() != r.UID {
		s.sayRecord(wire.RecordReceipt{Run: r.Run, UID: r.UID, Error: twice(r.Run, k.uid())})
		return nil
	}
	if k.record == nil || newer(r, k.record) {
		if err := s.shelf.keepRecord(r); err != nil {
			return err
		}
		if k.capsule == nil {
			if err := s.recorder.Begin(r.Run); err != nil {
				return err
			}
		}
		if wire.RunEnded(r.State) {
			s.shelf.change(r.Run, func(k *kept) {
				if k.ended.IsZero() {
					k.ended = time.Now()
				}
			})
		}
		s.env.Log.Info("run", "run", r.Run, "state", r.State, "procedure", r.Procedure)
	}
	s.sayResults(r.Run)
	s.poke()
	return nil
}

// newer reports whether a record says more than another of the same run: they
// can overtake each other when the broker sends one again.
func newer(a, b *wire.Run) bool {
	if len(a.Transitions) != len(b.Transitions) {
		return len(a.Transitions) > len(b.Transitions)
	}
	return !a.Time.Before(b.Time)
}

// same reports whether two records say the same, whenever they were said: the
// broker may send one again.
func same(a, b *wire.Run) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.Time, y.Time = time.Time{}, time.Time{}
	x.Boot, y.Boot = "", ""
	return bytes.Equal(wire.Encode(x), wire.Encode(y))
}

func twice(run int64, uid string) string {
	return fmt.Sprintf("run %d is there already with uid %s: a number was used twice", run, uid)
}
