package match

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/job"
	"kith/match/link"
	"kith/store"
)

// Runner runs jobs.
type Runner struct{ *Service }

// run is a job on its way.
type run struct {
	*Service
	t   *job.Task
	rec *domain.Record

	mu sync.Mutex // of Swaps of the record: progress is told from a goroutine of its own
	r  *record
}

// Run implements job.Handler.
func (s Runner) Run(ctx context.Context, t *job.Task) error {
	rec, err := s.Domains.OfIncarnation(ctx, t.Incarnation)
	if err != nil {
		return err
	}
	if rec == nil {
		return job.ErrLost
	}
	r, err := s.load(ctx, t.Incarnation, t.ID)
	if err != nil || r == nil || r.over() {
		return err
	}
	j := &run{Service: s.Service, t: t, rec: rec, r: r}
	if !rec.MatchingOn() {
		if r.Status == api.IdentityResolutionJobStatusPending {
			return j.remove(ctx)
		}
		return j.stopped(ctx, disabled)
	}
	if r.Found == nil {
		if err := j.find(ctx); errors.Is(err, errDisabled) {
			return j.stopped(ctx, disabled)
		} else if err != nil {
			return err
		}
	}
	if on, err := j.on(ctx); err != nil {
		return err
	} else if !on {
		return j.stopped(ctx, disabled)
	}
	if j.r.merges() && !j.r.AllDone {
		if err := j.merge(ctx); err != nil {
			return err
		}
	}
	if j.r.over() { // disabled meanwhile
		return nil
	}
	if j.r.Exporting != nil && len(j.r.Exported) == 0 {
		if err := j.export(ctx); err != nil {
			return err
		}
	}
	if err := j.end(ctx, j.outcome(), j.message()); err != nil {
		return err
	}
	return s.CleanUp(ctx, rec)
}

// on says whether the domain still wants its profiles matched.
func (j *run) on(ctx context.Context) (bool, error) {
	rec, err := j.Domains.OfIncarnation(ctx, j.rec.Incarnation)
	return rec != nil && rec.MatchingOn(), err
}

const disabled = "Matching was disabled while the job ran."

var errDisabled = errors.New("matching was disabled")

// GiveUp implements job.Handler.
func (s Runner) GiveUp(ctx context.Context, t *job.Task, cause error) error {
	rec, err := s.Domains.OfIncarnation(ctx, t.Incarnation)
	if err != nil || rec == nil {
		return err
	}
	r, err := s.load(ctx, t.Incarnation, t.ID)
	if err != nil || r == nil || r.over() {
		return err
	}
	j := &run{Service: s.Service, t: t, rec: rec, r: r}
	reason := "The job could not go on; the server's log says why, under work " + t.ID + "."
	if errors.Is(cause, job.ErrCancelled) {
		reason = "The job was cancelled by an operator."
	}
	return j.stopped(ctx, reason)
}

// set changes the record and publishes it, with other rows of the work's partition.
func (j *run) set(ctx context.Context, change func(*record), more ...store.Swap) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	next := *j.r
	change(&next)
	next.Updated = j.Now().UnixMicro()
	value, err := json.Marshal(&next, json.Deterministic(true))
	if err != nil {
		return err
	}
	next.version, err = j.t.Swap(ctx, append([]store.Swap{{Key: recordKey, Value: value, Expect: j.r.version}}, more...)...)
	if err != nil {
		return fmt.Errorf("write an identity resolution job: %w", err)
	}
	j.r = &next
	return nil
}

// remove removes a job that has not begun, in a domain whose matching was disabled.
func (j *run) remove(ctx context.Context) error {
	if _, err := j.t.Swap(ctx, store.Swap{Key: recordKey, Op: store.Delete, Expect: j.r.version}); err != nil {
		return err
	}
	return j.unlist(ctx, j.rec.Incarnation, j.r)
}

func (s *Service) unlist(ctx context.Context, inc store.Incarnation, r *record) error {
	return s.Store.Write(ctx, listPartition(inc), []store.Mutation{{Key: listKey(r.Planned, r.id), Delete: true, Time: max(s.Now().UnixMicro(), r.Planned+1)}})
}

// stopped ends a job that can't go on. What it merged is counted.
func (j *run) stopped(ctx context.Context, reason string) error {
	status := api.IdentityResolutionJobStatusFailed
	if j.r.Found != nil {
		status = api.IdentityResolutionJobStatusPartialSuccess
	}
	if j.r.Status == api.IdentityResolutionJobStatusMerging || j.r.Merges > 0 {
		if err := j.countOpen(ctx); err != nil {
			reason += " Merges of the last matches that it looked at may be missing in the counters."
		}
		reason += fmt.Sprintf(" %d of %d matches were looked at; what was merged stays merged.", j.r.Examined, j.r.Found.Groups)
	}
	return j.end(ctx, status, reason)
}

func (j *run) end(ctx context.Context, status api.IdentityResolutionJobStatus, message string) error {
	ended, err := j.unplan(ctx)
	if err != nil {
		return err
	}
	err = j.set(ctx, func(r *record) {
		r.Status, r.Message, r.Ended = status, cut(message, 2048), j.Now().UnixMicro()
	}, ended...)
	if err != nil || len(ended) == 0 {
		return err
	}
	return j.tidy(ctx, j.rec.Incarnation, j.r.id, 0)
}

func cut(text string, n int) string {
	r := []rune(text)
	return string(r[:min(n, len(r))])
}

// outcome is how a job ends that came to its end.
func (j *run) outcome() api.IdentityResolutionJobStatus {
	if j.r.Refused > 0 {
		return api.IdentityResolutionJobStatusPartialSuccess
	}
	return api.IdentityResolutionJobStatusCompleted
}

// message says what is to be said of the job besides its counters.
func (j *run) message() string {
	var all []string
	for reason, n := range sorted(j.r.Reasons) {
		what := fmt.Sprintf("%d merges were", n)
		if n == 1 {
			what = "1 merge was"
		}
		all = append(all, what+" refused: "+reason)
	}
	for i, text := range j.r.Bounded {
		if i == maxBoundedTold {
			all = append(all, fmt.Sprintf("%d more bounds are in GetIdentityResolutionJobDetails.", len(j.r.Bounded)-i))
			break
		}
		all = append(all, strings.TrimSuffix(text, ".")+".")
	}
	if n := len(j.r.Glued); n > 0 {
		all = append(all, fmt.Sprintf("Profiles that seem to be of two people: %s.", strings.Join(j.r.Glued[:min(n, 10)], ", ")))
	}
	return strings.Join(all, " ")
}

const (
	// maxBoundedTold is how many sentences about what was bounded are in a job's message.
	maxBoundedTold = 3
	// tellEvery is how often a job says how far it is.
	tellEvery = 2 * time.Second
	// maxGlued is how many profiles are told that seem to be of two people.
	maxGlued = 100
)

// find finds the groups and publishes them.
func (j *run) find(ctx context.Context) error {
	err := j.set(ctx, func(r *record) {
		r.Status = api.IdentityResolutionJobStatusPreprocessing
		if r.Began == 0 {
			r.Began = j.Now().UnixMicro()
		}
		r.AutoMerging = j.rec.Matching.AutoMerging
		if e := j.rec.Matching.ExportingConfig; e != nil {
			r.Exporting = e.S3Exporting
		}
		r.Reviewed, r.Compared = 0, 0
	})
	if err != nil {
		return err
	}
	f, model, report, err := j.search(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	f.rank()
	w := f.written(j.t.Fence())
	if err := j.set(ctx, func(r *record) {
		r.Status = api.IdentityResolutionJobStatusFindMatching
		r.Attempts = append(slices.Clip(r.Attempts), w)
	}); err != nil {
		return err
	}
	if err := f.write(ctx, j.Store, j.rec.Incarnation, &w, j.Now().UnixMicro()); err != nil {
		return fmt.Errorf("write groups of profiles: %w", err)
	}
	ended, err := j.unplan(ctx)
	if err != nil {
		return err
	}
	err = j.set(ctx, func(r *record) {
		r.Found, r.Reviewed, r.Compared, r.Pairs, r.Bounded = &w, report.Reviewed, report.Compared, report.Pairs, report.Refined
		if text := f.bounded(); text != "" {
			r.Bounded = append(slices.Clip(r.Bounded), text)
		}
		for _, id := range report.Glued[:min(len(report.Glued), maxGlued)] {
			r.Glued = append(r.Glued, id.String())
		}
	}, append(ended, store.Swap{Key: modelKey, Value: model.Marshal()})...)
	if err != nil || len(ended) == 0 {
		return err
	}
	return j.tidy(ctx, j.rec.Incarnation, j.r.id, 0)
}

// search finds the groups, with other nodes where there are any.
func (j *run) search(ctx context.Context) (_ *found, _ *link.Model, _ *link.Report, err error) {
	answers, err := j.answers(ctx, j.rec.Incarnation)
	if err != nil {
		return nil, nil, nil, err
	}
	now := j.Now().UnixMicro()
	team, err := j.together(ctx, now, answers)
	if err != nil {
		return nil, nil, nil, err
	}
	jobID, _ := hex.DecodeString(j.r.id)
	f := &found{job: jobID}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	var progress progress
	finding, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := j.tell(ctx, &progress, cancel)
	o := link.Options{Workers: j.workers(), Memory: j.Memory, Dir: j.Dir, Answers: answers, Progress: progress.note, Team: team}
	model, report, err := j.finder()(finding, j.source(j.rec.Incarnation, now, nil), o, func(g *link.Group) error { f.add(g); return nil })
	if err = errors.Join(err, stop()); err != nil && errors.Is(context.Cause(finding), errDisabled) {
		err = errDisabled
	}
	return f, model, report, err
}

// progress is how far the matcher is.
type progress struct{ stage, read, compared atomic.Int64 }

func (p *progress) note(stage link.Stage, done int64) {
	p.stage.Store(int64(stage))
	if stage == link.Preprocessing {
		p.read.Store(done)
	} else {
		p.compared.Store(done)
	}
}

// tell publishes the progress of the matcher until stop is called, and cancels it when matching is disabled.
func (j *run) tell(ctx context.Context, p *progress, cancel context.CancelCauseFunc) (stop func() error) {
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				ended <- nil
				return
			case <-tick.C:
			}
			err := j.set(ctx, func(r *record) {
				if link.Stage(p.stage.Load()) == link.FindMatching {
					r.Status = api.IdentityResolutionJobStatusFindMatching
				}
				r.Reviewed, r.Compared = p.read.Load(), p.compared.Load()
			})
			if on, unknown := j.on(ctx); unknown == nil && !on {
				cancel(errDisabled)
			}
			if err != nil {
				<-done
				ended <- err
				return
			}
		}
	}()
	return func() error {
		close(done)
		return <-ended
	}
}
