package e2e

import (
	"fmt"
	"testing"
	"time"

	"kith/api"
	"kith/store"
	"kith/upload"
)

// TestMergedWhileRead: a main profile that is read alone, and in a later turn again with what has been merged into it meanwhile, holds the tuples of the
// person and no others. The merge comes between all turns one after the other, and makes of each profile a main one.
func TestMergedWhileRead(t *testing.T) {
	t.Parallel()
	onAllEngines(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, upload.Config{})
		for turns := 0; ; turns++ {
			for main := range 4 {
				name := fmt.Sprint("read-", turns, "-", main)
				r.domain(name)
				x := newMatcher(r, name, 100, 100)
				x.chunk, x.pause = 1, true
				x.reborn()
				var ids []string
				for _, who := range [][3]string{{"Ann", "Lee", "ann@x.com"}, {"Bo", "Ray", "bo@x.com"}, {"Cy", "Lee", "cy@x.com"}, {"Di", "Ray", "di@x.com"}} {
					out, err := r.Profiles.CreateProfile(ctx, &api.CreateProfileRequest{DomainName: &name, FirstName: &who[0], LastName: &who[1], EmailAddress: &who[2]})
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, *out.ProfileId)
				}
				x.turn(&ruleSet{rules: [][]string{{"EmailAddress"}, {"LastName"}, {"FirstName"}}})
				r.clock.add(time.Second) // the rules are due
				for range turns {
					if _, err := x.match(); err != nil {
						t.Fatal(err)
					}
				}
				if x.status() == api.RuleBasedMatchingStatusActive {
					if turns < 3 {
						t.Fatalf("all is read in %d turns", turns)
					}
					return
				}
				other := &ids[(main+1)%4]
				if err := r.tryMerge(name, &api.FieldSourceProfileIds{FirstName: other, LastName: other}, ids[main], *other); err != nil {
					t.Fatal(err)
				}
				x.settle()
				x.agrees()
				x.exact()
				if t.Failed() {
					t.Fatalf("merged into profile %d after %d turns", main, turns)
				}
			}
		}
	})
}
