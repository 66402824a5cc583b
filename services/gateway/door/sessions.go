package door

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// endedSession is one that was forgotten.
type endedSession struct{ name, why string }

// owner is whose a session is.
func (v session) owner() (name, generation string) {
	_, values, _ := codec{}.Decode(v.values) // what cannot be read is nobody's
	name, _ = values[keyName].(string)
	generation, _ = values[keyGeneration].(string)
	return name, generation
}

// sweep forgets the sessions that have ended and those whose user is not valid
// any more.
func (s *store) sweep(now time.Time, valid func(name, generation string) bool) (ended []endedSession) {
	for key, v := range s.all() {
		name, generation := v.owner()
		why := s.ended(v, now)
		if why == "" && !valid(name, generation) {
			why = whyChanged
		}
		if why != "" && s.forgetSame(key, v) {
			ended = append(ended, endedSession{name, why})
		}
	}
	if len(ended) > 0 {
		s.write("sessions that have ended come back when the gateway is stopped before the disk can be written, and end again")
	}
	return ended
}

// most forgets sessions of a user, those with the earliest end, until there are
// no more than most. The one with the key stays.
func (s *store) most(name, key string, most int) (ended []endedSession) {
	type of struct {
		key string
		session
	}
	var his []of
	for other, v := range s.all() {
		if owner, _ := v.owner(); other != key && strings.EqualFold(owner, name) {
			his = append(his, of{other, v})
		}
	}
	slices.SortFunc(his, func(a, b of) int { return a.end.Compare(b.end) })
	for _, v := range his[:max(0, len(his)+1-most)] {
		if s.forget(v.key) {
			ended = append(ended, endedSession{name, whyMany})
		}
	}
	if len(ended) > 0 {
		s.write("sessions that have ended come back when the gateway is stopped before the disk can be written")
	}
	return ended
}

// all are the sessions that there are now.
func (s *store) all() map[string]session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]session, len(s.sessions))
	for key, v := range s.sessions {
		all[key] = v
	}
	return all
}

// forgetSame forgets a session unless it was used meanwhile.
func (s *store) forgetSame(key string, v session) bool {
	s.mu.Lock()
	now, ok := s.sessions[key]
	s.mu.Unlock()
	return ok && now.used.Equal(v.used) && s.forget(key)
}

// count is how many sessions are kept.
func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// codec is the form of a session's values on disk, for scs: JSON with strings
// alone, so that a newer gateway can read what an older one has written.
type codec struct{}

type kept struct {
	End    time.Time         `json:"end"`
	Values map[string]string `json:"values"`
}

// Encode is part of scs.Codec.
func (codec) Encode(end time.Time, values map[string]any) ([]byte, error) {
	k := kept{end, make(map[string]string, len(values))}
	for key, v := range values {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("a session's %s is a %T and no text", key, v)
		}
		k.Values[key] = text
	}
	return json.Marshal(k)
}

// Decode is part of scs.Codec.
func (codec) Decode(b []byte) (time.Time, map[string]any, error) {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return time.Time{}, nil, fmt.Errorf("reading a session: %w", err)
	}
	values := make(map[string]any, len(k.Values))
	for key, v := range k.Values {
		values[key] = v
	}
	return k.End, values, nil
}
