// Package pebble is the default engine: the store contract on an embedded Pebble database in one folder, for one process.
//
// Get and Scan are gets and iterators, Write, Swap and Commit synced batches (commit.go), WriteRun and Land sorted tables that are
// ingested (run.go, stage.go), by a writer of ours (table.go, package sst).
//
// A failed write of the log ends the process: what is durable is then decided by the restart.
package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/store"
)

// dataFormat is the version of the key layout and of all records. History:
//
//	1  first
//	2  sources of imports are the job's time and the row's number; runs have a blob of decisions; blocks of 16 KiB
//	3  index rows by class, one row of API contributions, tables of resources, changes, history and bodies; merged puts
//	4  filters of partitions instead of rows
//	5  marks and prints of profiles
const dataFormat = 5

const (
	formatFile = "KITH_FORMAT"
	ingestDir  = "ingest"
	// blockSize is a compromise: bulk work likes large blocks, a lookup decompresses one block per row.
	blockSize = 16 << 10
	// indexBlockSize keeps the index of most files in one block: a lookup reads one block less.
	indexBlockSize = 256 << 10
	// keptLogs is how many old logs the engine keeps to write over them.
	keptLogs = 5
	// maxManifest is the size from which the list of tables is begun anew, as soon as its changes name more tables than there are: small, because
	// a change names keys.
	maxManifest = 4 << 10
)

// compression is MinLZ where it is fast, else Snappy. Compressing was a tenth of an import's work with Snappy.
func compression() *sstable.CompressionProfile { return block.FastestCompression }

// Options configure Open. The zero value is usable.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// CacheBytes is the size of the block cache; 0 is 64 MiB.
	CacheBytes int64
	// ReadOnly opens a database that exists and leaves it as it is.
	ReadOnly bool
	// AcceptDamage opens a database whose log is damaged: LogDamage tells what was lost.
	AcceptDamage bool
	// Log receives the engine's warnings; nil drops them.
	Log *slog.Logger
	// stock has the engine's own writer write tables, for tests.
	stock bool
}

// Store is the engine. Make it with Open.
type Store struct {
	db       *pebble.DB
	readers  readers
	fs       vfs.FS
	dir      string
	locks    *stripes
	waits    *waits
	watches  watches
	versions store.Versions
	runs     atomic.Uint64
	// tables are the options of tables that are going to be ingested. stock says that the engine's own writer makes them.
	tables   sstable.WriterOptions
	stock    bool
	guard    *guard
	purging  sync.Mutex
	dropping sync.Mutex
	// dropped is how many changes had ended when rows were last removed whatever they are; beyond all, while that goes on.
	dropped atomic.Uint64
	// readOnly says that there is nothing to flush.
	readOnly bool
	logger   logger
	damages  *damages
	accepted []*LogDamage
	examined examined
}

// Open opens or creates the database in dir. It returns store.ErrLocked when another process has it open, store.ErrFormat when
// a newer version wrote it, store.ErrOldFormat when an older one did whose data can't be read, and a LogDamage when its log is
// damaged.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if err := o.FS.MkdirAll(dir, 0o700); err != nil && !o.ReadOnly {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	if err := checkFormat(o.FS, dir); err != nil {
		return nil, err
	}
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	g := &guard{FS: o.FS, dir: dir, accept: o.AcceptDamage, keeps: !o.ReadOnly}
	g.opening.Store(true)
	found := &damages{log: o.Log}
	waits := &waits{}
	opts := o.engine(g, cache, found)
	opts.WALMinSyncInterval = waits.interval
	db, err := pebble.Open(dir, opts)
	g.opening.Store(false)
	if err != nil {
		if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") {
			return nil, store.ErrLocked
		}
		if d, ok := errors.AsType[*LogDamage](err); ok {
			return nil, d
		}
		return nil, fmt.Errorf("open the database in %s: %w", dir, convertOpen(err))
	}
	s := &Store{db: db, guard: g, readers: readers{db: db}, fs: o.FS, dir: dir, locks: newStripes(), waits: waits, readOnly: o.ReadOnly, logger: logger{o.Log}, damages: found, accepted: g.damage, examined: g.examined, tables: tableOptions(db.TableFormat()), stock: o.stock}
	if o.ReadOnly {
		return s, nil
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// engine returns the engine's options.
func (o Options) engine(fs vfs.FS, cache *pebble.Cache, found *damages) *pebble.Options {
	log := logger{o.Log}
	opts := &pebble.Options{
		FS:                          fs,
		Cache:                       cache,
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: keptLogs - 1,
		MaxManifestFileSize:         maxManifest,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.NumCPU()-1) },
		FormatMajorVersion:          pebble.FormatNewest,
		Comparer:                    comparer,
		Merger:                      merger,
		Logger:                      log,
		EventListener:               found.listener(log),
		ReadOnly:                    o.ReadOnly,
	}
	opts.Experimental.SpanPolicyFunc = inPlace
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].BlockSize = blockSize
		opts.Levels[i].IndexBlockSize = indexBlockSize
		opts.Levels[i].Compression = compression
	}
	opts.EnsureDefaults()
	return opts
}

// prepare writes the format marker and clears the tables of runs that a crash left behind.
func (s *Store) prepare() error {
	ingest := s.fs.PathJoin(s.dir, ingestDir)
	if err := s.fs.RemoveAll(ingest); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clear %s: %w", ingest, err)
	}
	if err := s.fs.MkdirAll(ingest, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", ingest, err)
	}
	path := s.fs.PathJoin(s.dir, formatFile)
	if _, err := s.fs.Stat(path); err == nil {
		return nil
	}
	if err := s.db.Flush(); err != nil { // begins a log that tells how far it has been synced (chunklog.go)
		return convert(err)
	}
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = fmt.Fprintf(f, "%d\n", dataFormat)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	d, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func checkFormat(fs vfs.FS, dir string) error {
	f, err := fs.Open(fs.PathJoin(dir, formatFile))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	defer f.Close()
	b := make([]byte, 16)
	n, _ := f.Read(b)
	v, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return fmt.Errorf("%s is damaged: it must hold a number", fs.PathJoin(dir, formatFile))
	}
	if v > dataFormat {
		return fmt.Errorf("%w: its data format is %d, this program knows up to %d", store.ErrFormat, v, dataFormat)
	}
	if v < dataFormat {
		return fmt.Errorf("%w: its data format is %d, this program reads %d only", store.ErrOldFormat, v, dataFormat)
	}
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	if err := ctx.Err(); err != nil {
		return store.Row{}, err
	}
	cell, closer, err := s.db.Get(store.AppendKey(nil, p, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Row{}, store.ErrNotFound
	}
	if err != nil {
		return store.Row{}, convert(err)
	}
	defer closer.Close()
	row, err := store.DecodeCell(bytes.Clone(cell))
	row.Key = bytes.Clone(key)
	return row, err
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, p store.Partition, r store.Range) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		it, err := s.readers.get(p.Table, p.Incarnation)
		if err != nil {
			yield(store.Row{}, convert(err))
			return
		}
		defer s.readers.put(it)
		prefix := it.span(p, r)
		if bytes.Compare(it.at, it.last) >= 0 {
			return
		}
		n := 0
		for ok := it.SeekPrefixGE(it.at); ok && bytes.Compare(it.Key(), it.last) < 0; ok = it.Next() {
			if err := ctx.Err(); err != nil {
				yield(store.Row{}, err)
				return
			}
			row, err := store.DecodeCell(it.Value())
			row.Key = it.Key()[prefix:]
			if !yield(row, err) {
				return
			}
			if n++; n == r.Limit {
				return
			}
		}
		if err := errors.Join(convert(it.Error()), ctx.Err()); err != nil {
			yield(store.Row{}, err)
		}
	}
}

// span sets at and last to the encoded bounds of a range of a partition, and returns the length of what all its keys begin with.
func (r *reader) span(p store.Partition, in store.Range) (prefix int) {
	r.at = store.AppendPartition(r.at[:0], p)
	prefix = len(r.at)
	r.last = append(append(r.last[:0], r.at...), in.End...)
	if in.End == nil {
		r.last[prefix-1]++ // a partition's prefix ends in 1
	}
	r.at = append(r.at, in.Start...)
	return prefix
}

// Probe implements store.Store with one iterator that only moves forward.
func (s *Store) Probe(ctx context.Context, t store.Table, inc store.Incarnation, probes iter.Seq[store.Probe]) iter.Seq2[store.Hit, error] {
	return func(yield func(store.Hit, error) bool) {
		it, err := s.readers.get(t, inc)
		if err != nil {
			yield(store.Hit{}, convert(err))
			return
		}
		it.index, it.last = 0, it.last[:0]
		it.ctx, it.inc, it.yield = ctx, inc, yield
		defer func() {
			it.ctx, it.yield = nil, nil
			s.readers.put(it)
		}()
		probes(it.each)
	}
}

// fewProbes is how many probes are answered each by a look at the tables that have its partition. Who asks for more asks for many, mostly, close
// to each other, and is answered by moving forward.
const fewProbes = 8

// seek moves to what is looked for, or behind it.
func (r *reader) seek() {
	switch {
	case r.index < fewProbes:
		r.SeekPrefixGE(r.at)
	case r.index == fewProbes || bytes.Compare(r.at, r.floor) <= 0 || r.Valid() && bytes.Compare(r.Key(), r.at) < 0:
		r.SeekGE(r.at)
		r.floor = append(r.floor[:0], r.at...)
	} // else it stands there already: nothing lies between floor and its key
}

// probe yields what one probe finds. It returns false when there is to be no other.
func (r *reader) probe(pr store.Probe) bool {
	ctx, yield := r.ctx, r.yield
	if err := ctx.Err(); err != nil {
		yield(store.Hit{}, err)
		return false
	}
	r.at = store.AppendPartition(r.at[:0], store.Partition{Table: r.table, Incarnation: r.inc, Key: pr.Partition})
	prefix := len(r.at)
	r.at = append(r.at, pr.Range.Start...)
	if bytes.Compare(r.at, r.last) < 0 {
		yield(store.Hit{}, fmt.Errorf("probe %d: %w", r.index, store.ErrOrder))
		return false
	}
	r.last = append(r.last[:0], r.at...)
	r.seek()
	for ok, n := r.Valid(), 0; ok; ok = r.Next() {
		k := r.Key()
		if len(k) < prefix || !bytes.Equal(k[:prefix], r.at[:prefix]) {
			break
		}
		if pr.Range.End != nil && bytes.Compare(k[prefix:], pr.Range.End) >= 0 {
			break
		}
		if pr.Range.Limit > 0 && n == pr.Range.Limit {
			break
		}
		n++
		row, err := store.DecodeCell(r.Value())
		row.Key = k[prefix:]
		r.floor = append(r.floor[:0], k...)
		if !yield(store.Hit{Index: r.index, Row: row}, err) {
			return false
		}
	}
	if err := r.Error(); err != nil {
		yield(store.Hit{}, convert(err))
		return false
	}
	return true
}

// Sweep implements store.Store. Cursors are encoded keys.
func (s *Store) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return func(yield func(store.SweepRow, error) bool) {
		lower, upper := sweepSpan(r)
		if bytes.Compare(lower, upper) >= 0 {
			return
		}
		it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			yield(store.SweepRow{}, convert(err))
			return
		}
		defer it.Close()
		var open, k []byte
		var p store.Partition
		var keys store.KeyDecoder
		cursor := func() string { return string(k) + "\x00" } // one for all rows: rows are good until the iterator moves on
		for ok := it.First(); ok; ok = it.Next() {
			if err := ctx.Err(); err != nil {
				yield(store.SweepRow{}, err)
				return
			}
			k = it.Key()
			if len(open) == 0 || !bytes.HasPrefix(k, open) {
				var rest []byte
				if p, rest, err = keys.Decode(k); err != nil {
					yield(store.SweepRow{}, err)
					return
				}
				open = append(open[:0], k[:len(k)-len(rest)]...)
			}
			row, err := store.DecodeCell(it.Value())
			row.Key = k[len(open):]
			if !yield(store.SweepRow{Partition: p, Row: row, Cursor: cursor}, err) {
				return
			}
		}
		if err := errors.Join(convert(it.Error()), ctx.Err()); err != nil {
			yield(store.SweepRow{}, err)
		}
	}
}

func sweepSpan(r store.SweepRange) (lower, upper []byte) {
	prefix := []byte{byte(r.Table)}
	if r.Incarnation != 0 {
		prefix = store.AppendIncarnation(nil, r.Table, r.Incarnation)
	}
	lower, upper = prefix, store.After(prefix)
	if r.From != "" {
		lower = []byte(r.From)
	}
	if r.To != "" {
		upper = []byte(r.To)
	}
	return lower, upper
}

// Split implements store.Store: it cuts at table boundaries, moved forward to where a partition starts.
func (s *Store) Split(ctx context.Context, r store.SweepRange, n int) ([]store.SweepRange, error) {
	lower, upper := sweepSpan(r)
	ranges := []store.SweepRange{r}
	if n < 2 || bytes.Compare(lower, upper) >= 0 {
		return ranges, ctx.Err()
	}
	tables, err := s.db.SSTables()
	if err != nil {
		return nil, convert(err)
	}
	var starts [][]byte
	for _, level := range tables {
		for _, t := range level {
			k := t.Smallest.UserKey
			if l := store.PartitionLen(k); l > 0 && bytes.Compare(k[:l], lower) > 0 && bytes.Compare(k[:l], upper) < 0 {
				starts = append(starts, k[:l])
			}
		}
	}
	slices.SortFunc(starts, bytes.Compare)
	for i := 1; i < n && len(starts) > 0; i++ {
		cut := string(starts[i*len(starts)/n])
		prev := &ranges[len(ranges)-1]
		if cut <= prev.From {
			continue
		}
		prev.To = cut
		ranges = append(ranges, store.SweepRange{Table: r.Table, Incarnation: r.Incarnation, From: cut, To: r.To})
	}
	return ranges, ctx.Err()
}

// DropRange implements store.Store.
func (s *Store) DropRange(ctx context.Context, t store.Table, inc store.Incarnation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	lower := store.AppendIncarnation(nil, t, inc)
	return s.drop(lower, store.After(lower))
}

// drop removes a range of keys.
func (s *Store) drop(lower, upper []byte) error {
	s.dropping.Lock()
	defer s.dropping.Unlock()
	s.dropped.Store(math.MaxUint64)
	done := s.readers.changing()
	err := s.db.DeleteRange(lower, upper, pebble.Sync)
	s.dropped.Store(done())
	return convert(err)
}

// DropPartitions implements store.Store by one range deletion: tables that lie within it go unread.
func (s *Store) DropPartitions(ctx context.Context, t store.Table, inc store.Incarnation, from, to string, _ iter.Seq[string]) error {
	if err := ctx.Err(); err != nil || from >= to {
		return err
	}
	p := store.Partition{Table: t, Incarnation: inc, Key: from}
	lower := store.AppendPartition(nil, p)
	p.Key = to
	return s.drop(lower, store.AppendPartition(nil, p))
}

// Whole implements store.Store.
func (s *Store) Whole() bool { return true }

// Checkpoint implements store.Store with hard links.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("checkpoint: %w", convert(err))
	}
	f, err := s.fs.Create(s.fs.PathJoin(dir, formatFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", dataFormat)
	return errors.Join(err, f.Sync(), f.Close())
}

// Pending tells how many compactions run, and how many bytes wait for one.
func (s *Store) Pending() (running int64, debt uint64) {
	m := s.db.Metrics()
	return m.Compact.NumInProgress, m.Compact.EstimatedDebt
}

// Close implements store.Store. It flushes first, so that the next start has no log to replay.
func (s *Store) Close() error {
	s.readers.close()
	if s.readOnly {
		return convert(s.db.Close())
	}
	return errors.Join(convert(s.db.Flush()), convert(s.db.Close()))
}
