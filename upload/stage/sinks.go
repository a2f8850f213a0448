package stage

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"kith/blob"
	"kith/internal/extsort"
)

// sinks are where frames and rejects of the read stage go: to memory as long as there are few, merged if that helps, then to blobs.
type sinks struct {
	// short counts the records with fewer cells than the header.
	short atomic.Int64
	// tooLong counts the values that are longer than their attributes, by field.
	tooLong []int64
	counts  sync.Mutex
	r       *Reader
	part    *extsort.Partition
	buckets *extsort.Buckets[blob.Writer]
	name    string   // tells the spills apart from those of other readings
	names   []string // of the spills
	most    int64    // bytes of frames before there must be more buckets
	// merger merges rows of equal keys while they are in memory; nil where they are no rows.
	merger *rowGroups
	merged []int // how many bytes of memory were merged before, by bucket

	rejects *rejectWriter
	quiet   bool
	// untilRoom is how many bytes may be taken before the room is looked at again.
	untilRoom int
}

func (r *Reader) newSinks(p *extsort.Partition, quiet bool) *sinks {
	s := &sinks{
		r: r, part: p, name: fmt.Sprintf("%08x", rand.Uint32()), most: math.MaxInt64, merger: r.newRowGroups(), merged: make([]int, p.Buckets()), rejects: r.newRejects("read", r.File.Size()), quiet: quiet,
	}
	s.buckets = extsort.NewBuckets(p.Buckets(), r.memoryBytes(), s.createSpill)
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

// createSpill makes the blob that a bucket is spilled to.
func (s *sinks) createSpill(bucket int) (blob.Writer, error) {
	name := fmt.Sprintf("%sspill-%s-%s-%05d", s.r.dir, s.r.attempt, s.name, bucket)
	s.names = append(s.names, name)
	return s.r.blobs.CreateScratch(context.Background(), name, s.r.key)
}

// take takes in a batch.
func (s *sinks) take(ctx context.Context, bt *batch) error {
	if s.untilRoom -= len(bt.data); s.untilRoom <= 0 && s.buckets.Spills() != nil {
		if err := s.r.Room(ctx); err != nil {
			return err
		}
		s.untilRoom = roomEvery
	}
	if !s.quiet {
		if err := s.rejects.take(&bt.rejects); err != nil {
			return err
		}
	}
	more := int64(0)
	for _, part := range bt.buckets {
		more += int64(len(part))
	}
	if s.buckets.Over(more) {
		if err := s.merge(ctx); err != nil {
			return err
		}
	}
	if s.buckets.Size()+more > s.most {
		return errMoreBuckets
	}
	return s.buckets.Add(bt.buckets)
}

// merge merges rows of equal keys in memory, where a look at some of them promises that there are many. A few bytes of a compressed
// file can be very many rows of few keys: they never leave memory so.
func (s *sinks) merge(ctx context.Context) error {
	if s.merger == nil || !s.repeats() {
		return nil
	}
	for i, part := range s.buckets.Memory() {
		if len(part) == s.merged[i] {
			continue
		}
		if err := s.merger.Load(ctx, bytes.NewReader(part)); err != nil {
			return err
		}
		s.buckets.Replace(i, s.merger.Bytes())
		s.merged[i] = len(s.merger.Bytes())
	}
	if s.buckets.Over(s.buckets.Limit / 2) {
		s.merger = nil // it does not pay
	}
	return nil
}

// repeats says whether rows that were taken in lately repeat keys, by looking at those of the largest bucket.
func (s *sinks) repeats() bool {
	const enough, looks = 64, 4096
	var lately []byte
	for i, part := range s.buckets.Memory() {
		if part = part[s.merged[i]:]; len(part) > len(lately) {
			lately = part
		}
	}
	keys := make(map[string]struct{}, looks)
	n := 0
	for ; n < looks && len(lately) > 0; n++ {
		f, size, err := parseFrame(lately)
		if err != nil {
			return false // whoever resolves the bucket says so
		}
		keys[string(f.key)] = struct{}{}
		lately = lately[size:]
	}
	return n >= enough && len(keys) < n*3/4
}

// skewed says whether a bucket has become much larger than it should be.
func (s *sinks) skewed() bool {
	return s.buckets.Largest() > skewFactor*max(s.buckets.Size()/int64(s.part.Buckets()), s.r.bucketBytes())
}

func (p *Plan) newRejects(stage string, fileSize int64) *rejectWriter {
	return &rejectWriter{most: keptBytes + 2*fileSize, mostOf: keptRejects, create: func() (blob.Writer, string, error) {
		name := fmt.Sprintf("%srejects-%s-%s", p.dir, p.attempt, stage)
		b, err := p.blobs.Create(context.Background(), name, p.key)
		return b, name, err
	}}
}

// commit returns the names of the spills, none when all is in memory.
func (s *sinks) commit() ([]string, error) {
	for _, b := range s.buckets.Spills() {
		if _, err := b.Commit(); err != nil {
			return nil, err
		}
	}
	return s.names, nil
}

func (s *sinks) abort() {
	for _, b := range s.buckets.Spills() {
		b.Abort()
	}
	s.rejects.abort()
}

// roomEvery is after how many bytes of a file the room on the disk is looked at.
const roomEvery = 16 << 20
