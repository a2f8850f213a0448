package fold

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kith/schema"
)

// rows are the encoded rows of a profile, as a store has them.
type rows struct {
	state, head []byte
	parts       [][]byte
}

func (h *history) rowsOf(p *twin) (r rows) {
	r.state, r.head = p.state.Append(nil), p.head.Append(nil)
	for _, part := range p.compacted {
		r.parts = append(r.parts, part.Append(nil))
	}
	h.rng.Shuffle(len(r.parts), func(i, j int) { r.parts[i], r.parts[j] = r.parts[j], r.parts[i] })
	return r
}

// add adds the rows of a profile, and of all that were merged into it, to a Person.
func (h *history) add(p *twin, to *Person) error {
	r := h.rowsOf(p)
	to.Add(p.id)
	errs := []error{to.AddState(r.state), to.AddHead(r.head)}
	for _, part := range r.parts {
		errs = append(errs, to.AddContribution(part))
	}
	for _, g := range p.state.Merges {
		for _, id := range g.From {
			errs = append(errs, h.add(h.of(id), to))
		}
	}
	return errors.Join(errs...)
}

var scanned = map[string]*AttrSet{
	"all": nil, "a name": NewAttrSet(first), "a part of an address": NewAttrSet(compactAttrs[1]), "what nobody has": NewAttrSet(tier), "nothing": NewAttrSet(),
	"several": NewAttrSet(first, compactAttrs[2], tier, schema.Attr{Custom: "other"}),
}

// Scanner and Person, whose memory is used again and again, show of encoded rows what the fold of a member shows, whatever has happened to a profile.
func TestScanningIsFolding(t *testing.T) {
	scanners, persons := map[string]*Scanner{}, map[string]*Person{}
	alone, merged := 0, 0
	for seed := range uint64(400) {
		h := newHistory(seed)
		if err := h.run(12 + h.rng.IntN(30)); err != nil {
			t.Fatal(err)
		}
		now := h.now + h.rng.Int64N(400*second)
		for name, want := range scanned {
			if scanners[name] == nil || seed%50 == 0 {
				scanners[name], persons[name] = NewScanner(0, want), NewPerson(0, want)
			}
			s, person := scanners[name], persons[name]
			s.now, person.now = now, now
			for _, p := range h.profiles {
				if p.state.Into != nil {
					continue
				}
				like := func(how string, got *Profile) {
					t.Helper()
					is := h.member(p, now, true).Profile()
					if is != nil && got != nil && want != nil {
						if !slices.Equal(fewer(is.Private), fewer(got.Private)) || is.Expires != got.Expires || is.Objects != got.Objects {
							t.Errorf("%s %s: %+v, want %+v", how, name, got, is)
						}
						got.Only(want)
						is.Only(want)
						is.Branches, got.Branches = nil, nil
					}
					if show(got) != show(is) || want == nil && is != nil && got.Changes != is.Changes {
						t.Errorf("%s %s, history %d, profile %v\n%s\n%s\n%s", how, name, seed, p.id[0], show(got), show(is), strings.Join(h.log, "\n"))
					}
				}
				person.Reset()
				if err := h.add(p, person); err != nil {
					t.Fatal(err)
				}
				like("person", person.Profile(person.Member(p.id)))
				merged++
				if len(p.state.Merges) > 0 {
					continue
				}
				alone++
				s.Reset(p.id)
				r := h.rowsOf(p)
				errs := []error{s.AddHead(r.head)}
				for _, part := range r.parts {
					errs = append(errs, s.AddContribution(part))
				}
				if err := errors.Join(errs...); err != nil {
					t.Fatal(err)
				}
				like("scanner", s.Profile())
			}
		}
		if t.Failed() {
			return
		}
	}
	if merged-alone < 500 || alone < 500 {
		t.Errorf("%d persons of one profile and %d of several: this test shows little", alone, merged-alone)
	}
}

// fewer returns keys sorted, each once.
func fewer(keys []Key) []Key {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	return slices.Compact(keys)
}

// Damaged rows are told, not folded.
func TestScanningTellsDamage(t *testing.T) {
	c := &Contribution{Stamp: Stamp{Time: 5}, Expires: 100, Private: []Key{{"upload:x", "1"}}, Values: []Value{say(Import, 5, "a")}}
	head := &Head{Time: 7, Expires: 100, Values: []Value{say(Manual, 7, "m")}}
	part, manual := c.Append(nil), head.Append(nil)
	without := *c
	without.Values = nil
	for n := range part {
		if n == len(without.Append(nil)) { // that is one with a value less
			continue
		}
		s, p := NewScanner(1, nil), NewPerson(1, nil)
		p.Add(ID{1})
		if err := s.AddContribution(part[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a scanner, %d of %d bytes of a contribution: %v", n, len(part), err)
		}
		if err := p.AddContribution(part[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a person, %d of %d bytes of a contribution: %v", n, len(part), err)
		}
	}
	for n := range manual { // what a view does not read, at the end, may lack
		s, p := NewScanner(1, nil), NewPerson(1, nil)
		p.Add(ID{1})
		if err := s.AddHead(manual[:n]); !errors.Is(err, ErrCorrupt) && (err != nil || s.Profile().Get(first) != "m") {
			t.Errorf("a scanner, %d of %d bytes of a head: %v", n, len(manual), err)
		}
		if err := p.AddHead(manual[:n]); !errors.Is(err, ErrCorrupt) && (err != nil || p.Profile(p.Member(ID{1})).Get(first) != "m") {
			t.Errorf("a person, %d of %d bytes of a head: %v", n, len(manual), err)
		}
	}
}
