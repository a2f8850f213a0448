package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"kith/store"
)

// popularPartitions holds an engine to a model while partitions of the key index grow and shrink by runs and single writes, as those
// of a value that very many profiles have: an engine may keep such partitions in pieces, and must not let it show.
func popularPartitions(t *testing.T, e Engine) {
	s := e.New(t)
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"name\x01popula", "name\x01popular", "name\x01populas", "name\x02"}
	model := map[string]map[string]store.Row{} // partition → row key → row
	for _, p := range parts {
		model[p] = map[string]store.Row{}
	}
	at := func(p string) store.Partition {
		return store.Partition{Table: store.Index, Incarnation: 7, Key: p}
	}
	apply := func(p string, m store.Mutation) {
		if m.Delete {
			delete(model[p], string(m.Key))
			return
		}
		model[p][string(m.Key)] = store.Row{Key: m.Key, Value: m.Value, Time: m.Time}
	}
	sorted := func(p string) (rows []store.Row) {
		for _, k := range slices.Sorted(maps.Keys(model[p])) {
			rows = append(rows, model[p][k])
		}
		return rows
	}
	check := func(what string, got, want []store.Row) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a, b store.Row) bool {
			return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.Time == b.Time
		}) {
			t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
		}
	}
	key := func() []byte { return fmt.Appendf(nil, "k%03d", rng.IntN(300)) }
	inRange := func(p string, r store.Range) (rows []store.Row) {
		for _, row := range sorted(p) {
			if bytes.Compare(row.Key, r.Start) >= 0 && (r.End == nil || bytes.Compare(row.Key, r.End) < 0) && (r.Limit == 0 || len(rows) < r.Limit) {
				rows = append(rows, row)
			}
		}
		return rows
	}
	for round := range int64(8) {
		var rows []store.RunRow
		mutation := func(p string) store.Mutation {
			m := store.Mutation{Key: key(), Time: 10 * (round + 1)}
			if m.Delete = round%3 == 2 && rng.IntN(2) == 0; !m.Delete {
				m.Value = fmt.Appendf(nil, "%d", round)
			}
			return m
		}
		for _, p := range parts {
			ms := map[string]store.Mutation{}
			for range []int{6, 200, 20, 3}[slices.Index(parts, p)] {
				m := mutation(p)
				ms[string(m.Key)] = m
			}
			for _, k := range slices.Sorted(maps.Keys(ms)) {
				apply(p, ms[k])
				rows = append(rows, store.RunRow{Incarnation: 7, Partition: []byte(p), Mutation: ms[k]})
			}
		}
		for range 1 + rng.IntN(2) { // it may be repeated
			if err := s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(rows...)}); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 { // singly, later than the run
			p, m := parts[1+rng.IntN(2)], store.Mutation{Key: key(), Time: 10*(round+1) + 1, Value: []byte("single")}
			if m.Delete = rng.IntN(2) == 0; m.Delete {
				m.Value = nil
			}
			apply(p, m)
			write(t, s, at(p), m)
		}

		var probes []store.Probe
		for _, p := range parts {
			for range 6 {
				r := store.Range{Limit: rng.IntN(4) * rng.IntN(100)}
				if rng.IntN(2) == 0 {
					r.Start = key()
				}
				if rng.IntN(2) == 0 {
					r.End = key()
				}
				got, err := store.Collect(s.Scan(ctx, at(p), r))
				if err != nil {
					t.Fatal(err)
				}
				check(fmt.Sprintf("round %d: scan of %q from %q to %q, limit %d", round, p, r.Start, r.End, r.Limit), got, inRange(p, r))
			}
			got, err := store.Collect(s.Scan(ctx, at(p), store.Range{}))
			if err != nil {
				t.Fatal(err)
			}
			check("the whole partition", got, sorted(p))
			probes = append(probes, store.Probe{Partition: p, Range: store.Range{Limit: 64}})
			k := key()
			row, err := s.Get(ctx, at(p), k)
			if want, ok := model[p][string(k)]; ok && (err != nil || !bytes.Equal(row.Value, want.Value) || row.Time != want.Time) || !ok && !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("Get %q in %q = %q, %v; there is one: %t", k, p, row.Value, err, ok)
			}
		}
		hits := make([][]store.Row, len(parts))
		for hit, err := range s.Probe(ctx, store.Index, 7, slices.Values(probes)) {
			if err != nil {
				t.Fatal(err)
			}
			hits[hit.Index] = append(hits[hit.Index], hit.Row.Clone())
		}
		for i, p := range parts {
			check("probe", hits[i], inRange(p, probes[i].Range))
		}
		swept := map[string][]store.Row{}
		last, n := "", 0
		for r := (store.SweepRange{Table: store.Index, Incarnation: 7}); ; { // resumed at every hundredth row
			n = 0
			for row, err := range s.Sweep(ctx, r) {
				if err != nil {
					t.Fatal(err)
				}
				if p := row.Partition.Key; p != last && len(swept[p]) > 0 {
					t.Fatalf("partition %q came in two parts", p)
				}
				last = row.Partition.Key
				swept[last] = append(swept[last], row.Row.Clone())
				r.From = row.Cursor()
				if n++; n == 100 {
					break
				}
			}
			if n < 100 {
				break
			}
		}
		for _, p := range parts {
			check("sweep", swept[p], sorted(p))
		}
	}

	// Runs of deletions, small ones and large ones, leave nothing, wherever the rows were.
	for _, n := range []int{1, 2, 300} {
		var gone []store.RunRow
		for _, p := range parts {
			for _, row := range sorted(p)[:min(n, len(model[p]))] {
				m := store.Mutation{Key: row.Key, Delete: true, Time: row.Time}
				gone = append(gone, store.RunRow{Incarnation: 7, Partition: []byte(p), Mutation: m})
				apply(p, m)
			}
		}
		if err := s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(gone...)}); err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			got, err := store.Collect(s.Scan(ctx, at(p), store.Range{}))
			if err != nil {
				t.Fatal(err)
			}
			check("after deletions", got, sorted(p))
		}
	}
	write(t, s, at(parts[1]), put("k", "v", 1000))
	other := store.Partition{Table: store.Index, Incarnation: 8, Key: parts[1]}
	write(t, s, other, put("k", "v", 1))
	if err := s.DropRange(ctx, store.Index, 7); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if got, err := store.Collect(s.Scan(ctx, at(p), store.Range{})); err != nil || len(got) > 0 {
			t.Fatalf("%d rows of a dropped incarnation, %v", len(got), err)
		}
	}
	if got := dump(t, s, store.Index); len(got) != 1 {
		t.Fatalf("left are %v, want one row of incarnation 8", got)
	}
}
