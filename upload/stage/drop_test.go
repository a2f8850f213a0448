package stage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kith/api"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
	"kith/store/mem"
	"kith/store/pebble"
)

// However values are divided, those of a range are before those of the next one.
func TestRangesOfValuesAscend(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		common := strings.Repeat("c", rng.IntN(12))
		value := func() []byte {
			if rng.IntN(20) == 0 {
				return []byte(fmt.Sprint(rng.IntN(1000)))
			}
			return fmt.Appendf(nil, "%s%d", common, rng.IntN(1000))
		}
		var sample [][]byte
		for range rng.IntN(200) {
			sample = append(sample, value())
		}
		f := newDropFamily(slices.Clone(sample), rng.IntN(40))
		all := append(sample, []byte{}, []byte("c"), []byte("zz"))
		for range 100 {
			all = append(all, value())
		}
		slices.SortFunc(all, bytes.Compare)
		last := 0
		for _, v := range all {
			n := f.part(v)
			if n < last || n > len(f.bounds) {
				t.Fatalf("%q is in range %d behind %d, of %d", v, n, last, len(f.bounds)+1)
			}
			last = n
		}
	}
	f := newDropFamily([][]byte{[]byte("customer-1"), []byte("customer-5"), []byte("customer-9"), []byte("customer-3")}, 4)
	if len(f.bounds) != 3 {
		t.Errorf("values that begin alike are divided at %x", f.bounds)
	}
}

// What goes in several steps, for want of memory, in many ranges, or as tables is what there was: all rows of the profiles, but not those of others.
func TestDropInSteps(t *testing.T) {
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
		st             store.Store
		profiles, most int
	}{{mem.New(), 2000, 1}, {mem.New(), 5000, 300 << 10}, {onDisk, manyDeletions + 1000, dropBytes}} {
		st, profiles, most := c.st, c.profiles, c.most
		p := NewPlan(Facts{Store: st, Mapping: m, Job: "0a", Dir: "1/0a/", Time: 1_000_000, Incarnation: 3})
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
			d.most, d.part = most, 4<<10
			if err := d.drop(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			for i := range d.families {
				if name := d.names[i]; again == 0 && name == m.index && len(d.families[i].bounds) < profiles/1000 {
					t.Errorf("%s has %d ranges", name, len(d.families[i].bounds)+1)
				}
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
					t.Fatalf("with %d bytes of memory %q %x is left", most, row.Partition.Key, row.Row.Key)
				}
			}
		}
		if left != 2 {
			t.Errorf("%d rows are left, want those of others", left)
		}
	}
}
