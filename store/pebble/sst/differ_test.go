package sst_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/sstable"
)

func sortRows(rows []row) {
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key(), b.key()) })
}

// variants are options under which other things happen: many small blocks, an index of two levels, no compression.
var variants = map[string]func(*sstable.WriterOptions){
	"as the engine has them": nil,
	"plain":                  func(o *sstable.WriterOptions) { o.Compression = sstable.NoCompression },
	"small":                  func(o *sstable.WriterOptions) { o.BlockSize, o.IndexBlockSize = 300, 200 },
	"snappy":                 func(o *sstable.WriterOptions) { o.Compression, o.BlockSize = sstable.SnappyCompression, 100<<10 },
}

// The two writers write the same files.
func TestTablesAreThoseOfPebble(t *testing.T) {
	all := shapes()
	for name, change := range variants {
		for shape, rows := range all {
			t.Run(name+"/"+shape, func(t *testing.T) { same(t, options(change), rows) })
		}
	}
}

// pinned is the version of Pebble that the package has been held against. Before an upgrade: change it, run
//
//	go test ./store/pebble/... && go test ./store/pebble/sst -fuzz FuzzTable -fuzztime 10m
//
// and read what changed in Pebble's sstable/colblk and sstable/colblk_writer.go, for what no row of these tests meets.
const pinned = "v2.1.7"

func TestPebbleIsTheOneThatWasCompared(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/cockroachdb/pebble/v2 " + pinned + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod has not %q: see the comment at pinned", want)
	}
}

// Tables of random shapes are the same, too. KITH_TEST_TABLES makes more of them.
func TestRandomTablesAreThoseOfPebble(t *testing.T) {
	n := 300
	if more, err := strconv.Atoi(os.Getenv("KITH_TEST_TABLES")); err == nil {
		n = more
	}
	for seed := range uint64(n) {
		r := rand.New(rand.NewPCG(seed, 9))
		pow := func(most int) int { return r.IntN(1 << r.IntN(most)) } // mostly small
		o := options(func(o *sstable.WriterOptions) {
			o.BlockSize, o.IndexBlockSize = 1+pow(18), 1+pow(16)
			if r.IntN(3) == 0 {
				o.Compression = []*sstable.CompressionProfile{sstable.NoCompression, sstable.SnappyCompression, sstable.ZstdCompression}[r.IntN(3)] // others choose by chance
			}
			if r.IntN(4) == 0 {
				o.AllocatorSizeClasses = []int{1 << 10, 2 << 10, 5 << 10, 16 << 10, 20 << 10, 28 << 10, 64 << 10}
			}
		})
		var rows []row
		alphabet, deletes, each := 1+r.IntN(256), []float64{0, 0, 0.1, 0.9, 1}[r.IntN(5)], 1+pow(8)
		longest, largest := 1+r.IntN(7), 1+r.IntN(16)
		some := func(most int) []byte {
			b := make([]byte, pow(most))
			for i := range b {
				b[i] = byte(r.IntN(alphabet))
			}
			return b
		}
		for range 1 + pow(9) {
			p := part(string(some(longest)))
			for range 1 + r.IntN(each) {
				x := row{prefix: p, suffix: some(longest)}
				if x.delete = r.Float64() < deletes; !x.delete {
					x.value = some(largest)
				}
				rows = append(rows, x)
			}
		}
		sortRows(rows)
		rows = slices.CompactFunc(rows, func(a, b row) bool { return bytes.Equal(a.key(), b.key()) })
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { same(t, o, rows) }) {
			return
		}
	}
}
