package main

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"trackerdcs/pkg/wire"
)

// standing makes one state out of how the loader's parts stand.
type standing struct {
	set func(state, problem string)

	mu       sync.Mutex
	known    bool // InfluxDB was asked at least once
	problems map[string]string
}

// tell says how a part stands: no problem is well.
func (s *standing) tell(part, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problems == nil {
		s.problems = make(map[string]string)
	}
	s.known = s.known || strings.HasPrefix(part, partInflux)
	if problem == "" {
		delete(s.problems, part)
	} else {
		s.problems[part] = problem
	}
	switch {
	case len(s.problems) > 0:
		s.set(wire.Unreachable, strings.Join(slices.Compact(slices.Sorted(maps.Values(s.problems))), "; "))
	case s.known:
		s.set(wire.Ready, "")
	}
}

// The parts that can have a problem.
const (
	partInflux = "influxdb " // and the writer's number
	partSpool  = "spool"
	partRead   = "reading the spool"
	partDead   = "dead letters"
	partFull   = "dead letters full"
)
