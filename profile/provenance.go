package profile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/schema"
)

// maxLost is how many values that lost are told of a field, the newest ones.
const maxLost = 10

// GetProfileProvenance tells of each field of a profile where its value comes from: the import and its row, the object, or who set it by
// hand; when it was written, when it expires, and what it won against. A value that was set by hand to nothing wins as a blank.
func (s *Service) GetProfileProvenance(ctx context.Context, in *api.GetProfileProvenanceRequest) (*api.GetProfileProvenanceResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	mains, err := s.loadMains(ctx, rec.Incarnation, []ID{id})
	if err != nil {
		return nil, err
	}
	if mains[id] == nil {
		return nil, fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	out := &api.GetProfileProvenanceResponse{ProfileId: in.ProfileId, Merges: mergesOf(&mains[id].Member)}
	out.Fields, err = s.provenance(ctx, rec, &mains[id].Member, maxLost)
	return out, err
}

// mergesOf lists the merges that a person is made of, the newest first: with their ids they can be taken back.
func mergesOf(person *fold.Member) []api.ProfileMerge {
	all := []api.ProfileMerge{}
	person.Walk(func(m *fold.Member) {
		if m.State == nil {
			return
		}
		for _, of := range m.State.Merges {
			id, _ := of.ID.MarshalText()
			merge := api.ProfileMerge{MergeId: api.Ptr(string(id)), MainProfileId: api.Ptr(m.ID.String()), PerformedBy: &of.By, MergedAt: api.Micros(of.At)}
			for _, from := range of.From {
				merge.ProfileIds = append(merge.ProfileIds, from.String())
			}
			all = append(all, merge)
		}
	})
	slices.SortStableFunc(all, func(a, b api.ProfileMerge) int {
		return cmp.Or(b.MergedAt.Time.Compare(a.MergedAt.Time), cmp.Compare(*a.MergeId, *b.MergeId))
	})
	return all
}

// provenance tells of each field of a person where its value comes from, and of the newest ones that lost, most at most.
func (s *Service) provenance(ctx context.Context, rec *domain.Record, person *fold.Member, most int) ([]api.FieldProvenance, error) {
	imports, err := s.Feed.Imports(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	t := &tracer{s: s, rec: rec, imports: imports, records: map[recordPlace][]*write.Record{}, objects: map[ID]map[saying]saidBy{}}
	fields := []api.FieldProvenance{}
	said := saidOf(person)
	won := map[schema.Attr]fold.Value{}
	for _, v := range person.Profile().Values {
		won[v.Attr] = v
	}
	for _, a := range slices.SortedFunc(maps.Keys(said), schema.Attr.Compare) {
		f := api.FieldProvenance{Field: api.Ptr(a.Path()), Lost: []api.ValueProvenance{}}
		winner, has := won[a]
		lost := int32(0)
		for _, v := range said[a] { // from new to old
			if wins := has && f.Current == nil && same(v.Value, winner); wins || len(f.Lost) < most {
				p, err := t.trace(ctx, v)
				switch {
				case err != nil:
					return nil, err
				case wins:
					f.Current = p
					continue
				}
				f.Lost = append(f.Lost, *p)
			}
			lost++
		}
		f.LostCount = &lost
		fields = append(fields, f)
	}
	return fields, nil
}

// SourcesOf tells of each field that a person shows from what it comes: the object type of the object that says it, or the id of the import;
// nothing of one that was set by hand, or of which that is not known any more.
func (s *Service) SourcesOf(ctx context.Context, rec *domain.Record, person *fold.Member) (map[schema.Attr]string, error) {
	fields, err := s.provenance(ctx, rec, person, 0)
	if err != nil {
		return nil, err
	}
	out := map[schema.Attr]string{}
	for _, f := range fields {
		if a, ok := schema.ParsePath(*f.Field); ok && f.Current != nil {
			if source := cmp.Or(f.Current.ObjectTypeName, f.Current.JobId); source != nil {
				out[a] = *source
			}
		}
	}
	return out, nil
}

// heldValue is a value with where it is.
type heldValue struct {
	fold.Value
	of      ID    // the profile of the person
	expires int64 // its own expiry, or that of what it came with
}

func same(a, b fold.Value) bool { return a.Kind == b.Kind && a.Stamp == b.Stamp && a.Text == b.Text }

// saidOf returns all that the sources of a person say of each attribute, from new to old.
func saidOf(person *fold.Member) map[schema.Attr][]heldValue {
	said := map[schema.Attr][]heldValue{}
	person.Walk(func(of *fold.Member) {
		add := func(values []fold.Value, until int64) {
			for _, v := range values {
				h := heldValue{v, of.ID, v.Expires}
				if v.Expires == 0 {
					h.expires = until
				}
				said[v.Attr] = append(said[v.Attr], h)
			}
		}
		for _, part := range of.Parts {
			add(part.Values, part.Expires)
		}
		if of.Head != nil {
			add(of.Head.Values, of.Head.Expires)
		}
	})
	for _, values := range said {
		slices.SortStableFunc(values, func(a, b heldValue) int {
			return cmp.Or(cmp.Compare(b.Stamp.Time, a.Stamp.Time), cmp.Compare(b.Stamp.Row, a.Stamp.Row))
		})
	}
	return said
}

// tracer finds out where values come from. What it has read of the history it keeps, for values are written together.
type tracer struct {
	s       *Service
	rec     *domain.Record
	imports []change.Import
	records map[recordPlace][]*write.Record
	objects map[ID]map[saying]saidBy // what the objects of a profile say
}

// saying is that an attribute was said at a time, and saidBy the object that has said it.
type saying struct {
	attr schema.Attr
	at   int64
}

type saidBy struct{ objectType, uniqueKey string }

type recordPlace struct {
	of ID
	at int64
}

// trace returns the provenance of a value.
func (t *tracer) trace(ctx context.Context, v heldValue) (*api.ValueProvenance, error) {
	p := &api.ValueProvenance{Value: &v.Text, ProfileId: api.Ptr(v.of.String()), WrittenAt: api.Micros(v.Stamp.Time), ExpiresAt: api.Micros(v.expires)}
	if v.Stamp.Priority != 0 {
		p.SourcePriority = &v.Stamp.Priority
	}
	if v.Stamp.SourceTime != 0 {
		p.SourceLastUpdatedAt = api.Micros(v.Stamp.SourceTime)
	}
	if v.Kind == fold.Import {
		p.Kind = api.Ptr(api.ProvenanceKindImport)
		if v.Stamp.Row != 0 {
			p.RowNumber = &v.Stamp.Row
		}
		if i := slices.IndexFunc(t.imports, func(j change.Import) bool { return j.Time == v.Stamp.Time }); i >= 0 {
			p.JobId = &t.imports[i].Job
		}
		return p, nil
	}
	p.Kind = api.Ptr(api.ProvenanceKindByHand)
	if v.Kind == fold.Object {
		p.Kind = api.Ptr(api.ProvenanceKindObject)
	}
	at := recordPlace{v.of, v.Stamp.Time}
	all, known := t.records[at]
	if !known {
		for r, err := range write.RecordsAt(ctx, t.s.Store, t.rec.Incarnation, at.of, at.at) {
			if err != nil {
				return nil, fmt.Errorf("trace a value: %w", err)
			}
			all = append(all, r)
		}
		t.records[at] = all
	}
	for _, r := range all {
		if (v.Kind == fold.Object) != (r.Action == write.Ingested) || r.Action == write.ExpiredObject {
			continue
		}
		if r.By != "" {
			p.PerformedBy = &r.By
		}
		if r.ObjectType != "" {
			p.ObjectTypeName, p.ProfileObjectUniqueKey = &r.ObjectType, &r.ObjectKey
		}
	}
	if v.Kind == fold.Object && p.ObjectTypeName == nil { // it was written to another profile, and its object has come here since
		by, err := t.objectOf(ctx, v)
		if err != nil {
			return nil, err
		}
		if by != (saidBy{}) {
			p.ObjectTypeName, p.ProfileObjectUniqueKey = &by.objectType, &by.uniqueKey
		}
	}
	return p, nil
}

// objectOf returns the object that says a value.
func (t *tracer) objectOf(ctx context.Context, v heldValue) (saidBy, error) {
	all := t.objects[v.of]
	if all == nil {
		all = map[saying]saidBy{}
		for o, err := range t.s.KnownObjects(ctx, t.rec, v.of) {
			if err != nil {
				return saidBy{}, fmt.Errorf("trace a value: %w", err)
			}
			for _, said := range o.Body.Values {
				all[saying{said.Attr, said.Stamp.Time}] = saidBy{o.Type, o.Body.UniqueKey}
			}
		}
		t.objects[v.of] = all
	}
	return all[saying{v.Attr, v.Stamp.Time}], nil
}
