package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

// Imports implements profile.ImportLog.
func (s *Service) Imports(ctx context.Context, rec *domain.Record) ([]profile.Imported, error) {
	var all []profile.Imported
	for row, err := range s.Store.Scan(ctx, listPartition(rec.Incarnation), store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("list upload jobs: %w", err)
		}
		j, err := s.load(ctx, rec, string(row.Key[8:]))
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if j.Time != 0 {
			all = append(all, profile.Imported{JobID: j.ID, Time: j.Time, UndoneAt: j.UndoneAt})
		}
	}
	return all, nil
}

// Wrote implements profile.ImportLog: it looks the profile up in the job's runs, as long as they are kept.
func (s *Service) Wrote(ctx context.Context, rec *domain.Record, jobID string, id fold.ID) (rows []int64, err error) {
	w, err := s.newWork(ctx, &job.Task{Work: job.Work{Incarnation: rec.Incarnation, ID: jobID}})
	if errors.Is(err, job.ErrLost) {
		return nil, nil
	}
	if w == nil || err != nil || w.job.RejectsDeletedAt != 0 {
		return nil, err
	}
	w.prepare()
	_, runs, err := w.published(ctx, rec.Incarnation, jobID)
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
