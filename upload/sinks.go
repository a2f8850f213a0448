package upload

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"kith/blob"
)

// sinks are where frames and rejects of the read stage go: to memory as long as there are few, merged if that helps, then to blobs.
type sinks struct {
	w     *work
	part  *partition
	size  int64
	sizes []int64 // by bucket
	limit int64   // bytes of frames in memory
	most  int64   // bytes of frames before there must be more buckets

	memory [][]byte
	// merger merges rows of equal keys while they are in memory; nil where they are no rows.
	merger *bucketWork
	merged []int // how many bytes of memory were merged before, by bucket

	blobs   []blob.Writer
	names   []string
	rejects *rejectWriter
	quiet   bool
	// untilRoom is how many bytes may be taken before the room is looked at again.
	untilRoom int
}

func (w *work) newSinks(p *partition, quiet bool) *sinks {
	return &sinks{
		w: w, part: p, limit: w.memoryBytes(), most: math.MaxInt64, sizes: make([]int64, p.n), memory: make([][]byte, p.n),
		merger: &bucketWork{work: w}, merged: make([]int, p.n),
		rejects: w.newRejects("read"), quiet: quiet,
	}
}

// take takes in a batch.
func (s *sinks) take(ctx context.Context, bt *batch) error {
	if s.untilRoom -= len(bt.data); s.untilRoom <= 0 && s.blobs != nil {
		if err := s.w.waitForRoom(ctx); err != nil {
			return err
		}
		s.untilRoom = roomEvery
	}
	if !s.quiet {
		if err := s.rejects.take(&bt.rejects); err != nil {
			return err
		}
	}
	for i, part := range bt.buckets {
		s.size += int64(len(part))
		s.sizes[i] += int64(len(part))
	}
	if s.blobs == nil && s.size > s.limit {
		if err := s.merge(ctx); err != nil {
			return err
		}
	}
	if s.size > s.most {
		return errMoreBuckets
	}
	if s.blobs == nil && s.size > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	for i, part := range bt.buckets {
		if s.blobs == nil {
			s.memory[i] = append(s.memory[i], part...)
		} else if len(part) > 0 {
			if _, err := s.blobs[i].Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge merges rows of equal keys in memory, where a look at some of them promises that there are many. A few bytes of a compressed
// file can be very many rows of few keys: they never leave memory so.
func (s *sinks) merge(ctx context.Context) error {
	if s.merger == nil || !s.repeats() {
		return nil
	}
	for i, part := range s.memory {
		if len(part) == s.merged[i] {
			continue
		}
		if err := s.merger.loadFrom(ctx, bytes.NewReader(part)); err != nil {
			return err
		}
		s.memory[i] = append(part[:0], s.merger.buf...)
		less := int64(len(part) - len(s.memory[i]))
		s.size, s.sizes[i], s.merged[i] = s.size-less, s.sizes[i]-less, len(s.memory[i])
	}
	if s.size > s.limit/2 {
		s.merger = nil // it does not pay
	}
	return nil
}

// repeats says whether rows that were taken in lately repeat keys, by looking at those of the largest bucket.
func (s *sinks) repeats() bool {
	const enough, looks = 64, 4096
	largest := 0
	for i := range s.memory {
		if len(s.memory[i])-s.merged[i] > len(s.memory[largest])-s.merged[largest] {
			largest = i
		}
	}
	keys := make(map[string]struct{}, looks)
	n := 0
	for rest := s.memory[largest][s.merged[largest]:]; n < looks && len(rest) > 0; n++ {
		f, size, err := parseFrame(rest)
		if err != nil {
			return false // whoever resolves the bucket says so
		}
		keys[string(f.key)] = struct{}{}
		rest = rest[size:]
	}
	return n >= enough && len(keys) < n*3/4
}

// skewed says whether a bucket has become much larger than it should be.
func (s *sinks) skewed() bool {
	return slices.Max(s.sizes) > skewFactor*max(s.size/int64(s.part.n), s.w.bucketBytes())
}

// spill moves what is in memory to blobs.
func (s *sinks) spill() error {
	s.w.spilled++
	for i, part := range s.memory {
		name := fmt.Sprintf("%sspill-%s-%d-%05d", s.w.dir(), s.w.attempt, s.w.spilled, i)
		b, err := s.w.Blobs.CreateScratch(context.Background(), name, s.w.key)
		if err != nil {
			return err
		}
		s.blobs, s.names = append(s.blobs, b), append(s.names, name)
		if _, err := b.Write(part); err != nil {
			return err
		}
	}
	s.memory = nil
	return nil
}

func (w *work) newRejects(stage string) *rejectWriter {
	return &rejectWriter{most: keptBytes + 2*w.job.File.Size, mostOf: keptRejects, create: func() (blob.Writer, string, error) {
		name := fmt.Sprintf("%srejects-%s-%s", w.dir(), w.attempt, stage)
		b, err := w.Blobs.Create(context.Background(), name, w.key)
		return b, name, err
	}}
}

// commit returns the names of the spills, none when all is in memory.
func (s *sinks) commit() ([]string, error) {
	for _, b := range s.blobs {
		if _, err := b.Commit(); err != nil {
			return nil, err
		}
	}
	return s.names, nil
}

func (s *sinks) abort() {
	for _, b := range s.blobs {
		b.Abort()
	}
	s.rejects.abort()
}
