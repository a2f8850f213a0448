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
	p := &popular{T: t, s: e.New(t), rng: rand.New(rand.NewPCG(1, 2)), model: map[string]map[string]store.Row{}}
	for _, name := range popularParts {
		p.model[name] = map[string]store.Row{}
	}
	for round := range int64(8) {
		p.writeRound(round)
		probes := p.readEach(round)
		p.probe(probes)
		p.sweep()
	}
	p.deleteRuns()
	p.drop()
}

// popularParts are partitions whose names lie close together.
var popularParts = []string{"name\x01popula", "name\x01popular", "name\x01populas", "name\x02"}

// popular is a store beside a model of it.
type popular struct {
	*testing.T
	s     store.Store
	rng   *rand.Rand
	model map[string]map[string]store.Row // partition → row key → row
}

func (p *popular) at(part string) store.Partition {
	return store.Partition{Table: store.Index, Incarnation: 7, Key: part}
}

func (p *popular) key() []byte { return fmt.Appendf(nil, "k%03d", p.rng.IntN(300)) }

func (p *popular) apply(part string, m store.Mutation) {
	if m.Delete {
		delete(p.model[part], string(m.Key))
		return
	}
	p.model[part][string(m.Key)] = store.Row{Key: m.Key, Value: m.Value, Time: m.Time}
}

func (p *popular) sorted(part string) (rows []store.Row) {
	for _, k := range slices.Sorted(maps.Keys(p.model[part])) {
		rows = append(rows, p.model[part][k])
	}
	return rows
}

func (p *popular) inRange(part string, r store.Range) (rows []store.Row) {
	for _, row := range p.sorted(part) {
		if bytes.Compare(row.Key, r.Start) >= 0 && (r.End == nil || bytes.Compare(row.Key, r.End) < 0) && (r.Limit == 0 || len(rows) < r.Limit) {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *popular) check(what string, got, want []store.Row) {
	p.Helper()
	if !slices.EqualFunc(got, want, func(a, b store.Row) bool {
		return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && a.Time == b.Time
	}) {
		p.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
}

func (p *popular) scan(part string, r store.Range) []store.Row {
	p.Helper()
	got, err := store.Collect(p.s.Scan(ctx, p.at(part), r))
	if err != nil {
		p.Fatal(err)
	}
	return got
}

func (p *popular) writeRun(rows []store.RunRow) {
	p.Helper()
	if err := p.s.WriteRun(ctx, store.Run{Table: store.Index, Rows: run(rows...)}); err != nil {
		p.Fatal(err)
	}
}

// writeRound writes a run, which may be repeated, and then single rows, later than it.
func (p *popular) writeRound(round int64) {
	var rows []store.RunRow
	for i, part := range popularParts {
		ms := map[string]store.Mutation{}
		for range []int{6, 200, 20, 3}[i] {
			m := store.Mutation{Key: p.key(), Time: 10 * (round + 1)}
			if m.Delete = round%3 == 2 && p.rng.IntN(2) == 0; !m.Delete {
				m.Value = fmt.Appendf(nil, "%d", round)
			}
			ms[string(m.Key)] = m
		}
		for _, k := range slices.Sorted(maps.Keys(ms)) {
			p.apply(part, ms[k])
			rows = append(rows, store.RunRow{Incarnation: 7, Partition: []byte(part), Mutation: ms[k]})
		}
	}
	for range 1 + p.rng.IntN(2) {
		p.writeRun(rows)
	}
	for range 5 {
		part, m := popularParts[1+p.rng.IntN(2)], store.Mutation{Key: p.key(), Time: 10*(round+1) + 1, Value: []byte("single")}
		if m.Delete = p.rng.IntN(2) == 0; m.Delete {
			m.Value = nil
		}
		p.apply(part, m)
		write(p.T, p.s, p.at(part), m)
	}
}

// readEach scans and gets, and returns a probe of each partition.
func (p *popular) readEach(round int64) (probes []store.Probe) {
	for _, part := range popularParts {
		for range 6 {
			r := store.Range{Limit: p.rng.IntN(4) * p.rng.IntN(100)}
			if p.rng.IntN(2) == 0 {
				r.Start = p.key()
			}
			if p.rng.IntN(2) == 0 {
				r.End = p.key()
			}
			p.check(fmt.Sprintf("round %d: scan of %q from %q to %q, limit %d", round, part, r.Start, r.End, r.Limit), p.scan(part, r), p.inRange(part, r))
		}
		p.check("the whole partition", p.scan(part, store.Range{}), p.sorted(part))
		probes = append(probes, store.Probe{Partition: part, Range: store.Range{Limit: 64}})
		k := p.key()
		row, err := p.s.Get(ctx, p.at(part), k)
		if want, ok := p.model[part][string(k)]; ok && (err != nil || !bytes.Equal(row.Value, want.Value) || row.Time != want.Time) || !ok && !errors.Is(err, store.ErrNotFound) {
			p.Fatalf("Get %q in %q = %q, %v; there is one: %t", k, part, row.Value, err, ok)
		}
	}
	return probes
}

func (p *popular) probe(probes []store.Probe) {
	hits := make([][]store.Row, len(popularParts))
	for hit, err := range p.s.Probe(ctx, store.Index, 7, slices.Values(probes)) {
		if err != nil {
			p.Fatal(err)
		}
		hits[hit.Index] = append(hits[hit.Index], hit.Row.Clone())
	}
	for i, part := range popularParts {
		p.check("probe", hits[i], p.inRange(part, probes[i].Range))
	}
}

// sweep sweeps, and goes on at every hundredth row.
func (p *popular) sweep() {
	swept := map[string][]store.Row{}
	last := ""
	for r, n := (store.SweepRange{Table: store.Index, Incarnation: 7}), 100; n == 100; {
		n = 0
		for row, err := range p.s.Sweep(ctx, r) {
			if err != nil {
				p.Fatal(err)
			}
			if part := row.Partition.Key; part != last && len(swept[part]) > 0 {
				p.Fatalf("partition %q came in two parts", part)
			}
			last = row.Partition.Key
			swept[last] = append(swept[last], row.Row.Clone())
			r.From = row.Cursor()
			if n++; n == 100 {
				break
			}
		}
	}
	for _, part := range popularParts {
		p.check("sweep", swept[part], p.sorted(part))
	}
}

// deleteRuns deletes everything by runs, small ones and large ones: they leave nothing, wherever the rows were.
func (p *popular) deleteRuns() {
	for _, n := range []int{1, 2, 300} {
		var gone []store.RunRow
		for _, part := range popularParts {
			for _, row := range p.sorted(part)[:min(n, len(p.model[part]))] {
				m := store.Mutation{Key: row.Key, Delete: true, Time: row.Time}
				gone = append(gone, store.RunRow{Incarnation: 7, Partition: []byte(part), Mutation: m})
				p.apply(part, m)
			}
		}
		p.writeRun(gone)
		for _, part := range popularParts {
			p.check("after deletions", p.scan(part, store.Range{}), p.sorted(part))
		}
	}
}

// drop drops the incarnation and nothing else.
func (p *popular) drop() {
	write(p.T, p.s, p.at(popularParts[1]), put("k", "v", 1000))
	write(p.T, p.s, store.Partition{Table: store.Index, Incarnation: 8, Key: popularParts[1]}, put("k", "v", 1))
	if err := p.s.DropRange(ctx, store.Index, 7); err != nil {
		p.Fatal(err)
	}
	for _, part := range popularParts {
		if got := p.scan(part, store.Range{}); len(got) > 0 {
			p.Fatalf("%d rows of a dropped incarnation", len(got))
		}
	}
	if got := dump(p.T, p.s, store.Index); len(got) != 1 {
		p.Fatalf("left are %v, want one row of incarnation 8", got)
	}
}
