package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"kith/api"
	"kith/match/merge"
	"kith/profile"
	"kith/profile/fold"
	"kith/store"
	"kith/upload"
)

// profileIDs returns the ids of the profiles of account numbers.
func (r *rig) profileIDs(domain string, accounts ...string) (ids []fold.ID) {
	r.t.Helper()
	for _, a := range accounts {
		id, _ := fold.ParseID(r.id(domain, a))
		ids = append(ids, id)
	}
	return ids
}

// Who is merged by itself shows of each field what was written last, or by hand; history and provenance tell by what, and it can be taken back.
func TestAutomaticMerge(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n1,Ann,Lee,ann@x.com,,Oslo,Main St 1,gold,\n2,Anna,Lee,anna@x.com,,,,,\n")
		r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n1,,,,,Rome,,,\n3,Annie,,,5556,,,,\n")
		r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n2,,,,,Bergen,,tin,\n")
		ids := r.profileIDs("d", "2", "1", "3")
		if _, err := r.Profiles.UpdateProfile(ctx, &api.UpdateProfileRequest{DomainName: api.Ptr("d"), ProfileId: api.Ptr(ids[1].String()), FirstName: api.Ptr("By hand")}); err != nil {
			t.Fatal(err)
		}
		before := r.dump("d")
		rec := r.live()[0]
		m := &merge.Merger{Profiles: r.Profiles}
		var intended []fold.MergeID
		done, err := m.Merge(ctx, rec, merge.Request{IDs: ids[:2], By: merge.JobBy("j1"), Intend: func(_ context.Context, d *merge.Done) error {
			intended = append(intended, d.ID)
			return nil
		}})
		if err != nil || done == nil || done.Main != ids[1] || len(done.From) != 1 || done.From[0] != ids[0] {
			t.Fatalf("%+v, %v: the older profile survives", done, err)
		}
		if len(intended) == 0 || intended[len(intended)-1] != done.ID {
			t.Fatalf("%v were announced, and %v was made", intended, done.ID)
		}
		if got := text(r.find("d", "_profileId", ids[1].String())); got != "2 By hand Lee ann@x.com /Bergen tier=tin" {
			t.Fatal(got)
		}
		if made, err := r.Profiles.Merged(ctx, rec, done.ID); err != nil || !made {
			t.Fatal(made, err)
		}
		if made, err := r.Profiles.Merged(ctx, rec, r.Profiles.NewMergeID()); err != nil || made {
			t.Fatal(made, err)
		}
		if again, err := m.Merge(ctx, rec, merge.Request{IDs: ids[:2], By: merge.JobBy("j1")}); err != nil || again != nil {
			t.Fatalf("%+v, %v: they are one", again, err)
		}
		// One of the ids was merged away: it stands for its person.
		second, err := m.Merge(ctx, rec, merge.Request{IDs: []fold.ID{ids[0], ids[2], {1}}, By: merge.RuleBy("2")})
		if err != nil || second == nil || second.Main != ids[1] {
			t.Fatalf("%+v, %v", second, err)
		}
		lines, _ := r.history("d", ids[1].String())
		told := strings.Join(lines, "\n")
		for _, by := range []string{merge.JobBy("j1"), merge.RuleBy("2")} {
			if !strings.Contains(told, by) {
				t.Errorf("the history does not tell of %s:\n%s", by, told)
			}
		}
		for _, id := range []fold.MergeID{second.ID, done.ID} {
			if err := r.Profiles.Unmerge(ctx, rec, id); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.dump("d"); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Fatalf("got %v, want %v", got, before)
		}
		if made, err := r.Profiles.Merged(ctx, rec, done.ID); err != nil || !made {
			t.Fatal(made, err)
		}
	})
}

// Values of a source win where a domain says so.
func TestAutomaticMergeBySource(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		r.domain("d")
		crm := *r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n1,Ann,Lee,,,Oslo,,,\n").JobId
		r.run("d", mergeSpec, "id,first,last,mail,phone,city,street,tier,party\n2,Anna,,,,Rome,,tin,\n")
		ids := r.profileIDs("d", "1", "2")
		m := &merge.Merger{Profiles: r.Profiles}
		if _, err := m.Merge(ctx, r.live()[0], merge.Request{IDs: ids, Resolution: merge.Resolution{Source: crm}, By: "x"}); err != nil {
			t.Fatal(err)
		}
		if got := text(r.find("d", "_profileId", ids[0].String())); got != "1 Ann Lee /Oslo tier=tin" {
			t.Fatal(got)
		}
	})
}

// A person has a largest size, and who would be larger is refused with a sentence.
func TestAutomaticMergeTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPebble(t), upload.Config{})
	r.domain("d")
	var b strings.Builder
	b.WriteString("id,first,last,mail,phone,city,street,tier,party\n")
	for i := range profile.MaxMembers + 1 {
		fmt.Fprintf(&b, "%d,Ann,,,,,,,\n", i)
	}
	r.run("d", mergeSpec, b.String())
	var all []fold.ID
	err := r.Profiles.Each(ctx, profile.Pass{Incarnation: r.incarnation("d"), Now: r.clock.now().UnixMicro(), Workers: 1}, func(_ int, p *fold.Profile) error {
		all = append(all, p.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &merge.Merger{Profiles: r.Profiles}
	if done, err := m.Merge(ctx, r.live()[0], merge.Request{IDs: all, By: "x"}); !errors.Is(err, profile.ErrRefused) || !strings.Contains(err.Error(), "501 profiles; 500 are possible") {
		t.Fatalf("%+v, %v", done, err)
	}
	if done, err := m.Merge(ctx, r.live()[0], merge.Request{IDs: all[1:], By: "x"}); err != nil || len(done.From) != profile.MaxMembers-1 {
		t.Fatal(err)
	}
}
