package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"kith/domain"
	"kith/job"
	"kith/store"
)

// SweepKind is the kind of background work that removes what has expired.
const SweepKind = "expiry"

// Sweeper removes expired contributions and what deleted profiles left behind. It holds the domain's turn, so that no import
// matches a profile while it goes.
type Sweeper struct{ *Service }

// Run implements job.Handler.
func (s Sweeper) Run(ctx context.Context, t *job.Task) error {
	rec, err := s.live(ctx, t.Incarnation)
	if rec == nil || err != nil {
		return err
	}
	return s.sweep(ctx, rec)
}

// live returns the living domain of an incarnation, or nil.
func (s *Service) live(ctx context.Context, inc store.Incarnation) (*domain.Record, error) {
	all, err := s.Domains.Live(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(rec *domain.Record) bool { return rec.Incarnation == inc }); i >= 0 {
		return all[i], nil
	}
	return nil, nil
}

// GiveUp implements job.Handler: the next sweep goes on.
func (s Sweeper) GiveUp(context.Context, *job.Task, error) error { return nil }

// sweep clears the partitions in which it meets something that is gone. A tombstone stays: its id is dead for good.
func (s *Service) sweep(ctx context.Context, rec *domain.Record) error {
	now := s.Now().UnixMicro()
	c := s.newClearing(rec)
	var some, dead, tied bool // of the profile being read: something expired, contributions below a tombstone, signs of merges
	var contributions int
	settle := func(id ID) error {
		defer func() { some, dead, tied, contributions = false, false, false, 0 }()
		var err error
		switch {
		case dead && (contributions > 0 || tied):
			err = s.bury(ctx, rec, id)
		case tied:
			err = s.sweepMerged(ctx, c, id, now)
		case some:
			_, err = c.add(ctx, id, func(_ string, expires int64) bool { return expires <= now })
		}
		return err
	}
	err := eachProfile(s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}), func(row store.Row) error {
		if IsContribution(row.Key) {
			at, err := expiry(row.Value)
			if err != nil {
				return err
			}
			contributions++
			some = some || at <= now
			tied = tied || row.Key[len(contributionPrefix)] == pathByte
		}
		dead = dead || bytes.Equal(row.Key, tombstoneKey)
		tied = tied || bytes.Equal(row.Key, tiesKey)
		return nil
	}, settle)
	if err == nil {
		err = c.flush(ctx)
	}
	if err != nil {
		return err
	}
	return s.sweepMerges(ctx, rec, now)
}

// sweepMerged removes what has expired of a profile of merges, what merges that did not happen have left, and, a while after it was
// merged, what a profile was made of.
func (s *Service) sweepMerged(ctx context.Context, c *clearing, id ID, now int64) error {
	rec := c.rec
	h := &held{id: id}
	for tries := 0; ; tries++ {
		err := s.hold(ctx, rec.Incarnation, h)
		if err == nil {
			break
		}
		if !errors.Is(err, errBusy) {
			return err
		}
		if tries == 2 {
			return nil // the next sweep
		}
		*h = held{id: id}
	}
	t := &h.ties
	left, err := c.add(ctx, id, func(source string, expires int64) bool {
		return expires <= now || !t.knows(source) || t.Into != nil && t.Into.Merge.at() < now-keepMerges.Microseconds()
	})
	if err != nil || left > 0 || h.version == 0 || t.Into != nil {
		return err
	}
	return s.dropTies(ctx, rec.Incarnation, id, h.version)
}

// sweepMerges removes the records of merges that nobody needs to ask any more.
func (s *Service) sweepMerges(ctx context.Context, rec *domain.Record, now int64) error {
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Jobs, Incarnation: rec.Incarnation}) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(row.Partition.Key, mergesPrefix) {
			continue
		}
		m, err := decodeMerge(row.Row)
		if err != nil {
			return err
		}
		if m.id.at() >= now-keepMerges.Microseconds() {
			continue
		}
		done, err := s.decided(ctx, rec.Incarnation, m.id)
		if errors.Is(err, errBusy) {
			continue
		}
		if err == nil {
			m, err = loadMerge(ctx, s.Store, rec.Incarnation, m.id)
		}
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		for _, id := range append(m.From, m.Main) {
			if err := s.untie(ctx, rec.Incarnation, id, m.id, done); err != nil {
				return err
			}
		}
		_, err = s.Store.Swap(ctx, row.Partition, []store.Swap{{Key: m.id[:], Op: store.Delete, Expect: m.version}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// eachProfile walks a sweep of table profile: row is called for every row, settle when all rows of a profile have been.
func eachProfile(rows iter.Seq2[store.SweepRow, error], row func(store.Row) error, settle func(ID) error) error {
	var id ID
	open := false
	for r, err := range rows {
		if err != nil {
			return err
		}
		if open && r.Partition.Key != string(id[:]) {
			if err := settle(id); err != nil {
				return err
			}
		}
		open = true
		copy(id[:], r.Partition.Key)
		if err := row(r.Row); err != nil {
			return fmt.Errorf("profile %s: %w", id, err)
		}
	}
	if !open {
		return nil
	}
	return settle(id)
}

// EachOf reads profiles whose ids ascend, as eachProfile does: row is called for every row in a range of a profile's, settle when all of
// them have been. Profiles without such rows are left out.
func EachOf(ctx context.Context, st store.Store, inc store.Incarnation, ids []ID, in store.Range, row func(store.Row) error, settle func(ID) error) error {
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: string(id[:]), Range: in}) {
				return
			}
		}
	}
	open := -1
	for hit, err := range st.Probe(ctx, store.Profile, inc, probes) {
		if err != nil {
			return err
		}
		if open >= 0 && hit.Index != open {
			if err := settle(ids[open]); err != nil {
				return err
			}
		}
		open = hit.Index
		if err := row(hit.Row); err != nil {
			return fmt.Errorf("profile %s: %w", ids[open], err)
		}
	}
	if open < 0 {
		return nil
	}
	return settle(ids[open])
}

// EachWithKey calls do for every visible profile that has one of the domain's own keys, with the normalised value.
func EachWithKey(ctx context.Context, st store.Store, inc store.Incarnation, key domain.Key, now int64, do func(ID, string) error) error {
	r := NewReader(ctx, st, inc)
	settle := func(id ID) error {
		defer r.Reset()
		if p := r.Profile(id); p != nil {
			for _, k := range distinct(p.OwnKeys([]domain.Key{key})) {
				if err := do(id, k.Value); err != nil {
					return err
				}
			}
		}
		return nil
	}
	add := func(row store.Row) error { return r.Add(row, now) }
	return eachProfile(st.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}), add, settle)
}

// indexChunk is how many index rows IndexKeyOfAll sorts at a time.
const indexChunk = 100_000

// IndexKeyOfAll writes the index rows of a new key for all profiles of a domain. It may be repeated.
func IndexKeyOfAll(ctx context.Context, st store.Store, inc store.Incarnation, key domain.Key, now int64) error {
	var chunk []store.RunRow
	flush := func() error {
		err := st.WriteRun(ctx, store.Run{Table: store.Index, Rows: store.SortRows(chunk)})
		chunk = chunk[:0]
		return err
	}
	r := NewReader(ctx, st, inc)
	settle := func(id ID) error {
		p := r.Profile(id)
		if p != nil {
			// A row per contribution that has a part of the key: whichever goes first, the others keep the profile found.
			for _, k := range p.OwnKeys([]domain.Key{key}) {
				for _, part := range r.parts {
					chunk = append(chunk, indexRunRow(inc, k, id, part.source, store.Mutation{Time: now}))
				}
			}
		}
		r.Reset()
		if len(chunk) >= indexChunk {
			return flush()
		}
		return nil
	}
	add := func(row store.Row) error { return r.Add(row, now) }
	if err := eachProfile(st.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}), add, settle); err != nil {
		return err
	}
	return flush()
}
