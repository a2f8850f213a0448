package e2e

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

// twoCriteria merge four of the eight's eight: 2 into 1, then 3, and 5 into 4.
var twoCriteria = [][]string{{"FirstName", "LastName", "EmailAddress"}, {"PhoneNumber"}}

// A node that dies at any write of a job, before or after it, leaves a job that goes on: nothing is merged twice or half, and the counters and
// the list of merges are exact.
func TestIdentityResolutionIsCutOffAnywhere(t *testing.T) {
	t.Parallel()
	calm := newRig(t, mem.New(), upload.Config{})
	calm.finds(sameLast)
	calm.domain("d")
	calm.run("d", mergeSpec, eight)
	calm.matching("d", twoCriteria...)
	if got := jobLine(calm.match("d")); got != "COMPLETED 8/3/3" {
		t.Fatal(got)
	}
	want := calm.dump("d")
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			phases := map[api.IdentityResolutionJobStatus]int{}
			for n := 1; ; n++ {
				status, cut := cutMatching(t, when, int64(n), want)
				if phases[status]++; !cut {
					break
				}
			}
			if phases[api.IdentityResolutionJobStatusMerging] < 3 {
				t.Errorf("too few jobs were cut off while they merged: %v", phases)
			}
		})
	}
}

// cutMatching runs a job on a node that dies at its n-th write, and then on one that lives. It returns how the job stood between the two, and false if
// there were fewer writes.
func cutMatching(t *testing.T, when string, n int64, want []string) (api.IdentityResolutionJobStatus, bool) {
	t.Helper()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	r.finds(sameLast)
	r.domain("d")
	r.run("d", mergeSpec, eight)
	r.matching("d", twoCriteria...)
	var calls atomic.Int64
	died := make(chan struct{})
	hook := func(op faulty.Op, _ store.Partition) error {
		if !slices.Contains([]faulty.Op{faulty.Write, faulty.WriteRun, faulty.Swap, faulty.Commit}, op) {
			return nil
		}
		switch at := calls.Add(1); {
		case at == n:
			close(died)
			fallthrough
		case at > n:
			return errors.New("the node is dead")
		}
		return nil
	}
	if when == "before" {
		st.Before(hook)
	} else {
		st.After(hook)
	}
	out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
	id := ""
	if err == nil {
		id = *out.JobId
	}
	cut := false
	for deadline := time.Now().Add(patience); !cut && (id == "" || r.matchJob("d", id).JobEndTime == nil); {
		select {
		case <-died:
			cut = true
		case <-time.After(time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatalf("write %d: neither dead nor done", n)
			}
		}
	}
	r.Stop()
	st.Before(nil)
	st.After(nil)
	var jobs []api.IdentityResolutionJob
	list := func() []api.IdentityResolutionJob {
		out, err := r.Matches.ListIdentityResolutionJobs(ctx, &api.ListIdentityResolutionJobsRequest{DomainName: api.Ptr("d")})
		if err != nil {
			t.Fatal(err)
		}
		return out.IdentityResolutionJobsList[1:] // behind the one of the schedule
	}
	jobs = list()
	r.start()
	if len(jobs) == 0 { // it died before there was anything: the caller was told
		if err == nil {
			t.Fatalf("write %d: a job that was started is gone", n)
		}
		return api.IdentityResolutionJobStatusPending, true
	}
	status := *jobs[0].Status
	if err := r.Matches.StartDue(ctx); err != nil { // queues what was not
		t.Fatal(err)
	}
	j := r.matched("d", *jobs[0].JobId)
	if got := jobLine(j); got != "COMPLETED 8/3/3" {
		t.Fatalf("write %d, %s: %s %s", n, status, got, api.Val(j.Message))
	}
	if got := r.dump("d"); !slices.Equal(got, want) {
		t.Fatalf("write %d, %s:\n%v\nwant\n%v", n, status, got, want)
	}
	if got := r.groups("d", 10); !slices.Equal(got, []string{"7+8 0.99"}) {
		t.Fatalf("write %d, %s: %v", n, status, got)
	}
	merges := r.merges("d", *j.JobId)
	seen := map[string]bool{}
	for _, m := range merges {
		seen[*m.MergeId] = true
	}
	if len(merges) != 3 || len(seen) != 3 {
		t.Fatalf("write %d, %s: merges %+v", n, status, merges)
	}
	// All of it can be taken back.
	for _, m := range slices.Backward(merges) {
		if _, err := r.Matches.UnmergeMatch(ctx, &api.UnmergeMatchRequest{DomainName: api.Ptr("d"), MergeId: m.MergeId}); err != nil {
			t.Fatalf("write %d, %s: %v", n, status, err)
		}
	}
	if got := len(r.dump("d")); got != 8 {
		t.Fatalf("write %d, %s: %d profiles", n, status, got)
	}
	// Of the attempt that died nothing is left when the job is removed.
	r.clock.add(40 * 24 * time.Hour)
	if err := r.CleanUp(ctx); err != nil {
		t.Fatal(err)
	}
	answers := 6 // three pairs, in both orders
	if got := r.rows(store.Match); got != answers {
		t.Fatalf("write %d, %s: %d rows are left, want %d", n, status, got, answers)
	}
	return status, cut
}
