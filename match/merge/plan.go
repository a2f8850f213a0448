package merge

import (
	"encoding/binary"
	"slices"
	"strings"

	"kith/fault"
	"kith/profile/fold"
	"kith/schema"
)

// Criterion is what persons must have alike, all of it, to be merged.
type Criterion []Part

// Part is a field of the standard profile, an address as a whole, or a custom attribute.
type Part struct {
	Name  string
	attrs []schema.Attr
}

// Criteria reads Consolidation.MatchingAttributesList.
func Criteria(list [][]string) ([]Criterion, error) {
	var all []Criterion
	for i, names := range list {
		var c Criterion
		for _, name := range names {
			p, ok := partOf(name)
			if !ok {
				return nil, fault.BadRequestf("MatchingAttributesList[%d] has %q, which no profile has: name a field of the standard profile, such as FirstName or Address.PostalCode, or Attributes.<name>.", i, name)
			}
			c = append(c, p)
		}
		all = append(all, c)
	}
	return all, nil
}

func partOf(name string) (Part, bool) {
	if a, ok := schema.ParsePath(name); ok {
		return Part{name, []schema.Attr{a}}, true
	}
	p := Part{Name: name}
	for _, path := range schema.StandardPaths() { // an address as a whole
		if strings.HasPrefix(path, name+".") && strings.HasSuffix(name, "Address") {
			a, _ := schema.ParsePath(path)
			p.attrs = append(p.attrs, a)
		}
	}
	return p, p.attrs != nil
}

// key returns the key of a person for a criterion: the raw values, and false when one is missing.
func (c Criterion) key(p *Person) (string, bool) {
	var key []byte
	for _, part := range c {
		has := false
		for _, a := range part.attrs {
			text := ""
			if i := slices.IndexFunc(p.Values, func(v fold.Value) bool { return v.Attr == a }); i >= 0 {
				text, has = p.Values[i].Text, true
			}
			key = append(binary.AppendUvarint(key, uint64(len(text))), text...)
		}
		if !has {
			return "", false
		}
	}
	return string(key), true
}

// Step is one merge: persons that become one.
type Step struct {
	Criterion int // 0 is the first
	IDs       []fold.ID
}

// Plan returns the merges that criteria ask for of persons that were found to be alike, in their order. A later step names the survivor of
// an earlier one.
func Plan(criteria []Criterion, people []*Person, r Resolution) (steps []Step) {
	rest := slices.Clone(people)
	slices.SortFunc(rest, func(a, b *Person) int { return a.ID.Compare(b.ID) })
	for i, c := range criteria {
		alike := map[string][]*Person{}
		var keys []string // in the order of the lowest ids
		for _, p := range rest {
			key, ok := c.key(p)
			if !ok {
				continue
			}
			if alike[key] == nil {
				keys = append(keys, key)
			}
			alike[key] = append(alike[key], p)
		}
		for _, key := range keys {
			if len(alike[key]) < 2 {
				continue
			}
			step := Step{Criterion: i}
			for _, p := range alike[key] {
				step.IDs = append(step.IDs, p.ID)
			}
			steps = append(steps, step)
			one := combine(alike[key], r)
			rest = slices.DeleteFunc(rest, func(p *Person) bool { return p.ID != one.ID && slices.Contains(step.IDs, p.ID) })
			rest[slices.IndexFunc(rest, func(p *Person) bool { return p.ID == one.ID })] = one
		}
	}
	return steps
}

// Touched returns how many persons take part in the steps of a plan.
func Touched(steps []Step) int {
	seen := map[fold.ID]bool{}
	for _, s := range steps {
		for _, id := range s.IDs {
			seen[id] = true
		}
	}
	return len(seen)
}
