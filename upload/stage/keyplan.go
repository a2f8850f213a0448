package stage

import (
	"slices"

	"kith/domain"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
)

// matchFamily is the family of the key that rows are matched by.
const matchFamily = 0

// families names the keys that rows of a job can have, by number: the one they are matched by, then the predefined ones and
// the domain's own.
func families(m *Mapping, own []domain.Key) []string {
	names := []string{m.index}
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range []string{schema.KeyAccount, schema.KeyEmail, schema.KeyFullName, schema.KeyPhone} {
		add(name)
	}
	for _, k := range own {
		add(k.Name)
	}
	return names
}

// keyPlan says which keys the values of a row yield, and where to find their parts. It gives what index.Keys gives for the
// same values, without decoding them.
type keyPlan struct {
	// lean are the fields that keys are made of: those whose places a lean frame names.
	lean                []int
	in                  schema.Country // of phone numbers
	singles             []planPart
	first, middle, last int // places of the names' parts, or -1
	fullName            int // family
	own                 []planKey
}

// planPart is a value that is a key, or a part of one.
type planPart struct {
	place  int // among the lean fields
	ct     schema.ContentType
	family int
}

type planKey struct {
	family int
	parts  []planPart
}

func newKeyPlan(m *Mapping, own []domain.Key, in schema.Country) *keyPlan {
	names := families(m, own)
	p := &keyPlan{in: in, fullName: slices.Index(names, schema.KeyFullName)}
	place := func(a schema.Attr) int {
		field := slices.IndexFunc(m.fields, func(f field) bool { return f.attr == a })
		if field < 0 {
			return -1
		}
		if i := slices.Index(p.lean, field); i >= 0 {
			return i
		}
		p.lean = append(p.lean, field)
		return len(p.lean) - 1
	}
	p.first, p.middle, p.last = place(schema.Attr{ID: schema.FirstName}), place(schema.Attr{ID: schema.MiddleName}), place(schema.Attr{ID: schema.LastName})
	for i := range m.fields {
		if name, ct := schema.PredefinedKey(m.fields[i].attr); name != "" {
			p.singles = append(p.singles, planPart{place(m.fields[i].attr), ct, slices.Index(names, name)})
		}
	}
	for _, k := range own {
		pk := planKey{family: slices.Index(names, k.Name)}
		for _, part := range k.Parts {
			a, _ := schema.ParsePath(part.Attribute)
			pk.parts = append(pk.parts, planPart{place: place(a), ct: schema.ContentType(part.ContentType)})
		}
		if !slices.ContainsFunc(pk.parts, func(part planPart) bool { return part.place < 0 }) {
			p.own = append(p.own, pk)
		}
	}
	return p
}

// collect adds the keys of a row, as index values, given the values of the lean fields. It returns buf for reuse.
func (p *keyPlan) collect(vals [][]byte, keys *keyList, buf []byte) []byte {
	for _, s := range p.singles {
		if v := vals[s.place]; v != nil {
			if buf = schema.AppendNormalizedIn(buf[:0], p.in, s.ct, v); len(buf) > 0 {
				keys.add(s.family, schema.IndexBytes(buf))
			}
		}
	}
	at := func(place int) []byte {
		if place < 0 {
			return nil
		}
		return vals[place]
	}
	first, middle, last := at(p.first), at(p.middle), at(p.last)
	if first != nil || middle != nil || last != nil {
		if buf = schema.AppendName(buf[:0], first, last); len(buf) > 0 {
			keys.add(p.fullName, schema.IndexBytes(buf))
		}
		if middle != nil {
			if buf = schema.AppendName(buf[:0], first, middle, last); len(buf) > 0 {
				keys.add(p.fullName, schema.IndexBytes(buf))
			}
		}
	}
	for _, k := range p.own {
		if tuple, ok := p.tuple(buf[:0], k, vals); ok {
			buf = tuple
			keys.add(k.family, schema.IndexBytes(buf))
		}
	}
	return buf
}

// tuple appends the normalised value of a key with several parts; false when one is missing.
func (p *keyPlan) tuple(buf []byte, k planKey, vals [][]byte) ([]byte, bool) {
	for i, part := range k.parts {
		if vals[part.place] == nil {
			return buf, false
		}
		if i > 0 {
			buf = append(buf, schema.TupleSep...)
		}
		from := len(buf)
		if buf = schema.AppendNormalizedIn(buf, p.in, part.ct, vals[part.place]); len(buf) == from {
			return buf, false
		}
	}
	return buf, true
}

// keysOf collects the keys of values that are no single row, as index values.
func (p *Plan) keysOf(key []byte, values []fold.Value, keys *keyList) {
	keys.reset()
	keys.add(matchFamily, key)
	index.Keys(values, p.own, func(name, value string) {
		keys.add(p.family[name], schema.IndexBytes([]byte(value)))
	})
}
