package sst_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	"kith/store/pebble/sst"
)

// Whatever the bytes are, Pebble's reader finds each row in every way it can move, and nothing else.
func TestTablesAreReadInEveryWay(t *testing.T) {
	for shape, rows := range shapes() {
		for _, name := range []string{"as the engine has them", "small"} {
			t.Run(name+"/"+shape, func(t *testing.T) {
				r := reader(t, ours(t, options(variants[name]), rows))
				defer r.Close()
				if err := r.ValidateBlockChecksums(); err != nil {
					t.Fatal(err)
				}
				it, err := r.NewIter(block.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
				if err != nil {
					t.Fatal(err)
				}
				defer it.Close()
				walk(t, it, rows)
				seek(t, it, rows)
				if err := it.Error(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func walk(t *testing.T, it sstable.Iterator, rows []row) {
	t.Helper()
	n := 0
	for k := it.First(); k != nil; k = it.Next() {
		value, _, err := k.Value(nil)
		if n == len(rows) || err != nil || !bytes.Equal(k.K.UserKey, rows[n].key()) || !bytes.Equal(value, rows[n].value) || (k.Kind() == pebble.InternalKeyKindDelete) != rows[n].delete || k.SeqNum() != 0 {
			t.Fatalf("forward: row %d is another one (%v)", n, err)
		}
		n++
	}
	if n != len(rows) {
		t.Fatalf("forward: %d rows of %d", n, len(rows))
	}
	for k := it.Last(); k != nil; k = it.Prev() {
		if n--; n < 0 || !bytes.Equal(k.K.UserKey, rows[n].key()) {
			t.Fatalf("backward: row %d is another one", n)
		}
	}
	if n != 0 {
		t.Fatalf("backward: %d rows are missing", n)
	}
}

// seek looks for keys that are there, and for their neighbours.
func seek(t *testing.T, it sstable.Iterator, rows []row) {
	t.Helper()
	got := it.First() // where the iterator stands
	is := func(what string, key []byte, want int) {
		t.Helper()
		if want < 0 || want >= len(rows) {
			if got != nil {
				t.Fatalf("%s %q: %q, there is none", what, key, got.K.UserKey)
			}
		} else if got == nil || !bytes.Equal(got.K.UserKey, rows[want].key()) {
			t.Fatalf("%s %q: not row %d", what, key, want)
		}
	}
	step := max(1, len(rows)/500)
	for i := 0; i < len(rows); i += step {
		key := rows[i].key()
		short := key[:len(key)-1]
		for _, k := range [][]byte{key, append(bytes.Clone(key), 0), short, append(bytes.Clone(short), key[len(key)-1]+1), rows[i].prefix, append(bytes.Clone(rows[i].prefix), 0xff)} {
			at := sort.Search(len(rows), func(i int) bool { return bytes.Compare(rows[i].key(), k) >= 0 })
			got = it.SeekGE(k, 0)
			is("SeekGE", k, at)
			got = it.SeekLT(k, 0)
			is("SeekLT", k, at-1)
			if p := k[:comparer.Split(k)]; at < len(rows) && bytes.Equal(rows[at].prefix, p) {
				got = it.SeekPrefixGE(p, k, 0)
				is("SeekPrefixGE", k, at)
				got = it.Next()
				is("Next after it", k, at+1)
			}
		}
	}
}

// Flipping any bit of a file is noticed by who reads all of it, as an error.
func TestAFlippedBitIsNoticed(t *testing.T) {
	var rows []row
	for i := range 60 {
		rows = append(rows, row{part(fmt.Sprintf("partition %d", i/7)), fmt.Appendf(nil, "%03d", i), []byte("value value value"), i%9 == 0})
	}
	sortRows(rows)
	for name := range variants {
		whole := ours(t, options(variants[name]), rows)
		read := func(b []byte) error {
			r, err := sstable.NewMemReader(b, engineOptions().MakeReaderOptions())
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := r.ReadPropertiesBlock(context.Background(), nil); err != nil {
				return err
			}
			it, err := r.NewIter(block.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
			if err != nil {
				return err
			}
			for k := it.First(); k != nil; k = it.Next() {
			}
			return errors.Join(it.Error(), it.Close())
		}
		if err := read(whole); err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			b := bytes.Clone(whole)
			b[i] ^= 1 << (i % 8)
			if read(b) == nil {
				t.Fatalf("%s: byte %d of %d", name, i, len(whole))
			}
		}
		for cut := range whole {
			if read(whole[:cut]) == nil {
				t.Fatalf("%s: cut off at %d of %d", name, cut, len(whole))
			}
		}
	}
}

// Any order of any rows: what is refused is what does not ascend as whole keys do, and it leaves no trace.
func TestDisorderIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		f, o := &file{}, options(variants["small"])
		w := sst.New(f, o)
		var kept []row
		for range 1 + r.IntN(200) {
			x := row{part(string(random(r, r.IntN(3)))), random(r, r.IntN(3)), random(r, r.IntN(9)), false}
			err := w.Set(x.prefix, x.suffix, nil, x.value, nil)
			if n := len(kept); n == 0 || bytes.Compare(x.key(), kept[n-1].key()) > 0 {
				if err != nil {
					t.Fatal(err)
				}
				kept = append(kept, x)
			} else if !errors.Is(err, sst.ErrOrder) {
				t.Fatalf("%q behind %q: %v", x.key(), kept[n-1].key(), err)
			}
		}
		if err := w.Set(nil, []byte("x"), nil, nil, nil); err == nil {
			t.Fatal("a key without a prefix was taken")
		}
		if err := w.Set(make([]byte, sst.MaxPrefix+1), nil, nil, nil, nil); err == nil {
			t.Fatal("a prefix was taken that is too long")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.Bytes(), stock(t, o, kept)) {
			t.Fatal("refused rows left a trace")
		}
	}
}

// broken is a disk that is full after some writes.
type broken struct {
	left, finished, aborted int
}

var errFull = errors.New("no space left")

func (b *broken) Write([]byte) error {
	if b.left--; b.left < 0 {
		return errFull
	}
	return nil
}

func (b *broken) Finish() error {
	b.finished++
	if b.left--; b.left < 0 {
		return errFull
	}
	return nil
}

func (b *broken) Abort() { b.aborted++ }

// A disk that fails is told, by each call from then on, and the file is ended once.
func TestAFullDiskIsTold(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rows := make([]row, 3000)
	for i := range rows {
		rows[i] = row{part(fmt.Sprintf("%06d", i)), nil, random(r, 300), false}
	}
	for left := range 6 {
		b := &broken{left: left}
		w := sst.New(b, options(nil))
		var failed error
		for _, x := range rows {
			err := w.Set(x.prefix, x.suffix, x.value, nil, nil)
			if failed != nil && !errors.Is(err, errFull) {
				t.Fatalf("after it failed: %v", err)
			}
			failed = err
		}
		closed := w.Close()
		if enough := left >= 5; enough != (closed == nil) || closed != nil && !errors.Is(closed, errFull) {
			t.Errorf("%d writes: %v", left, closed)
		}
		w.Abort()
		if b.finished+b.aborted != 1 {
			t.Errorf("%d writes: the file was ended %d times", left, b.finished+b.aborted)
		}
		if w.Close() == nil || w.Set(part("z"), nil, nil, nil, nil) == nil || w.Delete(part("z"), nil) == nil {
			t.Error("a writer that has ended goes on")
		}
	}
}

// A table is written in few large pieces.
func TestWritesAreLarge(t *testing.T) {
	f := &file{}
	w := sst.New(f, options(variants["plain"]))
	value := make([]byte, 1000)
	for i := range 5000 {
		if err := w.Set(part(fmt.Sprintf("%06d", i)), nil, value, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || !f.ended {
		t.Fatal(err)
	}
	if most := f.Len()/(256<<10) + 1; f.writes > most {
		t.Errorf("%d writes for %d bytes, %d are enough", f.writes, f.Len(), most)
	}
}

// The options that would make another file are refused.
func TestOptionsThatAreNotKnown(t *testing.T) {
	for name, change := range map[string]func(*sstable.WriterOptions){
		"older format": func(o *sstable.WriterOptions) { o.TableFormat = sstable.TableFormatPebblev6 },
		"newer format": func(o *sstable.WriterOptions) { o.TableFormat++ },
		"value blocks": func(o *sstable.WriterOptions) { o.DisableValueBlocks = false },
		"lowest level": func(o *sstable.WriterOptions) { o.WritingToLowestLevel = true },
		"strict":       func(o *sstable.WriterOptions) { o.IsStrictObsolete = true },
		"checksum":     func(o *sstable.WriterOptions) { o.Checksum = block.ChecksumTypeXXHash64 },
		"no comparer":  func(o *sstable.WriterOptions) { o.Comparer = nil },
		"no block":     func(o *sstable.WriterOptions) { o.BlockSize = 0 },
		"filter":       func(o *sstable.WriterOptions) { o.FilterPolicy = bloom.FilterPolicy(10) },
		"other schema": func(o *sstable.WriterOptions) { s := colblk.DefaultKeySchema(o.Comparer, 8); o.KeySchema = &s },
		"collectors": func(o *sstable.WriterOptions) {
			o.BlockPropertyCollectors = []func() pebble.BlockPropertyCollector{nil}
		},
	} {
		if sst.Check(options(change)) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := sst.Check(options(nil)); err != nil {
		t.Error(err)
	}
}

// FuzzTable makes rows of bytes, and holds the two writers side by side. Each row begins with a byte that tells what it takes from the row before.
func FuzzTable(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"), uint16(300), uint16(200), false)
	f.Add(bytes.Repeat([]byte{0, 1, 2, 3, 0xff, 0x80, 0x41}, 300), uint16(4000), uint16(100), true)
	f.Add(bytes.Repeat([]byte{0xe3, 9}, 2000), uint16(16<<10), uint16(1000), false)
	f.Fuzz(func(t *testing.T, b []byte, size, index uint16, plain bool) {
		rows := fuzzed(b)
		o := options(func(o *sstable.WriterOptions) {
			o.BlockSize, o.IndexBlockSize = int(size)+1, int(index)+1
			if plain {
				o.Compression = sstable.NoCompression
			}
		})
		r := reader(t, same(t, o, rows))
		defer r.Close()
		it, err := r.NewIter(block.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		walk(t, it, rows)
	})
}

// fuzzed makes rows: a byte with a kind (1 bit), lengths of partition, key and value (2, 2, 3 bits, the last one as a power of 5), and the bytes.
func fuzzed(b []byte) []row {
	var rows []row
	take := func(n int) []byte {
		n = min(n, len(b))
		p := b[:n:n]
		b = b[n:]
		return p
	}
	last := ""
	for len(b) > 0 {
		op := take(1)[0]
		if n := int(op >> 1 & 3); n > 0 { // 0: the partition before
			last = string(take(n * n))
		}
		x := row{prefix: part(last), suffix: take(int(op >> 3 & 3)), delete: op&1 == 1}
		if n := int(op >> 5); n > 0 && !x.delete {
			size := []int{0, 1, 5, 25, 125, 625, 3125, 70000}[n]
			x.value = append(take(size), bytes.Repeat([]byte{op}, size/2)...)
		}
		rows = append(rows, x)
	}
	sortRows(rows)
	return slices.CompactFunc(rows, func(a, b row) bool { return bytes.Equal(a.key(), b.key()) })
}
