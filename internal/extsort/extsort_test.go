package extsort

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPartition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var keys [][]byte
	for range 5000 {
		keys = append(keys, []byte(fmt.Sprintf("%s%d", strings.Repeat("x", rng.IntN(50)), rng.IntN(1000))))
	}
	bounds := Bounds(slices.Clone(keys), 16)
	p := ByRange(bounds)
	counts := make([]int, p.Buckets())
	for _, k := range keys {
		b := p.Bucket(k)
		counts[b]++
		if b > 0 && bytes.Compare(k, bounds[b-1]) < 0 || b < len(bounds) && bytes.Compare(k, bounds[b]) >= 0 {
			t.Fatalf("%q is in bucket %d of %q", k, b, bounds)
		}
	}
	if slices.Max(counts) > 3*5000/len(counts) {
		t.Errorf("the buckets differ too much: %v", counts)
	}
	if Bounds(nil, 4) != nil || ByHash(1, 0).Bucket([]byte("x")) != 0 {
		t.Error("one bucket has bounds")
	}
	if b := Bounds([][]byte{bytes.Repeat([]byte("y"), 1000), bytes.Repeat([]byte("z"), 1000)}, 2); len(b) != 1 || len(b[0]) != maxBound {
		t.Errorf("%q", b)
	}
	// Keys that all hash to one bucket under one seed do not under another.
	known, secret := ByHash(64, 0), ByHash(64, 7)
	in := map[int]int{}
	for i, n := 0, 0; n < 640; i++ {
		if key := []byte(fmt.Sprint(i)); known.Bucket(key) == 0 {
			in[secret.Bucket(key)]++
			n++
		}
	}
	if len(in) < 60 {
		t.Errorf("640 chosen keys fill %d buckets of 64", len(in))
	}
}

// entries is a cursor of lengths and texts.
type entries struct {
	Window
	now []byte
}

func newEntries(texts ...string) *entries {
	var b []byte
	for _, s := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return &entries{Window: NewWindow(func() io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) })}
}

func (e *entries) Next() (bool, error) {
	if more, err := e.More(); !more {
		return false, err
	}
	n, err := e.Uvarint()
	if err != nil {
		return false, err
	}
	b, err := e.Bytes(n)
	e.now = append(e.now[:0], b...)
	return err == nil, err
}

func (e *entries) Prefix() uint64         { return Prefix(e.now) }
func (e *entries) Compare(o *entries) int { return bytes.Compare(e.now, o.now) }

func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var all []string
		var cursors []*entries
		for range rng.IntN(9) {
			var texts []string
			for range rng.IntN(60) {
				texts = append(texts, strings.Repeat("k", rng.IntN(20))+fmt.Sprint(rng.IntN(50)))
			}
			slices.Sort(texts)
			all = append(all, texts...)
			cursors = append(cursors, newEntries(texts...))
		}
		slices.Sort(all)
		var got []string
		for c, err := range Merge(cursors) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(c.now))
		}
		if !slices.Equal(got, all) {
			t.Fatalf("%q, want %q", got, all)
		}
	}
	n := 0
	for range Merge([]*entries{newEntries("a", "b"), newEntries("c")}) {
		if n++; n == 2 {
			break
		}
	}
}

// Streams that are cut or broken end a merge with an error, at the start and later.
func TestMergeEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"broken at the start": {iotest.ErrReader(broken), broken},
		"broken later":        {io.MultiReader(strings.NewReader("\x01a"), iotest.ErrReader(broken)), broken},
		"broken in an entry":  {io.MultiReader(strings.NewReader("\x01a\x05b"), iotest.ErrReader(broken)), broken},
		"cut":                 {strings.NewReader("\x01a\x05b"), io.ErrUnexpectedEOF},
		"cut in a length":     {strings.NewReader("\x01a\x80"), io.ErrUnexpectedEOF},
		"a huge length":       {strings.NewReader("\x01a\xff\xff\xff\xff\x7fb"), io.ErrUnexpectedEOF},
	} {
		var last error
		for _, err := range Merge([]*entries{newEntries("0"), {Window: NewWindow(func() io.Reader { return c.r })}}) {
			last = err
		}
		if !errors.Is(last, c.want) {
			t.Errorf("%s: %v", name, last)
		}
	}
	w := NewWindow(func() io.Reader { return strings.NewReader("") })
	if err := w.Damaged(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// A window gives what a stream holds, whatever is asked for in which pieces.
func FuzzWindow(f *testing.F) {
	f.Add([]byte("\x01abc\x80\x01"), []byte{1, 2, 0})
	f.Fuzz(func(t *testing.T, data, asks []byte) {
		w := NewWindow(func() io.Reader { return iotest.HalfReader(bytes.NewReader(data)) })
		rest := data
		for _, ask := range asks {
			if ask == 0 {
				want, k := binary.Uvarint(rest)
				got, err := w.Uvarint()
				if (err == nil) != (k > 0) || err == nil && got != want {
					t.Fatalf("%d, %v, want %d", got, err, want)
				}
				if err != nil {
					return
				}
				rest = rest[k:]
				continue
			}
			got, err := w.Bytes(uint64(ask))
			if int(ask) > len(rest) {
				if err == nil {
					t.Fatal("more than there was")
				}
				return
			}
			if err != nil || !bytes.Equal(got, rest[:ask]) {
				t.Fatalf("%q, %v", got, err)
			}
			rest = rest[ask:]
		}
		if more, err := w.More(); err != nil || more != (len(rest) > 0) {
			t.Fatalf("%t, %v", more, err)
		}
	})
}

func TestPrefixSortsLikeKeys(t *testing.T) {
	keys := []string{"", "\x00", "a", "a\x00b", "ab", "abcdefgh", "abcdefghi", "b", "\xff"}
	for i, a := range keys {
		for j, b := range keys {
			if c := cmp.Compare(Prefix([]byte(a)), Prefix([]byte(b))); c != 0 && c != cmp.Compare(i, j) {
				t.Errorf("%q and %q", a, b)
			}
		}
	}
}
