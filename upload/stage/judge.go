package stage

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
)

// verifyAll judges candidates, which are sorted, by their rows.
func (b *Resolver) verifyAll(ctx context.Context, all []candidate) error {
	probes := func(yield func(store.Probe) bool) {
		for _, c := range all {
			id := c.id()
			if !yield(store.Probe{Partition: string(id[:])}) {
				return
			}
		}
	}
	j := &judge{b: b, r: profile.NewReader(b.time)}
	open := -1
	for hit, err := range b.store.Probe(ctx, store.Profile, b.inc, probes) {
		if err != nil {
			return fmt.Errorf("verify matches: %w", err)
		}
		if hit.Index != open {
			if open >= 0 {
				if err := j.settle(all[open]); err != nil {
					return err
				}
			}
			open = hit.Index
			j.begin(all[open].id())
			b.prefetch(all[open:])
		}
		if err := j.add(hit.Row); err != nil {
			return err
		}
	}
	if open < 0 {
		return nil
	}
	return j.settle(all[open])
}

// judge gathers the rows of a candidate: as they are, as long as they are few contributions, else decoded.
type judge struct {
	b    *Resolver
	r    *profile.Reader
	held []store.Row // the first n
	n    int
	raw  bool // all rows are held
}

func (j *judge) begin(id fold.ID) {
	j.r.Reset(id)
	j.n, j.raw = 0, true
}

func (j *judge) add(row store.Row) error {
	if j.raw && j.n < profile.DeepAt && profile.IsContribution(row.Key) {
		if j.n == len(j.held) {
			j.held = append(j.held, store.Row{})
		}
		h := &j.held[j.n]
		h.Key, h.Value, h.Time = append(h.Key[:0], row.Key...), append(h.Value[:0], row.Value...), row.Time
		j.n++
		return nil
	}
	if err := j.decode(); err != nil {
		return err
	}
	return j.r.Add(row)
}

// decode hands the held rows to the reader.
func (j *judge) decode() error {
	if !j.raw {
		return nil
	}
	j.raw = false
	for _, row := range j.held[:j.n] {
		if err := j.r.Add(row); err != nil {
			return err
		}
	}
	return nil
}

// settle judges the candidate whose rows were gathered.
func (j *judge) settle(c candidate) error {
	if j.raw {
		if done, err := j.b.glance(j.held[:j.n], c); done || err != nil {
			return err
		}
		if err := j.decode(); err != nil {
			return err
		}
	}
	if !j.r.Alone() {
		j.b.merged = append(j.b.merged, c)
		return nil
	}
	if err := j.b.verify(j.r.Member(), c.id(), c.group, j.r.Depth()); err != nil || j.b.dry != nil {
		return err
	}
	if g := &j.b.groups[c.group]; g.matches == 1 && g.match == c.id() {
		if err := j.b.complete(j.held[:j.n]); err != nil {
			return err
		}
		j.b.findRepeated(g, j.held[:j.n])
	}
	return nil
}

// complete leaves in b.whole the contributions that rows are, with their values, and in b.rows those whose values no later one repeats: an import that is later
// replaces what an earlier one says. Rows are all that there are of the profile, or the first.
func (b *Resolver) complete(rows []store.Row) error {
	b.repeats.Reset()
	b.whole, b.rows = b.whole[:0], b.rows[:0]
	for i := range rows {
		whole, err := b.repeats.Complete(sourceOf(&rows[i]), rows[i].Value)
		if err != nil {
			return err
		}
		b.whole, b.rows = append(b.whole, whole), append(b.rows, whole)
		if of, ok := fold.RepeatOf(rows[i].Value); ok {
			if expires, err := fold.Expiry(whole); err != nil || expires <= b.time {
				continue
			}
			for n := range i {
				if bytes.Equal(sourceOf(&rows[n]), of) {
					b.rows[n] = nil
				}
			}
		}
	}
	b.rows = slices.DeleteFunc(b.rows, func(row []byte) bool { return row == nil })
	return nil
}

// sourceOf returns the source of the contribution that a row is.
func sourceOf(row *store.Row) []byte { return row.Key[len(fold.ContributionPrefix):] }

// findRepeated notes the last contribution of an earlier import among the rows of a group's match, which b.whole has completed, that says what the group says.
func (b *Resolver) findRepeated(g *group, rows []store.Row) {
	f := b.frame(g)
	b.norm = fold.AppendPrivate(b.norm[:0], b.private(f.key))
	for i := len(rows) - 1; i >= 0; i-- {
		at, row, ok := profile.ParseContributionKey(rows[i].Key)
		if !ok || at >= b.time || !fold.Says(b.whole[i], b.norm, f.body) {
			continue
		}
		if expires, err := fold.Expiry(b.whole[i]); err == nil && expires > b.time {
			g.repeats = source{at, row}
			return
		}
	}
}

// glance settles a candidate by its rows as they are, if that is enough.
func (b *Resolver) glance(rows []store.Row, c candidate) (done bool, err error) {
	if b.dry != nil {
		return false, nil
	}
	g := &b.groups[c.group]
	if g.matches > 1 {
		return true, nil
	}
	f := b.frame(g)
	if b.shownLast(rows, f) {
		if g.matches++; g.matches == 1 {
			g.match, g.covered, g.same = c.id(), true, true
			g.repeats.time, g.repeats.row, _ = profile.ParseContributionKey(rows[len(rows)-1].Key)
		}
		return true, nil
	}
	if err := b.complete(rows); err != nil {
		return false, err
	}
	has, combine, known := index.Glance(b.rows, b.time, b.m.index, f.key, f.body)
	for _, form := range b.otherForms(f.key) {
		if known && !has {
			has, combine, known = index.Glance(b.rows, b.time, b.m.index, []byte(form), f.body)
		}
	}
	if !known || combine {
		return false, nil
	}
	if has {
		if g.matches++; g.matches == 1 {
			g.match = c.id()
			g.covered = slices.ContainsFunc(b.rows, func(row []byte) bool { return b.keyed.Covers(row, f.body) })
			g.same = index.Shows(b.rows, b.time, f.body)
			b.findRepeated(g, rows)
		}
	}
	return true, nil
}

// shownLast says whether the last of a profile's contributions, which are all that it has, says what a frame says. Then the profile shows all of it, and
// the key that the frame's own values yield: nothing more has to be asked. Most customers of a file that is imported again are like that.
func (b *Resolver) shownLast(rows []store.Row, f *frame) bool {
	last := &rows[len(rows)-1]
	at, _, ok := profile.ParseContributionKey(last.Key)
	if !ok || at >= b.time || b.m.private {
		return false
	}
	for i := range rows { // compacted ones come first, and may have later values
		if _, _, ok := profile.ParseContributionKey(rows[i].Key); ok {
			break
		}
		if c, err := fold.Open(rows[i].Value); err != nil || c.Base.Time >= at {
			return false
		}
	}
	if expires, err := fold.Expiry(last.Value); err != nil || expires <= b.time {
		return false
	}
	of := last.Value
	for i := len(rows) - 2; ; i-- {
		source, repeats := fold.RepeatOf(of)
		if !repeats {
			return fold.Says(of, noPrivate, f.body)
		}
		for i >= 0 && !bytes.Equal(sourceOf(&rows[i]), source) {
			i--
		}
		if i < 0 {
			return false // who completes it finds out
		}
		of = rows[i].Value
	}
}

// noPrivate are the encoded private keys of a contribution that has none.
var noPrivate = fold.AppendPrivate(nil, nil)

// verify notes a profile that takes part in no merge as a match of the group if it confirms the group's key.
func (b *Resolver) verify(m *fold.Member, id fold.ID, i uint32, depth int) error {
	g := &b.groups[i]
	if g.matches > 1 {
		return nil
	}
	p := m.Profile()
	f := b.frame(g)
	if p == nil || !b.confirms(m, p, f) {
		return nil
	}
	if g.matches++; g.matches > 1 {
		return nil
	}
	g.match, g.same = id, index.Keeps(p, f.body)
	if depth >= profile.DeepAt {
		b.deep++
	}
	return b.combineNames(i, f, p, m, m)
}

// verifyMerged judges the candidates that take part in merges: they count as the persons they belong to.
func (b *Resolver) verifyMerged(ctx context.Context) error {
	for all := range slices.Chunk(b.merged, maxHits) {
		var ids []fold.ID
		for _, c := range all {
			ids = append(ids, c.id())
		}
		people, err := b.profiles.People(ctx, b.inc, ids)
		if err != nil {
			return fmt.Errorf("verify matches: %w", err)
		}
		for _, c := range all {
			if person := people[c.id()]; person != nil {
				if err := b.verifyPerson(person, c.id(), c.group); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// verifyPerson notes a person, to whom a candidate leads, as a match of the group. The group's contribution goes to the member that
// holds the key by itself, to the main profile if it does: so a merge that is taken back leaves no two profiles with the key. One that has
// the key by objects only comes behind one that has it otherwise, and behind a member of its own that has it by objects, too: what is put of
// a member while a merge holds goes to the main profile, and when the merge is taken back to where its keys are. It never goes to a profile that the index
// does not name for the key: there it would hide the key that rows of that profile are matched by.
func (b *Resolver) verifyPerson(person *fold.Member, id fold.ID, i uint32) error {
	g := &b.groups[i]
	if g.matches > 1 {
		return nil
	}
	p := person.Profile()
	f := b.frame(g)
	is := b.holdsItself(person.Find(id), f)
	if p == nil || (is == not || !index.YieldedByMembers(b.m.index)) && !b.confirms(person, p, f) { // a person has up to 500 members to ask
		return nil
	}
	g.same = index.Keeps(p, f.body)
	main, known := b.persons[i]
	if known && main != person.ID || !known && g.matches > 0 {
		g.matches = 2
		return nil
	}
	if !known {
		if b.persons == nil {
			b.persons = map[uint32]fold.ID{}
		}
		b.persons[i] = person.ID
		g.matches, g.match = 1, id
	}
	match := person.Find(g.match)
	switch was := b.holdsItself(match, f); {
	case is > was, is == was && is != byObjects && id == person.ID, is == was && is == byObjects && match.Find(id) != nil:
		g.match = id
	}
	if known {
		return nil
	}
	return b.combineNames(i, f, p, person, person)
}

// confirms says whether a person, whose fold p is, has the key of a frame.
func (b *Resolver) confirms(m *fold.Member, p *fold.Profile, f *frame) bool {
	confirms := func(value string) bool {
		return index.Confirms(m, p, index.Key{Name: b.m.index, Value: value}, b.own, b.dead, b.time)
	}
	return confirms(string(f.key)) || slices.ContainsFunc(b.otherForms(f.key), confirms)
}

// holds says how a profile has a key without those that were merged into it.
type holds int

const (
	not       holds = iota
	byObjects       // only
	byItself
)

// holdsItself says how a profile has the key of a frame without those that were merged into it.
func (b *Resolver) holdsItself(m *fold.Member, f *frame) holds {
	if m == nil {
		return not
	}
	own := m.Alone()
	if p := own.Profile(); p == nil || !b.confirms(own, p, f) {
		return not
	}
	if own.Head == nil {
		return byItself
	}
	own.Head = own.Head.WithoutObjects()
	if p := own.Profile(); p == nil || !b.confirms(own, p, f) {
		return byObjects
	}
	return byItself
}

// combineNames notes the full names that a person will show when a group's contribution has come to one of its members, and that the
// contribution has not alone: they need index rows of their own.
func (b *Resolver) combineNames(i uint32, f *frame, p *fold.Profile, person, member *fold.Member) error {
	if b.dry != nil || !b.fillsNames || !index.MayCombineNames(p.Values, f.body) {
		return nil
	}
	part, err := b.part(f)
	if err != nil {
		return err
	}
	var own, shown index.Set
	own.AddContribution(part.Contribution, b.own)
	shown.AddFullName(profile.With(person, member.ID, part).Profile())
	for _, name := range shown.Without(&own) {
		b.noteName(i, []byte(schema.IndexValue(name.Value)))
	}
	return nil
}
