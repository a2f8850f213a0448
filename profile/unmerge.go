package profile

import (
	"context"
	"errors"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/store"
)

// UnmergeProfiles takes merges back: each profile of them is one by itself again, with its id, keys, objects, fields and history, and what
// imports brought to it since. What was written since stays with the main profile, but for objects that carry a key of another one.
// The caller names the merge, or profiles that were merged away.
func (s *Service) UnmergeProfiles(ctx context.Context, in *api.UnmergeProfilesRequest) (*api.UnmergeProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	var merges []fold.MergeID
	switch {
	case (in.MergeId == nil) == (in.ProfileIds == nil):
		return nil, fault.BadRequestf("Give either MergeId or ProfileIds: the merge to take back, or profiles that were merged into another.")
	case in.MergeId != nil:
		var id fold.MergeID
		if err := id.UnmarshalText([]byte(*in.MergeId)); err != nil {
			return nil, fault.BadRequestf("MergeId is not the id of a merge.")
		}
		merges = append(merges, id)
	}
	for _, text := range in.ProfileIds {
		id, _ := fold.ParseID(text)
		merge, err := s.mergeOf(ctx, rec, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(merges, merge) {
			merges = append(merges, merge)
		}
	}
	out := &api.UnmergeProfilesResponse{Items: []api.UnmergedProfile{}}
	for _, id := range merges {
		m, err := s.loadMerge(ctx, rec.Incarnation, id)
		if err == nil && m != nil && m.State == mergeDone && s.Unmerging != nil {
			err = s.Unmerging(ctx, rec, m.made())
		}
		if err == nil {
			err = s.Unmerge(ctx, rec, id)
		}
		if err != nil {
			return nil, err
		}
		text, _ := id.MarshalText()
		for _, of := range m.From {
			out.Items = append(out.Items, api.UnmergedProfile{ProfileId: api.Ptr(of.String()), MainProfileId: api.Ptr(m.Main.String()), MergeId: api.Ptr(string(text))})
		}
	}
	return out, nil
}

// mergeOf returns the merge by which a profile became a member of another.
func (s *Service) mergeOf(ctx context.Context, rec *domain.Record, id ID) (m fold.MergeID, err error) {
	if err := s.SettleLinks(ctx, rec, id); err != nil {
		return m, err
	}
	row, err := s.stateOf(ctx, rec.Incarnation, id)
	if err != nil {
		return m, err
	}
	if row.links == nil || row.links.Into == nil || row.links.Deleted != nil {
		return m, fault.NotFoundf("Profile %s is not one that was merged into another in domain %s.", id, rec.Name)
	}
	return row.links.Into.Merge, nil
}

// tidy does what is left when a merge has been taken back: the history, of which links told the merge until now, and the objects that are
// not where their keys are. It may be cut off anywhere and repeated.
func (s *Service) tidy(ctx context.Context, rec *domain.Record, m *mergeRecord) error {
	rows := []store.RunRow{}
	add := func(id ID, at int64, action api.ActionType, by string, change byte) {
		d := newRecord(at, 0, action, by, string(m.id[:]), false)
		rows = append(rows, write.RecordRow(rec.Incarnation, id, d.asChange(change)))
	}
	add(m.Main, m.At, api.ActionTypeMerged, m.By, write.MergedOthers)
	add(m.Main, m.Ended, api.ActionTypeUpdated, m.EndedBy, write.LostOthers)
	for _, id := range m.From {
		add(id, m.At, api.ActionTypeDeletedByMerge, m.By, write.MergedAway)
		add(id, m.Ended, api.ActionTypeCreated, m.EndedBy, write.Returned)
	}
	if err := s.Store.WriteRun(ctx, store.Run{Table: store.History, Rows: store.SortRows(rows)}); err != nil {
		return err
	}
	return s.sortOut(ctx, rec, m)
}

// side is one of the persons that were one until their merge was taken back.
type side struct {
	id     ID // of the profile of the merge
	person *stored
	// since is when each profile of the person came to the merge: what it got before was not written while the merge held.
	since map[ID]int64
	// own is the person without the objects that were written while the merge held, and what they say.
	own *fold.Member
}

// misplaced is an object that was written while a merge held, and is where its keys are not.
type misplaced struct {
	from, to ID
	object   fold.ObjectRef
}

// sortOut moves the objects that were written while a merge held to the profile whose keys they carry, if they are not there.
func (s *Service) sortOut(ctx context.Context, rec *domain.Record, m *mergeRecord) error {
	var sides []*side
	heads := map[ID]*fold.Head{}
	for _, id := range append([]ID{m.Main}, m.From...) {
		people, err := s.people(ctx, rec.Incarnation, []ID{id})
		if err != nil {
			return err
		}
		if person := people[id]; person != nil && !slices.ContainsFunc(sides, func(o *side) bool { return o.person.ID == person.ID }) {
			sides = append(sides, &side{id: id, person: person})
			err := s.eachWholeHead(ctx, rec.Incarnation, idsOf(&person.Member), func(id ID, h *fold.Head) error {
				heads[id] = h
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	for _, of := range sides {
		of.since = together(&of.person.Member, of.id, m.At)
		of.own = without(&of.person.Member, heads, of.since, m.Ended)
	}
	var all []misplaced
	for _, of := range sides {
		var failed error
		of.person.Walk(func(member *fold.Member) {
			for _, o := range objectsOf(heads[member.ID]) {
				if failed == nil && o.Time > of.since[member.ID] && o.Time <= m.Ended {
					var to *side
					if to, failed = s.sideOf(ctx, rec, sides, of, member.ID, o); to != nil {
						all = append(all, misplaced{member.ID, to.id, o})
					}
				}
			}
		})
		if failed != nil {
			return failed
		}
	}
	for _, o := range all {
		err := s.Writer.Move(ctx, rec, m.EndedBy, o.from, o.to, o.object)
		if err != nil && !errors.Is(err, fault.NotFound) && !errors.Is(err, write.ErrFull) { // for which there is no room it stays
			return err
		}
	}
	return nil
}

func objectsOf(h *fold.Head) []fold.ObjectRef {
	if h == nil {
		return nil
	}
	return h.Objects
}

// sideOf returns the side to which an object of another side belongs: the first whose keys it carries, if it carries none of those of the
// side where it is. Keys that several sides have tell nothing. nil: it stays.
func (s *Service) sideOf(ctx context.Context, rec *domain.Record, sides []*side, at *side, holder ID, o fold.ObjectRef) (*side, error) {
	b, err := write.ReadBody(ctx, s.Store, rec.Incarnation, holder, write.BodyKey(o))
	if b == nil || err != nil {
		return nil, err
	}
	now := s.Now().UnixMicro()
	var found *side
	for _, k := range b.Keys {
		var holders []*side
		for _, of := range sides {
			if index.Confirms(of.own, of.own.Profile(), k, rec.Keys, rec.Dead(), now) {
				holders = append(holders, of)
			}
		}
		switch {
		case len(holders) != 1:
		case holders[0] == at:
			return nil, nil
		case found == nil || slices.Index(sides, holders[0]) < slices.Index(sides, found):
			found = holders[0]
		}
	}
	return found, nil
}

// together returns when each profile of a person came to a merge of one of them: the latest time of the merges between the two, and no
// earlier than that merge.
func together(person *fold.Member, id ID, merged int64) map[ID]int64 {
	type link struct {
		main ID
		at   int64
	}
	into := map[ID]link{}
	person.Walk(func(of *fold.Member) {
		if of.State != nil {
			for _, g := range of.State.Merges {
				for _, from := range g.From {
					into[from] = link{of.ID, g.At}
				}
			}
		}
	})
	above := map[ID]int64{} // main profiles from the one up, and the latest merge on the way there
	for up, at := id, merged; ; {
		above[up] = at
		l, ok := into[up]
		if !ok {
			break
		}
		up, at = l.main, max(at, l.at)
	}
	since := map[ID]int64{}
	person.Walk(func(of *fold.Member) {
		at, up := int64(0), of.ID
		for {
			if n, ok := above[up]; ok {
				since[of.ID] = max(at, n)
				return
			}
			l, ok := into[up]
			if !ok { // the two do not belong together any more: nothing was written while they did
				since[of.ID] = fold.EndOfTime
				return
			}
			at, up = max(at, l.at), l.main
		}
	})
	return since
}

// without returns a person without the objects that came to its profiles after some times and until another, and without what they say.
func without(m *fold.Member, heads map[ID]*fold.Head, since map[ID]int64, until int64) *fold.Member {
	c := *m
	gone := func(at int64) bool { return at > since[m.ID] && at <= until }
	if h := heads[m.ID]; h != nil {
		own := h.Clone()
		own.Objects = slices.DeleteFunc(own.Objects, func(o fold.ObjectRef) bool { return gone(o.Time) })
		own.Values = slices.DeleteFunc(own.Values, func(v fold.Value) bool { return v.Kind == fold.Object && gone(v.Stamp.Time) })
		c.Head = own
	}
	c.Of = map[ID]*fold.Member{}
	for id, of := range m.Of {
		c.Of[id] = without(of, heads, since, until)
	}
	return &c
}
