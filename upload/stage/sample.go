package stage

import (
	"bytes"
	"context"
	"errors"
	"io"

	"kith/internal/extsort"
	"kith/schema"
)

const (
	samplePlaces = 128      // of a file that are looked at
	sampleBytes  = 32 << 10 // at each
	skewFactor   = 4        // how much larger than the mean a bucket may be before ranges are given up
)

// sample looks at places all over the file and returns bounds for n buckets, or nil. It may take the middle of a quoted cell
// for the start of a row: then the bounds are a little worse.
func (r *Reader) sample(ctx context.Context, m *mapper, n int) ([][]byte, error) {
	size := r.File.Size()
	if n < 2 || size < 2*samplePlaces*sampleBytes {
		return nil, nil
	}
	var keys [][]byte
	buf := make([]byte, sampleBytes)
	for i := range int64(samplePlaces) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		k, err := r.File.ReadAt(buf, size/samplePlaces*i)
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
			if m.record(batchRecord{}, line, 0) == nil {
				keys = append(keys, bytes.Clone(schema.IndexBytes(m.key)))
			}
		}
	}
	return extsort.Bounds(keys, n), nil
}
