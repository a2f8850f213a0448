package rule

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kith/internal/extsort"
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
	if err := x.save(ctx); err != nil {
		return err
	}
	return x.follower.Start(ctx)
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
	values  []byte        // of docs
	holders []byte        // a record for each: level, hash, profile id
	refs    []extsort.Ref // of holders
	sorter  extsort.Sorter
}

type readDoc struct {
	id       fold.ID
	from, to int // in values
}

// holdingLen is the length of a record of a holder.
const holdingLen = 1 + hashLen + len(fold.ID{})

func (b *batch) holding(at uint32) []byte {
	return b.holders[int(at)*holdingLen : (int(at)+1)*holdingLen]
}

// add takes in a profile. It returns when that changes by itself.
func (b *batch) add(p *fold.Profile) int64 {
	d := doc{changes: p.Changes, tuples: b.matcher.Tuples(p)}
	from := len(b.values)
	b.values = d.append(b.values)
	b.docs = append(b.docs, readDoc{p.ID, from, len(b.values)})
	for i := range d.tuples {
		at := len(b.holders)
		b.holders = append(append(append(b.holders, byte(d.tuples[i].Level)), d.tuples[i].Hash[:]...), p.ID[:]...)
		b.refs = append(b.refs, extsort.Ref{Prefix: extsort.Prefix(b.holders[at:]), At: uint32(at / holdingLen)})
	}
	return d.changes
}

// sort sorts what was taken in.
func (b *batch) sort() {
	b.sorter.Key = b.holding
	b.sorter.Compare = func(x, y uint32) int { return cmp.Or(bytes.Compare(b.holding(x), b.holding(y)), cmp.Compare(x, y)) }
	b.sorter.Sort(b.refs)
	slices.SortFunc(b.docs, func(x, y readDoc) int { return x.id.Compare(y.id) })
}

func (b *batch) reset() {
	b.docs, b.values, b.holders, b.refs = b.docs[:0], b.values[:0], b.holders[:0], b.refs[:0]
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
	var mu sync.Mutex         // of the state
	goesOn := x.st.Rest != "" // some have been read in an earlier turn
	flush := func(persons bool) error { return x.writeBatches(ctx, batches, goesOn && persons) }
	p := profile.Pass{Incarnation: x.inc, Now: x.Now().UnixMicro(), Attrs: x.rules.attrs, Workers: workers, From: from, Dir: x.Dir,
		Every: x.piece(), Checkpoint: func(c *profile.Cursor) error {
			if err := flush(c.OnlyPersons()); err != nil {
				return err
			}
			if x.st.Rest = c.String(); x.Pause || time.Now().After(slice) {
				return errSlice
			}
			return x.save(ctx)
		}}
	err = x.Profiles.Each(ctx, p, func(worker int, p *fold.Profile) error {
		changes := batches[worker].add(p)
		if changes != 0 {
			mu.Lock()
			x.due(changes)
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush(true)
}

// piece is how many profiles are read before they are written.
func (x *pass) piece() int64 {
	if x.Chunk != 0 {
		return int64(x.Chunk)
	}
	return min(pieceProfiles, pieceTuples/int64(x.rules.most()))
}

// rest returns what has not been read.
func (x *pass) rest(ctx context.Context) (*profile.Cursor, error) {
	if x.st.Rest == "" {
		return x.Profiles.Start(ctx, x.inc, pieces)
	}
	return profile.ParseCursor(x.st.Rest)
}

// writeBatches writes what has been read, sorted, and empties the batches. again: profiles among it may have been read before, in an earlier turn; what
// they were written with then, and have no more, is removed.
func (x *pass) writeBatches(ctx context.Context, batches []*batch, again bool) error {
	var wg sync.WaitGroup
	for _, b := range batches {
		wg.Go(b.sort)
		x.st.Profiles += int64(len(b.docs))
	}
	wg.Wait()
	at := x.now()
	var gone []store.RunRow
	if again {
		var err error
		if gone, err = x.replaced(ctx, at, batches); err != nil {
			return err
		}
	}
	err := x.Store.WriteRun(ctx,
		store.Run{Table: store.Match, Rows: x.docRows(at, batches)},
		store.Run{Table: store.Match, Rows: x.holderRows(at, batches)})
	if err != nil {
		return fmt.Errorf("write what profiles are matched by: %w", err)
	}
	if err := x.write(ctx, gone); err != nil {
		return err
	}
	for _, b := range batches {
		b.reset()
	}
	return nil
}

// replaced returns the rows that remove profiles in batches from the tuples that they were read with before, and have no more. It happens to a main
// profile: it was read alone, and then something was merged into it. The feed, which tells of that merge, would find only the document of the person,
// and nothing would lead to those tuples any more. Whatever is cut off here is read anew as a whole, so their order does not matter.
func (x *pass) replaced(ctx context.Context, at int64, batches []*batch) (gone []store.RunRow, err error) {
	var ids []fold.ID
	for _, b := range batches {
		for _, d := range b.docs {
			ids = append(ids, d.id)
		}
	}
	slices.SortFunc(ids, fold.ID.Compare)
	before, err := x.docs(ctx, ids)
	if err != nil {
		return nil, err
	}
	x.st.Profiles -= int64(len(before)) // they were counted then
	for _, b := range batches {
		for _, d := range b.docs {
			was := before[d.id]
			if was == nil {
				continue
			}
			is, err := decodeDoc(b.values[d.from:d.to])
			if err != nil {
				return nil, err
			}
			for _, t := range was.tuples {
				if _, stays := slices.BinarySearchFunc(is.tuples, t, Tuple.compare); !stays {
					gone = append(gone, x.row(holderPartition(x.st.Gen, t.Level, t.Hash[0]), at, store.Mutation{Key: holderKey(t, d.id), Delete: true}))
				}
			}
		}
	}
	return gone, nil
}

// merged streams what batches have, each sorted, as one: key returns the i-th key of a batch, nil behind the last, do gets each key, with where it is.
// No two have one in common: within a turn nobody is read twice.
func merged(batches []*batch, key func(b *batch, i int) []byte, do func(b *batch, i int, key []byte) bool) {
	at := make([]int, len(batches))
	for {
		var least []byte
		of := -1
		for n, b := range batches {
			if k := key(b, at[n]); k != nil && (least == nil || bytes.Compare(k, least) < 0) {
				least, of = k, n
			}
		}
		if of < 0 {
			return
		}
		if !do(batches[of], at[of], least) {
			return
		}
		at[of]++
	}
}

func (x *pass) docRows(at int64, batches []*batch) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: x.inc, Mutation: store.Mutation{Key: docKey, Time: at}}
		head := append(generation(x.st.Gen), docLetter)
		key := func(b *batch, i int) []byte {
			if i == len(b.docs) {
				return nil
			}
			return b.docs[i].id[:]
		}
		merged(batches, key, func(b *batch, i int, id []byte) bool {
			row.Partition, row.Mutation.Value = append(head[:len(head):cap(head)], id...), b.values[b.docs[i].from:b.docs[i].to]
			return yield(row, nil)
		})
	}
}

func (x *pass) holderRows(at int64, batches []*batch) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: x.inc, Mutation: store.Mutation{Time: at}}
		row.Partition = append(generation(x.st.Gen), holderLetter, 0, 0)
		n := len(row.Partition)
		key := func(b *batch, i int) []byte {
			if i == len(b.refs) {
				return nil
			}
			return b.holding(b.refs[i].At)
		}
		merged(batches, key, func(_ *batch, _ int, key []byte) bool {
			copy(row.Partition[n-2:], key)
			row.Mutation.Key = key[2:]
			return yield(row, nil)
		})
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
