package upload

import (
	"context"
	"errors"
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
		if rows, err = w.plan.RowsOf(ctx, rows, bucket, &run, id); err != nil {
			return nil, err
		}
	}
	slices.Sort(rows)
	return rows, nil
}

// Touched implements change.Runs.
func (s *Service) Touched(ctx context.Context, inc store.Incarnation, jobID string) iter.Seq2[fold.ID, error] {
	return func(yield func(fold.ID, error) bool) {
		w, err := s.newWork(ctx, &job.Task{Work: job.Work{Incarnation: inc, ID: jobID}})
		if errors.Is(err, job.ErrLost) || w == nil && err == nil || err == nil && w.job.RejectsDeletedAt != 0 {
			return
		}
		if err != nil {
			yield(fold.ID{}, err)
			return
		}
		w.prepare()
		_, runs, err := w.published(ctx, inc, jobID)
		if err != nil {
			yield(fold.ID{}, err)
			return
		}
		stop := errors.New("enough")
		err = w.plan.EachTouched(ctx, runs, nil, func(ids []fold.ID) error {
			for _, id := range ids {
				if !yield(id, nil) {
					return stop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(fold.ID{}, err)
		}
	}
}
