package match

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/store"
)

// Kind is the kind of background work of a job. A node does one at a time (job.Runner.AtMost): each search takes as much memory as Config says.
const Kind = "identity-resolution"

// lane is where jobs of a domain wait for each other.
const lane job.Lane = "identity-resolution"

// lateStart is for how long a job is queued that was made and could not be.
const lateStart = 24 * time.Hour

// keepJobs is how long a job is kept after its end, with the list of what it merged.
const keepJobs = 30 * 24 * time.Hour

// StartIdentityResolutionJob starts a job now. One job of a domain runs at a time.
func (s *Service) StartIdentityResolutionJob(ctx context.Context, in *api.StartIdentityResolutionJobRequest) (*api.StartIdentityResolutionJobResponse, error) {
	rec, err := s.enabled(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	queued, err := job.List(ctx, s.Store, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	for _, w := range queued {
		if w.Kind != Kind {
			continue
		}
		r, err := s.load(ctx, rec.Incarnation, w.ID)
		if err != nil {
			return nil, err
		}
		if r != nil && !r.over() {
			return nil, fault.BadRequestf("Identity resolution job %s of domain %s is %s. Wait for its end.", r.id, rec.Name, r.Status)
		}
	}
	var random [16]byte
	_, _ = rand.Read(random[:])
	p := planned{hex.EncodeToString(random[:]), s.Now().UnixMicro()}
	if err := s.start(ctx, rec.Incarnation, p, cmp.Or(caller(ctx), "unknown")); err != nil {
		return nil, err
	}
	return &api.StartIdentityResolutionJobResponse{JobId: &p.id}, nil
}

// start makes a job and queues it. It may be repeated.
func (s *Service) start(ctx context.Context, inc store.Incarnation, p planned, by string) error {
	r := &record{Status: api.IdentityResolutionJobStatusPending, Planned: p.at, By: by, Updated: s.Now().UnixMicro()}
	value, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return err
	}
	// The list row first: one without a record is passed over, a record without one would never be listed.
	if err := s.Store.Write(ctx, listPartition(inc), []store.Mutation{{Key: listKey(p.at, p.id), Time: p.at}}); err != nil {
		return fmt.Errorf("list an identity resolution job: %w", err)
	}
	_, err = store.Certain(ctx, s.Store, job.Partition(inc, p.id), []store.Swap{{Key: recordKey, Value: value}}, func([]byte) bool { return true })
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict: another node was faster with a job of the schedule
		return fmt.Errorf("create an identity resolution job: %w", err)
	}
	return s.enqueue(ctx, inc, p)
}

func (s *Service) enqueue(ctx context.Context, inc store.Incarnation, p planned) error {
	err := job.Enqueue(ctx, s.Store, job.Work{Kind: Kind, ID: p.id, Lane: lane, Incarnation: inc, Arrived: p.at})
	if err == nil && s.Wake != nil {
		s.Wake()
	}
	return err
}

// StartDue makes jobs of what the schedules of all domains had until now, and queues those that were made and not queued.
func (s *Service) StartDue(ctx context.Context) error {
	live, err := s.Domains.Live(ctx)
	if err != nil {
		return err
	}
	for _, rec := range live {
		if !rec.MatchingOn() {
			continue
		}
		if err := s.startDue(ctx, rec); err != nil {
			return fmt.Errorf("domain %s: %w", rec.Name, err)
		}
	}
	return nil
}

func (s *Service) startDue(ctx context.Context, rec *domain.Record) error {
	all, err := s.list(ctx, rec.Incarnation)
	if err != nil {
		return err
	}
	if p, ok := due(rec, s.Now()); ok {
		r, err := s.load(ctx, rec.Incarnation, p.id)
		if err != nil {
			return err
		}
		if r == nil && s.Now().Sub(time.UnixMicro(p.at)) < keepJobs {
			return s.start(ctx, rec.Incarnation, p, "")
		}
	}
	for _, l := range all { // of a start that was cut off
		if s.Now().Sub(time.UnixMicro(l.planned)) > lateStart {
			break
		}
		r, err := s.load(ctx, rec.Incarnation, l.id)
		if err != nil {
			return err
		}
		if r == nil || r.Status != api.IdentityResolutionJobStatusPending {
			continue
		}
		queued, err := job.Queued(ctx, s.Store, rec.Incarnation, l.id)
		if err == nil && !queued {
			err = s.enqueue(ctx, rec.Incarnation, planned{l.id, l.planned})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ListIdentityResolutionJobs lists the jobs of a domain from the newest, the one of its schedule that comes next first.
func (s *Service) ListIdentityResolutionJobs(ctx context.Context, in *api.ListIdentityResolutionJobsRequest) (*api.ListIdentityResolutionJobsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	all, err := s.list(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	if rec.MatchingOn() {
		next := upcoming(rec, s.Now())
		all = append([]listed{{next.id, next.at}}, slices.DeleteFunc(all, func(l listed) bool { return l.id == next.id })...)
	}
	if in.NextToken != nil {
		from := slices.IndexFunc(all, func(l listed) bool { return string(listKey(l.planned, l.id)) > mustHex(*in.NextToken) })
		if from < 0 {
			from = len(all)
		}
		all = all[from:]
	}
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListIdentityResolutionJobsResponse{IdentityResolutionJobsList: []api.IdentityResolutionJob{}}
	for i, l := range all {
		if len(out.IdentityResolutionJobsList) == limit {
			out.NextToken = api.Ptr(hex.EncodeToString(listKey(all[i-1].planned, all[i-1].id)))
			break
		}
		j, err := s.job(ctx, rec, l.id)
		if err != nil {
			return nil, err
		}
		if j == nil {
			continue
		}
		out.IdentityResolutionJobsList = append(out.IdentityResolutionJobsList, api.IdentityResolutionJob{
			DomainName: j.DomainName, JobId: j.JobId, Status: j.Status, JobStartTime: j.JobStartTime, JobEndTime: j.JobEndTime,
			JobStats: j.JobStats, ExportingLocation: j.ExportingLocation, Message: j.Message,
		})
	}
	return out, nil
}

func mustHex(text string) string {
	b, _ := hex.DecodeString(text)
	return string(b)
}

// GetIdentityResolutionJob tells how a job stands.
func (s *Service) GetIdentityResolutionJob(ctx context.Context, in *api.GetIdentityResolutionJobRequest) (*api.GetIdentityResolutionJobResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	j, err := s.job(ctx, rec, *in.JobId)
	if err == nil && j == nil {
		err = noJob(*in.JobId, rec)
	}
	return j, err
}

func noJob(id string, rec *domain.Record) error {
	return fault.NotFoundf("Identity resolution job %s is not found in domain %s.", id, rec.Name)
}

// job returns a job as the API has it, or nil. One that waits in a domain whose matching was disabled is gone.
func (s *Service) job(ctx context.Context, rec *domain.Record, id string) (*api.GetIdentityResolutionJobResponse, error) {
	r, err := s.load(ctx, rec.Incarnation, id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		if !rec.MatchingOn() {
			return nil, nil
		}
		next := upcoming(rec, s.Now())
		if next.id != id {
			return nil, nil
		}
		return &api.GetIdentityResolutionJobResponse{
			DomainName: &rec.Name, JobId: &id, Status: api.Ptr(api.IdentityResolutionJobStatusPending), JobStartTime: api.Micros(next.at),
			LastUpdatedAt: api.Micros(rec.MatchingChanged), AutoMerging: rec.Matching.AutoMerging, JobStats: (&record{}).stats(),
		}, nil
	}
	if r.Status == api.IdentityResolutionJobStatusPending && !rec.MatchingOn() {
		return nil, nil
	}
	out := &api.GetIdentityResolutionJobResponse{
		DomainName: &rec.Name, JobId: &r.id, Status: &r.Status, JobStartTime: api.Micros(max(r.Began, r.Planned)), LastUpdatedAt: api.Micros(r.Updated),
		AutoMerging: r.AutoMerging, JobStats: r.stats(),
	}
	if r.Began != 0 {
		out.JobStartTime = api.Micros(r.Began)
	}
	if r.Ended != 0 {
		out.JobEndTime, out.JobExpirationTime = api.Micros(r.Ended), api.Micros(r.Ended+keepJobs.Microseconds())
	}
	if r.Message != "" {
		out.Message = &r.Message
	}
	if len(r.Exported) > 0 {
		out.ExportingLocation = &api.ExportingLocation{S3Exporting: &api.S3ExportingLocation{S3BucketName: r.Exporting.S3BucketName, S3KeyName: api.Ptr(r.exportKey(rec.Name))}}
	}
	return out, nil
}

func (r *record) stats() *api.JobStats {
	st := &api.JobStats{NumberOfProfilesReviewed: &r.Reviewed, NumberOfMatchesFound: api.Ptr(int64(0)), NumberOfMergesDone: &r.Merged}
	if r.Found != nil {
		st.NumberOfMatchesFound = &r.Found.Groups
	}
	return st
}

// stored returns a job that has been made, or fault.NotFound.
func (s *Service) stored(ctx context.Context, name, id string) (*domain.Record, *record, error) {
	rec, err := s.Domains.Lookup(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.load(ctx, rec.Incarnation, id)
	if err == nil && r == nil {
		err = noJob(id, rec)
	}
	return rec, r, err
}

// GetIdentityResolutionJobDetails tells of a job what the API has no member for.
func (s *Service) GetIdentityResolutionJobDetails(ctx context.Context, in *api.GetIdentityResolutionJobDetailsRequest) (*api.GetIdentityResolutionJobDetailsResponse, error) {
	_, r, err := s.stored(ctx, *in.DomainName, *in.JobId)
	if err != nil {
		return nil, err
	}
	out := &api.GetIdentityResolutionJobDetailsResponse{
		JobId: &r.id, StartedBy: api.Ptr(cmp.Or(r.By, "the schedule")), ProfilesRead: &r.Reviewed, PairsCompared: &r.Compared, PairsMatched: &r.Pairs, Matches: api.Ptr(int64(0)),
		MatchesExamined: &r.Examined, MergesDone: &r.Merges, MergesRefused: &r.Refused, Bounded: r.Bounded, SeemTwoPeople: r.Glued, ExportedFiles: r.Exported,
		Superseded: &r.Dropped,
	}
	if r.Found != nil {
		out.Matches, out.MatchesLeft = &r.Found.Groups, api.Ptr(r.left())
	}
	return out, nil
}

// left is how many groups had two profiles at least when the job had ended.
func (r *record) left() int64 {
	if r.AllDone {
		return r.Left
	}
	return r.Found.Groups
}
