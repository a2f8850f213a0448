package index

import (
	"math"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

// Deriver derives the keys of contributions from their encoding, without decoding them: those that Set.AddContribution adds. It is for one goroutine; its
// memory is used again.
type Deriver struct {
	own    []domain.Key
	names  []string // of keys; a key's family is its place here
	family map[string]int

	attrs  []derivedAttr // by number
	custom map[string]int
	last   uint16 // the highest number that a key is made of
	keys   []derivedKey

	parts     []partValue // those of the domain's keys in the contribution at hand
	nameTexts [len(nameAttrs)][]byte
	buf, text []byte
}

// derivedAttr is what an attribute is for keys.
type derivedAttr struct {
	family int // of the key that it is alone, or -1
	ct     schema.ContentType
	part   int // among the parts of the domain's keys, or -1
}

// derivedKey is one of the domain's keys.
type derivedKey struct {
	family int
	parts  []derivedPart
}

type derivedPart struct {
	part int
	ct   schema.ContentType
}

// partValue is a value that keys of the domain are made of.
type partValue struct {
	there   bool
	country schema.Country
	text    string
}

// NewDeriver returns a Deriver of the predefined keys and of a domain's own.
func NewDeriver(own []domain.Key) *Deriver {
	d := &Deriver{own: own, family: map[string]int{}, custom: map[string]int{}}
	d.Family(schema.KeyFullName)
	for id := range uint16(schema.BusinessEmailAddress + 1) {
		of := d.attr(id)
		if name, ct := schema.PredefinedKey(schema.Attr{ID: id}); name != "" {
			of.family, of.ct = d.Family(name), ct
		}
	}
	for _, key := range own {
		if k, ok := d.derived(key); ok {
			d.keys = append(d.keys, k)
		}
	}
	if d.last = uint16(len(d.attrs) - 1); len(d.custom) > 0 {
		d.last = math.MaxUint16
	}
	return d
}

// derived says which parts a key of the domain has, and takes care that they are noted; false when one is no attribute.
func (d *Deriver) derived(key domain.Key) (k derivedKey, ok bool) {
	k.family = d.Family(key.Name)
	for _, of := range key.Parts {
		a, ok := schema.ParsePath(of.Attribute)
		if !ok {
			return k, false
		}
		k.parts = append(k.parts, derivedPart{d.partOf(a), schema.ContentType(of.ContentType)})
	}
	return k, len(k.parts) > 0
}

// attr returns what is known of an attribute, by its number.
func (d *Deriver) attr(id uint16) *derivedAttr {
	for len(d.attrs) <= int(id) {
		d.attrs = append(d.attrs, derivedAttr{family: -1, part: -1})
	}
	return &d.attrs[id]
}

// partOf returns the place of an attribute among the parts of the domain's keys.
func (d *Deriver) partOf(a schema.Attr) int {
	if a.ID == 0 {
		if _, ok := d.custom[a.Custom]; !ok {
			d.custom[a.Custom] = d.newPart()
		}
		return d.custom[a.Custom]
	}
	of := d.attr(a.ID)
	if of.part < 0 {
		of.part = d.newPart()
	}
	return of.part
}

func (d *Deriver) newPart() int {
	d.parts = append(d.parts, partValue{})
	return len(d.parts) - 1
}

// Family returns the family of a key, which may be a private one.
func (d *Deriver) Family(name string) int {
	n, ok := d.family[name]
	if !ok {
		n = len(d.names)
		d.family[name] = n
		d.names = append(d.names, name)
	}
	return n
}

// Families lists the names of keys by family. There may be more after a call of Each that met a private key that Family was not asked for.
func (d *Deriver) Families() []string { return d.names }

// Each calls do for every key of an encoded contribution, with its family and index value, which is good until do returns. It may do so twice for one key.
func (d *Deriver) Each(contribution []byte, do func(family int, value []byte)) error {
	c, err := fold.Open(contribution)
	if err != nil {
		return err
	}
	if c.Compacted() {
		return d.eachDecoded(contribution, do)
	}
	if c.Private > 0 {
		keys, err := fold.PrivateKeys(contribution)
		if err != nil {
			return err
		}
		for _, k := range keys {
			do(d.Family(k.Name), schema.IndexBytes([]byte(k.Value)))
		}
	}
	clear(d.parts)
	for i := range d.nameTexts {
		d.nameTexts[i] = d.nameTexts[i][:0]
	}
	for c.Next() && c.ID <= d.last {
		switch {
		case c.ID == 0:
			if n, ok := d.custom[c.Custom]; ok {
				d.parts[n] = partValue{true, c.Country, c.Text}
			}
		case int(c.ID) < len(d.attrs):
			d.value(&c, do)
		}
	}
	d.eachName(do)
	d.eachOwn(do)
	return c.Err()
}

// value takes in the value of an attribute with a number.
func (d *Deriver) value(c *fold.Cursor, do func(family int, value []byte)) {
	of := &d.attrs[c.ID]
	if of.family >= 0 {
		d.buf = d.appendNormalized(d.buf[:0], c.Country, of.ct, c.Text)
		d.emit(of.family, do)
	}
	if c.ID >= schema.FirstName && c.ID <= schema.LastName {
		text := &d.nameTexts[c.ID-schema.FirstName]
		*text = append((*text)[:0], c.Text...)
	}
	if of.part >= 0 {
		d.parts[of.part] = partValue{true, c.Country, c.Text}
	}
}

// eachName calls do for the full names, as FullNames does.
func (d *Deriver) eachName(do func(family int, value []byte)) {
	first, middle, last := d.nameTexts[0], d.nameTexts[1], d.nameTexts[2]
	if len(first)+len(last) > 0 {
		d.buf = schema.AppendName(d.buf[:0], first, last)
		d.emit(0, do)
	}
	if len(middle) > 0 {
		d.buf = schema.AppendName(d.buf[:0], first, middle, last)
		d.emit(0, do)
	}
}

// eachOwn calls do for the domain's keys all of whose parts are there, as OwnKey does.
func (d *Deriver) eachOwn(do func(family int, value []byte)) {
	for i := range d.keys {
		k := &d.keys[i]
		d.buf = d.buf[:0]
		whole := true
		for n, of := range k.parts {
			if n > 0 {
				d.buf = append(d.buf, schema.TupleSep...)
			}
			from := len(d.buf)
			if p := &d.parts[of.part]; p.there {
				d.buf = d.appendNormalized(d.buf, p.country, of.ct, p.text)
			}
			if whole = len(d.buf) > from; !whole {
				break
			}
		}
		if whole {
			d.emit(k.family, do)
		}
	}
}

// appendNormalized appends the index form of a text.
func (d *Deriver) appendNormalized(dst []byte, c schema.Country, ct schema.ContentType, text string) []byte {
	d.text = append(d.text[:0], text...)
	return schema.AppendNormalizedIn(dst, c, ct, d.text)
}

// emit calls do for the normalised value in buf, if there is one.
func (d *Deriver) emit(family int, do func(family int, value []byte)) {
	if len(d.buf) > 0 {
		do(family, schema.IndexBytes(d.buf))
	}
}

// eachDecoded is Each by decoding: of a contribution that was compacted, whose attributes may have several values.
func (d *Deriver) eachDecoded(contribution []byte, do func(family int, value []byte)) error {
	c, err := fold.DecodeContribution(contribution)
	if err != nil {
		return err
	}
	var keys Set
	keys.AddContribution(c, d.own)
	for _, k := range keys.Keys() {
		do(d.Family(k.Name), schema.IndexBytes([]byte(k.Value)))
	}
	return nil
}
