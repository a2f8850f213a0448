package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
	"kith/upload/stage"
)

// UndoKind is the kind of background work that takes an import back.
const UndoKind = "undo"

// UndoUploadJob takes back what an ended job has brought: its contributions go, and with them the profiles that nothing else
// speaks of; values they had replaced come back; what others wrote, before or later, stays. It starts the work and answers at
// once; asking again gives progress, and goes on with an undo that has failed. It is possible while the job's runs are kept and none of it has been compacted.
func (s *Service) UndoUploadJob(ctx context.Context, in *api.UndoUploadJobRequest) (*api.UndoUploadJobResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	asked := false
	j, err := s.change(ctx, rec, *in.JobId, func(j *Job) error {
		asked = false
		switch {
		case j.UndoAt != 0 && j.UndoFailedAt == 0:
			return errUnchanged // asked for already, or done
		case j.Status == api.UploadJobStatusCreated:
			return fault.BadRequestf("Upload job %s was not started; there is nothing to undo.", j.ID)
		case !j.Final:
			return fault.BadRequestf("Upload job %s is still running. Wait for its end, or stop it first.", j.ID)
		case j.CompactedAt != 0:
			return fault.BadRequestf("Upload job %s can't be undone any more: its data has been compacted with that of other imports, %s.", j.ID, wireTime(j.CompactedAt).Format("2006-01-02 15:04 MST"))
		case j.RejectsDeletedAt != 0:
			return fault.BadRequestf("Upload job %s can't be undone any more: the record of what it wrote was deleted when its retention ended.", j.ID)
		}
		asked = true
		j.UndoAt = s.Now().UnixMicro()
		j.UndoFailedAt, j.UndoReason = 0, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch {
	case asked:
		err = s.queue(ctx, undoOf(rec.Incarnation, j), job.Enqueue)
	case j.UndoneAt == 0:
		err = s.queue(ctx, undoOf(rec.Incarnation, j), job.Ensure)
	}
	if err != nil {
		return nil, err // the next clean-up queues it
	}
	status, percent := s.undoProgress(j)
	return &api.UndoUploadJobResponse{JobId: &j.ID, UndoStatus: &status, UndoPercentComplete: &percent, UndoneAt: wireTime(j.UndoneAt)}, nil
}

// undoOf is the work of undoing a job.
func undoOf(inc store.Incarnation, j *Job) job.Work {
	return job.Work{Kind: UndoKind, ID: j.ID, Incarnation: inc, Arrived: j.UndoAt}
}

// undoProgress tells how far an undo is that was asked for.
func (s *Service) undoProgress(j *Job) (api.UndoStatus, int32) {
	switch {
	case j.UndoneAt != 0:
		return api.UndoStatusUndone, 100
	case j.UndoFailedAt != 0:
		return api.UndoStatusFailed, 0
	}
	if v, ok := s.progress.Load(j.ID); ok {
		n := v.(*progress).rows.Load()
		return api.UndoStatusRunning, int32(min(99, 100*n/max(1, j.Counters.Created+j.Counters.Updated)))
	}
	return api.UndoStatusRunning, 0
}

// CloseJob marks the job that wrote with a time as one that can't be undone any more. It returns false while an undo of it waits.
func (s *Service) CloseJob(ctx context.Context, rec *domain.Record, jobTime int64) (bool, error) {
	id, err := s.jobAt(ctx, rec, jobTime)
	if id == "" || err != nil {
		return err == nil, err // nobody can ask for it
	}
	j, err := s.change(ctx, rec, id, func(j *Job) error {
		if j.CompactedAt != 0 || j.UndoAt != 0 {
			return errUnchanged
		}
		j.CompactedAt = s.Now().UnixMicro()
		return nil
	})
	return err == nil && j.CompactedAt != 0, err
}

// jobAt returns the id of the job that wrote with a time, or "" when there is none any more.
func (s *Service) jobAt(ctx context.Context, rec *domain.Record, jobTime int64) (string, error) {
	for row, err := range s.Store.Scan(ctx, listPartition(rec.Incarnation), store.Range{}) {
		if err != nil {
			return "", err
		}
		j, err := s.load(ctx, rec, string(row.Key[8:]))
		if err != nil && !errors.Is(err, fault.NotFound) {
			return "", err
		}
		if err == nil && j.Time == jobTime {
			return j.ID, nil
		}
	}
	return "", nil
}

// Undoer runs undos.
type Undoer struct{ Service *Service }

// Run implements job.Handler. Everything it deletes it may delete again.
func (u Undoer) Run(ctx context.Context, t *job.Task) error {
	s := u.Service
	w, err := s.newWork(ctx, t)
	if w == nil || err != nil {
		return err
	}
	if w.job.UndoAt == 0 || w.job.UndoneAt != 0 || w.job.UndoFailedAt != 0 {
		return nil
	}
	w.progress = &progress{stop: func() {}}
	s.progress.Store(t.ID, w.progress)
	defer s.progress.Delete(t.ID)
	if err := w.beginUndo(ctx); err != nil {
		return err
	}
	w.prepare()
	_, runs, err := w.published(ctx, t.Incarnation, w.job.ID)
	if err != nil {
		return err
	}
	if err := w.undo(ctx, runs); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	undoneAt := s.Now().UnixMicro()
	if w.job.Time != 0 {
		im := change.Import{Time: w.job.Time, Job: w.job.ID, AppliedAt: w.job.AppliedAt, UndoneAt: undoneAt}
		if err := s.Feed.NoteImport(ctx, t.Incarnation, im); err != nil {
			return fmt.Errorf("announce the undo: %w", err)
		}
	}
	err = w.update(ctx, func(j *Job) { j.UndoneAt = undoneAt })
	if err == nil {
		w.Log.Info("upload job undone", "job", w.job.ID)
	}
	return err
}

// beginUndo gives the undo a time, by which it deletes index rows: later than those that any import before it has put, also since it was cut off or
// failed and was asked for again. One that was cut off may have left index rows of profiles that it had taken back already,
// and an import that was given up some of profiles that it has never written.
func (w *work) beginUndo(ctx context.Context) error {
	if w.job.UndoTime != 0 || w.job.Incomplete {
		if err := w.Profiles.QueueIndexSweep(ctx, w.rec); err != nil {
			return err
		}
	}
	at, rec, err := w.Domains.TakeJobTime(ctx, w.job.Domain, w.task.Incarnation, nil, "")
	if errors.Is(err, domain.ErrGone) {
		return job.ErrLost
	}
	if err != nil {
		return err
	}
	w.rec = rec
	return w.update(ctx, func(j *Job) { j.UndoTime = at })
}

// undo takes back what the runs have brought. First contributions go, then the index rows that nothing requires any more, so that no
// visible profile lacks one.
//
// What the job has created, and no later import has met, goes without a look at what else there is of the profile: nobody else has contributions there, and index
// rows of class ByImport stand for contributions only. What API writes and merges rely on is of class ByAPI. Other profiles are folded: what
// they still require stays. Last, full names are mended of profiles that were not folded and that API writes have named. A contribution that had gone before a crash
// yields no rows any more; what rows of it are left are hints, which the sweep of the index removes.
func (w *work) undo(ctx context.Context, runs map[int]stage.RunResult) error {
	met, err := w.metLater(ctx, runs)
	if err != nil {
		return err
	}
	if met != nil {
		if err := w.plan.DropCreated(ctx, runs, w.job.UndoTime, met, func(rows int64) { w.progress.rows.Add(rows) }); err != nil {
			return err
		}
	}
	u := w.Profiles.NewUndo(w.rec, w.job.UndoTime, w.job.Time, func(n int64) { w.progress.rows.Add(n) })
	err = w.plan.EachTouched(ctx, runs, met, func(ids []fold.ID) error { return u.Take(ctx, ids) })
	if err != nil {
		u.Abandon()
		return err
	}
	if err := u.End(ctx); err != nil || met == nil {
		return err
	}
	if written, err := u.AnyWritten(ctx); !written || err != nil {
		return err
	}
	return w.plan.EachTouched(ctx, runs, nil, func(ids []fold.ID) error { return u.MendNames(ctx, ids) })
}

// maxMet bounds the profiles that metLater returns: they are kept in memory.
const maxMet = 1 << 19

// metLater returns those of the job's profiles to which imports after it wrote, and that are not undone: their index rows of class ByImport may stand
// for these, too. Imports before it can't have met what it created. nil stands for all of its profiles: those met are more than a quarter of what it
// created, or it can't be told, because runs are gone or damaged.
func (w *work) metLater(ctx context.Context, runs map[int]stage.RunResult) (map[fold.ID]bool, error) {
	all, err := w.Feed.Imports(ctx, w.task.Incarnation)
	if err != nil {
		return nil, err
	}
	met := map[fold.ID]bool{}
	for _, im := range all {
		if im.Time <= w.job.Time || im.UndoneAt != 0 {
			continue
		}
		if !w.metBy(ctx, runs, im.Job, met, min(maxMet, int(w.job.Counters.Created/4))) {
			return nil, nil
		}
	}
	return met, nil
}

// metBy adds to met the profiles of the runs that another import wrote to. It says whether that could be told, and they are no more than most.
func (w *work) metBy(ctx context.Context, runs map[int]stage.RunResult, jobID string, met map[fold.ID]bool, most int) bool {
	next, stop := iter.Pull2(w.Touched(ctx, w.task.Incarnation, jobID))
	defer stop()
	theirs, failed, more := next()
	enough := errors.New("enough")
	err := w.plan.EachTouched(ctx, runs, nil, func(ids []fold.ID) error {
		for _, id := range ids {
			for more && failed == nil && bytes.Compare(theirs[:], id[:]) < 0 {
				theirs, failed, more = next()
			}
			if more && theirs == id {
				met[id] = true
			}
			if failed != nil || len(met) > most {
				return enough
			}
		}
		return nil
	})
	if err != nil {
		return false
	}
	// Runs are marked as gone before they go: if they are not marked now, all of them were there.
	other, err := w.load(ctx, w.rec, jobID)
	return err == nil && other.RejectsDeletedAt == 0
}
