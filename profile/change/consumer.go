package change

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"kith/profile/fold"
	"kith/store"
)

var cursorKey = []byte("cursor")

// Consumer is standing work that reads all changes once they are settled. Follower is what reacts to them.
type Consumer struct {
	Feed *Feed
	// Final gets every row behind the settled time at least once, those of a profile in their order: what they announce is visible, or
	// will never be.
	Final func(ctx context.Context, inc store.Incarnation, rows []Row) error
}

// Start puts the cursor of a consumer where the feed is settled now. Call it before the scan with which the consumer starts: what changes
// after that is behind the cursor.
func (c *Consumer) Start(ctx context.Context, inc store.Incarnation, place Place) error {
	settled, err := c.Feed.Settled(ctx, inc)
	if err != nil {
		return err
	}
	_, version, err := c.cursor(ctx, place)
	if err != nil {
		return err
	}
	_, err = place.Swap(ctx, store.Swap{Key: cursorKey, Value: timeKey(settled), Expect: version})
	return err
}

// Cursor returns up to where a consumer has read, and whether it was ever started.
func (c *Consumer) Cursor(ctx context.Context, place Place) (at int64, started bool, err error) {
	at, version, err := c.cursor(ctx, place)
	return at, version != 0, err
}

// cursor returns the consumer's cursor; version 0: it was never started.
func (c *Consumer) cursor(ctx context.Context, place Place) (at int64, version uint64, err error) {
	row, err := c.Feed.Store.Get(ctx, place.Partition, cursorKey)
	if errors.Is(err, store.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the cursor of a consumer: %w", err)
	}
	if len(row.Value) != 8 {
		return 0, 0, fmt.Errorf("%w: not a cursor", fold.ErrCorrupt)
	}
	return int64(binary.BigEndian.Uint64(row.Value)), row.Version, nil
}

// Run takes the consumer as far as the feed goes. It may be cut off anywhere. ErrBehind: the consumer was never started, or rows behind
// its cursor have been dropped; it has to start with a scan.
func (c *Consumer) Run(ctx context.Context, inc store.Incarnation, place Place) error {
	at, version, err := c.cursor(ctx, place)
	if err != nil {
		return err
	}
	if version == 0 {
		return ErrBehind
	}
	s, err := c.Feed.Seal(ctx, inc)
	if err != nil {
		return err
	}
	next := func(after int64) int64 { return after }
	if at >= s.Floor-1 {
		if next, err = c.Feed.silences(ctx, inc, at, s.Settled); err != nil {
			return err
		}
		at = next(at)
	}
	for at < s.Settled && at >= s.Floor-1 {
		to := min(s.Settled, (at/minute+spanMinutes)*minute)
		if err := inBatches(c.Feed.Rows(ctx, inc, at, to), func(rows []Row) error { return c.Final(ctx, inc, rows) }); err != nil {
			return err
		}
		now, err := c.Feed.Seal(ctx, inc)
		if err != nil {
			return err
		}
		if s.Floor = now.Floor; at < s.Floor-1 {
			break // they may have been dropped while they were read
		}
		if version, err = place.Swap(ctx, store.Swap{Key: cursorKey, Value: timeKey(to), Expect: version}); err != nil {
			return fmt.Errorf("write the cursor of a consumer: %w", err)
		}
		at = next(to)
	}
	if at < s.Floor-1 {
		return ErrBehind
	}
	return nil
}
