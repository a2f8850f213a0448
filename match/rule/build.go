package rule

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kith/profile"
	"kith/profile/fold"
	"kith/store"
)

const (
	// pieces is how many ranges a domain is read in, about.
	pieces = 64
	// pieceTuples and pieceProfiles bound what is read before it is written.
	pieceTuples   = 2_000_000
	pieceProfiles = 400_000
)

// begin starts a new generation. Rules that have been evaluated before are, again, because the feed does not reach back to the bookmark. The
// bookmark moves to where the feed is now. Both are done again when it is cut off between them, because the feed is still ahead of the bookmark.
func (x *pass) begin(ctx context.Context, again bool) error {
	st := x.st
	if st.Gen != 0 {
		st.Old = append(st.Old, st.Gen)
	}
	if st.Series == 0 {
		st.Newest++
		st.Series = st.Newest
	}
	st.Newest++
	st.Gen, st.Rules, st.Building, st.Rest, st.Again = st.Newest, x.rules.print, reading, "", again
	st.BuildAt, st.Changes, st.Profiles, st.Mark = x.now(), 0, 0, nil // what is Done is read, too
	x.seen = 0
	if err := x.save(ctx); err != nil {
		return err
	}
	return x.consumer.Start(ctx, x.inc, x.place)
}

// errSlice says that others are to have a turn.
var errSlice = errors.New("the slice is over")

// build evaluates all there is for a while: profiles are read, and what they are matched by is written; then all tuples with several holders are
// evaluated, level by level; then the matches of which none of that has told.
func (x *pass) build(ctx context.Context) error {
	slice := time.Now().Add(sliceTime)
	steps := map[phase]func(context.Context, time.Time) error{reading: x.readAll, matching: x.matchAll, leaving: x.leaveAll}
	next := map[phase]phase{reading: matching, matching: leaving, leaving: ready}
	for x.st.Building != ready {
		step := steps[x.st.Building]
		if step == nil {
			return fmt.Errorf("rule-based matching has no phase %q", x.st.Building)
		}
		if err := step(ctx, slice); errors.Is(err, errSlice) {
			return x.save(ctx)
		} else if err != nil {
			return err
		}
		x.st.Building, x.st.Rest = next[x.st.Building], ""
		if x.st.Building == ready {
			x.st.Again = false
			if x.st.ActiveAt < x.st.BuildAt {
				x.st.ActiveAt = x.Now().UnixMicro()
			}
		}
		if err := x.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// batch is what a worker has read of profiles.
type batch struct {
	matcher *Matcher
	docs    []readDoc
	holders []holding
}

type readDoc struct {
	id    fold.ID
	value []byte
}

type holding struct {
	tuple Tuple
	id    fold.ID
}

// readAll reads all profiles and writes their documents and tuples, in large sorted pieces.
func (x *pass) readAll(ctx context.Context, slice time.Time) error {
	from, err := x.rest(ctx)
	if err != nil {
		return err
	}
	workers := x.workers()
	batches := make([]*batch, workers)
	for i := range batches {
		batches[i] = &batch{matcher: x.rules.Matcher()}
	}
	var mu sync.Mutex // of the state
	flush := func() error { return x.writeBatches(ctx, batches) }
	p := profile.Pass{Incarnation: x.inc, Now: x.Now().UnixMicro(), Attrs: x.rules.attrs, Workers: workers, From: from, Dir: x.Dir,
		Every: min(pieceProfiles, pieceTuples/int64(x.rules.most())), Checkpoint: func(c *profile.Cursor) error {
			if err := flush(); err != nil {
				return err
			}
			if x.st.Rest = c.String(); time.Now().After(slice) {
				return errSlice
			}
			return x.save(ctx)
		}}
	err = x.Profiles.Each(ctx, p, func(worker int, p *fold.Profile) error {
		b := batches[worker]
		d := doc{changes: p.Changes, tuples: b.matcher.Tuples(p)}
		b.docs = append(b.docs, readDoc{p.ID, d.append(nil)})
		for _, t := range d.tuples {
			b.holders = append(b.holders, holding{t, p.ID})
		}
		if d.changes != 0 {
			mu.Lock()
			x.due(&d)
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// rest returns what has not been read.
func (x *pass) rest(ctx context.Context) (*profile.Cursor, error) {
	if x.st.Rest == "" {
		return x.Profiles.Start(ctx, x.inc, pieces)
	}
	return profile.ParseCursor(x.st.Rest)
}

// writeBatches writes what has been read, sorted, and empties the batches.
func (x *pass) writeBatches(ctx context.Context, batches []*batch) error {
	var wg sync.WaitGroup
	var docs [][]readDoc
	var holders [][]holding
	for _, b := range batches {
		docs, holders = append(docs, b.docs), append(holders, b.holders)
		wg.Go(func() { slices.SortFunc(b.docs, func(a, b readDoc) int { return a.id.Compare(b.id) }) })
		wg.Go(func() {
			slices.SortFunc(b.holders, func(a, b holding) int {
				if c := a.tuple.compare(b.tuple); c != 0 {
					return c
				}
				return a.id.Compare(b.id)
			})
		})
	}
	wg.Wait()
	at := x.now()
	for _, d := range docs {
		x.st.Profiles += int64(len(d))
	}
	err := x.Store.WriteRun(ctx,
		store.Run{Table: store.Match, Rows: x.docRows(at, docs)},
		store.Run{Table: store.Match, Rows: x.holderRows(at, holders)})
	if err != nil {
		return fmt.Errorf("write what profiles are matched by: %w", err)
	}
	for _, b := range batches {
		b.docs, b.holders = b.docs[:0], b.holders[:0]
	}
	return nil
}

// merged streams several sorted lists as one, each element once.
func merged[T any](lists [][]T, compare func(a, b *T) int) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		at := make([]int, len(lists))
		var last *T
		for {
			var least *T
			of := -1
			for i := range lists {
				if at[i] < len(lists[i]) && (least == nil || compare(&lists[i][at[i]], least) < 0) {
					least, of = &lists[i][at[i]], i
				}
			}
			if of < 0 {
				return
			}
			at[of]++
			if last != nil && compare(last, least) == 0 {
				continue
			}
			if last = least; !yield(least) {
				return
			}
		}
	}
}

func (x *pass) docRows(at int64, lists [][]readDoc) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: x.inc, Mutation: store.Mutation{Key: docKey, Time: at}}
		head := append(generation(x.st.Gen), docLetter)
		for d := range merged(lists, func(a, b *readDoc) int { return a.id.Compare(b.id) }) {
			row.Partition, row.Mutation.Value = append(head[:len(head):len(head)], d.id[:]...), d.value
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (x *pass) holderRows(at int64, lists [][]holding) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: x.inc, Mutation: store.Mutation{Time: at}}
		row.Partition = append(generation(x.st.Gen), holderLetter, 0, 0)
		n := len(row.Partition)
		for h := range merged(lists, func(a, b *holding) int {
			if c := a.tuple.compare(b.tuple); c != 0 {
				return c
			}
			return a.id.Compare(b.id)
		}) {
			row.Partition[n-2], row.Partition[n-1] = byte(h.tuple.Level), h.tuple.Hash[0]
			row.Mutation.Key = append(append(row.Mutation.Key[:0], h.tuple.Hash[1:]...), h.id[:]...)
			if !yield(row, nil) {
				return
			}
		}
	}
}

// most is how many tuples a profile can have.
func (r *Rules) most() (n int) {
	for _, l := range r.levels {
		of := 1
		for _, p := range l.parts {
			of *= len(p.choices)
		}
		n += of
	}
	return max(n, 1)
}

// matchAll evaluates the tuples with several holders: all at once if they fit into memory, else partition by partition.
func (x *pass) matchAll(ctx context.Context, slice time.Time) error {
	if x.st.Rest == "" {
		if done, err := x.matchAtOnce(ctx); done || err != nil {
			return err
		}
	}
	level, first, _ := strings.Cut(x.st.Rest, " ")
	l, _ := strconv.Atoi(level)
	f, _ := strconv.Atoi(first)
	for l = max(l, 1); l <= len(x.rules.levels); l, f = l+1, 0 {
		for ; f < 256; f++ {
			if time.Now().After(slice) {
				x.st.Rest = fmt.Sprint(l, " ", f)
				return errSlice
			}
			if err := x.matchPartition(ctx, Level(l), byte(f)); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchPartition evaluates the tuples of a partition that have several holders, at their level.
func (x *pass) matchPartition(ctx context.Context, level Level, first byte) error {
	e := x.evaluation()
	var ids []fold.ID
	t, b := Tuple{Level: level}, &bucket{}
	flush := func() (err error) {
		if len(ids) > 0 {
			err = x.evaluateAt(ctx, e, level, ids)
		}
		e, ids = x.evaluation(), ids[:0]
		return err
	}
	settle := func() error {
		if b.crowded && !x.common[t] {
			e.crowded = append(e.crowded, t)
		}
		if b.crowded || len(b.holders) > 1 {
			e.buckets[t] = b
			if b.counts() {
				ids = append(ids, b.holders...)
			}
			b = &bucket{}
		}
		b.holders = b.holders[:0]
		if len(ids) < x.chunk() {
			return nil
		}
		return flush()
	}
	if err := x.loadCrowds(ctx); err != nil {
		return err
	}
	at := store.Partition{Table: store.Match, Incarnation: x.inc, Key: holderPartition(x.st.Gen, level, first)}
	t.Hash[0] = first
	for row, err := range x.Store.Scan(ctx, at, store.Range{}) {
		if err != nil {
			return fmt.Errorf("read the holders of tuples: %w", err)
		}
		hash, id, err := holderOf(row.Key)
		if err != nil {
			return err
		}
		if string(t.Hash[1:]) != string(hash) {
			if err := settle(); err != nil {
				return err
			}
			copy(t.Hash[1:], hash)
		}
		b.add(id, x.maxHolders())
	}
	if err := settle(); err != nil {
		return err
	}
	if len(e.crowded) > 0 && len(ids) == 0 {
		return e.tellCrowds(ctx)
	}
	return flush()
}

// evaluateAt evaluates profiles at a level, and then what that has merged at all.
func (x *pass) evaluateAt(ctx context.Context, e *evaluation, level Level, ids []fold.ID) error {
	for _, id := range ids {
		e.add(place{level, id})
	}
	if err := e.expand(ctx); err != nil {
		return err
	}
	again, err := e.conclude(ctx)
	if err != nil {
		return err
	}
	return x.index(ctx, again, true)
}

// leaveAll evaluates the matches that were there before and have not been met.
func (x *pass) leaveAll(ctx context.Context, _ time.Time) error {
	e, n := x.evaluation(), 0
	flush := func() error {
		if err := e.expand(ctx); err != nil {
			return err
		}
		again, err := e.conclude(ctx)
		if err != nil {
			return err
		}
		e, n = x.evaluation(), 0
		return x.index(ctx, again, true)
	}
	for first := range 256 {
		old, err := x.groupsBefore(ctx, byte(first), x.st.BuildAt)
		if err != nil {
			return err
		}
		for _, g := range old {
			e.groups[g.id] = g
			for _, id := range g.members {
				e.add(place{g.level, id})
			}
			if n += len(g.members); n >= x.chunk() {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// groupsBefore reads the matches of a partition that were written before a time.
func (x *pass) groupsBefore(ctx context.Context, first byte, before int64) (old []*group, err error) {
	at := store.Partition{Table: store.Match, Incarnation: x.inc, Key: groupPartition(x.st.Series, first)}
	for row, err := range x.Store.Scan(ctx, at, store.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read matches: %w", err)
		}
		if row.Time >= before {
			continue
		}
		g, err := decodeGroup(row)
		if err != nil {
			return nil, err
		}
		old = append(old, g)
	}
	return old, nil
}
