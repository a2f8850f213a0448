package upload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kith/api"
	"kith/blob"
	"kith/fault"
	"kith/job"
	"kith/store"
)

// Resolving and applying are done bucket by bucket, each by whichever node claims it: the one that has the job's lease, or one
// that helps. Both are exact without the lease. The run of a bucket is published by a Swap that inserts its row if there is none
// and checks that the job has not been stopped and has not begun to apply; applying may be repeated, and what a late helper
// writes carries the job's time, so that it undoes nothing newer. The row "applied/<bucket>" only spares others the work.

const appliedPrefix = "applied/"

func appliedKey(bucket int) []byte { return fmt.Appendf(nil, "%s%05d", appliedPrefix, bucket) }

// stage is a stage of a job in parts, one per bucket.
type stage struct {
	name string
	// row is there when the part of a bucket is done.
	row func(bucket int) []byte
	// only is what must hold for a part to be worth doing.
	only []store.Swap
	// workers do parts side by side. Each gets a function of its own from worker, which does one part after the other and
	// returns how it is published.
	workers int
	worker  func() func(ctx context.Context, bucket int) (publisher, error)
}

// publisher makes the outcome of a part count.
type publisher func(ctx context.Context, part *job.Part) error

// sharer divides the parts of a stage among its own workers and other nodes.
type sharer struct {
	task  *job.Task
	store store.Store
	room  func(context.Context) error // waits for room on the disk
	poll  time.Duration               // how soon it is looked whether other nodes have done their parts
	done  *atomic.Int64               // parts that were published here
}

func (w *work) newSharer() *sharer {
	return &sharer{task: w.task, store: w.Store, room: w.waitForRoom, poll: w.stopPollEvery(), done: &w.done}
}

// share does the parts of a stage, as far as no other node has them. It returns when all are done, by whomever; a helper returns
// when none is left to claim.
func (sh *sharer) share(ctx context.Context, s stage, buckets []int) error {
	if sh.task.Helping() && len(buckets) > 1 { // nodes that begin at different places meet late
		at := rand.IntN(len(buckets))
		buckets = slices.Concat(buckets[at:], buckets[:at])
	}
	for len(buckets) > 0 {
		others, err := sh.doParts(ctx, s, buckets)
		if err != nil || sh.task.Helping() || len(others) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(sh.poll):
		}
		buckets = buckets[:0]
		for _, bucket := range others {
			_, err := sh.store.Get(ctx, sh.task.Partition(), s.row(bucket))
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
func (sh *sharer) doParts(ctx context.Context, s stage, buckets []int) (others []int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	todo := make(chan int)
	slots := make(chan struct{}, 4) // parts that are being published
	var workers, publishers sync.WaitGroup
	ended := func(bucket int, err error) {
		switch {
		case errors.Is(err, job.ErrTaken), errors.Is(err, job.ErrLost) && sh.task.Shared() && ctx.Err() == nil:
			mu.Lock()
			others = append(others, bucket)
			mu.Unlock()
		case err != nil:
			cancel(err)
		}
	}
	for range min(s.workers, len(buckets)) {
		workers.Go(func() {
			do := s.worker()
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
						sh.done.Add(1)
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
func (sh *sharer) doPart(ctx context.Context, s stage, bucket int, do func(context.Context, int) (publisher, error)) (*job.Part, publisher, error) {
	if err := sh.room(ctx); err != nil {
		return nil, nil, err
	}
	only := append(slices.Clone(s.only), store.Swap{Key: s.row(bucket), Op: store.Check})
	part, partCtx, err := sh.task.Claim(ctx, fmt.Sprintf("%s/%05d", s.name, bucket), only...)
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

// applied returns the rows that say which buckets have been applied.
func (s *Service) applied(ctx context.Context, inc store.Incarnation, id string) (map[string]bool, error) {
	done := map[string]bool{}
	for row, err := range s.Store.Scan(ctx, job.Partition(inc, id), store.Prefix(appliedPrefix)) {
		if err != nil {
			return nil, err
		}
		done[string(row.Key)] = true
	}
	return done, nil
}

// Help implements job.Helper: it resolves and applies buckets of a job that another node has the lease of.
func (s *Service) Help(ctx context.Context, t *job.Task) error {
	w, err := s.newWork(ctx, t)
	if w == nil || err != nil {
		return err
	}
	resolving := w.job.Status == api.UploadJobStatusInProgress && !w.job.Applying
	if w.job.Final || w.job.Time == 0 || w.job.Status == api.UploadJobStatusCreated {
		return nil
	}
	helpCtx, cancel := context.WithCancelCause(ctx)
	w.progress = &progress{stop: func() { cancel(errStopped) }}
	s.progress.Store(t.ID, w.progress)
	defer s.progress.Delete(t.ID)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel(nil)

	read, runs, err := w.published(helpCtx, t.Incarnation, t.ID)
	if err != nil || read == nil {
		return err
	}
	w.prepare()
	start := time.Now()
	if resolving {
		if len(read.Spills) == 0 || len(runs) == read.Buckets {
			return nil
		}
		watcher.Go(func() { w.watch(helpCtx, cancel, w.job.Domain) })
		w.buckets = &buckets{spills: read.Spills}
		err = w.resolve(helpCtx, read, runs)
	} else {
		err = w.apply(helpCtx, runs)
	}
	if n := w.done.Load(); n > 0 {
		w.Log.Info("helped with an upload job", "job", t.ID, "buckets", n, "resolving", resolving, "took", time.Since(start).Round(time.Millisecond))
	}
	switch cause := context.Cause(helpCtx); {
	case errors.Is(err, errSpillLost), errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrSealed):
		return nil // whoever has the lease reads the file again, or has ended the job
	case errors.Is(err, errStopped), errors.Is(cause, errStopped), errors.Is(err, fault.NotFound):
		return nil
	case cause != nil && ctx.Err() == nil:
		return cause
	}
	return err
}
