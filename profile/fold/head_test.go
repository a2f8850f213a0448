package fold

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"kith/schema"
)

// someHead returns a head with objects of two types, and values of which some expire at 50.
func someHead(objects int) *Head {
	h := &Head{
		Time: 1700000000000000, Expires: 1800000000000000,
		Values: []Value{
			{Attr: first, Text: "Zoë", Kind: Manual, Stamp: Stamp{Time: 7}, Expires: 50},
			{Attr: first, Text: "Ann", Kind: Object, Stamp: Stamp{Time: 9, Priority: 300, SourceTime: -5}, Expires: 1800000000000000},
			{Attr: tier, Kind: Manual, Blank: true, Stamp: Stamp{Time: 8}, Expires: 99},
		},
		Keys:   []Key{{"pin", "1"}, {"pin", "2"}},
		Change: &Change{ID: [16]byte{1, 15: 2}, At: 5, Action: 'u', By: "someone", ObjectType: "Order", ObjectKey: "k", Detail: "d"},
	}
	for i := range objects {
		o := ObjectRef{Type: "Order", Incarnation: 3, Hash: HashObject(fmt.Sprint(i)), Time: int64(100 + i), Attempt: uint32(7 * i), Expires: int64(1000 + i), Size: uint32(i), Says: uint64(i) << 60}
		if i%5 == 0 {
			o.Type, o.Incarnation = "Case", 1<<63
		}
		o.Keys = []uint64{KeyHash(Key{"_orderId", fmt.Sprint(i)}), KeyHash(Key{"_email", "all@example.com"})}
		slices.Sort(o.Keys)
		h.PutObject(o)
	}
	return h
}

func TestHeadSurvivesItsEncoding(t *testing.T) {
	full := someHead(7)
	for name, h := range map[string]*Head{"fence": {Time: 5}, "no objects": someHead(0), "full": full, "many": someHead(1000),
		"empty change": {Time: 1, Change: &Change{}}} {
		b := h.Append([]byte("before"))[len("before"):]
		back, err := DecodeHead(b)
		if err != nil || !reflect.DeepEqual(back, h) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, back, h)
		}
		if expires, err := HeadExpiry(b); err != nil || expires != h.Expires {
			t.Errorf("%s: expiry %d, %v", name, expires, err)
		}
	}
	b := full.Append(nil)
	for n := range b {
		if _, err := DecodeHead(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(b))
		}
		_, _ = DecodeHeadView(b[:n], 0) // may lack what a view does not read
	}
	if _, err := DecodeHead(append(b, 0)); err == nil {
		t.Error("bytes behind the end were accepted")
	}
}

func TestHeadOfVersion2IsRead(t *testing.T) {
	h := &Head{Time: 5, Expires: 9}
	h.PutObject(ObjectRef{Type: "Order", Hash: HashObject("1"), Time: 4, Attempt: 3, Expires: 9})
	b := h.Append(nil)
	objects := len(b) - 1 - objectSize // behind the section's length; an empty change follows
	old := slices.Concat([]byte{headV2}, b[1:objects-1], []byte{objectV2}, b[objects:objects+objectV2], []byte{0})
	if back, err := DecodeHead(old); err != nil || !reflect.DeepEqual(back, h) {
		t.Errorf("%v: %+v", err, back)
	}
	if v, err := DecodeHeadView(old, 6); err != nil || v.Expires != 9 {
		t.Errorf("%v: %+v", err, v)
	}
	if at, err := HeadExpiry(old); err != nil || at != 9 {
		t.Errorf("%v: %d", err, at)
	}
}

func TestHeadView(t *testing.T) {
	h := someHead(7)
	b := h.Append(nil)
	v, err := DecodeHeadView(b, 50)
	if err != nil || v.Time != h.Time || v.Expires != h.Expires || !reflect.DeepEqual(v.Values, h.Values[1:]) || !reflect.DeepEqual(v.Keys, h.Keys) {
		t.Fatalf("%v: %+v", err, v)
	}
	clear(b)
	if v.Values[0].Text != "Ann" || !v.Carries(Key{"_orderId", "6"}, 50, nil) {
		t.Error("a view must keep no part of the bytes it was read from")
	}
	if v, err = DecodeHeadView(h.Append(nil), h.Expires); err != nil || v.Expires != 0 || v.Time != h.Time || len(v.Values)+len(v.Keys) > 0 || v.Carries(Key{"pin", "1"}, h.Expires, nil) {
		t.Errorf("what has expired must be gone: %v: %+v", err, v)
	}
	defer func() {
		if recover() == nil {
			t.Error("a view was encoded: its objects would be lost")
		}
	}()
	v.Append(nil)
}

// Whole and viewed, a head carries a key exactly as long as one of its objects does, whatever was put and dropped before.
func TestHeadCarries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		h := &Head{Expires: 1000, Keys: []Key{{"pin", "1"}}}
		objects := map[int]ObjectRef{}
		for i := range 40 {
			n := rng.IntN(9)
			o := ObjectRef{Type: fmt.Sprint("T", n%3), Incarnation: uint64(n % 3), Hash: HashObject(fmt.Sprint(n)), Time: int64(i), Expires: rng.Int64N(20), Size: uint32(n)}
			for range rng.IntN(3) {
				o.Keys = append(o.Keys, KeyHash(Key{"k", fmt.Sprint(rng.IntN(6))}))
			}
			old, had := objects[n]
			if rng.IntN(3) == 0 {
				if got, dropped := h.DropObject(o.Type, o.Incarnation, o.Hash); dropped != had || !reflect.DeepEqual(got, old) {
					t.Fatalf("dropped %+v, want %+v", got, old)
				}
				delete(objects, n)
			} else {
				if got, replaced := h.PutObject(o); replaced != had || !reflect.DeepEqual(got, old) {
					t.Fatalf("replaced %+v, want %+v", got, old)
				}
				objects[n] = o
			}
			if got, ok := h.Object(o.Type, o.Incarnation, o.Hash); !reflect.DeepEqual(got, objects[n]) || ok != (objects[n].Type != "") {
				t.Fatalf("%+v, want %+v", got, objects[n])
			}
		}
		b := h.Append(nil)
		for _, now := range []int64{0, 5, 10, 15, 20} {
			v, err := DecodeHeadView(b, now)
			if err != nil {
				t.Fatal(err)
			}
			dead := func(incarnation uint64) bool { return incarnation == 1 }
			number, size, alive, aliveSize := 0, int64(0), 0, int64(0)
			for _, o := range objects {
				if o.Expires > now {
					number, size = number+1, size+int64(o.Size)
					if !dead(o.Incarnation) {
						alive, aliveSize = alive+1, aliveSize+int64(o.Size)
					}
				}
			}
			for _, h := range []*Head{h, v} {
				if n, b := h.Owned(now, nil); n != number || b != size {
					t.Fatalf("%d objects of %d bytes, want %d of %d", n, b, number, size)
				}
				if n, b := h.Owned(now, dead); n != alive || b != aliveSize {
					t.Fatalf("%d objects of %d bytes of living types, want %d of %d", n, b, alive, aliveSize)
				}
			}
			for k := range 7 {
				key, want, living := Key{"k", fmt.Sprint(k)}, false, false
				for _, o := range objects {
					carries := o.Expires > now && slices.Contains(o.Keys, KeyHash(key))
					want, living = want || carries, living || carries && !dead(o.Incarnation)
				}
				if h.Carries(key, now, nil) != want || v.Carries(key, now, nil) != want {
					t.Fatalf("key %v at %d: whole %t, viewed %t, want %t", key, now, h.Carries(key, now, nil), v.Carries(key, now, nil), want)
				}
				if h.Carries(key, now, dead) != living || v.Carries(key, now, dead) != living {
					t.Fatalf("key %v at %d: whole %t, viewed %t, want %t of living types", key, now, h.Carries(key, now, dead), v.Carries(key, now, dead), living)
				}
			}
			if !v.Carries(Key{"pin", "1"}, now, nil) || v.Carries(Key{"pin", "2"}, now, nil) || v.Carries(Key{"pim", "1"}, now, nil) {
				t.Fatal("keys added by hand")
			}
		}
	}
}

// A key may be asked for by its index value: that is all that a hint has.
func TestHeadCarriesLongKeys(t *testing.T) {
	long := Key{"k", string(make([]byte, 5000))}
	short := Key{"k", schema.IndexValue(long.Value)}
	byHand, byObject := &Head{Expires: 9, Keys: []Key{long}}, &Head{Expires: 9}
	byObject.PutObject(ObjectRef{Expires: 9, Keys: []uint64{KeyHash(long)}})
	for _, h := range []*Head{byHand, byObject} {
		if !h.Carries(long, 1, nil) || !h.Carries(short, 1, nil) || h.Carries(Key{"k", "x"}, 1, nil) {
			t.Error("a long key is told by its index value")
		}
	}
}

// A view of a head with 1,000 objects decodes none of them: it allocates what it returns.
func TestHeadViewAllocates(t *testing.T) {
	b := someHead(1000).Append(nil)
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeHeadView(b, 1) }); n > 5 { // head, copy, values, keys twice
		t.Errorf("%v allocations", n)
	}
	h := &Head{}
	if err := h.decodeView(unsafeText(b), 1); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = h.decodeView(unsafeText(b), 1) }); n > 0 {
		t.Errorf("%v allocations into a used head", n)
	}
}

// Whatever is accepted survives its encoding, and a view of it shows the same.
func FuzzDecodeHead(f *testing.F) {
	f.Add((&Head{Time: 1}).Append(nil), int64(0))
	f.Add(someHead(0).Append(nil), int64(50))
	f.Add(someHead(3).Append(nil), int64(1001))
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		v, viewErr := DecodeHeadView(b, now)
		h, err := DecodeHead(b)
		if err != nil {
			return
		}
		again, err := DecodeHead(h.Append(nil))
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("%v: %+v and %+v", err, h, again)
		}
		if viewErr != nil || v.Time != h.Time {
			t.Fatalf("%v: a view of %+v is %+v", viewErr, h, v)
		}
		if h.Expires <= now {
			if v.Expires != 0 || len(v.Values) > 0 {
				t.Fatalf("a view of %+v at %d is %+v", h, now, v)
			}
			return
		}
		visible := slices.DeleteFunc(slices.Clone(h.Values), func(v Value) bool { return v.Expires != 0 && v.Expires <= now })
		if v.Expires != h.Expires || !slices.Equal(v.Values, visible) || !slices.Equal(v.Keys, h.Keys) {
			t.Fatalf("a view of %+v at %d is %+v", h, now, v)
		}
		for _, o := range h.Objects {
			for _, k := range o.Keys {
				if o.Expires > now && !v.viewCarries(k, now, nil) {
					t.Fatalf("key %x of %+v is missing from a view", k, o)
				}
			}
		}
	})
}

// A head of 1,000 objects, each with three keys and the one by which it is found itself, has 96 bytes for each.
func TestHeadOfAThousandObjects(t *testing.T) {
	h := &Head{}
	for i := range 1000 {
		o := ObjectRef{Type: "Order", Hash: HashObject(fmt.Sprint(i)), Expires: 1}
		for k := range 4 {
			o.Keys = append(o.Keys, KeyHash(Key{fmt.Sprint(k), fmt.Sprint(i)}))
		}
		slices.Sort(o.Keys)
		h.PutObject(o)
	}
	if n := len(h.Append(nil)); n < 96_000 || n > 96_100 {
		t.Errorf("%d bytes", n)
	}
}

func BenchmarkHead(b *testing.B) {
	h := someHead(1000)
	encoded := h.Append(nil)
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			encoded = h.Append(encoded[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeHead(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
