package fold

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"kith/schema"
)

// Encoding, version 3. Integers are uvarints unless a size is given; a section begins with its length in bytes.
//
//	version | time (8) | expires (8)
//	| values:   { number<<2 | flags, [length, name of a custom attribute], time (8) | expires (8) | priority | source time
//	              | [country (2)] | length, text }
//	| keys:     { length, name, length, value }
//	| types:    { length, name, incarnation (8), number of objects }
//	| lives:    of each object { expiry (8) | size of its JSON (4) }
//	| carried:  by hash { hash of a key (8) | number of an object (4) }
//	| objects:  { hash (16) | time (8) | attempt (4) | says (8) }
//	| change:   nothing, or ID (16) | time (8) | action (1) | { length, text } × 4
//
// What a reader wants comes first, and what grows with the objects has a fixed size, so that it need not decode it. Flags of a
// value: 1 of an object, 2 blank, 1<<18 country. Version 2 had no says, and is still read.
const (
	headV2      = 2
	headV3      = 3
	headFixed   = 17
	flagObject  = 1
	lifeSize    = 12
	carriedSize = 12
	objectSize  = 36
	objectV2    = 28 // its size in version 2
)

// Append appends the encoded head. Values and Objects must be in their order; a view can't be encoded, since it lacks most.
func (h *Head) Append(dst []byte) []byte {
	if h.view {
		panic("fold: a view of a head was encoded")
	}
	dst = append(slices.Grow(dst, h.sizeGuess()), headV3)
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
		dst = binary.BigEndian.AppendUint64(dst, h.Objects[i].Says)
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
		if v.Country != 0 {
			flags |= flagCountry
		}
		dst = binary.AppendUvarint(dst, uint64(v.Attr.ID)<<2|flags)
		if v.Attr.ID == 0 {
			dst = appendText(dst, v.Attr.Custom)
		}
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.Stamp.Time))
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.Expires))
		dst = binary.AppendUvarint(dst, uint64(v.Stamp.Priority))
		dst = binary.AppendUvarint(dst, uint64(v.Stamp.SourceTime))
		if v.Country != 0 {
			dst = binary.BigEndian.AppendUint16(dst, uint16(v.Country))
		}
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
	if len(b) < headFixed || b[0] != headV3 && b[0] != headV2 {
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
	size := objectSize
	if b[0] == headV2 {
		size = objectV2
	}
	h.decodeObjects(&d, size)
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
	if len(s) < headFixed || s[0] != headV3 && s[0] != headV2 {
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
		if head >= 2*flagCountry {
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
		if head&flagCountry != 0 {
			v.Country = d.country()
		}
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

// decodeObjects reads the four sections about objects, of which the last has size bytes for each.
func (h *Head) decodeObjects(d *decoder, size int) {
	types := decoder{s: d.text()}
	lives, carried := d.text(), d.text()
	objects := decoder{s: d.text()}
	n := len(lives) / lifeSize
	if len(lives)%lifeSize != 0 || len(carried)%carriedSize != 0 || len(objects.s) != size*n {
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
			o.Attempt, objects.s = be32(objects.s), objects.s[4:]
			if size == objectSize {
				o.Says, objects.s = be64(objects.s), objects.s[8:]
			}
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
