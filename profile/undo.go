package profile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"kith/domain"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Undo takes the contributions of one import out of profiles that others may have written to, too: it reads them, and removes the index rows that what
// is left does not call for. It is used under the domain's turn, by package upload.
//
// What it finds it gathers: what is missing is put first, then the contributions go, then what is in excess. Where the engine builds tables aside,
// the contributions wait in these and go together, for what lands begins compactions, and each landing waits for the disk. If it is cut off between, rows of
// profiles that have been taken back are hints, which the sweep of the index removes.
type Undo struct {
	s       *Service
	rec     *domain.Record
	at      int64 // of the undo, as a job's time
	jobTime int64
	keyed   *index.Attrs
	found   *takings
	last    ID                   // the last profile that was looked at
	looked  func(profiles int64) // told when profiles have been looked at, which takes most of the time
	// looking has the result of the look at the last profiles while the next ones are gathered, and writing that of what is being written meanwhile; nil: there is none.
	looking, writing chan error
	all              []*takings // of the look, by its parts
	engine           store.Stager
	spare            chan []byte // buffers for rows
	maxRows          int
	tables           []store.Staged // that wait to land
	excess           []store.RunRow // that go behind them
}

// takings are what an undo is about to write.
type takings struct {
	*rewrite // index rows, and what is seldom
	// rows are the contributions that go, or get their own values, in order: id, source (sourceSize), length of the value (4 bytes), value. What goes has the length goes.
	rows [][]byte
	size int // of them
}

const (
	// maxRows bounds the bytes of contributions that wait to be written.
	maxRows = 32 << 20
	// maxIndexRows bounds the index rows that are written together, and maxExcess those that wait for contributions to go: some 40 MB.
	maxIndexRows = 100_000
	maxExcess    = 200_000
	// rowHead is what stands before the value of a contribution, and rowLength where its last part is, the length.
	rowHead   = rowLength + 4
	rowLength = len(ID{}) + sourceSize
	goes      = math.MaxUint32
)

// add notes that a contribution gets a value, or goes.
func (t *takings) add(id ID, source, value []byte, length uint32) {
	b := append(append(t.rows[0], id[:]...), source...)
	t.rows[0] = append(binary.LittleEndian.AppendUint32(b, length), value...)
}

func (t *takings) take(o *takings) {
	t.rewrite.take(o.rewrite)
	for _, rows := range o.rows {
		if len(rows) > 0 {
			t.rows = append(t.rows, rows)
			t.size += len(rows)
		}
	}
}

// NewUndo returns an Undo, begun at a time, of the import that wrote with jobTime. looked is told when profiles have been looked at. End or
// Abandon ends it.
func (s *Service) NewUndo(rec *domain.Record, at, jobTime int64, looked func(profiles int64)) *Undo {
	u := &Undo{s: s, rec: rec, at: at, jobTime: jobTime, looked: looked, keyed: index.NewAttrs(rec.Keys), engine: store.StagerOf(s.Store), spare: make(chan []byte, 64), maxRows: maxRows}
	u.found = u.newTakings()
	return u
}

func (u *Undo) newTakings() *takings { return &takings{rewrite: u.s.newRewrite(u.rec, u.at)} }

// Take removes the import's contributions from profiles, whose ids ascend, and then the index rows that are in excess. It works on all
// cores, and may be repeated. What it looks at and writes is on its way when it returns: End sees to it.
func (u *Undo) Take(ctx context.Context, ids []ID) error {
	if err := u.took(ctx); err != nil {
		return fmt.Errorf("take an import back: %w", err)
	}
	for len(ids) > 0 && ids[0] == u.last { // it had two rows in the file, and was the last of those before
		ids = ids[1:]
	}
	if len(ids) == 0 {
		return nil
	}
	u.last = ids[len(ids)-1]
	ids = slices.Clone(ids)
	u.all = make([]*takings, runtime.NumCPU())
	done := make(chan error, 1)
	u.looking = done
	go func() {
		errs := make([]error, len(u.all))
		var wg sync.WaitGroup
		for i := range u.all {
			w := u.newTakings()
			w.rows = make([][]byte, 1)
			select {
			case w.rows[0] = <-u.spare:
			default:
			}
			u.all[i] = w
			mine := ids[i*len(ids)/len(errs) : (i+1)*len(ids)/len(errs)]
			wg.Go(func() { errs[i] = u.look(ctx, w, mine) })
		}
		wg.Wait()
		u.looked(int64(len(ids)))
		done <- errors.Join(errs...)
	}()
	return nil
}

// took waits for the look under way, and writes what there is when it is much.
func (u *Undo) took(ctx context.Context) error {
	if err := wait(&u.looking); err != nil {
		return err
	}
	for _, of := range u.all {
		u.found.take(of)
	}
	u.all = nil
	if f := u.found; f.size < u.maxRows && len(f.missing)+len(f.excess)+len(f.completed) < maxIndexRows {
		return nil
	}
	if err := wait(&u.writing); err != nil {
		return err
	}
	found, done := u.found, make(chan error, 1)
	u.found, u.writing = u.newTakings(), done
	go func() { done <- u.write(ctx, found, false) }()
	return nil
}

// wait waits for what is under way, if anything is.
func wait(what *chan error) (err error) {
	if *what != nil {
		err = <-*what
		*what = nil
	}
	return err
}

// write writes what was found: an index row goes only when all contributions that call for it have gone. last says that nothing comes behind it.
func (u *Undo) write(ctx context.Context, found *takings, last bool) error {
	u.excess = append(u.excess, found.excess...)
	found.excess = nil
	err := found.flush(ctx)
	switch {
	case err != nil:
		return err
	case u.engine == nil || last && u.tables == nil:
		err = u.s.Store.WriteRun(ctx, u.runs(found)...)
	default:
		err = u.stage(ctx, found)
	}
	for _, rows := range found.rows {
		select {
		case u.spare <- rows[:0]:
		default:
		}
	}
	if err != nil || u.tables != nil && !last && len(u.excess) < maxExcess {
		return err
	}
	if tables := u.tables; tables != nil {
		u.tables = nil
		if err := u.engine.Land(ctx, tables...); err != nil {
			return err
		}
	}
	found.excess, u.excess = u.excess, nil
	return found.flush(ctx)
}

// runs returns the contributions that were found as runs, as many as are built side by side.
func (u *Undo) runs(found *takings) (runs []store.Run) {
	for n, parts := 0, runtime.NumCPU(); n < parts; n++ {
		mine := found.rows[n*len(found.rows)/parts : (n+1)*len(found.rows)/parts]
		if len(mine) > 0 {
			runs = append(runs, store.Run{Table: store.Profile, Rows: func(yield func(store.RunRow, error) bool) { u.each(mine, yield) }})
		}
	}
	return runs
}

func (u *Undo) each(all [][]byte, yield func(store.RunRow, error) bool) {
	row := store.RunRow{Incarnation: u.rec.Incarnation, Mutation: store.Mutation{Time: u.at}} // a deletion, too: not before one was completed
	key := []byte(contributionPrefix)
	for _, rows := range all {
		for len(rows) > 0 {
			size := rowHead
			row.Mutation.Value, row.Mutation.Delete = nil, true
			if n := binary.LittleEndian.Uint32(rows[rowLength:]); n != goes {
				size += int(n)
				row.Mutation.Value, row.Mutation.Delete = rows[rowHead:size], false
			}
			key = append(key[:len(contributionPrefix)], rows[len(ID{}):rowLength]...)
			row.Partition, row.Mutation.Key = rows[:len(ID{})], key
			if !yield(row, nil) {
				return
			}
			rows = rows[size:]
		}
	}
}

// stage writes the contributions that were found as tables.
func (u *Undo) stage(ctx context.Context, found *takings) error {
	runs := u.runs(found)
	tables, errs := make([]store.Staged, len(runs)), make([]error, len(runs))
	var wg sync.WaitGroup
	for i, r := range runs {
		t, err := u.engine.Stage(store.StageOptions{Table: r.Table, Incarnation: u.rec.Incarnation, Time: u.at})
		if err != nil {
			errs[i] = err
			break
		}
		tables[i] = t
		u.tables = append(u.tables, t)
		wg.Go(func() { errs[i] = fillTable(ctx, t, r) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fillTable writes a run into a table, and closes it.
func fillTable(ctx context.Context, t store.Staged, r store.Run) error {
	for row, err := range r.Rows {
		switch m := &row.Mutation; {
		case err != nil:
		case m.Delete:
			err = t.Delete(row.Partition, m.Key)
		default:
			err = t.Add(row.Partition, m.Key, m.Value, nil)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), t.Close())
}

// Abandon ends an Undo that has failed: what waits to be written is forgotten.
func (u *Undo) Abandon() {
	_ = wait(&u.looking)
	_ = wait(&u.writing)
	for _, t := range u.tables {
		t.Discard()
	}
	u.tables = nil
}

// End writes what is left to be written, when Take has been called for all profiles and never failed.
func (u *Undo) End(ctx context.Context) error {
	err := u.took(ctx)
	if err == nil {
		err = wait(&u.writing)
	}
	if err == nil {
		err = u.write(ctx, u.found, true)
	}
	if err != nil {
		u.Abandon()
		return fmt.Errorf("take an import back: %w", err)
	}
	return nil
}

// MendNames puts the index rows of full names that profiles show whose contributions have gone unread; ids ascend. What the import had
// completed or masked of a name that an API write brought, no writer has seen.
func (u *Undo) MendNames(ctx context.Context, ids []ID) error {
	var named []ID
	err := EachHead(ctx, u.s.Store, u.rec.Incarnation, ids, func(id ID, h *fold.Head) error {
		if index.FillsNames(h.Values) {
			named = append(named, id)
		}
		return nil
	})
	for chunk := range slices.Chunk(named, namesChunk) {
		if err == nil {
			err = u.s.mendNames(ctx, u.rec, chunk)
		}
	}
	return err
}

// AnyWritten says whether API writes have ever changed a profile of the domain: if not, no names have to be mended.
func (u *Undo) AnyWritten(ctx context.Context) (bool, error) {
	for _, err := range u.s.Store.Sweep(ctx, store.SweepRange{Table: store.History, Incarnation: u.rec.Incarnation}) {
		return err == nil, err
	}
	return false, nil
}

// look notes what changes of some profiles.
func (u *Undo) look(ctx context.Context, w *takings, ids []ID) error {
	repeats := fold.Repeats{Reuse: true}
	var rows []store.Row
	n := 0
	add := func(_ ID, row store.Row) error {
		if n == len(rows) {
			rows = append(rows, store.Row{})
		}
		r := &rows[n]
		r.Key, r.Value = append(r.Key[:0], row.Key...), append(r.Value[:0], row.Value...)
		r.Version, r.Time = row.Version, row.Time
		n++
		return nil
	}
	settle := func(id ID) error {
		defer func() { n = 0 }()
		return u.profile(w, id, rows[:n], &repeats)
	}
	return EachOf(ctx, u.s.Store, u.rec.Incarnation, ids, store.Range{}, add, settle)
}

func (u *Undo) isGone(row *store.Row) bool {
	return IsContribution(row.Key) && u.isOf(sourceOf(row.Key))
}

// isOf says whether a contribution is one of the import's, by its source.
func (u *Undo) isOf(source string) bool {
	at, ok := ImportTime(source)
	return ok && at == u.jobTime
}

// profile notes what changes of one profile.
func (u *Undo) profile(w *takings, id ID, rows []store.Row, repeats *fold.Repeats) error {
	any := false
	for i := range rows {
		if u.isGone(&rows[i]) {
			any = true
			w.add(id, rows[i].Key[len(contributionPrefix):], nil, goes)
		}
	}
	if !any {
		return nil
	}
	if lost, ok := u.lost(w, id, rows, repeats); ok {
		for _, k := range lost {
			w.excess = append(w.excess, index.Row(u.rec.Incarnation, k, id, index.ByImport, u.at, true))
		}
		return nil
	}
	r := NewReader(0) // what has expired has index rows, too
	r.Reset(id)
	for _, row := range rows {
		if err := r.Add(row); err != nil {
			return err
		}
	}
	before, after := r.Member().Alone(), r.Member().Alone()
	after.Parts = slices.DeleteFunc(slices.Clone(before.Parts), func(part fold.Part) bool { return u.isOf(part.Source) })
	w.complete(id, after.Parts, u.isOf)
	w.note(before, after, nil)
	return nil
}

// lost returns the keys of a profile that go, if it has two contributions and nothing else, and that can be told from these as they are
// encoded: most profiles of a file that was imported twice are like that. It notes that the one that stays gets its own values if it repeats the other.
func (u *Undo) lost(w *takings, id ID, rows []store.Row, repeats *fold.Repeats) (keys []index.Key, ok bool) {
	if len(rows) != 2 || !IsContribution(rows[0].Key) || !IsContribution(rows[1].Key) {
		return nil, false
	}
	first, second := &rows[0], &rows[1]
	if u.isGone(first) == u.isGone(second) {
		return nil, false
	}
	repeats.Reset()
	whole, err := repeats.Complete(first.Key[len(contributionPrefix):], first.Value)
	if err == nil {
		whole, err = repeats.Complete(second.Key[len(contributionPrefix):], second.Value)
	}
	_, repeated := fold.RepeatOf(second.Value)
	switch {
	case err != nil:
		return nil, false // who decodes them finds out
	case repeated && u.isGone(first):
		w.add(id, second.Key[len(contributionPrefix):], whole, uint32(len(whole)))
		return nil, true
	case repeated:
		return nil, true
	case u.isGone(first):
		return u.keyed.Lost(first.Value, second.Value)
	}
	return u.keyed.Lost(second.Value, first.Value)
}
