package index

import (
	"slices"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
)

// Class says who is responsible for an index row.
type Class byte

// The classes. They are on disk.
const (
	ByImport Class = 'i'
	ByAPI    Class = 'a'
)

// RowKeySize is the length of the row key of an index row.
const RowKeySize = len(fold.ID{}) + 1

// PartitionKey returns the partition key of an index value's rows.
func PartitionKey(k Key) string { return k.Name + "\x01" + schema.IndexValue(k.Value) }

// AppendRowKey appends the row key of an index row.
func AppendRowKey(dst []byte, id fold.ID, c Class) []byte {
	return append(append(dst, id[:]...), byte(c))
}

// ParseRowKey returns the profile that an index row points at, and the row's class.
func ParseRowKey(b []byte) (id fold.ID, c Class, ok bool) {
	if len(b) != RowKeySize {
		return id, 0, false
	}
	return fold.ID(b), Class(b[len(id)]), true
}

// Row returns a mutation of an index row, as a part of a run.
func Row(inc store.Incarnation, k Key, id fold.ID, c Class, time int64, gone bool) store.RunRow {
	return store.RunRow{Incarnation: inc, Partition: []byte(PartitionKey(k)),
		Mutation: store.Mutation{Key: AppendRowKey(nil, id, c), Delete: gone, Time: time}}
}

// Set is a set of keys in the order they were added.
type Set struct {
	keys []Key
	has  map[Key]bool // once there are many
}

// manyKeys is from how many keys on a Set looks them up in a map.
const manyKeys = 32

// Add adds a key.
func (s *Set) Add(k Key) {
	if s.Has(k) {
		return
	}
	s.keys = append(s.keys, k)
	switch {
	case s.has != nil:
		s.has[k] = true
	case len(s.keys) == manyKeys:
		s.has = make(map[Key]bool, 2*manyKeys)
		for _, k := range s.keys {
			s.has[k] = true
		}
	}
}

// Has says whether a key is in the set.
func (s *Set) Has(k Key) bool {
	if s.has != nil {
		return s.has[k]
	}
	return slices.Contains(s.keys, k)
}

// Keys lists the keys. The caller must not change them.
func (s *Set) Keys() []Key { return s.keys }

// Reset empties the set.
func (s *Set) Reset() { s.keys, s.has = s.keys[:0], nil }

// Without returns the keys that another set lacks.
func (s *Set) Without(o *Set) []Key {
	return slices.DeleteFunc(slices.Clone(s.keys), o.Has)
}

// AddContribution adds the keys of a contribution: of each of its values, of several of them together, and its private ones.
func (s *Set) AddContribution(c *fold.Contribution, own []domain.Key) {
	for _, k := range c.Private {
		s.Add(k)
	}
	Versions(c.Values, func(shown []fold.Value) { s.addValues(shown, own) })
}

func (s *Set) addValues(values []fold.Value, own []domain.Key) {
	Keys(values, own, func(name, value string) { s.Add(Key{Name: name, Value: value}) })
}

// AddFullName adds the full names of what a person shows, and of what its profiles showed before they were merged.
func (s *Set) AddFullName(p *fold.Profile) {
	if p == nil {
		return
	}
	add := func(full string) { s.Add(Key{Name: schema.KeyFullName, Value: full}) }
	FullNames(p.Values, add)
	for _, values := range p.Branches {
		FullNames(values, add)
	}
}

// RequiredByImports adds the keys for which a member must have rows of class ByImport. shown is the fold of the person it belongs to.
func (s *Set) RequiredByImports(m *fold.Member, shown *fold.Profile, own []domain.Key) {
	if len(m.Parts) == 0 {
		return
	}
	for _, part := range m.Parts {
		s.AddContribution(part.Contribution, own)
	}
	s.AddFullName(shown)
}

// Difference returns the keys for which a member must have rows of class ByImport after a change and not before, and the other way
// round. Members are without what was merged into them.
func Difference(before, after *fold.Member, own []domain.Key) (missing, excess []Key) {
	var was, is Set
	was.RequiredByImports(before, before.Profile(), own)
	is.RequiredByImports(after, after.Profile(), own)
	return is.Without(&was), was.Without(&is)
}

// Versions calls do for the values of a contribution such that no attribute has two: those that show now, and those that show when
// some of them have expired.
func Versions(values []fold.Value, do func([]fold.Value)) {
	several := false
	for i := 1; i < len(values) && !several; i++ {
		several = values[i].Attr == values[i-1].Attr || values[i].Expires != values[i-1].Expires
	}
	if !several {
		do(values)
		return
	}
	var ends []int64
	for _, v := range values {
		ends = append(ends, v.Expires)
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	for _, end := range append([]int64{0}, ends[:len(ends)-1]...) {
		var shown []fold.Value
		for _, v := range values { // of an attribute from old to new
			switch n := len(shown); {
			case v.Expires <= end:
			case n > 0 && shown[n-1].Attr == v.Attr:
				shown[n-1] = v
			default:
				shown = append(shown, v)
			}
		}
		do(shown)
	}
}
