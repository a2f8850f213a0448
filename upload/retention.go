package upload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/store"
)

// orphanAge is how old a blob must be before one that nothing names is deleted: older than any attempt that may still
// publish it.
const orphanAge = 24 * time.Hour

// CleanUp does what time and crashes make necessary in a domain: it queues started jobs that are not queued, deletes uploaded
// files and rejects whose retention has ended, and blobs that nothing names.
func (s *Service) CleanUp(ctx context.Context, rec *domain.Record) error {
	for row, err := range s.Store.Scan(ctx, listPartition(rec.Incarnation), store.Range{}) {
		if err != nil {
			return err
		}
		id := string(row.Key[8:])
		if err := s.cleanUpJob(ctx, rec, id); err != nil && !errors.Is(err, fault.NotFound) {
			return fmt.Errorf("clean up upload job %s: %w", id, err)
		}
	}
	return nil
}

func (s *Service) cleanUpJob(ctx context.Context, rec *domain.Record, id string) error {
	j, err := s.load(ctx, rec, id)
	if err != nil {
		return err
	}
	if j.Status != api.UploadJobStatusCreated && !j.Final {
		queued, err := job.Queued(ctx, s.Store, rec.Incarnation, id)
		if err != nil || queued {
			return err
		}
		// It may have ended between the two reads.
		if j, err = s.load(ctx, rec, id); err != nil || j.Final {
			return err
		}
		return s.enqueue(ctx, rec.Incarnation, j)
	}
	keepFiles, keepRejects := s.KeepFiles, s.KeepRejects
	if keepFiles == 0 {
		keepFiles = 7 * 24 * time.Hour
	}
	if keepRejects == 0 {
		keepRejects = 30 * 24 * time.Hour
	}
	age := s.Now().Sub(time.UnixMicro(j.CompletedAt))
	dropFile := j.Final && j.File != nil && j.FileDeletedAt == 0 && age >= keepFiles
	if j.UndoAt != 0 && j.UndoneAt == 0 && j.UndoFailedAt == 0 {
		return s.enqueueUndo(ctx, rec.Incarnation, j) // its runs are needed until it is done
	}
	dropRejects := j.Final && j.RejectsDeletedAt == 0 && age >= keepRejects
	if dropFile || dropRejects {
		// The record first: what it says is gone is deleted below, now or by the next clean-up.
		j, err = s.change(ctx, rec, id, func(j *Job) error {
			if dropFile {
				j.FileDeletedAt = s.Now().UnixMicro()
			}
			if dropRejects {
				j.RejectsDeletedAt = s.Now().UnixMicro()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.deleteUnnamed(ctx, rec, j)
}

// deleteUnnamed deletes the blobs of a job that its record does not need any more.
func (s *Service) deleteUnnamed(ctx context.Context, rec *domain.Record, j *Job) error {
	read, runs, err := s.published(ctx, rec.Incarnation, j.ID)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	if j.File != nil && j.FileDeletedAt == 0 {
		for _, name := range j.File.blobs() {
			needed[name] = true
		}
	}
	partial, err := s.loadPartial(ctx, rec, j.ID)
	if err != nil {
		return err
	}
	if partial != nil && j.Status == api.UploadJobStatusCreated {
		for _, seg := range partial.Segments {
			needed[seg.Blob] = true
		}
	}
	if j.RejectsDeletedAt == 0 {
		if read != nil {
			needed[read.Rejects] = true
		}
		needed[j.AmbiguousRejects] = true
		for _, run := range runs {
			needed[run.Run] = j.UndoneAt == 0
		}
	}
	dir := blobDir(rec.Incarnation, j.ID)
	for info, err := range s.Blobs.List(ctx, dir) {
		if err != nil {
			return err
		}
		if needed[info.Name] {
			continue
		}
		// A file that was replaced or a run that lost may belong to a call that is about to name it.
		retired := j.FileDeletedAt != 0 && strings.HasPrefix(info.Name, dir+"file-") || j.RejectsDeletedAt != 0
		if !retired && s.Now().Sub(info.ModTime) < orphanAge {
			continue
		}
		if err := s.Blobs.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}

// DropDomain deletes all blobs of a deleted domain.
func (s *Service) DropDomain(ctx context.Context, inc store.Incarnation) error {
	for info, err := range s.Blobs.List(ctx, IncarnationDir(inc)) {
		if err != nil {
			return err
		}
		if err := s.Blobs.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}
