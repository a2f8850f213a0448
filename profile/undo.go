package profile

import (
	"bytes"
	"context"
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
type Undo struct {
	s       *Service
	rec     *domain.Record
	at      int64 // of the undo, as a job's time
	jobTime int64
	keyed   *index.Attrs
	// excess are index rows that go later, of profiles whose contributions have gone or are about to: many at a time cost less than a few of
	// each chunk, all over the index. If the undo is cut off they are hints, which the sweep of the index removes.
	excess []store.RunRow
	gone   func(profiles int64) // told when profiles have been taken back
	// writing has the result of what is being written while the next profiles are read; nil: nothing is.
	writing chan error
}

// maxExcess bounds the index rows that wait to be removed.
const maxExcess = 100_000

// NewUndo returns an Undo, begun at a time, of the import that wrote with jobTime. gone is told when profiles have been taken back.
func (s *Service) NewUndo(rec *domain.Record, at, jobTime int64, gone func(profiles int64)) *Undo {
	return &Undo{s: s, rec: rec, at: at, jobTime: jobTime, gone: gone, keyed: index.NewAttrs(rec.Keys)}
}

// Take removes the import's contributions from profiles, whose ids ascend, and then the index rows that are in excess. It works on all
// cores, and may be repeated. What it writes may be on its way when it returns: End waits for it.
func (u *Undo) Take(ctx context.Context, ids []ID) error {
	all := make([]*rewrite, runtime.NumCPU())
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i := range all {
		all[i] = u.s.newRewrite(u.rec, u.at)
		mine := ids[i*len(ids)/len(all) : (i+1)*len(ids)/len(all)]
		wg.Go(func() { errs[i] = u.look(ctx, all[i], mine) })
	}
	wg.Wait()
	// An index row goes only when all contributions that call for it have gone: what was begun before has to be done by now.
	if err := errors.Join(append(errs, u.Wait())...); err != nil {
		return fmt.Errorf("take an import back: %w", err)
	}
	w := all[0]
	for _, other := range all[1:] {
		w.take(other)
	}
	u.excess = append(u.excess, w.excess...)
	if w.excess = nil; len(u.excess) >= maxExcess {
		w.excess, u.excess = u.excess, nil
	}
	done, n := make(chan error, 1), int64(len(ids))
	u.writing = done
	go func() {
		err := w.flush(ctx)
		if err == nil {
			u.gone(n)
		}
		done <- err
	}()
	return nil
}

// Wait waits for what Take has begun to write.
func (u *Undo) Wait() (err error) {
	if u.writing != nil {
		err = <-u.writing
		u.writing = nil
	}
	return err
}

// End removes what is left to be removed, when Take has been called for all profiles and never failed.
func (u *Undo) End(ctx context.Context) error {
	err := u.Wait()
	if err == nil {
		w := u.s.newRewrite(u.rec, u.at)
		w.excess, u.excess = u.excess, nil
		err = w.flush(ctx)
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
func (u *Undo) look(ctx context.Context, w *rewrite, ids []ID) error {
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
		return u.profile(w, id, rows[:n])
	}
	return EachOf(ctx, u.s.Store, u.rec.Incarnation, ids, store.Range{}, add, settle)
}

func (u *Undo) isGone(row *store.Row) bool {
	if !IsContribution(row.Key) {
		return false
	}
	at, ok := ImportTime(sourceOf(row.Key))
	return ok && at == u.jobTime
}

// profile notes what changes of one profile.
func (u *Undo) profile(w *rewrite, id ID, rows []store.Row) error {
	var gone []store.RunRow
	for i := range rows {
		if u.isGone(&rows[i]) {
			gone = append(gone, store.RunRow{Incarnation: u.rec.Incarnation, Partition: bytes.Clone(id[:]),
				Mutation: store.Mutation{Key: bytes.Clone(rows[i].Key), Delete: true, Time: rows[i].Time}})
		}
	}
	if gone == nil {
		return nil
	}
	if u.covered(rows) {
		w.contributions = append(w.contributions, gone...)
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
	after.Parts = slices.DeleteFunc(slices.Clone(before.Parts), func(part fold.Part) bool {
		at, ok := ImportTime(part.Source)
		return ok && at == u.jobTime
	})
	w.note(before, after, gone)
	return nil
}

// covered says that a profile has two contributions and nothing else, and that the one that stays yields all keys of the one that goes:
// so no index row changes. Most profiles of a file that was imported twice are like that.
func (u *Undo) covered(rows []store.Row) bool {
	if len(rows) != 2 || !IsContribution(rows[0].Key) || !IsContribution(rows[1].Key) {
		return false
	}
	goes, stays := rows[0].Value, rows[1].Value
	if !u.isGone(&rows[0]) {
		goes, stays = stays, goes
	} else if u.isGone(&rows[1]) {
		return false
	}
	c, err := fold.Open(goes)
	return err == nil && c.Private == 0 && !c.Compacted() && u.keyed.Covers(stays, goes[len(goes)-len(c.Rest()):])
}
