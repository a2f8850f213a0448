package upload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/blob"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/upload/stage"
	"kith/upload/table"
)

// maxChanges is how many field changes a dry run shows.
const maxChanges = 100

// DryKind is the kind of background work of a dry run.
const DryKind = "dry-run"

// dryPrefix and a job's id are the id of its dry run, which has a lane of its own.
const dryPrefix = "dry-"

func dryPartition(inc store.Incarnation, id string) store.Partition {
	return job.Partition(inc, dryPrefix+id)
}

var dryKey = []byte("dry")

// dryState is the row of a dry run that has ended, in the partition of its work.
type dryState struct {
	Tried       string // what was tried (Job.trial)
	Status      api.DryRunStatus
	StartedAt   int64
	CompletedAt int64
	Reason      string `json:",omitzero"`
	Rows        int64
	Counters    stage.Counters
	Changes     []api.FieldChange `json:",omitzero"`
	Header      []string          `json:",omitzero"`
	Rejects     []string          `json:",omitzero"` // blobs
	KeptRejects int64             `json:",omitzero"` // in them
	TooLong     []stage.TooLong   `json:",omitzero"`

	version uint64
}

// dryRun gathers what a run that writes nothing finds out.
type dryRun struct {
	cancel   context.CancelCauseFunc
	progress *progress
	buckets  int

	mu      sync.Mutex
	runs    map[int]stage.RunResult
	changes []shownChange
	// joined are the profiles that have a key that is not indexed yet, in buckets like the rows; nil when there is an index.
	joined *stage.Buckets
}

// shownChange is a field change, and the first row that is about its profile.
type shownChange struct {
	api.FieldChange
	row int64
}

// Wants implements stage.Trial.
func (d *dryRun) Wants() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.changes) < maxChanges
}

// Sample implements stage.Trial: it notes which fields of a profile would change.
func (d *dryRun) Sample(row int64, id fold.ID, before, after *fold.Profile) {
	var found []shownChange
	note := func(a schema.Attr, old, value *string) {
		field, text := a.Path(), id.String()
		found = append(found, shownChange{api.FieldChange{ProfileId: &text, Field: &field, OldValue: old, NewValue: value}, row})
	}
	was := map[schema.Attr]string{}
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
// profiles as they are now. Nothing is written; the job stays CREATED. A new file, mapping or options, or the start of the job, end it.
func (s *Service) DryRunUploadJob(ctx context.Context, in *api.DryRunUploadJobRequest) (*api.DryRunUploadJobResponse, error) {
	rec, j, err := s.find(ctx, in.DomainName, in.JobId)
	if err != nil {
		return nil, err
	}
	if j.Status != api.UploadJobStatusCreated {
		return nil, fault.BadRequestf("Upload job %s is %s; a dry run is possible only before the job is started.", j.ID, j.Status)
	}
	if err := s.notHalf(ctx, rec, j.ID); err != nil {
		return nil, err
	}
	if j.File == nil {
		return nil, j.noFile()
	}
	state, err := s.loadDry(ctx, rec, j)
	if err != nil {
		return nil, err
	}
	if state == nil || state.Tried != j.trial() {
		return s.runDry(ctx, rec, j)
	}
	out := &api.DryRunUploadJobResponse{
		JobId: &j.ID, Status: &state.Status, StartedAt: wireTime(state.StartedAt), CompletedAt: wireTime(state.CompletedAt),
		Stage: api.Ptr("finished"), PercentComplete: api.Ptr(int32(100)),
	}
	if state.Reason != "" {
		out.Reason = &state.Reason
	}
	if state.Status == api.DryRunStatusSucceeded {
		c := state.Counters
		out.RowsRead, out.WouldCreate, out.WouldUpdate, out.WouldFail = &state.Rows, &c.Created, &c.Updated, &c.Failed
		out.Changes, out.KeptRejects = state.Changes, &state.KeptRejects
		out.UnchangedRecords, out.RepeatedKeyRows, out.TooLongColumns = &c.Unchanged, &c.Repeated, tooLongColumns(state.TooLong)
	}
	return out, nil
}

// runDry queues a dry run that has no result, if it is not queued, and tells how far it is. One that has ended meanwhile ends at once.
func (s *Service) runDry(ctx context.Context, rec *domain.Record, j *Job) (*api.DryRunUploadJobResponse, error) {
	w, queued, err := job.Find(ctx, s.Store, rec.Incarnation, dryPrefix+j.ID)
	if err != nil {
		return nil, err
	}
	if !queued {
		w = job.Work{Kind: DryKind, ID: dryPrefix + j.ID, Lane: job.Lane(dryPrefix + j.ID), Incarnation: rec.Incarnation, Arrived: s.Now().UnixMicro()}
		if err := s.queue(ctx, w, job.Ensure); err != nil {
			return nil, err
		}
	}
	stage, percent := s.dryProgress(j)
	return &api.DryRunUploadJobResponse{
		JobId: &j.ID, Status: api.Ptr(api.DryRunStatusRunning), StartedAt: wireTime(w.Arrived), Stage: &stage, PercentComplete: &percent,
	}, nil
}

// dryProgress tells how far a dry run on this node is.
func (s *Service) dryProgress(j *Job) (stage string, percent int32) {
	v, ok := s.dryRuns.Load(j.ID)
	if !ok {
		return "waiting, or running on another node", 0
	}
	d := v.(*dryRun)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.buckets == 0 {
		return "reading", int32(50 * min(d.progress.bytes.Load(), j.File.Size) / max(1, j.File.Size))
	}
	return "resolving", int32(50 + 50*len(d.runs)/d.buckets)
}

// loadDry returns the result of a job's last dry run, or nil.
func (s *Service) loadDry(ctx context.Context, rec *domain.Record, j *Job) (*dryState, error) {
	row, err := s.Store.Get(ctx, dryPartition(rec.Incarnation, j.ID), dryKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a dry run: %w", err)
	}
	state := &dryState{version: row.Version}
	return state, json.Unmarshal(row.Value, state)
}

// errDryEnded ends a dry run whose job got another file, mapping or options, or was started.
var errDryEnded = errors.New("the job has moved on")

// endDry ends the dry run of a job and forgets its result. Another node that runs it notices by itself (watchDry); what can't be
// deleted now is by the next clean-up.
func (s *Service) endDry(ctx context.Context, rec *domain.Record, id string) {
	if v, ok := s.dryRuns.Load(id); ok {
		v.(*dryRun).cancel(errDryEnded)
	}
	state, err := s.loadDry(ctx, rec, &Job{ID: id})
	if err != nil || state == nil {
		return
	}
	_, err = s.Store.Swap(ctx, dryPartition(rec.Incarnation, id), []store.Swap{{Key: dryKey, Op: store.Delete, Expect: state.version}})
	if err != nil {
		return
	}
	for _, name := range state.Rejects {
		_ = s.Blobs.Delete(ctx, name) // the clean-up finds it
	}
}

// DryRunner runs dry runs, any number side by side and beside imports. A run writes only its result; one that was cut off begins anew.
type DryRunner struct{ Service *Service }

// Run implements job.Handler.
func (r DryRunner) Run(ctx context.Context, t *job.Task) error {
	s, id := r.Service, strings.TrimPrefix(t.ID, dryPrefix)
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &dryRun{cancel: cancel, progress: &progress{}, runs: map[int]stage.RunResult{}}
	s.dryRuns.Store(id, d) // before the job is read: who changes it from now on cancels this
	defer s.dryRuns.CompareAndDelete(id, d)
	j, err := s.tried(ctx, t)
	if j == nil || err != nil {
		return err
	}
	rec, err := s.record(ctx, t.Incarnation, j.Domain)
	if err != nil {
		return err
	}
	prior, err := s.loadDry(ctx, rec, j)
	if err != nil || prior != nil && prior.Tried == j.trial() {
		return err
	}
	result, err := s.tryWatched(runCtx, d, rec, j)
	if cause := context.Cause(runCtx); cause != nil && err != nil {
		err = cause
	}
	var bad *table.FileError
	switch {
	case err == nil:
		result.Status = api.DryRunStatusSucceeded
	case errors.As(err, &bad):
		result = &dryState{Status: api.DryRunStatusFailed, Reason: bad.Reason}
	case errors.Is(err, errDryEnded):
		return nil // the next question starts another
	case isFull(err): // tried again when there may be room
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	default:
		return err
	}
	return s.publishDry(ctx, t, j, result)
}

// GiveUp implements job.Handler.
func (r DryRunner) GiveUp(ctx context.Context, t *job.Task, cause error) error {
	j, err := r.Service.tried(ctx, t)
	if j == nil || err != nil {
		return err
	}
	return r.Service.publishDry(ctx, t, j, &dryState{
		Status: api.DryRunStatusFailed, Reason: sentence(cause) + " Nothing was written. Upload the file again for another dry run.",
	})
}

// tried returns the job of a dry run, or nil if it is not one to be tried any more.
func (s *Service) tried(ctx context.Context, t *job.Task) (*Job, error) {
	j, err := s.load(ctx, &domain.Record{Incarnation: t.Incarnation}, strings.TrimPrefix(t.ID, dryPrefix))
	if errors.Is(err, fault.NotFound) || err == nil && (j.Status != api.UploadJobStatusCreated || j.File == nil) {
		return nil, nil
	}
	return j, err
}

// publishDry keeps the result of a dry run of the file and the mapping that j has. The job may have others now: then nobody takes it for that of those.
func (s *Service) publishDry(ctx context.Context, t *job.Task, j *Job, state *dryState) error {
	prior, err := s.loadDry(ctx, &domain.Record{Incarnation: t.Incarnation}, j)
	if err != nil {
		return err
	}
	if prior != nil {
		state.version = prior.version
	}
	state.Tried, state.StartedAt, state.CompletedAt = j.trial(), t.Arrived, s.Now().UnixMicro()
	value, err := encode(state)
	if err != nil {
		return err
	}
	_, err = t.Swap(ctx, store.Swap{Key: dryKey, Value: value, Expect: state.version})
	if errors.Is(err, store.ErrConflict) { // the job has moved on
		return nil
	}
	return err
}

// tryWatched is tryJob, ended when the job has moved on or its domain is gone.
func (s *Service) tryWatched(ctx context.Context, d *dryRun, rec *domain.Record, j *Job) (*dryState, error) {
	var watcher sync.WaitGroup
	defer watcher.Wait()
	watchCtx, done := context.WithCancel(ctx)
	defer done()
	watcher.Go(func() { s.watchDry(watchCtx, d.cancel, rec, j) })
	return s.tryJob(ctx, d, rec, j)
}

// watchDry cancels a dry run when another node has moved the job on.
func (s *Service) watchDry(ctx context.Context, cancel context.CancelCauseFunc, rec *domain.Record, j *Job) {
	tick := time.NewTicker(s.stopPollEvery())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.load(ctx, rec, j.ID)
		if errors.Is(err, fault.NotFound) || err == nil && (now.Status != api.UploadJobStatusCreated || now.trial() != j.trial()) {
			cancel(errDryEnded)
			return
		}
	}
}

// tryJob reads and resolves a job against the store as it is, without the domain's turn, on this node alone.
func (s *Service) tryJob(ctx context.Context, d *dryRun, rec *domain.Record, j *Job) (*dryState, error) {
	copied, domainCopy := *j, *rec
	copied.Time, copied.Country = s.Now().UnixMicro(), cmp.Or(j.Options.Country, rec.Country)
	w := &work{Service: s, task: &job.Task{Work: job.Work{Incarnation: rec.Incarnation, ID: j.ID}}, attempt: "dry" + randomName()[:8],
		rec: &domainCopy, job: &copied, progress: d.progress, dry: d}
	defer w.clearScratch(ctx)
	defer func() {
		d.joined.Close()
		w.release()
	}()
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
	changes, err := w.locate(ctx, read, d.changes)
	if err != nil {
		return nil, err
	}
	out := &dryState{Rows: read.Rows, Counters: stage.Sum(read, d.runs), Changes: changes, Header: read.Header, KeptRejects: read.KeptRejects + kept, TooLong: read.TooLong}
	for _, name := range []string{read.Rejects, rejects} {
		if name != "" {
			out.Rejects = append(out.Rejects, name)
		}
	}
	return out, nil
}

// locate names the key and the line of the rows that changes are about, in the order of the file.
func (w *work) locate(ctx context.Context, read *stage.ReadResult, changes []shownChange) ([]api.FieldChange, error) {
	slices.SortStableFunc(changes, func(a, b shownChange) int { return cmp.Compare(a.row, b.row) })
	var rows []int64
	for _, c := range changes {
		if len(rows) == 0 || rows[len(rows)-1] != c.row {
			rows = append(rows, c.row)
		}
	}
	places, err := w.plan.Locate(ctx, read, rows, w.StrictAWS, func() (blob.Reader, error) { return w.openFile(ctx, w.job, w.key) })
	if err != nil {
		return nil, err
	}
	var out []api.FieldChange
	for _, c := range changes {
		if at, ok := places[c.row]; ok {
			c.LineNumber, c.UniqueKey = &at.Line, &at.Key
		}
		out = append(out, c.FieldChange)
	}
	return out, nil
}

// tryAsked says whether a dry run of a job was asked for.
func (s *Service) tryAsked(ctx context.Context, rec *domain.Record, id string) (bool, error) {
	if state, err := s.loadDry(ctx, rec, &Job{ID: id}); state != nil || err != nil {
		return state != nil, err
	}
	_, queued, err := job.Find(ctx, s.Store, rec.Incarnation, dryPrefix+id)
	return queued, err
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
