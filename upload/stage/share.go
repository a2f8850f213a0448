package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kith/job"
	"kith/store"
)

// Stage is a stage of a job in parts, one per bucket.
type Stage struct {
	Name string
	// Row is there when the part of a bucket is done.
	Row func(bucket int) []byte
	// Only is what must hold for a part to be worth doing.
	Only []store.Swap
	// Workers do parts side by side. Each gets a function of its own from Worker, which does one part after the other and
	// returns how it is published.
	Workers int
	Worker  func() func(ctx context.Context, bucket int) (Publisher, error)
}

// Publisher makes the Outcome of a part count.
type Publisher func(ctx context.Context, part *job.Part) error

// Sharer divides the parts of a stage among its own workers and other nodes.
type Sharer struct {
	Task  *job.Task
	Store store.Store
	Room  func(context.Context) error // waits for room on the disk
	Poll  time.Duration               // how soon it is looked whether other nodes have done their parts
	Done  *atomic.Int64               // parts that were published here
}

// Share does the parts of a stage, as far as no other node has them. It returns when all are done, by whomever; a helper returns
// when none is left to claim.
func (sh *Sharer) Share(ctx context.Context, s Stage, buckets []int) error {
	if sh.Task.Helping() && len(buckets) > 1 { // nodes that begin at different places meet late
		at := rand.IntN(len(buckets))
		buckets = slices.Concat(buckets[at:], buckets[:at])
	}
	for len(buckets) > 0 {
		others, err := sh.doParts(ctx, s, buckets)
		if err != nil || sh.Task.Helping() || len(others) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(sh.Poll):
		}
		buckets = buckets[:0]
		for _, bucket := range others {
			_, err := sh.Store.Get(ctx, sh.Task.Partition(), s.Row(bucket))
			if errors.Is(err, store.ErrNotFound) {
				buckets = append(buckets, bucket)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// doParts does the parts that this node can claim, and returns the others. What a part leaves is published behind the workers,
// for that waits for the disk.
func (sh *Sharer) doParts(ctx context.Context, s Stage, buckets []int) (others []int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	todo := make(chan int)
	slots := make(chan struct{}, 4) // parts that are being published
	var workers, publishers sync.WaitGroup
	ended := func(bucket int, err error) {
		switch {
		case errors.Is(err, job.ErrTaken), errors.Is(err, job.ErrLost) && sh.Task.Shared() && ctx.Err() == nil:
			mu.Lock()
			others = append(others, bucket)
			mu.Unlock()
		case err != nil:
			cancel(err)
		}
	}
	for range min(s.Workers, len(buckets)) {
		workers.Go(func() {
			do := s.Worker()
			for bucket := range todo {
				if ctx.Err() != nil {
					continue
				}
				part, publish, err := sh.doPart(ctx, s, bucket, do)
				if err != nil {
					ended(bucket, err)
					continue
				}
				slots <- struct{}{}
				publishers.Go(func() {
					defer func() { <-slots }()
					err := publish(ctx, part)
					if err == nil {
						sh.Done.Add(1)
					}
					ended(bucket, err)
				})
			}
		})
	}
	for _, bucket := range buckets {
		select {
		case todo <- bucket:
		case <-ctx.Done():
		}
	}
	close(todo)
	workers.Wait()
	publishers.Wait()
	return others, context.Cause(ctx)
}

// doPart claims a part and does it.
func (sh *Sharer) doPart(ctx context.Context, s Stage, bucket int, do func(context.Context, int) (Publisher, error)) (*job.Part, Publisher, error) {
	if err := sh.Room(ctx); err != nil {
		return nil, nil, err
	}
	only := append(slices.Clone(s.Only), store.Swap{Key: s.Row(bucket), Op: store.Check})
	part, partCtx, err := sh.Task.Claim(ctx, fmt.Sprintf("%s/%05d", s.Name, bucket), only...)
	if err != nil {
		return nil, nil, err
	}
	publish, err := do(partCtx, bucket)
	if err != nil {
		if cause := context.Cause(partCtx); errors.Is(cause, job.ErrLost) {
			err = cause
		}
		part.GiveUp(ctx)
		return nil, nil, err
	}
	return part, publish, nil
}
