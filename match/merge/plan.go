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
	Criterion int // 0 is the first, Answered is none
	IDs       []fold.ID
}

// Answered is the Criterion of persons of whom people have said that they are the same.
const Answered = -1

// Said is what people have said of pairs of persons.
type Said struct{ Same, Apart [][2]fold.ID }

// Plan returns the merges that are asked for of persons that were found to be alike, in their order: first of those that people have said are the
// same, then what criteria say, but never of two that people have said are not the same. A later step names the survivor of an earlier one.
func Plan(criteria []Criterion, people []*Person, r Resolution, said Said) []Step {
	p := &plan{rest: slices.Clone(people), r: r, apart: said.Apart, became: map[fold.ID]fold.ID{}}
	slices.SortFunc(p.rest, func(a, b *Person) int { return a.ID.Compare(b.ID) })
	for _, same := range said.Same {
		p.merge(Answered, p.named(same[:]))
	}
	for i, c := range criteria {
		alike := map[string][]*Person{}
		var keys []string // in the order of the lowest ids
		for _, of := range p.rest {
			key, ok := c.key(of)
			if !ok {
				continue
			}
			if alike[key] == nil {
				keys = append(keys, key)
			}
			alike[key] = append(alike[key], of)
		}
		for _, key := range keys {
			p.merge(i, alike[key])
		}
	}
	return p.steps
}

// plan is Plan on its way.
type plan struct {
	rest   []*Person // persons by now, from the lowest id
	r      Resolution
	apart  [][2]fold.ID
	became map[fold.ID]fold.ID // who was merged, by whom it is
	steps  []Step
}

// who returns the person that an id belongs to by now.
func (p *plan) who(id fold.ID) fold.ID {
	for {
		into, ok := p.became[id]
		if !ok {
			return id
		}
		id = into
	}
}

// named returns the persons that ids belong to by now, each once.
func (p *plan) named(ids []fold.ID) (found []*Person) {
	for _, of := range p.rest {
		if slices.ContainsFunc(ids, func(id fold.ID) bool { return p.who(id) == of.ID }) {
			found = append(found, of)
		}
	}
	return found
}

// merge merges persons, but for those that are apart from one that comes before them.
func (p *plan) merge(criterion int, alike []*Person) {
	for len(alike) > 1 {
		var together, others []*Person
		for _, of := range alike {
			if slices.ContainsFunc(together, func(x *Person) bool { return p.areApart(x.ID, of.ID) }) {
				others = append(others, of)
			} else {
				together = append(together, of)
			}
		}
		if len(together) > 1 {
			step := Step{Criterion: criterion}
			one := combine(together, p.r)
			for _, of := range together {
				if step.IDs = append(step.IDs, of.ID); of.ID != one.ID {
					p.became[of.ID] = one.ID
				}
			}
			p.steps = append(p.steps, step)
			p.rest = slices.DeleteFunc(p.rest, func(of *Person) bool { return of.ID != one.ID && slices.Contains(step.IDs, of.ID) })
			p.rest[slices.IndexFunc(p.rest, func(of *Person) bool { return of.ID == one.ID })] = one
		}
		alike = others
	}
}

func (p *plan) areApart(a, b fold.ID) bool {
	return slices.ContainsFunc(p.apart, func(pair [2]fold.ID) bool {
		x, y := p.who(pair[0]), p.who(pair[1])
		return x == a && y == b || x == b && y == a
	})
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
