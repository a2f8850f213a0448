package upload

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"kith/api"
	"kith/blob"
	"kith/fault"
	"kith/internal/extsort"
	"kith/job"
	"kith/schema"
	"kith/store"
	"kith/upload/stage"
)

// arena is the memory of rows that wait, of all jobs of this process that have no other.
var arena = extsort.Arena{Budget: 48 << 20}

// prepare makes the plan for the stages, from the job's record and the domain's as they are now.
func (w *work) prepare() {
	country, _ := schema.ParseCountry(w.job.Country) // "" is none
	w.plan = stage.NewPlan(stage.Facts{
		Store: w.Store, Blobs: w.Blobs, Log: w.Log, Profiles: w.Profiles, Incarnation: w.task.Incarnation, JobID: w.job.idBytes(), Job: w.job.ID,
		Dir: blobDir(w.task.Incarnation, w.job.ID), Key: w.key, Attempt: w.attempt, Time: w.job.Time, Expires: w.job.expires(),
		Country: country, Mapping: w.m, Keys: w.rec.Keys, Dead: w.rec.Dead(), Arena: cmp.Or(w.Arena, &arena), ScratchDir: w.ScratchDir,
		Secret: binary.BigEndian.Uint64(w.Sealer.Subkey("fingerprints")), Live: w.live(),
	})
}

// newReader returns what reads the job's file. The seed of the hash that divides keys is not known to who has made the file.
func (w *work) newReader() *stage.Reader {
	return w.plan.NewReader(stage.Reading{
		File: w.file, StrictAWS: w.StrictAWS, TooLong: w.job.Options.TooLong, Encoding: w.job.Options.Encoding, Layout: w.job.Options.layout(), Sheet: w.job.Options.Sheet, BucketBytes: w.BucketBytes, MemoryBytes: w.MemoryBytes, Workers: w.Workers, BatchBytes: w.BatchBytes,
		Shared: w.task.Shared(), Secret: binary.BigEndian.Uint64(w.Sealer.Subkey("buckets")),
		Rows: &w.progress.rows, Bytes: &w.progress.bytes, Room: w.waitForRoom,
	})
}

func (w *work) newResolver(indexed bool) *stage.Resolver {
	if w.dry != nil {
		return w.plan.NewResolver(w.buckets, indexed, w.dry)
	}
	b := w.plan.NewResolver(w.buckets, indexed, nil)
	if w.out != nil {
		b.To(w.out)
	}
	return b
}

func (w *work) newSharer() *job.Sharer {
	return &job.Sharer{Task: w.task, Store: w.Store, Room: w.waitForRoom, Poll: w.stopPollEvery(), Done: &w.done}
}

// read fills w.buckets. It publishes what reading found, or returns what another run published before, which is prior, or nil when
// there is none.
func (w *work) read(ctx context.Context, prior *stage.ReadResult) (*stage.ReadResult, error) {
	start := time.Now()
	defer func() { w.took.read = time.Since(start) }()
	res, found, err := w.newReader().Read(ctx, prior)
	if found != nil {
		w.buckets.Close()
		w.buckets = found
		w.scratch = append(w.scratch, found.Spills...)
	}
	if err != nil || prior != nil || w.dry != nil {
		return res, err
	}
	value, err := encode(res)
	if err != nil {
		return nil, err
	}
	if err := w.publish(ctx, store.Swap{Key: readKey, Value: value}); err != nil {
		return nil, err
	}
	// Whoever published first decides, but what both read is the same.
	published, _, err := w.published(ctx, w.task.Incarnation, w.job.ID)
	return published, err
}

// stager returns what builds the tables of an import aside: the engine, if it can, for files that are large enough for tables. Where nodes share the
// work, each writes what it resolves.
func (w *work) stager(read *stage.ReadResult) store.Stager {
	least := w.TableRows
	if least == 0 {
		least = tableRows
	}
	if w.dry != nil || w.task.Shared() || read.Rows < least {
		return nil
	}
	return store.StagerOf(w.Store)
}

// tableRows is how many rows a file has for which tables are worth their while.
const tableRows = 20_000

// resolve is the second stage: it publishes a run for every bucket that has none. Where tables are built aside, rows go there already, those of
// runs that were published before, too.
func (w *work) resolve(ctx context.Context, read *stage.ReadResult, runs map[int]stage.RunResult) error {
	indexed, err := w.plan.AnyIndexed(ctx)
	if err != nil {
		return err
	}
	if err := w.openOutput(ctx, read, indexed); err != nil {
		return err
	}
	if w.out != nil {
		if err := w.again(ctx, runs); err != nil {
			w.release() // it lacks rows of what is published
			return err
		}
	}
	var missing []int
	for bucket := range read.Buckets {
		if _, ok := runs[bucket]; !ok {
			missing = append(missing, bucket)
		}
	}
	return w.newSharer().Share(ctx, job.Stage{
		Name: "resolve", Row: runKey, Only: []store.Swap{w.unchanged()}, Workers: stage.ResolveWorkers(),
		Worker: func() func(context.Context, int) (job.Publisher, error) {
			b := w.newResolver(indexed)
			return func(ctx context.Context, bucket int) (job.Publisher, error) {
				out, err := b.Resolve(ctx, bucket)
				if err != nil {
					return nil, err
				}
				return func(ctx context.Context, part *job.Part) error { return w.publishRun(ctx, part, out) }, nil
			}
		},
	}, missing)
}

// openOutput makes w.out if tables are built aside.
func (w *work) openOutput(ctx context.Context, read *stage.ReadResult, indexed bool) (err error) {
	w.out.Close()
	w.out = nil
	if engine := w.stager(read); engine != nil {
		w.out, err = w.plan.NewOutput(ctx, engine, w.buckets, read, indexed)
	}
	w.buckets.Once = w.out != nil || w.dry != nil
	return err
}

// again hands the rows of published runs to w.out.
func (w *work) again(ctx context.Context, runs map[int]stage.RunResult) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan int, len(runs))
	for bucket := range runs {
		todo <- bucket
	}
	close(todo)
	var workers sync.WaitGroup
	for range min(stage.ResolveWorkers(), len(runs)) {
		workers.Go(func() {
			b := w.newResolver(false)
			for bucket := range todo {
				run := runs[bucket]
				if err := b.Again(ctx, bucket, &run); err != nil {
					cancel(err)
				}
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// publishRun makes the outcome of a bucket durable and count.
func (w *work) publishRun(ctx context.Context, part *job.Part, o *stage.Outcome) error {
	defer o.Abort()
	value, err := encode(o.Result)
	if err == nil {
		err = o.Commit()
	}
	if err != nil {
		part.GiveUp(ctx)
		return err
	}
	if w.dry != nil {
		w.dry.add(o.Bucket, &o.Result)
		return nil
	}
	return w.explain(ctx, part.Publish(ctx, store.Swap{Key: runKey(o.Bucket), Value: value}, w.unchanged()))
}

// apply is the third stage: it writes what all runs say. It may be repeated. A node alone that has built tables aside lands them; else buckets are
// written one by one, where nodes share the work each by whoever claims it.
func (w *work) apply(ctx context.Context, runs map[int]stage.RunResult) error {
	if w.out != nil {
		err := w.out.Land(ctx, runs)
		w.out.Close()
		w.out = nil
		return err
	}
	if !w.task.Shared() {
		b := w.newResolver(false)
		for _, bucket := range slices.Sorted(maps.Keys(runs)) {
			run := runs[bucket]
			if err := b.Write(ctx, bucket, &run); err != nil {
				return err
			}
		}
		return nil
	}
	done, err := w.applied(ctx, w.task.Incarnation, w.job.ID)
	if err != nil {
		return err
	}
	var missing []int
	for _, bucket := range slices.Sorted(maps.Keys(runs)) {
		if runs[bucket].Run != "" && !done[string(appliedKey(bucket))] {
			missing = append(missing, bucket)
		}
	}
	return w.newSharer().Share(ctx, job.Stage{
		Name: "apply", Row: appliedKey, Workers: 2,
		Worker: func() func(context.Context, int) (job.Publisher, error) {
			b := w.newResolver(false)
			return func(ctx context.Context, bucket int) (job.Publisher, error) {
				run := runs[bucket]
				err := b.Write(ctx, bucket, &run)
				return func(ctx context.Context, part *job.Part) error {
					err := part.Publish(ctx, store.Swap{Key: appliedKey(bucket)})
					if errors.Is(err, store.ErrConflict) { // another node was faster
						return nil
					}
					return err
				}, err
			}
		},
	}, missing)
}

// restore reads the file again for the rows of runs, which are published and not applied.
func (w *work) restore(ctx context.Context, read *stage.ReadResult, runs map[int]stage.RunResult) error {
	var err error
	if w.file, err = w.openFile(ctx, w.job, w.key); err != nil {
		return err
	}
	defer w.file.Close()
	if _, err := w.read(ctx, read); err != nil {
		return err
	}
	if err := w.openOutput(ctx, read, true); err != nil || w.out == nil {
		return err
	}
	return w.again(ctx, runs)
}

// release lets go of the rows that wait.
func (w *work) release() {
	w.out.Close()
	w.buckets.Close()
	w.out, w.buckets = nil, nil
}

// Resolving and applying are done bucket by bucket, each by whichever node claims it: the one that has the job's lease, or one
// that helps. Both are exact without the lease. The run of a bucket is published by a Swap that inserts its row if there is none
// and checks that the job has not been stopped and has not begun to apply; applying may be repeated, and what a late helper
// writes carries the job's time, so that it undoes nothing newer. The row "applied/<bucket>" only spares others the work.

const appliedPrefix = "applied/"

func appliedKey(bucket int) []byte { return fmt.Appendf(nil, "%s%05d", appliedPrefix, bucket) }

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
	if err != nil || read == nil || len(read.Spills) == 0 {
		return err
	}
	w.buckets = &stage.Buckets{Spills: read.Spills}
	w.prepare()
	start := time.Now()
	if resolving {
		if len(runs) == read.Buckets {
			return nil
		}
		watcher.Go(func() { w.watch(helpCtx, cancel, w.job.Domain) })
		err = w.resolve(helpCtx, read, runs)
	} else {
		err = w.apply(helpCtx, runs)
	}
	if n := w.done.Load(); n > 0 {
		w.Log.Info("helped with an upload job", "job", t.ID, "buckets", n, "resolving", resolving, "took", time.Since(start).Round(time.Millisecond))
	}
	switch cause := context.Cause(helpCtx); {
	case errors.Is(err, stage.ErrSpillLost), errors.Is(err, blob.ErrNotFound), errors.Is(err, blob.ErrSealed):
		return nil // whoever has the lease reads the file again, or has ended the job
	case errors.Is(err, errStopped), errors.Is(cause, errStopped), errors.Is(err, fault.NotFound):
		return nil
	case cause != nil && ctx.Err() == nil:
		return cause
	}
	return err
}

// rejectAmbiguous writes down the rows that were rejected while resolving.
func (w *work) rejectAmbiguous(ctx context.Context, read *stage.ReadResult, runs map[int]stage.RunResult) (name string, kept int64, err error) {
	return w.plan.RejectAmbiguous(ctx, read, runs, w.StrictAWS, func() (blob.Reader, error) { return w.openFile(ctx, w.job, w.key) })
}
