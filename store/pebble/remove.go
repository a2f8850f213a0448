package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"kith/store"
)

const (
	// removeParts is into how many parts a range is divided for each core.
	removeParts = 4
	// minRun is how many rows that go have to follow each other to go by one deletion of a range. Readers pay for those of ranges, too.
	minRun = 256
	// maxNoted bounds the bytes of keys that others write into a part during a pass.
	maxNoted = 4 << 20
)

// Remove implements store.Stager: by a pass that looks for rows that go and have nothing else between them, for the deletion of a range costs nothing for each of its
// rows, neither now nor when tables are compacted. What others put there meanwhile is noted, and left out. Rows that go from among others go one by one.
func (s *Store) Remove(ctx context.Context, in store.SweepRange, gone func(key []byte) bool, before func() error) error {
	if !in.Table.ManyWriters() || in.Incarnation == 0 {
		return fmt.Errorf("remove rows of table %v, incarnation %d: they must have many writers and belong to a domain", in.Table, in.Incarnation)
	}
	parts, err := s.Split(ctx, in, removeParts*runtime.NumCPU())
	if err != nil {
		return err
	}
	var left []span
	for _, part := range parts {
		lower, upper := sweepSpan(part)
		left = append(left, span{lower, upper})
	}
	for len(left) > 0 {
		if left, err = s.removeFrom(ctx, left, gone, before); err != nil {
			return err
		}
		before = nil
	}
	return nil
}

// removeFrom removes rows from spans, and returns those in which a pass has not come to its end, or counts for nothing.
func (s *Store) removeFrom(ctx context.Context, in []span, gone func(key []byte) bool, before func() error) (left []span, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := make([]*removal, len(in))
	slots := make(chan struct{}, runtime.NumCPU())
	var workers sync.WaitGroup
	for i, part := range in {
		r := &removal{gone: gone, singles: &runWriter{s: s, ctx: ctx, of: store.Table(part.from[0]), batch: s.db.NewBatch()}}
		defer r.singles.discard()
		all[i] = r
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			r.watch = s.watch(part)
			if err := r.pass(ctx, s.db); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	defer func() {
		for _, r := range all {
			s.unwatch(r.watch)
		}
	}()
	err = context.Cause(ctx)
	if err == nil && before != nil {
		err = before()
	}
	if err != nil {
		return nil, err
	}
	lost, err := s.removeRanges(all)
	if err != nil {
		return nil, err
	}
	var singles []*runWriter
	for _, r := range all {
		switch {
		case slices.Contains(lost, r):
			left = append(left, r.watch.span)
			continue
		case r.next != nil:
			left = append(left, span{r.next, r.watch.to})
		}
		singles = append(singles, r.singles)
	}
	return left, s.land(ctx, singles)
}

// removal is what goes of a part.
type removal struct {
	gone    func(key []byte) bool
	watch   *watch
	ranges  []span
	singles *runWriter // of deletions
	next    []byte     // where the pass has ended before its time
}

// pass finds what goes of the span that is watched.
func (r *removal) pass(ctx context.Context, db *pebble.DB) error {
	it, err := db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.watch.from, UpperBound: r.watch.to})
	if err != nil {
		return convert(err)
	}
	defer it.Close()
	var run [][]byte // the keys that go and follow each other, but of a long run only some
	rows, n := 0, 0  // how many they are, and all rows
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if n++; n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.watch.full.Load() {
				r.next = bytes.Clone(k)
				break
			}
		}
		if p := store.PartitionLen(k); p < 0 || !r.gone(k[p:]) {
			if err := r.end(run, rows, k); err != nil {
				return err
			}
			rows = 0
			continue
		}
		if rows < minRun {
			if rows == len(run) {
				run = append(run, nil)
			}
			run[rows] = append(run[rows][:0], k...)
		}
		rows++
	}
	if err := errors.Join(convert(it.Error()), ctx.Err()); err != nil {
		return err
	}
	if r.next != nil {
		return r.end(run, rows, r.next)
	}
	return r.end(run, rows, r.watch.to)
}

// end ends a run of rows that go, in front of a key.
func (r *removal) end(run [][]byte, rows int, before []byte) error {
	if rows >= minRun {
		r.ranges = append(r.ranges, span{bytes.Clone(run[0]), bytes.Clone(before)})
		return nil
	}
	for _, k := range run[:rows] {
		if err := r.singles.add(k, store.PartitionLen(k), &store.Mutation{Delete: true}); err != nil {
			return convert(err)
		}
	}
	return nil
}

// removeRanges removes the ranges that passes have found, but for what others have put there since these began. Nobody writes meanwhile. It returns those passes that
// count for nothing.
func (s *Store) removeRanges(all []*removal) (lost []*removal, err error) {
	b := s.db.NewBatch()
	defer b.Close()
	err = s.alone(func() error {
		for _, r := range all {
			if r.watch.lost.Load() {
				lost = append(lost, r)
				continue
			}
			for _, c := range r.watch.cut(r.ranges) {
				if err := b.DeleteRange(c.from, c.to, nil); err != nil {
					return err
				}
			}
		}
		if b.Empty() {
			return nil
		}
		defer s.readers.changing()()
		return s.db.ApplyNoSyncWait(b, pebble.Sync)
	})
	if err != nil || b.Empty() {
		return lost, convert(err)
	}
	if err := s.waits.sync(b); err != nil {
		s.logger.Fatalf("the log can't be written: %v", err) // as in Commit
		return nil, convert(err)
	}
	// Only in a table it makes those go that lie within it; nobody waits for that.
	_, err = s.db.AsyncFlush()
	return lost, convert(err)
}

// span is a range of encoded keys.
type span struct{ from, to []byte }

func (a span) has(key []byte) bool {
	return bytes.Compare(a.from, key) <= 0 && bytes.Compare(key, a.to) < 0
}

func (a span) meets(b span) bool {
	return bytes.Compare(a.from, b.to) < 0 && bytes.Compare(b.from, a.to) < 0
}

// watch notes what is put in a span while a pass is under way there: a deletion of a range may take away only what the pass has seen. A pass begins and its ranges
// go while nobody writes (alone), so that whatever is put becomes visible before it, or is noted, or comes behind it.
type watch struct {
	span
	mu    sync.Mutex
	noted [][]byte
	size  int
	full  atomic.Bool // the pass had better come to its end
	lost  atomic.Bool // what was put is not known
}

func (w *watch) note(key []byte) {
	if !w.has(key) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted = append(w.noted, bytes.Clone(key))
	if w.size += len(key); w.size >= maxNoted {
		w.full.Store(true)
	}
}

// cut returns ranges, which ascend, without what was noted.
func (w *watch) cut(ranges []span) (cut []span) {
	slices.SortFunc(w.noted, bytes.Compare)
	noted := w.noted
	for _, r := range ranges {
		for len(noted) > 0 && bytes.Compare(noted[0], r.to) < 0 {
			if k := noted[0]; r.has(k) {
				if bytes.Compare(r.from, k) < 0 {
					cut = append(cut, span{r.from, k})
				}
				r.from = append(bytes.Clone(k), 0)
			}
			noted = noted[1:]
		}
		if bytes.Compare(r.from, r.to) < 0 {
			cut = append(cut, r)
		}
	}
	return cut
}

// watches are those of the passes under way.
type watches struct {
	// landing is held by whoever writes runs or tables; stripes are held by commits.
	landing sync.RWMutex
	mu      sync.Mutex
	all     atomic.Pointer[[]*watch] // not changed in place
}

// alone calls do while nobody writes rows that have many writers.
func (s *Store) alone(do func() error) error {
	s.watches.landing.Lock()
	defer s.watches.landing.Unlock()
	for i := range s.locks.locks {
		s.locks.locks[i].Lock()
	}
	err := do()
	for i := range s.locks.locks {
		s.locks.locks[i].Unlock()
	}
	return err
}

func (s *Store) watch(in span) *watch {
	w := &watch{span: in}
	_ = s.alone(func() error {
		s.watches.change(func(all []*watch) []*watch { return append(all, w) })
		return nil
	})
	return w
}

func (s *Store) unwatch(w *watch) {
	s.watches.change(func(all []*watch) []*watch {
		return slices.DeleteFunc(all, func(o *watch) bool { return o == w })
	})
}

func (w *watches) change(do func([]*watch) []*watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := do(slices.Clone(w.list()))
	w.all.Store(&all)
}

func (w *watches) list() []*watch {
	if all := w.all.Load(); all != nil {
		return *all
	}
	return nil
}

// note notes the puts of a batch that is about to be written.
func (w *watches) note(b *pebble.Batch) {
	all := w.list()
	if len(all) == 0 {
		return
	}
	for r := b.Reader(); ; {
		kind, key, _, ok, err := r.Next()
		if err != nil || !ok {
			return // a batch of ours has no errors
		}
		if kind == pebble.InternalKeyKindDelete {
			continue
		}
		for _, o := range all {
			o.note(key)
		}
	}
}

// lose makes the passes under way that meet a span count for nothing.
func (w *watches) lose(in span) {
	for _, o := range w.list() {
		if o.meets(in) {
			o.lost.Store(true)
		}
	}
}
