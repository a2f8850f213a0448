package rule

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
	"kith/store"
)

// match is what an evaluation has found.
type match struct {
	level   Level
	members []fold.ID // ascending
	id      MatchID
}

// conclude merges what is to be merged, and writes what has been found.
func (e *evaluation) conclude(ctx context.Context) (again []fold.ID, err error) {
	found := e.found()
	if e.large > 0 {
		e.tellLarge(e.large)
	}
	if found, err = e.separate(ctx, found); err != nil {
		return nil, err
	}
	if again, err = e.settle(ctx, found); err != nil {
		return nil, err
	}
	return again, e.tellCrowds(ctx)
}

// settle merges and writes matches.
func (e *evaluation) settle(ctx context.Context, found []match) (again []fold.ID, err error) {
	if found, again, err = e.merge(ctx, found); err != nil {
		return nil, err
	}
	e.name(found)
	return again, e.write(ctx, found)
}

func (x *pass) tellLarge(matches int) {
	x.Log.Warn("profiles that hang together by matching rules are too many for a match; they are in none", "domain", x.rec.Name, "limit", x.maxMembers(), "matches", matches)
}

// found lists what is connected, by level and lowest member.
func (e *evaluation) found() (all []match) {
	sets := map[int][]fold.ID{}
	for n := range e.nodes {
		root := e.root(n)
		switch size := e.nodes[root].size; {
		case size > e.maxMembers():
			if n == root {
				e.large++
			}
		case size > 1:
			sets[root] = append(sets[root], e.nodes[n].id)
		}
	}
	for root, members := range sets {
		slices.SortFunc(members, fold.ID.Compare)
		all = append(all, match{level: e.nodes[root].level, members: members})
	}
	slices.SortFunc(all, match.compare)
	return all
}

func (m match) compare(o match) int {
	return cmp.Or(cmp.Compare(m.level, o.level), m.members[0].Compare(o.members[0]))
}

// separate divides matches so that no two are together of whom somebody has said that they are not the same.
func (e *evaluation) separate(ctx context.Context, found []match) ([]match, error) {
	if e.Apart == nil || len(found) == 0 {
		return found, nil
	}
	var ids []fold.ID
	for _, m := range found {
		ids = append(ids, m.members...)
	}
	slices.SortFunc(ids, fold.ID.Compare)
	pairs, err := e.Apart(ctx, e.inc, slices.Compact(ids))
	if err != nil {
		return nil, fmt.Errorf("read who is not the same: %w", err)
	}
	if len(pairs) == 0 {
		return found, nil
	}
	apart := map[fold.ID][]fold.ID{}
	for _, p := range pairs {
		apart[p[0]], apart[p[1]] = append(apart[p[0]], p[1]), append(apart[p[1]], p[0])
	}
	var all []match
	for _, m := range found {
		concerned := slices.ContainsFunc(m.members, func(id fold.ID) bool {
			return slices.ContainsFunc(apart[id], func(other fold.ID) bool { return slices.Contains(m.members, other) })
		})
		if !concerned {
			all = append(all, m)
			continue
		}
		for _, members := range e.split(m, apart) {
			all = append(all, match{level: m.level, members: members})
		}
	}
	slices.SortFunc(all, match.compare)
	return all, nil
}

// split divides a match. Whoever is lowest takes with it, step by step, the lowest that is alike to one it has and apart from none; then the
// lowest of the rest does.
func (e *evaluation) split(m match, apart map[fold.ID][]fold.ID) (parts [][]fold.ID) {
	fits := func(id fold.ID, with []fold.ID) bool {
		alike := false
		for _, other := range with {
			if slices.Contains(apart[id], other) {
				return false
			}
			alike = alike || e.alike(m.level, id, other)
		}
		return alike
	}
	for rest := slices.Clone(m.members); len(rest) > 0; {
		part := []fold.ID{rest[0]}
		rest = rest[1:]
		for {
			i := slices.IndexFunc(rest, func(id fold.ID) bool { return fits(id, part) })
			if i < 0 {
				break
			}
			part = append(part, rest[i])
			rest = slices.Delete(rest, i, i+1)
		}
		if len(part) > 1 {
			slices.SortFunc(part, fold.ID.Compare)
			parts = append(parts, part)
		}
	}
	return parts
}

// alike says whether two profiles share a live tuple of a level.
func (e *evaluation) alike(level Level, a, b fold.ID) bool {
	of := e.at(place{level, b})
	return slices.ContainsFunc(e.at(place{level, a}), func(t Tuple) bool { return slices.Contains(of, t) && e.live(t) })
}

// name gives what has been found the ids of the matches it goes on from: each takes that of which it has the most members. The others get
// new ones.
func (e *evaluation) name(found []match) {
	type claim struct{ found, members int }
	claims := map[MatchID][]claim{}
	for i, m := range found {
		votes := map[MatchID]int{}
		for _, id := range m.members {
			if old, ok := e.in[id][m.level]; ok {
				votes[old]++
			}
		}
		for id, n := range votes {
			claims[id] = append(claims[id], claim{i, n})
		}
	}
	type vote struct {
		id MatchID
		claim
	}
	var votes []vote
	for id, all := range claims {
		for _, c := range all {
			votes = append(votes, vote{id, c})
		}
	}
	slices.SortFunc(votes, func(a, b vote) int {
		return cmp.Or(cmp.Compare(b.members, a.members), bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.found, b.found))
	})
	taken := map[MatchID]bool{}
	for _, v := range votes {
		if m := &found[v.found]; m.id == (MatchID{}) && !taken[v.id] {
			m.id, taken[v.id] = v.id, true
		}
	}
	e.baptize(found)
}

// baptize gives new ids to those that have none.
func (e *evaluation) baptize(found []match) {
	at := e.now()
	for i := range found {
		if m := &found[i]; m.id == (MatchID{}) {
			m.id = e.newMatchID(m, at)
		}
	}
}

// newMatchID returns an id that no match has had: of the time of the writes, a level and a profile.
func (e *evaluation) newMatchID(m *match, at int64) (id MatchID) {
	b := binary.BigEndian.AppendUint64([]byte{byte(m.level)}, uint64(at))
	h := xxh3.Hash128Seed(append(b, m.members[0][:]...), uint64(e.inc))
	binary.BigEndian.PutUint64(id[:], h.Hi)
	binary.BigEndian.PutUint64(id[8:], h.Lo)
	return id
}

// write writes matches: who is in which first, so that what is cut off behind it finds the id again; then the matches; then that who was in one
// is in none any more.
func (e *evaluation) write(ctx context.Context, found []match) error {
	var in, groups, out []matchRow
	live := make(map[MatchID]bool, len(found))
	for i := range found {
		m := &found[i]
		live[m.id] = true
		for _, id := range m.members {
			if e.force || e.in[id][m.level] != m.id {
				in = append(in, matchRow{id: id, level: m.level, match: m.id})
			}
		}
		old := e.groups[m.id]
		if old == nil || old.level != m.level || !slices.Equal(old.members, m.members) || e.force || e.st.Building != ready {
			groups = append(groups, matchRow{match: m.id, of: m})
		}
	}
	for id, g := range e.groups {
		if g != nil && !live[id] {
			groups = append(groups, matchRow{match: id})
		}
	}
	if len(e.places) > 0 {
		now := map[place]bool{}
		for i := range found {
			for _, id := range found[i].members {
				now[place{found[i].level, id}] = true
			}
		}
		for p := range e.places {
			if _, was := e.in[p.id][p.level]; was && !now[p] {
				out = append(out, matchRow{id: p.id, level: p.level})
			}
		}
	}
	slices.SortFunc(in, matchRow.compareIn)
	slices.SortFunc(out, matchRow.compareIn)
	slices.SortFunc(groups, func(a, b matchRow) int { return bytes.Compare(a.match[:], b.match[:]) })
	if len(in)+len(groups)+len(out) == 0 {
		return nil
	}
	at := e.now()
	e.st.ChangedAt = at
	intent, keys := e.intentRows(at, in, out)
	err := e.Store.WriteRun(ctx, // one becomes visible after the other
		store.Run{Table: store.Match, Rows: store.SortRows(intent)},
		store.Run{Table: store.Match, Rows: e.inRows(at, in, false)}, store.Run{Table: store.Match, Rows: e.groupRows(at, groups)})
	if err == nil && len(out) > 0 {
		err = e.Store.WriteRun(ctx, store.Run{Table: store.Match, Rows: e.inRows(at, out, true)})
	}
	if err != nil {
		return fmt.Errorf("write matches: %w", err)
	}
	e.intents = keys
	return nil
}

// matchRow is a row of a match, or of a profile that is in one, that is to be written.
type matchRow struct {
	id    fold.ID
	level Level
	match MatchID
	of    *match // nil: the match goes
}

func (r matchRow) compareIn(o matchRow) int {
	return cmp.Or(r.id.Compare(o.id), cmp.Compare(r.level, o.level))
}

func (x *pass) inRows(at int64, rows []matchRow, remove bool) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: x.inc, Mutation: store.Mutation{Time: at, Delete: remove}}
		head := append(generation(x.st.Series), memberLetter)
		for i := range rows {
			r := &rows[i]
			row.Partition = append(head[:len(head):cap(head)], r.id[:]...)
			row.Mutation.Key = append(row.Mutation.Key[:0], byte(r.level))
			if !remove {
				row.Mutation.Value = r.match[:]
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (x *pass) groupRows(at int64, rows []matchRow) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: x.inc, Partition: append(generation(x.st.Series), groupLetter, 0)}
		n := len(row.Partition)
		for i := range rows {
			r := &rows[i]
			row.Partition[n-1] = r.match[0]
			m := store.Mutation{Key: r.match[:], Time: at, Delete: r.of == nil}
			if r.of != nil {
				g := group{level: r.of.level, members: r.of.members}
				m.Value = g.append(row.Mutation.Value[:0])
			}
			row.Mutation = m
			if !yield(row, nil) {
				return
			}
		}
	}
}

// tellCrowds notes which tuples have too many holders now, and tells of those that have become so.
func (e *evaluation) tellCrowds(ctx context.Context) error {
	if len(e.crowded)+len(e.uncrowded) == 0 {
		return nil
	}
	if err := e.letters(ctx); err != nil {
		return err
	}
	at := e.now()
	var rows []store.RunRow
	for _, t := range e.crowded {
		rows = append(rows, e.row(crowdPartition(e.st.Gen), at, store.Mutation{Key: crowdKey(t)}))
	}
	for _, t := range e.uncrowded {
		rows = append(rows, e.row(crowdPartition(e.st.Gen), at, store.Mutation{Key: crowdKey(t), Delete: true}))
	}
	if err := e.pass.write(ctx, rows); err != nil {
		return err
	}
	for _, t := range e.crowded {
		e.common[t] = true
	}
	for _, t := range e.uncrowded {
		delete(e.common, t)
	}
	return nil
}
