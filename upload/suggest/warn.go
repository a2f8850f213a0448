package suggest

import (
	"fmt"
	"slices"
	"strings"

	"kith/schema"
)

// warn says what a person should know of the proposal.
func (p *Proposal) warn(t Table) {
	add := func(level Level, code, column, format string, args ...any) {
		p.Warnings = append(p.Warnings, Warning{level, code, column, fmt.Sprintf(format, args...)})
	}
	if t.Headless {
		add(Stop, "no-header", "", "No line looks like a header: numbers or addresses stand where names of columns are expected. Write the names of the columns above the first row, or say which line has them.")
	}
	if p.Key < 0 && p.cellsOfRows() {
		add(Stop, "rows-in-quotes", "", "Every row stands in quotes as a whole, so that it is a single cell: a program has saved the file that way. Take the file as it was exported, or take the outer quotes off.")
	}
	if p.Rows+t.Rejected == 0 {
		add(Doubt, "no-rows", "", "There is no row below the header.")
	}
	p.headerIsStrange(t, add)
	p.warnOfColumns(add)
	p.warnOfKey(add)
	var beyond []string
	for _, c := range p.Columns {
		if c.beyond {
			beyond = append(beyond, c.Name)
		}
	}
	if beyond != nil {
		add(Doubt, "too-many-columns", "", "A job may map %d columns, and the table has more. Left out are the %d with the fewest values: %s.", maxFields, len(beyond), some(beyond, 20))
	}
}

// warnOfColumns says what is doubtful about single columns.
func (p *Proposal) warnOfColumns(add func(level Level, code, column, format string, args ...any)) {
	twice := map[string]bool{}
	for i := range p.Columns {
		c := &p.Columns[i]
		switch {
		case c.Twice && !c.asked && !twice[c.Name]:
			twice[c.Name] = true
			err := p.unusable(i)
			add(Stop, "duplicate-column", c.Name, "%s, or leave both out.", upper(err.Error()))
		case c.split() && c.Target == "FirstName":
			add(Note, "full-names", c.Name, "Column %q holds whole names; they are split into given and family names.", short(c.Name))
		case c.misfit != "" && !c.asked:
			add(Doubt, "values-do-not-fit", c.Name, "Column %q is named like %s, and its values are something else; it is kept as %s.", short(c.Name), c.misfit, orNothing(c.Target))
		case c.Target == "" && !c.asked && !c.beyond && c.Filled > 0 && !c.Twice && !p.told(i) && !strings.HasPrefix(c.Name, ownPrefix):
			add(Note, "left-out", c.Name, "Column %q is left out: %s.", short(c.Name), c.Why)
		}
		if i != p.Key && c.spoilt > 0 && c.Target != "" {
			add(Doubt, "values-spoilt", c.Name, "Of column %q, values of %s were spoilt by a spreadsheet, as 4.47911E+11 is; they are stored as they are. Format the column as text, or as a number without decimals, and export it again.", short(c.Name), rows(c.spoilt))
		}
		if n := c.at - c.mails; n > 0 && c.Target != "" && strings.HasSuffix(c.Target, "EmailAddress") {
			add(Doubt, "more-than-an-address", c.Name, "Of column %q, values of %s hold more than one plain e-mail address, as %q does: they are stored as they are, and by the address in them nobody is found.", short(c.Name), rows(n), short(c.odd.addressed.sample))
		}
		if !c.split() || c.Target == "FirstName" {
			c.warnOfOddities(add)
		}
		if n := c.tooLong(); n > 0 {
			add(Doubt, "values-too-long", c.Name, "Of column %q, values of %s have more than the %d characters that %s holds; such rows are rejected.", short(c.Name), rows(n), limit(c.Target), c.Target)
		}
	}
}

// cellsOfRows says whether the only column has rows for cells: "id,""first name""".
func (p *Proposal) cellsOfRows() bool {
	if len(p.Columns) != 1 || len(p.Columns[0].Samples) == 0 {
		return false
	}
	for _, delim := range []string{",", ";", "\t", "|"} {
		n := strings.Count(p.Columns[0].Name, delim)
		if n > 0 && !slices.ContainsFunc(p.Columns[0].Samples, func(s string) bool { return strings.Count(s, delim) < n }) {
			return true
		}
	}
	return false
}

// told says whether a column that is left out is one half of a split one whose other half is mapped, or is told of.
func (p *Proposal) told(i int) bool {
	c := &p.Columns[i]
	return c.split() && (i > 0 && p.Columns[i-1].Number == c.Number || i+1 < len(p.Columns) && p.Columns[i+1].Number == c.Number && p.Columns[i+1].Target != "")
}

// warnOfKey says what is doubtful about how customers are told apart.
func (p *Proposal) warnOfKey(add func(level Level, code, column, format string, args ...any)) {
	if p.Key < 0 {
		add(Stop, "no-key", "", "No column looks like a customer's number, e-mail or phone: which one identifies a customer has to be said%s.", otherNames(p.Others))
		return
	}
	c := &p.Columns[p.Key]
	few := func(n int) Level { // few rows out of many are as files are
		if 20*n <= p.Rows {
			return Note
		}
		return Doubt
	}
	if o := p.rightful(); o != nil {
		add(Doubt, "key-passed-over", o.Name, "%q identifies customers, and not %q, an id: of %d rows looked at, %s a value there that stands for none or was spoilt by a spreadsheet.", short(c.Name), short(o.Name), p.Rows, has(o.Suspicious))
	}
	if n := p.Rows - c.Filled; n > 0 {
		add(few(n), "key-blank", c.Name, "Of %d rows looked at, %s no value in %q, by which customers are told apart; they are rejected.", p.Rows, has(n), short(c.Name))
	}
	if c.Suspicious > 0 {
		add(few(c.Suspicious), "key-suspicious", c.Name, "Of %d rows looked at, %s a value in %q that stands for none or was spoilt by a spreadsheet; they are rejected.", p.Rows, has(c.Suspicious), short(c.Name))
	}
	if n := c.Filled - c.Suspicious - c.Good; n > 0 {
		add(few(n), "key-repeats", c.Name, "Of %d rows looked at, %s a value in %q that an earlier row has; rows of one value become one customer.", p.Rows, has(n), short(c.Name))
	}
	if o := c.odd.short; o.rows > 0 && c.ContentType != schema.Phone {
		add(Doubt, "key-zeros", c.Name, "In column %q numbers of one length have zeros before them, as %q, and others are shorter, as %q: if a spreadsheet has taken zeros off, the same customer may be there twice. Format the column as text, and export it again.", short(c.Name), c.odd.padded, o.sample)
	}
	if c.ofPeople() && !c.mostly(c.codes) {
		add(Doubt, "key-is-a-name", c.Name, "Column %q identifies customers, and holds names: strangers of one name become one customer.", short(c.Name))
	}
	for _, i := range p.ids {
		if o := &p.Columns[i]; i != p.Key && p.Why != asked && o.unique(p.Rows) && p.Rows > 1 && c.unique(p.Rows) && !o.settled && !c.settled {
			add(Doubt, "several-keys", c.Name, "Both %q and %q are ids whose values don't repeat; %q was taken to identify customers.", short(c.Name), short(o.Name), short(c.Name))
			break
		}
	}
}

// rightful is the id that would identify customers if it were not for values of it that can be no key; nil if there is none, or somebody has chosen another.
func (p *Proposal) rightful() *Column {
	if len(p.ids) == 0 || p.ids[0] == p.Key || p.Why == asked {
		return nil
	}
	if o := &p.Columns[p.ids[0]]; o.Suspicious > 0 && !o.asked {
		return o
	}
	return nil
}

// tooLong counts the values that the attribute of a column can't hold.
func (c *Column) tooLong() (n int) {
	if c.Target == "" || c.split() {
		return 0
	}
	most := limit(c.Target)
	for _, l := range c.longest {
		if l > most {
			n++
		}
	}
	return n
}

// limit is how many characters an attribute holds.
func limit(target string) int {
	attr, _ := schema.ParsePath(target)
	return attr.MaxLen()
}

func orNothing(target string) string {
	if target == "" {
		return "nothing"
	}
	return target
}

func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func has(n int) string {
	if n == 1 {
		return "1 has"
	}
	return fmt.Sprintf("%d have", n)
}

// some lists names, and how many there are beyond the first.
func some(names []string, most int) string {
	var all []string
	for _, n := range names[:min(len(names), most)] {
		all = append(all, fmt.Sprintf("%q", short(n)))
	}
	text := strings.Join(all, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func otherNames(all []Other) string {
	if len(all) == 0 {
		return ""
	}
	var names []string
	for _, o := range all {
		names = append(names, o.Column)
	}
	return "; it may be " + some(names, 5)
}

// sentence is what an error says, as a sentence.
func sentence(err error) string {
	text := upper(err.Error())
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
