package index

import (
	"slices"
	"strings"

	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

// Key is a key of a profile: its name and the normalised value.
type Key = fold.Key

// Keys calls emit for every key that values yield: the predefined ones and the domain's own. Normalised values; a key with
// several attributes is their tuple and needs all of them. It may emit one key twice.
func Keys(values []fold.Value, own []domain.Key, emit func(name, value string)) {
	for i := range values {
		v := &values[i]
		if name, ct := schema.PredefinedKey(v.Attr); name != "" {
			if n := v.Indexed(ct); n != "" {
				emit(name, n)
			}
		}
	}
	FullNames(values, func(full string) { emit(schema.KeyFullName, full) })
	for _, k := range own {
		if n := OwnKey(values, k); n != "" {
			emit(k.Name, n)
		}
	}
}

// IsPhone says whether keys are made of the phone numbers of an attribute.
func IsPhone(a schema.Attr, own []domain.Key) bool {
	if _, ct := schema.PredefinedKey(a); ct == schema.Phone {
		return true
	}
	return slices.ContainsFunc(own, func(k domain.Key) bool {
		return slices.ContainsFunc(k.Parts, func(part domain.KeyPart) bool {
			return part.ContentType == string(schema.Phone) && part.Attribute == a.Path()
		})
	})
}

// ReadIn notes in the phone numbers of values that they were written in a country. From then on that is a part of what they say: the keys of a profile
// never change because a setting does.
func ReadIn(values []fold.Value, c schema.Country, own []domain.Key) {
	if c == 0 {
		return
	}
	for i := range values {
		if v := &values[i]; IsPhone(v.Attr, own) {
			v.Country = schema.ReadsAs(c, []byte(v.Text))
		}
	}
}

// FullNames calls emit for the index forms of the person's name.
func FullNames(values []fold.Value, emit func(string)) {
	var first, middle, last string
	for i := range values {
		switch v := &values[i]; v.Attr.ID {
		case schema.FirstName:
			first = v.Text
		case schema.MiddleName:
			middle = v.Text
		case schema.LastName:
			last = v.Text
		}
	}
	for _, full := range schema.FullNames(first, middle, last) {
		emit(full)
	}
}

// FillsNames says whether values have a part of a full name.
func FillsNames(values []fold.Value) bool {
	return slices.ContainsFunc(values, func(v fold.Value) bool { return slices.Contains(nameAttrs[:], v.Attr) })
}

var nameAttrs = [...]schema.Attr{{ID: schema.FirstName}, {ID: schema.MiddleName}, {ID: schema.LastName}}

// partsOf returns the attributes of a key.
func partsOf(k domain.Key) (attrs []schema.Attr) {
	for _, part := range k.Parts {
		a, _ := schema.ParsePath(part.Attribute)
		attrs = append(attrs, a)
	}
	return attrs
}

// OwnKey returns the normalised value of one of the domain's own keys, or "" when a part of it is missing.
func OwnKey(values []fold.Value, k domain.Key) string {
	var tuple []string
	for _, part := range k.Parts {
		a, ok := schema.ParsePath(part.Attribute)
		if !ok {
			return ""
		}
		v := newest(values, a)
		if v == nil {
			return ""
		}
		n := v.Indexed(schema.ContentType(part.ContentType))
		if n == "" {
			return ""
		}
		tuple = append(tuple, n)
	}
	return strings.Join(tuple, schema.TupleSep)
}

// OwnKeys returns the keys of the domain that a person shows, perhaps one more than once.
func OwnKeys(p *fold.Profile, own []domain.Key) (keys []Key) {
	add := func(values []fold.Value) {
		for _, k := range own {
			if n := OwnKey(values, k); n != "" {
				keys = append(keys, Key{Name: k.Name, Value: n})
			}
		}
	}
	add(p.Values)
	for _, values := range p.Branches {
		add(values)
	}
	return keys
}

// Has says whether a person has a key, given by its index value. It confirms the hints of the index.
func Has(p *fold.Profile, name, indexValue string, own []domain.Key) bool {
	if name == schema.KeyProfileID {
		return indexValue == p.ID.String()
	}
	for _, k := range p.Private {
		if k.Name == name && schema.IndexValue(k.Value) == indexValue {
			return true
		}
	}
	return yields(p.Values, name, indexValue, own) ||
		slices.ContainsFunc(p.Branches, func(values []fold.Value) bool { return yields(values, name, indexValue, own) })
}

// yields says whether values yield a key, given by its index value.
func yields(values []fold.Value, name, indexValue string, own []domain.Key) bool {
	if name == schema.KeyFullName {
		found := false
		FullNames(values, func(full string) { found = found || schema.IndexValue(full) == indexValue })
		return found
	}
	var buf [128]byte
	for i := range values {
		v := &values[i]
		if n, ct := schema.PredefinedKey(v.Attr); n == name {
			norm := schema.AppendNormalizedIn(buf[:0], v.Country, ct, []byte(v.Text))
			if string(norm) == indexValue || len(norm) > len(indexValue) && schema.IndexValue(string(norm)) == indexValue {
				return len(norm) > 0
			}
		}
	}
	for _, k := range own {
		if k.Name != name {
			continue
		}
		if n := OwnKey(values, k); n != "" && schema.IndexValue(n) == indexValue {
			return true
		}
	}
	return false
}

// newest returns the newest value of an attribute, or nil.
func newest(values []fold.Value, a schema.Attr) (found *fold.Value) {
	for i := range values {
		if values[i].Attr == a {
			found = &values[i]
		}
	}
	return found
}
