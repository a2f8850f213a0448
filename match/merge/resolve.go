package merge

import (
	"cmp"
	"slices"

	"kith/api"
	"kith/profile/fold"
	"kith/schema"
)

// Person is what a person shows.
type Person struct {
	ID     fold.ID      // of the main profile
	Values []fold.Value // fold.Profile.Values
	// Sources tells from what a value comes (profile.Service.SourcesOf). Only Resolution.Source asks for it.
	Sources map[schema.Attr]string
	// Members are all its profiles.
	Members []fold.ID
}

// Resolution says which value of a field wins.
type Resolution struct {
	// Source is an object type, or the id of an import, whose values come before newer ones; empty: the newest wins.
	Source string
}

// ResolutionOf reads the setting of a domain; nil is the newest.
func ResolutionOf(c *api.ConflictResolution) Resolution {
	if c == nil || *c.ConflictResolvingModel != api.ConflictResolvingModelSource {
		return Resolution{}
	}
	return Resolution{Source: api.Val(c.SourceName)}
}

// claim is what one person says about a field.
type claim struct {
	of     fold.ID
	byHand bool
	source bool  // comes from Resolution.Source
	at     int64 // the newest part of it; microseconds
}

// compare orders claims from the one that wins.
func (c claim) compare(o claim) int {
	first := func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	}
	return cmp.Or(first(c.byHand, o.byHand), first(c.source, o.source), cmp.Compare(o.at, c.at), c.of.Compare(o.of))
}

// claims returns what persons say, by field: fold.FieldName. A field of several parts, such as an address, was set by hand if a part was,
// and is as new as its newest one.
func claims(people []*Person, r Resolution) map[string][]claim {
	all := map[string][]claim{}
	for _, p := range people {
		for _, v := range p.Values {
			field := fold.FieldName(v.Attr)
			c := claim{of: p.ID, byHand: v.Kind == fold.Manual, source: r.Source != "" && p.Sources[v.Attr] == r.Source, at: cmp.Or(v.Stamp.SourceTime, v.Stamp.Time)}
			said := all[field]
			if n := len(said); n > 0 && said[n-1].of == p.ID {
				last := &said[n-1]
				last.byHand, last.source, last.at = last.byHand || c.byHand, last.source || c.source, max(last.at, c.at)
				continue
			}
			all[field] = append(said, c)
		}
	}
	return all
}

// Resolve returns of each field that several persons have the one whose value wins.
func Resolve(people []*Person, r Resolution) map[string]fold.ID {
	won := map[string]fold.ID{}
	for field, said := range claims(people, r) {
		if len(said) > 1 {
			won[field] = slices.MinFunc(said, claim.compare).of
		}
	}
	return won
}

// combine returns what persons will show as one.
func combine(people []*Person, r Resolution) *Person {
	won := Resolve(people, r)
	one := &Person{ID: survivor(people).ID, Sources: map[schema.Attr]string{}}
	for _, p := range people {
		for _, v := range p.Values {
			if of, several := won[fold.FieldName(v.Attr)]; several && of != p.ID {
				continue
			}
			one.Values = append(one.Values, v)
			if source := p.Sources[v.Attr]; source != "" {
				one.Sources[v.Attr] = source
			}
		}
	}
	slices.SortFunc(one.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return one
}

// survivor returns the person that the others become members of.
func survivor(people []*Person) *Person {
	return slices.MinFunc(people, func(a, b *Person) int { return a.ID.Compare(b.ID) })
}
