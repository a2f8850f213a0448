package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
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
	// dropProfiles are taken back together at most, and dropBytes bounds what is in memory of the index rows that go with them. The rows of a million
	// customers fit, and go at once: the more often something is written all over the index, the more the engine has to merge.
	dropProfiles = 1 << 20
	dropBytes    = 128 << 20
	// dropSample is how many profiles are looked at to divide index values into ranges.
	dropSample = 2048
	// dropPart is about how many bytes of index values are sorted together: within the caches of a processor.
	dropPart = 512 << 10
	// dropRun is about how many bytes of index values one core writes at a time.
	dropRun = 8 << 20
	// dropChunk is how many bytes of memory an index range gets at a time: more than any value has.
	dropChunk = 16 << 10
)

// DropCreated takes back the profiles that the job has created, but for some: contributions and index rows go, these with the time at. What index rows there are is
// derived from the contributions, as they are encoded. It calls gone for every few profiles, from several goroutines. It may be repeated.
//
// Contributions go before index rows, so that no visible profile lacks one. Where a call of the store is not one change, a crash between the two leaves hints, for
// contributions that have gone say nothing any more.
func (p *Plan) DropCreated(ctx context.Context, runs map[int]RunResult, at int64, but map[fold.ID]bool, gone func(profiles int64)) error {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	if p.store.Whole() {
		if fills, err := p.fillsIndex(ctx); err != nil {
			return err
		} else if fills {
			return p.sweepCreated(ctx, runs, all, at, but, gone)
		}
	}
	d := p.newDropper(at, gone)
	var chunk []createdRow
	for c, err := range p.written(all, runs) {
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

// dropper takes back profiles, some after others, and uses its memory again. The index rows that go are gathered by key family and, within that, by ranges of
// values, so that each range is sorted within the caches of a processor.
type dropper struct {
	*Plan
	at       int64
	gone     func(profiles int64)
	most     int      // bytes of index rows in memory
	part     int      // bytes that are sorted together, about
	names    []string // of keys, by family
	families []dropFamily
	workers  []*dropWorker

	mu   sync.Mutex
	free [][]byte
}

// dropFamily says which ranges the values of a family are divided into: bounds are eight bytes of values behind what all of a sample begin with.
type dropFamily struct {
	common []byte
	bounds []uint64
}

// part returns the range that a value belongs to.
func (f *dropFamily) part(value []byte) int {
	if len(f.bounds) == 0 {
		return 0
	}
	if n := len(f.common); len(value) < n || string(value[:n]) != string(f.common) {
		if bytes.Compare(value, f.common) < 0 {
			return 0
		}
		return len(f.bounds)
	}
	prefix := extsort.Prefix(value[len(f.common):])
	lo, hi := 0, len(f.bounds)
	for lo < hi {
		if mid := (lo + hi) / 2; f.bounds[mid] <= prefix {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// newDropFamily divides values like those of a sample into up to n ranges.
func newDropFamily(sample [][]byte, n int) (f dropFamily) {
	if n < 2 || len(sample) == 0 {
		return f
	}
	slices.SortFunc(sample, bytes.Compare)
	first, last := sample[0], sample[len(sample)-1]
	for len(f.common) < min(len(first), len(last)) && first[len(f.common)] == last[len(f.common)] {
		f.common = first[:len(f.common)+1]
	}
	for i := 1; i < n; i++ {
		b := extsort.Prefix(sample[i*len(sample)/n][len(f.common):])
		if k := len(f.bounds); k == 0 || f.bounds[k-1] < b {
			f.bounds = append(f.bounds, b)
		}
	}
	return f
}

// dropWorker reads contributions. What it gathers of index rows is entries, one behind the other, in chunks, by family and part:
//
//	length of the value (2) | bucket (2) | counter (4) | value
type dropWorker struct {
	*dropper
	deriver *index.Deriver
	rows    []createdRow // whose contributions are there
	chunks  [][][][]byte // by family and part; the last one is being filled
	size    int
}

const dropHead = 2 + 2 + 4

func (p *Plan) newDropper(at int64, gone func(int64)) *dropper {
	d := &dropper{Plan: p, at: at, gone: gone, most: dropBytes, part: dropPart}
	for range min(runtime.NumCPU(), dropWorkers) {
		w := &dropWorker{dropper: d, deriver: index.NewDeriver(p.own)}
		w.deriver.Family(p.m.index) // it may be private
		d.names = w.deriver.Families()
		d.workers = append(d.workers, w)
	}
	return d
}

// drop takes back profiles whose ids ascend.
func (d *dropper) drop(ctx context.Context, rows []createdRow) error {
	if err := d.divide(ctx, rows); err != nil {
		return err
	}
	left := make([][]createdRow, len(d.workers))
	for i := range left {
		left[i] = rows[i*len(rows)/len(left) : (i+1)*len(rows)/len(left)]
	}
	for more := true; more; {
		errs := make([]error, len(left))
		var wg sync.WaitGroup
		for i, w := range d.workers {
			wg.Go(func() { left[i], errs[i] = w.read(ctx, left[i]) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		if err := d.write(ctx); err != nil {
			return err
		}
		more = slices.ContainsFunc(left, func(rest []createdRow) bool { return len(rest) > 0 })
	}
	return nil
}

// divide looks at some profiles and divides the index values of all into ranges.
func (d *dropper) divide(ctx context.Context, rows []createdRow) error {
	var sample []createdRow
	for i := range min(dropSample, len(rows)) {
		sample = append(sample, rows[i*len(rows)/min(dropSample, len(rows))])
	}
	values := make([][][]byte, len(d.names))
	sizes := make([]int, len(d.names))
	add := func(family int, value []byte) {
		values[family] = append(values[family], bytes.Clone(value))
		sizes[family] += dropHead + len(value)
	}
	w := d.workers[0]
	for hit, err := range d.contributionsOf(ctx, sample) {
		if err == nil {
			err = w.derive(hit.Row.Value, add)
		}
		if err != nil {
			return err
		}
	}
	d.families = d.families[:0]
	for family := range values {
		n := sizes[family] * len(rows) / max(1, len(sample)) / d.part
		d.families = append(d.families, newDropFamily(values[family], min(n, len(values[family])/4)))
	}
	for _, w := range d.workers {
		w.chunks = nil
		for i := range d.families {
			w.chunks = append(w.chunks, make([][][]byte, len(d.families[i].bounds)+1))
		}
	}
	return nil
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

// derive calls do for the keys of a contribution.
func (w *dropWorker) derive(contribution []byte, do func(family int, value []byte)) error {
	err := w.deriver.Each(contribution, func(family int, value []byte) {
		if family < len(w.names) {
			do(family, value)
		}
	})
	if err == nil && len(w.deriver.Families()) > len(w.names) {
		err = fmt.Errorf("a contribution has a key %q, which its job has not", w.deriver.Families()[len(w.names)])
	}
	return err
}

// read gathers what rows of profiles go. It returns the profiles for which memory is left no more.
func (w *dropWorker) read(ctx context.Context, rows []createdRow) (rest []createdRow, err error) {
	most := w.most / len(w.workers)
	var of createdRow
	add := func(family int, value []byte) { w.add(family, value, of) }
	told := 0
	for hit, err := range w.contributionsOf(ctx, rows) {
		if err != nil {
			return nil, err
		}
		of = rows[hit.Index]
		if err := w.derive(hit.Row.Value, add); err != nil {
			id := w.idOf(&of)
			return nil, fmt.Errorf("profile %s: %w", id, err)
		}
		w.rows = append(w.rows, of)
		if hit.Index-told >= touchedChunk {
			w.gone(int64(hit.Index - told))
			told = hit.Index
		}
		if w.size >= most {
			w.gone(int64(hit.Index + 1 - told))
			return rows[hit.Index+1:], nil
		}
	}
	w.gone(int64(len(rows) - told))
	return nil, nil
}

// add gathers an index row.
func (w *dropWorker) add(family int, value []byte, of createdRow) {
	chunks := &w.chunks[family][w.families[family].part(value)]
	if n := len(*chunks); n == 0 || dropChunk-len((*chunks)[n-1]) < dropHead+len(value) {
		*chunks = append(*chunks, w.chunk())
		w.size += dropChunk
	}
	c := &(*chunks)[len(*chunks)-1]
	b := binary.LittleEndian.AppendUint16(*c, uint16(len(value)))
	b = binary.LittleEndian.AppendUint16(b, of.bucket)
	*c = append(binary.LittleEndian.AppendUint32(b, of.counter), value...)
}

// chunk returns memory for entries.
func (d *dropper) chunk() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.free); n > 0 {
		c := d.free[n-1]
		d.free = d.free[:n-1]
		return c
	}
	return make([]byte, 0, dropChunk)
}

func (d *dropper) release(c []byte) {
	d.mu.Lock()
	d.free = append(d.free, c[:0])
	d.mu.Unlock()
}

// write deletes what is gathered.
func (d *dropper) write(ctx context.Context) error {
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
	for family := range d.families {
		n := len(d.families[family].bounds) + 1
		for from, to, size := 0, 0, 0; to < n; {
			for _, w := range d.workers {
				size += dropChunk * len(w.chunks[family][to])
			}
			if to++; size >= dropRun || to == n && size > 0 {
				parts = append(parts, store.Run{Table: store.Index, Rows: d.keysGone(family, from, to)})
				from, size = to, 0
			}
		}
	}
	if err := d.delete(ctx, profiles, parts); err != nil {
		return err
	}
	for _, w := range d.workers {
		w.rows, w.size = w.rows[:0], 0
	}
	return nil
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

// keysGone are deletions of the index rows of some parts of a family. It can be read once.
func (d *dropper) keysGone(family, from, to int) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: d.inc, Mutation: store.Mutation{Time: d.at, Delete: true}}
		part := []byte(d.names[family] + "\x01")
		name := len(part)
		var s dropSorter
		var key []byte
		for n := from; n < to; n++ {
			d.load(&s, family, n)
			var last createdRow
			for _, r := range s.sorted() {
				value, of := s.entry(r.At)
				if of == last && bytes.Equal(part[name:], value) { // several attributes have it
					continue
				}
				last = of
				id := d.idOf(&of)
				part = append(part[:name], value...)
				key = index.AppendRowKey(key[:0], id, index.ByImport)
				row.Partition, row.Mutation.Key = part, key
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// load moves the entries of a part to a sorter. They are in the order of profiles.
func (d *dropper) load(s *dropSorter, family, part int) {
	s.b, s.refs = s.b[:0], s.refs[:0]
	for _, w := range d.workers {
		for _, c := range w.chunks[family][part] {
			s.b = append(s.b, c...)
			d.release(c)
		}
		w.chunks[family][part] = nil
	}
}

// dropSorter sorts entries.
type dropSorter struct {
	b      []byte
	refs   []extsort.Ref
	sorter extsort.Sorter
}

// sorted returns references to the entries, by value, then profile.
func (s *dropSorter) sorted() []extsort.Ref {
	for at := 0; at < len(s.b); {
		value, _ := s.entry(uint32(at))
		s.refs = append(s.refs, extsort.Ref{Prefix: extsort.Prefix(value), At: uint32(at)})
		at += dropHead + len(value)
	}
	s.sorter.Key = func(at uint32) []byte {
		value, _ := s.entry(at)
		return value
	}
	s.sorter.Compare = func(a, b uint32) int {
		value, of := s.entry(a)
		other, than := s.entry(b)
		return cmp.Or(bytes.Compare(value, other), cmp.Compare(of.bucket, than.bucket), cmp.Compare(of.counter, than.counter), cmp.Compare(a, b))
	}
	s.sorter.Sort(s.refs)
	return s.refs
}

// entry returns the value of an entry, and its profile.
func (s *dropSorter) entry(at uint32) (value []byte, of createdRow) {
	head := s.b[at:]
	n := binary.LittleEndian.Uint16(head)
	return head[dropHead : dropHead+n], createdRow{bucket: binary.LittleEndian.Uint16(head[2:]), counter: binary.LittleEndian.Uint32(head[4:])}
}
