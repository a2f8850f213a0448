package stage

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

const (
	// dropWorkers bounds those who read contributions side by side.
	dropWorkers = 8
	// dropProfiles are taken back together at most: the more often something is written all over the index, the more the engine has to merge.
	dropProfiles = 1 << 20
	// dropSample is how many profiles are looked at to divide index values into ranges.
	dropSample = 2048
	// dropPart is about how many bytes of index values are sorted together: within the caches of a processor.
	dropPart = 512 << 10
	// dropRun is about how many bytes of index values one core writes at a time.
	dropRun = 8 << 20
)

// DropCreated takes back the profiles that the job has created, but for some: contributions and index rows go, these with the time at. What index rows there are is
// derived from the contributions, as they are encoded. It calls gone for every few profiles, from several goroutines. It may be repeated.
//
// Contributions go before index rows, so that no visible profile lacks one. A crash between the two leaves hints, for contributions that have gone say nothing any
// more.
func (p *Plan) DropCreated(ctx context.Context, runs map[int]RunResult, at int64, but map[fold.ID]bool, gone func(profiles int64)) error {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	if engine := store.StagerOf(p.store); engine != nil {
		if fills, err := p.fillsIndex(ctx); err != nil {
			return err
		} else if fills {
			return p.sweepCreated(ctx, engine, runs, all, but, gone)
		}
	}
	d := p.newDropper(at, gone)
	var chunk []createdRow
	for c, err := range p.written(all, runs, false) {
		if err != nil {
			return err
		}
		if !c.isCreated() || len(but) > 0 && but[c.id] {
			continue
		}
		if chunk = append(chunk, createdRow{c.row, c.counter, uint16(c.bucket)}); len(chunk) == dropProfiles {
			if err := d.drop(ctx, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	return d.drop(ctx, chunk)
}

// createdRow is a profile that the job has created, by what its id is minted of, and the row that its contribution is named by.
type createdRow struct {
	row     int64
	counter uint32
	bucket  uint16
}

// dropper takes back profiles, some after others. The index rows that go wait on the shelves of an output.
type dropper struct {
	*Plan
	at      int64
	gone    func(profiles int64)
	part    int // bytes that are sorted together, about
	workers []*dropWorker
}

// dropWorker reads contributions.
type dropWorker struct {
	*dropper
	deriver *index.Deriver
	family  []int        // of the plan, by the deriver's
	rows    []createdRow // whose contributions are there
}

func (p *Plan) newDropper(at int64, gone func(int64)) *dropper {
	d := &dropper{Plan: p, at: at, gone: gone, part: dropPart}
	for range min(runtime.NumCPU(), dropWorkers) {
		w := &dropWorker{dropper: d, deriver: index.NewDeriver(p.own)}
		w.deriver.Family(p.m.index) // it may be private
		for _, name := range w.deriver.Families() {
			w.family = append(w.family, p.family[name])
		}
		d.workers = append(d.workers, w)
	}
	return d
}

// drop takes back profiles whose ids ascend.
func (d *dropper) drop(ctx context.Context, rows []createdRow) error {
	o, err := d.newOutput(ctx, rows)
	if err != nil {
		return err
	}
	defer o.Close()
	errs := make([]error, len(d.workers))
	var wg sync.WaitGroup
	for i, w := range d.workers {
		wg.Go(func() {
			errs[i] = w.read(ctx, rows[i*len(rows)/len(errs):(i+1)*len(rows)/len(errs)], o.newWriter())
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, o.flush())...); err != nil {
		return err
	}
	return d.write(ctx, o)
}

// newOutput looks at some profiles, and returns an output whose shelves are divided by what the index has of them.
func (d *dropper) newOutput(ctx context.Context, rows []createdRow) (*Output, error) {
	var sample []createdRow
	for i := range min(dropSample, len(rows)) {
		sample = append(sample, rows[i*len(rows)/min(dropSample, len(rows))])
	}
	values := make([][][]byte, len(d.families))
	sizes := make([]int, len(d.families))
	add := func(family int, value []byte) error {
		values[family] = append(values[family], bytes.Clone(value))
		sizes[family] += entryHead + len(value)
		return nil
	}
	for hit, err := range d.contributionsOf(ctx, sample) {
		if err == nil {
			err = d.workers[0].derive(hit.Row.Value, add)
		}
		if err != nil {
			return nil, err
		}
	}
	o, parts := &Output{Plan: d.Plan, large: largePart, contributions: newShelf(nil, true)}, 0
	for family, some := range values {
		n := sizes[family] * len(rows) / max(1, len(sample)) / d.part
		s := newShelf(extsort.Bounds(some, min(n, len(some)/4)), false)
		o.shelves = append(o.shelves, s)
		parts += s.part.Buckets()
	}
	o.pool = extsort.NewPool(d.arena, extsort.ChunkSize(len(d.workers)*parts), 0, d.scratchDir)
	return o, nil
}

// contributionsOf finds the contributions of rows, as far as they are there.
func (d *dropper) contributionsOf(ctx context.Context, rows []createdRow) iter.Seq2[store.Hit, error] {
	return d.store.Probe(ctx, store.Profile, d.inc, func(yield func(store.Probe) bool) {
		var key []byte
		for i := range rows {
			id := d.idOf(&rows[i])
			key = append(profile.AppendContributionKey(key[:0], d.time, rows[i].row), 0)
			n := len(key) - 1
			if !yield(store.Probe{Partition: string(id[:]), Range: store.Range{Start: key[:n:n], End: key, Limit: 1}}) {
				return
			}
		}
	})
}

func (d *dropper) idOf(r *createdRow) fold.ID { return d.mint(int(r.bucket), r.counter) }

// derive calls do for the keys of a contribution, until it fails.
func (w *dropWorker) derive(contribution []byte, do func(family int, value []byte) error) (failed error) {
	err := w.deriver.Each(contribution, func(family int, value []byte) {
		if failed == nil && family < len(w.family) {
			failed = do(w.family[family], value)
		}
	})
	if names := w.deriver.Families(); err == nil && len(names) > len(w.family) {
		err = fmt.Errorf("a contribution has a key %q, which its job has not", names[len(w.family)])
	}
	return cmp.Or(err, failed)
}

// read gathers what goes of profiles.
func (w *dropWorker) read(ctx context.Context, rows []createdRow, to *outputWriter) error {
	w.rows = w.rows[:0]
	var of createdRow
	add := func(family int, value []byte) error { return to.addKey(family, value, int(of.bucket), of.counter, nil) }
	told := 0
	for hit, err := range w.contributionsOf(ctx, rows) {
		if err != nil {
			return err
		}
		of = rows[hit.Index]
		if err := w.derive(hit.Row.Value, add); err != nil {
			return fmt.Errorf("profile %s: %w", w.idOf(&of), err)
		}
		w.rows = append(w.rows, of)
		if hit.Index-told >= touchedChunk {
			w.gone(int64(hit.Index - told))
			told = hit.Index
		}
	}
	w.gone(int64(len(rows) - told))
	return nil
}

// write deletes what is gathered.
func (d *dropper) write(ctx context.Context, o *Output) error {
	var parts []store.Run
	profiles := 0
	for _, w := range d.workers {
		if profiles += len(w.rows); len(w.rows) > 0 {
			parts = append(parts, store.Run{Table: store.Profile, Rows: d.contributionsGone(w.rows)})
		}
	}
	if parts == nil {
		return nil
	}
	for family, s := range o.shelves {
		size, from := int64(0), 0
		for n := range s.sizes {
			if size += s.sizes[n]; size >= dropRun || n == len(s.sizes)-1 && size > 0 {
				parts = append(parts, store.Run{Table: store.Index, Rows: d.keysGone(o, family, from, n+1)})
				size, from = 0, n+1
			}
		}
	}
	return d.delete(ctx, profiles, parts)
}

// contributionsGone are deletions of contributions.
func (d *dropper) contributionsGone(rows []createdRow) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: d.inc, Mutation: store.Mutation{Time: d.time, Delete: true}}
		var key []byte
		for i := range rows {
			id := d.idOf(&rows[i])
			key = profile.AppendContributionKey(key[:0], d.time, rows[i].row)
			row.Partition, row.Mutation.Key = id[:], key
			if !yield(row, nil) {
				return
			}
		}
	}
}

// keysGone are deletions of the index rows of some parts of a shelf. It can be read once.
func (d *dropper) keysGone(o *Output, family, from, to int) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		a := &applier{Output: o, live: func(int) bool { return true }}
		for n := from; n < to; n++ {
			if !a.yieldIndexRows(family, n, store.Mutation{Time: d.at, Delete: true}, yield) {
				return
			}
		}
	}
}
