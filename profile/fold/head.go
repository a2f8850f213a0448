package fold

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"kith/schema"
)

// Head is everything that API writes say about a profile, compacted into one row.
//
// A writer decodes it (DecodeHead), changes it, and swaps it. Who only wants the profile takes a view of it (DecodeHeadView), which
// leaves encoded whatever grows with the number of objects.
type Head struct {
	// Time is the profile's time: later than every write before. It outlives what was written, so that index rows of a write that was
	// overtaken can't come back.
	Time int64 // microseconds
	// Expires is when the last thing that the head says expires; 0: it says nothing, and only keeps the time (a fence).
	Expires int64
	// Values are in the order of schema.Attr.Less, then of time. Each has its kind (Manual or Object), stamp and expiry; rows, which
	// are of imports, are 0.
	Values []Value
	// Keys were added by hand; they last as long as the head. A Value is normalised.
	Keys []Key
	// Change is the last change, until its history record stands. Not in a view.
	Change *Change
	// Objects are in the order of ObjectRef.compare. Not in a view.
	Objects []ObjectRef

	// Of a view: the types of the objects, how long each lives and how much it takes (lifeSize bytes each), and which object carries which
	// key (carriedSize bytes each).
	types, lives, carried string
	view                  bool
	asOf                  int64 // when the view was taken
}

// Change is what a history record tells, kept by the head until that record stands.
type Change struct {
	ID     [16]byte // of the record
	At     int64    // microseconds
	Action byte     // as package profile numbers them
	By     string   // who asked for it
	// ObjectType and ObjectKey name the object that was changed; empty: the profile or a key.
	ObjectType, ObjectKey string
	// Detail is what the record says besides, as whoever writes it encodes it.
	Detail string
}

// ObjectRef is an object that a profile owns. Its body counts while the head lists it with that time.
type ObjectRef struct {
	Type        string
	Incarnation uint64   // of the type
	Hash        [16]byte // HashObject of its unique key
	Time        int64    // when it was written, in microseconds; the body's row key ends in it, and in Attempt
	Attempt     uint32   // tells its body from those of other attempts that took the same time
	Expires     int64    // microseconds
	Size        uint32   // of its JSON, in bytes
	// Says is HashSaid of the values of its body, if this version said all of them, and nothing about standard objects; else 0. A version that says
	// as much replaces them all, so that nobody need read what they were.
	Says uint64
	// Keys are the KeyHashes of the keys that it carries, so that they can be confirmed without reading its body, each as long as one
	// of its objects is visible. A count per key with the latest expiry would be smaller by little, and could not tell when the
	// object that lasts longest goes.
	Keys []uint64
}

// compare is the order of the objects of a head: by type, its incarnation, and the hash.
func (o *ObjectRef) compare(other *ObjectRef) int {
	return cmp.Or(strings.Compare(o.Type, other.Type), cmp.Compare(o.Incarnation, other.Incarnation), bytes.Compare(o.Hash[:], other.Hash[:]))
}

// HashObject returns what an ObjectRef has of an object's unique key.
func HashObject(uniqueKey string) (h [16]byte) {
	sum := sha256.Sum256([]byte(uniqueKey))
	copy(h[:], sum[:])
	return h
}

// KeyHash returns what an ObjectRef has of a key. The value is the normalised one or its schema.IndexValue: both give the same.
func KeyHash(k Key) uint64 {
	var buf [192]byte
	sum := sha256.Sum256(append(append(append(buf[:0], k.Name...), 1), schema.IndexValue(k.Value)...))
	return binary.BigEndian.Uint64(sum[:])
}

// HashSaid returns what an ObjectRef has of values that an object says, in their order: what they are of, and what decides which of two values of
// one attribute stays, but for their time and expiry, which the ObjectRef has.
func HashSaid(values []Value) uint64 {
	var buf [256]byte
	text := buf[:0]
	for i := range values {
		v := &values[i]
		text = appendText(binary.AppendUvarint(text, uint64(v.Attr.ID)), v.Attr.Custom)
		text = binary.AppendVarint(binary.AppendVarint(text, v.Stamp.Priority), v.Stamp.SourceTime)
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:]) | 1 // 0 stands for nothing
}

// find returns where an object of that type, incarnation and hash is, or would be.
func (h *Head) find(o *ObjectRef) (int, bool) {
	return slices.BinarySearchFunc(h.Objects, o, func(a ObjectRef, o *ObjectRef) int { return a.compare(o) })
}

// Object returns an object that the head lists. Not of a view.
func (h *Head) Object(typeName string, incarnation uint64, hash [16]byte) (ObjectRef, bool) {
	i, ok := h.find(&ObjectRef{Type: typeName, Incarnation: incarnation, Hash: hash})
	if !ok {
		return ObjectRef{}, false
	}
	return h.Objects[i], true
}

// PutObject lists an object, in place of an older version of it, which it returns.
func (h *Head) PutObject(o ObjectRef) (old ObjectRef, replaced bool) {
	i, ok := h.find(&o)
	if !ok {
		h.Objects = slices.Insert(h.Objects, i, o)
		return ObjectRef{}, false
	}
	old, h.Objects[i] = h.Objects[i], o
	return old, true
}

// DropObject strikes an object off the list and returns what it was.
func (h *Head) DropObject(typeName string, incarnation uint64, hash [16]byte) (old ObjectRef, dropped bool) {
	i, ok := h.find(&ObjectRef{Type: typeName, Incarnation: incarnation, Hash: hash})
	if !ok {
		return ObjectRef{}, false
	}
	old = h.Objects[i]
	h.Objects = slices.Delete(h.Objects, i, i+1)
	return old, true
}

// Carries says whether a key, whose value is normalised or its schema.IndexValue, was added by hand, or an object carries it that has not
// expired and whose type is alive. dead tells of which incarnations of types that is not so; nil: of none.
func (h *Head) Carries(k Key, now int64, dead func(incarnation uint64) bool) bool {
	if h.Expires <= now {
		return false
	}
	for _, own := range h.Keys {
		if own.Name == k.Name && (own.Value == k.Value || schema.IndexValue(own.Value) == schema.IndexValue(k.Value)) {
			return true
		}
	}
	if len(h.Objects) == 0 && len(h.carried) == 0 {
		return false
	}
	hash := KeyHash(k)
	for i := range h.Objects {
		if o := &h.Objects[i]; o.Expires > now && slices.Contains(o.Keys, hash) && (dead == nil || !dead(o.Incarnation)) {
			return true
		}
	}
	return h.viewCarries(hash, now, dead)
}

// viewCarries looks a key's hash up in what a view leaves encoded.
func (h *Head) viewCarries(hash uint64, now int64, dead func(uint64) bool) bool {
	lo, hi := 0, len(h.carried)/carriedSize
	for lo < hi {
		if mid := (lo + hi) / 2; be64(h.carried[mid*carriedSize:]) < hash {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for at := lo * carriedSize; at < len(h.carried) && be64(h.carried[at:]) == hash; at += carriedSize {
		object := int(be32(h.carried[at+8:]))
		if i := lifeSize * object; i < len(h.lives) && int64(be64(h.lives[i:])) > now && (dead == nil || !dead(h.incarnationOf(object))) {
			return true
		}
	}
	return false
}

// incarnationOf returns the incarnation of the type of an object of a view, given by its number.
func (h *Head) incarnationOf(object int) uint64 {
	for types := (decoder{s: h.types}); types.s != ""; {
		types.text()
		incarnation, n := uint64(types.time()), types.uvarint()
		if types.err != nil || uint64(object) < n {
			return incarnation
		}
		object -= int(n)
	}
	return 0
}

// Owned returns how many objects the head lists that have not expired at a time, and how many bytes of JSON they have. dead is as in
// Carries.
func (h *Head) Owned(now int64, dead func(incarnation uint64) bool) (objects int, bytes int64) {
	for i := range h.Objects {
		if o := &h.Objects[i]; o.Expires > now && (dead == nil || !dead(o.Incarnation)) {
			objects, bytes = objects+1, bytes+int64(o.Size)
		}
	}
	lives := h.lives
	for types := (decoder{s: h.types}); types.s != ""; {
		types.text()
		incarnation, n := uint64(types.time()), types.uvarint()
		if types.err != nil || n > uint64(len(lives)/lifeSize) {
			return objects, bytes
		}
		of := lives[:lifeSize*n]
		lives = lives[lifeSize*n:]
		for ; of != "" && (dead == nil || !dead(incarnation)); of = of[lifeSize:] {
			if int64(be64(of)) > now {
				objects, bytes = objects+1, bytes+int64(be32(of[8:]))
			}
		}
	}
	return objects, bytes
}

// HasType says whether a view lists objects of an incarnation of a type that is looked for.
func (h *Head) HasType(is func(incarnation uint64) bool) bool {
	for types := (decoder{s: h.types}); types.s != "" && types.err == nil; types.uvarint() {
		types.text()
		if incarnation := uint64(types.time()); types.err == nil && is(incarnation) {
			return true
		}
	}
	return false
}

// ObjectsSay says whether a value is what an object says.
func (h *Head) ObjectsSay() bool {
	return slices.ContainsFunc(h.Values, func(v Value) bool { return v.Kind == Object })
}

// WithoutObjects returns a copy without objects and what they say.
func (h *Head) WithoutObjects() *Head {
	c := *h
	c.Objects, c.types, c.lives, c.carried = nil, "", "", ""
	c.Values = slices.DeleteFunc(slices.Clone(h.Values), func(v Value) bool { return v.Kind == Object })
	return &c
}

// Clone returns a copy that the other can be changed beside, and that shares what is never changed in place. Not of a view.
func (h *Head) Clone() *Head {
	c := *h
	c.Values, c.Keys, c.Objects = slices.Clone(h.Values), slices.Clone(h.Keys), slices.Clone(h.Objects)
	return &c
}
