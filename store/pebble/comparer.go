package pebble

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"kith/store"
)

// comparer orders keys by their bytes, and tells where a key's partition ends: filters are of partitions, so whoever looks for rows of one passes
// by the tables that have none of it. Its name is on disk.
//
// Bounds, and keys between blocks, need be no keys of rows: they count as partitions of their own. That is in order, since no partition's prefix is
// the beginning of another one's.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "kith.partitions"
	c.Split = func(key []byte) int {
		if n := store.PartitionLen(key); n > 0 {
			return n
		}
		return len(key)
	}
	c.ComparePointSuffixes, c.CompareRangeSuffixes = bytes.Compare, bytes.Compare
	return &c
}()

// inPlace has all values stored beside their keys: the engine takes rows of one partition for versions of one row, of which only the first is read
// often.
func inPlace([]byte) (pebble.SpanPolicy, []byte, error) {
	return pebble.SpanPolicy{DisableValueSeparationBySuffix: true, ValueStoragePolicy: pebble.ValueStorageLowReadLatency}, nil, nil
}
