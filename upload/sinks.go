package upload

import (
	"context"
	"fmt"
	"math"
	"slices"

	"kith/blob"
	"kith/upload/table"
)

// sinks are where frames and rejects of the read stage go: to memory as long as there are few, then to blobs.
type sinks struct {
	w     *work
	part  *partition
	size  int64
	sizes []int64 // by bucket
	limit int64   // bytes of frames in memory
	most  int64   // bytes of frames before there must be more buckets

	memory  [][]byte
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
		for i := range bt.rejects {
			r := &bt.rejects[i]
			if s.w.StrictAWS && aboutText(r.Code) {
				return &table.FileError{Code: "strict-row", Reason: fmt.Sprintf("Line %d is no valid CSV in UTF-8, which fails the file because the server runs with --strict-aws. %s", r.Line, r.Message)}
			}
			if err := s.rejects.add(r); err != nil {
				return err
			}
		}
	}
	for i, part := range bt.buckets {
		s.size += int64(len(part))
		s.sizes[i] += int64(len(part))
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
	return &rejectWriter{create: func() (blob.Writer, string, error) {
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
