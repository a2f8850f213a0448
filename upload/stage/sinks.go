package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"kith/blob"
	"kith/internal/extsort"
	"kith/profile/fold"
	"kith/schema"
)

// Buckets are where the rows of a file wait to be resolved: in a pool of this process or, where nodes share the work, in blobs, which are
// scratch.
type Buckets struct {
	pool   *extsort.Pool
	pieces [][]extsort.Piece
	// Once says that each bucket is loaded once, which uses it up.
	Once   bool
	Spills []string
}

// Close gives the memory back.
func (b *Buckets) Close() {
	if b != nil {
		b.pool.Close()
	}
}

// sinks are where frames and rejects of the read stage go. A frame is handed over by the worker that made it, in chunks, in any order: rows have numbers.
type sinks struct {
	// short counts the records with fewer cells than the header.
	short atomic.Int64
	// tooLong counts the values that are longer than their attributes, by field.
	tooLong []int64
	counts  sync.Mutex
	r       *Reader
	part    *extsort.Partition
	pool    *extsort.Pool
	buckets []sinkBucket
	name    string // tells the spills apart from those of other readings
	size    atomic.Int64
	most    int64 // bytes of frames before there must be more buckets
	// rows says that frames are rows, which can be merged.
	rows bool

	rejects *rejectWriter
	quiet   bool
	// untilRoom is how many bytes may be taken before the room is looked at again.
	untilRoom int
}

// sinkBucket is a bucket while it is filled.
type sinkBucket struct {
	mu     sync.Mutex
	pieces []extsort.Piece
	spill  blob.Writer // where nodes share the work
	name   string      // of the spill
	size   int64       // bytes of frames
	look   int64       // the size at which it is looked at whether rows can be merged
}

// lookFirst is the first size of a bucket at which it is looked at whether its rows can be merged, and mergeAlways the one from which on
// they are, whatever a look at a few of them says.
const (
	lookFirst   = 256 << 10
	mergeAlways = 32 << 20
)

func (r *Reader) newSinks(p *extsort.Partition, quiet bool) *sinks {
	n := p.Buckets()
	s := &sinks{r: r, part: p, buckets: make([]sinkBucket, n), name: fmt.Sprintf("%08x", rand.Uint32()), most: math.MaxInt64, rows: true, rejects: r.newRejects("read", r.File.Size()), quiet: quiet}
	s.pool = extsort.NewPool(r.arena, extsort.ChunkSize(n*r.workers()), r.MemoryBytes, r.scratchDir)
	for i := range s.buckets {
		s.buckets[i].look = min(lookFirst, int64(s.pool.Size()))
	}
	return s
}

// addTooLong adds what one worker has counted.
func (s *sinks) addTooLong(counts []int64) {
	s.counts.Lock()
	defer s.counts.Unlock()
	if s.tooLong == nil {
		s.tooLong = make([]int64, len(counts))
	}
	for i, n := range counts {
		s.tooLong[i] += n
	}
}

// take takes in what a batch has besides its frames, in the order of the file.
func (s *sinks) take(ctx context.Context, bt *batch) error {
	if s.untilRoom -= len(bt.data); s.untilRoom <= 0 {
		if err := s.r.Room(ctx); err != nil {
			return err
		}
		s.untilRoom = roomEvery
	}
	if s.quiet {
		return nil
	}
	return s.rejects.take(&bt.rejects)
}

// add takes in a chunk of frames.
func (s *sinks) add(bucket int, chunk []byte) error {
	if s.size.Add(int64(len(chunk))) > s.most {
		return errMoreBuckets
	}
	b := &s.buckets[bucket]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += int64(len(chunk))
	if s.r.Shared {
		defer s.pool.Free(chunk)
		return s.spill(bucket, chunk)
	}
	repeated := false
	if s.rows && b.size >= b.look {
		repeated = b.size >= mergeAlways || repeats(chunk)
		b.look = 2 * b.size
	}
	piece, err := s.pool.Keep(chunk)
	if err != nil {
		return err
	}
	if b.pieces = append(b.pieces, piece); repeated {
		return s.merge(b)
	}
	return nil
}

// spill appends a chunk to the blob of a bucket.
func (s *sinks) spill(bucket int, chunk []byte) (err error) {
	b := &s.buckets[bucket]
	if b.spill == nil {
		b.name = fmt.Sprintf("%sspill-%s-%s-%05d", s.r.dir, s.r.attempt, s.name, bucket)
		if b.spill, err = s.r.blobs.CreateScratch(context.Background(), b.name, s.r.key); err != nil {
			return err
		}
	}
	_, err = b.spill.Write(chunk)
	return err
}

// merge merges the rows of equal keys of a bucket. A few bytes of a compressed file can be very many rows of few keys: they take no room so.
func (s *sinks) merge(b *sinkBucket) error {
	set := s.r.newRowSet(s.pool)
	defer set.reset()
	for _, p := range b.pieces {
		if err := set.load(p, true); err != nil {
			return err
		}
	}
	b.pieces = nil
	if err := set.compact(); err != nil {
		return err
	}
	before := b.size
	b.size = int64(set.size)
	for _, l := range set.loads {
		c := l.b
		if len(c) <= s.pool.Size() {
			c = append(s.pool.Chunk(), c...)
		}
		p, err := s.pool.Keep(c)
		if err != nil {
			return err
		}
		b.pieces = append(b.pieces, p)
	}
	s.size.Add(b.size - before)
	b.look = max(2*b.size, lookFirst)
	return nil
}

// repeats says whether rows repeat keys, by looking at some of them.
func repeats(frames []byte) bool {
	const enough, looks = 64, 2048
	keys := make(map[string]struct{}, looks)
	n := 0
	for ; n < looks && len(frames) > 0; n++ {
		size := frameSize(frames)
		if size == 0 {
			return false // whoever resolves the bucket says so
		}
		keys[string(frameKey(frames))] = struct{}{}
		frames = frames[size:]
	}
	return n >= enough && len(keys) < n*3/4
}

// skewed says whether a bucket has become much larger than it should be.
func (s *sinks) skewed() bool {
	largest := int64(0)
	for i := range s.buckets {
		largest = max(largest, s.buckets[i].size)
	}
	return largest > skewFactor*max(s.size.Load()/int64(s.part.Buckets()), s.r.bucketBytes())
}

func (p *Plan) newRejects(stage string, fileSize int64) *rejectWriter {
	return &rejectWriter{most: keptBytes + 2*fileSize, mostOf: keptRejects, create: func() (blob.Writer, string, error) {
		name := fmt.Sprintf("%srejects-%s-%s", p.dir, p.attempt, stage)
		b, err := p.blobs.Create(context.Background(), name, p.key)
		return b, name, err
	}}
}

// commit returns the buckets, which are the caller's to close.
func (s *sinks) commit() (*Buckets, error) {
	found := &Buckets{}
	if s.r.Shared {
		for i := range s.buckets {
			b := &s.buckets[i]
			if b.spill == nil {
				if err := s.spill(i, nil); err != nil {
					return nil, err
				}
			}
			if _, err := b.spill.Commit(); err != nil {
				return nil, err
			}
			found.Spills = append(found.Spills, b.name)
		}
		return found, nil
	}
	for i := range s.buckets {
		found.pieces = append(found.pieces, s.buckets[i].pieces)
	}
	found.pool, s.pool = s.pool, nil
	return found, nil
}

func (s *sinks) abort() {
	for i := range s.buckets {
		if b := s.buckets[i].spill; b != nil {
			b.Abort()
		}
	}
	s.pool.Close()
	s.rejects.abort()
}

// roomEvery is after how many bytes of a file the room on the disk is looked at.
const roomEvery = 16 << 20

// frameWriter takes the frames of one worker to their buckets.
type frameWriter struct {
	to    *sinks
	local [][]byte // a chunk that is being filled, by bucket
}

func (s *sinks) newWriter() *frameWriter {
	return &frameWriter{to: s, local: make([][]byte, s.part.Buckets())}
}

// space returns room for a frame of n bytes of a bucket.
func (w *frameWriter) space(bucket, n int) ([]byte, error) {
	c, full := w.to.pool.Room(w.local[bucket], n)
	if full {
		if err := w.to.add(bucket, w.local[bucket]); err != nil {
			w.local[bucket] = nil
			return nil, err
		}
	}
	at := len(c)
	w.local[bucket] = c[:at+n]
	return c[at : at+n : at+n], nil
}

// put takes in the record that a mapper has read.
func (w *frameWriter) put(m *mapper) error {
	key := schema.IndexBytes(m.key)
	body := 0
	for i, v := range m.vals {
		if v != nil {
			body += len(m.before[i]) + uvarintLen(uint64(len(v))) + len(v)
		}
	}
	bucket := w.to.part.Bucket(key)
	if body > maxLean {
		return w.putRich(bucket, m, key)
	}
	parts := partSize * len(m.plan.lean)
	b, err := w.space(bucket, frameHead+len(key)+parts+body)
	if err != nil {
		return err
	}
	b = putHead(b, m.row, 0, key)
	at, values := b[:parts], b[parts:]
	m.encode(values[:0])
	for i, field := range m.plan.lean {
		v := m.vals[field]
		binary.LittleEndian.PutUint16(at[partSize*i:], uint16(m.ends[field]-len(v)))
		binary.LittleEndian.PutUint16(at[partSize*i+2:], uint16(len(v)))
	}
	return nil
}

// encode appends the values, and notes where each ends.
func (m *mapper) encode(b []byte) []byte {
	m.ends = m.ends[:0]
	for i, v := range m.vals {
		if v != nil {
			b = append(b, m.before[i]...)
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		}
		m.ends = append(m.ends, len(b))
	}
	return b
}

// putRich takes in a record that is too large for a lean frame.
func (w *frameWriter) putRich(bucket int, m *mapper, key []byte) error {
	var keys keyList
	keys.add(matchFamily, key)
	var vals [][]byte
	for _, field := range m.plan.lean {
		vals = append(vals, m.vals[field])
	}
	m.plan.collect(vals, &keys, nil)
	frame := appendRich(nil, &frame{rows: 1, first: m.row, key: key, keys: keys.appendTo(nil), body: m.encode(nil)})
	b, err := w.space(bucket, len(frame))
	copy(b, frame)
	return err
}

// putID takes in a profile that has a key, as the values of a frame.
func (w *frameWriter) putID(key []byte, id fold.ID) error {
	parts := partSize * len(w.to.r.keyPlan.lean)
	b, err := w.space(w.to.part.Bucket(key), frameHead+len(key)+parts+len(id))
	if err != nil {
		return err
	}
	b = putHead(b, 0, 0, key)
	clear(b[:parts])
	copy(b[parts:], id[:])
	return nil
}

// flush hands over what is left.
func (w *frameWriter) flush() error {
	var all error
	for bucket, c := range w.local {
		if w.local[bucket] = nil; len(c) > 0 {
			all = errors.Join(all, w.to.add(bucket, c))
		}
	}
	return all
}
