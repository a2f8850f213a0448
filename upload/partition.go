package upload

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/zeebo/xxh3"
)

// partition decides which bucket a unique key belongs to: by ranges of sampled keys, or by hash when the file could not be
// sampled. Ranges make resolving a bucket read one stretch of the key index, and ids ascend with the keys over the whole job;
// with hashes every bucket reads all over the index.
type partition struct {
	n      int
	seed   uint64   // of the hash: nobody can make a file whose keys all go to one bucket
	bounds [][]byte // of the buckets from the second on; nil: by hash
	heads  []uint64 // their prefixes
}

func newPartition(n int, bounds [][]byte, seed uint64) *partition {
	p := &partition{n: n, bounds: bounds, seed: seed}
	for _, b := range bounds {
		p.heads = append(p.heads, prefixOf(b))
	}
	return p
}

func (p *partition) bucket(key []byte) int {
	if p.n == 1 {
		return 0
	}
	if p.bounds == nil {
		return int(xxh3.HashSeed(key, p.seed) % uint64(p.n))
	}
	head := prefixOf(key)
	lo, hi := 0, len(p.heads)
	for lo < hi {
		mid := (lo + hi) / 2
		if c := cmp.Compare(head, p.heads[mid]); c < 0 || c == 0 && bytes.Compare(key, p.bounds[mid]) < 0 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

const (
	samplePlaces = 128      // of a file that are looked at
	sampleBytes  = 32 << 10 // at each
	maxBound     = 64       // bytes
	skewFactor   = 4        // how much larger than the mean a bucket may be before ranges are given up
)

// sample looks at places all over the file and returns bounds for n buckets, or nil. It may take the middle of a quoted cell
// for the start of a row: then the bounds are a little worse.
func (w *work) sample(ctx context.Context, m *mapper, n int) ([][]byte, error) {
	size := w.file.Size()
	if n < 2 || size < 2*samplePlaces*sampleBytes {
		return nil, nil
	}
	var keys [][]byte
	scratch := &batch{buckets: make([][]byte, 1)}
	m.part = newPartition(1, nil, 0)
	buf := make([]byte, sampleBytes)
	for i := range int64(samplePlaces) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k, err := w.file.ReadAt(buf, size/samplePlaces*i)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		text := buf[:k]
		for first := true; ; first = false {
			nl := bytes.IndexByte(text, '\n')
			if nl < 0 {
				break
			}
			line := bytes.TrimSuffix(text[:nl], []byte("\r"))
			text = text[nl+1:]
			if first || len(line) == 0 { // part of a row, or none
				continue
			}
			scratch.buckets[0] = scratch.buckets[0][:0]
			if m.record(scratch, batchRecord{}, line, 0) == nil {
				keys = append(keys, bytes.Clone(m.key))
			}
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	var bounds [][]byte
	for i := 1; i < n && len(keys) > 0; i++ {
		b := keys[i*len(keys)/n]
		b = b[:min(len(b), maxBound)]
		if len(bounds) == 0 || bytes.Compare(bounds[len(bounds)-1], b) < 0 {
			bounds = append(bounds, b)
		}
	}
	return bounds, nil
}
