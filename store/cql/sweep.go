package cql

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"kith/store"
)

// A position in a sweep is a token (8 bytes, biased so that bytes compare as tokens do), which is behind all rows that have
// it; or that, a partition as the cluster orders it (its encoded primary key), its length before it (2), and a row key, which
// is behind that row.

func tokenPosition(token int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(token)^1<<63))
}

func rowPosition(token int64, p store.Partition, key []byte) string {
	part := appendPrimaryKey(nil, p)
	b := []byte(tokenPosition(token))
	b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
	return string(append(append(b, part...), key...))
}

// appendPrimaryKey appends the partition key as the cluster encodes and compares it: each component with its length before
// it and a zero behind it.
func appendPrimaryKey(dst []byte, p store.Partition) []byte {
	dst = append(dst, 0, 8)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Incarnation))
	dst = append(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Key)))
	return append(append(dst, p.Key...), 0)
}

// position is a decoded position.
type position struct {
	token int64
	part  []byte // nil when it is behind all rows of the token
	key   []byte
}

func parsePosition(s string) (position, error) {
	if len(s) < 8 {
		return position{}, errors.New("damaged cursor of a sweep")
	}
	p := position{token: int64(binary.BigEndian.Uint64([]byte(s)) ^ 1<<63)}
	if s = s[8:]; s == "" {
		return p, nil
	}
	if len(s) < 2 || len(s) < 2+int(binary.BigEndian.Uint16([]byte(s))) {
		return position{}, errors.New("damaged cursor of a sweep")
	}
	n := int(binary.BigEndian.Uint16([]byte(s)))
	p.part, p.key = []byte(s[2:2+n]), []byte(s[2+n:])
	return p, nil
}

// before says whether a row lies at or before a position.
func (p position) covers(token int64, part, key []byte) bool {
	if token != p.token || p.part == nil {
		return token <= p.token
	}
	if c := bytes.Compare(part, p.part); c != 0 {
		return c < 0
	}
	return bytes.Compare(key, p.key) <= 0
}

// bounds are the positions of a sweep: rows behind from, up to to.
type bounds struct {
	from, to       position
	hasFrom, hasTo bool
}

func parseBounds(r store.SweepRange) (b bounds, err error) {
	if r.From != "" {
		b.hasFrom = true
		if b.from, err = parsePosition(r.From); err != nil {
			return b, err
		}
	}
	if r.To != "" {
		b.hasTo = true
		b.to, err = parsePosition(r.To)
	}
	return b, err
}

// tokens returns the range of tokens to ask for: above low, which is exclusive, up to high.
func (b bounds) tokens() (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if b.hasFrom {
		low = b.from.token
		if b.from.part != nil && low > math.MinInt64 {
			low-- // the rest of this token's rows
		}
	}
	if b.hasTo {
		high = b.to.token
	}
	return low, high
}

const (
	// firstStep is the part of the ring that the first request of a table's first sweep covers; later ones grow, up to largestStep, and shrink with
	// the time they take.
	firstStep   = math.MaxUint64 / 4096
	largestStep = math.MaxUint64 / 4
	emptyStep   = 20 * time.Millisecond // hardly any rows: so is most of the ring, for sweeps of a deleted domain above all
	quickStep   = 200 * time.Millisecond
	slowStep    = 2 * time.Second
)

// Sweep implements store.Store by ranges of tokens that take about as long each. In a shared table a sweep of one incarnation
// has the replicas pass over the others' rows; a step that does so for too long is made smaller and tried again. A sweep begins with the step
// that the one before has ended with: most are of domains that have little in the table, so what a step takes depends on the table.
func (s *Store) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return func(yield func(store.SweepRow, error) bool) {
		fail := func(err error) { yield(store.SweepRow{}, convert(ctx, err)) }
		b, err := parseBounds(r)
		if err := errors.Join(err, ctx.Err()); err != nil {
			fail(err)
			return
		}
		low, high := b.tokens()
		step := cmp.Or(s.steps[r.Table].Load(), firstStep)
		defer func() { s.steps[r.Table].Store(step) }()
		deadline := time.Now().Add(patience)
		for low < high {
			end := high
			if left := uint64(high) - uint64(low); step < left {
				end = int64(uint64(low) + step)
			}
			start := time.Now()
			done, stopped, err := s.sweepStep(ctx, r, b, low, end, yield)
			if stopped {
				return
			}
			took := time.Since(start)
			switch {
			case err != nil && (ctx.Err() != nil || !passing(err) || time.Now().After(deadline)):
				fail(err)
				return
			case err != nil:
				step = max(step/4, 1)
				if done != nil {
					b.from, b.hasFrom = *done, true
					low, _ = b.tokens()
				}
				if err := pause(ctx, 100*time.Millisecond); err != nil {
					fail(err)
					return
				}
				continue
			case took < emptyStep:
				step = 8 * min(step, largestStep/8)
			case took < quickStep:
				step = 2 * min(step, largestStep/2)
			case took > slowStep:
				step = max(step/2, 1)
			}
			low, deadline = end, time.Now().Add(patience)
		}
	}
}

// sweepStep streams the rows whose tokens are in (low, high]. It returns the position of the last row it gave out.
func (s *Store) sweepStep(ctx context.Context, r store.SweepRange, b bounds, low, high int64, yield func(store.SweepRow, error) bool) (done *position, stopped bool, err error) {
	stmt := tables[r.Table].sweep + " WHERE token(inc, part) > ? AND token(inc, part) <= ?"
	args := []any{low, high}
	if r.Incarnation != 0 {
		stmt, args = stmt+" AND inc = ? ALLOW FILTERING", append(args, int64(r.Incarnation))
	}
	if err := s.limit.acquire(ctx); err != nil {
		return nil, false, err
	}
	start := time.Now()
	it := s.session.Query(stmt, args...).PageSize(sweepRows).Prefetch(0).Idempotent(true).IterContext(ctx)
	s.limit.release(time.Since(start), false)
	var token, inc int64
	var part, key, value []byte
	var ver, at *int64
	var shards *int
	columns := []any{&token, &inc, &part, &key, &value, &ver, &at}
	if tables[r.Table].wide {
		columns = append(columns, &shards)
	}
	var open sweptPartition
	emit := func(rw store.Row) bool {
		if b.hasFrom && b.from.covers(open.token, open.encoded, rw.Key) || b.hasTo && !b.to.covers(open.token, open.encoded, rw.Key) {
			return true
		}
		if done != nil && done.covers(open.token, open.encoded, rw.Key) {
			return true // replicas that disagree may give a row twice when pages are asked for again
		}
		p, token := open.Partition, open.token
		if !yield(store.SweepRow{Partition: p, Row: rw, Cursor: func() string { return rowPosition(token, p, rw.Key) }}, nil) {
			return false
		}
		done = &position{token: token, part: open.encoded, key: rw.Key}
		return true
	}
	stop := func(err error) (*position, bool, error) {
		_ = it.Close()
		return done, err == nil, err
	}
	for it.Scan(columns...) {
		p := store.Partition{Table: r.Table, Incarnation: store.Incarnation(inc), Key: string(part)}
		if p != open.Partition || open.encoded == nil {
			open = sweptPartition{Partition: p, token: token, encoded: appendPrimaryKey(nil, p)}
			if shards != nil { // it is read with its shards, as by everybody; what the sweep brings of it is done then
				for rw, err := range s.Scan(ctx, p, store.Range{Start: b.startIn(open)}) {
					if err != nil {
						return stop(err)
					}
					if !emit(rw) {
						return stop(nil)
					}
				}
			}
		}
		rw, ok := row(full(key), value, ver, at)
		part, key, value, ver, at, shards = nil, nil, nil, nil, nil, nil
		if ok && !emit(rw) {
			return stop(nil)
		}
	}
	return done, false, it.Close()
}

// sweptPartition is the partition that a sweep is in.
type sweptPartition struct {
	store.Partition
	token   int64
	encoded []byte
}

// startIn returns the key behind which a sweep goes on in a partition.
func (b bounds) startIn(p sweptPartition) []byte {
	if b.hasFrom && b.from.token == p.token && bytes.Equal(b.from.part, p.encoded) {
		return append(bytes.Clone(b.from.key), 0)
	}
	return nil
}

// Split implements store.Store: tokens are spread evenly, so ranges of equal length are of equal size.
func (s *Store) Split(ctx context.Context, r store.SweepRange, n int) ([]store.SweepRange, error) {
	b, err := parseBounds(r)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	low, high := b.tokens()
	ranges := []store.SweepRange{r}
	if low >= high {
		return ranges, nil
	}
	step := (uint64(high) - uint64(low)) / uint64(max(n, 1))
	for i := 1; i < n && step > 0; i++ {
		cut := tokenPosition(int64(uint64(low) + uint64(i)*step))
		prev := &ranges[len(ranges)-1]
		if cut <= prev.From {
			continue
		}
		prev.To = cut
		ranges = append(ranges, store.SweepRange{Table: r.Table, Incarnation: r.Incarnation, From: cut, To: r.To})
	}
	return ranges, nil
}

// forEver is the time of what removes a dead incarnation or partition: above all times of its rows, those of conditional
// statements too, which come from the cluster's clocks. They never come back. In microseconds, in the year 2200.
const forEver = 7_258_118_400_000_000

// DropRange implements store.Store by a sweep that removes whole partitions.
func (s *Store) DropRange(ctx context.Context, t store.Table, inc store.Incarnation) error {
	if t == mayBeWide {
		if err := s.purgeShards(ctx, inc); err != nil {
			return err
		}
	}
	var last store.Partition
	for row, err := range s.Sweep(ctx, store.SweepRange{Table: t, Incarnation: inc}) {
		if err != nil {
			return fmt.Errorf("drop an incarnation: %w", err)
		}
		if row.Partition == last {
			continue
		}
		last = row.Partition
		if err := s.purge(ctx, placeOf(last)); err != nil {
			return fmt.Errorf("drop an incarnation: %w", err)
		}
	}
	return nil
}
