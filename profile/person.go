package profile

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// readAll reads profiles by one Probe, without their members. Ids without rows are missing in the result.
func (s *Service) readAll(ctx context.Context, inc store.Incarnation, ids []ID, now int64) (map[ID]*stored, error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, ID.Compare)
	ids = slices.Compact(ids)
	all := make(map[ID]*stored, len(ids))
	r := NewReader(now)
	fresh := true
	add := func(id ID, row store.Row) error {
		if fresh {
			r.Reset(id)
			fresh = false
		}
		return r.Add(row)
	}
	settle := func(ID) error {
		p := r.take()
		fresh = true
		if p.State != nil {
			if err := p.State.Believe(s.holds(ctx, inc)); err != nil {
				return err
			}
		}
		all[p.ID] = p
		return nil
	}
	err := EachOf(ctx, s.Store, inc, ids, store.Range{}, add, settle)
	if err != nil {
		return nil, fmt.Errorf("read profiles: %w", err)
	}
	return all, nil
}

// EachOf reads the rows in a range of profiles whose ids ascend, by one Probe: row is called for every row, settle when all rows of a
// profile have been. Profiles without such rows are left out.
func EachOf(ctx context.Context, st store.Store, inc store.Incarnation, ids []ID, in store.Range, row func(ID, store.Row) error, settle func(ID) error) error {
	open := -1
	for hit, err := range st.Probe(ctx, store.Profile, inc, probesOf(ids, in)) {
		if err != nil {
			return err
		}
		if open >= 0 && hit.Index != open {
			if err := settle(ids[open]); err != nil {
				return err
			}
		}
		open = hit.Index
		if err := row(ids[open], hit.Row); err != nil {
			return err
		}
	}
	if open < 0 {
		return nil
	}
	return settle(ids[open])
}

// withMembers completes profiles with the members that were merged into them, a level of merges per Probe. all has them, and gets
// every profile that is read.
func (s *Service) withMembers(ctx context.Context, inc store.Incarnation, all map[ID]*stored, now int64) error {
	level := make([]*stored, 0, len(all))
	for _, p := range all {
		level = append(level, p)
	}
	for len(level) > 0 {
		var missing []ID
		for _, p := range level {
			for id := range p.State.Members() {
				if all[id] == nil {
					missing = append(missing, id)
				}
			}
		}
		if missing == nil {
			break
		}
		found, err := s.readAll(ctx, inc, missing, now)
		if err != nil {
			return err
		}
		level = level[:0]
		for id, p := range found {
			all[id] = p
			level = append(level, p)
		}
	}
	for _, p := range all {
		for id := range p.State.Members() {
			of := all[id]
			if of == nil {
				continue
			}
			if p.Of == nil {
				p.Of = map[ID]*fold.Member{}
			}
			p.Of[id] = &of.Member
		}
	}
	return nil
}

// idsOf returns the ids of a person's profiles, ascending.
func idsOf(person *fold.Member) (ids []ID) {
	person.Walk(func(of *fold.Member) { ids = append(ids, of.ID) })
	slices.SortFunc(ids, ID.Compare)
	return slices.Compact(ids)
}

// people reads the persons that profiles belong to: a profile that was merged leads to the main one. A profile without rows, and one
// whose person was deleted, is missing in the result.
func (s *Service) people(ctx context.Context, inc store.Incarnation, ids []ID) (map[ID]*stored, error) {
	now := s.Now().UnixMicro()
	all, err := s.consistently(ctx, func() (map[ID]*stored, error) { return s.readPeople(ctx, inc, ids, now) })
	if err != nil {
		return nil, err
	}
	out := make(map[ID]*stored, len(ids))
	for _, id := range ids {
		p := all[id]
		for p != nil && p.State != nil && p.State.Into != nil {
			p = all[p.State.Into.Main]
		}
		if p != nil && p.isMain() && p.Visible() {
			out[id] = p
		}
	}
	return out, nil
}

// peopleOf is people for the ids of a reader, which ascend, in their order; nil stands for a profile that leads to nobody. It reads them by one
// Probe: that is all for people who were never merged, which are most. When one of them has a state, only people can tell.
func (s *Service) peopleOf(ctx context.Context, inc store.Incarnation, p *plainReader) ([]*stored, error) {
	p.now, p.open, p.plain = s.Now().UnixMicro(), -1, true
	p.found = slices.Grow(p.found[:0], len(p.ids))[:len(p.ids)]
	clear(p.found)
	s.Store.Probe(ctx, store.Profile, inc, p.probes)(p.take)
	if p.err != nil {
		return nil, fmt.Errorf("read profiles: %w", p.err)
	}
	p.settle()
	if p.plain {
		return p.found, nil
	}
	people, err := s.people(ctx, inc, p.ids)
	for i, id := range p.ids {
		p.found[i] = people[id]
	}
	return p.found, err
}

// plainReader reads profiles for peopleOf. It takes hits by a method, not in the body of a loop, whose variables would be allocated one by one.
type plainReader struct {
	Reader
	ids   []ID      // wanted
	found []*stored // of ids; its memory is used
	open  int       // of ids; -1: none yet
	plain bool
	err   error
}

func (p *plainReader) probes(yield func(store.Probe) bool) { probesOf(p.ids, store.Range{})(yield) }

func (p *plainReader) take(hit store.Hit, err error) bool {
	if err == nil && hit.Index != p.open {
		p.settle()
		p.open = hit.Index
		p.Reset(p.ids[p.open])
	}
	if err == nil {
		err = p.Add(hit.Row)
	}
	p.err = err
	return err == nil
}

// settle notes the profile whose rows have all been taken.
func (p *plainReader) settle() {
	if p.open < 0 {
		return
	}
	p.plain = p.plain && p.Alone()
	if of := p.Reader.take(); of.Visible() {
		p.found[p.open] = of
	}
}

// probesOf asks for a range of the rows of profiles.
func probesOf(ids []ID, in store.Range) iter.Seq[store.Probe] {
	return func(yield func(store.Probe) bool) {
		for _, id := range ids {
			if !yield(store.Probe{Partition: string(id[:]), Range: in}) {
				return
			}
		}
	}
}

// readPeople reads profiles, the main profiles above them, and all members below.
func (s *Service) readPeople(ctx context.Context, inc store.Incarnation, ids []ID, now int64) (map[ID]*stored, error) {
	all, err := s.readAll(ctx, inc, ids, now)
	if err != nil {
		return nil, err
	}
	for up := s.mainsOf(all); len(up) > 0; up = s.mainsOf(all) {
		found, err := s.readAll(ctx, inc, up, now)
		if err != nil {
			return nil, err
		}
		for _, id := range up {
			if all[id] = found[id]; found[id] == nil {
				all[id] = &stored{Member: fold.Member{ID: id}} // so that nobody asks again
			}
		}
	}
	return all, s.withMembers(ctx, inc, all, now)
}

// consistently reads profiles of merges until what it has read fits together: they are read one after another, and a merge that happens
// or is taken back meanwhile would show a profile in no person, or in two.
func (s *Service) consistently(ctx context.Context, read func() (map[ID]*stored, error)) (map[ID]*stored, error) {
	for tries := 0; ; tries++ {
		all, err := read()
		if err != nil || fitsTogether(all) || tries == maxRereads {
			return all, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// maxRereads bounds how often profiles are read again. Each time a merge must have been decided between two reads.
const maxRereads = 100

// fitsTogether says whether all links between profiles are there on both sides.
func fitsTogether(all map[ID]*stored) bool {
	of := func(id ID) *fold.Member {
		if p := all[id]; p != nil {
			return &p.Member
		}
		return nil
	}
	for _, p := range all {
		if !p.FitsTogether(of) {
			return false
		}
	}
	return true
}

// People returns the persons that profiles belong to, as people does.
func (s *Service) People(ctx context.Context, inc store.Incarnation, ids []ID) (map[ID]*fold.Member, error) {
	all, err := s.people(ctx, inc, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[ID]*fold.Member, len(all))
	for id, p := range all {
		out[id] = &p.Member
	}
	return out, nil
}

// With returns a person as it will be when one of its members has got a contribution.
func With(person *fold.Member, id ID, part fold.Part) *fold.Member {
	m := *person
	if m.ID == id {
		m.Parts = append(slices.Clip(m.Parts), part)
	}
	m.Of = make(map[ID]*fold.Member, len(person.Of))
	for of, member := range person.Of {
		m.Of[of] = With(member, id, part)
	}
	return &m
}

// mainsOf lists the main profiles of members that are not among those read.
func (s *Service) mainsOf(all map[ID]*stored) (up []ID) {
	for _, p := range all {
		if p.State != nil && p.State.Into != nil && all[p.State.Into.Main] == nil {
			up = append(up, p.State.Into.Main)
		}
	}
	return up
}

// loadMains reads profiles that callers name: those that were merged or deleted are missing in the result.
func (s *Service) loadMains(ctx context.Context, inc store.Incarnation, ids []ID) (map[ID]*stored, error) {
	return s.loadMainsAt(ctx, inc, ids, s.Now().UnixMicro())
}

// loadMainsAt is loadMains as of a time in microseconds.
func (s *Service) loadMainsAt(ctx context.Context, inc store.Incarnation, ids []ID, now int64) (map[ID]*stored, error) {
	all, err := s.consistently(ctx, func() (map[ID]*stored, error) {
		all, err := s.readAll(ctx, inc, ids, now)
		if err == nil {
			err = s.withMembers(ctx, inc, all, now)
		}
		return all, err
	})
	if err != nil {
		return nil, err
	}
	out := make(map[ID]*stored, len(ids))
	for _, id := range ids {
		if p := all[id]; p != nil && p.isMain() && p.Visible() {
			out[id] = p
		}
	}
	return out, nil
}

// Load returns a visible profile, or nil when there is none.
func (s *Service) Load(ctx context.Context, inc store.Incarnation, id ID) (*fold.Profile, error) {
	all, err := s.loadMains(ctx, inc, []ID{id})
	if err != nil || all[id] == nil {
		return nil, err
	}
	return all[id].Profile(), nil
}

// LoadPerson returns the person that a profile belongs to, or nil when there is none.
func (s *Service) LoadPerson(ctx context.Context, inc store.Incarnation, id ID) (*fold.Profile, error) {
	all, err := s.people(ctx, inc, []ID{id})
	if err != nil || all[id] == nil {
		return nil, err
	}
	return all[id].Profile(), nil
}
