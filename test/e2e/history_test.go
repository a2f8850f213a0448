package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/store"
	"kith/store/mem"
	"kith/upload"
)

// history returns a profile's history as "ACTION by", newest first, and the ids of its records.
func (r *rig) history(domain, id string) (lines, ids []string) {
	r.t.Helper()
	out, err := r.Profiles.ListProfileHistoryRecords(ctx, &api.ListProfileHistoryRecordsRequest{DomainName: &domain, ProfileId: &id, MaxResults: api.Ptr(int32(100))})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range out.ProfileHistoryRecords {
		lines, ids = append(lines, string(*h.ActionType)+" "+api.Val(h.PerformedBy)), append(ids, *h.Id)
	}
	return lines, ids
}

// After an undo every profile that the import had touched says so, and no other; what was told before is told by the same records.
func TestHistorySaysUndone(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]upload.Config{"one run": {}, "many runs": {BucketBytes: 4 << 10, MemoryBytes: 1}} {
		t.Run(name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, st store.Store) {
				const domain = "d"
				r := newRig(t, st, config)
				r.domain(domain)
				const n = 13_000 // more than two marks of a run
				s := spec{key: "id", fields: []string{"id:id:AccountNumber", "t:tier:Attributes.tier"}}
				var a, b strings.Builder
				a.WriteString("id\n")
				b.WriteString("id,tier\n")
				for i := range n {
					fmt.Fprintf(&a, "%d\n", i)
					if i%3 > 0 {
						fmt.Fprintf(&b, "%d,x\nnew%d,x\n", i, i)
					}
				}
				first := *r.run(domain, spec{key: "id", fields: s.fields[:1]}, a.String()).JobId
				second := *r.run(domain, s, b.String()).JobId
				type seen struct{ lines, ids []string }
				before := map[string]seen{}
				profiles := map[string]string{}
				for i := 0; i < n; i += 997 {
					for _, account := range []string{fmt.Sprint(i), fmt.Sprint("new", i)} {
						if len(r.search(domain, "_account", account)) == 1 {
							id := r.id(domain, account)
							lines, ids := r.history(domain, id)
							before[account], profiles[account] = seen{lines, ids}, id
						}
					}
				}
				r.undone(domain, second)
				for account, id := range profiles {
					lines, ids := r.history(domain, id)
					want := []string{"INGESTED upload-job/" + first}
					switch {
					case strings.HasPrefix(account, "new"):
						want = []string{"DELETED_BY_CUSTOMER upload-job/" + second + "/undo", "INGESTED upload-job/" + second}
					case len(before[account].lines) == 2:
						want = []string{"UPDATED upload-job/" + second + "/undo", "INGESTED upload-job/" + second, want[0]}
					}
					if !slices.Equal(lines, want) {
						t.Fatalf("%s: %v, want %v", account, lines, want)
					}
					if was := before[account].ids; !slices.Equal(ids[len(ids)-len(was):], was) {
						t.Fatalf("%s: records %v were %v", account, ids, was)
					}
				}
			})
		})
	}
}

// An undo is told for as long as the import's runs would have been kept, and what it no longer needs may go before that.
func TestHistorySaysUndoneLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("d")
	s := spec{key: "id", expiry: 1000, fields: []string{"id:id:AccountNumber", "t:tier:Attributes.tier"}}
	r.run("d", s, "id,tier\n1,x\n")
	second := *r.run("d", s, "id,tier\n1,y\n2,y\n").JobId
	id := r.id("d", "1")
	r.undone("d", second)
	want, _ := r.history("d", id)
	r.later(26 * time.Hour)
	if got, _ := r.history("d", id); !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	r.later(30 * 24 * time.Hour)
	if got, _ := r.history("d", id); len(got) != 1 {
		t.Fatalf("%v when the runs are gone", got)
	}
}
