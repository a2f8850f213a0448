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

// Undo takes the contributions of one import out of profiles that others may have written to, too. It is used under the domain's turn.
type Undo struct {
	s       *Service
	rec     *domain.Record
	at      int64 // of the undo, as a job's time
	jobTime int64
	keyed   *index.Attrs
}

// NewUndo returns an Undo, begun at a time, of the import that wrote with jobTime.
func (s *Service) NewUndo(rec *domain.Record, at, jobTime int64) *Undo {
	return &Undo{s: s, rec: rec, at: at, jobTime: jobTime, keyed: index.NewAttrs(rec.Keys)}
}

// Take removes the import's contributions from profiles, whose ids ascend, and then the index rows that are in excess. It works on all
// cores, and may be repeated.
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
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take an import back: %w", err)
	}
	for _, w := range all[1:] {
		all[0].take(w)
	}
	return all[0].flush(ctx)
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
