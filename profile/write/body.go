package write

import (
	"encoding/binary"
	"fmt"

	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

// Body is an object as it is stored. Its JSON is what the caller gave; the rest is what the head was made from, so that it can be made
// again.
type Body struct {
	JSON []byte
	// Values are what all versions of the object have said and no later one has replaced, each with its stamp and expiry.
	Values []fold.Value
	// Keys are the keys that it carries.
	Keys []index.Key
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

// Encoding: version | length of the JSON as a uvarint | JSON | contribution.
const bodyV1 = 1

func (b *Body) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, bodyV1), uint64(len(b.JSON)))
	c := fold.Contribution{Private: b.Keys, Values: b.Values}
	if len(b.Values) > 0 {
		c.Stamp = b.Values[0].Stamp
	}
	return c.Append(append(dst, b.JSON...))
}

// DecodeBody reads an encoded body.
func DecodeBody(b []byte) (*Body, error) {
	if len(b) == 0 || b[0] != bodyV1 {
		return nil, fmt.Errorf("%w: not a body", fold.ErrCorrupt)
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return nil, fmt.Errorf("%w: a body", fold.ErrCorrupt)
	}
	b = b[1+size:]
	c, err := fold.DecodeContribution(b[n:])
	if err != nil {
		return nil, fmt.Errorf("a body: %w", err)
	}
	for i := range c.Values {
		c.Values[i].Kind = fold.Object
	}
	return &Body{JSON: b[:n:n], Values: c.Values, Keys: c.Private}, nil
}
