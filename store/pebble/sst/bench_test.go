package sst_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/sstable"

	"kith/store/pebble/sst"
)

// benchRows returns index-like rows, whose keys have 34 to 60 bytes and whose values are empty, or profile-like ones, of a partition of 16 bytes, a row key
// of 10 and a value of 300.
func benchRows(index bool) []row {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]row, 200_000)
	for i := range rows {
		if index {
			id := random(r, 16)
			rows[i] = row{part(fmt.Sprintf("e%06dname.surname@example.org"[:8+r.IntN(20)], i)), append([]byte("i"), id[:r.IntN(7)+10]...), []byte("w12345678"), false}
			continue
		}
		key := binary.BigEndian.AppendUint64(nil, uint64(i)<<40|uint64(r.Uint32()))
		rows[i] = row{part(string(append(key, random(r, 8)...))), append([]byte{'c', 1}, random(r, 8)...), append([]byte("w12345678"), words(r, 300)...), false}
	}
	sortRows(rows)
	// One behind the other, as who writes tables has them.
	var all []byte
	for _, r := range rows {
		all = append(append(append(all, r.prefix...), r.suffix...), r.value...)
	}
	for i := range rows {
		for _, b := range []*[]byte{&rows[i].prefix, &rows[i].suffix, &rows[i].value} {
			n := len(*b)
			*b, all = all[:n:n], all[n:]
		}
	}
	return rows
}

// processor returns the time that all threads of the process have used: the engine's writer has a goroutine of its own, and other work of the machine does
// not count.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkTable(b *testing.B) {
	for _, kind := range []string{"index", "profile"} {
		rows := benchRows(kind == "index")
		for _, compression := range []*sstable.CompressionProfile{sstable.FastestCompression, sstable.NoCompression} {
			o := options(func(o *sstable.WriterOptions) { o.Compression = compression })
			name := kind + "/" + compression.Name
			b.Run(name+"/ours", func(b *testing.B) {
				b.ReportAllocs()
				began := processor()
				for b.Loop() {
					w := sst.New(&nowhere{}, o)
					for _, r := range rows {
						if err := w.Set(r.prefix, r.suffix, r.value[:9], r.value[9:], nil); err != nil {
							b.Fatal(err)
						}
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processor()-began)/float64(b.N*len(rows)), "cpu-ns/row")
			})
			b.Run(name+"/pebble", func(b *testing.B) {
				b.ReportAllocs()
				began := processor()
				var key []byte
				for b.Loop() {
					w := sstable.NewWriter(&nowhere{}, o)
					for _, r := range rows {
						key = append(append(key[:0], r.prefix...), r.suffix...)
						if err := w.Set(key, r.value); err != nil {
							b.Fatal(err)
						}
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processor()-began)/float64(b.N*len(rows)), "cpu-ns/row")
			})
		}
	}
}

// nowhere takes a table.
type nowhere struct{}

func (nowhere) Write([]byte) error { return nil }
func (nowhere) Finish() error      { return nil }
func (nowhere) Abort()             {}
