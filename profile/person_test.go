package profile

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"kith/store/mem"
)

// Whether some of them were merged, deleted or never there: profiles read in their order lead to the people that they lead to otherwise.
func TestPeopleOfIsPeople(t *testing.T) {
	ctx := context.Background()
	for seed, merges := range []int{0, 30, 120} {
		w := newTown(t, mem.New(), uint64(seed), 200)
		for n := range merges {
			w.merge(n)
		}
		w.finish()
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		plain := 0
		for range 300 {
			ids := []ID{{byte(rng.IntN(256)), 1, 2, 3}} // of nobody
			for range 1 + rng.IntN(8) {
				ids = append(ids, w.ids[rng.IntN(len(w.ids))])
			}
			slices.SortFunc(ids, ID.Compare)
			ids = slices.Compact(ids)
			r := &plainReader{ids: ids}
			got, err := w.s.peopleOf(ctx, townInc, r)
			w.must(err)
			want, err := w.s.people(ctx, townInc, ids)
			w.must(err)
			for i, id := range ids {
				if (got[i] == nil) != (want[id] == nil) {
					t.Fatalf("%s leads to %v, want %v", id, got[i], want[id])
				}
				if got[i] != nil && (got[i].ID != want[id].ID || !reflect.DeepEqual(show(got[i].Profile(), nil), show(want[id].Profile(), nil))) {
					t.Fatalf("%s leads to %+v, want %+v", id, got[i].Profile(), want[id].Profile())
				}
			}
			if r.plain {
				plain++
			}
		}
		if plain == 0 || merges > 0 && plain == 300 {
			t.Errorf("%d merges: %d of 300 reads were plain", merges, plain)
		}
	}
}
