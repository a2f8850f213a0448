package fold

import (
	"bytes"
	"encoding/binary"
	"slices"

	"kith/schema"
)

// Kind is what sort of source a value comes from; it decides which values it may replace.
type Kind byte

// The kinds. They are on disk.
const (
	Import Kind = 'i' // a row of an upload job
	Manual Kind = 'm' // CreateProfile, UpdateProfile
	Object Kind = 'o' // a profile object
)

// Stamp says when and with what weight a value was written.
type Stamp struct {
	Time       int64 // microseconds
	Row        int64 // row number within an import, else 0
	Priority   int64 // SourcePriority, 1 is strongest, 0 is none
	SourceTime int64 // SourceLastUpdatedTimestamp in microseconds, else 0
}

// Value is what one source says about one attribute.
type Value struct {
	Attr  schema.Attr
	Text  string
	Kind  Kind
	Blank bool // a blank set by hand: it masks older values
	// Country is where a phone number was written, if its index form depends on that: it is part of what was said, so that the keys of
	// a profile never depend on a setting. 0: nobody knows.
	Country schema.Country
	Stamp   Stamp
	// Expires is when the value alone expires, in microseconds; 0: with its contribution. Values of a Head and of a compacted
	// contribution have it.
	Expires int64
}

// Key is a key of a profile: its name and the normalised value.
type Key struct{ Name, Value string }

// Contribution is what one import says about one profile. Values are in the order of schema.Attr.Less.
type Contribution struct {
	Expires int64 // microseconds; invisible from then on
	Stamp   Stamp // of the values that have no stamp of their own
	// Private are the keys that no attribute holds: values of unique keys without a Target.
	Private []Key
	// PrivateExpires is when each of Private expires, of a compacted contribution; none or 0: with the contribution.
	PrivateExpires []int64
	Values         []Value
}

// privateExpiry is when a private key expires.
func (c *Contribution) privateExpiry(i int) int64 {
	if len(c.PrivateExpires) == 0 || c.PrivateExpires[i] == 0 {
		return c.Expires
	}
	return c.PrivateExpires[i]
}

// Encoding, versions 3 and 4:
//
//	version | expires (8) | time (8) | row | priority | source time
//	| number of private keys { length, name, length, value, [expiry (8)] } | values until the end:
//	    number<<2 | flags, [length, name of a custom attribute], [time (8) | row | priority | source time], [country (2)], length, text
//
// Integers are uvarints unless a size is given. Flags: 1 own stamp, 2 blank, 1<<18 country. In version 4, of compacted contributions, an own stamp
// is followed by the value's expiry (8), a private key by its own, and an attribute may have several values, from old to new.
const (
	contributionV3 = 3
	contributionV4 = 4
	flagStamp      = 1
	flagBlank      = 2
	flagCountry    = 1 << 18 // behind the numbers of attributes, which have 16 bits
	fixedHeader    = 17
)

// AppendHeader appends all of an encoded contribution but its values.
func (c *Contribution) AppendHeader(dst []byte) []byte {
	dst = c.AppendStamped(dst)
	if !c.compacted() {
		return AppendPrivate(dst, c.Private)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Private)))
	for i, k := range c.Private {
		expires := int64(0) // with the contribution
		if len(c.PrivateExpires) > 0 {
			expires = c.PrivateExpires[i]
		}
		dst = binary.BigEndian.AppendUint64(appendText(appendText(dst, k.Name), k.Value), uint64(expires))
	}
	return dst
}

// AppendStamped appends an encoded contribution up to its stamp. What follows is AppendPrivate and the values.
func (c *Contribution) AppendStamped(dst []byte) []byte {
	version := byte(contributionV3)
	if c.compacted() {
		version = contributionV4
	}
	dst = append(dst, version)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Expires))
	return appendStamp(dst, c.Stamp)
}

// AppendPrivate appends the encoded private keys of a contribution.
func AppendPrivate(dst []byte, private []Key) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(private)))
	for _, k := range private {
		dst = appendText(appendText(dst, k.Name), k.Value)
	}
	return dst
}

// Append appends the encoded contribution.
func (c *Contribution) Append(dst []byte) []byte {
	dst = c.AppendHeader(dst)
	compacted := c.compacted()
	for _, v := range c.Values {
		dst = appendValue(dst, v, c.Stamp, compacted)
	}
	return dst
}

// compacted says whether values or private keys have expiries of their own.
func (c *Contribution) compacted() bool {
	return len(c.PrivateExpires) > 0 || slices.ContainsFunc(c.Values, func(v Value) bool { return v.Expires != 0 })
}

// DecodePrivate reads encoded private keys.
func DecodePrivate(b []byte) (private []Key, err error) {
	d := decoder{s: string(b)}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		private = append(private, Key{d.text(), d.text()})
	}
	return private, d.err
}

// PrivateKeys reads the private keys of an encoded contribution.
func PrivateKeys(b []byte) (private []Key, err error) {
	c := &Contribution{}
	if _, err := c.decodeHeader(bytes.Clone(b)); err != nil {
		return nil, err
	}
	return c.Private, nil
}

// AppendValue appends one encoded value of a contribution whose stamp is base.
func AppendValue(dst []byte, v Value, base Stamp) []byte { return appendValue(dst, v, base, false) }

func appendValue(dst []byte, v Value, base Stamp, compacted bool) []byte {
	flags := uint64(0)
	if v.Stamp != base || compacted {
		flags |= flagStamp
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
	if flags&flagStamp != 0 {
		dst = appendStamp(dst, v.Stamp)
		if compacted {
			dst = binary.BigEndian.AppendUint64(dst, uint64(v.Expires))
		}
	}
	if v.Country != 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(v.Country))
	}
	return appendText(dst, v.Text)
}

// ValuePrefix returns what stands before the length of the text of an encoded value that has no stamp of its own.
func ValuePrefix(a schema.Attr, c schema.Country) []byte {
	b := AppendValue(nil, Value{Attr: a, Country: c}, Stamp{})
	return b[:len(b)-1]
}

// Indexed returns the index form of the value.
func (v *Value) Indexed(ct schema.ContentType) string {
	return schema.NormalizeIn(v.Country, ct, v.Text)
}

func appendStamp(dst []byte, s Stamp) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Time))
	dst = binary.AppendUvarint(dst, uint64(s.Row))
	dst = binary.AppendUvarint(dst, uint64(s.Priority))
	return binary.AppendUvarint(dst, uint64(s.SourceTime))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Expiry returns the expiry of an encoded contribution, which may be a repeat, without decoding the rest.
func Expiry(b []byte) (int64, error) {
	if len(b) < fixedHeader || b[0] < contributionV3 || b[0] > contributionV5 {
		return 0, ErrCorrupt
	}
	return int64(binary.BigEndian.Uint64(b[1:])), nil
}

// DecodeContribution reads an encoded contribution. Its strings are parts of one copy.
func DecodeContribution(b []byte) (*Contribution, error) {
	c := &Contribution{}
	return c, c.Decode(b, 0)
}

// Decode is DecodeContribution into a contribution whose slices are used again. What has expired alone at a time is
// left out.
func (c *Contribution) Decode(b []byte, now int64) error { return c.DecodeView(bytes.Clone(b), now) }

// DecodeView is Decode without a copy: strings are parts of b, which must not change any more.
func (c *Contribution) DecodeView(b []byte, now int64) error {
	values, err := c.decodeHeader(b)
	if err != nil {
		return err
	}
	c.Values, err = appendValues(c.Values[:0], values)
	if values.compacted {
		c.expire(now)
	}
	return err
}

// decodeHeader reads all of an encoded contribution but its values, which the cursor reads. It copies nothing.
func (c *Contribution) decodeHeader(b []byte) (values Cursor, err error) {
	expires, err := Expiry(b)
	if err == nil && b[0] == contributionV5 { // it has to be completed first
		err = ErrNothingToRepeat
	}
	if err != nil {
		return Cursor{}, err
	}
	compacted := b[0] == contributionV4
	c.Expires, c.Private, c.PrivateExpires = expires, c.Private[:0], c.PrivateExpires[:0]
	d := decoder{s: unsafeText(b[9:])}
	c.Stamp = d.stamp()
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		c.Private = append(c.Private, Key{d.text(), d.text()})
		if compacted {
			c.PrivateExpires = append(c.PrivateExpires, d.time())
		}
	}
	return Cursor{Base: c.Stamp, compacted: compacted, d: d}, d.err
}

// DecodeValues reads encoded values; those without a stamp of their own get base. Its strings are parts of one copy.
func DecodeValues(b []byte, base Stamp) ([]Value, error) { return AppendValues(nil, b, base) }

// AppendValues is DecodeValues into a slice that is used again.
func AppendValues(dst []Value, b []byte, base Stamp) ([]Value, error) {
	return appendValues(dst, Cursor{Base: base, d: decoder{s: string(b)}})
}

// valueGuess is about how many bytes an encoded value has; it sizes slices.
const valueGuess = 12

func appendValues(values []Value, c Cursor) ([]Value, error) {
	if values == nil {
		values = make([]Value, 0, len(c.Rest())/valueGuess+1)
	}
	for c.Next() {
		values = append(values, Value{Attr: c.Attr(), Text: c.Text, Kind: Import, Blank: c.Blank, Country: c.Country, Stamp: c.Stamp, Expires: c.Until})
	}
	return values, c.Err()
}

type decoder struct {
	s   string
	err error
}

func (d *decoder) uvarint() uint64 {
	var n uint64
	for i := 0; i < len(d.s) && i < binary.MaxVarintLen64; i++ {
		c := d.s[i]
		if c < 0x80 {
			d.s = d.s[i+1:]
			return n | uint64(c)<<(7*i)
		}
		n |= uint64(c&0x7f) << (7 * i)
	}
	d.fail()
	return 0
}

func (d *decoder) stamp() (s Stamp) {
	s.Time = d.time()
	s.Row, s.Priority, s.SourceTime = int64(d.uvarint()), int64(d.uvarint()), int64(d.uvarint())
	return s
}

// country reads two bytes.
func (d *decoder) country() (c schema.Country) {
	if len(d.s) < 2 {
		d.fail()
		return 0
	}
	c = schema.Country(d.s[0])<<8 | schema.Country(d.s[1])
	d.s = d.s[2:]
	return c
}

// time reads eight bytes.
func (d *decoder) time() (n int64) {
	if len(d.s) < 8 {
		d.fail()
		return 0
	}
	for i := range 8 {
		n = n<<8 | int64(d.s[i])
	}
	d.s = d.s[8:]
	return n
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) fail() {
	d.s = ""
	if d.err == nil {
		d.err = errEarly()
	}
}

// MergeRows merges the values of rows of the same unique key: of each attribute the one of the later row counts, whichever is given
// first. Both are in order and so is the result.
func MergeRows(a, b []Value) []Value {
	out := make([]Value, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Attr == b[0].Attr:
			if later := a[0]; later.Stamp.Row > b[0].Stamp.Row {
				out = append(out, later)
			} else {
				out = append(out, b[0])
			}
			a, b = a[1:], b[1:]
		case a[0].Attr.Less(b[0].Attr):
			out = append(out, a[0])
			a = a[1:]
		default:
			out = append(out, b[0])
			b = b[1:]
		}
	}
	return append(append(out, a...), b...)
}
