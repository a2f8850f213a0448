package profile

import (
	"slices"
	"testing"
	"time"

	"kith/store"
	"kith/store/mem"
)

// Profiles that are read together are those that are read one by one, and those that do not exist are told in their place.
func TestLoadManyIsLoadOfEach(t *testing.T) {
	ctx, st := t.Context(), mem.New()
	s := &Service{Store: st, Now: func() time.Time { return time.UnixMicro(50) }}
	var ids []ID
	for i := range 9 {
		ids = append(ids, ID{byte(i)})
		for n := range i % 3 { // the first, the fourth and the seventh have nothing
			part := say(Import, int64(n), string(rune('a'+i)))
			err := st.Write(ctx, Partition(1, ids[i]), []store.Mutation{{Key: ContributionKey(string(rune('0' + n))), Value: part.Append(nil)}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for stop := range len(ids) + 1 {
		var met []ID
		err := s.loadMany(ctx, 1, ids, func(id ID, p *Profile) bool {
			one, err := s.Load(ctx, 1, id)
			if err != nil || (one == nil) != (p == nil) || p != nil && p.Get(first) != one.Get(first) {
				t.Errorf("%s: %v, alone %v, %v", id, p, one, err)
			}
			met = append(met, id)
			return len(met) != stop
		})
		want := ids
		if stop > 0 {
			want = ids[:stop]
		}
		if err != nil || !slices.Equal(met, want) {
			t.Errorf("stopped after %d: met %v, %v", stop, met, err)
		}
	}
}
