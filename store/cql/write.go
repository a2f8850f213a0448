package cql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"kith/store"
)

// Write implements store.Store by one unlogged batch, which is atomic within a partition.
func (s *Store) Write(ctx context.Context, p store.Partition, ms []store.Mutation) error {
	if err := errors.Join(ctx.Err(), store.CheckMutations(p, ms)); err != nil || len(ms) == 0 {
		return err
	}
	if err := s.send(ctx, placeOf(p), ms); err != nil {
		return err
	}
	gone := deletes(ms)
	if p.Table != mayBeWide || len(gone) == 0 {
		return nil
	}
	n, err := s.shards(ctx, p)
	if err != nil || n == 0 {
		return err
	}
	return s.toShards(ctx, p, n, gone)
}

// send writes mutations to a place until it happens.
func (s *Store) send(ctx context.Context, pl place, ms []store.Mutation) error {
	return s.repeat(ctx, func() error {
		if len(ms) == 1 {
			stmt, args := pl.mutation(ms[0])
			return s.session.Query(stmt, args...).ExecContext(ctx)
		}
		b := s.session.Batch(gocql.UnloggedBatch)
		for _, m := range ms {
			stmt, args := pl.mutation(m)
			b.Query(stmt, args...)
		}
		return b.ExecContext(ctx)
	})
}

func (pl place) mutation(m store.Mutation) (string, []any) {
	if m.Delete {
		return pl.del, pl.with([]any{m.Time}, full(m.Key))
	}
	return pl.put, pl.with(nil, full(m.Key), full(m.Value), m.Time)
}

// A run's rows of one partition go out in batches of this many, and of this many bytes: a replica applies a batch at once.
const (
	batchRows  = 500
	batchBytes = 256 << 10
)

// WriteRun implements store.Store: the batches of a run go out side by side, as many as the cluster bears, and a run begins
// when the one before it has been written.
func (s *Store) WriteRun(ctx context.Context, runs ...store.Run) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, run := range runs {
		if err := s.writeRun(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// writers is how many batches of a run may wait for a place of the limiter.
const writers = 128

func (s *Store) writeRun(ctx context.Context, run store.Run) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan batch, writers)
	to, wide := &spread{s: s, wider: map[store.Partition]int{}}, &wideList{s: s}
	var wg sync.WaitGroup
	start := func() {
		wg.Go(func() {
			for b := range batches {
				if err := to.write(ctx, b); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for range writers {
		start()
	}
	err := eachBatch(run, func(b batch) bool {
		if run.Table == mayBeWide {
			var err error
			if b.shards, err = wide.find(ctx, b.p); err != nil {
				cancel(err)
				return false
			}
		}
		select {
		case batches <- b:
			return true
		case <-ctx.Done():
			return false
		}
	})
	close(batches)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

type batch struct {
	p    store.Partition
	rows []store.Mutation
	size int
	nth  int // of those of the partition
	// shards is how many the partition has, as far as it is known.
	shards int
}

// eachBatch cuts a run into batches of one partition. A partition whose source failed in the middle is left out, as far as
// it is not too large for one batch.
func eachBatch(run store.Run, emit func(batch) bool) error {
	var b batch
	var lastPart, lastKey []byte
	first := true
	for r, err := range run.Rows {
		if err != nil {
			return err
		}
		if n := len(r.Partition) + len(r.Mutation.Key); n > store.MaxKey || len(r.Mutation.Value) > store.MaxValue {
			return store.CheckMutations(store.Partition{Key: string(r.Partition)}, []store.Mutation{r.Mutation})
		}
		same := !first && r.Incarnation == b.p.Incarnation && bytes.Equal(r.Partition, lastPart)
		switch {
		case same && bytes.Compare(r.Mutation.Key, lastKey) <= 0,
			!same && !first && (r.Incarnation < b.p.Incarnation || r.Incarnation == b.p.Incarnation && bytes.Compare(r.Partition, lastPart) < 0):
			return fmt.Errorf("a row of a run: %w", store.ErrOrder)
		}
		if !same || len(b.rows) >= batchRows || b.size >= batchBytes {
			if len(b.rows) > 0 && !emit(b) {
				return nil
			}
			nth := 0
			if same {
				nth = b.nth + 1
			}
			b = batch{p: store.Partition{Table: run.Table, Incarnation: r.Incarnation, Key: string(r.Partition)}, nth: nth}
		}
		first = false
		lastPart, lastKey = append(lastPart[:0], r.Partition...), append(lastKey[:0], r.Mutation.Key...)
		m := r.Mutation
		m.Key, m.Value = bytes.Clone(m.Key), bytes.Clone(m.Value)
		b.rows = append(b.rows, m)
		b.size += len(m.Key) + len(m.Value)
	}
	if len(b.rows) > 0 {
		emit(b)
	}
	return nil
}
