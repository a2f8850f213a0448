package rule

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"kith/api"
	"kith/profile/fold"
	"kith/schema"
	"kith/store"
)

// Level is a rule's place among the rules, from 1 on; the first is the strongest.
type Level byte

// hashLen is how much of a tuple's hash is kept: of 100 million tuples two have the same one with a probability of 10⁻¹³.
const hashLen = 12

// Tuple is what a profile has of all the attributes of a rule, as it is compared. Two profiles that have one in common satisfy the rule.
type Tuple struct {
	Level Level
	Hash  [hashLen]byte
}

func (t Tuple) compare(o Tuple) int {
	return cmp.Or(cmp.Compare(t.Level, o.Level), bytes.Compare(t.Hash[:], o.Hash[:]))
}

// Rules are the matching rules of a domain, as they are compared.
type Rules struct {
	levels []levelRule
	// merging is up to which level what matches becomes one; 0: nothing does.
	merging  Level
	slots    []slot
	anyToAny bool // MANY_TO_MANY
	strict   bool
	seed     uint64
	attrs    *fold.AttrSet
	print    string
}

// slot is a value that rules compare: of one attribute, or of the lines of an address together.
type slot struct {
	attrs []schema.Attr
	phone bool
}

// levelRule is one rule: every part must be alike.
type levelRule struct {
	names []string // as the domain has them
	parts []part
}

// part is what of a rule is alike together: one of its choices, on both sides. An attribute that is no type has one choice. Of an address
// a choice has all the attributes that the rule names, so that they come from one address.
type part struct {
	// choices are slots by sub-type.
	choices [][]int
}

// subtypes are the fields that stand for a type when nobody says.
var subtypes = map[string][]string{"Address": {"Address"}, "PhoneNumber": {"PhoneNumber"}, "EmailAddress": {"EmailAddress"}}

// addressFields are the real names of addresses that AWS names otherwise.
var addressFields = map[string]string{"BusinessAddress": "BillingAddress", "MaillingAddress": "MailingAddress"}

// Compile reads the rules of a domain, which have been checked. strict compares values as they are. Tuples of different incarnations
// have nothing in common.
func Compile(rb *api.RuleBasedMatchingResponse, inc store.Incarnation, strict bool) *Rules {
	r := &Rules{strict: strict, seed: uint64(inc), attrs: &fold.AttrSet{}}
	use := subtypes
	if s := rb.AttributeTypesSelector; s != nil {
		r.anyToAny = *s.AttributeMatchingModel == api.AttributeMatchingModelManyToMany
		use = map[string][]string{}
		for name, fields := range map[string][]string{"Address": s.Address, "PhoneNumber": s.PhoneNumber, "EmailAddress": s.EmailAddress} {
			if use[name] = fields; len(fields) == 0 {
				use[name] = subtypes[name]
			}
		}
	}
	n := len(rb.MatchingRules)
	if rb.MaxAllowedRuleLevelForMatching != nil {
		n = min(n, int(*rb.MaxAllowedRuleLevelForMatching))
	}
	if rb.MaxAllowedRuleLevelForMerging != nil {
		r.merging = Level(min(n, int(*rb.MaxAllowedRuleLevelForMerging)))
	}
	for _, rule := range rb.MatchingRules[:n] {
		r.levels = append(r.levels, r.compile(rule.Rule, use))
	}
	r.print = r.fingerprint(rb)
	return r
}

// fingerprint names everything on which matches depend.
func (r *Rules) fingerprint(rb *api.RuleBasedMatchingResponse) string {
	h := fnv.New128a()
	say := func(what ...any) { fmt.Fprintf(h, "%q\n", fmt.Sprint(what...)) }
	say("1", r.strict, r.anyToAny, len(r.levels), r.merging)
	for _, l := range r.levels {
		say(strings.Join(l.names, "\x00"))
	}
	if s := rb.AttributeTypesSelector; s != nil {
		say(s.Address, s.PhoneNumber, s.EmailAddress)
	}
	if c := rb.ConflictResolution; c != nil && r.merging > 0 {
		say(api.Val(c.ConflictResolvingModel), api.Val(c.SourceName))
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func (r *Rules) compile(names []string, use map[string][]string) levelRule {
	l := levelRule{names: names}
	var addressParts []string
	for _, name := range names {
		if part, ok := strings.CutPrefix(name, "Address."); ok {
			addressParts = append(addressParts, part)
			continue
		}
		fields := use[name]
		if fields == nil {
			fields = []string{name}
		}
		var p part
		for _, field := range fields {
			a, _ := schema.ParsePath(field)
			s := slot{attrs: []schema.Attr{a}, phone: name == "PhoneNumber"}
			if a.ID == schema.Gender {
				s.attrs = append(s.attrs, schema.Attr{ID: schema.GenderString})
			}
			p.choices = append(p.choices, []int{r.slot(s)})
		}
		l.parts = append(l.parts, p)
	}
	if addressParts == nil {
		return l
	}
	var p part
	for _, field := range use["Address"] {
		if real, ok := addressFields[field]; ok {
			field = real
		}
		var choice []int
		for _, name := range addressParts {
			lines := []string{name}
			if name == "Address" {
				lines = []string{"Address1", "Address2", "Address3", "Address4"}
			}
			var s slot
			for _, line := range lines {
				a, _ := schema.ParsePath(field + "." + line)
				s.attrs = append(s.attrs, a)
			}
			choice = append(choice, r.slot(s))
		}
		p.choices = append(p.choices, choice)
	}
	l.parts = append(l.parts, p)
	return l
}

// slot returns the number of a slot, a new one if there is none.
func (r *Rules) slot(s slot) int {
	for i := range r.slots {
		if slices.Equal(r.slots[i].attrs, s.attrs) && r.slots[i].phone == s.phone {
			return i
		}
	}
	for _, a := range s.attrs {
		r.attrs.Add(a)
	}
	r.slots = append(r.slots, s)
	return len(r.slots) - 1
}

// Matcher makes the tuples of profiles, for one goroutine: its memory is used again.
type Matcher struct {
	*Rules
	values []xxh3.Uint128 // of each slot; zero: there is none
	text   []byte
	key    []byte
	tuples []Tuple
	folder cases.Caser
}

// Matcher returns what makes tuples by the rules.
func (r *Rules) Matcher() *Matcher {
	return &Matcher{Rules: r, values: make([]xxh3.Uint128, len(r.slots)), folder: cases.Fold()}
}

// Tuples returns the tuples of a profile by level and hash, each once. They are good until the next call.
func (m *Matcher) Tuples(p *fold.Profile) []Tuple {
	for i := range m.slots {
		m.values[i] = m.value(&m.slots[i], p)
	}
	m.tuples = m.tuples[:0]
	for i := range m.levels {
		m.key = m.key[:0]
		m.combine(Level(i+1), m.levels[i].parts)
	}
	slices.SortFunc(m.tuples, Tuple.compare)
	m.tuples = slices.Compact(m.tuples)
	return m.tuples
}

// combine adds the tuples of a level that begin as the key does.
func (m *Matcher) combine(level Level, parts []part) {
	if len(parts) == 0 {
		t := Tuple{Level: level}
		h := xxh3.Hash128Seed(m.key, m.seed)
		binary.BigEndian.PutUint64(t.Hash[:], h.Hi)
		binary.BigEndian.PutUint32(t.Hash[8:], uint32(h.Lo>>32))
		m.tuples = append(m.tuples, t)
		return
	}
	n := len(m.key)
	for c, choice := range parts[0].choices {
		m.key = m.key[:n]
		if !m.anyToAny { // a value counts only in the same field of the other
			m.key = append(m.key, byte(c))
		}
		whole := true
		for _, s := range choice {
			v := m.values[s]
			whole = whole && v != xxh3.Uint128{}
			m.key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(m.key, v.Hi), v.Lo)
		}
		if whole {
			m.combine(level, parts[1:])
		}
	}
	m.key = m.key[:n]
}

// value returns the hash of what a profile has in a slot; zero: it has nothing.
func (m *Matcher) value(s *slot, p *fold.Profile) xxh3.Uint128 {
	m.text = m.text[:0]
	for _, a := range s.attrs {
		i, ok := slices.BinarySearchFunc(p.Values, a, func(v fold.Value, a schema.Attr) int { return v.Attr.Compare(a) })
		if !ok {
			continue
		}
		n := len(m.text)
		if n > 0 {
			m.text = append(m.text, ' ')
		}
		begin := len(m.text)
		if m.text = m.appendCanonical(m.text, s.phone, &p.Values[i]); len(m.text) == begin {
			m.text = m.text[:n]
		}
	}
	if len(m.text) == 0 {
		return xxh3.Uint128{}
	}
	return xxh3.Hash128Seed(m.text, m.seed)
}

// appendCanonical appends a value as it is compared: a phone number in its international form, as far as it is known where it was written;
// any other text without outer blanks, composed, in one case. "" is no value.
func (m *Matcher) appendCanonical(dst []byte, phone bool, v *fold.Value) []byte {
	if m.strict {
		return append(dst, v.Text...)
	}
	n := len(dst)
	if phone {
		return schema.AppendNormalizedIn(dst, v.Country, schema.Phone, []byte(v.Text))
	}
	dst = schema.AppendNormalized(dst, schema.String, []byte(v.Text))
	for i, c := range dst[n:] {
		if c >= utf8.RuneSelf {
			m.folder.Reset()
			return append(dst[:n], norm.NFC.Bytes(m.folder.Bytes(dst[n:]))...)
		}
		if c-'A' < 26 {
			dst[n+i] = c + 'a' - 'A'
		}
	}
	return dst
}
