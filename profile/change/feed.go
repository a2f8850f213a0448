package change

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"kith/store"
)

// Feed is the feed of every domain of a store.
type Feed struct {
	Store store.Store
	Now   func() time.Time
	// Alone says that no other node writes to the store: there is no clock to compare with.
	Alone bool
	// Local is set when no other process writes to the store and it commits a Group as a whole: writes need no announcement then.
	Local *Local
	// OnChange is told when a row has been put, so that the completer comes; nil: nobody is.
	OnChange func(store.Incarnation)

	clocks clocks
}

// ErrSealed says that a row came behind the seal. Its write must start over.
var ErrSealed = errors.New("announced too late")

// Announce puts a row into the feed, in place of an earlier one of the same call that stands for nothing any more, or nil. It sets the
// row's At: the clock, or what is later than after, the seal that an ErrSealed before has told. Errors: ErrSealed, with the seal's time
// in sealed; ErrClock.
//
// The row is durable before anything that this process writes later.
func (f *Feed) Announce(ctx context.Context, inc store.Incarnation, r, earlier *Row, after int64) (sealed int64, err error) {
	r.At = max(f.Now().UnixMicro(), after+1)
	if err := f.put(ctx, inc, r, true); err != nil {
		return 0, err
	}
	s, err := f.judged(ctx, inc)
	if err != nil {
		return 0, err
	}
	if r.At <= s.At {
		return s.At, ErrSealed
	}
	if f.OnChange != nil {
		f.OnChange(inc)
	}
	if earlier != nil {
		return 0, f.Withdraw(ctx, inc, earlier)
	}
	return 0, nil
}

// AnnounceBeyond is Announce for who need not start over when the seal was faster: the row is put again, beyond it.
func (f *Feed) AnnounceBeyond(ctx context.Context, inc store.Incarnation, r *Row) error {
	for after := int64(0); ; {
		sealed, err := f.Announce(ctx, inc, r, nil, after)
		if !errors.Is(err, ErrSealed) {
			return err
		}
		after = sealed
	}
}

// put puts a row. lazy: it is durable before anything that this process writes later; else on return, and all that it has written before.
func (f *Feed) put(ctx context.Context, inc store.Incarnation, r *Row, lazy bool) error {
	_, err := f.Store.Commit(ctx, store.Group{Lazy: lazy, Before: []store.PartitionWrite{r.write(inc)}})
	if err != nil {
		return fmt.Errorf("announce a change: %w", err)
	}
	return nil
}

// Sync has everything that this process has written by now durable: it puts a row again, which it has announced.
func (f *Feed) Sync(ctx context.Context, inc store.Incarnation, r *Row) error {
	return f.put(ctx, inc, r, false)
}

// Withdraw removes a row of a write that will not happen and has put nothing.
func (f *Feed) Withdraw(ctx context.Context, inc store.Incarnation, r *Row) error {
	_, err := f.Store.Commit(ctx, store.Group{Lazy: true, Before: []store.PartitionWrite{{Partition: r.partition(inc),
		Mutations: []store.Mutation{{Key: r.key(), Delete: true, Time: r.At}}}}})
	if err != nil {
		return fmt.Errorf("withdraw a change: %w", err)
	}
	return nil
}

// Later is when a row is settled a second time, of whose write it is not known that it happened: its process may stand still and then,
// before it notices that it has been fenced, write and die.
const Later = time.Hour

// Again has a row settled a second time.
func (f *Feed) Again(ctx context.Context, inc store.Incarnation, r Row) error {
	r.At, r.Again = f.Now().Add(Later).UnixMicro(), true
	return f.put(ctx, inc, &r, true)
}

// spanMinutes is how many minutes are read by one Probe.
const spanMinutes = 64

// Rows streams the rows with from < At ≤ to: minute by minute, and within a minute shard by shard, those of a shard in the order of
// time. So the rows of a profile come in order.
func (f *Feed) Rows(ctx context.Context, inc store.Incarnation, from, to int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		next, err := f.silences(ctx, inc, from, to)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for start := next(from) + 1; start <= to; {
			end := min(to, (start/minute+spanMinutes)*minute-1)
			for hit, err := range f.Store.Probe(ctx, store.Change, inc, probes(start, end)) {
				var r Row
				if err == nil {
					r, err = decodeRow(hit.Row.Key, hit.Row.Value)
				}
				if err != nil {
					err = fmt.Errorf("read the feed: %w", err)
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
			start = next(end) + 1
		}
	}
}

// longSilence is from when on it costs less to look at all rows of a feed than at every minute.
const longSilence = 24 * 60 * minute

// silences tells where the feed has no rows between two times that are far apart, as after a long downtime: next returns a time from which on to
// look for rows behind another, itself or a later one. A silent hour counts as read when this was called; where writers put rows now, none
// does. Engines sweep in their own order, so all rows are looked at.
func (f *Feed) silences(ctx context.Context, inc store.Incarnation, from, to int64) (next func(after int64) int64, err error) {
	if to-from <= longSilence {
		return func(after int64) int64 { return after }, nil
	}
	known := map[int64]bool{}
	for row, err := range f.Store.Sweep(ctx, store.SweepRange{Table: store.Change, Incarnation: inc}) {
		if err != nil {
			return nil, fmt.Errorf("look for the hours of the feed: %w", err)
		}
		if len(row.Partition.Key) == partLen && len(row.Row.Key) == rowKeyLen {
			if at := int64(binary.BigEndian.Uint64(row.Row.Key)); at > from {
				known[at/hourMicros] = true
			}
		}
	}
	to = min(to, f.Now().UnixMicro()-2*hourMicros)
	hours := slices.Sorted(maps.Keys(known))
	return func(after int64) int64 {
		if i, _ := slices.BinarySearch(hours, (after+1)/hourMicros); i < len(hours) {
			return max(after, min(to, hours[i]*hourMicros-1))
		}
		return max(after, to)
	}, nil
}

// probes asks for the rows of every shard of the minutes from a time to another, both included.
func probes(start, end int64) iter.Seq[store.Probe] {
	return func(yield func(store.Probe) bool) {
		for at := start; at <= end; at = (at/minute + 1) * minute {
			last := min(end, (at/minute+1)*minute-1)
			in := store.Range{Start: timeKey(at), End: timeKey(last + 1)}
			for shard := range byte(shards) {
				if !yield(store.Probe{Partition: string(appendPart(nil, at, shard)), Range: in}) {
					return
				}
			}
		}
	}
}

// beyond is the time up to which there may be rows.
func (f *Feed) beyond(s *Seal) int64 {
	return max(f.Now().UnixMicro(), s.At) + (maxSkew + time.Minute).Microseconds()
}

// Unsettled streams the rows with At > from as far as there are any, those of writes that may still be in flight included.
func (f *Feed) Unsettled(ctx context.Context, inc store.Incarnation, from int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		s, err := f.Seal(ctx, inc)
		if err != nil {
			yield(Row{}, err)
			return
		}
		f.Rows(ctx, inc, from, f.beyond(s))(yield)
	}
}

func timeKey(at int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(at)) }
