package profile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync"

	"kith/domain"
	"kith/objecttype"
	"kith/store"
)

// An import whose contribution says nothing new about the keys of a profile writes no index rows: those of an earlier contribution
// stand for it. So each key that an import's contribution yields has an index row of that contribution or of another import's that
// is there. When a contribution goes, others may lose what stands for them: they are its heirs, and get the rows first.

// heirs calls put for the keys of contributions that go and the contribution of those that stay that is to have an index row of it.
// Those that merges brought, and those that are no imports', have rows of their own.
func heirs(gone, stay []storedPart, own []domain.Key, put func(IndexKey, storedPart)) {
	stay = slices.DeleteFunc(slices.Clone(stay), func(p storedPart) bool {
		path, _ := splitSource(p.source)
		return path != "" || p.Kind != Import || p.version != 0
	})
	if len(stay) == 0 {
		return
	}
	var keys []IndexKey
	for _, p := range gone {
		keys = append(keys, p.IndexKeys(own)...)
	}
	keys = distinct(keys)
	for _, heir := range slices.Backward(stay) {
		has := heir.IndexKeys(own)
		keys = slices.DeleteFunc(keys, func(k IndexKey) bool {
			if !slices.Contains(has, k) {
				return false
			}
			put(k, heir)
			return true
		})
	}
}

// markHeir has it noted that a contribution has got index rows that its import does not know of.
func (s *Service) markHeir(ctx context.Context, rec *domain.Record, p storedPart) error {
	if at, ok := ImportTime(p.source); ok {
		return s.Imports.NoteHeir(ctx, rec, at)
	}
	return nil
}

// inheritChunk is how many index rows an Inheritance holds, about 200 bytes each, before it writes them in order: few large runs
// leave less to compact than many small ones.
const inheritChunk = 500_000

// Inheritance gives the heirs of an import their index rows before the import's contributions go.
type Inheritance struct {
	s       *Service
	rec     *domain.Record
	jobTime int64
	// all says that the import is an heir itself: all index rows of its contributions are removed, known to its runs or not.
	all      bool
	put, old indexRows
}

// NewInheritance returns an Inheritance of the import that wrote with a time.
func (s *Service) NewInheritance(rec *domain.Record, jobTime int64, all bool) *Inheritance {
	return &Inheritance{s: s, rec: rec, jobTime: jobTime, all: all}
}

// Add looks at profiles, whose ids ascend, on all cores.
func (h *Inheritance) Add(ctx context.Context, ids []ID) error {
	parts := make([]*Inheritance, runtime.NumCPU())
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i := range parts {
		mine := ids[i*len(ids)/len(parts) : (i+1)*len(ids)/len(parts)]
		parts[i] = h.s.NewInheritance(h.rec, h.jobTime, h.all)
		wg.Go(func() { errs[i] = parts[i].look(ctx, mine) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, p := range parts {
		h.put.take(&p.put)
		h.old.take(&p.old)
	}
	if h.put.n+h.old.n < inheritChunk {
		return nil
	}
	return h.Flush(ctx)
}

func (h *Inheritance) look(ctx context.Context, ids []ID) error {
	var parts []storedPart
	add := func(row store.Row) error {
		p, err := decodePart(row)
		parts = append(parts, p)
		return err
	}
	settle := func(id ID) error {
		err := h.settle(ctx, id, parts)
		parts = parts[:0]
		return err
	}
	if err := EachOf(ctx, h.s.Store, h.rec.Incarnation, ids, store.Prefix(contributionPrefix), add, settle); err != nil {
		return fmt.Errorf("look for heirs: %w", err)
	}
	return nil
}

// settle notes the rows of one profile.
func (h *Inheritance) settle(ctx context.Context, id ID, parts []storedPart) (err error) {
	var gone, stay []storedPart
	for _, p := range parts {
		if at, ok := ImportTime(p.source); ok && at == h.jobTime {
			gone = append(gone, p)
		} else {
			stay = append(stay, p)
		}
	}
	heirs(gone, stay, h.rec.Keys, func(k IndexKey, heir storedPart) {
		if err == nil {
			err = h.s.markHeir(ctx, h.rec, heir)
		}
		h.put.add(k, id, heir.source, heir.time)
	})
	for _, p := range gone {
		if h.all {
			for _, k := range p.IndexKeys(h.rec.Keys) {
				h.old.add(k, id, p.source, p.time)
			}
		}
	}
	return err
}

// Flush writes what was noted. It may be repeated from the start.
func (h *Inheritance) Flush(ctx context.Context) error {
	err := h.s.Store.WriteRun(ctx, h.put.runs(h.rec.Incarnation, false)...)
	if err == nil {
		err = h.s.Store.WriteRun(ctx, h.old.runs(h.rec.Incarnation, true)...)
	}
	h.put.reset()
	h.old.reset()
	return err
}

// indexRows holds index rows of different times, by the name of the key, without a pointer each.
type indexRows struct {
	n        int
	families map[string]*indexFamily
}

type indexFamily struct {
	buf  []byte
	rows []indexRow
}

// indexRow is a row of an indexFamily.
type indexRow struct {
	at        int // in buf
	part, key int // lengths; they follow each other
	time      int64
}

func (x *indexRows) family(name string) *indexFamily {
	if x.families == nil {
		x.families = map[string]*indexFamily{}
	}
	f := x.families[name]
	if f == nil {
		f = &indexFamily{}
		x.families[name] = f
	}
	return f
}

func (x *indexRows) reset() {
	x.n = 0
	for _, f := range x.families {
		f.buf, f.rows = f.buf[:0], f.rows[:0]
	}
}

func (x *indexRows) add(k IndexKey, id ID, source string, time int64) {
	f := x.family(k.Name)
	at := len(f.buf)
	f.buf = append(f.buf, IndexPartition(k.Name, k.Value)...)
	part := len(f.buf) - at
	f.buf = IndexRowKey(f.buf, id, source)
	f.rows = append(f.rows, indexRow{at, part, len(f.buf) - at - part, time})
	x.n++
}

// take appends the rows of others.
func (x *indexRows) take(o *indexRows) {
	x.n += o.n
	for name, more := range o.families {
		f := x.family(name)
		for _, r := range more.rows {
			r.at += len(f.buf)
			f.rows = append(f.rows, r)
		}
		f.buf = append(f.buf, more.buf...)
	}
}

// runs returns the rows as runs, one for each key.
func (x *indexRows) runs(inc store.Incarnation, gone bool) (runs []store.Run) {
	for _, name := range slices.Sorted(maps.Keys(x.families)) {
		runs = append(runs, store.Run{Table: store.Index, Rows: x.families[name].sorted(inc, gone)})
	}
	return runs
}

func (f *indexFamily) row(r *indexRow) (part, key []byte) {
	return f.buf[r.at : r.at+r.part], f.buf[r.at+r.part : r.at+r.part+r.key]
}

func (f *indexFamily) compare(a, b *indexRow) int {
	partA, keyA := f.row(a)
	partB, keyB := f.row(b)
	return cmp.Or(bytes.Compare(partA, partB), bytes.Compare(keyA, keyB))
}

// sorted streams the rows in order, each once.
func (f *indexFamily) sorted(inc store.Incarnation, gone bool) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		slices.SortFunc(f.rows, func(a, b indexRow) int { return f.compare(&a, &b) })
		for i := range f.rows {
			r := &f.rows[i]
			if i > 0 && f.compare(&f.rows[i-1], r) == 0 {
				continue
			}
			part, key := f.row(r)
			if !yield(store.RunRow{Incarnation: inc, Partition: part, Mutation: store.Mutation{Key: key, Delete: gone, Time: r.time}}, nil) {
				return
			}
		}
	}
}

// KeyAttrs are the attributes that keys are made of, but for the person's name, which is looked at as a whole.
type KeyAttrs struct {
	ids    [2]uint64 // a bit for each number
	custom map[string]bool
}

// NewKeyAttrs returns those of the predefined keys and of a domain's own.
func NewKeyAttrs(own []domain.Key) *KeyAttrs {
	k := &KeyAttrs{custom: map[string]bool{}}
	for id := range uint16(64 * len(k.ids)) {
		if name, _ := objecttype.PredefinedKey(objecttype.Attr{ID: id}); name != "" {
			k.add(objecttype.Attr{ID: id})
		}
	}
	for _, key := range own {
		for _, a := range partsOf(key) {
			k.add(a)
		}
	}
	return k
}

func (k *KeyAttrs) add(a objecttype.Attr) {
	if a.ID == 0 {
		k.custom[a.Custom] = true
	} else {
		k.ids[a.ID/64] |= 1 << (a.ID % 64)
	}
}

func (k *KeyAttrs) has(id uint16, custom string) bool {
	if id == 0 {
		return k.custom[custom]
	}
	return int(id) < 64*len(k.ids) && k.ids[id/64]&(1<<(id%64)) != 0
}

// Covers says whether an encoded contribution of an import yields all the keys that encoded values yield, so that its index rows
// stand for theirs. It may say no without need.
func (k *KeyAttrs) Covers(contribution, values []byte) bool {
	c := contribution
	if len(c) < fixedHeader || c[0] != contributionV1 || Kind(c[1]) != Import {
		return false
	}
	have := decoder{s: unsafeText(c[10:])}
	have.stamp()
	if have.uvarint() != 0 || have.err != nil { // with extras
		return false
	}
	if have.s == unsafeText(values) {
		return true
	}
	var names, wanted [len(nameAttrs)]string
	next := func(d *decoder) (id uint16, custom, text string, ok bool) {
		if len(d.s) == 0 {
			return 0, "", "", false
		}
		head := d.uvarint()
		if id = uint16(head >> 2); id == 0 {
			custom = d.text()
		}
		if head&(flagStamp|flagBlank) != 0 {
			d.fail()
		}
		text = d.text()
		return id, custom, text, d.err == nil
	}
	less := func(id uint16, custom string, than uint16, thanCustom string) bool {
		return objecttype.Attr{ID: id, Custom: custom}.Less(objecttype.Attr{ID: than, Custom: thanCustom})
	}
	id, custom, text, ok := next(&have)
	want := decoder{s: unsafeText(values)}
	note := func(to *[len(nameAttrs)]string, id uint16, text string) {
		if id >= objecttype.FirstName && id <= objecttype.LastName {
			to[id-objecttype.FirstName] = text
		}
	}
	for {
		wantID, wantCustom, wantText, more := next(&want)
		if !more {
			break
		}
		for ok && less(id, custom, wantID, wantCustom) {
			note(&names, id, text)
			id, custom, text, ok = next(&have)
		}
		note(&wanted, wantID, wantText)
		if k.has(wantID, wantCustom) && (!ok || id != wantID || custom != wantCustom || text != wantText) {
			return false
		}
	}
	for ok {
		note(&names, id, text)
		id, custom, text, ok = next(&have)
	}
	return have.err == nil && want.err == nil && (wanted == names || wanted == [len(nameAttrs)]string{})
}
