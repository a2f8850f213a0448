package faulty

import (
	"context"

	"kith/store"
)

// AsStager implements what store.StagerOf asks for. What is staged is nobody's business; that it becomes visible is a WriteRun.
func (s *Store) AsStager() store.Stager {
	if engine := store.StagerOf(s.Store); engine != nil {
		return stager{engine, s}
	}
	return nil
}

type stager struct {
	store.Stager
	s *Store
}

// Land implements store.Stager.
func (t stager) Land(ctx context.Context, tables ...store.Staged) error {
	calls := []Call{{Op: WriteRun, Partition: store.Partition{Table: store.Index}}, {Op: WriteRun, Partition: store.Partition{Table: store.Profile}}}
	return t.s.writing(ctx, func() error { return t.Stager.Land(ctx, tables...) }, calls...)
}

// Remove implements store.Stager.
func (t stager) Remove(ctx context.Context, in store.SweepRange, gone func(key []byte) bool, before func() error) error {
	call := Call{Op: WriteRun, Partition: store.Partition{Table: in.Table, Incarnation: in.Incarnation}}
	return t.s.writing(ctx, func() error { return t.Stager.Remove(ctx, in, gone, before) }, call)
}
