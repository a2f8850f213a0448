package upload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/store"
	"kith/upload/stage"
	"kith/upload/table"
)

// maxChanges is how many field changes a dry run shows.
const maxChanges = 100

// dryLease is how long a dry run is believed to be running without a sign of life.
const dryLease = 15 * time.Second

var dryKey = []byte("dry")

// dryState is the row of a dry run in the job's partition: while it runs, and then its result.
type dryState struct {
	File        string // blob of the file that is tried
	Status      api.DryRunStatus
	Expires     int64 `json:",omitzero"` // of the lease while it runs
	StartedAt   int64
	CompletedAt int64  `json:",omitzero"`
	Reason      string `json:",omitzero"`
	Rows        int64
	Counters    stage.Counters
	Changes     []api.FieldChange `json:",omitzero"`
	Header      []string          `json:",omitzero"`
	Rejects     []string          `json:",omitzero"` // blobs
	KeptRejects int64             `json:",omitzero"` // in them

	version uint64
}

// dryRun gathers what a run that writes nothing finds out.
type dryRun struct {
	cancel   context.CancelCauseFunc
	progress *progress
	buckets  int

	mu      sync.Mutex
	runs    map[int]stage.RunResult
	changes []api.FieldChange
	// joined are the profiles that have a key that is not indexed yet, in buckets like the rows; nil when there is an index.
	joined *stage.Buckets
}

// Wants implements stage.Trial.
func (d *dryRun) Wants() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.changes) < maxChanges
}

// Sample implements stage.Trial: it notes which fields of a profile would change.
func (d *dryRun) Sample(id fold.ID, before, after *fold.Profile) {
	var found []api.FieldChange
	note := func(a objecttype.Attr, old, value *string) {
		field, text := a.Path(), id.String()
		found = append(found, api.FieldChange{ProfileId: &text, Field: &field, OldValue: old, NewValue: value})
	}
	was := map[objecttype.Attr]string{}
	for _, v := range before.Values {
		was[v.Attr] = v.Text
	}
	for _, v := range after.Values {
		old, ok := was[v.Attr]
		delete(was, v.Attr)
		switch {
		case !ok:
			note(v.Attr, nil, &v.Text)
		case old != v.Text:
			note(v.Attr, &old, &v.Text)
		}
	}
	for a, old := range was {
		note(a, &old, nil)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, found[:min(len(found), maxChanges-len(d.changes))]...)
}

// Joined implements stage.Trial.
func (d *dryRun) Joined() *stage.Buckets { return d.joined }

func (d *dryRun) add(bucket int, r *stage.RunResult) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[bucket] = *r
}

// DryRunUploadJob starts a dry run of an uploaded job, or tells how far it is and what it found: what the job would do to the
// profiles as they are now. Nothing is written; the job stays CREATED. A new file or the start of the job ends it.
func (s *Service) DryRunUploadJob(ctx context.Context, in *api.DryRunUploadJobRequest) (*api.DryRunUploadJobResponse, error) {
	rec, j, err := s.find(ctx, in.DomainName, in.JobId)
	if err != nil {
		return nil, err
	}
	if j.Status != api.UploadJobStatusCreated {
		return nil, fault.BadRequestf("Upload job %s is %s; a dry run is possible only before the job is started.", j.ID, j.Status)
	}
	if j.File == nil {
		return nil, j.noFile()
	}
	state, err := s.loadDry(ctx, rec, j)
	if err != nil {
		return nil, err
	}
	now := s.Now().UnixMicro()
	if state == nil || state.File != j.File.id() || state.Status == api.DryRunStatusRunning && state.Expires < now {
		fresh := &dryState{File: j.File.id(), Status: api.DryRunStatusRunning, StartedAt: now, Expires: now + dryLease.Microseconds()}
		if state != nil {
			fresh.version = state.version
		}
		err := s.saveDry(ctx, rec, j.ID, fresh)
		if err == nil {
			s.startDry(rec, j, fresh)
			state = fresh
		} else if !errors.Is(err, store.ErrConflict) {
			return nil, err
		} else if state, err = s.loadDry(ctx, rec, j); err != nil || state == nil {
			return nil, errors.Join(err, fault.BadRequestf("Upload job %s is being changed; ask again.", j.ID))
		}
	}
	out := &api.DryRunUploadJobResponse{
		JobId: &j.ID, Status: &state.Status, StartedAt: wireTime(state.StartedAt), CompletedAt: wireTime(state.CompletedAt),
	}
	if state.Reason != "" {
		out.Reason = &state.Reason
	}
	percent, stage := int32(100), "finished"
	switch state.Status {
	case api.DryRunStatusRunning:
		stage, percent = s.dryProgress(j)
	case api.DryRunStatusSucceeded:
		c := state.Counters
		out.RowsRead, out.WouldCreate, out.WouldUpdate, out.WouldFail = &state.Rows, &c.Created, &c.Updated, &c.Failed
		out.Changes, out.KeptRejects = state.Changes, &state.KeptRejects
	}
	out.Stage, out.PercentComplete = &stage, &percent
	return out, nil
}

// dryProgress tells how far a dry run on this node is.
func (s *Service) dryProgress(j *Job) (stage string, percent int32) {
	v, ok := s.dryRuns.Load(j.ID)
	if !ok {
		return "running on another node", 0
	}
	d := v.(*dryRun)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.buckets == 0 {
		return "reading", int32(50 * d.progress.bytes.Load() / max(1, j.File.Size))
	}
	return "resolving", int32(50 + 50*len(d.runs)/d.buckets)
}

func (s *Service) loadDry(ctx context.Context, rec *domain.Record, j *Job) (*dryState, error) {
	row, err := s.Store.Get(ctx, job.Partition(rec.Incarnation, j.ID), dryKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a dry run: %w", err)
	}
	state := &dryState{version: row.Version}
	return state, json.Unmarshal(row.Value, state)
}

func (s *Service) saveDry(ctx context.Context, rec *domain.Record, id string, state *dryState) error {
	value, err := encode(state)
	if err != nil {
		return err
	}
	v, err := s.Store.Swap(ctx, job.Partition(rec.Incarnation, id), []store.Swap{{Key: dryKey, Value: value, Expect: state.version}})
	if err == nil {
		state.version = v
	}
	return err
}

// errDryEnded ends a dry run whose job got another file or was started.
var errDryEnded = errors.New("the job has moved on")

// endDry ends the dry run of a job and forgets its result. What can't be deleted now is by the next clean-up.
func (s *Service) endDry(ctx context.Context, rec *domain.Record, id string) {
	if v, ok := s.dryRuns.Load(id); ok {
		v.(*dryRun).cancel(errDryEnded)
	}
	state, err := s.loadDry(ctx, rec, &Job{ID: id})
	if err != nil || state == nil {
		return
	}
	_, err = s.Store.Swap(ctx, job.Partition(rec.Incarnation, id), []store.Swap{{Key: dryKey, Op: store.Delete, Expect: state.version}})
	if err != nil {
		return
	}
	for _, name := range state.Rejects {
		_ = s.Blobs.Delete(ctx, name) // the clean-up finds it
	}
}

// startDry runs a dry run in the background.
func (s *Service) startDry(rec *domain.Record, j *Job, state *dryState) {
	s.Background(func(ctx context.Context) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		d := &dryRun{cancel: cancel, progress: &progress{}, runs: map[int]stage.RunResult{}}
		s.dryRuns.Store(j.ID, d)
		defer s.dryRuns.CompareAndDelete(j.ID, d)
		var beat sync.WaitGroup
		beatCtx, done := context.WithCancel(ctx)
		var mu sync.Mutex // of state
		beat.Go(func() { s.keepDry(beatCtx, cancel, rec, j, state, &mu) })
		result, err := s.tryJob(ctx, d, rec, j)
		done()
		beat.Wait()
		if cause := context.Cause(ctx); cause != nil && err != nil {
			err = cause
		}
		var bad *table.FileError
		switch {
		case err == nil:
			state.Status = api.DryRunStatusSucceeded
			state.Rows, state.Counters, state.Changes, state.Header, state.Rejects, state.KeptRejects = result.Rows, result.Counters, result.Changes, result.Header, result.Rejects, result.KeptRejects
		case errors.As(err, &bad):
			state.Status, state.Reason = api.DryRunStatusFailed, bad.Reason
		case errors.Is(err, errDryEnded), ctx.Err() != nil:
			return // nobody waits for it; without a sign of life the next question starts another
		default:
			s.Log.Error("a dry run failed", "job", j.ID, "error", err)
			state.Status, state.Reason = api.DryRunStatusFailed, "The server could not complete the dry run; its log says why."
		}
		state.Expires, state.CompletedAt = 0, s.Now().UnixMicro()
		if err := s.saveDry(context.WithoutCancel(ctx), rec, j.ID, state); err != nil && !errors.Is(err, store.ErrConflict) {
			s.Log.Error("the result of a dry run could not be kept", "job", j.ID, "error", err)
		}
	})
}

// keepDry gives signs of life and ends the dry run when the job has moved on.
func (s *Service) keepDry(ctx context.Context, cancel context.CancelCauseFunc, rec *domain.Record, j *Job, state *dryState, mu *sync.Mutex) {
	tick := time.NewTicker(dryLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.load(ctx, rec, j.ID)
		if errors.Is(err, fault.NotFound) || err == nil && (now.Status != api.UploadJobStatusCreated || now.File == nil || now.File.id() != j.File.id()) {
			cancel(errDryEnded)
			return
		}
		mu.Lock()
		state.Expires = s.Now().UnixMicro() + dryLease.Microseconds()
		err = s.saveDry(ctx, rec, j.ID, state)
		mu.Unlock()
		if errors.Is(err, store.ErrConflict) {
			cancel(errDryEnded)
			return
		}
	}
}

// tryJob reads and resolves a job against the store as it is, without the domain's turn.
func (s *Service) tryJob(ctx context.Context, d *dryRun, rec *domain.Record, j *Job) (*dryState, error) {
	copied, domainCopy := *j, *rec
	copied.Time = s.Now().UnixMicro()
	w := &work{Service: s, task: &job.Task{Work: job.Work{Incarnation: rec.Incarnation, ID: j.ID}}, attempt: "dry" + randomName()[:8],
		rec: &domainCopy, job: &copied, progress: d.progress, dry: d}
	defer w.clearScratch(ctx)
	var err error
	if w.key, err = s.clientToken(j); err != nil {
		return nil, err
	}
	if w.m, err = stage.Compile(j.Fields, j.UniqueKey); err != nil {
		return nil, err
	}
	unindexed := w.m.Own() != nil && !rec.Ready(w.m.Own().Name)
	if unindexed {
		w.rec.Keys = append(w.rec.Keys[:len(rec.Keys):len(rec.Keys)], *w.m.Own())
	}
	if w.file, err = s.openFile(ctx, j, w.key); err != nil {
		return nil, err
	}
	defer w.file.Close()
	w.prepare()
	read, err := w.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.buckets = read.Buckets
	d.mu.Unlock()
	if unindexed {
		if d.joined, err = w.newReader().Join(ctx, read); err != nil {
			return nil, err
		}
		w.scratch = append(w.scratch, d.joined.Spills...)
	}
	if err := w.resolve(ctx, read, nil); err != nil {
		return nil, err
	}
	for _, run := range d.runs {
		w.scratch = append(w.scratch, run.Ambiguous)
	}
	rejects, kept, err := w.rejectAmbiguous(ctx, read, d.runs)
	if err != nil {
		return nil, err
	}
	out := &dryState{Rows: read.Rows, Counters: stage.Sum(read, d.runs), Changes: d.changes, Header: read.Header, KeptRejects: read.KeptRejects + kept}
	for _, name := range []string{read.Rejects, rejects} {
		if name != "" {
			out.Rejects = append(out.Rejects, name)
		}
	}
	return out, nil
}

// dryRejects returns the blobs and the header of the rejects of a dry run that has ended.
func (s *Service) dryRejects(ctx context.Context, rec *domain.Record, j *Job) (blobs, header []string, err error) {
	state, err := s.loadDry(ctx, rec, j)
	if err != nil {
		return nil, nil, err
	}
	if state == nil || state.Status != api.DryRunStatusSucceeded {
		return nil, nil, fault.BadRequestf("Upload job %s has no dry run that has ended; DryRunUploadJob starts one.", j.ID)
	}
	return state.Rejects, state.Header, nil
}
