package stage

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"kith/api"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
	"kith/store/mem"
	"kith/store/pebble"
)

// What goes in many ranges, from memory or from a file, and as rows or as tables is what there was: all rows of the profiles, but not those of others.
func TestDropInRanges(t *testing.T) {
	m, err := Compile(map[string]api.ObjectTypeField{
		"id": {Source: api.Ptr("_source.id")}, "mail": {Source: api.Ptr("_source.mail"), Target: api.Ptr("_profile.EmailAddress")},
		"last": {Source: api.Ptr("_source.last"), Target: api.Ptr("_profile.LastName")},
	}, "id")
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := pebble.Open(t.TempDir(), pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer onDisk.Close()
	for _, c := range []struct {
		st               store.Store
		profiles, memory int
	}{{mem.New(), 2000, 0}, {mem.New(), 5000, 64 << 10}, {onDisk, manyDeletions + 1000, 64 << 20}} {
		st, profiles := c.st, c.profiles
		arena := &extsort.Arena{Budget: int64(c.memory), Poison: true}
		p := NewPlan(Facts{Arena: arena, ScratchDir: t.TempDir(), Store: st, Mapping: m, Job: "0a", Dir: "1/0a/", Time: 1_000_000, Incarnation: 3})
		var contributions, keys []store.RunRow
		var rows []createdRow
		for i := range profiles {
			of := createdRow{row: int64(3 * i), counter: uint32(i%999 + 1), bucket: uint16(i / 999)}
			rows = append(rows, of)
			c := fold.Contribution{Expires: 1 << 60, Stamp: p.stamp(of.row), Private: []fold.Key{{Name: m.index, Value: fmt.Sprint("id", i)}}, Values: []fold.Value{
				{Attr: schema.Attr{ID: schema.LastName}, Text: []string{"Lee", "Ray"}[i%2], Stamp: p.stamp(of.row)},
				{Attr: schema.Attr{ID: schema.EmailAddress}, Text: fmt.Sprintf("m%d@x.com", i%4000), Stamp: p.stamp(of.row)}}}
			id := p.mint(int(of.bucket), of.counter)
			contributions = append(contributions, store.RunRow{Incarnation: 3, Partition: id[:], Mutation: store.Mutation{Time: 1_000_000,
				Key: profile.AppendContributionKey(nil, 1_000_000, of.row), Value: c.Append(nil)}})
			var set index.Set
			set.AddContribution(&c, nil)
			for _, k := range set.Keys() {
				keys = append(keys, index.Row(3, k, id, index.ByImport, 1_000_000, false))
			}
		}
		other := index.Row(3, index.Key{Name: schema.KeyEmail, Value: "m7@x.com"}, fold.ID{9}, index.ByImport, 5, false)
		byHand := index.Row(3, index.Key{Name: schema.KeyEmail, Value: "m7@x.com"}, p.mint(0, 8), index.ByAPI, 5, false)
		err := st.WriteRun(t.Context(), store.Run{Table: store.Profile, Rows: store.SortRows(contributions)}, store.Run{Table: store.Index, Rows: store.SortRows(append(keys, other, byHand))})
		if err != nil {
			t.Fatal(err)
		}
		var gone atomic.Int64
		for again := range 2 { // it may be repeated
			d := p.newDropper(2_000_000, func(n int64) { gone.Add(n) })
			d.part = 4 << 10
			o, err := d.newOutput(t.Context(), rows)
			if err != nil {
				t.Fatal(err)
			}
			if n := o.shelves[matchFamily].part.Buckets(); again == 0 && n < profiles/1000 {
				t.Errorf("the unique key has %d ranges", n)
			}
			o.Close()
			if err := d.drop(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			if !arena.Empty() {
				t.Error("the arena is not empty")
			}
		}
		if gone.Load() != int64(2*profiles) {
			t.Errorf("%d profiles were told to be gone, want %d twice", gone.Load(), profiles)
		}
		left := 0
		for _, table := range []store.Table{store.Profile, store.Index} {
			for row, err := range st.Sweep(t.Context(), store.SweepRange{Table: table}) {
				if err != nil {
					t.Fatal(err)
				}
				if left++; table != store.Index || !bytes.Equal(row.Row.Key, other.Mutation.Key) && !bytes.Equal(row.Row.Key, byHand.Mutation.Key) {
					t.Fatalf("with %d bytes of memory %q %x is left", c.memory, row.Partition.Key, row.Row.Key)
				}
			}
		}
		if left != 2 {
			t.Errorf("%d rows are left, want those of others", left)
		}
	}
}
