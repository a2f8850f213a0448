package fold

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
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

// Clone returns a copy that the other can be changed beside, and that shares what is never changed in place. Not of a view.
func (h *Head) Clone() *Head {
	c := *h
	c.Values, c.Keys, c.Objects = slices.Clone(h.Values), slices.Clone(h.Keys), slices.Clone(h.Objects)
	return &c
}

// Encoding, version 2. Integers are uvarints unless a size is given; a section begins with its length in bytes.
//
//	version | time (8) | expires (8)
//	| values:   { number<<2 | flags, [length, name of a custom attribute], time (8) | expires (8) | priority | source time
//	              | length, text }
//	| keys:     { length, name, length, value }
//	| types:    { length, name, incarnation (8), number of objects }
//	| lives:    of each object { expiry (8) | size of its JSON (4) }
//	| carried:  by hash { hash of a key (8) | number of an object (4) }
//	| objects:  { hash (16) | time (8) | attempt (4) }
//	| change:   nothing, or ID (16) | time (8) | action (1) | { length, text } × 4
//
// What a reader wants comes first, and what grows with the objects has a fixed size, so that it need not decode it. Flags of a
// value: 1 of an object, 2 blank.
const (
	headV2      = 2
	headFixed   = 17
	flagObject  = 1
	lifeSize    = 12
	carriedSize = 12
	objectSize  = 28
)

// Append appends the encoded head. Values and Objects must be in their order; a view can't be encoded, since it lacks most.
func (h *Head) Append(dst []byte) []byte {
	if h.view {
		panic("fold: a view of a head was encoded")
	}
	dst = append(slices.Grow(dst, h.sizeGuess()), headV2)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Time))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Expires))
	dst = appendSection(dst, h.appendValues)
	dst = appendSection(dst, func(dst []byte) []byte {
		for _, k := range h.Keys {
			dst = appendText(appendText(dst, k.Name), k.Value)
		}
		return dst
	})
	dst = appendSection(dst, h.appendTypes)
	dst = binary.AppendUvarint(dst, uint64(lifeSize*len(h.Objects)))
	for i := range h.Objects {
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Objects[i].Expires))
		dst = binary.BigEndian.AppendUint32(dst, h.Objects[i].Size)
	}
	dst = h.appendCarried(dst)
	dst = binary.AppendUvarint(dst, uint64(objectSize*len(h.Objects)))
	for i := range h.Objects {
		dst = append(dst, h.Objects[i].Hash[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Objects[i].Time))
		dst = binary.BigEndian.AppendUint32(dst, h.Objects[i].Attempt)
	}
	return appendSection(dst, h.appendChange)
}

// sizeGuess is about how long the encoded head is, or a little more.
func (h *Head) sizeGuess() int {
	const fixed, value, object, keys = 128, 48, lifeSize + objectSize, 4
	n := fixed + len(h.Objects)*(object+keys*carriedSize)
	for i := range h.Values {
		n += value + len(h.Values[i].Attr.Custom) + len(h.Values[i].Text)
	}
	for _, k := range h.Keys {
		n += 4 + len(k.Name) + len(k.Value)
	}
	return n
}

// appendSection appends what another function appends, with its length before it.
func appendSection(dst []byte, section func([]byte) []byte) []byte {
	const room = 2 // for the length; most sections need one or two bytes
	start := len(dst)
	dst = section(append(dst, make([]byte, room)...))
	var head [binary.MaxVarintLen64]byte
	length := binary.AppendUvarint(head[:0], uint64(len(dst)-start-room))
	return slices.Replace(dst, start, start+room, length...)
}

func (h *Head) appendValues(dst []byte) []byte {
	for i := range h.Values {
		v := &h.Values[i]
		flags := uint64(0)
		if v.Kind == Object {
			flags |= flagObject
		}
		if v.Blank {
			flags |= flagBlank
		}
		dst = binary.AppendUvarint(dst, uint64(v.Attr.ID)<<2|flags)
		if v.Attr.ID == 0 {
			dst = appendText(dst, v.Attr.Custom)
		}
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.Stamp.Time))
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.Expires))
		dst = binary.AppendUvarint(dst, uint64(v.Stamp.Priority))
		dst = binary.AppendUvarint(dst, uint64(v.Stamp.SourceTime))
		dst = appendText(dst, v.Text)
	}
	return dst
}

// pair says that an object carries a key.
type pair struct {
	hash   uint64
	object uint32
}

// carriedPairs returns which object carries which key, in order. Hashes are spread evenly, so they are dealt to buckets by their first bits
// before they are sorted: a head of 1,000 objects is encoded with every put. For a few the buckets would cost more than they spare.
func (h *Head) carriedPairs() []pair {
	const few, shift = 64, 64 - 8
	n := 0
	for i := range h.Objects {
		n += len(h.Objects[i].Keys)
	}
	if n <= few {
		return h.fewPairs(n)
	}
	var ends [1 << (64 - shift)]int
	for i := range h.Objects {
		for _, hash := range h.Objects[i].Keys {
			ends[hash>>shift]++
		}
	}
	at := 0
	for b, size := range ends {
		ends[b] = at
		at += size
	}
	pairs := make([]pair, n)
	for i := range h.Objects {
		for _, hash := range h.Objects[i].Keys {
			b := hash >> shift
			pairs[ends[b]] = pair{hash, uint32(i)}
			ends[b]++
		}
	}
	from := 0
	for _, end := range ends {
		slices.SortFunc(pairs[from:end], comparePairs)
		from = end
	}
	return pairs
}

// fewPairs returns all n pairs in order.
func (h *Head) fewPairs(n int) []pair {
	pairs := make([]pair, 0, n)
	for i := range h.Objects {
		for _, hash := range h.Objects[i].Keys {
			pairs = append(pairs, pair{hash, uint32(i)})
		}
	}
	slices.SortFunc(pairs, comparePairs)
	return pairs
}

func comparePairs(a, b pair) int {
	if a.hash != b.hash {
		return cmp.Compare(a.hash, b.hash)
	}
	return cmp.Compare(a.object, b.object)
}

// appendCarried appends the section that finds objects by their keys.
func (h *Head) appendCarried(dst []byte) []byte {
	pairs := h.carriedPairs()
	pairs = slices.Compact(pairs)
	dst = binary.AppendUvarint(dst, uint64(carriedSize*len(pairs)))
	for _, p := range pairs {
		dst = binary.BigEndian.AppendUint64(dst, p.hash)
		dst = binary.BigEndian.AppendUint32(dst, p.object)
	}
	return dst
}

// appendTypes appends the types of the objects, each with the number of objects that are of it.
func (h *Head) appendTypes(dst []byte) []byte {
	for i := 0; i < len(h.Objects); {
		o, n := &h.Objects[i], 0
		for ; i < len(h.Objects) && h.Objects[i].Type == o.Type && h.Objects[i].Incarnation == o.Incarnation; i++ {
			n++
		}
		dst = binary.BigEndian.AppendUint64(appendText(dst, o.Type), o.Incarnation)
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func (h *Head) appendChange(dst []byte) []byte {
	c := h.Change
	if c == nil {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(append(dst, c.ID[:]...), uint64(c.At))
	dst = append(dst, c.Action)
	for _, s := range []string{c.By, c.ObjectType, c.ObjectKey, c.Detail} {
		dst = appendText(dst, s)
	}
	return dst
}

// HeadExpiry returns the expiry of an encoded head without decoding the rest.
func HeadExpiry(b []byte) (int64, error) {
	if len(b) < headFixed || b[0] != headV2 {
		return 0, fmt.Errorf("%w: not a head", ErrCorrupt)
	}
	return int64(binary.BigEndian.Uint64(b[9:])), nil
}

// DecodeHead reads an encoded head as a whole, expired things too. Its strings are parts of one copy.
func DecodeHead(b []byte) (*Head, error) {
	d, err := openHead(string(b))
	if err != nil {
		return nil, err
	}
	h := &Head{Time: d.time(), Expires: d.time()}
	d.within(func(d *decoder) { h.Values = appendHeadValues(nil, d, 0) })
	d.within(func(d *decoder) { h.Keys = appendKeys(nil, d) })
	h.decodeObjects(&d)
	d.within(func(d *decoder) { h.Change = decodeChange(d) })
	if d.s != "" {
		d.fail()
	}
	return h, d.err
}

// DecodeHeadView reads what a head shows at a time: Time, Expires (0 once it is past), the values that have not expired, and the keys
// added by hand. It can tell which keys objects carry (Carries), but neither lists them nor can be encoded. It keeps no part of b.
func DecodeHeadView(b []byte, now int64) (*Head, error) {
	h := &Head{}
	return h, h.decodeView(string(b[:viewSize(b)]), now)
}

// viewSize returns how many bytes of an encoded head a view is made of.
func viewSize(b []byte) int {
	d := decoder{s: unsafeText(b)}
	if len(b) < headFixed {
		return len(b)
	}
	d.s = d.s[headFixed:]
	for range 5 { // values, keys, types, lives, carried
		d.text()
	}
	if d.err != nil {
		return len(b)
	}
	return len(b) - len(d.s)
}

// decodeView is DecodeHeadView into a head whose slices are used again. The head keeps parts of s.
func (h *Head) decodeView(s string, now int64) error {
	d, err := openHead(s)
	if err != nil {
		return err
	}
	*h = Head{Time: d.time(), Expires: d.time(), Values: h.Values[:0], Keys: h.Keys[:0], view: true, asOf: now}
	if h.Expires <= now {
		h.Expires = 0
		return nil
	}
	values, keys := decoder{s: d.text()}, decoder{s: d.text()}
	h.types, h.lives, h.carried = d.text(), d.text(), d.text()
	h.Values, h.Keys = appendHeadValues(h.Values, &values, now), appendKeys(h.Keys, &keys)
	return cmp.Or(d.err, values.err, keys.err)
}

// openHead returns a decoder that stands at the time of an encoded head.
func openHead(s string) (d decoder, err error) {
	if len(s) < headFixed || s[0] != headV2 {
		return d, fmt.Errorf("%w: not a head", ErrCorrupt)
	}
	return decoder{s: s[1:]}, nil
}

// within calls read with a decoder of the next section, which must be read to its end.
func (d *decoder) within(read func(*decoder)) {
	in := decoder{s: d.text()}
	if read(&in); in.err != nil || in.s != "" {
		d.fail()
	}
}

// appendHeadValues reads the values that have not expired at a time.
func appendHeadValues(dst []Value, d *decoder, now int64) []Value {
	if dst == nil && d.s != "" {
		dst = make([]Value, 0, len(d.s)/headValueGuess+1)
	}
	for d.s != "" {
		head := d.uvarint()
		if head>>2 > 0xffff {
			d.fail()
			return dst
		}
		v := Value{Attr: schema.Attr{ID: uint16(head >> 2)}, Kind: Manual, Blank: head&flagBlank != 0}
		if head&flagObject != 0 {
			v.Kind = Object
		}
		if v.Attr.ID == 0 {
			v.Attr.Custom = d.text()
		}
		v.Stamp.Time, v.Expires = d.time(), d.time()
		v.Stamp.Priority, v.Stamp.SourceTime = int64(d.uvarint()), int64(d.uvarint())
		v.Text = d.text()
		if d.err != nil {
			return dst
		}
		if v.Expires > now || v.Expires == 0 {
			dst = append(dst, v)
		}
	}
	return dst
}

// headValueGuess is about how many bytes an encoded value of a head has; it sizes slices.
const headValueGuess = 28

func appendKeys(dst []Key, d *decoder) []Key {
	for d.s != "" {
		k := Key{d.text(), d.text()}
		if d.err != nil {
			return dst
		}
		dst = append(dst, k)
	}
	return dst
}

// decodeObjects reads the four sections about objects.
func (h *Head) decodeObjects(d *decoder) {
	types := decoder{s: d.text()}
	lives, carried := d.text(), d.text()
	objects := decoder{s: d.text()}
	n := len(lives) / lifeSize
	if len(lives)%lifeSize != 0 || len(carried)%carriedSize != 0 || len(objects.s) != objectSize*n {
		d.fail()
		return
	}
	if n == 0 {
		if carried != "" || types.s != "" {
			d.fail()
		}
		return
	}
	h.Objects = make([]ObjectRef, n)
	rest := h.Objects
	for types.s != "" {
		name, incarnation, of := types.text(), uint64(types.time()), types.uvarint()
		if types.err != nil || of == 0 || of > uint64(len(rest)) {
			d.fail()
			return
		}
		for i := range rest[:of] {
			o := &rest[i]
			o.Type, o.Incarnation, o.Expires, o.Size = name, incarnation, int64(be64(lives)), be32(lives[8:])
			copy(o.Hash[:], objects.s)
			objects.s, lives = objects.s[len(o.Hash):], lives[lifeSize:]
			o.Time = objects.time()
			o.Attempt = be32(objects.s)
			objects.s = objects.s[4:]
		}
		rest = rest[of:]
	}
	if len(rest) > 0 || !h.decodeCarried(carried) {
		d.fail()
	}
}

// decodeCarried gives each object its keys; all are parts of one slice. It says whether they are in order.
func (h *Head) decodeCarried(s string) bool {
	number := make([]int, len(h.Objects)+1) // of keys of each object
	last := ""
	for rest := s; rest != ""; rest = rest[carriedSize:] {
		object := int(be32(rest[8:]))
		if object >= len(h.Objects) || rest[:carriedSize] <= last {
			return false
		}
		last = rest[:carriedSize]
		number[object]++
	}
	all := make([]uint64, len(s)/carriedSize)
	for i := range h.Objects {
		if n := number[i]; n > 0 {
			h.Objects[i].Keys, all = all[:0:n], all[n:]
		}
	}
	for ; s != ""; s = s[carriedSize:] {
		o := &h.Objects[be32(s[8:])]
		o.Keys = append(o.Keys, be64(s))
	}
	return true
}

func decodeChange(d *decoder) *Change {
	if d.s == "" {
		return nil
	}
	c := &Change{}
	if len(d.s) < len(c.ID)+9 {
		d.fail()
		return nil
	}
	copy(c.ID[:], d.s)
	d.s = d.s[len(c.ID):]
	c.At = d.time()
	c.Action, d.s = d.s[0], d.s[1:]
	c.By, c.ObjectType, c.ObjectKey, c.Detail = d.text(), d.text(), d.text(), d.text()
	return c
}

func be32(s string) uint32 {
	_ = s[3]
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
}

func be64(s string) uint64 {
	return uint64(be32(s))<<32 | uint64(be32(s[4:]))
}
