package extsort

import (
	"bytes"
	"cmp"
	"context"
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

// A frame of these tests is a length, a key with its length, and text; merging joins the texts.
func frame(dst []byte, key, text string) []byte {
	body := append(binary.AppendUvarint(nil, uint64(len(key))), key+text...)
	return append(binary.AppendUvarint(dst, uint64(len(body))), body...)
}

func split(b []byte) (key, text []byte, ok bool) {
	n := FrameLen(b)
	if n == 0 {
		return nil, nil, false
	}
	_, k := binary.Uvarint(b)
	b = b[k:n]
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(size)], b[k+int(size):], true
}

func newGroups(step int) *Groups {
	return &Groups{
		Step: step,
		Key: func(b []byte) []byte {
			key, _, _ := split(b)
			return key
		},
		Check: func(b []byte) error {
			if _, _, ok := split(b); !ok {
				return ErrFrame
			}
			return nil
		},
		Merge: func(dst []byte, n int, at func(int) []byte) ([]byte, error) {
			var all string
			key, _, _ := split(at(0))
			for i := range n {
				_, text, _ := split(at(i))
				all += string(text)
			}
			return frame(dst, string(key), all), nil
		},
	}
}

// However many steps it takes, there is one frame for each key, in the order of the keys, of all frames in the order they came.
func TestGroups(t *testing.T) {
	for _, keys := range []int{1, 3, 500, 1 << 30} {
		for _, step := range []int{0, 1, 64 << 10} {
			rng := rand.New(rand.NewPCG(1, 2))
			var data []byte
			want := map[string]string{}
			for i := range 100_000 {
				key, text := fmt.Sprint("customer ", rng.IntN(keys)), string(rune('a'+i%26))
				if keys < 100 && len(want[key]) >= 2000 {
					text = ""
				}
				data = frame(data, key, text)
				want[key] += text
			}
			g := newGroups(step)
			for range 2 { // it can be used again
				if err := g.Load(t.Context(), iotest.HalfReader(bytes.NewReader(data))); err != nil {
					t.Fatal(err)
				}
			}
			if g.Len() != len(want) {
				t.Fatalf("%d keys, want %d", g.Len(), len(want))
			}
			rest := g.Bytes()
			for i := range g.Len() {
				key, text, ok := split(g.Frame(g.At(i)))
				if !ok || want[string(key)] != string(text) {
					t.Fatalf("%q: %.50q", key, text)
				}
				if i > 0 {
					if before, _, _ := split(g.Frame(g.At(i - 1))); bytes.Compare(before, key) >= 0 {
						t.Fatalf("%q comes before %q", before, key)
					}
				}
				rest = rest[FrameLen(rest):]
			}
			if len(rest) != 0 {
				t.Fatalf("%d bytes belong to no key", len(rest))
			}
		}
	}
}

// Memory is that of the distinct keys: neither what is read nor what is sorted is there at a time.
func TestGroupsAreBounded(t *testing.T) {
	one := frame(nil, "k", "")
	g := newGroups(0)
	if err := g.Load(t.Context(), bytes.NewReader(bytes.Repeat(one, 4*GroupFrames))); err != nil {
		t.Fatal(err)
	}
	if g.Len() != 1 || cap(g.refs) > 2*GroupFrames || cap(g.buf)+cap(g.spare) > 16*GroupFrames {
		t.Fatalf("%d keys, %d frames were sorted at a time, in %d bytes", g.Len(), cap(g.refs), cap(g.buf)+cap(g.spare))
	}
}

func TestGroupsEndWithAnError(t *testing.T) {
	good := frame(nil, "k", "text")
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"cut":        {bytes.NewReader(good[:len(good)-1]), ErrFrame},
		"no frame":   {strings.NewReader("\x02\x09x"), ErrFrame},
		"no length":  {strings.NewReader(strings.Repeat("\xff", 11)), ErrFrame},
		"the reader": {io.MultiReader(bytes.NewReader(good), iotest.ErrReader(broken)), broken},
	} {
		if err := newGroups(0).Load(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(broken)
	if err := newGroups(0).Load(ctx, bytes.NewReader(good)); !errors.Is(err, broken) {
		t.Errorf("stopped: %v", err)
	}
	g := newGroups(0)
	g.Merge = func(dst []byte, _ int, _ func(int) []byte) ([]byte, error) { return dst, broken }
	if err := g.Load(t.Context(), bytes.NewReader(slices.Repeat(good, 2))); !errors.Is(err, broken) {
		t.Errorf("merging: %v", err)
	}
}

// Whatever is read, it is grouped or refused.
func FuzzGroups(f *testing.F) {
	f.Add(frame(frame(frame(nil, "b", "1"), "a", "2"), "b", "3"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := newGroups(1)
		if err := g.Load(t.Context(), bytes.NewReader(b)); err != nil {
			return
		}
		for i := 1; i < g.Len(); i++ {
			if bytes.Compare(g.Key(g.Frame(g.At(i-1))), g.Key(g.Frame(g.At(i)))) >= 0 {
				t.Fatal("keys do not ascend")
			}
		}
	})
}

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

type spill struct {
	bytes.Buffer
	err error
}

func (s *spill) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.Buffer.Write(p)
}

func TestBuckets(t *testing.T) {
	var fail error
	b := NewBuckets(2, 10, func(int) (*spill, error) { return &spill{err: fail}, nil })
	add := func(parts ...string) error { return b.Add([][]byte{[]byte(parts[0]), []byte(parts[1])}) }
	if err := add("aaaa", "bb"); err != nil || b.Spills() != nil || b.Size() != 6 || b.Largest() != 4 {
		t.Fatalf("%v, %d, %d", err, b.Size(), b.Largest())
	}
	if b.Over(4) || !b.Over(5) {
		t.Fatal("the limit is another")
	}
	b.Replace(0, []byte("a"))
	if b.Size() != 3 || b.Largest() != 2 || string(b.Memory()[0]) != "a" {
		t.Fatalf("%d, %d, %q", b.Size(), b.Largest(), b.Memory())
	}
	for range 3 {
		if err := add("cc", "d"); err != nil {
			t.Fatal(err)
		}
	}
	if b.Memory() != nil || b.Over(100) || b.Spills()[0].String() != "acccccc" || b.Spills()[1].String() != "bbddd" {
		t.Fatalf("%q, %v", b.Memory(), b.Spills())
	}
	broken := errors.New("broken")
	b.Spills()[1].err = broken
	if err := add("", "x"); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	fail = broken
	b = NewBuckets(2, 0, b.Create)
	if err := add("x", "y"); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	b = NewBuckets(2, 0, func(int) (*spill, error) { return nil, broken })
	if err := add("x", "y"); !errors.Is(err, broken) {
		t.Fatal(err)
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
