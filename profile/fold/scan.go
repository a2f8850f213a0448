package fold

import (
	"math/bits"
	"slices"

	"kith/schema"
)

// AttrSet is a set of attributes. A nil set has all of them.
type AttrSet struct {
	ids    [4]uint64 // a bit for each number
	custom map[string]bool
}

// NewAttrSet returns a set of some attributes.
func NewAttrSet(attrs ...schema.Attr) *AttrSet {
	s := &AttrSet{}
	for _, a := range attrs {
		s.Add(a)
	}
	return s
}

// Add adds an attribute.
func (s *AttrSet) Add(a schema.Attr) {
	switch {
	case a.ID != 0:
		s.ids[a.ID/64] |= 1 << (a.ID % 64)
	case s.custom == nil:
		s.custom = map[string]bool{a.Custom: true}
	default:
		s.custom[a.Custom] = true
	}
}

// Has says whether an attribute, given by its number or its name, is in the set.
func (s *AttrSet) Has(id uint16, custom string) bool {
	if s == nil {
		return true
	}
	if id == 0 {
		return s.custom[custom]
	}
	return int(id) < 64*len(s.ids) && s.ids[id/64]&(1<<(id%64)) != 0
}

// last returns the highest number in the set; custom attributes are behind all numbers.
func (s *AttrSet) last() uint16 {
	if s == nil || len(s.custom) > 0 {
		return 1<<16 - 1
	}
	for i := len(s.ids) - 1; i >= 0; i-- {
		if n := bits.Len64(s.ids[i]); n > 0 {
			return uint16(64*i + n - 1)
		}
	}
	return 0
}

// WithFields returns the set with the attributes that a merge decides about together with its own: a fold of persons needs them.
func (s *AttrSet) WithFields() *AttrSet {
	if s == nil {
		return nil
	}
	out := &AttrSet{ids: s.ids, custom: s.custom}
	fields := map[schema.Attr]bool{}
	each := func(do func(schema.Attr)) {
		for id := range uint16(64 * len(s.ids)) {
			if a := (schema.Attr{ID: id}); id > 0 && a.Path() != "" {
				do(a)
			}
		}
	}
	each(func(a schema.Attr) {
		if s.Has(a.ID, "") {
			fields[fieldOf(a)] = true
		}
	})
	each(func(a schema.Attr) {
		if fields[fieldOf(a)] {
			out.Add(a)
		}
	})
	return out
}

// Scanner folds many profiles one after the other, from their encoded rows. Its memory is used again, and it copies nothing: what it
// returns is good until the next Reset, as long as the rows are. It is for profiles that take part in no merge, which are most.
type Scanner struct {
	now  int64
	want *AttrSet
	last uint16

	p      Profile
	values []Value // of all rows, one after the other
	ends   []int   // where those of each row end
	raw    bool    // a blank, or values of one attribute that only the fold can tell apart
	keys   []Key
	head   Head
	f      leftFold
	folded []Value
}

// NewScanner returns a Scanner of what is visible at a time, in microseconds, of some attributes.
func NewScanner(now int64, want *AttrSet) *Scanner {
	return &Scanner{now: now, want: want, last: want.last()}
}

// Reset begins with another profile.
func (s *Scanner) Reset(id ID) {
	s.p = Profile{ID: id}
	s.values, s.ends, s.keys, s.raw = s.values[:0], s.ends[:0], s.keys[:0], false
}

// AddContribution takes in an import's row.
func (s *Scanner) AddContribution(b []byte) error {
	c, err := Open(b)
	if err != nil || c.Expires <= s.now {
		return err
	}
	s.p.Expires = max(s.p.Expires, c.Expires)
	s.p.until(c.Expires)
	if c.Private > 0 {
		if err := s.addPrivate(b); err != nil {
			return err
		}
	}
	for c.Next() {
		if c.ID > s.last {
			break
		}
		if !s.want.Has(c.ID, c.Custom) || c.Until != 0 && c.Until <= s.now {
			continue
		}
		s.raw = s.raw || c.Blank || c.compacted
		s.p.until(c.Until)
		s.values = append(s.values, Value{Attr: c.Attr(), Text: c.Text, Kind: Import, Blank: c.Blank, Country: c.Country, Stamp: c.Stamp, Expires: c.Until})
	}
	s.ends = append(s.ends, len(s.values))
	return c.Err()
}

// addPrivate takes in the private keys of an import's row.
func (s *Scanner) addPrivate(b []byte) error {
	c := &Contribution{}
	if err := c.Decode(b, s.now); err != nil {
		return err
	}
	s.keys = append(s.keys, c.Private...)
	return nil
}

// AddHead takes in the row of the head.
func (s *Scanner) AddHead(b []byte) error {
	if err := s.head.decodeView(unsafeText(b), s.now); err != nil || s.head.Expires == 0 {
		return err
	}
	s.p.Expires = max(s.p.Expires, s.head.Expires)
	s.p.until(s.head.Expires)
	s.p.own(&s.head)
	for i := range s.head.Values {
		if v := &s.head.Values[i]; s.want.Has(v.Attr.ID, v.Attr.Custom) {
			s.p.until(v.Expires)
			s.values = append(s.values, *v)
		}
	}
	s.raw = true
	s.ends = append(s.ends, len(s.values))
	return nil
}

// Profile returns the fold, or nil when nothing of it is visible.
func (s *Scanner) Profile() *Profile {
	if s.p.Expires == 0 {
		return nil
	}
	if len(s.keys) > 0 {
		s.p.Private = s.keys
	}
	if len(s.ends) == 1 && !s.raw {
		s.p.Values = s.values
		return &s.p
	}
	s.f.rest = s.f.rest[:0]
	from := 0
	for _, end := range s.ends {
		s.f.rest = append(s.f.rest, s.values[from:end])
		from = end
	}
	s.folded = s.f.fold(s.folded[:0])
	s.p.Values = s.folded
	return &s.p
}

// Person gathers the rows of one person's profiles after the other's, and uses its memory again. Like a Scanner it copies nothing.
type Person struct {
	now   int64
	want  *AttrSet
	last  uint16
	mem   Memory
	pool  []*pooled
	used  int
	by    map[ID]*Member
	whole []*Contribution // of which the pooled members take theirs
	parts int
}

// pooled is a member with what it points to.
type pooled struct {
	m     Member
	state State
	head  Head
}

// NewPerson returns a Person of what is visible at a time, in microseconds, of some attributes and those that merges decide about
// together with them.
func NewPerson(now int64, want *AttrSet) *Person {
	want = want.WithFields()
	return &Person{now: now, want: want, last: want.last(), by: map[ID]*Member{}}
}

// Reset begins with another person.
func (p *Person) Reset() {
	p.used, p.parts = 0, 0
	clear(p.by)
}

// Add begins with the next profile of the person. What is added then is of it.
func (p *Person) Add(id ID) {
	if p.used == len(p.pool) {
		p.pool = append(p.pool, &pooled{})
	}
	of := p.pool[p.used]
	p.used++
	of.m = Member{ID: id, Parts: of.m.Parts[:0], Of: p.by}
	p.by[id] = &of.m
}

// AddState takes in the row of the state, of which no link is open.
func (p *Person) AddState(b []byte) error {
	of := p.pool[p.used-1]
	of.m.State = &of.state
	return of.state.decode(unsafeText(b))
}

// AddContribution takes in an import's row.
func (p *Person) AddContribution(b []byte) error {
	cursor, err := Open(b)
	if err != nil || cursor.Expires <= p.now {
		return err
	}
	if p.parts == len(p.whole) {
		p.whole = append(p.whole, &Contribution{})
	}
	c := p.whole[p.parts]
	p.parts++
	if cursor.Private > 0 {
		if err := c.Decode(b, p.now); err != nil {
			return err
		}
	} else {
		*c = Contribution{Expires: cursor.Expires, Stamp: cursor.Base, Values: c.Values[:0]}
		for cursor.Next() && cursor.ID <= p.last {
			if p.want.Has(cursor.ID, cursor.Custom) && (cursor.Until == 0 || cursor.Until > p.now) {
				c.Values = append(c.Values, Value{Attr: cursor.Attr(), Text: cursor.Text, Kind: Import, Blank: cursor.Blank, Country: cursor.Country, Stamp: cursor.Stamp, Expires: cursor.Until})
			}
		}
		if cursor.Err() != nil {
			return cursor.Err()
		}
	}
	of := p.pool[p.used-1]
	of.m.Parts = append(of.m.Parts, Part{Contribution: c})
	return nil
}

// AddHead takes in the row of the head.
func (p *Person) AddHead(b []byte) error {
	of := p.pool[p.used-1]
	of.m.Head = &of.head
	return of.head.decodeView(unsafeText(b), p.now)
}

// Member returns a profile that was added, with the others as its members, or nil.
func (p *Person) Member(id ID) *Member { return p.by[id] }

// Profile returns the fold of the person whose main profile m is, or nil. It is good until Reset.
func (p *Person) Profile(m *Member) *Profile { return m.ProfileIn(&p.mem) }

// Only leaves of the values of a profile those of a set.
func (p *Profile) Only(want *AttrSet) {
	if want != nil {
		p.Values = slices.DeleteFunc(p.Values, func(v Value) bool { return !want.Has(v.Attr.ID, v.Attr.Custom) })
	}
}
