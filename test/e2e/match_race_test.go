package e2e

import (
	"strings"
	"testing"

	"kith/api"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/upload"
)

func (r *rig) notSame(domain, a, b string) error {
	_, err := r.Matches.PutMatchAnswer(ctx, &api.PutMatchAnswerRequest{DomainName: &domain, ProfileIds: []string{a, b}, Answer: api.Ptr(api.MatchAnswerKindNotSame)})
	return err
}

// beginsMerge picks the write by which a job notes that it is about to merge.
func beginsMerge() faulty.Match {
	return func(c faulty.Call) bool {
		return !c.Done && c.Op == faulty.Write && c.Partition.Table == store.Match && strings.HasPrefix(c.Partition.Key, "did/")
	}
}

// A job that is about to merge two does not if one of them has become one meanwhile with somebody of whom was answered that it is not the other.
func TestMergesObeyAnswersAboutMembers(t *testing.T) {
	t.Parallel()
	for _, main := range []bool{true, false} {
		st := &faulty.Store{Store: mem.New()}
		r := newRig(t, st, upload.Config{})
		r.finds(sameLast)
		r.domain("d")
		r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,a@x.com,,,,,\n2,Ann,Lee,a@x.com,,,,,\n3,Zoe,Ray,,,,,,\n")
		one, two, three := r.id("d", "1"), r.id("d", "2"), r.id("d", "3")
		if err := r.notSame("d", three, two); err != nil {
			t.Fatal(err)
		}
		r.matching("d", []string{"EmailAddress"})
		stall := st.Stall(beginsMerge())
		out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
		if err != nil {
			t.Fatal(err)
		}
		arrived(t, r, stall)
		if main {
			err = r.tryMerge("d", nil, one, three)
		} else {
			err = r.tryMerge("d", nil, three, one)
		}
		if err != nil {
			t.Fatal(err)
		}
		stall.Release()
		j := r.matched("d", *out.JobId)
		if got := jobLine(j); got != "COMPLETED 3/1/0" {
			t.Errorf("the job ended as %s", got)
		}
		if n := len(r.all("d", 10)); n != 2 {
			t.Errorf("%d persons are left: two that are not the same were put together", n)
		}
	}
}

// Who answers NOT_SAME while a job merges the two is told that they are one already, or they never become one: at whichever call of the store the job is.
func TestAnswersMeetMerges(t *testing.T) {
	t.Parallel()
	refused := 0
	n := 1
	for ; answerAt(t, n, &refused); n++ {
	}
	if n < 20 || refused == 0 || refused == n-1 {
		t.Errorf("%d answers were given while a merge was under way, and %d of them came too late", n-1, refused)
	}
}

// answerAt answers at the n-th call of the store after a job has noted that it is about to merge. It is false when there are fewer.
func answerAt(t *testing.T, n int, refused *int) bool {
	t.Helper()
	st := &faulty.Store{Store: mem.New()}
	r := newRig(t, st, upload.Config{})
	defer r.Stop()
	r.finds(sameLast)
	r.domain("d")
	r.run("d", mergeSpec, mergeHead+"1,Ann,Lee,a@x.com,,,,,\n2,Ann,Lee,a@x.com,,,,,\n")
	one, two := r.id("d", "1"), r.id("d", "2")
	r.matching("d", []string{"EmailAddress"})
	begins, begun, left := beginsMerge(), false, n
	stall := st.Stall(func(c faulty.Call) bool {
		begun = begun || begins(c)
		p := c.Partition
		if begun && (p.Table == store.Profile || p.Table == store.Match || strings.HasPrefix(p.Key, "merges/")) {
			left--
		}
		return left == 0
	})
	out, err := r.Matches.StartIdentityResolutionJob(ctx, &api.StartIdentityResolutionJobRequest{DomainName: api.Ptr("d")})
	if err != nil {
		t.Fatal(err)
	}
	r.until("the call", func() bool {
		select {
		case <-stall.Arrived():
			return true
		default:
			return r.matchJob("d", *out.JobId).JobEndTime != nil
		}
	})
	select {
	case <-stall.Arrived():
	default:
		return false
	}
	said := r.notSame("d", one, two)
	stall.Release()
	r.matched("d", *out.JobId)
	answers, err := r.Matches.ListMatchAnswers(ctx, &api.ListMatchAnswersRequest{DomainName: api.Ptr("d")})
	if err != nil {
		t.Fatal(err)
	}
	switch persons := len(r.all("d", 10)); {
	case said == nil && persons == 2 && len(answers.Items) == 1:
	case said != nil && strings.Contains(said.Error(), "were merged into one") && persons == 1 && len(answers.Items) == 0:
		*refused++
	default:
		t.Errorf("call %d: the answer ended with %v, and there are %d persons and %d answers", n, said, persons, len(answers.Items))
	}
	return true
}
