package change

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// Settler settles rows: it sees to it that no write they announce can happen later, and does what a write that was cut off left undone.
// It may be called again with rows that it has settled.
type Settler interface {
	Settle(ctx context.Context, inc store.Incarnation, rows []Row) error
}

// Sealer is the completer: the standing work that moves the seal of a domain, has rows settled, and drops what is old.
type Sealer struct {
	Feed *Feed
	Settler
	// Keep is how long rows stay, and MaxBytes how many of them. 0: 7 days, 10 GB.
	Keep     time.Duration
	MaxBytes int64
}

const (
	defaultKeep     = 7 * 24 * time.Hour
	defaultMaxBytes = 10 << 30
	batchRows       = 1000
	hourMicros      = 60 * minute
)

// Run moves the seal to where it belongs by the clock and settles what lies behind it. more says that there are rows beyond it, so
// that it is to be called again soon. It may be cut off anywhere.
func (c *Sealer) Run(ctx context.Context, inc store.Incarnation, place Place) (more bool, err error) {
	s, err := c.Feed.judged(ctx, inc)
	if err != nil && !(errors.Is(err, ErrClock) && !c.Feed.clocks.leave(inc, s)) {
		return false, err
	}
	now := c.Feed.Now().UnixMicro()
	from := s.Settled
	s.At, s.Clock = c.Feed.Local.reach(inc, s.At, now-Window.Microseconds()), now
	if err := c.publish(ctx, place, s); err != nil {
		return false, err
	}
	next, err := c.Feed.silences(ctx, inc, from, s.At)
	if err != nil {
		return false, err
	}
	for from < s.At {
		from = next(from)
		to := min(s.At, (from/minute+spanMinutes)*minute)
		if err := c.settle(ctx, inc, place, s, from, to); err != nil {
			return false, err
		}
		from = to
	}
	if err := c.drop(ctx, inc, place, s); err != nil {
		return false, err
	}
	for _, err := range c.Feed.Rows(ctx, inc, s.At, c.Feed.beyond(s)) {
		return err == nil, err
	}
	return false, nil
}

func (c *Sealer) publish(ctx context.Context, place Place, s *Seal, also ...store.Swap) error {
	v, err := place.Swap(ctx, append([]store.Swap{{Key: sealKey, Value: s.encode(), Expect: s.version}}, also...)...)
	if err != nil {
		return fmt.Errorf("publish the seal of the feed: %w", err)
	}
	s.version = v
	return nil
}

// settle has the rows with from < At ≤ to settled and publishes that they are.
func (c *Sealer) settle(ctx context.Context, inc store.Incarnation, place Place, s *Seal, from, to int64) error {
	sizes := map[int64]int64{}
	rows := func(yield func(Row, error) bool) {
		for r, err := range c.Feed.Rows(ctx, inc, from, to) {
			sizes[r.At/hourMicros] += int64(r.size())
			if !yield(r, err) {
				return
			}
		}
	}
	if err := inBatches(rows, func(batch []Row) error { return c.Settle(ctx, inc, batch) }); err != nil {
		return fmt.Errorf("settle changes: %w", err)
	}
	s.Settled = to
	if len(sizes) == 0 && to < s.At {
		return nil // published with the next that has rows, or the last
	}
	hours, version, err := c.Feed.hours(ctx, place.Partition)
	if err != nil {
		return err
	}
	for h, n := range sizes {
		i, ok := slices.BinarySearchFunc(hours, h, func(a hour, h int64) int { return int(a.Hour - h) })
		if !ok {
			hours = slices.Insert(hours, i, hour{Hour: h})
		}
		hours[i].Bytes += n
	}
	return c.publishHours(ctx, place, s, hours, version)
}

func (c *Sealer) publishHours(ctx context.Context, place Place, s *Seal, hours []hour, version uint64) error {
	value, err := json.Marshal(hours)
	if err != nil {
		return err
	}
	return c.publish(ctx, place, s, store.Swap{Key: hoursKey, Value: value, Expect: version})
}

// inBatches calls do with rows of a few at a time.
func inBatches(rows iter.Seq2[Row, error], do func([]Row) error) error {
	var batch []Row
	for r, err := range rows {
		if err != nil {
			return err
		}
		if batch = append(batch, r); len(batch) == batchRows {
			if err := do(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return do(batch)
}

// drop removes whole hours that are over the limits: first it says so, for those who would read there, then it does.
func (c *Sealer) drop(ctx context.Context, inc store.Incarnation, place Place, s *Seal) error {
	hours, version, err := c.Feed.hours(ctx, place.Partition)
	if err != nil {
		return err
	}
	keep, most := c.Keep, c.MaxBytes
	if keep == 0 {
		keep = defaultKeep
	}
	if most == 0 {
		most = defaultMaxBytes
	}
	total := int64(0)
	for _, h := range hours {
		total += h.Bytes
	}
	n := 0
	for ; n < len(hours); n++ {
		end := (hours[n].Hour + 1) * hourMicros
		old := end <= c.Feed.Now().Add(-keep).UnixMicro()
		if end > s.Settled || !old && total <= most {
			break
		}
		total -= hours[n].Bytes
	}
	if n == 0 {
		return nil
	}
	floor := (hours[n-1].Hour + 1) * hourMicros
	if s.Floor < floor {
		s.Floor = floor
		if err := c.publish(ctx, place, s); err != nil {
			return err
		}
	}
	keys := func(yield func(string) bool) {
		for _, h := range hours[:n] {
			for m := h.Hour * 60; m < (h.Hour+1)*60; m++ {
				for shard := range byte(shards) {
					if !yield(string(appendPart(nil, m*minute, shard))) {
						return
					}
				}
			}
		}
	}
	if err := c.Feed.Store.DropPartitions(ctx, store.Change, inc, string(appendPart(nil, 0, 0)), string(appendPart(nil, floor, 0)), keys); err != nil {
		return fmt.Errorf("drop old changes: %w", err)
	}
	return c.publishHours(ctx, place, s, hours[n:], version)
}

// ErrBehind says that a consumer's cursor is where rows have been dropped. It has to start with a scan.
var ErrBehind = errors.New("the feed does not reach back that far")
