package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"kith/fault"
)

// The errors of every engine. Engines convert their driver's errors into these or wrap them as they are.
var (
	// ErrNotFound says that a row does not exist.
	ErrNotFound = errors.New("row not found")
	// ErrConflict says that a row had not the version a Swap expected; nothing was written.
	ErrConflict = errors.New("version conflict")
	// ErrUnknown says that a Swap may or may not have happened. Read again before deciding, as Certain does.
	ErrUnknown = fmt.Errorf("the store's answer was lost: %w", fault.ErrUnknown)
	// ErrTooLarge says that a key, value or batch is over the limits below.
	ErrTooLarge = errors.New("too large for the store")
	// ErrOrder says that a Probe or a WriteRun was not given in ascending order.
	ErrOrder = errors.New("not in ascending order")
	// ErrUnavailable says that the engine can't be reached or is overloaded, and that the call may go when it is made again.
	ErrUnavailable = fmt.Errorf("the store is %w", fault.ErrUnavailable)
	// ErrDamaged says that what the call needs has been damaged on disk. Other rows may be well.
	ErrDamaged = errors.New("stored data is damaged")
	// ErrLocked says that another process has the data folder open.
	ErrLocked = errors.New("the data folder is in use by another process")
	// ErrFormat says that the data was written by a newer version of the program.
	ErrFormat = errors.New("the data folder was written by a newer version")
	// ErrOldFormat says that the data was written by an older version of the program, which this one can't read.
	ErrOldFormat = errors.New("the data folder was written by an older version")
)

// The limits come from the weakest engine, a Cassandra-compatible cluster: a key there is at most 64 KiB, and a mutation at
// most half of a commit log segment of 32 MiB; large cells hurt long before that.
const (
	MaxKey   = 4 << 10 // partition key and row key together, bytes
	MaxValue = 2 << 20
	MaxBatch = 4 << 20 // all mutations of one Write or Swap
)

// Table names a family of partitions. Append only; the numbers are on disk.
type Table byte

// The tables.
const (
	Catalog     Table = 1  // domains and access keys; incarnation 0
	Jobs        Table = 2  // work, its leases, the turn of a domain
	Profile     Table = 3  // contributions of profiles
	Index       Table = 4  // key values of profiles
	Resource    Table = 5  // named records of a domain
	Change      Table = 6  // feed of changed profiles; dropped by whole partitions
	History     Table = 7  // history records of profiles
	Body        Table = 8  // bodies of profile objects
	Query       Table = 9  // index of words of profiles
	Match       Table = 10 // what identity resolution found, and finds it by
	Fingerprint Table = 11 // what profiles show by imports, in short
)

// Tables lists all tables, for sweeps.
var Tables = []Table{Catalog, Jobs, Profile, Index, Resource, Change, History, Body, Query, Match, Fingerprint}

// ManyWriters says that the Write rows of a table may have several writers at the same time; see the package documentation.
func (t Table) ManyWriters() bool { return t == Index || t == History || t == Fingerprint }

// String returns the table's name on a cluster.
func (t Table) String() string {
	switch t {
	case Catalog:
		return "catalog"
	case Jobs:
		return "jobs"
	case Profile:
		return "profile"
	case Index:
		return "key_index"
	case Resource:
		return "resource"
	case Change:
		return "change"
	case History:
		return "history"
	case Body:
		return "body"
	case Query:
		return "query_index"
	case Match:
		return "match"
	case Fingerprint:
		return "fingerprint"
	}
	return fmt.Sprintf("table%d", byte(t))
}

// Incarnation is the life of a domain between its creation and its deletion; 0 belongs to no domain.
type Incarnation uint64

// Dir is what the names of all blobs of a domain begin with.
func (inc Incarnation) Dir() string { return strconv.FormatUint(uint64(inc), 16) + "/" }

// Partition names a partition.
type Partition struct {
	Table       Table
	Incarnation Incarnation
	Key         string
}

// Row is a row as read. Its bytes are valid until the iterator moves on, or for ever when Get returned it.
type Row struct {
	Key   []byte
	Value []byte
	// Version is set for Swap rows, and above 0.
	Version uint64
	// Time is set for Write rows: the writer's time in microseconds.
	Time int64
}

// Clone returns a copy that the caller may keep.
func (r Row) Clone() Row {
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	return r
}

// Range is a half-open range of row keys; nil bounds are open. Limit 0 means all.
type Range struct {
	Start, End []byte
	Limit      int
}

// Prefix returns the range of row keys that begin with p.
func Prefix(p string) Range { return Range{Start: []byte(p), End: After([]byte(p))} }

// After returns the first key behind all keys that begin with p, or nil when there is none.
func After(p []byte) []byte {
	end := bytes.Clone(p)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// Mutation is one blind put or delete of a Write row.
type Mutation struct {
	Key    []byte
	Value  []byte
	Delete bool
	Time   int64 // microseconds, above 0: the writer's time; a delete removes what is not newer
}

// PartitionWrite is the blind mutations of one partition in a Commit.
type PartitionWrite struct {
	Partition Partition
	Mutations []Mutation
}

// Group is what one Commit writes: rows of several partitions and tables around at most one Swap. It names no row twice.
type Group struct {
	// Before is durable no later than the Swap is visible.
	Before []PartitionWrite
	// Swap is conditional, in one Partition. Without operations there is none.
	Partition Partition
	Swap      []Swap
	// After is written no earlier than the Swap has happened.
	After []PartitionWrite
	// Since is a Mark that was made before any of the versions was read that the Swap expects, each as the store had it; 0 is none. So the
	// engine need not read them again where it knows of no change.
	Since uint64
	// Lazy says that the group need not be durable on return, only when a later Write, Swap or Commit of this process is.
	Lazy bool
	// Visible, if it is set, is called when everything of the group is visible, perhaps before it is durable; what this process writes from
	// then on by Write, Swap or Commit is durable no earlier than the group. It is called once at most, never when nothing has happened,
	// and must not use the store.
	Visible func()
}

// Swap is one conditional put, delete or check of a Swap row. Expect is the version the row must have, 0 for absent.
type Swap struct {
	Key    []byte
	Value  []byte
	Expect uint64
	Op     SwapOp
}

// SwapOp is what a Swap does when every expectation of its call holds.
type SwapOp byte

// The operations of a Swap.
const (
	Put SwapOp = iota
	Delete
	Check
)

// Probe asks for a range of rows of one partition.
type Probe struct {
	Partition string
	Range     Range
}

// Hit is a row that a Probe found. Index counts the probes from 0.
type Hit struct {
	Index int
	Row   Row
}

// Run is a part of a WriteRun: mutations of one table, ascending by incarnation, partition and row key.
type Run struct {
	Table Table
	Rows  iter.Seq2[RunRow, error]
}

// RunRow is one mutation of a Run. Its bytes need be valid only until the next one is asked for.
type RunRow struct {
	Incarnation Incarnation
	Partition   []byte
	Mutation    Mutation
}

// SweepRange is a part of a table to sweep. The zero Incarnation means all of them.
type SweepRange struct {
	Table       Table
	Incarnation Incarnation
	// From and To are engine positions: the cursor of a SweepRow, or bounds made by Split. Empty is open.
	From, To string
}

// SweepRow is a row met by a Sweep, with the cursor from which a later Sweep goes on behind it. Both are good until the iterator moves on.
type SweepRow struct {
	Partition Partition
	Row       Row
	Cursor    func() string
}

// Store is the contract. All methods are safe for concurrent use; iterators are for one goroutine. A context that ends
// stops the call with the context's error. Suite: store/storetest.
type Store interface {
	// Get returns one row, or ErrNotFound.
	Get(ctx context.Context, p Partition, key []byte) (Row, error)

	// Scan streams the rows of a range of one partition in key order.
	Scan(ctx context.Context, p Partition, r Range) iter.Seq2[Row, error]

	// Probe streams the rows of many small ranges, in the order of the probes, which must ascend by partition and then by
	// Range.Start (else ErrOrder). It is not a snapshot.
	Probe(ctx context.Context, t Table, inc Incarnation, probes iter.Seq[Probe]) iter.Seq2[Hit, error]

	// Write applies blind mutations of Write rows of one partition: all or none, repeatable, durable on return. On a cluster a
	// partition of Index that has become very large is atomic in parts only.
	Write(ctx context.Context, p Partition, ms []Mutation) error

	// WriteRun applies many mutations: those of one partition are atomic (as far as they are few: a cluster writes 500 of them
	// at once), everything is durable on return, and it may be repeated. It compares no times, whatever the table: its rows have
	// one writer, whose time is the newest they ever had. Each run ascends (else ErrOrder),
	// and no two of a table interleave. The runs may be read side by side, each in a goroutine of its own, but no row
	// becomes visible before all rows of the runs ahead of its own. An error leaves any partitions of one run written.
	WriteRun(ctx context.Context, runs ...Run) error

	// Swap applies conditional operations on Swap rows of one partition, all or none, durable on return. It returns the
	// version that every row it put now has. ErrConflict: an expectation failed, nothing was written. ErrUnknown: it may
	// have happened.
	Swap(ctx context.Context, p Partition, ops []Swap) (uint64, error)

	// Commit applies a group with one wait for the disk, and returns the version that every row its Swap put now has, or 0.
	// ErrConflict: an expectation of the Swap failed. Then nothing of After was written; of Before nothing in one process, any
	// part on a cluster. ErrUnknown: the Swap may have happened. Another error: with version 0 the Swap has not happened; with
	// another one it has, and any part of After may lack. Only where Commit is Whole may anybody rely on more.
	Commit(ctx context.Context, g Group) (uint64, error)

	// Mark returns a mark of the present, for a later Commit; 0 where the engine has none.
	Mark() uint64

	// Whole says that a Commit happens as a whole, or not at all: for readers but those of a Probe or Scan that is under way, and in a crash.
	Whole() bool

	// Sweep streams all rows of a range of a table in the engine's order, whole partitions together. Where the engine is Whole, that is the order of
	// incarnations, partitions and row keys. It is not a snapshot:
	// a row written or deleted meanwhile may or may not be met; every row that stays untouched is met exactly once.
	Sweep(ctx context.Context, r SweepRange) iter.Seq2[SweepRow, error]

	// Split cuts a range into at most n ranges of roughly equal size that cover it. No partition is cut.
	Split(ctx context.Context, r SweepRange, n int) ([]SweepRange, error)

	// DropRange removes all rows of an incarnation from a table, Swap rows too. Only for dead incarnations.
	DropRange(ctx context.Context, t Table, inc Incarnation) error

	// DropPartitions removes the partitions from ≤ key < to of an incarnation from a table, Swap rows too, without reading them.
	// Only for partitions that nobody writes any more. keys lists those that may exist, in any order, for engines that can't
	// remove a range.
	DropPartitions(ctx context.Context, t Table, inc Incarnation, from, to string, keys iter.Seq[string]) error

	// Checkpoint writes a consistent copy into dir, which must not exist. Engines whose copies are the operator's business
	// return an error that says so.
	Checkpoint(ctx context.Context, dir string) error

	// Close releases the engine. No other call may be running or follow.
	Close() error
}

// Versions gives out the versions of an engine's Swap rows: the clock in nanoseconds. They rise within a process, and no row can
// have had one before: the versions of a row rise while it lives, and a row that comes back does so later.
type Versions struct{ last atomic.Uint64 }

// Next returns a version above floor and all that were given out before.
func (v *Versions) Next(floor uint64) uint64 {
	for {
		last := v.last.Load()
		next := max(uint64(time.Now().UnixNano()), last+1, floor+1)
		if v.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// CheckMutations returns ErrTooLarge when a batch is over the limits. Engines call it first.
func CheckMutations(p Partition, ms []Mutation) error {
	total := 0
	for _, m := range ms {
		if err := checkSize(p.Key, m.Key, m.Value); err != nil {
			return err
		}
		total += len(m.Key) + len(m.Value)
	}
	return checkBatch(total)
}

// CheckSwaps is CheckMutations for Swap.
func CheckSwaps(p Partition, ops []Swap) error {
	total := 0
	for _, op := range ops {
		if err := checkSize(p.Key, op.Key, op.Value); err != nil {
			return err
		}
		total += len(op.Key) + len(op.Value)
	}
	return checkBatch(total)
}

// CheckGroup is CheckMutations and CheckSwaps for each part of a group.
func CheckGroup(g Group) error {
	for _, part := range [][]PartitionWrite{g.Before, g.After} {
		for _, w := range part {
			if err := CheckMutations(w.Partition, w.Mutations); err != nil {
				return err
			}
		}
	}
	return CheckSwaps(g.Partition, g.Swap)
}

func checkSize(part string, key, value []byte) error {
	if n := len(part) + len(key); n > MaxKey {
		return fmt.Errorf("%w: a key of %d bytes, the limit is %d", ErrTooLarge, n, MaxKey)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("%w: a value of %d bytes, the limit is %d", ErrTooLarge, len(value), MaxValue)
	}
	return nil
}

func checkBatch(total int) error {
	if total > MaxBatch {
		return fmt.Errorf("%w: a batch of %d bytes, the limit is %d", ErrTooLarge, total, MaxBatch)
	}
	return nil
}

// SortRows sorts rows of one table in place, leaves out repetitions, and streams them. Only for few rows.
func SortRows(rows []RunRow) iter.Seq2[RunRow, error] {
	slices.SortStableFunc(rows, func(a, b RunRow) int {
		if c := cmp.Compare(a.Incarnation, b.Incarnation); c != 0 {
			return c
		}
		if c := bytes.Compare(a.Partition, b.Partition); c != 0 {
			return c
		}
		return bytes.Compare(a.Mutation.Key, b.Mutation.Key)
	})
	rows = slices.CompactFunc(rows, func(a, b RunRow) bool {
		return a.Incarnation == b.Incarnation && bytes.Equal(a.Partition, b.Partition) && bytes.Equal(a.Mutation.Key, b.Mutation.Key)
	})
	return func(yield func(RunRow, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// DropListed is DropPartitions for who does not know which partitions there are: engines that have to know are told by a sweep.
func DropListed(ctx context.Context, s Store, t Table, inc Incarnation, from, to string) error {
	var failed error
	keys := func(yield func(string) bool) {
		last := ""
		for row, err := range s.Sweep(ctx, SweepRange{Table: t, Incarnation: inc}) {
			if err != nil {
				failed = err
				return
			}
			key := row.Partition.Key
			if key != last && from <= key && key < to && !yield(key) {
				return
			}
			last = key
		}
	}
	return errors.Join(s.DropPartitions(ctx, t, inc, from, to, keys), failed)
}

// Collect gathers a Scan into clones. Only for ranges known to be small.
func Collect(rows iter.Seq2[Row, error]) ([]Row, error) {
	var all []Row
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		all = append(all, row.Clone())
	}
	return all, nil
}
