package stage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kith/api"
	"kith/blob"
	"kith/blob/disk"
	"kith/internal/extsort"
	"kith/upload/table"
)

// testPlan is a plan that can read and group rows.
func testPlan(t testing.TB) *Plan {
	t.Helper()
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(map[string]api.ObjectTypeField{"id": {Source: api.Ptr("_source.id"), Target: api.Ptr("_profile.AccountNumber")}}, "id")
	if err != nil {
		t.Fatal(err)
	}
	return NewPlan(Facts{Arena: &extsort.Arena{Budget: 64 << 20}, ScratchDir: t.TempDir(), Blobs: blobs, Mapping: m, Job: "0a", Dir: "1/0a/", Time: 1})
}

// testReader reads a file of one byte.
func testReader(p *Plan, memory int64) *Reader {
	return p.NewReader(Reading{File: plainBlob{bytes.NewReader(make([]byte, 1))}, MemoryBytes: memory, Rows: new(atomic.Int64), Bytes: new(atomic.Int64),
		Room: func(ctx context.Context) error { return ctx.Err() }})
}

// frameFor is a row as the mapper leaves it.
func frameFor(dst []byte, row int64, key string) []byte {
	body := append([]byte{4, byte(len(key))}, key...)
	b := make([]byte, frameHead+len(key)+partSize+len(body))
	rest := putHead(b, row, 0, []byte(key))
	binary.LittleEndian.PutUint16(rest, 2)
	binary.LittleEndian.PutUint16(rest[2:], uint16(len(key)))
	copy(rest[partSize:], body)
	return append(dst, b...)
}

// bucketsOf has frames wait in a pool, a bucket for each of frames.
func bucketsOf(t testing.TB, p *Plan, frames ...[]byte) *Buckets {
	t.Helper()
	b := &Buckets{pool: extsort.NewPool(p.arena, extsort.ChunkSize(1), 0, p.scratchDir)}
	t.Cleanup(b.Close)
	for _, data := range frames {
		var pieces []extsort.Piece
		for len(data) > 0 {
			n := 0
			for n < len(data) && n+frameSize(data[n:]) <= b.pool.Size() {
				n += frameSize(data[n:])
			}
			piece, err := b.pool.Keep(append(b.pool.Chunk(), data[:n]...))
			if err != nil {
				t.Fatal(err)
			}
			pieces, data = append(pieces, piece), data[n:]
		}
		b.pieces = append(b.pieces, pieces)
	}
	return b
}

// A bucket of very many rows of few keys takes the memory of the keys, not of the rows: neither what is sorted nor what is known of a
// key grows with them.
func TestRowsOfAKeyTakeNoMemory(t *testing.T) {
	p := testPlan(t)
	var data []byte
	const rows = 3 * stepFrames
	for row := range int64(rows) {
		data = frameFor(data, row, fmt.Sprint(row%3))
	}
	set := p.newRowSet(nil)
	if err := set.loadStream(t.Context(), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := set.compact(); err != nil {
		t.Fatal(err)
	}
	if f := set.frame(set.refs[0].At); len(set.refs) != 3 || f.rows != rows/3 {
		t.Fatalf("%d groups, %d rows in the first", len(set.refs), f.rows)
	}
	if set.size > 3*3*maxFrameRows {
		t.Errorf("%d bytes are kept of three keys", set.size)
	}
	known := 0
	f := set.frame(set.refs[1].At)
	f.eachRow(func(row int64) {
		if row != int64(1+3*known) {
			t.Fatalf("row %d is number %d", row, known)
		}
		known++
	})
	if known != maxFrameRows {
		t.Errorf("%d rows are known by number, want the first %d", known, maxFrameRows)
	}
}

// Rows of few keys are merged while they are read, rows of many keys wait as they are, and both resolve to the same as rows that are merged at once.
func TestRepeatedKeysAreMerged(t *testing.T) {
	for _, keys := range []int64{3, 1 << 40} {
		p := testPlan(t)
		out := testReader(p, 128<<10).newSinks(extsort.ByHash(4, 1), false)
		defer out.abort()
		byBucket := make([][]byte, 4)
		const rows = 60_000
		w := out.newWriter()
		for row := range int64(rows) {
			key := fmt.Sprint(row % keys)
			bucket := out.part.Bucket([]byte(key))
			frame := frameFor(nil, row, key)
			byBucket[bucket] = append(byBucket[bucket], frame...)
			b, err := w.space(bucket, len(frame))
			if err != nil {
				t.Fatal(err)
			}
			copy(b, frame)
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		if small := out.size.Load() < 1<<20; small != (keys == 3) {
			t.Fatalf("%d keys: %d bytes wait", keys, out.size.Load())
		}
		load := func(from *Buckets) (found []string) {
			b := p.NewResolver(from, false, nil)
			for b.bucket = range from.pieces {
				if err := b.load(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range b.groups {
					f := b.frame(&b.groups[i])
					found = append(found, fmt.Sprintf("%s %d %d %x %x", f.key, f.rows, f.first, f.more, f.body))
				}
			}
			return found
		}
		found, err := out.commit()
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		if got, want := load(found), load(bucketsOf(t, p, byBucket...)); !slices.Equal(got, want) || len(want) != int(min(keys, rows)) {
			t.Fatalf("%d groups, and %d at once, or others", len(got), len(want))
		}
	}
}

// Batches are bounded in records as well: a record of a byte costs more than that.
func TestBatchesAreBounded(t *testing.T) {
	p := testPlan(t)
	text := strings.NewReader(strings.Repeat("1\n", 50_000))
	todo, ordered := make(chan *batch, 100), make(chan *batch, 100)
	if err := testReader(p, 0).cut(t.Context(), table.NewScanner(text), nil, todo, ordered); err != nil {
		t.Fatal(err)
	}
	close(ordered)
	rows := 0
	for bt := range ordered {
		if len(bt.recs) > batchRecords {
			t.Fatalf("a batch of %d records", len(bt.recs))
		}
		rows += len(bt.recs)
	}
	if rows != 50_000 {
		t.Fatalf("%d rows", rows)
	}
}

func readAll(t *testing.T, p *Plan, name string) (all []Reject) {
	t.Helper()
	for r, err := range ReadRejects(t.Context(), p.blobs, name, blob.Key{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Reject)
	}
	return all
}

// Beyond their bounds rejects are counted, and the first of every reason are kept.
func TestRejectsAreCountedAndSampled(t *testing.T) {
	for name, bound := range map[string]func(*rejectWriter){
		"rejects": func(w *rejectWriter) { w.mostOf = 100 },
		"bytes":   func(w *rejectWriter) { w.most = 10_000 },
	} {
		t.Run(name, func(t *testing.T) {
			p := testPlan(t)
			out := p.newRejects("read", 1)
			defer out.abort()
			bound(out)
			for row := int64(0); row < 5000; {
				var list rejectList
				for range 50 {
					code := reasonCellCount
					if row >= 3000 {
						code = reasonNUL
					}
					r := Reject{Code: code}
					if out.keeps(code) {
						r = newReject(row, row, "", code, "No.", [][]byte{[]byte("x")})
					}
					if err := list.add(&r); err != nil {
						t.Fatal(err)
					}
					row++
				}
				if err := out.take(&list); err != nil {
					t.Fatal(err)
				}
			}
			blob, err := out.commit()
			if err != nil {
				t.Fatal(err)
			}
			kept := readAll(t, p, blob)
			if out.n != 5000 || out.codes[reasonCellCount] != 3000 || out.codes[reasonNUL] != 2000 {
				t.Errorf("counted %d, %v", out.n, out.codes)
			}
			if int64(len(kept)) != out.kept || len(kept) < 100 || len(kept) > 200 {
				t.Fatalf("kept %d, said %d", len(kept), out.kept)
			}
			late := 0
			for i, r := range kept {
				if r.Code == reasonNUL {
					late++
				} else if r.Row != int64(i) {
					t.Fatalf("number %d is row %d: not the first ones", i, r.Row)
				}
			}
			if late != keptOfReason {
				t.Errorf("%d of the second reason were kept, want %d", late, keptOfReason)
			}
		})
	}
}

// A row whose reject is only counted costs no copy of its cells, however many they are: nothing is said of it that nobody keeps.
func TestRejectsThatAreCountedAreNotMade(t *testing.T) {
	p := testPlan(t)
	out := p.newRejects("read", 1)
	defer out.abort()
	out.most = 1000
	b, err := p.m.bind([]string{"id"}, false)
	if err != nil {
		t.Fatal(err)
	}
	m := &mapper{bound: b, plan: p.keyPlan, rejects: out, tooLong: make([]int64, 1), as: table.Split{Delim: ','}, readAs: func() string { return "UTF-8" }}
	wide := append(bytes.Repeat([]byte(","), 16_383), '1')
	var list rejectList
	refuse := func() {
		list.reset()
		r := m.record(batchRecord{}, wide, 1)
		if r == nil || r.Code != reasonCellCount {
			t.Fatalf("%+v", r)
		}
		if err := errors.Join(list.add(r), out.take(&list)); err != nil {
			t.Fatal(err)
		}
	}
	for range keptOfReason + 2 {
		refuse()
	}
	if out.n != keptOfReason+2 || out.kept != keptOfReason || !out.keeps(reasonNUL) {
		t.Fatalf("%d rejects, %d kept", out.n, out.kept)
	}
	if n := testing.AllocsPerRun(20, refuse); n > 3 || len(list.buf) > 0 {
		t.Errorf("%.0f allocations, %d bytes for a row that is only counted", n, len(list.buf))
	}
}

// Whatever a rejected row holds, it can be read again.
func TestRejectsCanBeReadAgain(t *testing.T) {
	p := testPlan(t)
	out := p.newRejects("read", 1)
	defer out.abort()
	var list rejectList
	for i, cells := range [][][]byte{
		{bytes.Repeat([]byte{1}, 1<<20)},
		make([][]byte, 1<<20), // a MiB of commas
		bytes.Split(bytes.Repeat([]byte("\xff,"), 1<<19), []byte(",")),
		{},
	} {
		r := newReject(int64(i), int64(i), "", reasonCellCount, "No.", cells)
		if err := list.add(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.take(&list); err != nil {
		t.Fatal(err)
	}
	blob, err := out.commit()
	if err != nil {
		t.Fatal(err)
	}
	all := readAll(t, p, blob)
	if len(all) != 4 {
		t.Fatalf("%d of 4 rejects", len(all))
	}
	for _, r := range all[:3] {
		if !r.Truncated || len(r.Cells) > maxRejectBytes+2 {
			t.Errorf("row %d: %d cells, truncated is %t", r.Row, len(r.Cells), r.Truncated)
		}
	}
}
