package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
	"kith/store/pebble"
)

// What several writers put and deleted is the same wherever it lies: in the memtable, in tables of several levels, ingested by a run,
// or merged by compactions, which must not bring anything back.
func TestManyWritersThroughCompactions(t *testing.T) {
	s, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	rng := rand.New(rand.NewPCG(1, 5))
	p := store.Partition{Table: store.Index, Incarnation: 7, Key: "p"}
	const rows = 20
	model := map[string]int64{} // row → time of the put that is there
	now := int64(100)
	mutate := func() error {
		now += 10
		m := store.Mutation{Key: fmt.Append(nil, rng.IntN(rows)), Time: now}
		was := model[string(m.Key)]
		switch rng.IntN(5) {
		case 0: // a delete that knows of everything
			m.Delete, model[string(m.Key)] = true, 0
		case 1: // a delete that is too old
			if m.Delete, m.Time = true, was-1; was == 0 {
				return nil
			}
		case 2: // a put that is too old
			if m.Time = was - 5; was == 0 {
				return nil
			}
		case 3: // of the one writer that has the newest time
			model[string(m.Key)] = m.Time
			return s.WriteRun(t.Context(), store.Run{Table: store.Index, Rows: func(yield func(store.RunRow, error) bool) {
				yield(store.RunRow{Incarnation: 7, Partition: []byte("p"), Mutation: m}, nil)
			}})
		default:
			model[string(m.Key)] = m.Time
		}
		m.Value = fmt.Append(nil, m.Time)
		return s.Write(t.Context(), p, []store.Mutation{m})
	}
	for step := range 3000 {
		err := mutate()
		switch {
		case step%97 == 0:
			err = errors.Join(err, s.Compact())
		case step%13 == 0:
			err = errors.Join(err, s.Flush())
		}
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]int64{}
		for row, err := range s.Scan(t.Context(), p, store.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			there[string(row.Key)] = row.Time
			if string(row.Value) != fmt.Sprint(row.Time) && len(row.Value) > 0 {
				t.Fatalf("row %q of time %d is %q", row.Key, row.Time, row.Value)
			}
		}
		for key, want := range model {
			if got := there[key]; got != want {
				t.Fatalf("step %d: row %q has time %d, want %d", step, key, got, want)
			}
		}
	}
}
