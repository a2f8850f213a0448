package upload

import (
	"context"
	"errors"
	"fmt"

	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile/change"
	"kith/upload/stage"
)

// sentence says why work was given up, for who asked for it. What an error says itself is for the log.
func sentence(cause error) string {
	died, ok := errors.AsType[*job.DiedError](cause)
	switch {
	case errors.Is(cause, job.ErrCancelled):
		return "It was cancelled by an operator."
	case ok && died.Of != "":
		return fmt.Sprintf("The server's process died %d times while it did this: %s.", died.Times, died.Of)
	case ok:
		return fmt.Sprintf("The server's process ended %d times while it did this, and left no word; was it killed for want of memory?", died.Times)
	case errors.Is(cause, blob.ErrSealed):
		return "A file that it needs is damaged; the server's log says which."
	case errors.Is(cause, blob.ErrNotFound):
		return "A file that it needs is missing; the server's log says which."
	}
	return "The server tried several times and could not complete it; its log says why."
}

// GiveUp implements job.Handler. A job that has not begun to apply has written nothing. One that has is half done: its record says so,
// and an undo takes back what there is.
func (s *Service) GiveUp(ctx context.Context, t *job.Task, cause error) error {
	w := &work{Service: s, task: t, rec: &domain.Record{Incarnation: t.Incarnation}}
	for {
		if err := w.reload(ctx); errors.Is(err, fault.NotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if w.job.Final || w.job.Status == api.UploadJobStatusCreated {
			return nil
		}
		read, runs, err := w.published(ctx, t.Incarnation, t.ID)
		if err != nil {
			return err
		}
		begun := len(runs) > 0 && (w.job.Applying || w.job.Status == api.UploadJobStatusStopped)
		applied := s.Now().UnixMicro()
		if begun && w.job.Time != 0 { // what is there counts: an undo of an earlier import must know that this one may have met its profiles
			im := change.Import{Time: w.job.Time, Job: w.job.ID, AppliedAt: applied}
			if err := s.Feed.NoteImport(ctx, t.Incarnation, im); err != nil {
				return fmt.Errorf("announce an import that was given up: %w", err)
			}
		}
		err = w.update(ctx, func(j *Job) {
			j.Status, j.StatusReason, j.Final = api.UploadJobStatusFailed, api.StatusReasonInternalFailure, true
			j.CompletedAt = s.Now().UnixMicro()
			j.Reason = sentence(cause) + " Nothing was written."
			if begun {
				j.Counters, j.Incomplete, j.AppliedAt = stage.Sum(read, runs), true, applied
				j.Reason = sentence(cause) + " " + incomplete
			}
		})
		if errors.Is(err, errStopped) {
			continue // as it is now
		}
		if err == nil {
			w.Log.Error("upload job failed", "job", w.job.ID, "incomplete", begun, "cause", cause)
		}
		return err
	}
}

// incomplete is what the caller reads of a job that was given up while it wrote.
const incomplete = "Some of the rows may have been written and others not; the counters say what would have been written in all. " +
	"UndoUploadJob takes back what was written; after that the file can be imported again."

// GiveUp implements job.Handler. What is gone stays gone, and every profile that is left is whole: asking for the undo again goes on.
func (u Undoer) GiveUp(ctx context.Context, t *job.Task, cause error) error {
	s := u.Service
	w := &work{Service: s, task: t}
	if err := w.reload(ctx); errors.Is(err, fault.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if w.job.UndoAt == 0 || w.job.UndoneAt != 0 {
		return nil
	}
	err := w.update(ctx, func(j *Job) {
		j.UndoFailedAt = s.Now().UnixMicro()
		j.UndoReason = sentence(cause) + " Some of what the job brought may be gone and the rest is there still; ask for the undo again to go on with it."
	})
	if err == nil {
		w.Log.Error("undo failed", "job", w.job.ID, "cause", cause)
	}
	return err
}
