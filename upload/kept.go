package upload

import (
	"context"
	"iter"

	"kith/api"
	"kith/domain"
	"kith/store"
	"kith/upload/stage"
)

// KeptFile is what is kept of the file of an upload job. Times are microseconds, 0 where the time is not known yet.
type KeptFile struct {
	Job    string
	Status api.UploadJobStatus
	// File says that the uploaded file is kept, until FileUntil.
	File      bool
	FileUntil int64
	// Rejects says that rejected rows are kept, until RejectsUntil.
	Rejects      bool
	RejectsUntil int64
	// Writes says that the job is not started, or not at its end, so that it may bring what is in its file.
	Writes bool
}

// KeptFiles lists the jobs of a domain that keep a file or rejected rows.
func (s *Service) KeptFiles(ctx context.Context, rec *domain.Record) iter.Seq2[KeptFile, error] {
	return func(yield func(KeptFile, error) bool) {
		for row, err := range s.Store.Scan(ctx, listPartition(rec.Incarnation), store.Range{}) {
			if err != nil {
				yield(KeptFile{}, err)
				return
			}
			j, err := s.load(ctx, rec, string(row.Key[8:]))
			if err != nil {
				yield(KeptFile{}, err)
				return
			}
			if f := s.kept(j); (f.File || f.Rejects) && !yield(f, nil) {
				return
			}
		}
	}
}

func (s *Service) kept(j *Job) KeptFile {
	f := KeptFile{Job: j.ID, Status: j.Status, File: j.File != nil && j.FileDeletedAt == 0, Writes: !j.Final}
	f.Rejects = j.Status != api.UploadJobStatusCreated && j.RejectsDeletedAt == 0
	switch {
	case j.Status == api.UploadJobStatusCreated:
		if f.File {
			f.FileUntil = j.File.UploadedAt + s.keepUnstarted().Microseconds()
		}
	case j.CompletedAt != 0:
		f.FileUntil, f.RejectsUntil = j.CompletedAt+s.keepFiles().Microseconds(), j.CompletedAt+s.keepRejects().Microseconds()
	}
	return f
}

// KeptRejects streams the rejected rows of a job that are kept.
func (s *Service) KeptRejects(ctx context.Context, rec *domain.Record, id string) iter.Seq2[stage.RejectAt, error] {
	return func(yield func(stage.RejectAt, error) bool) {
		blobs, _, key, err := s.rejectsOf(ctx, &rec.Name, &id, false)
		if err != nil {
			yield(stage.RejectAt{}, err)
			return
		}
		for _, name := range blobs {
			for r, err := range stage.ReadRejects(ctx, s.Blobs, name, key, 0) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}
