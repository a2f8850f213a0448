package e2e

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/job"
	"kith/match"
	"kith/match/link"
	"kith/profile"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

// finder is link.Find, or what a test has in its place.
type finder = func(context.Context, link.Source, link.Options, func(*link.Group) error) (*link.Model, *link.Report, error)

// sameLast is a matcher that finds alike who has the same last name, with a score of 0.9, and 0.99 with the same first name too. It obeys answers
// that two are not the same.
func sameLast(ctx context.Context, src link.Source, o link.Options, emit func(*link.Group) error) (*link.Model, *link.Report, error) {
	var mu sync.Mutex
	type one struct {
		id    fold.ID
		first string
	}
	all := map[string][]one{}
	report := &link.Report{}
	err := src(ctx, func(_ int, p *fold.Profile) error {
		mu.Lock()
		defer mu.Unlock()
		report.Reviewed++
		if last := p.Get(schema.Attr{ID: schema.LastName}); last != "" {
			all[strings.Clone(last)] = append(all[last], one{p.ID, strings.Clone(p.Get(schema.Attr{ID: schema.FirstName}))})
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	o.Progress(link.FindMatching, 1)
	for _, last := range slices.Sorted(maps.Keys(all)) {
		slices.SortFunc(all[last], func(a, b one) int { return a.id.Compare(b.id) }) // profiles come in any order
		g := &link.Group{Score: 0.99}
		for _, p := range all[last] {
			if slices.ContainsFunc(o.Answers, func(a link.Answer) bool {
				return !a.Same && (a.A == p.id && slices.Contains(g.Members, a.B) || a.B == p.id && slices.Contains(g.Members, a.A))
			}) {
				continue
			}
			if g.Members = append(g.Members, p.id); p.first != all[last][0].first {
				g.Score = 0.9
			}
		}
		slices.SortFunc(g.Members, fold.ID.Compare)
		if len(g.Members) < 2 {
			continue
		}
		g.Weakest = [2]fold.ID{g.Members[0], g.Members[1]}
		report.Groups++
		report.Pairs += int64(len(g.Members)-1) * int64(len(g.Members)) / 2
		if err := emit(g); err != nil {
			return nil, nil, err
		}
	}
	model, err := nothingLearned()
	return model, report, err
}

// nothingLearned is the model of no profiles.
var nothingLearned = sync.OnceValues(func() (*link.Model, error) {
	nobody := func(context.Context, func(int, *fold.Profile) error) error { return nil }
	model, _, err := link.Find(ctx, nobody, link.Options{}, func(*link.Group) error { return nil })
	return model, err
})

// matching turns matching of a domain on, with criteria of merging or without.
func (r *rig) matching(domain string, criteria ...[]string) {
	r.t.Helper()
	r.merging(domain, nil, criteria...)
}

// merging is matching whose matches are merged from a score on.
func (r *rig) merging(domain string, least *float64, criteria ...[]string) {
	r.t.Helper()
	m := &api.MatchingRequest{Enabled: api.Ptr(true)}
	if len(criteria) > 0 {
		m.AutoMerging = &api.AutoMerging{Enabled: api.Ptr(true), Consolidation: &api.Consolidation{MatchingAttributesList: criteria}, MinAllowedConfidenceScoreForMerging: least}
	}
	if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: &domain, Matching: m}); err != nil {
		r.t.Fatal(err)
	}
}

// match starts a job and waits for its end.
func (r *rig) match(domain string) *api.GetIdentityResolutionJobResponse {
	r.t.Helper()
	out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: &domain})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.matched(domain, *out.JobId)
}

func (r *rig) matchJob(domain, id string) *api.GetIdentityResolutionJobResponse {
	r.t.Helper()
	j, err := r.Matches.GetIdentityResolutionJob(ctx, &api.GetIdentityResolutionJobRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		r.t.Fatal(err)
	}
	return j
}

// matched waits for the end of a job.
func (r *rig) matched(domain, id string) (j *api.GetIdentityResolutionJobResponse) {
	r.t.Helper()
	r.until("the job ends", func() bool {
		j = r.matchJob(domain, id)
		return j.JobEndTime != nil
	})
	return j
}

// jobLine is a job in one line: status, reviewed/found/merged.
func jobLine(j *api.GetIdentityResolutionJobResponse) string {
	s := j.JobStats
	return fmt.Sprintf("%s %d/%d/%d", *j.Status, *s.NumberOfProfilesReviewed, *s.NumberOfMatchesFound, *s.NumberOfMergesDone)
}

// groups returns the matches of a domain as account numbers with their scores, read in pages.
func (r *rig) groups(domain string, size int32) (all []string) {
	r.t.Helper()
	in := &api.GetMatchesRequest{DomainName: &domain, MaxResults: &size}
	for {
		out, err := r.Matches.GetMatches(ctx, in)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range out.Matches {
			got, err := r.Profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &domain, ProfileIds: m.ProfileIds})
			if err != nil || len(got.Errors) > 0 {
				r.t.Fatal(got, err)
			}
			var who []string
			for _, p := range got.Profiles {
				who = append(who, api.Val(p.AccountNumber))
			}
			slices.Sort(who)
			all = append(all, fmt.Sprintf("%s %.2f", strings.Join(who, "+"), *m.ConfidenceScore))
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all
		}
	}
}

const eight = "id,first,last,mail,phone,city,street,tier,party\n" +
	"1,Ann,Lee,ann@x.com,5555,,,,\n2,Ann,Lee,ann@x.com,5556,,,,\n3,Jane,Lee,jane@x.com,5555,,,,\n" +
	"4,Bo,Ray,bo@x.com,1,,,,\n5,Bo,Ray,bo@x.com,2,,,,\n6,Cy,Oh,,,,,,\n7,Di,Ek,di@x.com,3,,,,\n8,Di,Ek,dina@x.com,4,,,,\n"

func TestIdentityResolution(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.finds(sameLast)
		r.domain("d")
		d := api.Ptr("d")
		if _, err := r.Matches.GetMatches(ctx, &api.GetMatchesRequest{DomainName: d}); !errors.Is(err, fault.BadRequest) {
			t.Fatal(err)
		}
		if _, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: d}); !errors.Is(err, fault.BadRequest) {
			t.Fatal(err)
		}
		r.matching("d")
		if out, err := r.Matches.GetMatches(ctx, &api.GetMatchesRequest{DomainName: d}); err != nil || len(out.Matches) != 0 || *out.PotentialMatches != 0 || out.MatchGenerationDate != nil {
			t.Fatal(out, err)
		}
		if got := jobLine(r.match("d")); got != "COMPLETED 0/0/0" {
			t.Fatal(got)
		}
		r.run("d", mergeSpec, eight)
		if got := jobLine(r.match("d")); got != "COMPLETED 8/3/0" {
			t.Fatal(got)
		}
		want := []string{"4+5 0.99", "7+8 0.99", "1+2+3 0.90"}
		for size := int32(1); size < 5; size++ {
			got := r.groups("d", size)
			slices.Sort(got[:2]) // equal scores are in the order of their ids
			if !slices.Equal(got, want) {
				t.Fatalf("in pages of %d: %v", size, got)
			}
		}

		// By a profile, by a match, and what leads nowhere.
		ids := r.profileIDs("d", "1", "6", "2", "3")
		similar := func(key, value string) (*api.GetSimilarProfilesResponse, error) {
			return r.Matches.GetSimilarProfiles(ctx, &api.GetSimilarProfilesRequest{DomainName: d, MatchType: api.Ptr(api.MatchTypeMlBasedMatching), SearchKey: &key, SearchValue: &value})
		}
		one, err := similar("_profileId", ids[0].String())
		if err != nil || len(one.ProfileIds) != 3 || *one.ConfidenceScore != 0.9 || one.RuleLevel != nil {
			t.Fatalf("%+v, %v", one, err)
		}
		if by, err := similar("MATCHID", *one.MatchId); err != nil || !slices.Equal(by.ProfileIds, one.ProfileIds) {
			t.Fatalf("%+v, %v", by, err)
		}
		if none, err := similar("profileId", ids[1].String()); err != nil || len(none.ProfileIds) != 0 || none.MatchId != nil {
			t.Fatalf("%+v, %v", none, err)
		}
		for _, c := range []struct {
			key, value string
			kind       fault.Kind
		}{{"matchId", strings.Repeat("ab", 16), fault.NotFound}, {"matchId", "x", fault.NotFound}, {"profileId", strings.Repeat("ab", 16), fault.NotFound},
			{"profileId", "x", fault.NotFound}, {"EmailAddress", "x", fault.BadRequest}} {
			if out, err := similar(c.key, c.value); !errors.Is(err, c.kind) {
				t.Errorf("%s=%s: %+v, %v", c.key, c.value, out, err)
			}
		}

		// A preview says what would be merged, and writes nothing.
		preview := func(least float64, criteria ...[]string) string {
			out, err := r.Matches.GetAutoMergingPreview(ctx, &api.GetAutoMergingPreviewRequest{DomainName: d, Consolidation: &api.Consolidation{MatchingAttributesList: criteria},
				ConflictResolution: &api.ConflictResolution{ConflictResolvingModel: api.Ptr(api.ConflictResolvingModelRecency)}, MinAllowedConfidenceScoreForMerging: &least})
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%d/%d/%d", *out.NumberOfMatchesInSample, *out.NumberOfProfilesInSample, *out.NumberOfProfilesWillBeMerged)
		}
		for _, c := range []struct {
			least    float64
			criteria [][]string
			want     string
		}{{0, [][]string{{"FirstName", "LastName"}}, "3/7/6"}, {0.95, [][]string{{"FirstName", "LastName"}}, "3/7/4"},
			{0, [][]string{{"EmailAddress"}, {"PhoneNumber"}}, "3/7/5"}, {0, [][]string{{"BirthDate"}}, "3/7/0"}} {
			if got := preview(c.least, c.criteria...); got != c.want {
				t.Errorf("preview of %v: %s, want %s", c.criteria, got, c.want)
			}
		}
		if got := len(r.dump("d")); got != 8 {
			t.Fatalf("a preview left %d profiles", got)
		}

		// With criteria they are merged.
		r.matching("d", []string{"FirstName", "LastName", "EmailAddress"}, []string{"PhoneNumber"})
		j := r.match("d")
		if got := jobLine(j); got != "COMPLETED 8/3/3" || j.AutoMerging == nil || *j.JobExpirationTime != *api.Micros(j.JobEndTime.Add(30 * 24 * time.Hour).UnixMicro()) {
			t.Fatal(got)
		}
		if got := r.groups("d", 10); !slices.Equal(got, []string{"7+8 0.99"}) {
			t.Fatal(got)
		}
		if out, err := r.Matches.GetMatches(ctx, &api.GetMatchesRequest{DomainName: d}); err != nil || *out.PotentialMatches != 1 {
			t.Fatal(out, err)
		}
		merges := r.merges("d", *j.JobId)
		if len(merges) != 3 || *merges[0].Status != api.MatchMergeStatusMerged {
			t.Fatalf("%+v", merges)
		}
		if out, err := similar("profileId", ids[2].String()); !errors.Is(err, fault.NotFound) {
			t.Fatalf("%+v, %v: it was merged", out, err)
		}
		// Taken back, it is not merged again.
		for _, m := range slices.Backward(merges) {
			if _, err := r.Matches.UnmergeMatch(ctx, &api.UnmergeMatchRequest{DomainName: d, MergeId: m.MergeId}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Matches.UnmergeMatch(ctx, &api.UnmergeMatchRequest{DomainName: d, MergeId: merges[0].MergeId}); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if got := r.merges("d", *j.JobId); *got[0].Status != api.MatchMergeStatusUnmerged {
			t.Fatalf("%+v", got)
		}
		if got := len(r.dump("d")); got != 8 {
			t.Fatalf("%d profiles", got)
		}
		if got := jobLine(r.match("d")); got != "COMPLETED 8/1/0" {
			t.Fatal(got)
		}
		r.restart()
		if got := r.groups("d", 10); !slices.Equal(got, []string{"7+8 0.99"}) {
			t.Fatal(got)
		}
	})
}

// What is less sure than a domain wants stays a match.
func TestIdentityResolutionMergesWhatIsSure(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.finds(sameLast)
		r.domain("d")
		r.run("d", mergeSpec, eight)
		names := []string{"FirstName", "LastName"}
		for _, c := range []struct {
			least float64
			job   string
			left  []string
		}{
			{1, "COMPLETED 8/3/0", []string{"4+5 0.99", "7+8 0.99", "1+2+3 0.90"}},
			{0.95, "COMPLETED 8/3/2", []string{"1+2+3 0.90"}},
			{0.9, "COMPLETED 6/1/1", []string{"1+3 0.90"}},
		} {
			r.merging("d", &c.least, names)
			if got := jobLine(r.match("d")); got != c.job {
				t.Errorf("from %v on: %s, want %s", c.least, got, c.job)
			}
			got := r.groups("d", 10)
			slices.Sort(got[:max(0, len(got)-1)]) // equal scores are in the order of their ids
			if !slices.Equal(got, c.left) {
				t.Errorf("from %v on: %v, want %v", c.least, got, c.left)
			}
		}
	})
}

// merges lists what a job merged, in pages.
func (r *rig) merges(domain, id string) (all []api.MatchMerge) {
	r.t.Helper()
	in := &api.ListIdentityResolutionJobMergesRequest{DomainName: &domain, JobId: &id, MaxResults: api.Ptr(int32(2))}
	for {
		out, err := r.Matches.ListIdentityResolutionJobMerges(ctx, in)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, out.Items...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all
		}
	}
}

// The jobs of a schedule are there before they begin, begin when they are due, and go when matching is disabled.
func TestIdentityResolutionSchedule(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.finds(sameLast)
		r.domain("d")
		list := func() (all []api.IdentityResolutionJob) {
			in := &api.ListIdentityResolutionJobsRequest{DomainName: api.Ptr("d"), MaxResults: api.Ptr(int32(1))}
			for {
				out, err := r.Matches.ListIdentityResolutionJobs(ctx, in)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, out.IdentityResolutionJobsList...)
				if in.NextToken = out.NextToken; in.NextToken == nil {
					return all
				}
			}
		}
		if got := list(); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		r.matching("d")
		jobs := list()
		if len(jobs) != 1 || *jobs[0].Status != api.IdentityResolutionJobStatusPending || jobs[0].JobStartTime.Sub(r.clock.now()) > 24*time.Hour {
			t.Fatalf("%+v", jobs)
		}
		first := *jobs[0].JobId
		if j := r.matchJob("d", first); *j.Status != api.IdentityResolutionJobStatusPending {
			t.Fatalf("%+v", j)
		}
		if err := r.Matches.StartDue(ctx); err != nil || len(list()) != 1 {
			t.Fatal(err, list())
		}
		r.clock.add(24 * time.Hour)
		for range 3 {
			if err := r.Matches.StartDue(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if j := r.matched("d", first); *j.Status != api.IdentityResolutionJobStatusCompleted {
			t.Fatalf("%+v", j)
		}
		jobs = list()
		if len(jobs) != 2 || *jobs[1].JobId != first || *jobs[0].Status != api.IdentityResolutionJobStatusPending || *jobs[0].JobId == first {
			t.Fatalf("%+v", jobs)
		}
		second := *jobs[0].JobId
		// A week later, disabled: nothing is due, and what waited has gone.
		if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: api.Ptr("d"), Matching: &api.MatchingRequest{Enabled: api.Ptr(false)}}); err != nil {
			t.Fatal(err)
		}
		r.clock.add(8 * 24 * time.Hour)
		if err := r.Matches.StartDue(ctx); err != nil {
			t.Fatal(err)
		}
		if jobs = list(); len(jobs) != 1 || *jobs[0].JobId != first {
			t.Fatalf("%+v", jobs)
		}
		if _, err := r.Matches.GetIdentityResolutionJob(ctx, &api.GetIdentityResolutionJobRequest{DomainName: api.Ptr("d"), JobId: &second}); !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		// What ended long ago goes, and all its rows, those of a process that died while it ended too.
		work := job.Partition(r.incarnation("d"), first)
		left := func() (keys []string) {
			for row, err := range r.store.Scan(ctx, work, store.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, string(row.Key))
			}
			return keys
		}
		r.until("nobody has the job any more", func() bool { return !slices.Contains(left(), "lease") && !slices.Contains(left(), "attempts") })
		for _, key := range []string{"lease", "attempts"} {
			if _, err := r.store.Swap(ctx, work, []store.Swap{{Key: []byte(key), Value: []byte("{}")}}); err != nil {
				t.Fatal(err)
			}
		}
		r.clock.add(31 * 24 * time.Hour)
		if err := r.CleanUp(ctx); err != nil {
			t.Fatal(err)
		}
		if keys := left(); len(keys) != 0 {
			t.Fatalf("the job has left rows %v", keys)
		}
		if jobs = list(); len(jobs) != 0 || r.rows(store.Match) != 0 {
			t.Fatalf("%+v, %d rows", jobs, r.rows(store.Match))
		}
	})
}

// A job that was started and waits is removed when matching is disabled, and one that runs ends.
func TestIdentityResolutionIsDisabled(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		began, goOn := make(chan struct{}), make(chan struct{})
		r.Matches.Find = func(ctx context.Context, src link.Source, o link.Options, emit func(*link.Group) error) (*link.Model, *link.Report, error) {
			began <- struct{}{}
			<-goOn
			return sameLast(ctx, src, o, emit)
		}
		r.domain("d")
		r.run("d", mergeSpec, eight)
		r.matching("d", []string{"LastName"})
		out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		if _, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")}); !errors.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), *out.JobId) {
			t.Fatal(err)
		}
		if j := r.matchJob("d", *out.JobId); *j.Status != api.IdentityResolutionJobStatusPreprocessing {
			t.Fatalf("%+v", j)
		}
		if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: api.Ptr("d"), Matching: &api.MatchingRequest{Enabled: api.Ptr(false)}}); err != nil {
			t.Fatal(err)
		}
		goOn <- struct{}{}
		if j := r.matched("d", *out.JobId); !strings.Contains(jobLine(j), "PARTIAL_SUCCESS 8/3/0") || !strings.Contains(*j.Message, "disabled") {
			t.Fatal(jobLine(j), api.Val(j.Message))
		}
		if got := len(r.dump("d")); got != 8 {
			t.Fatal(got)
		}
	})
}

// Who disables matching, and merges nothing, ends the job as well: while it looks, and before anything is written outside.
func TestIdentityResolutionIsDisabledWithoutMerging(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		began := make(chan struct{}, 1)
		var looks bool
		goOn := make(chan struct{})
		r.Matches.Find = func(ctx context.Context, src link.Source, o link.Options, emit func(*link.Group) error) (*link.Model, *link.Report, error) {
			began <- struct{}{}
			if looks { // for long
				<-ctx.Done()
				return nil, nil, context.Cause(ctx)
			}
			<-goOn
			return sameLast(ctx, src, o, emit)
		}
		r.domain("d")
		r.run("d", mergeSpec, eight)
		for _, c := range []struct {
			looks bool
			want  string
		}{{true, "FAILED 0/0/0"}, {false, "PARTIAL_SUCCESS 8/3/0"}} {
			looks = c.looks
			r.matching("d")
			out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
			if err != nil {
				t.Fatal(err)
			}
			<-began
			if _, err := r.Domains.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: api.Ptr("d"), Matching: &api.MatchingRequest{Enabled: api.Ptr(false)}}); err != nil {
				t.Fatal(err)
			}
			if !looks {
				goOn <- struct{}{}
			}
			if j := r.matched("d", *out.JobId); jobLine(j) != c.want || api.Val(j.Message) != "Matching was disabled while the job ran." {
				t.Fatal(jobLine(j), api.Val(j.Message))
			}
		}
	})
}

// An operator ends a job: nothing was merged, and it says so.
func TestIdentityResolutionIsCancelled(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		began := make(chan struct{}, 10)
		r.Matches.Find = func(ctx context.Context, _ link.Source, _ link.Options, _ func(*link.Group) error) (*link.Model, *link.Report, error) {
			began <- struct{}{}
			<-ctx.Done()
			return nil, nil, context.Cause(ctx)
		}
		r.domain("d")
		r.matching("d")
		out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		if _, err := r.Domains.CancelBackgroundWork(ctx, &api.CancelBackgroundWorkRequest{DomainName: api.Ptr("d"), WorkId: out.JobId}); err != nil {
			t.Fatal(err)
		}
		if j := r.matched("d", *out.JobId); *j.Status != api.IdentityResolutionJobStatusFailed || !strings.Contains(*j.Message, "cancelled") {
			t.Fatalf("%+v", j)
		}
		if n, err := job.Waiting(ctx, r.store, r.incarnation("d")); err != nil || n > 1 {
			t.Fatal(n, err)
		}
	})
}

// Matches are written where a domain wants them.
func TestExportedMatches(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.finds(sameLast)
		dir := t.TempDir()
		r.domain("d")
		r.run("d", mergeSpec, eight)
		in := &api.UpdateDomainRequest{DomainName: api.Ptr("d"), Matching: &api.MatchingRequest{Enabled: api.Ptr(true),
			ExportingConfig: &api.ExportingConfig{S3Exporting: &api.S3ExportingConfig{S3BucketName: api.Ptr("bucket"), S3KeyName: api.Ptr("a/b/")}}}}
		if _, err := r.Domains.UpdateDomain(ctx, in); !errors.Is(err, fault.BadRequest) {
			t.Fatal(err)
		}
		r.Matches.Exports = match.Folder{Dir: filepath.Join(dir, "none")}
		if _, err := r.Domains.UpdateDomain(ctx, in); !errors.Is(err, fault.BadRequest) || r.live()[0].Matching != nil {
			t.Fatal(err)
		}
		r.Matches.Exports = match.Folder{Dir: dir}
		in.Matching.ExportingConfig.S3Exporting.S3KeyName = api.Ptr("../up")
		if _, err := r.Domains.UpdateDomain(ctx, in); !errors.Is(err, fault.BadRequest) {
			t.Fatal(err)
		}
		in.Matching.ExportingConfig.S3Exporting.S3KeyName = api.Ptr("a/b/")
		if _, err := r.Domains.UpdateDomain(ctx, in); err != nil {
			t.Fatal(err)
		}
		j := r.match("d")
		if got := jobLine(j); got != "COMPLETED 8/3/0" || *j.ExportingLocation.S3Exporting.S3KeyName != "a/b/d/"+*j.JobId {
			t.Fatalf("%s, %+v", got, j.ExportingLocation)
		}
		f, err := os.Open(filepath.Join(dir, "bucket", *j.ExportingLocation.S3Exporting.S3KeyName, "matches-00000.csv"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil || len(rows) != 8 || strings.Join(rows[0], ",") != "MatchId,ProfileId,ConfidenceScore" || rows[7][2] != "0.9" {
			t.Fatal(rows, err)
		}
	})
}

// What people answer is obeyed: the same are merged whatever criteria say, and others never.
func TestIdentityResolutionObeysAnswers(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.finds(sameLast)
		r.domain("d")
		d := api.Ptr("d")
		r.run("d", mergeSpec, eight)
		r.matching("d", []string{"EmailAddress"})
		ids := r.profileIDs("d", "1", "2", "3", "4", "5", "7", "8")
		answer := func(a, b int, kind api.MatchAnswerKind) {
			in := &api.PutMatchAnswerRequest{DomainName: d, ProfileIds: []string{ids[a].String(), ids[b].String()}, Answer: &kind}
			if _, err := r.Matches.PutMatchAnswer(ctx, in); err != nil {
				t.Fatal(err)
			}
		}
		answer(6, 5, api.MatchAnswerKindSame)    // 7 and 8, who differ in their e-mail addresses
		answer(1, 2, api.MatchAnswerKindSame)    // 2 and 3
		answer(3, 4, api.MatchAnswerKindNotSame) // 4 and 5, who don't
		j := r.match("d")
		if got := jobLine(j); got != "COMPLETED 8/2/3" { // 7+8, 2+3, and then 1+2
			t.Fatal(got)
		}
		var told []string
		for _, m := range r.merges("d", *j.JobId) {
			told = append(told, fmt.Sprintf("%d: %d", *m.Criterion, len(m.ProfileIds)))
		}
		slices.Sort(told)
		if got := strings.Join(told, ", "); got != "0: 1, 0: 1, 1: 1" {
			t.Fatal(got)
		}
		if got := len(r.dump("d")); got != 5 {
			t.Fatal(got)
		}
		// What was said of one that was merged since is said of the person.
		if apart, err := r.Matches.Apart(ctx, r.incarnation("d"), []fold.ID{ids[3], ids[4], ids[0]}); err != nil || len(apart) != 1 {
			t.Fatal(apart, err)
		}
		answer(2, 6, api.MatchAnswerKindNotSame) // 3 is of 1, and 8 of 7
		if apart, err := r.Matches.Apart(ctx, r.incarnation("d"), []fold.ID{ids[0], ids[5]}); err != nil || len(apart) != 1 || apart[0] != [2]fold.ID{ids[0], ids[5]} && apart[0] != [2]fold.ID{ids[5], ids[0]} {
			t.Fatal(apart, err)
		}
	})
}

// A merge that would make too large a person is refused; the job does the others, and says how many were refused and why. Who starts very many
// jobs finds the newest.
func TestIdentityResolutionRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.finds(sameLast)
	r.domain("d")
	var b strings.Builder
	b.WriteString(mergeHead)
	for i := range profile.MaxMembers {
		fmt.Fprintf(&b, "%d,Ann,Lee,,,,,,\n", i)
	}
	r.run("d", mergeSpec, b.String())
	r.matching("d", []string{"LastName"})
	if got := jobLine(r.match("d")); got != "COMPLETED 500/1/499" {
		t.Fatal(got)
	}
	r.run("d", mergeSpec, mergeHead+"n1,Ann,Lee,,,,,,\nx,Bo,Ray,,,,,,\ny,Bo,Ray,,,,,,\n")
	j := r.match("d")
	if got := jobLine(j); got != "PARTIAL_SUCCESS 4/2/1" || !strings.Contains(*j.Message, "1 merge was refused: The merge would make a profile of 501 profiles; 500 are possible.") {
		t.Fatal(got, api.Val(j.Message))
	}
	if got := r.groups("d", 10); !slices.Equal(got, []string{"0+n1 0.99"}) {
		t.Fatal(got)
	}
	r.matching("d")
	for range 105 {
		r.match("d")
	}
	r.idle() // a job has ended before it removes those behind it
	all, merged := 0, 0
	in := &api.ListIdentityResolutionJobsRequest{DomainName: api.Ptr("d"), MaxResults: api.Ptr(int32(7))}
	for {
		out, err := r.Matches.ListIdentityResolutionJobs(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range out.IdentityResolutionJobsList {
			if all++; *j.JobStats.NumberOfMergesDone > 0 {
				merged++
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if all != 1+100+2 || merged != 2 {
		t.Fatalf("%d jobs, %d of which have merged", all, merged)
	}
}

// Retention that looks at a job just before and just after its end does not take its matches for those of an older one.
func TestRetentionMeetsTheEndOfAJob(t *testing.T) {
	t.Parallel()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.finds(sameLast)
	r.domain("d")
	r.run("d", mergeSpec, eight)
	r.matching("d")
	reads := 0
	for at := 1; at < 12; at++ { // after the first, the second … read of retention the job ends
		began, goOn := make(chan struct{}), make(chan struct{})
		r.Matches.Find = func(ctx context.Context, src link.Source, o link.Options, emit func(*link.Group) error) (*link.Model, *link.Report, error) {
			close(began)
			<-goOn
			return sameLast(ctx, src, o, emit)
		}
		out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
		if err != nil {
			t.Fatal(err)
		}
		<-began
		reads = 0
		retention := &match.Service{Store: st, Blobs: r.blobs, Domains: r.Domains, Profiles: r.Profiles, Now: r.clock.now}
		slow := &faulty.Store{Store: st}
		slow.Before(func(op faulty.Op, _ store.Partition) error {
			if op != faulty.Get && op != faulty.Scan {
				return nil
			}
			if reads++; reads == at {
				close(goOn)
				r.matched("d", *out.JobId)
			}
			return nil
		})
		retention.Store = slow
		if err := retention.CleanUp(ctx, r.live()[0]); err != nil {
			t.Fatal(err)
		}
		if reads < at {
			close(goOn)
			r.matched("d", *out.JobId)
		}
		if got := r.groups("d", 10); len(got) != 3 {
			t.Fatalf("the job ended at read %d of retention: %v", at, got)
		}
		if reads < at {
			return
		}
	}
}
