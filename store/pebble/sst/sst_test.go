package sst_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"kith/store"
	"kith/store/pebble/sst"
)

// comparer is like that of the engine.
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

func engineOptions() *pebble.Options {
	o := &pebble.Options{Comparer: comparer, FormatMajorVersion: pebble.FormatNewest}
	o.EnsureDefaults()
	o.Levels[0].BlockSize, o.Levels[0].IndexBlockSize = 16<<10, 256<<10
	o.Levels[0].Compression = func() *sstable.CompressionProfile { return block.FastestCompression }
	return o
}

// options are those of the engine, changed.
func options(change func(*sstable.WriterOptions)) sstable.WriterOptions {
	o := engineOptions().MakeWriterOptions(0, pebble.FormatNewest.MaxTableFormat())
	o.DisableValueBlocks = true
	if change != nil {
		change(&o)
	}
	return o
}

// file is a table in memory.
type file struct {
	bytes.Buffer
	writes int
	ended  bool
}

func (f *file) Write(p []byte) error {
	f.Buffer.Write(p)
	f.writes++
	for i := range p {
		p[i] = 0xff // as the contract allows
	}
	return nil
}

func (f *file) Finish() error { f.ended = true; return nil }

func (f *file) Abort() { f.ended = true }

var _ objstorage.Writable = (*file)(nil)

type row struct {
	prefix, suffix, value []byte
	delete                bool
}

func (r row) key() []byte { return append(bytes.Clone(r.prefix), r.suffix...) }

func part(key string) []byte {
	return store.AppendPartition(nil, store.Partition{Table: store.Index, Incarnation: 5, Key: key})
}

// ours writes a table by the package, stock by the engine's own writer.
func ours(t testing.TB, o sstable.WriterOptions, rows []row) []byte {
	t.Helper()
	f := &file{}
	w := sst.New(f, o)
	for i, r := range rows {
		var err error
		if r.delete {
			err = w.Delete(r.prefix, r.suffix)
		} else {
			a := len(r.value) / 3
			err = w.Set(r.prefix, r.suffix, r.value[:a], r.value[a:2*a], r.value[2*a:])
		}
		if err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if int(w.Size()) != f.Len() && len(rows) > 0 {
		t.Errorf("Size = %d, the file has %d bytes", w.Size(), f.Len())
	}
	return f.Bytes()
}

func stock(t testing.TB, o sstable.WriterOptions, rows []row) []byte {
	t.Helper()
	f := &file{}
	w := sstable.NewWriter(f, o)
	for i, r := range rows {
		err := error(nil)
		if r.delete {
			err = w.Delete(r.key())
		} else {
			err = w.Set(r.key(), r.value)
		}
		if err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Bytes()
}

// reader opens a table.
func reader(t testing.TB, b []byte) *sstable.Reader {
	t.Helper()
	r, err := sstable.NewMemReader(b, engineOptions().MakeReaderOptions())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// same fails when the two writers write different files.
func same(t testing.TB, o sstable.WriterOptions, rows []row) []byte {
	t.Helper()
	a, b := ours(t, o, rows), stock(t, o, rows)
	if bytes.Equal(a, b) {
		return a
	}
	var text []string
	for _, b := range [][]byte{a, b} {
		r := reader(t, b)
		p, err := r.ReadPropertiesBlock(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, fmt.Sprintf("%d bytes, %d rows\n%s", len(b), len(rows), p.String()))
		_ = r.Close()
	}
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	t.Fatalf("tables differ at %d; ours:\n%s\nPebble's:\n%s", at, text[0], text[1])
	return nil
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// words are bytes that compress.
func words(r *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		b = append(b, "name surname Street 17 city "[r.IntN(20):]...)
	}
	return b[:n]
}

// shapes are rows of every kind that has been thought of.
func shapes() map[string][]row {
	r := rand.New(rand.NewPCG(1, 2))
	value := func(n int) []byte { return words(r, n) }
	all := map[string][]row{
		"none":             nil,
		"one":              {{part("a"), []byte("k"), value(3), false}},
		"one, all empty":   {{part(""), nil, nil, false}},
		"one deletion":     {{part("a"), []byte("k"), nil, true}},
		"large values":     nil,
		"one huge":         {{part("a"), []byte("k"), random(r, 2<<20), false}},
		"beyond MinLZ":     {{part("a"), []byte("k"), random(r, 9<<20), false}, {part("b"), nil, value(9 << 20), false}},
		"longest keys":     nil,
		"zero bytes":       nil,
		"one partition":    nil,
		"deletions":        nil,
		"mixed":            nil,
		"growing":          nil,
		"same values":      nil,
		"index of levels":  nil,
		"same prefix then": nil,
	}
	for _, n := range []int{2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 5000} {
		for _, each := range []int{1, 3, 16, 17, 1 << 30} {
			var rows []row
			for i := range n {
				rows = append(rows, row{part(fmt.Sprintf("p%06d", i/each)), fmt.Appendf(nil, "%06d", i), value(i % 3), i%1000 == 999})
			}
			all[fmt.Sprintf("%d rows, %d each", n, each)] = rows
		}
	}
	for i := range 300 {
		p := part(fmt.Sprintf("%04d", i/3))
		all["large values"] = append(all["large values"], row{p, fmt.Appendf(nil, "%04d", i), value(1 << (i % 18)), false})
		all["longest keys"] = append(all["longest keys"], row{part(fmt.Sprintf("%s%04d", strings.Repeat("x", 2000+i), i)), bytes.Repeat([]byte{byte(i)}, 2000), value(20), false})
		all["zero bytes"] = append(all["zero bytes"], row{part(fmt.Sprintf("%c%c\x00\x00", i/16, i%16)), []byte{0, byte(i)}, []byte{0, 0, 0}, false})
	}
	for i := range 20000 {
		key := fmt.Appendf(nil, "%08d", i*7)
		all["one partition"] = append(all["one partition"], row{part("popular"), key, value(9), false})
		all["deletions"] = append(all["deletions"], row{part(string(key)), nil, nil, true})
		all["mixed"] = append(all["mixed"], row{part(string(key[:6])), key, value(30), r.IntN(3) == 0})
		all["same values"] = append(all["same values"], row{part(fmt.Sprintf("phone\x00+49%s", key)), key, []byte("w12345678"), false})
		all["growing"] = append(all["growing"], row{part(strings.Repeat("a", i%70+1) + string(key)), nil, value(i % 200), false})
		all["index of levels"] = append(all["index of levels"], row{part(fmt.Sprintf("%08d%s", i, strings.Repeat("y", 1000))), nil, random(r, 100), false})
	}
	for _, rows := range all {
		sortRows(rows)
		for i := range rows {
			if rows[i].delete {
				rows[i].value = nil
			}
		}
	}
	return all
}
