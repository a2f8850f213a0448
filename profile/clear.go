package profile

import (
	"context"
	"errors"
	"fmt"

	"kith/domain"
	"kith/store"
)

// bury removes what a deleted profile is made of, and what the profiles were made of that had come into it.
func (s *Service) bury(ctx context.Context, rec *domain.Record, id ID) error {
	all := func(string, int64) bool { return true }
	t, version, err := tiesOf(ctx, s.Store, rec.Incarnation, id)
	if err != nil {
		return err
	}
	if t != nil {
		var clearOf func(of []merged) error
		clearOf = func(of []merged) error {
			for _, m := range of {
				for _, b := range m.From {
					if m.Open { // nobody knows whether it has come
						continue
					}
					if err := s.clear(ctx, rec, b.ID, all); err != nil {
						return err
					}
					if err := clearOf(b.Of); err != nil {
						return err
					}
				}
			}
			return nil
		}
		if err := clearOf(t.Of); err != nil {
			return err
		}
	}
	if err := s.clear(ctx, rec, id, all); err != nil || t == nil {
		return err
	}
	return s.dropTies(ctx, rec.Incarnation, id, version)
}

// dropTies removes the row of ties of a profile that is no more, unless it has changed.
func (s *Service) dropTies(ctx context.Context, inc store.Incarnation, id ID, version uint64) error {
	_, err := s.Store.Swap(ctx, Partition(inc, id), []store.Swap{{Key: tiesKey, Op: store.Delete, Expect: version}})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// clear removes the invisible contributions of a profile that gone approves of by their source and expiry.
func (s *Service) clear(ctx context.Context, rec *domain.Record, id ID, gone func(source string, expires int64) bool) error {
	c := s.newClearing(rec)
	if _, err := c.add(ctx, id, gone); err != nil {
		return err
	}
	return c.flush(ctx)
}

// clearing removes contributions of many profiles.
type clearing struct {
	s   *Service
	rec *domain.Record
	// What is to be written, in this order: a crash leaves the contributions, from which the rest is found again.
	heirs, index, profiles []store.RunRow
}

// clearChunk is how many rows a clearing writes together.
const clearChunk = 20_000

func (s *Service) newClearing(rec *domain.Record) *clearing { return &clearing{s: s, rec: rec} }

// add notes what goes of a profile, and returns how many contributions are left.
func (c *clearing) add(ctx context.Context, id ID, gone func(source string, expires int64) bool) (left int, err error) {
	var going, stay []storedPart
	part := Partition(c.rec.Incarnation, id)
	for row, err := range c.s.Store.Scan(ctx, part, store.Prefix(contributionPrefix)) {
		if err != nil {
			return 0, err
		}
		p, err := decodePart(row)
		if err != nil {
			return 0, fmt.Errorf("profile %s: %w", id, err)
		}
		if gone(p.source, p.Expires) {
			going = append(going, p)
		} else {
			stay = append(stay, p)
		}
	}
	heirs(going, stay, c.rec.Keys, func(k IndexKey, heir storedPart) {
		if err == nil {
			err = c.s.markHeir(ctx, c.rec, heir)
		}
		c.heirs = append(c.heirs, indexRunRow(c.rec.Incarnation, k, id, heir.source, store.Mutation{Time: heir.time}))
	})
	if err != nil {
		return 0, err
	}
	for _, p := range going {
		for _, k := range p.IndexKeys(c.rec.Keys) {
			c.index = append(c.index, indexRunRow(c.rec.Incarnation, k, id, p.source, store.Mutation{Delete: true, Time: p.time}))
		}
		if p.version == 0 {
			c.profiles = append(c.profiles, contributionRunRow(c.rec.Incarnation, id, p.source, store.Mutation{Delete: true, Time: p.time}))
			continue
		}
		if err := c.flush(ctx); err != nil { // its index rows first
			return 0, err
		}
		_, err = c.s.Store.Swap(ctx, part, []store.Swap{{Key: ContributionKey(p.source), Op: store.Delete, Expect: p.version}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
	if len(c.heirs)+len(c.index)+len(c.profiles) >= clearChunk {
		return len(stay), c.flush(ctx)
	}
	return len(stay), nil
}

// flush writes what is noted.
func (c *clearing) flush(ctx context.Context) error {
	for _, run := range []store.Run{
		{Table: store.Index, Rows: store.SortRows(c.heirs)},
		{Table: store.Index, Rows: store.SortRows(c.index)},
		{Table: store.Profile, Rows: store.SortRows(c.profiles)},
	} {
		if err := c.s.Store.WriteRun(ctx, run); err != nil {
			return err
		}
	}
	c.heirs, c.index, c.profiles = nil, nil, nil
	return nil
}
