// Package faulty wraps a store, injects errors and stops calls, for tests. It is never part of the product's configuration.
package faulty

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"kith/store"
)

// Op names a method of the contract.
type Op string

// The methods that can fail.
const (
	Get            Op = "Get"
	Scan           Op = "Scan"
	Probe          Op = "Probe"
	Write          Op = "Write"
	WriteRun       Op = "WriteRun"
	Swap           Op = "Swap"
	Commit         Op = "Commit"
	Sweep          Op = "Sweep"
	DropRange      Op = "DropRange"
	DropPartitions Op = "DropPartitions"
	Checkpoint     Op = "Checkpoint"
)

// Hook decides whether a call on a partition fails; nil never does.
type Hook func(Op, store.Partition) error

// Store is a store.Store that asks before and after every call whether it shall fail, or stop (stall.go). Hooks may be changed at
// any time. A Commit is asked about once for each of its partitions.
type Store struct {
	store.Store
	// Apart has a Commit done as a cluster does it, by Write, Swap and Write, each of them asked about and visible by itself.
	Apart bool

	beforeHook, afterHook atomic.Pointer[Hook]
	stalls                stalls
}

// Before sets what is asked before a call; its error is returned and nothing happens.
func (s *Store) Before(h Hook) { s.beforeHook.Store(&h) }

// After sets what is asked when a call that writes has succeeded; its error is returned although the write happened, as a
// lost answer would look.
func (s *Store) After(h Hook) { s.afterHook.Store(&h) }

func ask(hook *atomic.Pointer[Hook], op Op, p store.Partition) error {
	if h := hook.Load(); h != nil && *h != nil {
		return (*h)(op, p)
	}
	return nil
}

func (s *Store) before(ctx context.Context, calls ...Call) error {
	for _, c := range calls {
		if err := s.stalls.pass(ctx, c); err != nil {
			return err
		}
		if err := ask(&s.beforeHook, c.Op, c.Partition); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) after(ctx context.Context, calls ...Call) error {
	for _, c := range calls {
		c.Done = true
		if err := s.stalls.pass(ctx, c); err != nil {
			return err
		}
		if err := ask(&s.afterHook, c.Op, c.Partition); err != nil {
			return err
		}
	}
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	c := Call{Op: Get, Partition: p, Keys: [][]byte{key}}
	if err := s.before(ctx, c); err != nil {
		return store.Row{}, err
	}
	row, err := s.Store.Get(ctx, p, key)
	c.Done = true
	if stopped := s.stalls.pass(ctx, c); stopped != nil {
		return store.Row{}, stopped
	}
	return row, err
}

// reading asks about a call that streams rows, and stops at their end.
func reading[T any](ctx context.Context, s *Store, c Call, rows iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := s.before(ctx, c); err != nil {
			yield(none, err)
			return
		}
		for row, err := range rows {
			if !yield(row, err) {
				return
			}
		}
		c.Done = true
		if err := s.stalls.pass(ctx, c); err != nil {
			yield(none, err)
		}
	}
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, p store.Partition, r store.Range) iter.Seq2[store.Row, error] {
	return reading(ctx, s, Call{Op: Scan, Partition: p}, s.Store.Scan(ctx, p, r))
}

// Probe implements store.Store.
func (s *Store) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	return reading(ctx, s, Call{Op: Probe, Partition: store.Partition{Table: t, Incarnation: inc}}, s.Store.Probe(ctx, t, inc, probes))
}

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return reading(ctx, s, Call{Op: Sweep, Partition: store.Partition{Table: r.Table, Incarnation: r.Incarnation}}, s.Store.Sweep(ctx, r))
}

// writing asks before and after a call that writes.
func (s *Store) writing(ctx context.Context, do func() error, calls ...Call) error {
	if err := s.before(ctx, calls...); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.after(ctx, calls...)
}

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, p store.Partition, ms []store.Mutation) error {
	return s.writing(ctx, func() error { return s.Store.Write(ctx, p, ms) }, writeCall(Write, p, ms))
}

func writeCall(op Op, p store.Partition, ms []store.Mutation) Call {
	c := Call{Op: op, Partition: p}
	for _, m := range ms {
		c.Keys = append(c.Keys, m.Key)
	}
	return c
}

// WriteRun implements store.Store.
func (s *Store) WriteRun(ctx context.Context, runs ...store.Run) error {
	var calls []Call
	for _, run := range runs {
		calls = append(calls, Call{Op: WriteRun, Partition: store.Partition{Table: run.Table}})
	}
	return s.writing(ctx, func() error { return s.Store.WriteRun(ctx, runs...) }, calls...)
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (v uint64, err error) {
	err = s.writing(ctx, func() error {
		v, err = s.Store.Swap(ctx, p, ops)
		return err
	}, swapCall(Swap, p, ops))
	if err != nil {
		return 0, err
	}
	return v, nil
}

func swapCall(op Op, p store.Partition, ops []store.Swap) Call {
	c := Call{Op: op, Partition: p}
	for _, o := range ops {
		c.Keys = append(c.Keys, o.Key)
	}
	return c
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, g store.Group) (v uint64, err error) {
	if s.Apart {
		return s.commitApart(ctx, g)
	}
	var calls []Call
	for _, w := range g.Before {
		calls = append(calls, writeCall(Commit, w.Partition, w.Mutations))
	}
	if len(g.Swap) > 0 {
		calls = append(calls, swapCall(Commit, g.Partition, g.Swap))
	}
	for _, w := range g.After {
		calls = append(calls, writeCall(Commit, w.Partition, w.Mutations))
	}
	err = s.writing(ctx, func() error {
		v, err = s.Store.Commit(ctx, g)
		return err
	}, calls...)
	if errors.Is(err, store.ErrUnknown) {
		v = 0
	}
	return v, err
}

func (s *Store) commitApart(ctx context.Context, g store.Group) (v uint64, err error) {
	if err := store.CheckGroup(g); err != nil {
		return 0, err
	}
	for _, w := range g.Before {
		if err := s.Write(ctx, w.Partition, w.Mutations); err != nil {
			return 0, err
		}
	}
	if len(g.Swap) > 0 {
		if v, err = s.Swap(ctx, g.Partition, g.Swap); err != nil {
			return 0, err
		}
	}
	for _, w := range g.After {
		if err := s.Write(ctx, w.Partition, w.Mutations); err != nil {
			return v, err
		}
	}
	if g.Visible != nil {
		g.Visible()
	}
	return v, nil
}

// Whole implements store.Store.
func (s *Store) Whole() bool { return !s.Apart && s.Store.Whole() }

// DropRange implements store.Store.
func (s *Store) DropRange(ctx context.Context, t store.Table, inc store.Incarnation) error {
	return s.writing(ctx, func() error { return s.Store.DropRange(ctx, t, inc) }, Call{Op: DropRange, Partition: store.Partition{Table: t, Incarnation: inc}})
}

// DropPartitions implements store.Store.
func (s *Store) DropPartitions(ctx context.Context, t store.Table, inc store.Incarnation, from, to string, keys iter.Seq[string]) error {
	return s.writing(ctx, func() error { return s.Store.DropPartitions(ctx, t, inc, from, to, keys) },
		Call{Op: DropPartitions, Partition: store.Partition{Table: t, Incarnation: inc, Key: from}})
}

// Checkpoint implements store.Store.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := s.before(ctx, Call{Op: Checkpoint}); err != nil {
		return err
	}
	return s.Store.Checkpoint(ctx, dir)
}
