package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
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
	// dropWorkers bounds those who read contributions and sort keys side by side.
	dropWorkers = 4
	// dropProfiles are taken back together, and dropBytes bounds the keys of them that are kept in memory, with what sorting them takes.
	dropProfiles = 512 << 10
	dropBytes    = 128 << 20
)

// DropCreated takes back the profiles that the job has created, but for some: contributions and index rows go, these with the time at. What index rows there are is
// derived from the contributions, as they are encoded. It calls gone for every few profiles. It may be repeated.
//
// Profiles are taken back some at a time, contributions before index rows, so that no visible profile lacks one. Where a call of the store is not one change, a
// crash between the two leaves hints, for contributions that have gone say nothing any more.
func (p *Plan) DropCreated(ctx context.Context, runs map[int]RunResult, at int64, but map[fold.ID]bool, gone func(profiles int64)) error {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	defer all.close()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	chunks := make(chan []createdRow)
	var workers sync.WaitGroup
	for range min(runtime.NumCPU(), dropWorkers) {
		workers.Go(func() {
			d := p.newDropper(at, gone)
			for chunk := range chunks {
				if err := d.drop(ctx, chunk); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	err = p.eachCreated(runs, all, but, func(chunk []createdRow) error {
		select {
		case chunks <- chunk:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(chunks)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// createdRow is a profile that the job has created, and the row that its contribution is named by.
type createdRow struct {
	id  fold.ID
	row int64
}

// eachCreated calls do for the profiles that the job has created, but for some, many at a time, ascending.
func (p *Plan) eachCreated(runs map[int]RunResult, all runBlobs, but map[fold.ID]bool, do func([]createdRow) error) error {
	var chunk []createdRow
	for c, err := range p.written(all, runs) {
		if err != nil {
			return err
		}
		if !c.isCreated() || len(but) > 0 && but[c.id] {
			continue
		}
		if chunk = append(chunk, createdRow{c.id, c.row}); len(chunk) == dropProfiles {
			if err := do(chunk); err != nil {
				return err
			}
			chunk = nil
		}
	}
	return do(chunk)
}

// dropper takes back some profiles after others, using its memory again.
type dropper struct {
	*Plan
	at      int64
	gone    func(profiles int64)
	deriver *index.Deriver

	rows     []createdRow // whose contributions are there
	families []goneKeys
	size     int
	sorter   extsort.Sorter
}

// goneKeys are the index values of a family that are about to go, one behind the other:
//
//	length (2) | place of the profile among the rows (4) | value
type goneKeys struct {
	b    []byte
	refs []extsort.Ref
}

const goneHead = 6

func (k *goneKeys) add(who uint32, value []byte) {
	k.refs = append(k.refs, extsort.Ref{Prefix: extsort.Prefix(value), At: uint32(len(k.b))})
	k.b = binary.LittleEndian.AppendUint16(k.b, uint16(len(value)))
	k.b = append(binary.LittleEndian.AppendUint32(k.b, who), value...)
}

func (k *goneKeys) value(at uint32) []byte {
	n := uint32(binary.LittleEndian.Uint16(k.b[at:]))
	return k.b[at+goneHead : at+goneHead+n]
}

func (k *goneKeys) who(at uint32) uint32 { return binary.LittleEndian.Uint32(k.b[at+2:]) }

func (p *Plan) newDropper(at int64, gone func(int64)) *dropper {
	return &dropper{Plan: p, at: at, gone: gone, deriver: index.NewDeriver(p.own)}
}

// drop takes back profiles whose ids ascend.
func (d *dropper) drop(ctx context.Context, chunk []createdRow) error {
	var key []byte
	probes := func(yield func(store.Probe) bool) {
		for i := range chunk {
			key = profile.AppendContributionKey(key[:0], d.time, chunk[i].row)
			if !yield(store.Probe{Partition: string(chunk[i].id[:]), Range: store.Range{Start: key, Limit: 1}}) {
				return
			}
		}
	}
	add := func(family int, value []byte) {
		for len(d.families) <= family {
			d.families = append(d.families, goneKeys{b: make([]byte, 0, 24*len(chunk)), refs: make([]extsort.Ref, 0, len(chunk))})
		}
		d.families[family].add(uint32(len(d.rows)), value)
		d.size += goneHead + len(value) + 2*16 // with the references, twice
	}
	for hit, err := range d.store.Probe(ctx, store.Profile, d.inc, probes) {
		if err != nil {
			return err
		}
		of := chunk[hit.Index]
		if !bytes.Equal(hit.Row.Key, profile.AppendContributionKey(nil, d.time, of.row)) {
			continue
		}
		if err := d.deriver.Each(hit.Row.Value, add); err != nil {
			return err
		}
		d.rows = append(d.rows, of)
		if d.size >= dropBytes {
			if err := d.flush(ctx); err != nil {
				return err
			}
		}
	}
	err := d.flush(ctx)
	d.gone(int64(len(chunk)))
	return err
}

// flush deletes what is noted.
func (d *dropper) flush(ctx context.Context) error {
	if len(d.rows) == 0 {
		return nil
	}
	parts := []store.Run{{Table: store.Profile, Rows: d.contributionsGone()}}
	order := make([]int, 0, len(d.families))
	for family := range d.families {
		if len(d.families[family].refs) > 0 {
			order = append(order, family)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(len(d.families[a].b), len(d.families[b].b)) })
	for _, family := range order {
		k := &d.families[family]
		d.sort(k)
		parts = append(parts, store.Run{Table: store.Index, Rows: d.keysGone(d.deriver.Families()[family], k)})
	}
	if err := d.store.WriteRun(ctx, parts...); err != nil {
		return err
	}
	for i := range d.families {
		d.families[i].b, d.families[i].refs = d.families[i].b[:0], d.families[i].refs[:0]
	}
	d.rows, d.size = d.rows[:0], 0
	return nil
}

// sort sorts the keys of a family by value, then profile.
func (d *dropper) sort(k *goneKeys) {
	d.sorter.Key = k.value
	d.sorter.Compare = func(a, b uint32) int {
		return cmp.Or(bytes.Compare(k.value(a), k.value(b)), cmp.Compare(k.who(a), k.who(b)), cmp.Compare(a, b))
	}
	d.sorter.Sort(k.refs)
}

// contributionsGone are deletions of the contributions.
func (d *dropper) contributionsGone() iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: d.inc, Mutation: store.Mutation{Time: d.time, Delete: true}}
		var key []byte
		for i := range d.rows {
			key = profile.AppendContributionKey(key[:0], d.time, d.rows[i].row)
			row.Partition, row.Mutation.Key = d.rows[i].id[:], key
			if !yield(row, nil) {
				return
			}
		}
	}
}

// gatherKeys is how many keys are brought together before they are passed on: waiting for one key after the other to come from memory costs several times as much.
const gatherKeys = 128

// keysGone are deletions of the index rows of a family.
func (d *dropper) keysGone(name string, k *goneKeys) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: d.inc, Mutation: store.Mutation{Time: d.at, Delete: true}}
		part := []byte(name + "\x01")
		prefix := len(part)
		key := index.AppendRowKey(nil, fold.ID{}, index.ByImport)
		row.Mutation.Key = key
		var values []byte
		var ids [gatherKeys]fold.ID
		var ends [gatherKeys]int
		for refs := range slices.Chunk(k.refs, gatherKeys) {
			values = values[:0]
			for i, r := range refs {
				head := k.b[r.At:]
				n := int(binary.LittleEndian.Uint16(head))
				ids[i] = d.rows[binary.LittleEndian.Uint32(head[2:])].id
				values = append(values, head[goneHead:goneHead+n]...)
				ends[i] = len(values)
			}
			from := 0
			for i := range refs {
				value := values[from:ends[i]]
				from = ends[i]
				if ids[i] == fold.ID(key) && bytes.Equal(part[prefix:], value) { // several attributes have it
					continue
				}
				part = append(part[:prefix], value...)
				copy(key, ids[i][:])
				if row.Partition = part; !yield(row, nil) {
					return
				}
			}
		}
	}
}
