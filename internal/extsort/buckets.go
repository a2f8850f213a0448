package extsort

import (
	"io"
	"slices"
)

// Buckets collects bytes by bucket: in memory up to a limit, then in spills, one for each bucket.
type Buckets[S io.Writer] struct {
	Limit int64 // bytes in memory
	// Create makes the spill of a bucket.
	Create func(bucket int) (S, error)

	memory [][]byte
	spills []S
	size   int64
	sizes  []int64
}

// NewBuckets returns n empty buckets.
func NewBuckets[S io.Writer](n int, limit int64, create func(bucket int) (S, error)) *Buckets[S] {
	return &Buckets[S]{Limit: limit, Create: create, memory: make([][]byte, n), sizes: make([]int64, n)}
}

// Over says whether some more bytes would be over the limit in memory.
func (b *Buckets[S]) Over(more int64) bool { return b.spills == nil && b.size+more > b.Limit }

// Add appends to each bucket what parts has for it.
func (b *Buckets[S]) Add(parts [][]byte) error {
	for i, part := range parts {
		b.size += int64(len(part))
		b.sizes[i] += int64(len(part))
	}
	if b.spills == nil && b.size > b.Limit {
		if err := b.spill(); err != nil {
			return err
		}
	}
	for i, part := range parts {
		if b.spills == nil {
			b.memory[i] = append(b.memory[i], part...)
		} else if len(part) > 0 {
			if _, err := b.spills[i].Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// spill moves what is in memory to spills.
func (b *Buckets[S]) spill() error {
	for i, part := range b.memory {
		s, err := b.Create(i)
		if err != nil {
			return err
		}
		b.spills = append(b.spills, s)
		if _, err := s.Write(part); err != nil {
			return err
		}
		b.memory[i] = nil
	}
	b.memory = nil
	return nil
}

// Replace puts shorter bytes in the place of a bucket's in memory.
func (b *Buckets[S]) Replace(bucket int, with []byte) {
	less := int64(len(b.memory[bucket]) - len(with))
	b.memory[bucket] = append(b.memory[bucket][:0], with...)
	b.size, b.sizes[bucket] = b.size-less, b.sizes[bucket]-less
}

// Size is how many bytes were added.
func (b *Buckets[S]) Size() int64 { return b.size }

// Largest is how many bytes of them are in one bucket.
func (b *Buckets[S]) Largest() int64 { return slices.Max(b.sizes) }

// Memory returns the buckets, or nil when they are spilled.
func (b *Buckets[S]) Memory() [][]byte { return b.memory }

// Spills returns the spills that were made, by bucket; nil when all is in memory.
func (b *Buckets[S]) Spills() []S { return b.spills }
