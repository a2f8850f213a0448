package upload

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"kith/job"
	"kith/profile/fold"
	"kith/store"
)

// Wrote implements change.Runs: it looks the profile up in the job's runs, as long as they are kept.
func (s *Service) Wrote(ctx context.Context, inc store.Incarnation, jobID string, id fold.ID) (rows []int64, err error) {
	w, err := s.newWork(ctx, &job.Task{Work: job.Work{Incarnation: inc, ID: jobID}})
	if errors.Is(err, job.ErrLost) {
		return nil, nil
	}
	if w == nil || err != nil || w.job.RejectsDeletedAt != 0 {
		return nil, err
	}
	w.prepare()
	_, runs, err := w.published(ctx, inc, jobID)
	if err != nil {
		return nil, err
	}
	for bucket, run := range runs {
		if rows, err = w.rowsOf(ctx, rows, bucket, &run, id); err != nil {
			return nil, err
		}
	}
	slices.Sort(rows)
	return rows, nil
}

// rowsOf appends the rows of a profile's entries in a run.
func (w *work) rowsOf(ctx context.Context, rows []int64, bucket int, run *runResult, id fold.ID) ([]int64, error) {
	from, ok := enter(run.WhoMarks, &id, nil)
	if !ok {
		return rows, nil
	}
	r, err := w.Blobs.Open(ctx, run.Run, w.key)
	if err != nil {
		return nil, fmt.Errorf("open a run: %w", err)
	}
	defer r.Close()
	c := &rowCursor{who: w.newWho(runBlob{r, bucket}, section{from, run.Who.To}), lo: &id}
	for {
		found, err := c.Next()
		if err != nil || !found || c.id != id {
			return rows, err
		}
		rows = append(rows, c.row)
	}
}

// Touched implements change.Runs.
func (s *Service) Touched(ctx context.Context, inc store.Incarnation, jobID string) iter.Seq2[fold.ID, error] {
	return func(yield func(fold.ID, error) bool) {
		w, err := s.newWork(ctx, &job.Task{Work: job.Work{Incarnation: inc, ID: jobID}})
		if errors.Is(err, job.ErrLost) || w == nil && err == nil {
			return
		}
		var runs map[int]runResult
		if err == nil && w.job.RejectsDeletedAt == 0 {
			w.prepare()
			_, runs, err = w.published(ctx, inc, jobID)
		}
		var all runBlobs
		if err == nil {
			all, err = w.openAll(ctx, runs, func(r *runResult) string { return r.Run })
			defer all.close()
		}
		if err != nil {
			yield(fold.ID{}, err)
			return
		}
		var last fold.ID
		for c, err := range w.written(all, runs) {
			if err != nil || c.id != last {
				if err == nil {
					last = c.id
				}
				if !yield(last, err) || err != nil {
					return
				}
			}
		}
	}
}
