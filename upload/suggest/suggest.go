package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"kith/schema"
)

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

	// What was seen of it.
	Samples  []string // three different values
	Filled   int      // rows in which it has a value
	Distinct int      // different values
}

// Proposal is what is proposed for a table.
type Proposal struct {
	// Columns are in the order of the table. A column of whole names comes twice: once for each part.
	Columns []Column
	Rows    int // that were looked at
	// Key is the index in Columns of the one that tells customers apart, or -1; Why says why it was chosen.
	Key int
	Why string
	// Warnings are sentences about what a person should look at.
	Warnings []string
}

// maxFields is how many fields a job may have.
const maxFields = 250

// For proposes what to do with a table, by its header and some of its rows. whole says that these are all rows.
func For(header []string, rows [][]string, whole bool) *Proposal {
	p := &Proposal{Rows: len(rows), Key: -1}
	labels, times := map[string]bool{}, map[string]int{}
	for i, name := range header {
		c := Column{Number: i, Name: schema.ColumnName(name)}
		c.look(rows)
		c.Label = label(c.Name, i, labels)
		c.Source = "_source." + c.Name
		times[c.Name]++
		p.Columns = append(p.Columns, c)
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		c.Twice = c.Name != "" && times[c.Name] > 1
	}
	if !p.ownExport() {
		p.target(p.chooseID())
		p.splitNames(labels)
		p.byContent()
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		c.ContentType = ContentType(c.Target)
	}
	p.chooseKey()
	p.leaveOut(whole)
	return p
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
	for i := range p.Columns {
		c := &p.Columns[i]
		attr, _ := schema.ParsePath(c.Name)
		_, twin := attr.Twin()
		if _, err := schema.ParseTarget("_profile." + c.Name); err == nil && !(twin && attr.Enum() != nil) {
			c.Target, c.Why = c.Name, "it was exported from there"
		} else {
			c.Why = "an import can't fill it"
		}
	}
	return true
}

// custom is the path of the custom attribute that a column without another one becomes.
func custom(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, name)
	if r := []rune(name); len(r) > 255 {
		name = string(r[:255])
	}
	return "Attributes." + name
}

// look counts what a column has.
func (c *Column) look(rows [][]string) {
	seen := map[string]bool{}
	for _, row := range rows {
		if c.Number >= len(row) {
			continue
		}
		v := string(schema.Trim([]byte(row[c.Number])))
		if v == "" {
			continue
		}
		c.Filled++
		if !seen[v] {
			seen[v] = true
			if len(c.Samples) < 3 {
				c.Samples = append(c.Samples, v)
			}
		}
	}
	c.Distinct = len(seen)
}

// usable says whether a field can have the column for its source.
func (c *Column) usable() bool {
	return c.Name != "" && !c.Twice && !strings.Contains(c.Name, "{{") && !strings.HasPrefix(c.Name, "kith_") // put there by "kith rejects"
}

// unique says whether the values of a column don't repeat, and every row has one.
func (c *Column) unique(rows int) bool { return rows > 0 && c.Filled == rows && c.Distinct == rows }

// looksLikeID says whether the values may be ids: not the names of people, no e-mail addresses.
func (c *Column) looksLikeID() bool {
	for _, v := range c.Samples {
		blank, digit := strings.Contains(v, " "), strings.ContainsFunc(v, unicode.IsDigit)
		if strings.Contains(v, "@") || blank && !digit || !digit && len(v) < 12 && !isCode(v) {
			return false
		}
	}
	return true
}

// isCode says whether a text of letters is written as codes are.
func isCode(v string) bool {
	return strings.ToUpper(v) == v || strings.ContainsAny(v, "-_/") || len(v) < 4
}

// chooseID returns the column that is the customer's number, or -1: of those named so the one that looks most like it, by its values: they look
// like ids, and don't repeat.
func (p *Proposal) chooseID() int {
	best, bestRank := -1, 0
	for i := range p.Columns {
		c := &p.Columns[i]
		if !c.usable() || !isID(c.Name) {
			continue
		}
		rank := 1
		if c.Filled > 0 {
			rank += 4
		}
		if c.looksLikeID() {
			rank += 2
		}
		if c.unique(p.Rows) {
			rank++
		}
		if rank > bestRank {
			best, bestRank = i, rank
		}
	}
	return best
}

// isID says whether a name is that of an id.
func isID(name string) bool {
	f := fold(name)
	if ids[f] {
		return true
	}
	var rest []string
	for _, w := range parts(name) {
		if w != "the" && w != "your" {
			rest = append(rest, w)
		}
	}
	return ids[strings.Join(rest, "")]
}

// target gives columns the attributes that their names mean, each to the first; the others become custom attributes.
func (p *Proposal) target(key int) {
	taken := map[string]bool{}
	if key >= 0 {
		c := &p.Columns[key]
		c.Target, c.Why = "AccountNumber", "its name says that it is an id"
		taken[c.Target] = true
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		if i == key {
			continue
		}
		if !c.usable() {
			c.Why = "its name can't be the source of a field"
			if c.Twice {
				c.Why = "several columns have this name"
			}
			continue
		}
		t := meaning(c.Name)
		if o := others[fold(c.Name)]; o != "" && !fits(t, c) {
			t = o
		}
		switch {
		case t != "" && !taken[t] && fits(t, c):
			c.Target, c.Why = t, "its name"
		default:
			c.Target, c.Why = custom(c.Name), "no attribute of the standard profile is named so"
			if taken[c.Target] {
				c.Target, c.Why = "", "another column fills the same attribute"
			}
		}
		taken[c.Target] = true
	}
}

// fits says whether what a column holds may be what its name says.
func fits(target string, c *Column) bool {
	switch {
	case strings.HasSuffix(target, "EmailAddress"):
		return len(c.Samples) == 0 || slices.ContainsFunc(c.Samples, func(v string) bool { return strings.Contains(v, "@") })
	case target == "Address.PostalCode":
		return !slices.ContainsFunc(c.Samples, func(v string) bool { return digits(v) > maxPostalDigits })
	case target == "BusinessName":
		return len(c.Samples) == 0 || slices.ContainsFunc(c.Samples, func(v string) bool { return strings.ContainsFunc(v, unicode.IsLetter) }) && !isPersonColumn(c)
	}
	return true
}

// maxPostalDigits is how many digits a postal code has at most.
const maxPostalDigits = 10

func digits(v string) (n int) {
	for _, r := range v {
		if unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// isPersonColumn says whether a column is one of whole names, by its name.
func isPersonColumn(c *Column) bool { return fullNames[fold(c.Name)] }

// splitNames splits a column of whole names into given and family name, if nothing else fills these.
func (p *Proposal) splitNames(labels map[string]bool) {
	by := func(target string) bool {
		return slices.ContainsFunc(p.Columns, func(c Column) bool { return c.Target == target })
	}
	first, last := by("FirstName"), by("LastName")
	if i := slices.IndexFunc(p.Columns, func(c Column) bool { return c.usable() && isPersonColumn(&c) }); first && !last && i >= 0 {
		p.Columns[i].Target, p.Columns[i].Why = "LastName", "its name, beside a column of given names"
	}
	if first || last {
		return
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		if !c.usable() || !isPersonColumn(c) || !ofPeople(c) {
			continue
		}
		source := "{{_source." + c.Name + "}}"
		last := *c
		c.Source, c.Target, c.Why = "{{#givenName}}"+source+"{{/givenName}}", "FirstName", "a whole name, split"
		last.Source, last.Target, last.Why = "{{#familyName}}"+source+"{{/familyName}}", "LastName", c.Why
		last.Label = label(c.Name+"_family", i, labels)
		p.Columns = slices.Insert(p.Columns, i+1, last)
		p.Warnings = append(p.Warnings, fmt.Sprintf("Column %q holds whole names; they are split into given and family names.", c.Name))
		return
	}
}

// ofPeople says whether values may be names of people: letters, mostly of several words.
func ofPeople(c *Column) bool {
	several := 0
	for _, v := range c.Samples {
		if strings.ContainsFunc(v, unicode.IsDigit) || strings.Contains(v, "@") {
			return false
		}
		if len(strings.Fields(v)) > 1 {
			several++
		}
	}
	return 2*several >= len(c.Samples) && several > 0
}

// byContent finds a column of e-mail addresses whose name does not say so.
func (p *Proposal) byContent() {
	for i := range p.Columns {
		if p.Columns[i].Target == "EmailAddress" {
			return
		}
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		isMail := len(c.Samples) > 0
		for _, v := range c.Samples {
			local, host, ok := strings.Cut(v, "@")
			isMail = isMail && ok && local != "" && strings.Contains(host, ".") && !strings.ContainsAny(v, " ,;")
		}
		if isMail && strings.HasPrefix(c.Target, "Attributes.") {
			c.Target, c.Why = "EmailAddress", "it holds e-mail addresses"
			return
		}
	}
}

// chooseKey takes the id, else the e-mail address, else a phone.
func (p *Proposal) chooseKey() {
	by := func(target string) int {
		return slices.IndexFunc(p.Columns, func(c Column) bool { return c.Target == target })
	}
	account, email := by("AccountNumber"), by("EmailAddress")
	switch {
	case account >= 0 && email >= 0 && !p.Columns[account].unique(p.Rows) && p.Columns[email].unique(p.Rows):
		p.Key, p.Why = email, fmt.Sprintf("its values don't repeat, and those of %q do", p.Columns[account].Name)
	case account >= 0:
		p.Key, p.Why = account, "an id"
		if p.Columns[account].unique(p.Rows) && p.Rows > 1 {
			p.Why = "an id whose values don't repeat"
		}
	case email >= 0:
		p.Key, p.Why = email, "no column is an id; e-mail addresses tell most customers apart"
	default:
		if p.Key = by("PhoneNumber"); p.Key < 0 {
			p.Key = by("MobilePhoneNumber")
		}
		if p.Key >= 0 {
			p.Why = "no column is an id or an e-mail address"
		}
	}
	if p.Key >= 0 {
		c := &p.Columns[p.Key]
		if n := c.Filled - c.Distinct; n > 0 {
			p.Warnings = append(p.Warnings, fmt.Sprintf("Of %d rows looked at, %d repeat an earlier value of %q, by which customers are told apart.", p.Rows, n, c.Name))
		}
	}
}

// Map gives a column, and those of the same name, another target: a path below _profile, or "" to leave it out. Another column that had the target
// becomes a custom attribute. A column that was split is whole again: i is the first half.
func (p *Proposal) Map(i int, target string) {
	c := p.Columns[i]
	if c.split() {
		half := i + 1 + slices.IndexFunc(p.Columns[i+1:], func(o Column) bool { return o.Number == c.Number })
		p.Columns = slices.Delete(p.Columns, half, half+1)
		if p.Key >= half {
			p.Key--
		}
	}
	for j := range p.Columns {
		switch o := &p.Columns[j]; {
		case o.Name == c.Name:
			o.to(target, "it was asked for")
		case target == "" || o.Target != target:
		case o.split():
			o.to("", "another column fills the attribute")
		default:
			o.to(custom(o.Name), "another column fills the attribute")
		}
	}
	p.Columns[i].Source = "_source." + c.Name
}

// to gives a column a target, and the content type that goes with it.
func (c *Column) to(target, why string) {
	c.Target, c.Why, c.ContentType = target, why, ContentType(target)
}

// split says whether a column is one of the two that a column of whole names became.
func (c *Column) split() bool { return c.Source != "_source."+c.Name }

// TakeKey makes a column the one that tells customers apart. An id becomes the account number, whoever had that; names are taken whole.
func (p *Proposal) TakeKey(i int) {
	switch c := &p.Columns[i]; {
	case c.split():
		p.Map(i, custom(c.Name))
	case isID(c.Name) && strings.HasPrefix(c.Target, "Attributes."):
		p.Map(i, "AccountNumber")
	}
	p.Key, p.Why = i, "it was asked for"
}

// leaveOut leaves columns without a value out, and where there are more than a job may have, the emptiest.
func (p *Proposal) leaveOut(whole bool) {
	mapped := 0
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.Target == "" {
			continue
		}
		if whole && c.Filled == 0 && p.Rows > 0 && i != p.Key {
			c.Target, c.Why = "", "it has no value"
			continue
		}
		mapped++
	}
	if mapped <= maxFields {
		return
	}
	var order []int
	for i := range p.Columns {
		if p.Columns[i].Target != "" && i != p.Key {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Columns[a].Filled, p.Columns[b].Filled) })
	for _, i := range order[:mapped-maxFields] {
		c := &p.Columns[i]
		c.Target, c.Why = "", fmt.Sprintf("a job may have %d fields, and this column has few values", maxFields)
	}
	p.Warnings = append(p.Warnings, fmt.Sprintf("The table has more columns than the %d a job may map; %d with the fewest values are left out.", maxFields, mapped-maxFields))
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
