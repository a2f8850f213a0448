package upload

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile"
	"kith/store"
)

// UndoKind is the kind of background work that takes an import back.
const UndoKind = "undo"

// UndoUploadJob takes back what an ended job has brought: its contributions go, and with them the profiles that nothing else
// speaks of; values they had replaced come back; what others wrote, before or later, stays. It starts the work and answers at
// once; asking again gives progress, and goes on with an undo that has failed. It is possible while the job's runs are kept and none of it has been folded.
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
		case j.FoldedAt != 0:
			return fault.BadRequestf("Upload job %s can't be undone any more: its data has been folded with that of other imports, %s.", j.ID, wireTime(j.FoldedAt).Format("2006-01-02 15:04 MST"))
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
	if asked || j.UndoneAt == 0 {
		if err := s.enqueueUndo(ctx, rec.Incarnation, j); err != nil {
			return nil, err // the next clean-up queues it
		}
	}
	status, percent := s.undoProgress(j)
	return &api.UndoUploadJobResponse{JobId: &j.ID, UndoStatus: &status, UndoPercentComplete: &percent, UndoneAt: wireTime(j.UndoneAt)}, nil
}

func (s *Service) enqueueUndo(ctx context.Context, inc store.Incarnation, j *Job) error {
	return s.queue(ctx, job.Work{Kind: UndoKind, ID: j.ID, Incarnation: inc, Arrived: j.UndoAt})
}

// undoRows is about how many rows a customer has: one contribution and a few index rows.
const undoRows = 5

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
		return api.UndoStatusRunning, int32(min(99, 100*n/max(1, undoRows*(j.Counters.Created+j.Counters.Updated)+v.(*progress).more.Load())))
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
		if j.FoldedAt != 0 || j.UndoAt != 0 {
			return errUnchanged
		}
		j.FoldedAt = s.Now().UnixMicro()
		return nil
	})
	return err == nil && j.FoldedAt != 0, err
}

// NoteHeir implements profile.ImportLog.
func (s *Service) NoteHeir(ctx context.Context, rec *domain.Record, jobTime int64) error {
	type key struct {
		inc store.Incarnation
		at  int64
	}
	if _, ok := s.heirs.Load(key{rec.Incarnation, jobTime}); ok {
		return nil
	}
	id, err := s.jobAt(ctx, rec, jobTime)
	if err != nil {
		return err
	}
	if id != "" {
		_, err = s.change(ctx, rec, id, func(j *Job) error {
			if j.Heir {
				return errUnchanged
			}
			j.Heir = true
			return nil
		})
	}
	if err == nil {
		s.heirs.Store(key{rec.Incarnation, jobTime}, nil)
	}
	return err
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
	w.prepare()
	_, runs, err := w.published(ctx, t.Incarnation, w.job.ID)
	if err != nil {
		return err
	}
	if err := w.undo(ctx, runs); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	err = w.update(ctx, func(j *Job) { j.UndoneAt = s.Now().UnixMicro() })
	if err == nil {
		w.Log.Info("upload job undone", "job", w.job.ID)
	}
	return err
}

// undo deletes what the runs have brought, when later imports have index rows of their own: first the contributions, so that no
// visible profile lacks an index row; then what merges have made of them.
func (w *work) undo(ctx context.Context, runs map[int]runResult) error {
	if w.job.Heir || hasIndexRows(runs) && w.rec.LastJobTime > w.job.Time { // else no later import relies on its index rows
		h := w.Profiles.NewInheritance(w.rec, w.job.Time, w.job.Heir)
		w.progress.more.Store(undoRows * (w.job.Counters.Created + w.job.Counters.Updated))
		err := w.eachTouched(ctx, runs, func(ids []profile.ID) error {
			w.progress.rows.Add(undoRows * int64(len(ids)))
			return h.Add(ctx, ids)
		})
		if err != nil {
			return err
		}
		if err := h.Flush(ctx); err != nil {
			return err
		}
	}
	if err := w.forgetLaterKeys(ctx, runs); err != nil {
		return err
	}
	all, err := w.openAll(ctx, runs, func(r *runResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	index, done, err := w.indexRuns(ctx, runs, true)
	defer done()
	if err != nil {
		return err
	}
	gone := store.Run{Table: store.Profile, Rows: w.deletions(w.written(all, runs))}
	parts := append([]store.Run{gone}, index...)
	for i := range parts {
		parts[i].Rows = w.counted(parts[i].Rows)
	}
	if err := w.Store.WriteRun(ctx, parts...); err != nil || w.job.Time == 0 {
		return err
	}
	return w.Profiles.ForgetImport(ctx, w.rec, w.job.Time)
}

// hasIndexRows says whether runs name any index rows.
func hasIndexRows(runs map[int]runResult) bool {
	for _, run := range runs {
		if slices.ContainsFunc(run.Families, func(s section) bool { return s.To > s.From }) {
			return true
		}
	}
	return false
}

// written streams the profiles and rows that runs have written, in order.
func (w *work) written(all runBlobs, runs map[int]runResult) iter.Seq2[*rowCursor, error] {
	var cursors []*rowCursor
	for _, r := range all {
		cursors = append(cursors, &rowCursor{who: w.newWho(r, runs[r.bucket].Who)})
	}
	return merge(cursors)
}

// deletions turns the entries of "who" sections into deletions of contributions.
func (w *work) deletions(entries iter.Seq2[*rowCursor, error]) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: w.task.Incarnation, Mutation: store.Mutation{Time: w.job.Time, Delete: true}}
		var key []byte
		for c, err := range entries {
			if err != nil {
				yield(row, err)
				return
			}
			key = profile.AppendContributionKey(key[:0], w.job.Time, c.row)
			row.Partition, row.Mutation.Key = c.id[:], key
			if !yield(row, nil) {
				return
			}
		}
	}
}

// counted counts rows into the progress.
func (w *work) counted(rows iter.Seq2[store.RunRow, error]) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		n := int64(0)
		for row, err := range rows {
			if n++; n%1024 == 0 {
				w.progress.rows.Add(1024)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// touchedChunk is how many profiles are looked at together.
const touchedChunk = 10_000

// eachTouched calls do for the profiles that runs have written, some at a time, ascending.
func (w *work) eachTouched(ctx context.Context, runs map[int]runResult, do func([]profile.ID) error) error {
	all, err := w.openAll(ctx, runs, func(r *runResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	var ids []profile.ID
	for c, err := range w.written(all, runs) {
		if err != nil {
			return err
		}
		if n := len(ids); n == 0 || ids[n-1] != c.id {
			ids = append(ids, c.id)
		}
		if len(ids) == touchedChunk {
			if err := do(ids); err != nil {
				return err
			}
			ids = ids[:0]
		}
	}
	return do(ids)
}

// forgetLaterKeys deletes the index rows that the job's contributions got when attributes became keys after it.
func (w *work) forgetLaterKeys(ctx context.Context, runs map[int]runResult) error {
	known := len(w.families)
	for _, run := range runs {
		if run.Run != "" {
			known = min(known, len(run.Families))
		}
	}
	later := map[string]bool{}
	for _, name := range w.families[known:] {
		later[name] = true
	}
	if len(later) == 0 {
		return nil
	}
	keys := slices.DeleteFunc(slices.Clone(w.rec.Keys), func(k domain.Key) bool { return !later[k.Name] })
	return w.eachTouched(ctx, runs, func(ids []profile.ID) error { return w.forgetKeysOf(ctx, ids, keys) })
}

// forgetKeysOf deletes the job's index rows of some keys of profiles. Profiles are read whole: a tuple may come to be from parts
// of several contributions.
func (w *work) forgetKeysOf(ctx context.Context, ids []profile.ID, keys []domain.Key) error {
	var gone []store.RunRow
	r := profile.NewReader(ctx, w.Store, w.task.Incarnation)
	settle := func(id profile.ID) error {
		defer r.Reset()
		p := r.Profile(id)
		if p == nil {
			return nil
		}
		for _, k := range p.OwnKeys(keys) {
			for _, source := range r.Sources() {
				if at, ok := profile.ImportTime(source); ok && at == w.job.Time {
					gone = append(gone, store.RunRow{Incarnation: w.task.Incarnation, Partition: []byte(profile.IndexPartition(k.Name, k.Value)),
						Mutation: store.Mutation{Key: profile.IndexRowKey(nil, id, source), Time: w.job.Time, Delete: true}})
				}
			}
		}
		return nil
	}
	add := func(row store.Row) error { return r.Add(row, w.job.Time) }
	if err := profile.EachOf(ctx, w.Store, w.task.Incarnation, ids, store.Range{}, add, settle); err != nil {
		return err
	}
	return w.Store.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(gone)})
}
