package upload

import (
	"bytes"
	"cmp"
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

// CleanUp does what time and crashes make necessary in a domain: it queues started jobs that are not queued, deletes files of jobs
// that nobody starts, files and rejects of jobs whose retention has ended, and blobs and rows that nothing needs.
func (s *Service) CleanUp(ctx context.Context, rec *domain.Record) error {
	var failed error // one job's trouble must not keep the others'
	for row, err := range s.Store.Scan(ctx, listPartition(rec.Incarnation), store.Range{}) {
		if err != nil {
			return err
		}
		id := string(row.Key[8:])
		if err := s.cleanUpJob(ctx, rec, id); err != nil && !errors.Is(err, fault.NotFound) {
			if ctx.Err() != nil {
				return err
			}
			failed = errors.Join(failed, fmt.Errorf("clean up upload job %s: %w", id, err))
		}
	}
	return failed
}

func (s *Service) cleanUpJob(ctx context.Context, rec *domain.Record, id string) error {
	j, err := s.load(ctx, rec, id)
	if err != nil {
		return err
	}
	switch {
	case j.Status == api.UploadJobStatusCreated:
		j, err = s.dropUnstarted(ctx, rec, j)
	case !j.Final:
		return s.requeue(ctx, rec, id)
	case j.undoing():
		return s.queue(ctx, undoOf(rec.Incarnation, j), job.Ensure) // its runs are needed until it is done
	default:
		j, err = s.dropEnded(ctx, rec, j)
	}
	if err != nil {
		return err
	}
	return s.deleteUnnamed(ctx, rec, j)
}

// requeue queues a job that was started, if it is not queued.
func (s *Service) requeue(ctx context.Context, rec *domain.Record, id string) error {
	queued, err := job.Queued(ctx, s.Store, rec.Incarnation, id)
	if err != nil || queued {
		return err
	}
	// It may have ended between the two reads.
	j, err := s.load(ctx, rec, id)
	if err != nil || j.Final {
		return err
	}
	return s.enqueue(ctx, rec.Incarnation, j)
}

// How long what belongs to a job is kept, as the service is set up.
func (s *Service) keepUnstarted() time.Duration {
	return cmp.Or(s.KeepUnstarted, s.urlLife()+24*time.Hour)
}
func (s *Service) keepFiles() time.Duration   { return cmp.Or(s.KeepFiles, 7*24*time.Hour) }
func (s *Service) keepRejects() time.Duration { return cmp.Or(s.KeepRejects, 30*24*time.Hour) }

// dropUnstarted deletes the file of a job, or what has arrived of it, when it has lain there for so long that nobody seems to start
// the job. The job stays, and takes another file.
func (s *Service) dropUnstarted(ctx context.Context, rec *domain.Record, j *Job) (*Job, error) {
	over := func(since int64) bool { return s.Now().Sub(time.UnixMicro(since)) >= s.keepUnstarted() }
	partial, err := s.loadPartial(ctx, rec, j.ID)
	if err != nil {
		return nil, err
	}
	if partial != nil && over(partial.UpdatedAt) {
		if err := s.dropPartial(ctx, rec, j.ID); err != nil && !errors.Is(err, ErrOffset) { // more of it has just arrived
			return nil, err
		}
	}
	if j.File == nil || !over(j.File.UploadedAt) {
		return j, nil
	}
	var old *File
	// The record first: who starts the job meanwhile has a file, or is told that there is none.
	j, err = s.change(ctx, rec, j.ID, func(j *Job) error {
		old = nil
		if j.Status != api.UploadJobStatusCreated || j.File == nil || !over(j.File.UploadedAt) {
			return errUnchanged
		}
		old, j.File, j.FileDeletedAt = j.File, nil, s.Now().UnixMicro()
		return nil
	})
	if err != nil || old == nil {
		return j, err
	}
	s.endDry(ctx, rec, j.ID)
	s.deleteFile(ctx, j.ID, old)
	s.Log.Info("the file of an upload job that was not started was deleted", "job", j.ID, "bytes", old.Size)
	return j, nil
}

// dropEnded notes that files and rejects go whose retention has ended, and deletes rows that are of no use any more.
func (s *Service) dropEnded(ctx context.Context, rec *domain.Record, j *Job) (*Job, error) {
	age := s.Now().Sub(time.UnixMicro(j.CompletedAt))
	dropFile := j.File != nil && j.FileDeletedAt == 0 && age >= s.keepFiles()
	dropRejects := j.RejectsDeletedAt == 0 && age >= s.keepRejects()
	if dropFile || dropRejects {
		// The record first: what it says is gone is deleted below, now or by the next clean-up.
		var err error
		j, err = s.change(ctx, rec, j.ID, func(j *Job) error {
			if dropFile {
				j.FileDeletedAt = s.Now().UnixMicro()
			}
			if dropRejects && !j.undoing() { // it may have been asked for just now
				j.RejectsDeletedAt = s.Now().UnixMicro()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if err := s.dropPartial(ctx, rec, j.ID); err != nil && !errors.Is(err, ErrOffset) {
		return nil, err
	}
	s.endDry(ctx, rec, j.ID) // one that ended while the job was started has left its result
	for _, id := range []string{j.ID, dryPrefix + j.ID} {
		if err := job.DropRemains(ctx, s.Store, rec.Incarnation, id); err != nil {
			return nil, err
		}
	}
	useless := []string{appliedPrefix, job.PartPrefix}
	if j.RejectsDeletedAt != 0 {
		useless = append(useless, runPrefix)
	}
	for _, prefix := range useless {
		if err := s.deleteRows(ctx, rec, j.ID, prefix); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// deleteRows deletes the rows of a job whose keys begin with a prefix.
func (s *Service) deleteRows(ctx context.Context, rec *domain.Record, id, prefix string) error {
	const chunk = 100
	p := job.Partition(rec.Incarnation, id)
	var ops []store.Swap
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		_, err := s.Store.Swap(ctx, p, ops)
		ops = nil
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) {
			return nil // the next clean-up deletes what is left
		}
		return err
	}
	for row, err := range s.Store.Scan(ctx, p, store.Prefix(prefix)) {
		if err != nil {
			return err
		}
		ops = append(ops, store.Swap{Key: bytes.Clone(row.Key), Op: store.Delete, Expect: row.Version})
		if len(ops) == chunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// deleteUnnamed deletes the blobs of a job that its record does not need any more.
func (s *Service) deleteUnnamed(ctx context.Context, rec *domain.Record, j *Job) error {
	needed, err := s.needed(ctx, rec, j)
	if err != nil {
		return err
	}
	dir := blobDir(rec.Incarnation, j.ID)
	for info, err := range s.Blobs.List(ctx, dir) {
		if err != nil {
			return err
		}
		if needed[info.Name] {
			continue
		}
		// A file that was replaced or a run that lost may belong to a call that is about to name it, as long as the job takes files.
		retired := j.FileDeletedAt != 0 && strings.HasPrefix(info.Name, dir+"file-") || j.RejectsDeletedAt != 0
		if (!retired || j.Status == api.UploadJobStatusCreated) && s.Now().Sub(info.ModTime) < orphanAge {
			continue
		}
		if err := s.Blobs.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}

// needed names the blobs that a job's rows name.
func (s *Service) needed(ctx context.Context, rec *domain.Record, j *Job) (map[string]bool, error) {
	needed := map[string]bool{}
	if j.File != nil && j.FileDeletedAt == 0 {
		for _, name := range j.File.blobs() {
			needed[name] = true
		}
	}
	if j.Status == api.UploadJobStatusCreated {
		partial, err := s.loadPartial(ctx, rec, j.ID)
		if err != nil {
			return nil, err
		}
		if partial != nil {
			for _, seg := range partial.Segments {
				needed[seg.Blob] = true
			}
		}
		dry, err := s.loadDry(ctx, rec, j)
		if err != nil {
			return nil, err
		}
		if dry != nil {
			for _, name := range dry.Rejects {
				needed[name] = true
			}
		}
	}
	read, runs, err := s.published(ctx, rec.Incarnation, j.ID)
	if err != nil {
		return nil, err
	}
	if j.RejectsDeletedAt == 0 {
		if read != nil {
			needed[read.Rejects] = true
		}
		needed[j.AmbiguousRejects] = true
		for _, run := range runs {
			needed[run.Run] = true // of an import that was undone, too: the history asks for them (Wrote)
		}
	}
	return needed, nil
}

// DropDomain deletes all blobs of a deleted domain.
func (s *Service) DropDomain(ctx context.Context, inc store.Incarnation) error {
	for info, err := range s.Blobs.List(ctx, inc.Dir()) {
		if err != nil {
			return err
		}
		if err := s.Blobs.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return nil
}
