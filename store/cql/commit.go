package cql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"kith/store"
)

// sideBySide is how many partitions of a group are written at once.
const sideBySide = 32

// Commit implements store.Store: the writes before, the Swap, the writes behind it, each when the one ahead has been acknowledged.
func (s *Store) Commit(ctx context.Context, g store.Group) (version uint64, err error) {
	if err := errors.Join(ctx.Err(), store.CheckGroup(g)); err != nil {
		return 0, err
	}
	if err := s.writeAll(ctx, g.Before); err != nil {
		return 0, err
	}
	if len(g.Swap) > 0 {
		if version, err = s.Swap(ctx, g.Partition, g.Swap); err != nil {
			return 0, err
		}
	}
	if err = s.writeAll(ctx, g.After); err == nil && g.Visible != nil {
		g.Visible()
	}
	return version, err
}

// writeAll writes partitions side by side and returns when all answers are there.
func (s *Store) writeAll(ctx context.Context, writes []store.PartitionWrite) error {
	if len(writes) == 1 {
		return s.Write(ctx, writes[0].Partition, writes[0].Mutations)
	}
	errs := make([]error, len(writes))
	slots := make(chan struct{}, sideBySide)
	var wg sync.WaitGroup
	for i, w := range writes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = s.Write(ctx, w.Partition, w.Mutations)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// DropPartitions implements store.Store by a deletion for each partition that is listed, several side by side.
func (s *Store) DropPartitions(ctx context.Context, t store.Table, inc store.Incarnation, from, to string, keys iter.Seq[string]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, sideBySide)
	var wg sync.WaitGroup
	for key := range keys {
		if key < from || key >= to {
			continue
		}
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.dropPartition(ctx, store.Partition{Table: t, Incarnation: inc, Key: key}); err != nil {
				cancel(fmt.Errorf("drop a partition: %w", err))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// dropPartition removes a partition and the shards that it may have.
func (s *Store) dropPartition(ctx context.Context, p store.Partition) error {
	n, err := s.shards(ctx, p)
	for i := 0; i < n && err == nil; i++ {
		err = s.purge(ctx, shardOf(p, i))
	}
	if err == nil {
		err = s.purge(ctx, placeOf(p))
	}
	return err
}
