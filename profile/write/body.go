package write

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Body is an object as it is stored. Its JSON is what the caller gave; the rest is what the head was made from, so that it can be made
// again.
type Body struct {
	JSON []byte
	// UniqueKey is the object's unique key, as callers have it.
	UniqueKey string
	// Values are what all versions of the object have said and no later one has replaced, each with its stamp and expiry.
	Values []fold.Value
	// Keys are the keys that it carries.
	Keys []index.Key
	// Standard is what it says about standard objects, one of a type at most.
	Standard []Standard
}

// Standard is what an object says about one standard object of its person. A standard object is the fold of what all objects say about it
// that carry its id.
type Standard struct {
	Type string // "_asset"
	ID   string // 32 hex digits
	// Values are what all versions of the object have said of it and no later one has replaced. The name of a custom attribute is the path
	// below the type's prefix; the text of one that has "[]" in it is a JSON array of texts.
	Values []fold.Value
}

func bodyPartition(inc store.Incarnation, id fold.ID) store.Partition {
	return store.Partition{Table: store.Body, Incarnation: inc, Key: string(id[:])}
}

// BodyKey returns the row key of an object's body.
func BodyKey(o fold.ObjectRef) []byte {
	key := append(make([]byte, 0, len(o.Type)+37), o.Type...)
	key = binary.BigEndian.AppendUint64(append(key, 0), o.Incarnation)
	key = binary.BigEndian.AppendUint64(append(key, o.Hash[:]...), uint64(o.Time))
	return binary.BigEndian.AppendUint32(key, o.Attempt)
}

// Encoding, version 2; integers are uvarints:
//
//	version | length, JSON | length, unique key
//	| number of standard objects { length, type | length, id | length, contribution }
//	| contribution
const bodyV2 = 2

func (b *Body) append(dst []byte) []byte {
	dst = slices.Grow(dst, b.sizeGuess())
	dst = binary.AppendUvarint(append(dst, bodyV2), uint64(len(b.JSON)))
	dst = append(dst, b.JSON...)
	dst = appendText(dst, b.UniqueKey)
	dst = binary.AppendUvarint(dst, uint64(len(b.Standard)))
	for i := range b.Standard {
		dst = b.Standard[i].append(dst)
	}
	return appendContribution(dst, b.Keys, b.Values)
}

// sizeGuess is about how long the encoded body is without standard objects, or a little more.
func (b *Body) sizeGuess() int {
	n := 64 + len(b.JSON) + len(b.UniqueKey)
	for i := range b.Values {
		n += 32 + len(b.Values[i].Attr.Custom) + len(b.Values[i].Text)
	}
	for _, k := range b.Keys {
		n += 4 + len(k.Name) + len(k.Value)
	}
	return n
}

func appendContribution(dst []byte, keys []index.Key, values []fold.Value) []byte {
	c := fold.Contribution{Private: keys, Values: values}
	if len(values) > 0 {
		c.Stamp = values[0].Stamp
	}
	return c.Append(dst)
}

func (s *Standard) append(dst []byte) []byte {
	dst = appendText(appendText(dst, s.Type), s.ID)
	return appendText(dst, string(appendContribution(nil, nil, s.Values)))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// ReadBody returns the body of an object of a profile, given its row key (BodyKey, or Detail of a record of it), or nil when it has been
// replaced or removed since.
func ReadBody(ctx context.Context, st store.Store, inc store.Incarnation, id fold.ID, key []byte) (*Body, error) {
	row, err := st.Get(ctx, bodyPartition(inc, id), key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an object: %w", err)
	}
	return DecodeBody(row.Value)
}

// DecodeBody reads an encoded body. JSON is a part of b.
func DecodeBody(b []byte) (*Body, error) {
	if len(b) == 0 || b[0] != bodyV2 {
		return nil, fmt.Errorf("%w: not a body", fold.ErrCorrupt)
	}
	d := decoder{b: b[1:]}
	body := &Body{JSON: d.bytes()}
	body.UniqueKey = string(d.bytes())
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		st := Standard{Type: string(d.bytes()), ID: string(d.bytes())}
		_, values, err := decodeContribution(d.bytes())
		if err != nil {
			return nil, err
		}
		st.Values = values
		body.Standard = append(body.Standard, st)
	}
	if d.bad {
		return nil, fmt.Errorf("%w: a body", fold.ErrCorrupt)
	}
	var err error
	body.Keys, body.Values, err = decodeContribution(d.b)
	return body, err
}

func decodeContribution(b []byte) ([]index.Key, []fold.Value, error) {
	c, err := fold.DecodeContribution(b)
	if err != nil {
		return nil, nil, fmt.Errorf("a body: %w", err)
	}
	for i := range c.Values {
		c.Values[i].Kind = fold.Object
	}
	return c.Private, c.Values, nil
}

// decoder reads what Body.append has written. After a failure it is bad, and empty.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}
