package suggest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"kith/schema"
)

// Table is what is known of a table.
type Table struct {
	Header []string
	// Rows are the first ones, but for Rejected others among them that no import takes; Whole says that there are no more.
	Rows     [][]string
	Rejected int
	Whole    bool
	// Bad says that a value can't be a key although it is none of the blank ones: a word for no value, or what a spreadsheet made of it. nil: none is.
	Bad func(value []byte) bool
	// Headless says that the names may be the cells of a first row: no line of the file looks like a header.
	Headless bool
}

// Wish is what a person wants to become of a column.
type Wish struct {
	Column string // its name; case, accents and signs are forgiven
	Target string // a path, with or without _profile. before it; "" leaves the column out
}

// Wishes are what a person has decided already.
type Wishes struct {
	Columns []Wish
	Key     string // name of the column that identifies customers; "" is proposed
}

// Column is a column of a table with what is to become of it.
type Column struct {
	Number int // from 0
	Name   string
	// Label is its key in Fields.
	Label string
	// Source and Target are those of the field; Target is below _profile, and "" leaves the column out.
	Source, Target string
	ContentType    schema.ContentType
	// Twice says that several columns have this name: none of them can be the source of a field.
	Twice bool
	// Why says how the target was found, or why the column is left out.
	Why string
	Seen

	asked, settled bool   // a person has decided; a known export has
	misfit         string // what its name means, and its values don't fit
	beyond         bool   // it is left out because there are too many
}

// Level is what a warning asks of a person.
type Level int

// The levels of warnings.
const (
	Note  Level = iota // good to know
	Doubt              // to be looked at before the import
	Stop               // it has to be decided first
)

// Warning is a sentence about what a person should know. Code is stable.
type Warning struct {
	Level              Level
	Code, Column, Text string
}

// Other is a column that could tell customers apart, too.
type Other struct{ Column, Why string }

// Proposal is what is proposed for a table.
type Proposal struct {
	// Columns are in the order of the table. A column of whole names comes twice: once for each part.
	Columns []Column
	Rows    int // that were looked at
	// Product names whose export the table is, or "".
	Product string
	// Key is the index in Columns of the one that tells customers apart, or -1; Why says why it was chosen. Others could be it as well.
	Key      int
	Why      string
	Others   []Other
	Warnings []Warning

	labels map[string]bool
	ids    []int // columns that are ids, the best first
}

// Field is an entry of a job's Fields. Target is below _profile, or "".
type Field struct {
	Label, Source, Target string
	ContentType           schema.ContentType
}

// maxFields is how many fields a job may have.
const maxFields = 250

// For proposes what to do with a table, and obeys what a person has decided. The error is a sentence that says which wish can't be
// fulfilled.
func For(t Table, w Wishes) (*Proposal, error) {
	p := &Proposal{Rows: len(t.Rows), Key: -1, labels: map[string]bool{}}
	times := map[string]int{}
	for i, name := range t.Header {
		c := Column{Number: i, Name: schema.ColumnName(name)}
		c.Seen = look(t.Rows, i, t.Bad)
		c.Label = label(c.Name, i, p.labels)
		c.Source = "_source." + c.Name
		times[c.Name]++
		p.Columns = append(p.Columns, c)
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		c.Twice = c.Name != "" && times[c.Name] > 1
	}
	if !p.ownExport() {
		p.product()
		p.rankIDs()
		p.target()
		p.splitNames()
		p.byContent()
	}
	err := p.obey(w.Columns)
	if err == nil {
		err = p.chooseKey(w.Key)
	}
	if err != nil {
		return nil, errors.New(sentence(err))
	}
	p.leaveOut(t.Whole)
	for i := range p.Columns {
		c := &p.Columns[i]
		c.ContentType = ContentType(c.Target)
	}
	p.warn(t)
	return p, nil
}

// Fields are the fields of a job with this mapping, and UniqueKey names one of them. Without a key it is "".
func (p *Proposal) Fields() (all []Field, uniqueKey string) {
	for i, c := range p.Columns {
		if i == p.Key {
			uniqueKey = c.Label
		} else if c.Target == "" {
			continue
		}
		all = append(all, Field{Label: c.Label, Source: c.Source, Target: c.Target, ContentType: c.ContentType})
	}
	return all, uniqueKey
}

// ownExport maps a file that "kith export" wrote, whose columns are paths of attributes, or returns false. Left out is what has no Target,
// and, of two attributes that exclude each other, the one that is an enumeration.
func (p *Proposal) ownExport() bool {
	if len(p.Columns) < 2 || p.Columns[0].Name != "ProfileId" {
		return false
	}
	for _, c := range p.Columns[1:] {
		if _, ok := schema.ParsePath(c.Name); !ok && !strings.HasPrefix(c.Name, "EngagementPreferences.") {
			return false
		}
	}
	p.Product = "Kith"
	for i := range p.Columns {
		c := &p.Columns[i]
		attr, _ := schema.ParsePath(c.Name)
		_, twin := attr.Twin()
		if _, err := schema.ParseTarget("_profile." + c.Name); err == nil && c.usable() && !(twin && attr.Enum() != nil) {
			c.Target, c.Why = c.Name, "it was exported from there"
		} else {
			c.Why = "an import can't fill it"
		}
	}
	return true
}

// maxCustom is how many characters the name of a custom attribute has at most.
const maxCustom = 255

// custom is the path of the custom attribute that a column without another one becomes.
func custom(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if r := []rune(name); len(r) > maxCustom {
		name = string(r[:maxCustom])
	}
	return "Attributes." + name
}

// maxName is how many bytes a column's name may have for a field to have it for its source: the API has a limit for that.
const maxName = 600

// usable says whether a field can have the column for its source.
func (c *Column) usable() bool {
	return c.Name != "" && len(c.Name) <= maxName && !c.Twice && !strings.Contains(c.Name, "{{") && !strings.Contains(c.Name, "}}") &&
		!strings.HasPrefix(c.Name, ownPrefix)
}

// ownPrefix begins the names of columns that "kith rejects" has put into a table.
const ownPrefix = "kith_"

// target gives columns the attributes that their names mean, each to the first that has values; the others become custom attributes.
func (p *Proposal) target() {
	taken := map[string]int{}
	for i := range p.Columns {
		if c := &p.Columns[i]; c.Target != "" {
			taken[c.Target] = i
		}
	}
	elsewhere := p.elsewhere()
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.Target != "" {
			continue
		}
		if secrets[fold(c.Name)] {
			c.Why = "passwords and codes of cards are not for customer profiles"
			continue
		}
		if !c.usable() {
			c.Why = "its name can't be the source of a field"
			if c.Twice {
				c.Why = "several columns have this name"
			}
			continue
		}
		t := ""
		if !c.settled {
			t = meaning(c.Name)
			if shyNames[fold(c.Name)] && !elsewhere {
				t = ""
			}
			if o := others[fold(c.Name)]; o != "" && !c.fits(t) {
				t = o
			}
		}
		first, again := taken[t]
		if second := secondOf(t, c.Name); again && second != "" && p.Columns[first].Filled > 0 {
			t = second
			first, again = taken[t]
		}
		switch {
		case t == "":
			c.toCustom(taken, i, "no attribute of the standard profile is named so")
		case !c.fits(t):
			c.toCustom(taken, i, fmt.Sprintf("its name means %s, and its values do not fit", t))
			c.misfit = t
		case again && p.Columns[first].Filled == 0 && c.Filled > 0 && !p.Columns[first].settled && p.Columns[first].Target != "AccountNumber":
			p.Columns[first].toCustom(taken, first, fmt.Sprintf("%q fills %s, and this one has no value", c.Name, t))
			c.Target, c.Why, taken[t] = t, "its name", i
		case again:
			c.toCustom(taken, i, fmt.Sprintf("%q fills %s already", p.Columns[first].Name, t))
		default:
			c.Target, c.Why, taken[t] = t, "its name", i
		}
	}
}

// seconds are the attributes that a second address or number is, by a word of its name.
var seconds = map[string]map[string]string{
	"EmailAddress": {"home": "PersonalEmailAddress", "private": "PersonalEmailAddress", "personal": "PersonalEmailAddress", "privat": "PersonalEmailAddress", "domicile": "PersonalEmailAddress",
		"work": "BusinessEmailAddress", "office": "BusinessEmailAddress", "business": "BusinessEmailAddress", "company": "BusinessEmailAddress", "geschaftlich": "BusinessEmailAddress", "dienstlich": "BusinessEmailAddress", "bureau": "BusinessEmailAddress"},
	"PhoneNumber": {"home": "HomePhoneNumber", "private": "HomePhoneNumber", "privat": "HomePhoneNumber", "domicile": "HomePhoneNumber", "work": "BusinessPhoneNumber", "office": "BusinessPhoneNumber", "business": "BusinessPhoneNumber",
		"geschaftlich": "BusinessPhoneNumber", "dienstlich": "BusinessPhoneNumber", "bureau": "BusinessPhoneNumber", "mobile": "MobilePhoneNumber", "cell": "MobilePhoneNumber", "mobil": "MobilePhoneNumber"},
}

// secondOf returns the attribute that a column is whose name means another one, which is filled already, or "": "Email (home)" beside "Email (work)".
func secondOf(target, name string) string {
	for _, w := range parts(name) {
		if t := seconds[target][w]; t != "" {
			return t
		}
	}
	return ""
}

// toCustom makes a column, that has number i, an attribute of its own name, unless another one is it.
func (c *Column) toCustom(taken map[string]int, i int, why string) {
	t := custom(c.Name)
	if _, again := taken[t]; again {
		c.Target, c.Why = "", "another column fills the same attribute"
		return
	}
	if _, ok := schema.ParsePath(t); !ok {
		c.Target, c.Why = "", "no attribute can have its name"
		return
	}
	taken[t] = i
	c.Target, c.Why = t, why
}

// by returns the column that fills an attribute, or -1.
func (p *Proposal) by(target string) int {
	return slices.IndexFunc(p.Columns, func(c Column) bool { return c.Target == target })
}

// splitNames splits a column of whole names into given and family name, if nothing else fills these.
func (p *Proposal) splitNames() {
	first, last := p.by("FirstName"), p.by("LastName")
	whole := slices.IndexFunc(p.Columns, func(c Column) bool { return c.maybeWhole() && !aCustomer[fold(c.Name)] })
	if whole < 0 {
		whole = slices.IndexFunc(p.Columns, func(c Column) bool { return c.maybeWhole() })
	}
	switch {
	case first >= 0 && last >= 0:
		return
	case first >= 0 && whole < 0 && p.Columns[first].mostly(p.Columns[first].several) && !givenOnly[fold(p.Columns[first].Name)], last >= 0 && first < 0 && whole < 0 && p.Columns[last].mostly(p.Columns[last].several) && p.Columns[last].couldBeWhole():
		whole = max(first, last) // "Nombre" and "Nom" are the whole name where nothing else has the rest
	case first >= 0 && whole >= 0:
		p.Columns[whole].Target, p.Columns[whole].Why = "LastName", "its name, beside a column of given names"
		return
	case last >= 0 && whole >= 0 && justName[fold(p.Columns[whole].Name)] && 2*p.Columns[whole].several < p.Columns[whole].Filled:
		p.Columns[whole].Target, p.Columns[whole].Why = "FirstName", "its name, beside a column of family names"
		return
	case last >= 0 || whole < 0:
		return
	}
	for i := whole; i < len(p.Columns); i++ {
		c := &p.Columns[i]
		chinese := c.mostly(c.han) && isChineseName(c.Name) && !p.japanese()
		if !c.usable() || i != whole && !isFullName(c.Name) || !c.ofPeople() && !chinese {
			continue
		}
		source := "{{_source." + c.Name + "}}"
		given, family := "givenName", "familyName"
		if isFamilyFirst(c.Name) {
			given, family = "familyFirstGivenName", "familyFirstFamilyName"
		}
		if chinese {
			given, family = "chineseGivenName", "chineseFamilyName"
		}
		half := *c
		c.Source, c.Target, c.Why = "{{#"+given+"}}"+source+"{{/"+given+"}}", "FirstName", "a whole name, split"
		half.Source, half.Target, half.Why = "{{#"+family+"}}"+source+"{{/"+family+"}}", "LastName", c.Why
		half.Label = label(c.Name+"_family", i, p.labels)
		p.Columns = slices.Insert(p.Columns, i+1, half)
		for j, id := range p.ids {
			if id > i {
				p.ids[j]++
			}
		}
		return
	}
}

// maybeWhole says whether a column's name is one of whole names.
func (c *Column) maybeWhole() bool { return c.usable() && !c.settled && isFullName(c.Name) }

// givenOnly are names that nobody gives to whole names: people of two given names have them there.
var givenOnly = words("firstname givenname forename vorname prenom primernombre voornaam fornamn fornavn etunimi keresztnev prenume krestnijmeno givennames")

// justName are words for a name, which people say for the given one beside the family name.
var justName = words("name naam namn navn nimi")

// japanese says whether a name of the header has Japanese syllables: then names in Chinese characters without a blank are Japanese, and nobody can tell
// where their parts end.
func (p *Proposal) japanese() bool {
	return slices.ContainsFunc(p.Columns, func(c Column) bool {
		return strings.ContainsFunc(c.Name, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) })
	})
}

// couldBeWhole says whether a name that means the family name is also said for the whole name.
func (c *Column) couldBeWhole() bool { return fold(c.Name) == "nom" || fold(c.Name) == "nume" }

// byContent finds a column of e-mail addresses whose name does not say so, one of phone numbers, one of dates of birth whose name says nothing, and one of
// firms under the name of a customer.
func (p *Proposal) byContent() {
	for _, k := range []struct {
		target, why string
		is          func(c *Column) bool
	}{
		{"EmailAddress", "it holds e-mail addresses", func(c *Column) bool { return c.mostly(c.mails) }},
		{"PhoneNumber", "it holds phone numbers", func(c *Column) bool {
			return !isFax(c.Name) && (c.mostly(c.abroad) || c.mostly(c.phones+c.bare) && saysNothing(c.Name))
		}},
		{"BirthDate", "it holds days most of which are before 1990", func(c *Column) bool { return saysNothing(c.Name) && c.mostly(c.dates) && 2*c.early >= c.dates }},
		{"BusinessName", "it holds names of firms", func(c *Column) bool { return isFullName(c.Name) && 4*c.firms >= c.Filled }},
	} {
		if p.by(k.target) >= 0 || k.target == "PhoneNumber" && (p.by("MobilePhoneNumber") >= 0 || p.by("HomePhoneNumber") >= 0 || p.by("BusinessPhoneNumber") >= 0) {
			continue
		}
		for i := range p.Columns {
			if c := &p.Columns[i]; c.Filled > 0 && !c.settled && strings.HasPrefix(c.Target, "Attributes.") && k.is(c) {
				c.Target, c.Why, c.misfit = k.target, k.why, ""
				break
			}
		}
	}
}

// split says whether a column is one of the two that a column of whole names became.
func (c *Column) split() bool { return c.Source != "_source."+c.Name }

// leaveOut leaves columns without a value out, and where there are more than a job may have, the emptiest.
func (p *Proposal) leaveOut(whole bool) {
	mapped := 0
	var order []int
	for i := range p.Columns {
		c := &p.Columns[i]
		if whole && c.Target != "" && c.Filled == 0 && p.Rows > 0 && i != p.Key && !c.asked {
			c.Target, c.Why = "", "it has no value"
		}
		if c.Target == "" && i != p.Key {
			continue
		}
		if mapped++; i != p.Key {
			order = append(order, i)
		}
	}
	if mapped <= maxFields {
		return
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &p.Columns[a], &p.Columns[b]
		return cmp.Or(compare(x.asked, y.asked), cmp.Compare(x.Filled, y.Filled), cmp.Compare(b, a))
	})
	for _, i := range order[:mapped-maxFields] {
		c := &p.Columns[i]
		c.Target, c.Why = "", fmt.Sprintf("a job may have %d fields, and this column has few values", maxFields)
		c.beyond = true
	}
}

// label makes a legal and unique key of Fields.
func label(column string, i int, taken map[string]bool) string {
	l := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, column)
	if len(l) > 56 {
		l = l[:56]
	}
	base := l
	if strings.Trim(l, "_") == "" {
		if len(base) > 50 {
			base = base[:50]
		}
		l = fmt.Sprintf("%s_%d", base, i+1)
	}
	for ; taken[l]; i++ {
		l = fmt.Sprintf("%s_%d", base, i+1)
	}
	taken[l] = true
	return l
}

// ContentType is how values of an attribute are compared, which is named by its path below _profile.
func ContentType(target string) schema.ContentType {
	a, ok := schema.ParsePath(target)
	if !ok {
		return schema.String
	}
	if name, ct := schema.PredefinedKey(a); name != "" {
		return ct
	}
	switch a.ID {
	case schema.FirstName, schema.MiddleName, schema.LastName:
		return schema.Name
	}
	return schema.String
}
