package stage

import (
	"bytes"
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"

	"kith/internal/extsort"
	"kith/profile"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// tableBytes is about how many bytes of entries make one table.
const tableBytes = 8 << 20

// stage begins a table of a bucket, or of no bucket (-1).
func (o *Output) stage(t store.Table, bucket int) (store.Staged, error) {
	tab, err := o.engine.Stage(store.StageOptions{Table: t, Incarnation: o.inc, Time: o.time})
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	o.staged[bucket] = append(o.staged[bucket], tab)
	o.mu.Unlock()
	return tab, nil
}

// tablePart is parts of a shelf that become one table.
type tablePart struct {
	family   int // -1: contributions
	from, to int
	size     int64
}

// Land makes the rows of the buckets that have a run visible, all at once but for contributions to profiles of the job's own millisecond, which
// follow. It may be called once.
func (o *Output) Land(ctx context.Context, runs map[int]RunResult) error {
	if err := o.flush(); err != nil {
		return err
	}
	var todo []tablePart
	for i, s := range o.all() {
		if i == len(o.shelves) {
			i = -1
		}
		part := tablePart{family: i}
		for n, size := range s.sizes {
			alone := s.said && (n == o.among || n+1 == o.among) // the bound of created profiles
			if part.to, part.size = n+1, part.size+size; part.size >= tableBytes || n == len(s.sizes)-1 || alone {
				if part.size > 0 && !(s.said && n == o.among) {
					todo = append(todo, part)
				}
				part = tablePart{family: i, from: n + 1}
			}
		}
	}
	slices.SortFunc(todo, func(a, b tablePart) int { return cmp.Compare(b.size, a.size) }) // small ones fill the cores in the end
	live := func(bucket int) bool { _, ok := runs[bucket]; return ok }
	if err := o.writeTables(ctx, todo, live); err != nil {
		return err
	}
	var tables []store.Staged
	for bucket, of := range o.staged {
		if bucket < 0 || live(bucket) {
			tables = append(tables, of...)
		}
	}
	if err := o.engine.Land(ctx, tables...); err != nil || o.contributions.sizes[o.among] == 0 {
		return err
	}
	voids, err := o.voidsOf(ctx, o.void)
	if err != nil {
		return err
	}
	a := &applier{Output: o, live: live}
	return o.store.WriteRun(ctx, store.Run{Table: store.Fingerprint, Rows: store.SortRows(voids)}, store.Run{Table: store.Profile, Rows: o.contributionRows(a, o.among)})
}

// writeTables writes tables on all cores; they are closed behind, for that waits for the disk.
func (o *Output) writeTables(ctx context.Context, todo []tablePart, live func(int) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan tablePart, len(todo))
	for _, p := range todo {
		queue <- p
	}
	close(queue)
	slots := make(chan struct{}, 4)
	var workers, closers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			a := &applier{Output: o, live: live}
			for p := range queue {
				if ctx.Err() != nil {
					return
				}
				tables, err := a.table(p)
				if err != nil {
					cancel(err)
					return
				}
				for _, tab := range tables {
					slots <- struct{}{}
					closers.Go(func() {
						defer func() { <-slots }()
						if err := tab.Close(); err != nil {
							cancel(err)
						}
					})
				}
			}
		})
	}
	workers.Wait()
	closers.Wait()
	return context.Cause(ctx)
}

// applier sorts the entries of shelves, with memory that it uses again.
type applier struct {
	*Output
	live func(bucket int) bool // whose entries count

	buf    []byte
	refs   []extsort.Ref
	sorter extsort.Sorter
}

// table writes the table of some parts of a shelf. Contributions come with one of prints.
func (a *applier) table(p tablePart) ([]store.Staged, error) {
	if p.family < 0 {
		return a.contributionTables(p)
	}
	tab, err := a.stage(store.Index, -1)
	if err != nil {
		return nil, err
	}
	part := []byte(a.families[p.family] + "\x01")
	name := len(part)
	var key []byte
	for n := p.from; n < p.to; n++ {
		err := a.indexRows(a.shelves[p.family], n, func(value []byte, id fold.ID) error {
			part = append(part[:name], value...)
			key = index.AppendRowKey(key[:0], id, index.ByImport)
			return tab.Add(part, key, nil, nil)
		})
		if err != nil {
			return nil, err
		}
	}
	return []store.Staged{tab}, nil
}

func (a *applier) contributionTables(p tablePart) ([]store.Staged, error) {
	tab, err := a.stage(store.Profile, -1)
	if err != nil {
		return nil, err
	}
	tables := []store.Staged{tab}
	printer := printer{Plan: a.Plan, put: func(id, print []byte) error {
		if len(tables) == 1 {
			prints, err := a.stage(store.Fingerprint, -1)
			if err != nil {
				return err
			}
			tables = append(tables, prints)
		}
		return tables[1].Add(id, fingerprint.PrintKey, print, nil)
	}}
	head := fold.Contribution{Expires: a.expires}
	var key, value []byte
	for n := p.from; n < p.to; n++ {
		err := a.saidRows(n, func(id []byte, s *said) error {
			if err := printer.add(id, s); err != nil {
				return err
			}
			head.Stamp = a.Plan.stamp(s.row)
			key = profile.AppendContributionKey(key[:0], a.time, s.row)
			if s.kind == entrySays {
				value = head.AppendStamped(value[:0])
				return tab.Add(id, key, value, s.says)
			}
			value = head.AppendRepeat(value[:0], s.says)
			return tab.Add(id, key, value, nil)
		})
		if err == nil {
			err = printer.flush()
		}
		if err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// indexRows calls do for the index rows of a part of a shelf, in order, each once.
func (a *applier) indexRows(s *shelf, part int, do func(value []byte, id fold.ID) error) error {
	var value []byte // of the last row
	var last fold.ID
	begun := false
	return a.each(s, part, a.compareIDs, func(e []byte) error {
		v, id := entryValue(e), a.entryID(e)
		if begun && id == last && bytes.Equal(v, value) { // several rows of the file bring one profile the same key
			return nil
		}
		begun, last, value = true, id, v
		return do(v, id)
	})
}

// saidRows calls do for the contributions of a part of their shelf, in order.
func (a *applier) saidRows(part int, do func(id []byte, s *said) error) error {
	return a.each(a.contributions, part, func(x, y []byte) int {
		return cmp.Compare(entrySaid(x).row, entrySaid(y).row)
	}, func(e []byte) error {
		s := entrySaid(e)
		return do(entryValue(e), &s)
	})
}

// each calls do for the entries of a part, sorted by value and, where those are the same, by a comparison of entries. It uses the part up. What do is given stays
// as it is until each returns.
func (a *applier) each(s *shelf, part int, compare func(x, y []byte) int, do func(entry []byte) error) error {
	if s.sizes[part] > int64(a.large) {
		return a.eachOfLarge(s, part, compare, do)
	}
	if err := a.fill(s, &s.pieces[part], a.large); err != nil {
		return err
	}
	a.sort(compare)
	for i, r := range a.refs {
		if i+ahead < len(a.refs) {
			extsort.Prefetch(a.buf[a.refs[i+ahead].At:])
		}
		if err := do(a.buf[r.At:]); err != nil {
			return err
		}
	}
	return nil
}

// fill loads pieces, not many more bytes than most, and notes the entries that count.
func (a *applier) fill(s *shelf, pieces *[]extsort.Piece, most int) error {
	a.buf, a.refs = a.buf[:0], a.refs[:0]
	for len(*pieces) > 0 && len(a.buf) < most {
		p := (*pieces)[0]
		b, err := a.pool.Load(p)
		if err != nil {
			return err
		}
		a.buf = append(a.buf, b...)
		a.pool.Drop(p, b)
		*pieces = (*pieces)[1:]
	}
	for at := 0; at < len(a.buf); {
		e := a.buf[at:]
		if a.live(entryBucket(e)) {
			a.refs = append(a.refs, extsort.Ref{Prefix: extsort.Prefix(entryValue(e)), At: uint32(at)})
		}
		at += s.entrySize(e)
	}
	return nil
}

// sort sorts the entries that were loaded.
func (a *applier) sort(compare func(x, y []byte) int) {
	a.sorter.Key = func(at uint32) []byte { return entryValue(a.buf[at:]) }
	a.sorter.Compare = func(x, y uint32) int {
		ex, ey := a.buf[x:], a.buf[y:]
		return cmp.Or(bytes.Compare(entryValue(ex), entryValue(ey)), compare(ex, ey), cmp.Compare(x, y))
	}
	a.sorter.Sort(a.refs)
}

// largePart is how many bytes of a part are sorted in memory. A part is larger when very many rows have the same value, or a sample of keys
// was no good.
const largePart = 64 << 20

// eachOfLarge is each for a part that is too large for memory: sorted stretches of it are put aside again, and merged.
func (a *applier) eachOfLarge(s *shelf, part int, compare func(x, y []byte) int, do func(entry []byte) error) error {
	var cursors []*entryCursor
	for len(s.pieces[part]) > 0 {
		if err := a.fill(s, &s.pieces[part], a.large/2); err != nil {
			return err
		}
		a.sort(compare)
		c := &entryCursor{pool: a.pool, shelf: s, compare: compare}
		if err := c.write(a); err != nil {
			return err
		}
		cursors = append(cursors, c)
	}
	for c, err := range extsort.Merge(cursors) {
		if err == nil {
			err = do(append([]byte(nil), c.rest[:s.entrySize(c.rest)]...))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entryCursor reads a sorted stretch of entries that was put aside.
type entryCursor struct {
	pool    *extsort.Pool
	shelf   *shelf
	compare func(x, y []byte) int
	pieces  []extsort.Piece

	piece extsort.Piece
	chunk []byte // the loaded piece
	rest  []byte // of it, from the present entry on
}

// write puts the entries of an applier aside.
func (c *entryCursor) write(a *applier) error {
	var chunk []byte
	keep := func(chunk []byte) error {
		p, err := c.pool.Keep(chunk)
		c.pieces = append(c.pieces, p)
		return err
	}
	for _, r := range a.refs {
		e := a.buf[r.At:]
		e = e[:c.shelf.entrySize(e)]
		next, full := c.pool.Room(chunk, len(e))
		if full {
			if err := keep(chunk); err != nil {
				return err
			}
		}
		chunk = append(next, e...)
	}
	if chunk == nil {
		return nil
	}
	return keep(chunk)
}

// Next implements extsort.Cursor.
func (c *entryCursor) Next() (bool, error) {
	if len(c.rest) > 0 {
		c.rest = c.rest[c.shelf.entrySize(c.rest):]
	}
	if len(c.rest) > 0 {
		return true, nil
	}
	if c.chunk != nil {
		c.pool.Drop(c.piece, c.chunk)
		c.chunk = nil
	}
	if len(c.pieces) == 0 {
		return false, nil
	}
	c.piece, c.pieces = c.pieces[0], c.pieces[1:]
	var err error
	c.chunk, err = c.pool.Load(c.piece)
	c.rest = c.chunk
	return err == nil, err
}

// Prefix implements extsort.Cursor.
func (c *entryCursor) Prefix() uint64 { return extsort.Prefix(entryValue(c.rest)) }

// Compare implements extsort.Cursor.
func (c *entryCursor) Compare(o *entryCursor) int {
	return cmp.Or(bytes.Compare(entryValue(c.rest), entryValue(o.rest)), c.compare(c.rest, o.rest))
}
