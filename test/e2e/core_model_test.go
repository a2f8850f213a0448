package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The core as a page of pure code: which profile an object or a row of an import goes to (core.md 4.3, 1.8), and which value wins (4.5, 5.5). It
// keeps everything that was ever said, in the order in which it was said, and looks at all of it each time. So it knows nothing of heads, index
// rows, contributions, links or compaction, which the server has for speed.

// said is a value that somebody has given an attribute. At is the number of the call, and row that of an import's row.
type said struct {
	at   int
	row  int
	kind byte   // 'h' a hand, 'o' an object, 'i' an import
	src  string // the object's key, or the import
	attr string
	text string // "" by hand: emptied
}

// replaces says whether a later value takes the place of one: a hand and an import always, an object not that of a hand.
func (v said) replaces(cur said) bool { return v.kind != 'o' || cur.kind != 'h' }

type core struct {
	profiles []*coreProfile
	letters  map[string]bool // objects that were put in vain, once each
	created  map[string]int  // counters of imports
	updated  map[string]int
	failed   map[string]int
}

type coreProfile struct {
	n       int
	said    []said
	made    bool                // by a hand or an object: it is there although it says nothing
	objects map[string][]string // keys that each object carries
	written map[string]int      // when each object came here
	added   map[string]bool     // keys by hand
	merges  []coreMerge         // that brought others here
	into    *coreProfile        // where it was merged into, and when
	joined  int
	dead    bool
}

type coreMerge struct {
	at   int
	from []*coreProfile
}

func (p *coreProfile) main() *coreProfile {
	for p.into != nil {
		p = p.into
	}
	return p
}

// walk calls do for a profile and all that were merged into it.
func (p *coreProfile) walk(do func(*coreProfile)) {
	do(p)
	for _, m := range p.merges {
		for _, of := range m.from {
			of.walk(do)
		}
	}
}

func (p *coreProfile) visible() bool {
	there := false
	p.walk(func(of *coreProfile) { there = there || of.made || len(of.said) > 0 })
	return there && !p.dead
}

// between appends what was said to a profile, and to members after their merges, in a time.
func (p *coreProfile) between(all []said, after, until int) []said {
	for _, v := range p.said {
		if v.at > after && v.at <= until {
			all = append(all, v)
		}
	}
	for _, m := range p.merges {
		for _, of := range m.from {
			if m.at < until {
				all = of.between(all, max(after, m.at), until)
			}
		}
	}
	return all
}

const always = 1 << 30

// shows returns the present value of each attribute as of a time. seen gets what each profile of a merge had at that moment.
func (p *coreProfile) shows(until int, seen *[]map[string]said) map[string]said {
	now := map[string]said{}
	from := 0
	play := func(until int) {
		all := p.between(nil, from, until)
		slices.SortStableFunc(all, func(a, b said) int { return cmp.Or(a.at-b.at, a.row-b.row) })
		for _, v := range all {
			if cur, ok := now[v.attr]; !ok || v.replaces(cur) {
				now[v.attr] = v
			}
		}
		from = until
	}
	for _, m := range p.merges {
		if m.at > until {
			break
		}
		play(m.at)
		*seen = append(*seen, maps.Clone(now))
		for _, of := range m.from { // the main profile's value, else that of the first who has one
			had := of.shows(m.at, seen)
			*seen = append(*seen, had)
			for attr, v := range had {
				if cur, ok := now[attr]; v.text != "" && (!ok || cur.text == "") {
					now[attr] = v
				}
			}
		}
	}
	play(until)
	return now
}

var coreKeys = map[string]string{"AccountNumber": "_account", "EmailAddress": "_email", "PhoneNumber": "_phone"}

func addKeys(keys map[string]bool, shown map[string]said) {
	for attr, name := range coreKeys {
		if v := shown[attr]; v.text != "" {
			keys[name+"="+v.text] = true
		}
	}
}

// keys returns the keys of a person: what it shows, what its profiles showed when they were merged, show alone and show without objects, what objects carry, and
// what was added by hand.
func (p *coreProfile) keys() map[string]bool {
	keys := map[string]bool{}
	var seen []map[string]said
	addKeys(keys, p.shows(always, &seen))
	for _, had := range seen {
		addKeys(keys, had)
	}
	p.walk(func(of *coreProfile) {
		maps.Copy(keys, of.added)
		for _, carried := range of.objects {
			for _, k := range carried {
				keys[k] = true
			}
		}
		if len(p.merges) > 0 {
			addKeys(keys, of.alone())
		}
		addKeys(keys, (&coreProfile{said: slices.DeleteFunc(slices.Clone(of.said), func(v said) bool { return v.kind == 'o' })}).alone())
	})
	return keys
}

// alone is what a profile shows without those that were merged into it.
func (p *coreProfile) alone() map[string]said {
	return (&coreProfile{said: p.said}).shows(always, &[]map[string]said{})
}

// holds says whether a profile has a key without those that were merged into it.
func (p *coreProfile) holds(key string) bool {
	return (&coreProfile{said: p.said, objects: p.objects, added: p.added}).keys()[key]
}

// find returns the persons that have a key.
func (c *core) find(key string) (all []*coreProfile) {
	for _, p := range c.profiles {
		if p.into == nil && p.visible() && p.keys()[key] {
			all = append(all, p)
		}
	}
	return all
}

func (c *core) make() *coreProfile {
	p := &coreProfile{n: len(c.profiles), objects: map[string][]string{}, written: map[string]int{}, added: map[string]bool{}}
	c.profiles = append(c.profiles, p)
	return p
}

// show is a person as text.
func (p *coreProfile) show() string {
	shown := p.shows(always, &[]map[string]said{})
	var parts []string
	for _, attr := range coreAttrs {
		parts = append(parts, shown[attr].text)
	}
	return strings.Join(parts, "|")
}

var coreAttrs = []string{"AccountNumber", "EmailAddress", "PhoneNumber", "FirstName"}

// corePut is an object of type "maker", which makes profiles, or "joiner", which does not.
type corePut struct {
	objectType, id string
	values         map[string]string // of EmailAddress, PhoneNumber, FirstName
}

func (o corePut) object() string { return o.objectType + "/" + o.id }

// keys are what the object carries, and what it finds its profile by, in the order of 4.3.
func (o corePut) keys() (carried, match []string) {
	id := o.objectType + "_id=" + o.id
	carried = append(carried, id)
	if o.objectType == "maker" { // its own key is UNIQUE and PROFILE, a joiner's is UNIQUE
		match = append(match, id)
	}
	for _, attr := range []string{"EmailAddress", "PhoneNumber"} { // PROFILE, and PROFILE with SECONDARY
		if v := o.values[attr]; v != "" {
			carried, match = append(carried, coreKeys[attr]+"="+v), append(match, coreKeys[attr]+"="+v)
		}
	}
	return carried, match
}

// put is 4.3: the first key that leads to one person decides; a key that leads to several is passed over. When none decides, an object that is with one of
// the several stays there.
func (c *core) put(at int, o corePut) {
	carried, match := o.keys()
	var p, stays *coreProfile
	for _, key := range match {
		found := c.find(key)
		if len(found) == 1 {
			p = found[0]
			break
		}
		for _, of := range found {
			of.walk(func(part *coreProfile) {
				if _, has := part.objects[o.object()]; has && stays == nil {
					stays = of
				}
			})
		}
	}
	if p == nil {
		p = stays
	}
	if p == nil && o.objectType != "maker" {
		if c.letters == nil {
			c.letters = map[string]bool{}
		}
		c.letters[o.object()] = true
		return
	}
	if p == nil {
		p = c.make()
	}
	target := p // a version of it that is there already stays in its place; elsewhere it goes, with what it said
	for _, of := range c.profiles {
		if _, has := of.objects[o.object()]; !has || of.main().dead {
			continue
		}
		if of.main() == p {
			target = of
			continue
		}
		of.forget(o.object())
	}
	target.made = true
	target.objects[o.object()], target.written[o.object()] = carried, at
	for _, attr := range coreAttrs {
		if o.values[attr] != "" {
			target.said = append(target.said, said{at, 0, 'o', o.object(), attr, o.values[attr]})
		}
	}
}

// forget takes an object back, with what it said.
func (p *coreProfile) forget(object string) {
	delete(p.objects, object)
	p.said = slices.DeleteFunc(p.said, func(v said) bool { return v.src == object })
}

// rows is 1.8: an account that nobody has makes a profile, one that several have fails, and else the row goes to who holds it.
func (c *core) rows(at int, job string, rows []map[string]string) {
	var targets []*coreProfile
	for _, row := range rows { // all of them look before one of them writes
		key := "_account=" + row["AccountNumber"]
		var target *coreProfile
		switch found := c.find(key); len(found) {
		case 0:
			c.created[job]++
			target = c.make()
		case 1:
			c.updated[job]++
			target = found[0]
			if !target.holds(key) {
				found[0].walk(func(of *coreProfile) {
					if target == found[0] && of.holds(key) {
						target = of
					}
				})
			}
		default:
			c.failed[job]++
		}
		targets = append(targets, target)
	}
	for i, row := range rows {
		for _, attr := range coreAttrs {
			if targets[i] != nil && row[attr] != "" {
				targets[i].said = append(targets[i].said, said{at, i, 'i', job, attr, row[attr]})
			}
		}
	}
}

func (c *core) undo(job string) {
	for _, p := range c.profiles {
		p.said = slices.DeleteFunc(p.said, func(v said) bool { return v.src == job })
	}
}

func (c *core) merge(at int, main *coreProfile, from []*coreProfile) {
	for _, of := range from {
		of.into, of.joined = main, at
	}
	main.merges = append(main.merges, coreMerge{at, from})
}

func (p *coreProfile) byHand(at int, values map[string]string) {
	p.made = true
	for _, attr := range coreAttrs {
		if v, ok := values[attr]; ok {
			p.said = append(p.said, said{at, 0, 'h', "", attr, v})
		}
	}
}

// whole is everything that searches can show, and those profiles that are known by their ids.
func (c *core) whole(universe []string, known []int) string {
	var b strings.Builder
	for _, key := range universe {
		var found []string
		for _, p := range c.find(key) {
			found = append(found, p.show())
		}
		slices.Sort(found)
		fmt.Fprintf(&b, "%s: %s\n", key, strings.Join(found, "  "))
	}
	for _, n := range known {
		fmt.Fprintf(&b, "profile %d: ", n)
		if p := c.profiles[n]; p.into == nil && p.visible() {
			objects := map[string]bool{}
			p.walk(func(of *coreProfile) {
				for o := range of.objects {
					objects[o] = true
				}
			})
			fmt.Fprint(&b, p.show(), " ", slices.Sorted(maps.Keys(objects)))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "letters: %d\n", len(c.letters))
	return b.String()
}
