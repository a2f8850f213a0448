package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	return NewPlan(Facts{Blobs: blobs, Mapping: m, Job: "0a", Dir: "1/0a/", Time: 1})
}

// testReader reads a file of one byte.
func testReader(p *Plan, memory int64) *Reader {
	return p.NewReader(Reading{File: plainBlob{bytes.NewReader(make([]byte, 1))}, MemoryBytes: memory, Rows: new(atomic.Int64), Bytes: new(atomic.Int64),
		Room: func(ctx context.Context) error { return ctx.Err() }})
}

// frameOf is a row as the mapper leaves it.
func frameOf(dst []byte, row int64, key string) []byte {
	var keys keyList
	keys.add(matchFamily, []byte(key))
	return appendFrame(dst, &frame{rows: 1, first: row, key: []byte(key), keys: keys.appendTo(nil), body: append([]byte{4, byte(len(key))}, key...)})
}

// A bucket of very many rows of few keys takes the memory of the keys, not of the rows: neither what is sorted nor what is known of a
// key grows with them.
func TestRowsOfAKeyTakeNoMemory(t *testing.T) {
	p := testPlan(t)
	var data []byte
	const rows = 3 * extsort.GroupFrames
	for row := range int64(rows) {
		data = frameOf(data, row, fmt.Sprint(row%3))
	}
	b := p.NewResolver(&Buckets{Memory: [][]byte{data}}, false, nil)
	if err := b.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.groups) != 3 || b.groups[0].rows != rows/3 {
		t.Fatalf("%d groups, %d rows in the first", len(b.groups), b.groups[0].rows)
	}
	if n := len(b.loaded.Bytes()); n > 3*3*maxFrameRows {
		t.Errorf("%d bytes are kept of three keys", n)
	}
	known := 0
	b.frame(&b.groups[1]).eachRow(func(row int64) {
		if row != int64(1+3*known) {
			t.Fatalf("row %d is number %d", row, known)
		}
		known++
	})
	if known != maxFrameRows {
		t.Errorf("%d rows are known by number, want the first %d", known, maxFrameRows)
	}
}

// Rows of few keys are merged before they would be spilled; rows of many keys are spilled, and what is merged resolves to the same.
func TestRepeatedKeysAreNotSpilled(t *testing.T) {
	for _, keys := range []int64{3, 1 << 40} {
		p := testPlan(t)
		out := testReader(p, 128<<10).newSinks(extsort.ByHash(4, 1), false)
		defer out.abort()
		var all []byte
		const rows = 30_000
		for row := int64(0); row < rows; {
			bt := &batch{buckets: make([][]byte, 4)}
			for range 500 {
				key := fmt.Sprint(row % keys)
				i := out.part.Bucket([]byte(key))
				bt.buckets[i] = frameOf(bt.buckets[i], row, key)
				all = frameOf(all, row, key)
				row++
			}
			if err := out.take(t.Context(), bt); err != nil {
				t.Fatal(err)
			}
		}
		if spilled := out.buckets.Spills() != nil; spilled != (keys > 3) {
			t.Fatalf("%d keys: spilled is %t", keys, spilled)
		}
		if keys > 3 {
			continue
		}
		load := func(data ...[]byte) (found []string) {
			b := p.NewResolver(&Buckets{Memory: data}, false, nil)
			for b.bucket = range data {
				if err := b.load(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range b.groups {
					f := b.frame(&b.groups[i])
					found = append(found, fmt.Sprintf("%s %d %d %x", f.key, f.rows, f.first, f.body))
				}
			}
			return found
		}
		got, want := load(out.buckets.Memory()...), load(all)
		if len(got) != 3 || len(want) != 3 {
			t.Fatalf("%v, %v", got, want)
		}
		for _, g := range got {
			if !strings.Contains(strings.Join(want, "\n"), g) {
				t.Fatalf("%v is none of %v", g, want)
			}
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
	m := &mapper{bound: b, plan: newKeyPlan(b, nil, 0), rejects: out, tooLong: make([]int64, 1), as: table.Split{Delim: ','}, part: extsort.ByHash(1, 0), readAs: func() string { return "UTF-8" }}
	wide := append(bytes.Repeat([]byte(","), 16_383), '1')
	var list rejectList
	refuse := func() {
		list.reset()
		r := m.record(nil, batchRecord{}, wide, 1)
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
