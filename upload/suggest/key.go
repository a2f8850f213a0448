package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// rankIDs finds the columns that are ids, the best first: those named so whose values look like ids and repeat least. The best becomes the
// account number.
func (p *Proposal) rankIDs() {
	for i := range p.Columns {
		if c := &p.Columns[i]; c.Target == "AccountNumber" || c.usable() && !c.settled && c.couldBeID() {
			p.ids = append(p.ids, i)
		}
	}
	value := func(i int) (n int) {
		c := &p.Columns[i]
		if c.Filled > 0 {
			n += 4
		}
		if c.Filled == 0 || c.mostly(c.codes) {
			n += 2
		}
		if c.unique(p.Rows) {
			n++
		}
		return n
	}
	slices.SortStableFunc(p.ids, func(a, b int) int {
		x, y := &p.Columns[a], &p.Columns[b]
		return cmp.Or(cmp.Compare(value(b), value(a)), -compare(x.settled, y.settled), cmp.Compare(y.Good, x.Good))
	})
	if len(p.ids) == 0 {
		return
	}
	if at := p.by("AccountNumber"); at >= 0 && at != p.ids[0] {
		p.Columns[at].Target = ""
	}
	c := &p.Columns[p.ids[0]]
	c.Target, c.Why = "AccountNumber", "its name says that it is an id"
}

// couldBeID says whether a column may be the id of customers: by its name, unless it has their phone numbers, as a "Contact number" may.
func (c *Column) couldBeID() bool {
	called := c.mostly(c.phones) || c.mostly(c.phones+c.bare) && meaning(c.Name) == "PhoneNumber"
	return isID(c.Name) && !called || c.isNumberOfCustomer()
}

// isNumberOfCustomer says whether a column that is named like a customer has numbers of theirs, as the column Kunde of SAP does.
func (c *Column) isNumberOfCustomer() bool {
	return aCustomer[fold(c.Name)] && c.Filled > 0 && c.mostly(c.codes) && c.mostly(c.digit) && c.several == 0
}

// aCustomer are words for a customer.
var aCustomer = words("customer client kunde kunden klient cliente debitor kund klant musteri клиент клієнт")

// asked is why something is so that a person has decided.
const asked = "it was asked for"

// compare is cmp.Compare for what is or is not: what is comes last.
func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// chooseKey takes the column that was asked for, else an id whose values don't repeat more than the e-mail addresses do, else the e-mail address,
// else a phone. It names the others that could be it.
func (p *Proposal) chooseKey(wish string) error {
	account := p.by("AccountNumber")
	mail := p.first("EmailAddress", "PersonalEmailAddress", "BusinessEmailAddress")
	phone := p.first("PhoneNumber", "MobilePhoneNumber", "HomePhoneNumber", "BusinessPhoneNumber")
	switch {
	case wish != "":
		if err := p.takeKey(wish); err != nil {
			return err
		}
	case account >= 0 && (mail < 0 || !p.loses(account, mail) && (p.Columns[account].tellsApart(p.Rows) || p.Columns[account].Good >= p.Columns[mail].Good)):
		p.Key, p.Why = account, "an id"
		if p.Columns[account].unique(p.Rows) && p.Rows > 1 {
			p.Why = "an id whose values don't repeat"
		}
	case mail >= 0:
		p.Key, p.Why = mail, "no column is an id; e-mail addresses tell most customers apart"
		if p.Product != "" {
			p.Why = "in such exports e-mail addresses tell most customers apart"
		}
		if account >= 0 {
			p.Why = fmt.Sprintf("it tells more customers apart than %q, an id", p.Columns[account].Name)
		}
	case phone >= 0:
		p.Key, p.Why = phone, "no column is an id or an e-mail address"
	}
	p.nameOthers(append(slices.Clone(p.ids), account, mail, phone))
	return nil
}

// loses says whether an id has no value in more than a few rows, all of which have an e-mail address of their own.
func (p *Proposal) loses(id, mail int) bool {
	return 20*(p.Rows-p.Columns[id].Filled) > p.Rows && p.Columns[mail].unique(p.Rows)
}

// tellsApart says whether the values of a column don't repeat, and most rows have one.
func (s *Seen) tellsApart(rows int) bool {
	return s.Good == s.Filled-s.Suspicious && 2*s.Filled >= rows && s.Good > 0
}

// first returns the first column that fills one of some attributes, or -1.
func (p *Proposal) first(targets ...string) int {
	for _, t := range targets {
		if i := p.by(t); i >= 0 {
			return i
		}
	}
	return -1
}

// nameOthers lists the columns beside the key that could be it. Where none was found they are those whose values look like ids and don't repeat.
func (p *Proposal) nameOthers(candidates []int) {
	if p.Key < 0 {
		for i := range p.Columns {
			if c := &p.Columns[i]; c.usable() && !c.split() && c.unique(p.Rows) && c.mostly(c.codes) {
				candidates = append(candidates, i)
			}
		}
	}
	var seen []int
	for _, i := range candidates {
		if i < 0 || i == p.Key || slices.Contains(seen, i) {
			continue
		}
		seen = append(seen, i)
		c := &p.Columns[i]
		why := "its values don't repeat"
		switch {
		case c.Filled == 0:
			continue
		case c.Filled < p.Rows:
			why = fmt.Sprintf("rows without a value: %d of %d", p.Rows-c.Filled, p.Rows)
		case c.Good < c.Filled:
			why = fmt.Sprintf("values that repeat or stand for none: %d of %d", c.Filled-c.Good, c.Filled)
		}
		p.Others = append(p.Others, Other{c.Name, why})
	}
}

// obey does with the columns what a person wants.
func (p *Proposal) obey(wishes []Wish) error {
	type taken struct{ target, column string }
	var all []taken
	for _, w := range wishes {
		i, err := p.find(w.Column)
		target, wrong := attribute(w.Target)
		switch {
		case err != nil && wrong != nil:
			return fmt.Errorf("%s %w", sentence(err), wrong)
		case cmp.Or(err, wrong) != nil:
			return cmp.Or(err, wrong)
		}
		name := p.Columns[i].Name
		for _, o := range all {
			if excludes(o.target, target) && o.column != name {
				return fmt.Errorf("both column %q and column %q are to fill %s: only one can", o.column, name, target)
			}
		}
		if !p.Columns[i].usable() && target != "" {
			return p.unusable(i)
		}
		all = append(all, taken{target, name})
		p.put(i, target)
	}
	return nil
}

// unusable says why a column can't be the source of a field.
func (p *Proposal) unusable(i int) error {
	c := p.Columns[i]
	if again := slices.IndexFunc(p.Columns[i+1:], func(o Column) bool { return o.Name == c.Name }); c.Twice && again >= 0 {
		return fmt.Errorf("the header names column %q twice, as number %d and %d: name one of them differently", c.Name, c.Number+1, p.Columns[i+1+again].Number+1)
	}
	return fmt.Errorf("column %q can't be imported by its name: name it differently", short(c.Name))
}

// put gives a column, and those of the same name, another target. Another column that had the target becomes a custom attribute. A column that was
// split is whole again.
func (p *Proposal) put(i int, target string) {
	c := p.Columns[i]
	if c.split() {
		half := i + 1 + slices.IndexFunc(p.Columns[i+1:], func(o Column) bool { return o.Number == c.Number })
		p.Columns = slices.Delete(p.Columns, half, half+1)
		for j, id := range p.ids {
			if id >= half {
				p.ids[j]--
			}
		}
	}
	for j := range p.Columns {
		if o := &p.Columns[j]; o.Name == c.Name {
			o.Target, o.Why, o.asked, o.misfit = target, asked, true, ""
		}
	}
	for j := range p.Columns {
		switch o := &p.Columns[j]; {
		case o.Name == c.Name, !excludes(target, o.Target):
		case o.split():
			o.Target, o.Why = "", "another column fills the attribute"
		default:
			o.Target, o.Why = custom(o.Name), "another column fills the attribute"
			if slices.ContainsFunc(p.Columns, func(q Column) bool { return q.Number != o.Number && q.Target == o.Target }) {
				o.Target = ""
			}
		}
	}
	p.Columns[i].Source = "_source." + c.Name
}

// takeKey makes a column the one that tells customers apart. An id becomes the account number, whoever had that; names are taken whole.
func (p *Proposal) takeKey(name string) error {
	i, err := p.find(name)
	if err != nil {
		return err
	}
	switch c := &p.Columns[i]; {
	case !c.usable():
		return p.unusable(i)
	case c.split():
		p.put(i, custom(c.Name))
	case !c.asked && strings.HasPrefix(c.Target, "Attributes.") && isID(c.Name):
		p.put(i, "AccountNumber")
	}
	p.Key, p.Why = i, asked
	return nil
}
