package sst_test

import (
	"bytes"
	"os"
	"slices"
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
