package match

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"kith/domain"
	"kith/job"
	"kith/store"
)

// How many jobs of a domain are kept: those that have merged nothing, and all. Who starts very many does not fill the store with them.
const (
	maxIdle = 100
	maxJobs = 1000
)

// CleanUp removes the groups of jobs that are not the latest one, and jobs that ended long ago, or behind very many.
func (s *Service) CleanUp(ctx context.Context, rec *domain.Record) error {
	if err := s.tidyBlobs(ctx, rec.Incarnation); err != nil {
		return err
	}
	all, err := s.list(ctx, rec.Incarnation)
	if err != nil || len(all) == 0 {
		return err
	}
	// Each record is read once: a job that ends meanwhile must not be taken for one that another has followed.
	var latest *record
	records := make([]*record, len(all))
	for i, l := range all {
		if records[i], err = s.load(ctx, rec.Incarnation, l.id); err != nil {
			return err
		}
		if latest == nil && records[i].serves() {
			latest = records[i]
		}
	}
	for i, l := range all {
		r := records[i]
		if r != nil && r.over() {
			if err := job.DropRemains(ctx, s.Store, rec.Incarnation, r.id); err != nil {
				return err
			}
			if err := s.deleteParts(ctx, rec.Incarnation, r.id, 0); err != nil {
				return err
			}
		}
		if r != nil && r.over() && (i >= maxJobs || i >= maxIdle && r.Merges == 0) {
			err = s.forgetJob(ctx, rec.Incarnation, r)
		} else {
			err = s.cleanUp(ctx, rec, l, r, latest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) cleanUp(ctx context.Context, rec *domain.Record, l listed, r, latest *record) error {
	now := s.Now()
	switch {
	case r == nil && now.Sub(time.UnixMicro(l.planned)) > keepJobs: // a start that was cut off
		return s.unlist(ctx, rec.Incarnation, &record{id: l.id, Planned: l.planned})
	case r == nil || !r.over():
		return nil
	case now.Sub(time.UnixMicro(r.Ended)) > keepJobs:
		return s.forgetJob(ctx, rec.Incarnation, r)
	}
	served := latest != nil && r.id == latest.id
	switch {
	case served && len(r.Attempts) > 1: // those that died
		if err := s.drop(ctx, rec.Incarnation, r, r.Found); err != nil {
			return err
		}
		return s.swap(ctx, rec.Incarnation, r, func(r *record) { r.Attempts = []written{*r.Found} })
	case !served && len(r.Attempts) > 0:
		// Said before it is done, so that nobody is shown a half.
		if err := s.swap(ctx, rec.Incarnation, r, func(r *record) { r.Dropped = true }); err != nil {
			return err
		}
		if err := s.drop(ctx, rec.Incarnation, r, nil); err != nil {
			return err
		}
		return s.swap(ctx, rec.Incarnation, r, func(r *record) { r.Attempts = nil })
	}
	return nil
}

// swap changes the record of a job that has ended. Another node that was faster has done the same.
func (s *Service) swap(ctx context.Context, inc store.Incarnation, r *record, change func(*record)) error {
	change(r)
	value, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return err
	}
	r.version, err = s.Store.Swap(ctx, job.Partition(inc, r.id), []store.Swap{{Key: recordKey, Value: value, Expect: r.version}})
	if errors.Is(err, store.ErrConflict) {
		now, err := s.load(ctx, inc, r.id)
		if now != nil && err == nil {
			r.version = now.version
		}
		return err
	}
	return err
}

// forgetJob removes all of a job.
func (s *Service) forgetJob(ctx context.Context, inc store.Incarnation, r *record) error {
	if err := s.drop(ctx, inc, r, nil); err != nil {
		return err
	}
	jobID, _ := hex.DecodeString(r.id)
	from := didPrefix + string(jobID)
	keys := func(yield func(string) bool) {
		for n := range r.chunksEver() {
			if !yield(didPartition(inc, jobID, n).Key) {
				return
			}
		}
	}
	if err := s.Store.DropPartitions(ctx, store.Match, inc, from, string(store.After([]byte(from))), keys); err != nil {
		return fmt.Errorf("remove merges of a job: %w", err)
	}
	if err := s.removeRow(ctx, inc, r.id, modelKey); err != nil {
		return err
	}
	if err := s.removeRow(ctx, inc, r.id, recordKey); err != nil {
		return err
	}
	return s.unlist(ctx, inc, r)
}

// chunksEver is how many chunks of merges there may be.
func (r *record) chunksEver() int {
	if r.Found == nil {
		return 0
	}
	return r.Found.chunks()
}

// removeRow removes a row of a job that has ended.
func (s *Service) removeRow(ctx context.Context, inc store.Incarnation, id string, key []byte) error {
	row, err := s.Store.Get(ctx, job.Partition(inc, id), key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Store.Swap(ctx, job.Partition(inc, id), []store.Swap{{Key: key, Op: store.Delete, Expect: row.Version}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) { // another node does the same; the next clean-up looks again
		return nil
	}
	return err
}
