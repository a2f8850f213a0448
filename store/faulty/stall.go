package faulty

import (
	"context"
	"slices"
	"sync"

	"kith/store"
)

// Call is a call of a method on a partition, before or after its effect.
type Call struct {
	Op Op
	// Partition has no key, or no incarnation, where a call touches many.
	Partition store.Partition
	// Keys are those of the rows that a Get, Write, Swap or Commit names.
	Keys [][]byte
	// Done says that the call has had its effect: what it wrote is visible, what it reads has been read. A call that streams rows has
	// given out all of them.
	Done bool
}

// Match picks calls.
type Match func(Call) bool

// On picks the calls of a method on a table before their effect.
func On(op Op, t store.Table) Match {
	return func(c Call) bool { return !c.Done && c.Op == op && c.Partition.Table == t }
}

// Behind picks the calls of a method on a table after their effect, before the caller has the answer.
func Behind(op Op, t store.Table) Match {
	return func(c Call) bool { return c.Done && c.Op == op && c.Partition.Table == t }
}

// Key picks those of m's calls that name a row whose key is accepted.
func (m Match) Key(accept func(key []byte) bool) Match {
	return func(c Call) bool { return m(c) && slices.ContainsFunc(c.Keys, accept) }
}

// Nth picks only the nth of m's calls, counted from 1.
func (m Match) Nth(n int) Match {
	var mu sync.Mutex
	return func(c Call) bool {
		if !m(c) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		n--
		return n == 0
	}
}

// Stall is a call that is to be stopped, or is.
type Stall struct {
	match             Match
	arrived, released chan struct{}
	release           sync.Once
}

// Stall stops the first call that m picks, and no other, until it is released or its context ends.
func (s *Store) Stall(m Match) *Stall {
	st := &Stall{match: m, arrived: make(chan struct{}), released: make(chan struct{})}
	s.stalls.mu.Lock()
	defer s.stalls.mu.Unlock()
	s.stalls.all = append(s.stalls.all, st)
	return st
}

// Arrived is closed when the call stands still.
func (st *Stall) Arrived() <-chan struct{} { return st.arrived }

// Release lets the call go on. It may be called more than once, also before the call arrives.
func (st *Stall) Release() { st.release.Do(func() { close(st.released) }) }

// stalls are those that wait for their calls.
type stalls struct {
	mu  sync.Mutex
	all []*Stall
}

// pass stops a call if a stall wants it.
func (s *stalls) pass(ctx context.Context, c Call) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.all, func(st *Stall) bool { return st.match(c) })
	if i < 0 {
		s.mu.Unlock()
		return nil
	}
	st := s.all[i]
	s.all = slices.Delete(s.all, i, i+1)
	s.mu.Unlock()
	close(st.arrived)
	select {
	case <-st.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
