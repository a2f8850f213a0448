package pebble

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kith/store"
)

// What is deleted is gone for every reader at once, but its bytes stay in files: in the log, which the engine uses again without
// wiping it; in tables, below the deletion, until compactions bring the two together, and the deletion itself names the key; and in the list
// of tables (the manifest), which tells the first and the last key of each table. Compactions come by themselves where much is written. Where
// little is, Purge makes them.

// purgePlace and purgeKey are the row that tells by its time when the store was purged last. It is written often during a Purge, so that there is
// something to flush.
var (
	purgePlace = store.Partition{Table: store.Catalog, Key: "purge"}
	purgeKey   = []byte("last")
)

// Purged is what a Purge has done.
type Purged struct {
	// Before and After are the sizes of the database in bytes.
	Before, After int64
	// Deletions is how many deletions are in tables still: those that came meanwhile, or that something being read holds.
	Deletions int64
}

// Purge writes anew whatever holds deleted data: when it returns, no file of the database's folder holds what was deleted before it began,
// unless Deletions tells otherwise. Readers and writers go on meanwhile. It takes as long as reading and writing the whole database once.
func (s *Store) Purge(ctx context.Context) (p Purged, err error) {
	if s.readOnly {
		return p, errors.New("a database that was opened for reading can't be purged")
	}
	s.purging.Lock()
	defer s.purging.Unlock()
	p.Before = s.size()
	s.guard.fresh.Store(true)
	defer s.guard.fresh.Store(false)
	// The engine keeps some old logs for later; each new one takes the place of one of them, and with fresh set that one is removed.
	for range keptLogs + 1 {
		if err := s.flush(ctx); err != nil {
			return p, err
		}
	}
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return p, fmt.Errorf("compact the database: %w", convert(err))
	}
	s.readers.drop()
	// Tables of the lowest level that hold nothing but deletions, or little else, are rewritten by the engine itself.
	if p.Deletions, err = s.waitForDeletions(ctx); err != nil {
		return p, err
	}
	if err := s.renewManifest(ctx); err != nil {
		return p, err
	}
	if err := s.waitForFiles(ctx); err != nil {
		return p, err
	}
	p.After = s.size()
	return p, s.notePurge(ctx, time.Now(), false)
}

func (s *Store) size() int64 {
	m := s.db.Metrics()
	return int64(m.DiskSpaceUsage())
}

// flush begins a new log, and puts what the old one held into a table.
func (s *Store) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.notePurge(ctx, time.Now(), true); err != nil {
		return err
	}
	return convert(s.db.Flush())
}

// patience bounds how long a Purge waits for what the engine does in the background.
const patience = 30 * time.Second

// waitForDeletions waits until no deletion is in any table, or their number has not fallen for a while.
func (s *Store) waitForDeletions(ctx context.Context) (n int64, err error) {
	err = s.await(ctx, func() bool {
		n = int64(s.db.Metrics().Keys.TombstoneCount)
		return n == 0
	})
	return n, err
}

// waitForFiles waits until the files that nothing needs any more are removed.
func (s *Store) waitForFiles(ctx context.Context) error {
	return s.await(ctx, func() bool {
		s.readers.drop()
		m := s.db.Metrics()
		return m.Table.ObsoleteCount == 0 && m.Table.ZombieCount == 0
	})
}

// await waits for a condition, but not for ever: writers may keep it from coming true.
func (s *Store) await(ctx context.Context, ok func() bool) error {
	for end := time.Now().Add(patience); !ok() && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// renewManifest makes the engine begin the list of tables anew, twice, because it keeps the one before. It does so when the changes since
// the last beginning name more tables than there are.
func (s *Store) renewManifest(ctx context.Context) error {
	first, err := s.manifest()
	if err != nil {
		return err
	}
	renewed, last := 0, first
	for renewed < 2 {
		if err := s.flush(ctx); err != nil {
			return err
		}
		now, err := s.manifest()
		if err != nil {
			return err
		}
		if now != last {
			renewed, last = renewed+1, now
		}
	}
	return s.await(ctx, func() bool { // the old ones are removed in the background
		names, err := s.fs.List(s.dir)
		for _, name := range names {
			if strings.HasPrefix(name, manifestPrefix) && (len(name) < len(first) || len(name) == len(first) && name <= first) {
				return false
			}
		}
		return err == nil
	})
}

const manifestPrefix = "MANIFEST-"

// manifest returns the name of the newest list of tables.
func (s *Store) manifest() (newest string, err error) {
	names, err := s.fs.List(s.dir)
	for _, name := range names {
		if strings.HasPrefix(name, manifestPrefix) && (len(name) > len(newest) || len(name) == len(newest) && name > newest) {
			newest = name
		}
	}
	return newest, err
}

// notePurge notes when the store was purged.
func (s *Store) notePurge(ctx context.Context, at time.Time, lazy bool) error {
	_, err := s.Commit(ctx, store.Group{Lazy: lazy, Before: []store.PartitionWrite{
		{Partition: purgePlace, Mutations: []store.Mutation{{Key: purgeKey, Time: at.UnixMicro()}}},
	}})
	return err
}

// PurgeDue says whether the store was not purged for so long. The first time it is asked it only notes the time.
func (s *Store) PurgeDue(ctx context.Context, every time.Duration, now time.Time) (bool, error) {
	row, err := s.Get(ctx, purgePlace, purgeKey)
	if errors.Is(err, store.ErrNotFound) {
		return false, s.notePurge(ctx, now, false)
	}
	if err != nil {
		return false, err
	}
	return now.Sub(time.UnixMicro(row.Time)) >= every, nil
}
