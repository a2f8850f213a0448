package profile

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
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
	live, err := s.Domains.Live(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(live, func(rec *domain.Record) bool { return rec.Incarnation == t.Incarnation })
	if i < 0 {
		return nil
	}
	return s.sweep(ctx, live[i])
}

// GiveUp implements job.Handler: the next sweep goes on.
func (s Sweeper) GiveUp(context.Context, *job.Task, error) (bool, error) { return true, nil }

// sweep clears the partitions in which it meets something that is gone. A tombstone stays: its id is dead for good.
func (s *Service) sweep(ctx context.Context, rec *domain.Record) error {
	now := s.Now().UnixMicro()
	expired := func(expires int64) bool { return expires <= now }
	var id ID
	var some, dead bool // of the open partition: something expired, contributions below a tombstone
	var contributions int
	settle := func() error {
		defer func() { some, dead, contributions = false, false, 0 }()
		switch {
		case dead && contributions > 0:
			return s.clear(ctx, rec, id, func(int64) bool { return true })
		case some:
			return s.clear(ctx, rec, id, expired)
		}
		return nil
	}
	open := ""
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}) {
		if err != nil {
			return err
		}
		if row.Partition.Key != open {
			if err := settle(); err != nil {
				return err
			}
			open = row.Partition.Key
			copy(id[:], open)
		}
		if _, ok := isContribution(row.Row.Key); ok {
			at, err := expiry(row.Row.Value)
			if err != nil {
				return fmt.Errorf("profile %s: %w", id, err)
			}
			contributions++
			some = some || expired(at)
		}
		dead = dead || bytes.Equal(row.Row.Key, tombstoneKey)
	}
	return settle()
}

// indexChunk is how many index rows IndexKeyOfAll sorts at a time.
const indexChunk = 100_000

// IndexKeyOfAll writes the index rows of a new key for all profiles of a domain. It may be repeated.
func IndexKeyOfAll(ctx context.Context, st store.Store, inc store.Incarnation, key domain.Key, now int64) error {
	var chunk []store.RunRow
	flush := func() error {
		slices.SortFunc(chunk, func(a, b store.RunRow) int {
			return cmp.Or(strings.Compare(a.Partition, b.Partition), bytes.Compare(a.Mutation.Key, b.Mutation.Key))
		})
		err := st.WriteRun(ctx, store.Index, func(yield func(store.RunRow, error) bool) {
			for _, row := range chunk {
				if !yield(row, nil) {
					return
				}
			}
		})
		chunk = chunk[:0]
		return err
	}
	var r Reader
	var id ID
	open := ""
	settle := func() error {
		p := r.Profile(id)
		if p != nil {
			// A row per contribution that has a part of the key: whichever goes first, the others keep the profile found.
			if n := OwnKey(p.Values, key); n != "" {
				for _, part := range r.parts {
					chunk = append(chunk, store.RunRow{Incarnation: inc, Partition: IndexPartition(key.Name, n),
						Mutation: store.Mutation{Key: IndexRowKey(nil, id, part.source), Time: now}})
				}
			}
		}
		r.Reset()
		if len(chunk) >= indexChunk {
			return flush()
		}
		return nil
	}
	for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}) {
		if err != nil {
			return err
		}
		if row.Partition.Key != open {
			if err := settle(); err != nil {
				return err
			}
			open = row.Partition.Key
			copy(id[:], open)
		}
		if err := r.Add(row.Row, now); err != nil {
			return fmt.Errorf("profile %s: %w", id, err)
		}
	}
	if err := settle(); err != nil {
		return err
	}
	return flush()
}
