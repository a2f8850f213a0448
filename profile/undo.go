package profile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
// What it finds it gathers, for a run of some hundred thousand rows is written as a table, which costs a fraction of as many rows in small batches: what
// is missing first, then the contributions go, then what is in excess. If it is cut off between, rows of profiles that have been taken back are
// hints, which the sweep of the index removes.
type Undo struct {
	s       *Service
	rec     *domain.Record
	at      int64 // of the undo, as a job's time
	jobTime int64
	keyed   *index.Attrs
	found   *takings
	last    ID                   // the last profile that was looked at
	looked  func(profiles int64) // told when profiles have been looked at, which takes most of the time
	// writing has the result of what is being written while the next profiles are read; nil: nothing is.
	writing chan error
}

// takings are what an undo is about to write.
type takings struct {
	*rewrite        // index rows, and what is seldom
	gone     []byte // the contributions that go, in order: id, number of the row (5 bytes)
	// whole are the contributions that get their own values, in order: id, source (sourceSize), length of the row (4 bytes), row.
	whole []byte
}

const (
	goneSize = len(ID{}) + 5
	// maxGone bounds the contributions that wait to be removed: 10 MB of them. Each run waits for the disk, so fewer are better.
	maxGone = 500_000
	// maxIndexRows bounds the index rows that wait to be written.
	maxIndexRows = 100_000
	// maxWhole bounds the bytes of contributions that wait to get their own values.
	maxWhole = 32 << 20
	// wholeHead is what stands before the row of one.
	wholeHead = len(ID{}) + sourceSize + 4
)

func (t *takings) take(o *takings) {
	t.rewrite.take(o.rewrite)
	t.gone = append(t.gone, o.gone...)
	if t.whole == nil && len(o.whole) > 0 {
		t.whole = make([]byte, 0, maxWhole+8*len(o.whole)) // it does not grow on the way
	}
	t.whole = append(t.whole, o.whole...)
}

// full says that it is time to write.
func (t *takings) full() bool {
	return len(t.gone) >= maxGone*goneSize || len(t.missing)+len(t.excess)+len(t.completed) >= maxIndexRows || len(t.whole) >= maxWhole
}

// NewUndo returns an Undo, begun at a time, of the import that wrote with jobTime. looked is told when profiles have been looked at.
func (s *Service) NewUndo(rec *domain.Record, at, jobTime int64, looked func(profiles int64)) *Undo {
	u := &Undo{s: s, rec: rec, at: at, jobTime: jobTime, looked: looked, keyed: index.NewAttrs(rec.Keys)}
	u.found = u.newTakings()
	return u
}

func (u *Undo) newTakings() *takings { return &takings{rewrite: u.s.newRewrite(u.rec, u.at)} }

// Take removes the import's contributions from profiles, whose ids ascend, and then the index rows that are in excess. It works on all
// cores, and may be repeated. What it writes may be on its way when it returns, or wait for more: End sees to it.
func (u *Undo) Take(ctx context.Context, ids []ID) error {
	for len(ids) > 0 && ids[0] == u.last { // it had two rows in the file, and was the last of those before
		ids = ids[1:]
	}
	if len(ids) == 0 {
		return nil
	}
	u.last = ids[len(ids)-1]
	all := make([]*takings, runtime.NumCPU())
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i := range all {
		all[i] = u.newTakings()
		mine := ids[i*len(ids)/len(all) : (i+1)*len(ids)/len(all)]
		wg.Go(func() { errs[i] = u.look(ctx, all[i], mine) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take an import back: %w", err)
	}
	for _, of := range all {
		u.found.take(of)
	}
	u.looked(int64(len(ids)))
	if !u.found.full() {
		return nil
	}
	if err := u.Wait(); err != nil {
		return fmt.Errorf("take an import back: %w", err)
	}
	found, done := u.found, make(chan error, 1)
	u.found, u.writing = u.newTakings(), done
	go func() { done <- u.write(ctx, found) }()
	return nil
}

// write writes what was found: an index row goes only when all contributions that call for it have gone, and a contribution only when those that repeat
// it have values of their own.
func (u *Undo) write(ctx context.Context, found *takings) error {
	excess := found.excess
	found.excess = nil
	err := found.flush(ctx)
	if err == nil {
		err = u.s.Store.WriteRun(ctx, u.completions(found.whole)...)
	}
	if err == nil {
		err = u.s.Store.WriteRun(ctx, u.deletions(found.gone)...)
	}
	if err == nil {
		found.excess = excess
		err = found.flush(ctx)
	}
	return err
}

// completions returns the runs that give contributions their own values, as many as are built side by side.
func (u *Undo) completions(whole []byte) (runs []store.Run) {
	size := func(b []byte) int { return wholeHead + int(binary.LittleEndian.Uint32(b[wholeHead-4:])) }
	part := len(whole)/runtime.NumCPU() + 1
	for len(whole) > 0 {
		n := 0
		for n < len(whole) && n < part {
			n += size(whole[n:])
		}
		mine := whole[:n]
		whole = whole[n:]
		runs = append(runs, store.Run{Table: store.Profile, Rows: func(yield func(store.RunRow, error) bool) {
			row := store.RunRow{Incarnation: u.rec.Incarnation, Mutation: store.Mutation{Time: u.at}}
			for b := mine; len(b) > 0; b = b[size(b):] {
				row.Partition = b[:len(ID{})]
				row.Mutation.Key = append(append(row.Mutation.Key[:0], contributionPrefix...), b[len(ID{}):len(ID{})+sourceSize]...)
				row.Mutation.Value = b[wholeHead:size(b)]
				if !yield(row, nil) {
					return
				}
			}
		}})
	}
	return runs
}

// deletions returns the runs that remove contributions, as many as are built side by side.
func (u *Undo) deletions(gone []byte) (runs []store.Run) {
	n, parts := len(gone)/goneSize, runtime.NumCPU()
	for i := range parts {
		mine := gone[i*n/parts*goneSize : (i+1)*n/parts*goneSize]
		runs = append(runs, store.Run{Table: store.Profile, Rows: func(yield func(store.RunRow, error) bool) {
			row := store.RunRow{Incarnation: u.rec.Incarnation, Mutation: store.Mutation{Delete: true, Time: u.at}} // not before one was completed
			key := AppendContributionKey(nil, u.jobTime, 0)
			for ; len(mine) > 0; mine = mine[goneSize:] {
				copy(key[len(key)-5:], mine[len(ID{}):goneSize])
				row.Partition, row.Mutation.Key = mine[:len(ID{})], key
				if !yield(row, nil) {
					return
				}
			}
		}})
	}
	return runs
}

// Wait waits for what Take has begun to write.
func (u *Undo) Wait() (err error) {
	if u.writing != nil {
		err = <-u.writing
		u.writing = nil
	}
	return err
}

// End writes what is left to be written, when Take has been called for all profiles and never failed.
func (u *Undo) End(ctx context.Context) error {
	err := u.Wait()
	if err == nil {
		err = u.write(ctx, u.found)
	}
	if err != nil {
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
			w.gone = append(append(w.gone, id[:]...), rows[i].Key[len(rows[i].Key)-5:]...)
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
		w.whole = append(append(w.whole, id[:]...), second.Key[len(contributionPrefix):]...)
		w.whole = append(binary.LittleEndian.AppendUint32(w.whole, uint32(len(whole))), whole...)
		return nil, true
	case repeated:
		return nil, true
	case u.isGone(first):
		return u.keyed.Lost(first.Value, second.Value)
	}
	return u.keyed.Lost(second.Value, first.Value)
}
