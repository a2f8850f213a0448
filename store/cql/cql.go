// Package cql is the engine for a Cassandra-compatible cluster (Cassandra 4.1 and 5, ScyllaDB): one clustering row for each
// row of the contract, in one table for each store.Table. The statements behind every method stand in the documentation of
// package store.
//
// A Write row has its writer's time as timestamp; a Swap row has a version and the id of the write that made it, and is
// touched by conditional statements only. The two never compare, because a row stays of its kind.
//
// # Hot partitions
//
// Partitions are profiles, jobs and values of keys; the first two are small. A value that very many profiles share (a
// switchboard's phone number, a country) is one partition with a row of about 80 bytes for each of them. Cassandra bears
// partitions of 100 MB, which is a million holders; from 100,000 on the value is split into shards (wide.go).
//
// # Tombstones
//
// Undo, compaction of imports and expiry delete rows one by one, and the end of a piece of work its lease; compaction purges the tombstones
// after gc_grace_seconds, ten days. No partition that is read again and again has rows that come and go: the turn of a domain,
// which every node looks at once a second, is one row that is rewritten.
package cql

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"kith/store"
)

// pageRows is the number of rows in a page of a scan. Rows are small but for a few; the largest make a page of 128 MiB.
const pageRows = 64

// sweepRows is the number of rows in a page of a sweep.
const sweepRows = 256

// Store is the engine. Make it with Open.
type Store struct {
	o        Options
	session  *gocql.Session
	limit    *limiter
	versions store.Versions
	// steps is the part of the ring that a request of the last sweep of each table covered: how dense a table is does not change much.
	steps [math.MaxUint8 + 1]atomic.Uint64
}

// statements of a table.
type statements struct {
	get, getSerial, scanAll, scan, scanTo, put, del, insert, update, remove, check, absent, sweep, purge string

	wide bool // scans and sweeps end with a column that says how many shards the partition has
}

var tables = map[store.Table]*statements{}

func init() {
	for _, t := range store.Tables {
		tables[t] = newStatements(t.String(), "inc", "part")
	}
}

// newStatements returns the statements of a table with a partition key. Their values come in the order: time of a deletion,
// partition key, row key, what else there is.
func newStatements(name string, partition ...string) *statements {
	where := " WHERE " + strings.Join(partition, " = ? AND ") + " = ?"
	columns, marks := strings.Join(partition, ", "), strings.Repeat("?, ", len(partition))
	row := where + " AND key = ?"
	shards := ""
	if name == mayBeWide.String() {
		shards = ", shards"
	}
	return &statements{
		wide:      shards != "",
		get:       "SELECT value, ver, writetime(value) FROM " + name + row,
		getSerial: "SELECT ver, prev, wid FROM " + name + row,
		scanAll:   "SELECT key, value, ver, writetime(value)" + shards + " FROM " + name + where,
		scan:      "SELECT key, value, ver, writetime(value)" + shards + " FROM " + name + where + " AND key >= ?",
		scanTo:    "SELECT key, value, ver, writetime(value)" + shards + " FROM " + name + where + " AND key >= ? AND key < ?",
		put:       "INSERT INTO " + name + " (" + columns + ", key, value) VALUES (" + marks + "?, ?) USING TIMESTAMP ?",
		del:       "DELETE FROM " + name + " USING TIMESTAMP ?" + row,
		insert:    "INSERT INTO " + name + " (" + columns + ", key, value, ver, wid) VALUES (" + marks + "?, ?, ?, ?) IF NOT EXISTS",
		update:    "UPDATE " + name + " SET value = ?, ver = ?, prev = ?, wid = ?" + row + " IF ver = ?",
		remove:    "DELETE FROM " + name + row + " IF ver = ?",
		check:     "UPDATE " + name + " SET ver = ?" + row + " IF ver = ?",
		absent:    "UPDATE " + name + " SET ver = null" + row + " IF ver = null",
		sweep:     "SELECT token(" + columns + "), " + columns + ", key, value, ver, writetime(value)" + shards + " FROM " + name,
		purge:     "DELETE FROM " + name + " USING TIMESTAMP ?" + where,
	}
}

// Open connects to a cluster whose keyspace has been migrated. Its errors are sentences that say what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	session, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{o: o, session: session, limit: newLimiter(o.InFlight)}
	if err := errors.Join(checkDatacenter(ctx, o, session), checkClock(ctx, o, session), checkSchema(ctx, o, session)); err != nil {
		session.Close()
		return nil, err
	}
	return s, nil
}

func connect(ctx context.Context, o Options) (*gocql.Session, error) {
	c := o.cluster()
	session, err := c.CreateSession()
	if err != nil {
		return nil, explain(o, err)
	}
	var name string
	err = session.Query("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", o.Keyspace).Consistency(gocql.One).ScanContext(ctx, &name)
	session.Close()
	if errors.Is(err, gocql.ErrNotFound) {
		return nil, &noKeyspace{o.Keyspace}
	}
	if err != nil {
		return nil, explain(o, err)
	}
	c = o.cluster()
	c.Keyspace = o.Keyspace
	if session, err = c.CreateSession(); err != nil {
		return nil, explain(o, err)
	}
	return session, nil
}

// noKeyspace says that the cluster has no keyspace of this name.
type noKeyspace struct{ name string }

func (e *noKeyspace) Error() string {
	return fmt.Sprintf("the cluster has no keyspace %q: make it with kith migrate --replication 3, or correct the address", e.name)
}

// checkDatacenter refuses the name of a data center that the cluster does not have: the driver would use all the others.
func checkDatacenter(ctx context.Context, o Options, session *gocql.Session) error {
	if o.Datacenter == "" {
		return nil
	}
	var names []string
	for _, table := range []string{"system.local", "system.peers"} {
		it := session.Query("SELECT data_center FROM " + table).Consistency(gocql.One).IterContext(ctx)
		for name := ""; it.Scan(&name); {
			if name == o.Datacenter {
				return it.Close()
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if err := it.Close(); err != nil {
			return explain(o, err)
		}
	}
	return fmt.Errorf("the cluster at %v has no data center %q: it has %s", o.Hosts, o.Datacenter, strings.Join(names, ", "))
}

// maxSkew is how far this machine's clock may be from the cluster's. Write times come from here, those of conditional
// statements from there.
const maxSkew = time.Minute

func checkClock(ctx context.Context, o Options, session *gocql.Session) error {
	var there time.Time
	if err := session.Query("SELECT toTimestamp(now()) FROM system.local").Consistency(gocql.One).ScanContext(ctx, &there); err != nil {
		return explain(o, err)
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	if skew := now().Sub(there).Round(time.Second); skew.Abs() > maxSkew {
		return fmt.Errorf("this machine's clock and the cluster's are %s apart, and at most %s is safe: set both by NTP", skew.Abs(), maxSkew)
	}
	return nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.session.Close()
	return nil
}

// Whole implements store.Store.
func (s *Store) Whole() bool { return false }

// Mark implements store.Store.
func (s *Store) Mark() uint64 { return 0 }

// Checkpoint implements store.Store: it refuses.
func (s *Store) Checkpoint(context.Context, string) error {
	return errors.New("a cluster is backed up by its operator: take a snapshot of the keyspace on every node (docs/operations.md)")
}

// repeat runs what may be run any number of times, under the limit of requests in flight, until it succeeds, fails for good,
// or patience ends.
func (s *Store) repeat(ctx context.Context, run func() error) error {
	deadline := time.Now().Add(patience)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := s.once(ctx, run)
		if err == nil || ctx.Err() != nil || !passing(err) || time.Now().After(deadline) {
			return convert(ctx, err)
		}
		if err := pause(ctx, wait/2+rand.N(wait/2)); err != nil {
			return err
		}
	}
}

// once runs a request under the limit.
func (s *Store) once(ctx context.Context, run func() error) error {
	if err := s.limit.acquire(ctx); err != nil {
		return err
	}
	start := time.Now()
	err := run()
	s.limit.release(time.Since(start), loaded(err))
	return err
}

// row makes a row of the contract from the columns of one.
func row(key, value []byte, ver *int64, at *int64) (store.Row, bool) {
	r := store.Row{Key: key, Value: value}
	switch {
	case ver != nil:
		r.Version = uint64(*ver)
	case at != nil:
		r.Time = *at
	default:
		return r, false // what the check of an absent row may leave for a moment
	}
	if r.Value == nil {
		r.Value = []byte{}
	}
	return r, true
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	if err := ctx.Err(); err != nil {
		return store.Row{}, err
	}
	row, err := s.get(ctx, placeOf(p), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return row, err
	}
	n, wideErr := s.shards(ctx, p)
	if wideErr != nil {
		return store.Row{}, wideErr
	}
	if n == 0 {
		return row, err
	}
	other, otherErr := s.get(ctx, shardOf(p, shardFor(key, n)), key)
	if err != nil || otherErr == nil && other.Time > row.Time {
		return other, otherErr
	}
	return row, ignoreAbsence(otherErr)
}

func (s *Store) get(ctx context.Context, pl place, key []byte) (store.Row, error) {
	var value []byte
	var ver, at *int64
	err := s.repeat(ctx, func() error {
		value, ver, at = nil, nil, nil
		return s.session.Query(pl.get, pl.with(nil, full(key))...).ScanContext(ctx, &value, &ver, &at)
	})
	if err == nil {
		if r, ok := row(append([]byte{}, key...), value, ver, at); ok {
			return r, nil
		}
		err = store.ErrNotFound
	}
	return store.Row{}, err
}

// full is never nil: the driver writes nil as null.
func full(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// page is a part of a scan.
type page struct {
	rows   []store.Row
	next   []byte // the first key of the next page; nil behind the last
	shards int    // of the partition
}

// fetch reads a page of at most n rows of a range of a partition or shard.
func (s *Store) fetch(ctx context.Context, pl place, start, end []byte, n int) (page, error) {
	var got page
	var seen int
	stmt, args := pl.scanAll, pl.with(nil, n)
	switch {
	case end != nil:
		stmt, args = pl.scanTo, pl.with(nil, full(start), end, n)
	case len(start) > 0:
		stmt, args = pl.scan, pl.with(nil, start, n)
	}
	err := s.repeat(ctx, func() error {
		got, seen = page{}, 0
		it := s.session.Query(stmt+" LIMIT ?", args...).PageSize(n).Prefetch(0).IterContext(ctx)
		var key, value []byte
		var ver, at *int64
		var shards *int
		columns := []any{&key, &value, &ver, &at}
		if pl.wide {
			columns = append(columns, &shards)
		}
		for it.Scan(columns...) {
			if r, ok := row(full(key), value, ver, at); ok {
				got.rows = append(got.rows, r)
			}
			if shards != nil {
				got.shards = *shards
			}
			seen++
			if seen == n {
				got.next = append(append([]byte{}, key...), 0)
			}
			key, value, ver, at, shards = nil, nil, nil, nil, nil
		}
		return it.Close()
	})
	if err == nil && pl.wide && seen == 0 && (len(start) > 0 || end != nil) { // a range without rows tells nothing of its partition
		got.shards, err = s.shards(ctx, store.Partition{Table: mayBeWide, Incarnation: store.Incarnation(pl.key[0].(int64)), Key: string(pl.key[1].([]byte))})
	}
	return got, err
}

// Scan implements store.Store: a page at a time, each from behind the last one's end.
func (s *Store) Scan(ctx context.Context, p store.Partition, r store.Range) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(store.Row{}, err)
			return
		}
		if r.End != nil && string(r.Start) >= string(r.End) {
			return
		}
		first := pageRows
		if r.Limit > 0 {
			first = min(first, r.Limit)
		}
		got, err := s.fetch(ctx, placeOf(p), r.Start, r.End, first)
		for row, err := range s.rest(ctx, p, r, got, err) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// rest streams a range of which the first page has been read.
func (s *Store) rest(ctx context.Context, p store.Partition, r store.Range, got page, err error) iter.Seq2[store.Row, error] {
	rows := s.pages(ctx, p, r, got, err)
	return func(yield func(store.Row, error) bool) {
		n := 0
		for row, err := range rows {
			if !yield(row, err) || err != nil {
				return
			}
			if n++; n == r.Limit {
				return
			}
		}
	}
}

func (s *Store) pages(ctx context.Context, p store.Partition, r store.Range, got page, err error) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		for at := r.Start; ; {
			if err != nil {
				yield(store.Row{}, err)
				return
			}
			if got.shards > 0 {
				s.widePages(ctx, p, at, r.End, got)(yield)
				return
			}
			for _, row := range got.rows {
				if !yield(row, nil) {
					return
				}
			}
			if got.next == nil {
				return
			}
			at = got.next
			got, err = s.fetch(ctx, placeOf(p), at, r.End, pageRows)
		}
	}
}
