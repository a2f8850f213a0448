package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"kith/internal/extsort"
	"kith/profile/fingerprint"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Output takes what resolving buckets decides to rows of the store. Rows that are in the store's order as they come, of profiles that are
// created and of the key that rows are matched by, become tables at once, which the engine keeps aside, a pair of them per bucket. The others are entries of
// shelves, which are sorted when all are there. Nothing of it is visible before it is landed, and all of it is scratch: what is published of a bucket
// makes it again, from the file (Resolver.Again).
//
// Where the engine builds no tables aside, an Output is one bucket's, and all rows go over shelves.
type Output struct {
	*Plan
	engine store.Stager // nil: it builds no tables aside
	pool   *extsort.Pool
	// direct says that a bucket's rows of the unique key are a stretch of the index that no other bucket has rows in.
	direct        bool
	shelves       []*shelf // of index rows, by family
	contributions *shelf
	// among is the part of contributions to profiles that were there with ids among those that the job may mint, of the same millisecond: a table of them
	// would reach over those of created profiles. Calls make such ids, if rarely, and a clock that was set back makes many.
	among int
	large int // bytes of a part that are sorted in memory

	mu      sync.Mutex
	writers []*outputWriter
	staged  map[int][]store.Staged // by bucket
	void    []fold.ID              // profiles of the part among, whose prints no longer hold
}

// A shelf is entries of one kind on their way, by ranges of what they are sorted by, in any order. Encoding of an entry, integers little-endian:
//
//	length of the value (2) | bucket (2) | counter of a created profile, or 0 (4) | value | [profile, where the counter is 0 (16)]
//
// An index row's value is that of the index. A contribution's is the profile's id, which does not follow again; its counter is an entryKind, and then follow
//
//	size of the rest (4) | row (5) | encoded contribution behind its stamp (entrySays), or the source of the one that it repeats (entryRepeats, entryKnown) |
//	the fingerprints of what it says (entrySays, entryRepeats)
type shelf struct {
	part   *extsort.Partition
	said   bool // of contributions
	mu     sync.Mutex
	pieces [][]extsort.Piece
	sizes  []int64
}

func newShelf(bounds [][]byte, said bool) *shelf {
	n := len(bounds) + 1
	return &shelf{part: extsort.ByRange(bounds), said: said, pieces: make([][]extsort.Piece, n), sizes: make([]int64, n)}
}

const (
	entryHead = 2 + 2 + 4
	saidHead  = 4 + 5
)

// entryKind says what a contribution is: one that says something, one that repeats another, or one that does to a profile that was recognised by its
// fingerprint, so that its print stays.
type entryKind uint32

// The kinds of contributions.
const (
	entrySays    entryKind = 1
	entryRepeats entryKind = 2
	entryKnown   entryKind = 3
)

// entrySize returns the size of the entry at the start of b.
func (s *shelf) entrySize(b []byte) int {
	n := entryHead + int(binary.LittleEndian.Uint16(b))
	switch {
	case s.said:
		return n + 4 + int(binary.LittleEndian.Uint32(b[n:]))
	case binary.LittleEndian.Uint32(b[4:]) == 0:
		return n + len(fold.ID{})
	}
	return n
}

// entryValue returns what the entry at the start of b is sorted by, before its profile.
func entryValue(b []byte) []byte {
	return b[entryHead : entryHead+int(binary.LittleEndian.Uint16(b))]
}

// entryBucket returns the bucket that the entry at the start of b comes from.
func entryBucket(b []byte) int { return int(binary.LittleEndian.Uint16(b[2:])) }

// entryID returns the profile of the entry of an index row at the start of b.
func (p *Plan) entryID(b []byte) fold.ID {
	if n := binary.LittleEndian.Uint32(b[4:]); n > 0 {
		return p.mint(entryBucket(b), n)
	}
	return fold.ID(b[entryHead+int(binary.LittleEndian.Uint16(b)):])
}

// compareIDs compares the profiles of two entries of index rows. Ids of created ones ascend with bucket and counter.
func (p *Plan) compareIDs(x, y []byte) int {
	if nx, ny := binary.LittleEndian.Uint32(x[4:]), binary.LittleEndian.Uint32(y[4:]); nx > 0 && ny > 0 {
		return cmp.Compare(uint64(entryBucket(x))<<32|uint64(nx), uint64(entryBucket(y))<<32|uint64(ny))
	}
	ix, iy := p.entryID(x), p.entryID(y)
	return bytes.Compare(ix[:], iy[:])
}

// said is a contribution on a shelf.
type said struct {
	row  int64
	kind entryKind
	says []byte           // behind its stamp; of a repeat the source of the one that it repeats
	hash fingerprint.Hash // but of entryKnown; zero where no tables are built
}

// entrySaid reads the entry of a contribution at the start of b.
func entrySaid(b []byte) (s said) {
	s.kind = entryKind(binary.LittleEndian.Uint32(b[4:]))
	b = b[entryHead+int(binary.LittleEndian.Uint16(b)):]
	s.row, s.says = int64(binary.LittleEndian.Uint32(b[4:]))|int64(b[8])<<32, b[saidHead:4+binary.LittleEndian.Uint32(b)]
	if s.kind != entryKnown {
		n := len(s.says) - len(s.hash)
		s.says, s.hash = s.says[:n], fingerprint.Hash(s.says[n:])
	}
	return s
}

// Bounds of what is sampled and of what a part of a shelf has.
const (
	sampleFrames = 4096    // of all buckets
	sampleLeast  = 32      // of each
	shelfPart    = 1 << 20 // bytes: so much is sorted within the caches of a processor; of contributions four times as much
	mostParts    = 512     // of all shelves, each with a chunk for each worker
)

// newBucketOutput returns an output for one bucket, without tables.
func (p *Plan) newBucketOutput() *Output {
	o := &Output{Plan: p, large: largePart, pool: extsort.NewPool(p.arena, extsort.ChunkSize(1), 0, p.scratchDir)}
	for range p.families {
		o.shelves = append(o.shelves, newShelf(nil, false))
	}
	o.contributions = newShelf(nil, true)
	return o
}

// NewOutput returns an output for all buckets of a file. indexed says that the domain has index rows, so that rows may match.
func (p *Plan) NewOutput(ctx context.Context, engine store.Stager, from *Buckets, read *ReadResult, indexed bool) (*Output, error) {
	o := &Output{Plan: p, engine: engine, large: largePart, direct: read.Bounds != nil && p.onlyUnique(), staged: map[int][]store.Staged{}}
	found, err := p.sampleKeys(from)
	if err != nil {
		return nil, err
	}
	scale := float64(read.Rows) / float64(max(1, found.rows)) / shelfPart // parts for a byte of the sample
	most := mostParts / (len(p.families) + 1)
	parts := 0
	for family, values := range found.values {
		n := min(max(1, int(scale*float64(found.bytes[family]))), most)
		s := newShelf(extsort.Bounds(values, n), false)
		o.shelves = append(o.shelves, s)
		parts += s.part.Buckets()
	}
	var bounds [][]byte
	if indexed {
		ids, err := p.sampleMatches(ctx, found.values[matchFamily])
		if err != nil {
			return nil, err
		}
		share := float64(len(ids)) / float64(max(1, len(found.values[matchFamily])))
		bounds = extsort.Bounds(ids, min(max(1, int(scale*share*float64(found.said)/4)), most))
	}
	bounds, o.among = p.aroundCreated(bounds)
	o.contributions = newShelf(bounds, true)
	o.pool = extsort.NewPool(p.arena, extsort.ChunkSize(ResolveWorkers()*(parts+len(bounds)+1)), 0, p.scratchDir)
	return o, nil
}

// onlyUnique says that rows have no key of the family that they are matched by, but the one that they are matched by.
func (p *Plan) onlyUnique() bool {
	return !slices.ContainsFunc(p.keyPlan.singles, func(s planPart) bool {
		return s.family == matchFamily && (len(p.m.unique) != 1 || p.m.fields[p.keyPlan.lean[s.place]].label != p.m.unique[0].label)
	})
}

// keySample is what some rows of a file have.
type keySample struct {
	rows   int
	values [][][]byte // by family
	bytes  []int      // of entries, by family
	said   int        // bytes of contributions
}

// sampleKeys looks at some rows of each bucket.
func (p *Plan) sampleKeys(from *Buckets) (*keySample, error) {
	found := &keySample{values: make([][][]byte, len(p.families)), bytes: make([]int, len(p.families))}
	b := p.NewResolver(from, false, nil)
	for _, pieces := range from.pieces {
		if len(pieces) == 0 {
			continue
		}
		data, err := from.pool.Load(pieces[0])
		if err != nil {
			return nil, err
		}
		rest := data
		for range max(sampleLeast, sampleFrames/len(from.pieces)) {
			n := frameSize(rest)
			if n == 0 {
				break
			}
			f := frameOf(rest, len(p.keyPlan.lean))
			b.collectKeys(&f)
			b.keys.each(func(family int, value []byte) {
				found.values[family] = append(found.values[family], bytes.Clone(value))
				found.bytes[family] += entryHead + len(value)
			})
			found.rows++
			found.said += entryHead + saidHead + len(f.body)
			rest = rest[n:]
		}
		from.pool.Unload(pieces[0], data)
	}
	return found, nil
}

// sampleMatches returns the profiles that the index names for some values, which ascend.
func (p *Plan) sampleMatches(ctx context.Context, values [][]byte) (ids [][]byte, err error) {
	probes := func(yield func(store.Probe) bool) {
		for _, v := range values {
			if !yield(store.Probe{Partition: p.m.index + "\x01" + string(v), Range: store.Range{Limit: 1}}) {
				return
			}
		}
	}
	for hit, err := range p.store.Probe(ctx, store.Index, p.inc, probes) {
		if err != nil {
			return nil, fmt.Errorf("probe the index: %w", err)
		}
		if id, _, ok := index.ParseRowKey(hit.Row.Key); ok {
			ids = append(ids, bytes.Clone(id[:]))
		}
	}
	return ids, nil
}

// aroundCreated puts bounds around the ids that the job may mint, in the place of those among them, and returns the part between the two.
func (p *Plan) aroundCreated(bounds [][]byte) (all [][]byte, among int) {
	least := fold.ImportID(p.time, 0, 0, 0)
	most := fold.ImportID(p.time, fold.MaxBuckets-1, 0, 0)
	from, to := least[:8], binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(most[:8])+1)
	for _, b := range bounds {
		if bytes.Compare(b, from) < 0 {
			all = append(all, b)
		}
	}
	among = len(all) + 1
	all = append(all, from, to)
	for _, b := range bounds {
		if bytes.Compare(b, to) > 0 {
			all = append(all, b)
		}
	}
	return all, among
}

// ResolveWorkers is how many buckets are resolved side by side.
func ResolveWorkers() int { return min(runtime.NumCPU(), 4) }

// outputWriter takes the entries of one worker to their shelves.
type outputWriter struct {
	*Output
	local [][][]byte // by shelf, the last one of contributions, and part
}

func (o *Output) newWriter() *outputWriter {
	w := &outputWriter{Output: o}
	for _, s := range o.all() {
		w.local = append(w.local, make([][]byte, s.part.Buckets()))
	}
	o.mu.Lock()
	o.writers = append(o.writers, w)
	o.mu.Unlock()
	return w
}

// all are the shelves of index rows and the one of contributions.
func (o *Output) all() []*shelf {
	return append(o.shelves[:len(o.shelves):len(o.shelves)], o.contributions)
}

// space returns room for an entry of n bytes in a part of a shelf.
func (w *outputWriter) space(i int, s *shelf, part, n int) ([]byte, error) {
	c, full := w.pool.Room(w.local[i][part], n)
	if full {
		if err := w.keep(s, part, w.local[i][part]); err != nil {
			w.local[i][part] = nil
			return nil, err
		}
	}
	at := len(c)
	w.local[i][part] = c[:at+n]
	return c[at : at+n : at+n], nil
}

func (o *Output) keep(s *shelf, part int, chunk []byte) error {
	piece, err := o.pool.Keep(chunk)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pieces[part] = append(s.pieces[part], piece)
	s.sizes[part] += int64(piece.Len())
	return nil
}

// addKey takes in an index row of a profile: of a created one by its counter, else by its id.
func (w *outputWriter) addKey(family int, value []byte, bucket int, counter uint32, id *fold.ID) error {
	s := w.shelves[family]
	n := entryHead + len(value)
	if counter == 0 {
		n += len(id)
	}
	b, err := w.space(family, s, s.part.Bucket(value), n)
	if err != nil {
		return err
	}
	putEntry(b, value, bucket, counter)
	if counter == 0 {
		copy(b[n-len(id):], id[:])
	}
	return nil
}

func putEntry(b, value []byte, bucket int, counter uint32) {
	binary.LittleEndian.PutUint16(b, uint16(len(value)))
	binary.LittleEndian.PutUint16(b[2:], uint16(bucket))
	binary.LittleEndian.PutUint32(b[4:], counter)
	copy(b[entryHead:], value)
}

// addSaid takes in the contribution of a row to a profile: what it says, or the source of the one that it repeats, and the fingerprints of what it says.
func (w *outputWriter) addSaid(id fold.ID, bucket int, row int64, kind entryKind, says, hash []byte) error {
	s := w.contributions
	n := entryHead + len(id) + saidHead + len(says) + len(hash)
	part := s.part.Bucket(id[:])
	b, err := w.space(len(w.shelves), s, part, n)
	if err != nil {
		return err
	}
	if part == w.among && w.engine != nil && kind != entryKnown {
		w.mu.Lock()
		w.void = append(w.void, id)
		w.mu.Unlock()
	}
	putEntry(b, id[:], bucket, uint32(kind))
	b = b[entryHead+len(id):]
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	binary.LittleEndian.PutUint32(b[4:], uint32(row))
	b[8] = byte(row >> 32)
	copy(b[saidHead+copy(b[saidHead:], says):], hash)
	return nil
}

// flush hands over what the writers have. Nobody may write meanwhile, nor later.
func (o *Output) flush() error {
	var all error
	shelves := o.all()
	for _, w := range o.writers {
		for i, parts := range w.local {
			for part, c := range parts {
				if len(c) > 0 {
					all = errors.Join(all, o.keep(shelves[i], part, c))
				}
				parts[part] = nil
			}
		}
	}
	o.writers = nil
	return all
}

// Close lets go of everything that was not landed.
func (o *Output) Close() {
	if o == nil {
		return
	}
	for _, tables := range o.staged {
		for _, t := range tables {
			t.Discard()
		}
	}
	o.pool.Close()
}
