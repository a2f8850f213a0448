package stage

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"maps"
	"runtime"
	"slices"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Write merges runs, per key family, and writes them, index rows before the contributions they belong to.
func (p *Plan) Write(ctx context.Context, runs map[int]RunResult) error {
	parts, done, err := p.indexRuns(ctx, runs)
	defer done()
	if err != nil {
		return err
	}
	rows, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Rows })
	defer rows.close()
	if err != nil {
		return err
	}
	pivots := p.pivots(runs, 2*runtime.NumCPU())
	for i := range len(pivots) + 1 {
		var lo, hi *fold.ID // of the part
		if i > 0 {
			lo = &pivots[i-1]
		}
		if i < len(pivots) {
			hi = &pivots[i]
		}
		var cursors []*rowCursor
		for _, r := range rows {
			run := runs[r.bucket]
			for k, s := range run.RowSections {
				if from, ok := enter(run.RowMarks[k], lo, hi); ok {
					cursors = append(cursors, &rowCursor{who: p.newWho(r, section{from, s.To}), body: true, lo: lo, hi: hi})
				}
			}
		}
		if cursors != nil {
			parts = append(parts, store.Run{Table: store.Profile, Rows: p.contributions(extsort.Merge(cursors))})
		}
	}
	return p.store.WriteRun(ctx, parts...)
}

// pivots returns ids that cut the rows of all runs into up to n parts of about the same size: one part alone would keep one core
// busy when the others have nothing left to do.
func (p *Plan) pivots(runs map[int]RunResult, n int) (pivots []fold.ID) {
	var ids []fold.ID
	for _, run := range runs {
		for _, marks := range run.RowMarks {
			for _, f := range marks {
				ids = append(ids, f.ID)
			}
		}
	}
	slices.SortFunc(ids, func(a, b fold.ID) int { return bytes.Compare(a[:], b[:]) })
	for i := 1; i < n && len(ids) > 8*n; i++ {
		id := ids[i*len(ids)/n]
		if len(pivots) == 0 || pivots[len(pivots)-1] != id {
			pivots = append(pivots, id)
		}
	}
	return pivots
}

// enter returns where in a section to begin to read the entries from lo to below hi; false when it has none.
func enter(marks []mark, lo, hi *fold.ID) (from int64, ok bool) {
	if len(marks) == 0 || hi != nil && bytes.Compare(marks[0].ID[:], hi[:]) >= 0 ||
		lo != nil && bytes.Compare(marks[len(marks)-1].ID[:], lo[:]) < 0 {
		return 0, false
	}
	from = marks[0].At
	for _, f := range marks {
		if lo == nil || bytes.Compare(f.ID[:], lo[:]) >= 0 { // a profile may have several entries: begin before the first
			break
		}
		from = f.At
	}
	return from, true
}

// indexRuns returns the index rows of all runs, a store.Run per family, the smallest first.
func (p *Plan) indexRuns(ctx context.Context, runs map[int]RunResult) (parts []store.Run, done func(), err error) {
	all, err := p.openAll(ctx, runs, func(r *RunResult) string { return r.Run })
	if err != nil {
		return nil, all.close, err
	}
	sizes := make([]int64, len(p.families))
	for _, r := range all {
		for family, s := range runs[r.bucket].Families {
			sizes[family] += s.To - s.From
		}
	}
	order := make([]int, 0, len(sizes))
	for family, size := range sizes {
		if size > 0 {
			order = append(order, family)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return int(sizes[a] - sizes[b]) })
	for _, family := range order {
		var cursors []*indexCursor
		for _, r := range all {
			if sections := runs[r.bucket].Families; family < len(sections) {
				cursors = append(cursors, &indexCursor{who: p.newWho(r, sections[family])})
			}
		}
		parts = append(parts, store.Run{Table: store.Index, Rows: p.indexRows(p.families[family], extsort.Merge(cursors))})
	}
	return parts, all.close, nil
}

// indexRows turns the entries of a family into rows of the store.
func (p *Plan) indexRows(name string, entries iter.Seq2[*indexCursor, error]) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time}}
		part := []byte(name + "\x01")
		prefix := len(part)
		var key []byte
		var last fold.ID
		begun := false
		for c, err := range entries {
			if err != nil {
				yield(row, err)
				return
			}
			if begun && c.id == last && bytes.Equal(part[prefix:], c.value) { // several rows of the file bring one profile the same key
				continue
			}
			begun, last = true, c.id
			part = append(part[:prefix], c.value...)
			key = index.AppendRowKey(key[:0], c.id, index.ByImport)
			row.Partition, row.Mutation.Key = part, key
			if !yield(row, nil) {
				return
			}
		}
	}
}

// contributions turns the entries of row sections into rows of the store.
func (p *Plan) contributions(entries iter.Seq2[*rowCursor, error]) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time}}
		head := fold.Contribution{Expires: p.expires}
		var key, value []byte
		for c, err := range entries {
			if err != nil {
				yield(row, err)
				return
			}
			head.Stamp = p.stamp(c.row)
			key = profile.AppendContributionKey(key[:0], p.time, c.row)
			value = append(head.AppendStamped(value[:0]), c.tail...)
			row.Partition, row.Mutation.Key, row.Mutation.Value = c.id[:], key, value
			if !yield(row, nil) {
				return
			}
		}
	}
}

// runBlob is an open blob of a run.
type runBlob struct {
	blob.Reader
	bucket int
}

type runBlobs []runBlob

func (all runBlobs) close() {
	for _, r := range all {
		_ = r.Close()
	}
}

// openAll opens one of the blobs of each run that has it.
func (p *Plan) openAll(ctx context.Context, runs map[int]RunResult, name func(*RunResult) string) (all runBlobs, err error) {
	for _, bucket := range slices.Sorted(maps.Keys(runs)) {
		run := runs[bucket]
		if name(&run) == "" {
			continue
		}
		r, err := p.blobs.Open(ctx, name(&run), p.key)
		if err != nil {
			return all, fmt.Errorf("open a run: %w", err)
		}
		all = append(all, runBlob{r, bucket})
	}
	return all, nil
}

// who reads the part that all entries share: a profile and a row.
type who struct {
	p      *Plan
	bucket int
	extsort.Window

	counter uint32 // of a created profile, or 0
	id      fold.ID
	row     int64
}

func (p *Plan) newWho(r runBlob, s section) who {
	return who{p: p, bucket: r.bucket, Window: extsort.NewWindow(func() io.Reader { return io.LimitReader(r.Stream(s.From), s.To-s.From) })}
}

// isCreated says that the job has created the profile of the entry.
func (c *who) isCreated() bool { return c.counter != 0 }

// readWho reads the profile and the row of an entry.
func (c *who) readWho() error {
	n, err := c.Uvarint()
	if err != nil {
		return err
	}
	if n == 0 {
		id, err := c.Bytes(uint64(len(c.id)))
		if err != nil {
			return err
		}
		copy(c.id[:], id)
	} else {
		c.id = c.p.mint(c.bucket, uint32(n))
	}
	c.counter = uint32(n)
	row, err := c.Uvarint()
	c.row = int64(row)
	return err
}

func (c *who) compareWho(o *who) int {
	if d := bytes.Compare(c.id[:], o.id[:]); d != 0 {
		return d
	}
	return int(c.row - o.row)
}

// indexCursor reads a section of a family.
type indexCursor struct {
	who
	value []byte
}

func (c *indexCursor) Next() (bool, error) {
	if ok, err := c.More(); !ok {
		return false, err
	}
	shared, err := c.Uvarint()
	if err != nil {
		return false, err
	}
	n, err := c.Uvarint()
	if err != nil {
		return false, err
	}
	rest, err := c.Bytes(n)
	if err != nil {
		return false, err
	}
	if shared > uint64(len(c.value)) {
		return false, c.Damaged()
	}
	c.value = append(c.value[:shared], rest...)
	return true, c.readWho()
}

func (c *indexCursor) Prefix() uint64 { return extsort.Prefix(c.value) }

func (c *indexCursor) Compare(o *indexCursor) int {
	if d := bytes.Compare(c.value, o.value); d != 0 {
		return d
	}
	return c.compareWho(&o.who)
}

// rowCursor reads a section of profiles and rows, with or without what was said about them.
type rowCursor struct {
	who
	body   bool
	lo, hi *fold.ID // profiles from lo to below hi; nil is open
	tail   []byte   // valid until the next entry
}

func (c *rowCursor) Next() (bool, error) {
	for {
		if ok, err := c.More(); !ok {
			return false, err
		}
		if err := c.readWho(); err != nil {
			return false, err
		}
		if c.hi != nil && bytes.Compare(c.id[:], c.hi[:]) >= 0 {
			return false, nil
		}
		if c.body {
			n, err := c.Uvarint()
			if err != nil {
				return false, err
			}
			if c.tail, err = c.Bytes(n); err != nil {
				return false, err
			}
		}
		if c.lo == nil || bytes.Compare(c.id[:], c.lo[:]) >= 0 {
			return true, nil
		}
	}
}

func (c *rowCursor) Prefix() uint64           { return binary.BigEndian.Uint64(c.id[:]) }
func (c *rowCursor) Compare(o *rowCursor) int { return c.compareWho(&o.who) }
