package profile

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"unsafe"

	"kith/domain"
	"kith/objecttype"
)

// Profile is the fold of a profile's visible contributions.
type Profile struct {
	ID     ID
	Values []Value // the winners, in the order of objecttype.Attr.Less, no blanks
	// Branches are the values that the profiles of its merges had then, its own too: what was a key of one of them is a key of it.
	Branches [][]Value
	// Private are keys without an attribute, in the private namespace of upload jobs.
	Private []IndexKey
	// Expires is when the last visible contribution expires, in microseconds.
	Expires int64
}

// PrivatePrefix begins the names of keys that only upload jobs fill and match: a unique key without a Target.
const PrivatePrefix = "upload:"

// sourced is a contribution with where it comes from.
type sourced struct {
	source string
	*Contribution
}

// entry is a value on its way through the fold.
type entry struct {
	Value
	kind   Kind
	source string
}

// fold computes a profile from its visible contributions. It works attribute by attribute, in the order of write time, row
// number and source, and applies the rules one after another: they are no total order, so the newest does not always win.
func fold(id ID, parts []sourced) *Profile {
	p := &Profile{ID: id}
	p.gather(parts)
	if len(parts) == 1 && !slices.ContainsFunc(parts[0].Values, func(v Value) bool { return v.Blank || v.Expires != 0 }) {
		p.Values = parts[0].Values
		return p
	}
	// The parts are sorted by attribute: merge them, one attribute at a time.
	rest := make([][]Value, len(parts))
	for i, part := range parts {
		rest[i] = part.Values
		p.Values = slices.Grow(p.Values, len(part.Values))
	}
	var rivals []entry
	for {
		var next *objecttype.Attr
		for _, values := range rest {
			if len(values) > 0 && (next == nil || values[0].Attr.Less(*next)) {
				next = &values[0].Attr
			}
		}
		if next == nil {
			return p
		}
		attr := *next
		rivals = rivals[:0]
		for i := range rest {
			for len(rest[i]) > 0 && rest[i][0].Attr == attr {
				rivals = append(rivals, entry{rest[i][0], parts[i].Kind, parts[i].source})
				rest[i] = rest[i][1:]
			}
		}
		if winner := contest(rivals); !winner.Blank {
			p.Values = append(p.Values, winner)
		}
	}
}

// gather takes over what a profile has of its parts besides their values.
func (p *Profile) gather(parts []sourced) {
	for _, part := range parts {
		p.Expires = max(p.Expires, part.Expires)
		for _, k := range part.Extra {
			if strings.HasPrefix(k.Name, PrivatePrefix) {
				p.Private = append(p.Private, k)
			}
		}
	}
}

// inTime is the order of the fold.
func inTime(a, b entry) int {
	return cmp.Or(cmp.Compare(a.Stamp.Time, b.Stamp.Time), cmp.Compare(a.Stamp.Row, b.Stamp.Row), strings.Compare(a.source, b.source))
}

// contest folds the values of one attribute.
func contest(rivals []entry) Value {
	slices.SortStableFunc(rivals, inTime)
	winner := rivals[0]
	for _, r := range rivals[1:] {
		if replaces(r, winner) {
			winner = r
		}
	}
	return winner.Value
}

// replaces says whether a value written later replaces the present one (spec/core.md 4.5, and for imports 1.8: an operator
// ran it on purpose, so it replaces manual and unprioritised values, but it protects nothing afterwards).
func replaces(in, cur entry) bool {
	switch in.kind {
	case Manual:
		return true
	case Import:
		return cur.Stamp.Priority == 0
	}
	switch cur.kind {
	case Manual:
		return in.Stamp.Priority > 0
	case Import:
		return true
	}
	if in.Stamp.Priority != cur.Stamp.Priority {
		return in.Stamp.Priority > 0 && (cur.Stamp.Priority == 0 || in.Stamp.Priority < cur.Stamp.Priority)
	}
	return in.Stamp.sourceTime() >= cur.Stamp.sourceTime()
}

// sourceTime is the time the source claims, or the write time when it claims none.
func (s Stamp) sourceTime() int64 {
	if s.SourceTime != 0 {
		return s.SourceTime
	}
	return s.Time
}

// Get returns the value of an attribute, or "".
func (p *Profile) Get(a objecttype.Attr) string { return find(p.Values, a) }

func find(values []Value, a objecttype.Attr) string {
	for i := range values {
		if values[i].Attr == a {
			return values[i].Text
		}
	}
	return ""
}

// Keys calls emit for every key that values yield: the predefined ones and the domain's own. Normalised values; a key with
// several attributes is their tuple and needs all of them. It may emit one key twice.
func Keys(values []Value, own []domain.Key, emit func(name, value string)) {
	for i := range values {
		v := &values[i]
		if name, ct := objecttype.PredefinedKey(v.Attr); name != "" {
			if n := objecttype.Normalize(ct, v.Text); n != "" {
				emit(name, n)
			}
		}
	}
	fullNames(values, func(full string) { emit(objecttype.KeyFullName, full) })
	for _, k := range own {
		if n := OwnKey(values, k); n != "" {
			emit(k.Name, n)
		}
	}
}

// fullNames calls emit for the index forms of the person's name.
func fullNames(values []Value, emit func(string)) {
	var first, middle, last string
	for i := range values {
		switch v := &values[i]; v.Attr.ID {
		case objecttype.FirstName:
			first = v.Text
		case objecttype.MiddleName:
			middle = v.Text
		case objecttype.LastName:
			last = v.Text
		}
	}
	for _, full := range objecttype.FullNames(first, middle, last) {
		emit(full)
	}
}

// MayCombine says whether adding a contribution can give a profile keys that neither has alone: a key of several attributes,
// some parts of which come from the one and some from the other.
func MayCombine(have, add []Value, own []domain.Key) bool {
	return partsMix(have, add, nameAttrs[:]) ||
		slices.ContainsFunc(own, func(k domain.Key) bool { return len(k.Parts) > 1 && partsMix(have, add, partsOf(k)) })
}

// nameParts returns the parts of a person's name that encoded values have, a bit each; ok is false when one has a stamp of its own
// or is a blank, so that decoding has to tell what it is worth.
func nameParts(values []byte) (parts uint8, ok bool) {
	d := decoder{s: unsafeText(values)}
	for len(d.s) > 0 && d.err == nil {
		head := d.uvarint()
		id := uint16(head >> 2)
		if id == 0 || id > objecttype.LastName { // ids ascend, custom attributes come last
			break
		}
		if head&(flagStamp|flagBlank) != 0 {
			return 0, false
		}
		if text := d.text(); id >= objecttype.FirstName && text != "" {
			parts |= 1 << (id - objecttype.FirstName)
		}
	}
	return parts, d.err == nil
}

// foldedNameParts is nameParts behind the stamp of a folded contribution. Values that have expired are among them.
func foldedNameParts(d decoder) (parts uint8, ok bool) {
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		d.text()
		d.text()
	}
	for len(d.s) > 0 && d.err == nil {
		head := d.uvarint()
		id := uint16(head >> 2)
		if id == 0 || id > objecttype.LastName {
			break
		}
		if head&flagBlank != 0 || head&flagStamp == 0 {
			return 0, false
		}
		d.stamp()
		d.time()
		if d.text(); id >= objecttype.FirstName {
			parts |= 1 << (id - objecttype.FirstName)
		}
	}
	return parts, d.err == nil
}

// MayCombineNames says whether adding encoded values can give a profile a name that neither has alone.
func MayCombineNames(have []Value, add []byte) bool {
	added, ok := nameParts(add)
	if added == 0 && ok {
		return false
	}
	for i := range have {
		if id := have[i].Attr.ID; id >= objecttype.FirstName && id <= objecttype.LastName {
			if !ok || added&(1<<(id-objecttype.FirstName)) == 0 || have[i].Stamp.Priority > 0 {
				return true
			}
		}
	}
	return false
}

// Glance answers the two questions of matching an import from a profile's contributions, given in the order of their keys,
// without decoding them: whether the profile has a predefined key of one attribute, and whether adding encoded values can give it a
// name that neither has alone. known is false when only the fold can tell. Most profiles have contributions of imports only, each
// of another job, and matching them is half of an import of known customers.
func Glance(contributions [][]byte, now int64, name string, indexValue, add []byte) (has, combine, known bool) {
	if name != objecttype.KeyAccount && name != objecttype.KeyEmail && name != objecttype.KeyPhone {
		return false, false, false
	}
	added, ok := nameParts(add)
	if !ok {
		return false, false, false
	}
	var there uint8
	var decided [8]uint16 // attributes that a later contribution has
	n := 0
	later := int64(math.MaxInt64)
	for i := len(contributions) - 1; i >= 0; i-- {
		c := contributions[i]
		if len(c) < fixedHeader || Kind(c[1]) != Import {
			return false, false, false
		}
		if expires, _ := expiry(c); expires <= now {
			continue
		}
		d := decoder{s: unsafeText(c[10:])}
		stamp := d.stamp()
		if stamp.Time >= later { // two of one job: its rows decide
			return false, false, false
		}
		later = stamp.Time
		if c[0] == contributionV2 && i == 0 && has { // folded ones are the oldest: only a name part of them may still count
			parts, ok := foldedNameParts(d)
			if !ok {
				return false, false, false
			}
			there |= parts
			continue
		}
		if c[0] != contributionV1 || d.uvarint() != 0 || d.err != nil { // with extras
			return false, false, false
		}
		parts, ok := nameParts(c[len(c)-len(d.s):])
		if !ok {
			return false, false, false
		}
		there |= parts
		for len(d.s) > 0 && d.err == nil && !has {
			head := d.uvarint()
			if head&(flagStamp|flagBlank) != 0 {
				return false, false, false
			}
			id := uint16(head >> 2)
			if id == 0 {
				break // custom attributes come last, and are no predefined keys
			}
			text := d.text()
			key, ct := objecttype.PredefinedKey(objecttype.Attr{ID: id})
			if key != name || text == "" || slices.Contains(decided[:n], id) {
				continue
			}
			if n == len(decided) {
				return false, false, false
			}
			decided[n] = id
			n++
			var buf [128]byte
			norm := objecttype.AppendNormalized(buf[:0], ct, []byte(text))
			has = len(norm) > 0 && bytes.Equal(objecttype.IndexBytes(norm), indexValue)
		}
		if d.err != nil {
			return false, false, false
		}
	}
	return has, has && added != 0 && there&^added != 0, true
}

// unsafeText returns the bytes as a string without copying them; they must not change while it is used.
func unsafeText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// partsMix says whether the winning parts may come from both: the addition brings some, and leaves or may lose some.
func partsMix(have, add []Value, parts []objecttype.Attr) bool {
	brings, leaves := false, false
	for _, a := range parts {
		i := slices.IndexFunc(have, func(v Value) bool { return v.Attr == a })
		added := find(add, a) != ""
		brings = brings || added
		leaves = leaves || i >= 0 && (!added || have[i].Stamp.Priority > 0)
	}
	return brings && leaves
}

// maxMixed is how many different values of an attribute, the newest, are mixed with others.
const maxMixed = 4

// mixed returns the keys of several attributes that a contribution can have part in when others bring the rest, but does not have
// alone. They get index rows of its own: so whatever goes later, by an undo or in its time, a profile is found by what is left.
func mixed(c *Contribution, others []sourced, own []domain.Key) (keys []IndexKey) {
	// texts are the values of an attribute, first the contribution's own, which may be none.
	texts := func(a objecttype.Attr) []string {
		all := []string{find(c.Values, a)}
		for _, o := range slices.Backward(others) {
			for _, v := range slices.Backward(o.Values) {
				if v.Attr == a && v.Text != "" && len(all) < maxMixed && !slices.Contains(all, v.Text) {
					all = append(all, v.Text)
				}
			}
		}
		return all
	}
	alone := map[IndexKey]bool{}
	Keys(c.Values, own, func(name, value string) { alone[IndexKey{name, value}] = true })
	add := func(name, value string) {
		if k := (IndexKey{name, value}); !alone[k] {
			alone[k] = true
			keys = append(keys, k)
		}
	}
	mix := func(attrs []objecttype.Attr, emit func([]Value)) {
		values := make([]Value, len(attrs))
		var choose func(i int, has bool)
		choose = func(i int, has bool) {
			if i == len(attrs) {
				if has {
					emit(values)
				}
				return
			}
			for n, text := range texts(attrs[i]) {
				values[i] = Value{Attr: attrs[i], Text: text}
				choose(i+1, has || n == 0 && text != "")
			}
		}
		choose(0, false)
	}
	mix(nameAttrs[:], func(values []Value) { fullNames(values, func(full string) { add(objecttype.KeyFullName, full) }) })
	for _, k := range own {
		if len(k.Parts) < 2 {
			continue
		}
		mix(partsOf(k), func(values []Value) {
			if n := OwnKey(values, k); n != "" {
				add(k.Name, n)
			}
		})
	}
	return keys
}

var nameAttrs = [...]objecttype.Attr{{ID: objecttype.FirstName}, {ID: objecttype.MiddleName}, {ID: objecttype.LastName}}

// partsOf returns the attributes of a key.
func partsOf(k domain.Key) (attrs []objecttype.Attr) {
	for _, part := range k.Parts {
		a, _ := objecttype.ParsePath(part.Attribute)
		attrs = append(attrs, a)
	}
	return attrs
}

// OwnKey returns the normalised value of one of the domain's own keys, or "" when a part of it is missing.
func OwnKey(values []Value, k domain.Key) string {
	var tuple []string
	for _, part := range k.Parts {
		a, ok := objecttype.ParsePath(part.Attribute)
		if !ok {
			return ""
		}
		n := objecttype.Normalize(objecttype.ContentType(part.ContentType), find(values, a))
		if n == "" {
			return ""
		}
		tuple = append(tuple, n)
	}
	return strings.Join(tuple, objecttype.TupleSep)
}

// Keys calls emit for every key the profile has but the private ones, perhaps more than once.
func (p *Profile) Keys(own []domain.Key, emit func(name, value string)) {
	Keys(p.Values, own, emit)
	for _, values := range p.Branches {
		Keys(values, own, emit)
	}
}

// OwnKeys returns the keys of the domain that the profile has, perhaps one more than once.
func (p *Profile) OwnKeys(own []domain.Key) (keys []IndexKey) {
	for _, k := range own {
		if n := OwnKey(p.Values, k); n != "" {
			keys = append(keys, IndexKey{k.Name, n})
		}
		for _, values := range p.Branches {
			if n := OwnKey(values, k); n != "" {
				keys = append(keys, IndexKey{k.Name, n})
			}
		}
	}
	return keys
}

// Has says whether the profile has a key, given by its index value: invariant 3.
func (p *Profile) Has(name, indexValue string, own []domain.Key) bool {
	if name == objecttype.KeyProfileID {
		return indexValue == p.ID.String()
	}
	for _, k := range p.Private {
		if k.Name == name && objecttype.IndexValue(k.Value) == indexValue {
			return true
		}
	}
	return yields(p.Values, name, indexValue, own) ||
		slices.ContainsFunc(p.Branches, func(values []Value) bool { return yields(values, name, indexValue, own) })
}

// yields says whether values yield a key, given by its index value.
func yields(values []Value, name, indexValue string, own []domain.Key) bool {
	if name == objecttype.KeyFullName {
		found := false
		fullNames(values, func(full string) { found = found || objecttype.IndexValue(full) == indexValue })
		return found
	}
	var buf [128]byte
	for i := range values {
		v := &values[i]
		if n, ct := objecttype.PredefinedKey(v.Attr); n == name {
			norm := objecttype.AppendNormalized(buf[:0], ct, []byte(v.Text))
			if string(norm) == indexValue || len(norm) > len(indexValue) && objecttype.IndexValue(string(norm)) == indexValue {
				return len(norm) > 0
			}
		}
	}
	for _, k := range own {
		if k.Name != name {
			continue
		}
		if n := OwnKey(values, k); n != "" && objecttype.IndexValue(n) == indexValue {
			return true
		}
	}
	return false
}

// WriteTime is the time of an API write: later than everything in the profile and than the job that holds the domain's turn,
// so that no edit is lost silently to an import that decided before it.
func WriteTime(now, newestInProfile, turnTime int64) int64 {
	return max(now, newestInProfile+1, turnTime+1)
}
