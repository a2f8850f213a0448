package job

import (
	"maps"
	"sync"
)

// Stats counts what this node's background work does, by kind.
type Stats struct {
	Running map[string]int   // now
	Failed  map[string]int64 // attempts, since the start
	GaveUp  map[string]int64 // pieces of work, since the start
	// Troubles is how much fails at the moment and is tried again.
	Troubles int
}

type stats struct {
	mu sync.Mutex
	s  Stats
}

func (s *stats) change(do func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s.Running == nil {
		s.s = Stats{Running: map[string]int{}, Failed: map[string]int64{}, GaveUp: map[string]int64{}}
	}
	do(&s.s)
}

func (s *stats) begin(kind string)  { s.change(func(s *Stats) { s.Running[kind]++ }) }
func (s *stats) end(kind string)    { s.change(func(s *Stats) { s.Running[kind]-- }) }
func (s *stats) failed(kind string) { s.change(func(s *Stats) { s.Failed[kind]++ }) }
func (s *stats) gaveUp(kind string) { s.change(func(s *Stats) { s.GaveUp[kind]++ }) }

// Stats returns what this node's background work does.
func (r *Runner) Stats() (out Stats) {
	r.init()
	r.stats.change(func(s *Stats) {
		out = Stats{Running: maps.Clone(s.Running), Failed: maps.Clone(s.Failed), GaveUp: maps.Clone(s.GaveUp)}
	})
	out.Troubles = r.calm.Count()
	return out
}

// Running says whether work of a kind runs on this node, or is helped with.
func (r *Runner) Running(kind string) (runs bool) {
	r.stats.change(func(s *Stats) { runs = s.Running[kind] > 0 })
	return runs
}
