package index

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

// nameParts returns the parts of a person's name that values have, a bit each; ok is false when only a fold can tell what one is worth.
func nameParts(c fold.Cursor) (parts uint8, ok bool) {
	for c.Next() && c.ID != 0 && c.ID <= schema.LastName { // numbers ascend, custom attributes come last
		if c.Blank || c.Stamp.Priority != 0 {
			return 0, false
		}
		if c.ID >= schema.FirstName && c.Text != "" {
			parts |= 1 << (c.ID - schema.FirstName)
		}
	}
	return parts, c.Err() == nil
}

// Glance answers the two questions of matching an import from a profile's contributions, given in the order of their keys, without
// decoding them: whether the profile has a predefined key of one attribute, and whether adding encoded values can give it a full name
// that neither has alone. known is false when only the fold can tell. Most profiles have contributions of imports only, each of another
// job, and matching them is half of an import of known customers.
func Glance(contributions [][]byte, now int64, name string, indexValue, add []byte) (has, combine, known bool) {
	if name != schema.KeyAccount && name != schema.KeyEmail && name != schema.KeyPhone {
		return false, false, false
	}
	added, ok := nameParts(fold.OpenValues(add, fold.Stamp{}))
	if !ok {
		return false, false, false
	}
	var there uint8
	var decided decidedAttrs // attributes that a later contribution has
	later := int64(math.MaxInt64)
	for i := len(contributions) - 1; i >= 0; i-- {
		c, err := fold.Open(contributions[i])
		if err != nil {
			return false, false, false
		}
		if c.Expires <= now {
			continue
		}
		// Two of one job: its rows decide. A compacted one counts as the oldest, for what is left to know of it.
		if c.Base.Time >= later || c.Private != 0 || c.Compacted() && (i != 0 || !has) {
			return false, false, false
		}
		later = c.Base.Time
		parts, ok := nameParts(c)
		if !ok {
			return false, false, false
		}
		there |= parts
		if !has {
			if has, ok = decided.yields(c, name, indexValue); !ok {
				return false, false, false
			}
		}
	}
	return has, has && added != 0 && there&^added != 0, true
}

// decidedAttrs are attributes of which a later value is known.
type decidedAttrs struct {
	ids [8]uint16
	n   int
}

// yields says whether a contribution's values that no later one replaces yield a key, and notes them; ok is false when it can't tell.
func (d *decidedAttrs) yields(c fold.Cursor, name string, indexValue []byte) (has, ok bool) {
	for c.Next() && c.ID != 0 { // custom attributes are no predefined keys
		if c.Blank || c.Stamp != c.Base {
			return false, false
		}
		key, ct := schema.PredefinedKey(schema.Attr{ID: c.ID})
		if key != name || c.Text == "" || slices.Contains(d.ids[:d.n], c.ID) {
			continue
		}
		if d.n == len(d.ids) {
			return false, false
		}
		d.ids[d.n] = c.ID
		d.n++
		var buf [128]byte
		norm := schema.AppendNormalizedIn(buf[:0], c.Country, ct, []byte(c.Text))
		if len(norm) > 0 && bytes.Equal(schema.IndexBytes(norm), indexValue) {
			return true, true
		}
	}
	return false, c.Err() == nil
}

// Shows says whether a profile that has nothing but these contributions, of which Glance knows, shows every one of encoded values: adding them
// changes nothing.
func Shows(contributions [][]byte, now int64, values []byte) bool {
	have := make([]fold.Cursor, 0, len(contributions))
	for i := len(contributions) - 1; i >= 0; i-- { // the newest first
		c, err := fold.Open(contributions[i])
		if err != nil {
			return false
		}
		if c.Expires <= now {
			continue
		}
		if len(have) == 0 && !c.Compacted() && c.Rest() == string(values) { // most that are imported again
			return true
		}
		c.Next()
		have = append(have, c)
	}
	want := fold.OpenValues(values, fold.Stamp{})
	for want.Next() {
		shown := false
		for i := range have {
			c := &have[i]
			for !c.Ended() && c.Attr().Less(want.Attr()) {
				c.Next()
			}
			found, same := false, false
			for ; !c.Ended() && c.Attr() == want.Attr(); c.Next() { // from old to new
				if c.Until == 0 || c.Until > now {
					found, same = true, c.Text == want.Text && c.Country == want.Country
				}
			}
			if found && !shown && !same {
				return false
			}
			shown = shown || found
		}
		if !shown {
			return false
		}
	}
	return want.Err() == nil
}

// Keeps says whether a person shows the same when an import adds encoded values: it has them, or something stronger in their place.
func Keeps(p *fold.Profile, values []byte) bool {
	want, i := fold.OpenValues(values, fold.Stamp{}), 0
	for want.Next() {
		for i < len(p.Values) && p.Values[i].Attr.Less(want.Attr()) {
			i++
		}
		if i == len(p.Values) || p.Values[i].Attr != want.Attr() {
			return false
		}
		if v := &p.Values[i]; (v.Text != want.Text || v.Country != want.Country) && v.Stamp.Priority == 0 {
			return false
		}
	}
	return want.Err() == nil
}

// MayCombineNames says whether adding encoded values can give a profile a full name that neither has alone.
func MayCombineNames(have []fold.Value, add []byte) bool {
	added, ok := nameParts(fold.OpenValues(add, fold.Stamp{}))
	if added == 0 && ok {
		return false
	}
	for i := range have {
		if id := have[i].Attr.ID; id >= schema.FirstName && id <= schema.LastName {
			if !ok || added&(1<<(id-schema.FirstName)) == 0 || have[i].Stamp.Priority > 0 {
				return true
			}
		}
	}
	return false
}

// AppendOutline appends, of what a contribution says (fold.OpenSaid), its private keys, the attributes it has, and the parts of the person's name. When one comes
// behind another of the same outline, which was the profile's newest, the profile has no full name that neither has alone and that it had not before. And each has
// a value for all that the other has one for, so that it changes something unless both say the same. Where several rows of a file became one contribution, values have
// the times of their rows, and nobody can tell by the bytes whether two say the same: such an outline is that of no other import.
func AppendOutline(dst, said []byte) ([]byte, error) {
	c, err := fold.OpenSaid(said)
	if err != nil {
		return dst, err
	}
	dst = append(dst, said[:len(said)-len(c.Rest())]...)
	for c.Next() {
		dst = binary.AppendUvarint(dst, uint64(c.ID))
		if c.Stamp != c.Base {
			dst = binary.AppendVarint(dst, c.Stamp.Time)
		}
		switch {
		case c.ID == 0:
			dst = append(binary.AppendUvarint(dst, uint64(len(c.Custom))), c.Custom...)
		case c.ID >= schema.FirstName && c.ID <= schema.LastName:
			dst = append(binary.AppendUvarint(dst, uint64(len(c.Text))), c.Text...)
		}
	}
	return dst, c.Err()
}

// Attrs are the attributes that keys are made of, but for the person's name, which is looked at as a whole.
type Attrs struct {
	ids    [2]uint64 // a bit for each number
	custom map[string]bool
	own    map[schema.Attr]bool // those of the domain's own keys
}

// NewAttrs returns those of the predefined keys and of a domain's own.
func NewAttrs(own []domain.Key) *Attrs {
	k := &Attrs{custom: map[string]bool{}, own: map[schema.Attr]bool{}}
	for id := range uint16(64 * len(k.ids)) {
		if name, _ := schema.PredefinedKey(schema.Attr{ID: id}); name != "" {
			k.add(schema.Attr{ID: id})
		}
	}
	for _, key := range own {
		for _, a := range partsOf(key) {
			k.add(a)
			k.own[a] = true
		}
	}
	return k
}

func (k *Attrs) add(a schema.Attr) {
	if a.ID == 0 {
		k.custom[a.Custom] = true
	} else {
		k.ids[a.ID/64] |= 1 << (a.ID % 64)
	}
}

// Has says whether a key is made of an attribute.
func (k *Attrs) Has(a schema.Attr) bool { return k.has(a.ID, a.Custom) }

func (k *Attrs) has(id uint16, custom string) bool {
	if id == 0 {
		return k.custom[custom]
	}
	return int(id) < 64*len(k.ids) && k.ids[id/64]&(1<<(id%64)) != 0
}

// Covers says whether an encoded contribution of an import yields all the keys that encoded values yield, so that the rows it must have
// include theirs. It may say no without need.
func (k *Attrs) Covers(contribution, values []byte) bool {
	have, err := fold.Open(contribution)
	if err != nil || have.Compacted() || have.Private != 0 {
		return false
	}
	if have.Rest() == string(values) {
		return true
	}
	var names, wanted [len(nameAttrs)]string
	note := func(to *[len(nameAttrs)]string, c *fold.Cursor) {
		if c.ID >= schema.FirstName && c.ID <= schema.LastName {
			to[c.ID-schema.FirstName] = c.Text
		}
	}
	want := fold.OpenValues(values, fold.Stamp{})
	ok := have.Next()
	for want.Next() {
		for ok && have.Attr().Less(want.Attr()) {
			note(&names, &have)
			ok = have.Next()
		}
		note(&wanted, &want)
		if k.has(want.ID, want.Custom) && (!ok || have.Attr() != want.Attr() || have.Text != want.Text || have.Country != want.Country) {
			return false
		}
	}
	for ok {
		note(&names, &have)
		ok = have.Next()
	}
	return have.Err() == nil && want.Err() == nil && (wanted == names || wanted == [len(nameAttrs)]string{})
}

// Lost returns the keys that an encoded contribution of an import yields and another one does not: the index rows that are in excess when it
// goes from a profile that has these two. ok is false when only the fold can tell.
func (k *Attrs) Lost(goes, stays []byte) (keys []Key, ok bool) {
	gone, err1 := fold.Open(goes)
	left, err2 := fold.Open(stays)
	if err1 != nil || err2 != nil || gone.Compacted() || left.Compacted() || gone.Private+left.Private > 0 {
		return nil, false
	}
	if gone.Rest() == left.Rest() {
		return nil, true
	}
	var names, wanted [len(nameAttrs)]string
	note := func(to *[len(nameAttrs)]string, c *fold.Cursor) {
		if c.ID >= schema.FirstName && c.ID <= schema.LastName {
			to[c.ID-schema.FirstName] = c.Text
		}
	}
	more := left.Next()
	for gone.Next() {
		for more && left.Attr().Less(gone.Attr()) {
			note(&names, &left)
			more = left.Next()
		}
		note(&wanted, &gone)
		if !k.has(gone.ID, gone.Custom) || more && left.Attr() == gone.Attr() && left.Text == gone.Text && left.Country == gone.Country {
			continue
		}
		name, ct := schema.PredefinedKey(gone.Attr())
		if name == "" || k.own[gone.Attr()] {
			return nil, false
		}
		var buf [128]byte
		if norm := schema.AppendNormalizedIn(buf[:0], gone.Country, ct, []byte(gone.Text)); len(norm) > 0 {
			keys = append(keys, Key{Name: name, Value: string(norm)})
		}
	}
	for more {
		note(&names, &left)
		more = left.Next()
	}
	if gone.Err() != nil || left.Err() != nil || wanted != names && wanted != [len(nameAttrs)]string{} {
		return nil, false
	}
	return slices.DeleteFunc(keys, func(key Key) bool { return yieldsKey(stays, key) }), true
}

// yieldsKey says whether an encoded contribution yields a predefined key of one attribute.
func yieldsKey(contribution []byte, key Key) bool {
	c, err := fold.Open(contribution)
	if err != nil {
		return true // keep the row
	}
	var buf [128]byte
	for c.Next() && c.ID != 0 {
		if name, ct := schema.PredefinedKey(schema.Attr{ID: c.ID}); name == key.Name {
			norm := schema.AppendNormalizedIn(buf[:0], c.Country, ct, []byte(c.Text))
			if schema.IndexValue(string(norm)) == schema.IndexValue(key.Value) {
				return true
			}
		}
	}
	return false
}
