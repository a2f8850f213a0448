package index

import (
	"slices"
	"strings"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

// Confirms says whether a person has a key, given by its index value: by what it shows, by what a member of it would show alone, by what it would show without
// objects, or by what hands say, and objects whose types are alive. It confirms the hints of the index; p is the fold of m. dead tells incarnations of
// types that are not alive; nil: all are.
//
// What a member shows alone is a key of its person: else a value that lost to another member's could be found by nothing, and an import
// that goes by it would make a second profile. Likewise what an import or a hand says and an object's value hides: objects' keys count beside those of
// others, not in their place. Not so its id: that of a merged profile is unknown.
func Confirms(m *fold.Member, p *fold.Profile, k Key, own []domain.Key, dead func(uint64) bool, now int64) bool {
	if p == nil {
		return false
	}
	found := Has(p, k.Name, schema.IndexValue(k.Value), own)
	m.Walk(func(of *fold.Member) {
		found = found || of.Head != nil && of.Head.Carries(k, now, dead)
	})
	if !found && YieldedByMembers(k.Name) {
		EachHidden(m, func(p *fold.Profile) bool {
			found = Has(p, k.Name, schema.IndexValue(k.Value), own)
			return !found
		})
	}
	return found
}

// YieldedByMembers says whether a person has a key of this name when a member has it alone. The id of a merged profile is unknown, and a full name is that of the fold.
func YieldedByMembers(name string) bool {
	return name != schema.KeyProfileID && name != schema.KeyFullName
}

// EachHidden calls do for what yields keys of a person besides its fold, until do returns false: what its profiles show alone, if there are several, and without
// objects.
func EachHidden(m *fold.Member, do func(*fold.Profile) bool) {
	merged, more := m.State != nil && len(m.State.Merges) > 0, true
	show := func(of *fold.Member) {
		if p := of.Profile(); p != nil {
			more = do(p)
		}
	}
	m.Walk(func(of *fold.Member) {
		if more && merged {
			show(of.Alone())
		}
		if more && of.Head != nil && of.Head.ObjectsSay() {
			bare := of.Alone()
			bare.Head = of.Head.WithoutObjects()
			show(bare)
		}
	})
}

// Required tells which index rows of class ByAPI a profile must have.
type Required struct {
	head  *fold.Head
	parts []string        // partitions that head and fold name
	has   map[string]bool // of the parts, once there are many
	names bool            // all full names
}

// RequiredByAPI returns the index rows of class ByAPI that a head calls for, whatever of it has expired: the keys of each of its values,
// the domain's keys of several attributes in each combination of its values, what was added by hand, what objects carry, and the
// full names of what the profile shows. A nil head requires nothing.
func RequiredByAPI(h *fold.Head, shown *fold.Profile, own []domain.Key) *Required {
	r := &Required{head: h}
	if h == nil {
		return r
	}
	for i := range h.Values {
		v := &h.Values[i]
		if name, ct := schema.PredefinedKey(v.Attr); name != "" {
			r.add(Key{Name: name, Value: v.Indexed(ct)})
		}
	}
	for _, k := range own {
		r.combinations(k, nil)
	}
	for _, k := range h.Keys {
		r.add(k)
	}
	if FillsNames(h.Values) {
		r.Show(shown)
	}
	return r
}

// Show adds the full names that a profile shows, although its head says nothing of them: the write that has taken a part of a name from the
// head may show one that nobody has seen.
func (r *Required) Show(shown *fold.Profile) {
	if shown != nil {
		FullNames(shown.Values, func(full string) { r.add(Key{Name: schema.KeyFullName, Value: full}) })
	}
}

func (r *Required) add(k Key) {
	if k.Value == "" {
		return
	}
	part := PartitionKey(k)
	if r.lists(part) {
		return
	}
	r.parts = append(r.parts, part)
	switch {
	case r.has != nil:
		r.has[part] = true
	case len(r.parts) == manyKeys:
		r.has = make(map[string]bool, 2*manyKeys)
		for _, part := range r.parts {
			r.has[part] = true
		}
	}
}

// lists says whether a partition is among the parts.
func (r *Required) lists(part string) bool {
	if r.has != nil {
		return r.has[part]
	}
	return slices.Contains(r.parts, part)
}

// combinations adds a key of the domain for each choice of a value for each of its attributes; tuple is what was chosen. A head has
// rarely more than one value of an attribute.
func (r *Required) combinations(k domain.Key, tuple []string) {
	if len(tuple) == len(k.Parts) {
		r.add(Key{Name: k.Name, Value: strings.Join(tuple, schema.TupleSep)})
		return
	}
	part := k.Parts[len(tuple)]
	a, ok := schema.ParsePath(part.Attribute)
	if !ok {
		return
	}
	for i := range r.head.Values {
		if v := &r.head.Values[i]; v.Attr == a {
			if n := v.Indexed(schema.ContentType(part.ContentType)); n != "" {
				r.combinations(k, append(tuple[:len(tuple):len(tuple)], n))
			}
		}
	}
}

// Partitions lists the index partitions that are required by what is not an object.
func (r *Required) Partitions() []string { return r.parts }

// Has says whether a row in an index partition is required.
func (r *Required) Has(part string) bool {
	if r.lists(part) || r.names && strings.HasPrefix(part, schema.KeyFullName+"\x01") {
		return true
	}
	if r.head == nil || len(r.head.Objects) == 0 {
		return false
	}
	hash := fold.KeyHash(ParsePartitionKey(part))
	for i := range r.head.Objects {
		for _, h := range r.head.Objects[i].Keys {
			if h == hash {
				return true
			}
		}
	}
	return false
}

// ParsePartitionKey returns the key of an index partition, with its index value.
func ParsePartitionKey(part string) Key {
	name, value, _ := strings.Cut(part, "\x01")
	return Key{Name: name, Value: value}
}

// KeepNames has all full names required, whatever the profile shows.
func (r *Required) KeepNames() { r.names = r.head != nil && r.head.Expires != 0 }
