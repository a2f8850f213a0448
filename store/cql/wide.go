package cql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/zeebo/xxh3"

	"kith/store"
)

// A value of a key that very many profiles have would be one huge partition of table key_index. From wideAt rows on it is wide:
// runs put further rows into one of its shards, partitions of table key_index_shard, by the hash of the row key. What is
// there already stays. How many shards a wide partition has is recorded beside it twice, before the first row goes to a shard:
// in its static column, which every page read of it brings along, so that readers need no further request to know; then in
// table key_index_wide, which lists the wide partitions of an incarnation, so that runs know them without a read for each.
//
// Readers merge the partition and its shards; of rows with the same key the later one counts. Deletions go to both places.
// A row that is sent late by a former holder of the domain's turn finds the partition as wide as it was for whoever took
// over: that one wrote the same rows first. Only Write rows live in wide partitions, and they are atomic within a shard only.
const (
	shardCount  = 32
	wideAt      = 100_000
	shardTable  = "key_index_shard"
	wideTable   = "key_index_wide"
	mayBeWide   = store.Index
	countEvery  = 16  // batches of a partition in a run, until its rows are counted again
	countFrom   = 100 // rows of a batch, for its partition to be counted at all
	wideEntries = 1000
	// firstOfShard is how many rows of a shard are read at first.
	firstOfShard = 8
)

// place is where rows are on the cluster: a partition of a table, or a shard of one.
type place struct {
	*statements
	key []any // the values of the partition key
}

func placeOf(p store.Partition) place {
	return place{tables[p.Table], []any{int64(p.Incarnation), []byte(p.Key)}}
}

var shardStatements = newStatements(shardTable, "inc", "part", "shard")

func shardOf(p store.Partition, shard int) place {
	return place{shardStatements, append(placeOf(p).key, shard)}
}

// shardFor returns the shard of a row among n.
func shardFor(key []byte, n int) int { return int(xxh3.Hash(key) % uint64(n)) }

// with returns the values of a statement that needs some before the partition key and some behind it.
func (pl place) with(before []any, behind ...any) []any { return slices.Concat(before, pl.key, behind) }

const shardsOfWide = "SELECT DISTINCT inc, part, shards FROM key_index WHERE inc = ? AND part = ?"

// shards returns how many shards a partition has, 0 when it is not wide.
func (s *Store) shards(ctx context.Context, p store.Partition) (int, error) {
	if p.Table != mayBeWide {
		return 0, nil
	}
	var n *int
	err := s.repeat(ctx, func() error {
		n = nil
		return s.session.Query(shardsOfWide, placeOf(p).key...).ScanContext(ctx, new(int64), new([]byte), &n)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) || n == nil {
		return 0, ignoreAbsence(err)
	}
	return *n, nil
}

func ignoreAbsence(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// widen returns the shards of a partition, making it wide if it has become large.
func (s *Store) widen(ctx context.Context, p store.Partition) (int, error) {
	n, err := s.shards(ctx, p)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		var rows int
		err := s.repeat(ctx, func() error {
			return s.session.Query("SELECT count(*) FROM key_index WHERE inc = ? AND part = ?", placeOf(p).key...).Consistency(gocql.One).ScanContext(ctx, &rows)
		})
		if err != nil || rows < s.o.wideAt() {
			return 0, err
		}
		n = shardCount
		err = s.repeat(ctx, func() error {
			return s.session.Query("INSERT INTO key_index (inc, part, shards) VALUES (?, ?, ?)", placeOf(p).with(nil, n)...).ExecContext(ctx)
		})
		if err != nil {
			return 0, err
		}
	}
	return n, s.repeat(ctx, func() error {
		return s.session.Query("INSERT INTO "+wideTable+" (inc, part, shards) VALUES (?, ?, ?)", placeOf(p).with(nil, n)...).ExecContext(ctx)
	})
}

func (o Options) wideAt() int {
	if o.WideAt == 0 {
		return wideAt
	}
	return o.WideAt
}

// wideList walks over the wide partitions of table key_index beside a run, in the run's order.
type wideList struct {
	s    *Store
	inc  store.Incarnation
	next []wideEntry
	all  bool // next holds all that are left of the incarnation
}

type wideEntry struct {
	part   string
	shards int
}

// find returns how many shards a partition has by the list. The partitions it is asked for must ascend.
func (w *wideList) find(ctx context.Context, p store.Partition) (int, error) {
	if w.inc != p.Incarnation {
		w.inc, w.next, w.all = p.Incarnation, nil, false
	}
	for {
		for len(w.next) > 0 && w.next[0].part < p.Key {
			w.next = w.next[1:]
		}
		if len(w.next) > 0 || w.all {
			break
		}
		var err error
		if w.next, err = w.s.wideFrom(ctx, p); err != nil {
			return 0, err
		}
		w.all = len(w.next) < wideEntries
	}
	if len(w.next) > 0 && w.next[0].part == p.Key {
		return w.next[0].shards, nil
	}
	return 0, nil
}

// wideFrom lists the wide partitions of an incarnation from one on, as many as there are in a page.
func (s *Store) wideFrom(ctx context.Context, p store.Partition) (all []wideEntry, err error) {
	err = s.repeat(ctx, func() error {
		all = nil
		it := s.session.Query("SELECT part, shards FROM "+wideTable+" WHERE inc = ? AND part >= ? LIMIT ?", placeOf(p).with(nil, wideEntries)...).PageSize(wideEntries).IterContext(ctx)
		var part []byte
		var n int
		for it.Scan(&part, &n) {
			all = append(all, wideEntry{string(part), n})
		}
		return it.Close()
	})
	return all, err
}

// spread is where the batches of a run go: it knows the wide partitions that the run has met.
type spread struct {
	s     *Store
	mu    sync.Mutex
	wider map[store.Partition]int // those that this run has made wide
}

// write sends a batch of a run to where its rows belong.
func (sp *spread) write(ctx context.Context, b batch) error {
	if b.p.Table != mayBeWide {
		return sp.s.send(ctx, placeOf(b.p), b.rows)
	}
	if b.shards == 0 {
		sp.mu.Lock()
		b.shards = sp.wider[b.p]
		sp.mu.Unlock()
	}
	if b.shards == 0 && b.nth%countEvery == 0 && len(b.rows) >= min(countFrom, sp.s.o.wideAt()) {
		n, err := sp.s.widen(ctx, b.p)
		if err != nil {
			return err
		}
		if b.shards = n; n > 0 {
			sp.mu.Lock()
			sp.wider[b.p] = n
			sp.mu.Unlock()
		}
	}
	if b.shards == 0 {
		return sp.s.send(ctx, placeOf(b.p), b.rows)
	}
	if gone := deletes(b.rows); len(gone) > 0 {
		if err := sp.s.send(ctx, placeOf(b.p), gone); err != nil {
			return err
		}
	}
	return sp.s.toShards(ctx, b.p, b.shards, b.rows)
}

// toShards sends mutations to the shards they belong to.
func (s *Store) toShards(ctx context.Context, p store.Partition, shards int, ms []store.Mutation) error {
	parts := make([][]store.Mutation, shards)
	for _, m := range ms {
		i := shardFor(m.Key, shards)
		parts[i] = append(parts[i], m)
	}
	for i, part := range parts {
		if len(part) > 0 {
			if err := s.send(ctx, shardOf(p, i), part); err != nil {
				return err
			}
		}
	}
	return nil
}

func deletes(ms []store.Mutation) (gone []store.Mutation) {
	for _, m := range ms {
		if m.Delete {
			gone = append(gone, m)
		}
	}
	return gone
}

// stream is rows in the order of their keys, a page at a time.
type stream struct {
	page page
	more func(start []byte) (page, error)
}

// head returns the next row, or nil behind the last one.
func (st *stream) head() (*store.Row, error) {
	for len(st.page.rows) == 0 {
		if st.page.next == nil {
			return nil, nil
		}
		var err error
		if st.page, err = st.more(st.page.next); err != nil {
			return nil, err
		}
	}
	return &st.page.rows[0], nil
}

// shardStreams returns the rows of all shards of a partition from start to below end, a stream each.
func (s *Store) shardStreams(ctx context.Context, p store.Partition, shards int, start, end []byte) ([]*stream, error) {
	all, errs := make([]*stream, shards), make([]error, shards)
	var wg sync.WaitGroup
	for i := range all {
		pl := shardOf(p, i)
		all[i] = &stream{more: func(start []byte) (page, error) { return s.fetch(ctx, pl, start, end, pageRows) }}
		// Most readers want few rows, of which each shard has its part.
		wg.Go(func() { all[i].page, errs[i] = s.fetch(ctx, pl, start, end, firstOfShard) })
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// first returns the next row of several streams: the one with the smallest key, and of those the latest. nil: there is none.
func first(streams []*stream) (*store.Row, error) {
	var best *store.Row
	for _, st := range streams {
		row, err := st.head()
		if err != nil {
			return nil, err
		}
		if row != nil && (best == nil || bytes.Compare(row.Key, best.Key) < 0 || bytes.Equal(row.Key, best.Key) && row.Time > best.Time) {
			best = row
		}
	}
	return best, nil
}

// pop takes the rows with a key, which first has returned, off the streams.
func pop(streams []*stream, key []byte) {
	for _, st := range streams {
		if rows := st.page.rows; len(rows) > 0 && bytes.Equal(rows[0].Key, key) {
			st.page.rows = rows[1:]
		}
	}
}

// merged streams what several streams have.
func merged(streams []*stream) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		for {
			row, err := first(streams)
			if err != nil {
				yield(store.Row{}, err)
				return
			}
			if row == nil {
				return
			}
			out := *row
			pop(streams, out.Key)
			if !yield(out, nil) {
				return
			}
		}
	}
}

// widePages streams a wide partition from start on, of which a page has been read that begins there.
func (s *Store) widePages(ctx context.Context, p store.Partition, start, end []byte, got page) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		streams, err := s.shardStreams(ctx, p, got.shards, start, end)
		if err != nil {
			yield(store.Row{}, err)
			return
		}
		pl := placeOf(p)
		own := &stream{page: got, more: func(start []byte) (page, error) { return s.fetch(ctx, pl, start, end, pageRows) }}
		merged(append(streams, own))(yield)
	}
}

// purgeShards removes what is in the shards of an incarnation's partitions.
func (s *Store) purgeShards(ctx context.Context, inc store.Incarnation) error {
	for p := (store.Partition{Table: mayBeWide, Incarnation: inc}); ; {
		all, err := s.wideFrom(ctx, p)
		if err != nil {
			return err
		}
		for _, e := range all {
			p.Key = e.part
			for i := range e.shards {
				if err := s.purge(ctx, shardOf(p, i)); err != nil {
					return fmt.Errorf("drop an incarnation: %w", err)
				}
			}
			if err := s.purge(ctx, placeOf(p)); err != nil { // its static column too, also when it has no row of its own
				return fmt.Errorf("drop an incarnation: %w", err)
			}
		}
		if len(all) < wideEntries {
			break
		}
		p.Key += "\x00"
	}
	return s.repeat(ctx, func() error {
		return s.session.Query("DELETE FROM "+wideTable+" USING TIMESTAMP ? WHERE inc = ?", int64(forEver), int64(inc)).ExecContext(ctx)
	})
}

// purge removes a partition, or a shard, for ever.
func (s *Store) purge(ctx context.Context, pl place) error {
	return s.repeat(ctx, func() error {
		return s.session.Query(pl.purge, pl.with([]any{int64(forEver)})...).ExecContext(ctx)
	})
}
