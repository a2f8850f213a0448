package cql_test

import (
	"fmt"
	"testing"
	"time"

	"kith/store"
)

// BenchmarkPopularValue reads the first page of a value that many profiles have, before and after it was split into shards.
func BenchmarkPopularValue(b *testing.B) {
	s := open(b, fresh(b))
	p := store.Partition{Table: store.Index, Incarnation: 7, Key: "value"}
	have := 0
	for _, holders := range []int{1_000, 90_000, 300_000} {
		start, from := time.Now(), have
		for ; have < holders; have += 10_000 { // runs as large as those of an import's bucket
			rows := func(yield func(store.RunRow, error) bool) {
				for j := have; j < min(have+10_000, holders); j++ {
					if !yield(store.RunRow{Incarnation: 7, Partition: []byte("value"), Mutation: store.Mutation{Key: fmt.Appendf(nil, "%016d-profile-and-the-source", j), Time: 1}}, nil) {
						return
					}
				}
			}
			if err := s.WriteRun(b.Context(), store.Run{Table: store.Index, Rows: rows}); err != nil {
				b.Fatal(err)
			}
		}
		b.Logf("to %d holders: %.0f rows/s", holders, float64(holders-from)/time.Since(start).Seconds())
		have = holders
		b.Run(fmt.Sprint(holders), func(b *testing.B) {
			for b.Loop() {
				n := 0
				for _, err := range s.Scan(b.Context(), p, store.Range{Limit: 64}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 64 {
					b.Fatalf("%d rows", n)
				}
			}
		})
	}
}
