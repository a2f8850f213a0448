package upload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/store"
	"kith/upload/stage"
	"kith/upload/table"
)

// errStopped ends the stages of a job that was stopped.
var errStopped = errors.New("the job was stopped")

// progress is what this node knows of a job it works on.
type progress struct {
	rows, bytes atomic.Int64
	paused      atomic.Bool // because the disk is full
	shared      bool        // other nodes help
	stop        func()
}

// work is one run of a job's background work.
type work struct {
	*Service
	task *job.Task
	rec  *domain.Record
	job  *Job
	key  blob.Key
	m    *stage.Mapping
	file blob.Reader
	// attempt sets the blobs of this run apart from those of other runs.
	attempt string
	// buckets hold what was read; scratch are all blobs that only this run knows.
	buckets *stage.Buckets
	scratch []string
	// out takes the rows of what is resolved; nil where they are written bucket by bucket.
	out  *stage.Output
	plan *stage.Plan // for the stages, since prepare
	// took is how long the stages of this run took, for the log.
	took     struct{ read, resolve, apply time.Duration }
	began    time.Time   // when this run began, if no other one has worked on the job before
	paused   atomic.Bool // it has waited for room on the disk
	progress *progress
	done     atomic.Int64 // parts that were published
	dry      *dryRun      // nil in the real run
}

// Run implements job.Handler: it takes the job from wherever it is to its end.
func (s *Service) Run(ctx context.Context, t *job.Task) error {
	w, err := s.newWork(ctx, t)
	if w == nil || err != nil {
		return err
	}
	if w.job.Final || w.job.Status == api.UploadJobStatusCreated {
		return nil
	}
	if w.job.Time == 0 {
		w.began = time.Now()
	}
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.progress = &progress{stop: func() { cancel(errStopped) }, shared: t.Shared()}
	s.progress.Store(t.ID, w.progress)
	defer s.progress.Delete(t.ID)

	// A full disk is no failure: the work goes on when there is room.
	for {
		err := w.toTheEnd(ctx, runCtx, cancel)
		if !isFull(err) {
			return err
		}
		w.Log.Warn("the disk is full", "job", w.job.ID, "error", err)
		if err := w.waitForRoom(ctx); err != nil {
			return err
		}
		select { // the system may say that there is room and still refuse
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if err := w.reload(ctx); err != nil {
			return err
		}
		w.attempt = randomName()[:8]
	}
}

// toTheEnd takes the work through all stages that are left.
func (w *work) toTheEnd(ctx, runCtx context.Context, cancel context.CancelCauseFunc) error {
	defer w.release()
	if w.job.Status == api.UploadJobStatusInProgress && !w.job.Applying {
		err := w.decide(runCtx, cancel)
		if isFull(err) && context.Cause(runCtx) == nil {
			return err
		}
		if cause := context.Cause(runCtx); cause != nil && err != nil {
			err = cause
		}
		var bad *table.FileError
		switch {
		case errors.As(err, &bad):
			return w.fail(ctx, api.StatusReasonValidationFailure, bad.Code, bad.Reason)
		case errors.Is(err, errStopped):
			if err := w.reload(ctx); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return w.finish(ctx)
}

// newWork loads what every work on a job needs; it is nil when the job is gone.
func (s *Service) newWork(ctx context.Context, t *job.Task) (*work, error) {
	w := &work{Service: s, task: t, attempt: randomName()[:8]}
	if err := w.reload(ctx); errors.Is(err, fault.NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var err error
	if w.rec, err = s.record(ctx, t.Incarnation, w.job.Domain); err != nil {
		return nil, err
	}
	if w.key, err = s.clientToken(w.job); err != nil {
		return nil, err
	}
	w.m, err = stage.Compile(w.job.Fields, w.job.UniqueKey)
	return w, err
}

// record returns the domain of the work, or job.ErrLost when it is gone.
func (s *Service) record(ctx context.Context, inc store.Incarnation, name string) (*domain.Record, error) {
	rec, err := s.Domains.Read(ctx, name)
	if errors.Is(err, fault.NotFound) || err == nil && rec.Incarnation != inc {
		return nil, job.ErrLost
	}
	return rec, err
}

func (w *work) reload(ctx context.Context) error {
	j, err := w.load(ctx, &domain.Record{Incarnation: w.task.Incarnation}, w.task.ID)
	if err == nil {
		w.job = j
	}
	return err
}

// publish puts rows beside the job's record if the job is still IN_PROGRESS and the lease is ours.
func (w *work) publish(ctx context.Context, ops ...store.Swap) error {
	_, err := w.task.Swap(ctx, append(ops, w.unchanged())...)
	return w.explain(ctx, err)
}

// unchanged checks that the job's record is as it was read: nobody has stopped the job, and its stage is the same.
func (w *work) unchanged() store.Swap {
	return store.Swap{Key: stateKey, Op: store.Check, Expect: w.job.Version}
}

// explain tells why a publication met a conflict: the job was stopped, or another publisher was first (nil: its outcome counts).
func (w *work) explain(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	j, loadErr := w.load(ctx, w.rec, w.task.ID)
	if loadErr != nil {
		return loadErr
	}
	if j.Status == api.UploadJobStatusStopped {
		return errStopped
	}
	return nil
}

// update changes the job's record under the lease. errStopped: the job was stopped meanwhile.
func (w *work) update(ctx context.Context, change func(*Job)) error {
	changed := *w.job
	change(&changed)
	op, err := changed.swap()
	if err != nil {
		return err
	}
	v, err := w.task.Swap(ctx, op)
	if errors.Is(err, store.ErrConflict) {
		if err := w.reload(ctx); err != nil {
			return err
		}
		if w.job.Status == api.UploadJobStatusStopped && !w.job.Final {
			return errStopped
		}
		return errors.New("the job's record changed under its worker")
	}
	if err != nil {
		return err
	}
	changed.Version = v
	w.job = &changed
	return nil
}

// decide runs the stages that write no profiles.
func (w *work) decide(ctx context.Context, cancel context.CancelCauseFunc) error {
	var watcher sync.WaitGroup
	defer watcher.Wait()
	watchCtx, done := context.WithCancel(ctx)
	defer done()
	name := w.job.Domain
	watcher.Go(func() { w.watch(watchCtx, cancel, name) })

	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := w.waitForRoom(ctx); err != nil {
		return err
	}
	var err error
	if w.file, err = w.openFile(ctx, w.job, w.key); err != nil {
		return err
	}
	defer w.file.Close()
	w.prepare()
	read, runs, err := w.published(ctx, w.task.Incarnation, w.job.ID)
	if err != nil {
		return err
	}
	if read != nil && len(read.Spills) > 0 {
		w.buckets = &stage.Buckets{Spills: read.Spills}
	} else if read, err = w.read(ctx, read); err != nil {
		return err
	}
	start := time.Now()
	err = w.resolve(ctx, read, runs)
	w.took.resolve = time.Since(start)
	if errors.Is(err, stage.ErrSpillLost) {
		w.Log.Warn("spilled rows are lost, the file is read again", "job", w.job.ID, "error", err)
		if _, err := w.read(ctx, read); err != nil {
			return err
		}
		if _, runs, err = w.published(ctx, w.task.Incarnation, w.job.ID); err != nil {
			return err
		}
		err = w.resolve(ctx, read, runs)
	}
	if err != nil {
		return err
	}
	return w.update(ctx, func(j *Job) { j.Applying = true })
}

// watch cancels the stages when another node has stopped the job or the domain is gone.
func (w *work) watch(ctx context.Context, cancel context.CancelCauseFunc, name string) {
	tick := time.NewTicker(w.stopPollEvery())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rec, err := w.record(ctx, w.task.Incarnation, name)
		if errors.Is(err, job.ErrLost) {
			cancel(job.ErrLost)
			return
		}
		if err != nil {
			continue
		}
		j, err := w.load(ctx, rec, w.task.ID)
		if errors.Is(err, fault.NotFound) {
			cancel(job.ErrLost)
			return
		}
		if err == nil && j.Status == api.UploadJobStatusStopped {
			cancel(errStopped)
			return
		}
	}
}

func (s *Service) stopPollEvery() time.Duration {
	if s.StopPollEvery == 0 {
		return 500 * time.Millisecond
	}
	return s.StopPollEvery
}

// begin gives the job its time, makes its unique attribute a key of the domain and indexes the profiles there are.
func (w *work) begin(ctx context.Context) error {
	if w.job.Time == 0 {
		since, err := w.Feed.Settled(ctx, w.task.Incarnation)
		if err != nil {
			return err
		}
		at, rec, err := w.Domains.TakeJobTime(ctx, w.job.Domain, w.task.Incarnation, w.m.Own(), w.job.Options.Country)
		if errors.Is(err, domain.ErrGone) {
			return job.ErrLost
		}
		if err != nil {
			return err
		}
		w.rec = rec
		if err := w.update(ctx, func(j *Job) {
			j.Time, j.FeedSince, j.Country = at, since, cmp.Or(j.Options.Country, rec.Country)
		}); err != nil {
			return err
		}
	}
	if err := w.waitForCaches(ctx); err != nil {
		return err
	}
	if w.m.Own() == nil {
		return nil
	}
	if err := w.Feed.Ended(ctx, w.task.Incarnation); err != nil { // they may not know of the key
		return err
	}
	for _, k := range w.rec.Keys {
		if k.Name != w.m.Own().Name || k.Ready {
			continue
		}
		if err := w.Profiles.IndexKeyOfAll(ctx, w.task.Incarnation, k, w.job.Time); err != nil {
			return fmt.Errorf("index the profiles there are: %w", err)
		}
		rec, err := w.Domains.KeyReady(ctx, w.job.Domain, w.task.Incarnation, k.Name)
		if errors.Is(err, domain.ErrGone) {
			return job.ErrLost
		}
		if err != nil {
			return err
		}
		w.rec = rec
	}
	return nil
}

// waitForCaches waits until every node knows the domain's record with the job's time and key: a write of a node that does not could
// get a time before the job's, although the job does not see it. It is noted when it is done, so that work which is taken over again and again does not
// wait again and again.
func (w *work) waitForCaches(ctx context.Context) error {
	if !w.task.Shared() || w.job.Known {
		return nil
	}
	wait := w.CacheWait
	if wait == 0 {
		wait = domain.MaxStaleness
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	return w.update(ctx, func(j *Job) { j.Known = true })
}

// reconcile announces an import that has been applied, when the profiles it created and those that objects created meanwhile for the same
// keys are one. It may be repeated.
func (w *work) reconcile(ctx context.Context) error {
	if w.job.Time == 0 || w.job.AppliedAt != 0 {
		return nil
	}
	merged, err := w.Writer.Reconcile(ctx, w.rec, write.Applied{
		Since: w.job.FeedSince, KeyName: w.m.Index(),
		Created: func(_ context.Context, id fold.ID) (bool, error) { return w.plan.Minted(id), nil },
		Merge: func(ctx context.Context, main, imported fold.ID) error {
			return w.Profiles.MergeImported(ctx, w.rec, main, imported, "upload-job/"+w.job.ID)
		},
	})
	if err != nil {
		return err
	}
	at := w.Now().UnixMicro()
	if err := w.Feed.NoteImport(ctx, w.task.Incarnation, change.Import{Time: w.job.Time, Job: w.job.ID, AppliedAt: at}); err != nil {
		return err
	}
	for {
		err := w.update(ctx, func(j *Job) { j.AppliedAt = at; j.Merged += merged })
		if !errors.Is(err, errStopped) {
			return err
		}
	}
}

// finish applies what is published and gives the job its end.
func (w *work) finish(ctx context.Context) error {
	read, runs, err := w.published(ctx, w.task.Incarnation, w.job.ID)
	if err != nil {
		return err
	}
	w.prepare()
	if err := w.waitForRoom(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err = w.haveRows(ctx, read, runs); err == nil {
		err = w.apply(ctx, runs)
	}
	if errors.Is(err, stage.ErrSpillLost) {
		w.Log.Warn("spilled rows are lost, the file is read again", "job", w.job.ID, "error", err)
		if err = w.restore(ctx, read, runs); err == nil {
			err = w.apply(ctx, runs)
		}
	}
	w.took.apply = time.Since(start)
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	if err := w.reconcile(ctx); err != nil {
		return fmt.Errorf("reconcile with what was written meanwhile: %w", err)
	}
	c := stage.Sum(read, runs)
	rejects, kept, err := w.rejectAmbiguous(ctx, read, runs)
	if err != nil {
		return err
	}
	if read != nil {
		kept += read.KeptRejects
	}
	if err := w.conclude(ctx, c, rejects, kept); err != nil {
		return err
	}
	for _, run := range runs {
		w.scratch = append(w.scratch, run.Ambiguous)
	}
	if read != nil {
		w.scratch = append(w.scratch, read.Spills...)
	}
	w.clearScratch(ctx)
	deep := int64(0)
	for _, run := range runs {
		deep += run.Deep
	}
	if deep > 0 {
		compact := job.Work{Kind: profile.CompactKind, ID: profile.CompactKind, Incarnation: w.task.Incarnation, Arrived: w.Now().UnixMicro()}
		if err := job.Enqueue(ctx, w.Store, compact); err != nil {
			return err
		}
	}
	w.Log.Info("upload job ended", "job", w.job.ID, "status", w.job.Status, "created", c.Created, "updated", c.Updated, "failed", c.Failed,
		"read", w.took.read.Round(time.Millisecond), "resolve", w.took.resolve.Round(time.Millisecond), "apply", w.took.apply.Round(time.Millisecond))
	return nil
}

// haveRows sees to it that the rows of runs are there to be applied.
func (w *work) haveRows(ctx context.Context, read *stage.ReadResult, runs map[int]stage.RunResult) error {
	switch {
	case w.buckets != nil || len(runs) == 0:
		return nil
	case len(read.Spills) > 0:
		w.buckets = &stage.Buckets{Spills: read.Spills}
		return nil
	}
	return w.restore(ctx, read, runs)
}

// conclude writes the final state. A stop that comes in between stays a stop.
func (w *work) conclude(ctx context.Context, c stage.Counters, rejects string, kept int64) error {
	for {
		err := w.update(ctx, func(j *Job) {
			j.Counters, j.Final, j.AmbiguousRejects, j.KeptRejects, j.Took = c, true, rejects, kept, w.uninterrupted()
			if j.Status == api.UploadJobStatusStopped {
				return
			}
			j.CompletedAt = w.Now().UnixMicro()
			switch {
			case c.Failed == 0:
				j.Status = api.UploadJobStatusSucceeded
			case c.Created+c.Updated > 0:
				j.Status = api.UploadJobStatusPartiallySucceeded
			default:
				j.Status, j.StatusReason = api.UploadJobStatusFailed, api.StatusReasonValidationFailure
				j.Reason = "Every row was rejected; the rejects say why."
			}
		})
		if errors.Is(err, errStopped) {
			continue
		}
		return err
	}
}

// uninterrupted is how long the work took, in microseconds; 0 if it was done in several runs, or has waited.
func (w *work) uninterrupted() int64 {
	if w.began.IsZero() || w.paused.Load() {
		return 0
	}
	return max(1, time.Since(w.began).Microseconds())
}

// fail ends the job before anything was written.
func (w *work) fail(ctx context.Context, reason api.StatusReason, code, text string) error {
	err := w.update(ctx, func(j *Job) {
		j.Status, j.StatusReason, j.Reason = api.UploadJobStatusFailed, reason, text
		j.CompletedAt, j.Final, j.Took = w.Now().UnixMicro(), true, w.uninterrupted()
	})
	if errors.Is(err, errStopped) {
		return w.finish(ctx)
	}
	if err == nil {
		w.Log.Info("upload job failed", "job", w.job.ID, "reason", reason, "code", code)
		w.clearScratch(ctx)
	}
	return err
}

// clearScratch deletes blobs that nothing needs any more. While the job may still be continued by another run it leaves them.
func (w *work) clearScratch(ctx context.Context) {
	if w.dry == nil && !w.job.Final {
		return
	}
	for _, name := range w.scratch {
		if name == "" {
			continue
		}
		if err := w.Blobs.Delete(context.WithoutCancel(ctx), name); err != nil {
			w.Log.Warn("a scratch file could not be deleted; the next clean-up tries again", "job", w.job.ID, "error", err)
			return
		}
	}
	w.scratch = nil
}
