package stage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// meddler writes rows into what has just been swept of a table.
type meddler struct {
	store.Store
	with store.Table
	mu   sync.Mutex
	rows []store.Partition // which have a row "z"
}

func (m *meddler) AsStager() store.Stager { return store.StagerOf(m.Store) }

func (m *meddler) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return func(yield func(store.SweepRow, error) bool) {
		n := 0
		var in store.Partition
		for row, err := range m.Store.Sweep(ctx, r) {
			if n++; n == cutRows/2 {
				in = row.Partition
				in.Key = strings.Clone(in.Key)
			}
			if !yield(row, err) {
				return
			}
		}
		if r.Table != m.with || n < 2*cutRows {
			return
		}
		if err := m.Store.Write(ctx, in, []store.Mutation{{Key: []byte("z"), Time: 1}}); err != nil {
			yield(store.SweepRow{}, err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.rows = append(m.rows, in)
	}
}

// What a job has created goes in long stretches and row by row, and what others have written among it stays, also while that goes on.
func TestCutOut(t *testing.T) {
	const profiles = 12_000 + manyDeletions
	var file strings.Builder
	file.WriteString("id,mail\n")
	for n := range profiles {
		fmt.Fprintf(&file, "c%06d,m%06d@example.com\n", n, n)
	}
	account := schema.Attr{ID: attrOf(t, "AccountNumber")}
	for name, meddles := range map[string]store.Table{"alone": 0, "a write to profiles": store.Profile, "a write to the index": store.Index} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "id", nil, "id=AccountNumber", "mail=EmailAddress")
			for n := range 20 { // others, of the same millisecond too, at one end of the index
				b.there(idNear(), int64(n), fold.Value{Attr: account, Text: fmt.Sprintf("c%06dx", n*100)})
			}
			before := b.rows()
			runs := b.run(file.String(), way{staged: true, workers: 2, buckets: 64 << 10, ranges: new([][]byte)})
			p := b.plan("undo")
			var ids []fold.ID
			for row, err := range b.store.Sweep(t.Context(), store.SweepRange{Table: store.Profile, Incarnation: 7}) {
				if err != nil {
					t.Fatal(err)
				}
				if id := fold.ID([]byte(row.Partition.Key)); p.Minted(id) && len(ids) < profiles {
					ids = append(ids, id)
				}
			}
			mark := len(b.rows())
			write := func(part store.Partition, m store.Mutation) {
				t.Helper()
				m.Time = 1
				if err := b.store.Write(t.Context(), part, []store.Mutation{m}); err != nil {
					t.Fatal(err)
				}
			}
			imported := b.rows()
			for n := range 5 { // calls have written to a few of them
				id := ids[n*1000]
				if _, err := b.store.Swap(t.Context(), store.Partition{Table: store.Profile, Incarnation: 7, Key: string(id[:])}, []store.Swap{{Key: []byte(fold.HeadKey), Value: []byte("head")}}); err != nil {
					t.Fatal(err)
				}
				write(store.Partition{Table: store.Index, Incarnation: 7, Key: fmt.Sprintf("_email\x01m%06d@example.com", n*2000)}, store.Mutation{Key: index.AppendRowKey(nil, id, index.ByAPI)})
			}
			if len(b.rows()) != mark+10 {
				t.Fatalf("%d rows, there were %d", len(b.rows()), mark)
			}
			kept := map[fold.ID]bool{ids[77]: true, ids[20_000]: true} // later imports have met them
			ofKept := func(row string) bool {
				for id := range kept {
					if strings.Contains(row, strings.Trim(fmt.Sprintf("%q", string(id[:])), `"`)) {
						return true
					}
				}
				return false
			}
			was, of := map[string]bool{}, map[string]bool{}
			for _, row := range before {
				was[row] = true
			}
			for _, row := range imported {
				of[row] = !was[row] && !ofKept(row)
			}
			want := slices.DeleteFunc(b.rows(), func(row string) bool { return of[row] })
			m := &meddler{Store: b.store, with: meddles}
			p.store = m
			var gone atomic.Int64
			for range 2 { // it may be repeated
				if err := p.DropCreated(t.Context(), runs, benchTime+5, kept, func(n int64) { gone.Add(n) }); err != nil {
					t.Fatal(err)
				}
			}
			for _, in := range m.rows {
				if _, err := b.store.Get(t.Context(), in, []byte("z")); err != nil {
					t.Errorf("what was written meanwhile is lost: %v", err)
				}
			}
			if (meddles != 0) != (len(m.rows) > 0) {
				t.Errorf("%d rows were written meanwhile", len(m.rows))
			}
			got := slices.DeleteFunc(b.rows(), func(row string) bool { return strings.Contains(row, ` "z" 1 `) })
			if !slices.Equal(got, want) {
				t.Fatalf("%d rows are left, want %d: %s", len(got), len(want), firstDifference(got, want))
			}
		})
	}
}
