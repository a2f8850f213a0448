package fold

import (
	"fmt"
	"unsafe"

	"kith/schema"
)

// Cursor reads an encoded contribution value by value, without allocating: matching an import looks at most contributions of a domain
// and needs one or two attributes of each. Its strings alias the bytes it reads.
//
// The zero Cursor has nothing to read. Open, OpenSaid and OpenValues give one that stands before its first value.
type Cursor struct {
	Expires int64 // of the contribution
	Base    Stamp // of values that have none of their own
	Private int   // number of private keys

	// The value that Next has moved to. Attributes with an ID of 0 have the name Custom.
	ID     uint16
	Custom string
	Text   string
	Blank  bool
	// Country is that of Value.
	Country schema.Country
	Stamp   Stamp
	Until   int64 // when the value expires alone; 0: with the contribution

	compacted bool
	ended     bool
	d         decoder
}

// Open returns a Cursor over an encoded contribution.
func Open(b []byte) (c Cursor, err error) {
	if c.Expires, err = Expiry(b); err == nil && b[0] == contributionV5 { // it has to be completed first
		err = ErrNothingToRepeat
	}
	if err != nil {
		return c, err
	}
	c.compacted = b[0] == contributionV4
	c.d.s = unsafeText(b[9:])
	c.Base = c.d.stamp()
	return c, c.skipPrivate()
}

// OpenSaid returns a Cursor over what an encoded contribution that is not compacted says: what stands behind its stamp.
func OpenSaid(b []byte) (c Cursor, err error) {
	c.d.s = unsafeText(b)
	return c, c.skipPrivate()
}

// skipPrivate goes to the first value.
func (c *Cursor) skipPrivate() error {
	c.Private = int(c.d.uvarint())
	for range c.Private {
		c.d.text()
		c.d.text()
		if c.compacted {
			c.d.time()
		}
		if c.d.err != nil {
			break
		}
	}
	return c.d.err
}

// OpenValues returns a Cursor over encoded values alone, as an import's rows carry them.
func OpenValues(b []byte, base Stamp) Cursor { return Cursor{Base: base, d: decoder{s: unsafeText(b)}} }

// Rest returns the bytes that Next has not read.
func (c *Cursor) Rest() string { return c.d.s }

// Err returns the first error of Next.
func (c *Cursor) Err() error { return c.d.err }

// Compacted says that values have stamps and expiries of their own, and attributes perhaps several values, from old to new.
func (c *Cursor) Compacted() bool { return c.compacted }

// Next moves to the next value. It returns false at the end, and after damage, which Err tells.
func (c *Cursor) Next() bool {
	if len(c.d.s) == 0 || c.d.err != nil {
		c.ended = true
		return false
	}
	head := c.d.uvarint()
	if head >= 2*flagCountry {
		c.d.fail()
		return false
	}
	c.ID, c.Blank, c.Country, c.Custom, c.Stamp, c.Until = uint16(head>>2), head&flagBlank != 0, 0, "", c.Base, 0
	if c.ID == 0 {
		c.Custom = c.d.text()
	}
	if head&flagStamp != 0 {
		c.Stamp = c.d.stamp()
		if c.compacted {
			c.Until = c.d.time()
		}
	}
	if head&flagCountry != 0 {
		c.Country = c.d.country()
	}
	c.Text = c.d.text()
	return c.d.err == nil
}

// Ended says that Next has found no more values.
func (c *Cursor) Ended() bool { return c.ended || c.d.err != nil }

// Attr returns the attribute of the present value.
func (c *Cursor) Attr() schema.Attr { return schema.Attr{ID: c.ID, Custom: c.Custom} }

// unsafeText returns the bytes as a string without copying them; they must not change while it is used.
func unsafeText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func errEarly() error { return fmt.Errorf("%w: it ends too early", ErrCorrupt) }
