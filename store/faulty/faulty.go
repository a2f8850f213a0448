// Package faulty wraps a store and injects errors, for tests. It is never part of the product's configuration.
package faulty

import (
	"context"
	"iter"
	"sync/atomic"

	"kith/store"
)

// Op names a method of the contract.
type Op string

// The methods that can fail.
const (
	Get        Op = "Get"
	Scan       Op = "Scan"
	Probe      Op = "Probe"
	Write      Op = "Write"
	WriteRun   Op = "WriteRun"
	Swap       Op = "Swap"
	Sweep      Op = "Sweep"
	Checkpoint Op = "Checkpoint"
)

// Hook decides whether a call on a partition fails; nil never does.
type Hook func(Op, store.Partition) error

// Store is a store.Store that asks before and after every call whether it shall fail. Hooks may be changed at any time.
type Store struct {
	store.Store
	beforeHook, afterHook atomic.Pointer[Hook]
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

func (s *Store) before(op Op, p store.Partition) error { return ask(&s.beforeHook, op, p) }

func (s *Store) after(op Op, p store.Partition) error { return ask(&s.afterHook, op, p) }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	if err := s.before(Get, p); err != nil {
		return store.Row{}, err
	}
	return s.Store.Get(ctx, p, key)
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, p store.Partition, r store.Range) iter.Seq2[store.Row, error] {
	if err := s.before(Scan, p); err != nil {
		return func(yield func(store.Row, error) bool) { yield(store.Row{}, err) }
	}
	return s.Store.Scan(ctx, p, r)
}

// Probe implements store.Store.
func (s *Store) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	if err := s.before(Probe, store.Partition{Table: t, Incarnation: inc}); err != nil {
		return func(yield func(store.Hit, error) bool) { yield(store.Hit{}, err) }
	}
	return s.Store.Probe(ctx, t, inc, probes)
}

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, p store.Partition, ms []store.Mutation) error {
	if err := s.before(Write, p); err != nil {
		return err
	}
	if err := s.Store.Write(ctx, p, ms); err != nil {
		return err
	}
	return s.after(Write, p)
}

// WriteRun implements store.Store.
func (s *Store) WriteRun(ctx context.Context, runs ...store.Run) error {
	for _, run := range runs {
		if err := s.before(WriteRun, store.Partition{Table: run.Table}); err != nil {
			return err
		}
	}
	if err := s.Store.WriteRun(ctx, runs...); err != nil {
		return err
	}
	for _, run := range runs {
		if err := s.after(WriteRun, store.Partition{Table: run.Table}); err != nil {
			return err
		}
	}
	return nil
}

// Swap implements store.Store.
func (s *Store) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	if err := s.before(Swap, p); err != nil {
		return 0, err
	}
	v, err := s.Store.Swap(ctx, p, ops)
	if err != nil {
		return 0, err
	}
	if err := s.after(Swap, p); err != nil {
		return 0, err
	}
	return v, nil
}

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	if err := s.before(Sweep, store.Partition{Table: r.Table, Incarnation: r.Incarnation}); err != nil {
		return func(yield func(store.SweepRow, error) bool) { yield(store.SweepRow{}, err) }
	}
	return s.Store.Sweep(ctx, r)
}

// Checkpoint implements store.Store.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := s.before(Checkpoint, store.Partition{}); err != nil {
		return err
	}
	return s.Store.Checkpoint(ctx, dir)
}
