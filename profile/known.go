package profile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/internal/restjson"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/store"
)

// Known is a person with everything that is stored of it, for who has to tell it, or to remove it. What has expired and was not removed
// yet belongs to it.
type Known struct {
	// Main is the id of the person's main profile, and IDs all its profiles, the main one first.
	Main ID
	IDs  []ID
	// Dead says that the main profile was deleted: there is nothing to tell, but there may be something to remove.
	Dead bool
	// Keys are the keys of all its profiles, imports and objects, each once.
	Keys []index.Key

	all map[ID]*stored
}

// Know reads the person that a profile belongs to. It is fault.NotFound when there never was such a profile.
func (s *Service) Know(ctx context.Context, rec *domain.Record, id ID) (*Known, error) {
	if err := s.SettleLinks(ctx, rec, id); err != nil {
		return nil, err
	}
	all, err := s.consistently(ctx, func() (map[ID]*stored, error) { return s.readPeople(ctx, rec.Incarnation, []ID{id}, 0) })
	if err != nil {
		return nil, err
	}
	p := all[id]
	for p != nil && p.State != nil && p.State.Into != nil && p.State.Deleted == nil {
		p = all[p.State.Into.Main]
	}
	if p == nil || p.State == nil && p.Head == nil && len(p.Parts) == 0 {
		return nil, noHistory(rec, id)
	}
	k := &Known{Main: p.ID, Dead: p.State != nil && p.State.Deleted != nil, all: map[ID]*stored{}}
	for queue := []ID{p.ID}; len(queue) > 0; queue = queue[1:] {
		of := all[queue[0]]
		if of == nil || k.all[of.ID] != nil {
			continue
		}
		k.IDs, k.all[of.ID] = append(k.IDs, of.ID), of
		queue = slices.AppendSeq(queue, of.State.Members())
	}
	return k, s.knowKeys(ctx, rec, k)
}

// knowKeys gathers the keys of a person.
func (s *Service) knowKeys(ctx context.Context, rec *domain.Record, k *Known) error {
	var keys index.Set
	person := k.all[k.Main].Profile()
	keys.AddFullName(person)
	for _, id := range k.IDs {
		p := k.all[id]
		alone := p.Member.Alone().Profile()
		keys.RequiredByImports(&p.Member, alone, rec.Keys)
		keys.AddFullName(alone)
		h, err := s.wholeHead(ctx, rec.Incarnation, id)
		if err != nil {
			return err
		}
		for _, part := range index.RequiredByAPI(h, person, rec.Keys).Partitions() {
			keys.Add(index.ParsePartitionKey(part))
		}
		for o, err := range s.KnownObjects(ctx, rec, id) {
			if err != nil {
				return err
			}
			for _, key := range o.Body.Keys {
				keys.Add(key)
			}
		}
	}
	k.Keys = keys.Keys()
	return nil
}

// KnownObject is an object of a person.
type KnownObject struct {
	Type string
	Ref  fold.ObjectRef
	Body *write.Body
}

// KnownObjects streams the objects of one profile.
func (s *Service) KnownObjects(ctx context.Context, rec *domain.Record, id ID) iter.Seq2[KnownObject, error] {
	return func(yield func(KnownObject, error) bool) {
		h, err := s.wholeHead(ctx, rec.Incarnation, id)
		if err != nil {
			yield(KnownObject{}, err)
			return
		}
		for _, o := range h.Objects {
			b, err := write.ReadBody(ctx, s.Store, rec.Incarnation, id, write.BodyKey(o))
			if err == nil && b == nil { // it was replaced, or removed, meanwhile
				continue
			}
			if !yield(KnownObject{o.Type, o, b}, err) || err != nil {
				return
			}
		}
	}
}

// KnownHistory streams the records of one profile of a person, from new to old, with what each is about as JSON where that can still be told.
func (s *Service) KnownHistory(ctx context.Context, rec *domain.Record, id ID) iter.Seq2[api.GetProfileHistoryRecordResponse, error] {
	return func(yield func(api.GetProfileHistoryRecordResponse, error) bool) {
		p, err := s.remember(ctx, rec, id)
		if err != nil {
			yield(api.GetProfileHistoryRecordResponse{}, err)
			return
		}
		for d, err := range s.each(ctx, rec, p, nil) {
			var r api.GetProfileHistoryRecordResponse
			if err == nil {
				w := d.wire()
				r = api.GetProfileHistoryRecordResponse{Id: w.Id, ObjectTypeName: w.ObjectTypeName, CreatedAt: w.CreatedAt, ActionType: w.ActionType,
					PerformedBy: w.PerformedBy, ProfileObjectUniqueKey: w.ProfileObjectUniqueKey}
				r.Content, err = s.content(ctx, rec, p, &d)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// KnownPart is what one source says about a profile.
type KnownPart struct {
	Job     string // of the import; "" for imports that were compacted, and for API writes
	Row     int64  // the first row of the file that has the profile's unique key; 0 where there is none
	Written int64  // microseconds
	Expires int64
	Values  []KnownValue
	Keys    []fold.Key // that no attribute holds
}

// KnownValue is a value that a source has given an attribute; Blank says that it was emptied by hand.
type KnownValue struct {
	Attribute string
	Value     string
	Written   int64
	Blank     bool
}

// KnownParts returns what each source says about one profile of a person, imports first.
func (s *Service) KnownParts(ctx context.Context, rec *domain.Record, k *Known, id ID) (parts []KnownPart, err error) {
	p := k.all[id]
	if p == nil {
		return nil, nil
	}
	imports, err := s.Feed.Imports(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	for _, part := range p.Parts {
		kp := KnownPart{Written: part.Stamp.Time, Expires: part.Expires, Values: knownValues(part.Values), Keys: part.Private}
		if at, ok := ImportTime(part.Source); ok {
			kp.Row = part.Stamp.Row
			if i := slices.IndexFunc(imports, func(j change.Import) bool { return j.Time == at }); i >= 0 {
				kp.Job = imports[i].Job
			}
		}
		parts = append(parts, kp)
	}
	h, err := s.wholeHead(ctx, rec.Incarnation, id)
	if err == nil && (len(h.Values) > 0 || len(h.Keys) > 0) {
		kp := KnownPart{Written: h.Time, Expires: h.Expires, Values: knownValues(h.Values)}
		for _, key := range h.Keys {
			kp.Keys = append(kp.Keys, fold.Key{Name: key.Name, Value: key.Value})
		}
		parts = append(parts, kp)
	}
	return parts, err
}

func knownValues(values []fold.Value) (all []KnownValue) {
	for _, v := range values {
		all = append(all, KnownValue{Attribute: v.Attr.Path(), Value: v.Text, Written: v.Stamp.Time, Blank: v.Blank})
	}
	return all
}

// KnownProfile returns a person as calls answer it, as JSON, or nil when nothing of it is visible.
func (s *Service) KnownProfile(ctx context.Context, rec *domain.Record, k *Known) ([]byte, error) {
	p, err := s.LoadPerson(ctx, rec.Incarnation, k.Main)
	if p == nil || err != nil {
		return nil, err
	}
	return restjson.Encode(wire(p))
}

// KnownFields tells of each field of a person where its value comes from, as GetProfileProvenance does, with all values that lost. It is
// empty when nothing of the person is visible.
func (s *Service) KnownFields(ctx context.Context, rec *domain.Record, k *Known) ([]api.FieldProvenance, error) {
	people, err := s.people(ctx, rec.Incarnation, []ID{k.Main})
	if err != nil || people[k.Main] == nil {
		return nil, err
	}
	return s.provenance(ctx, rec, &people[k.Main].Member, math.MaxInt)
}

// Footprint counts what is stored of a person.
type Footprint struct {
	Profiles      int64 // that have anything besides their tombstone
	Contributions int64 // of imports
	Objects       int64 // bodies, those that no head names included
	IndexRows     int64
	Contents      int64 // history records that say more than id, time, action and who it was
}

// Footprint counts what is stored of the profiles of a person, and what the index has of them under its keys.
func (s *Service) Footprint(ctx context.Context, rec *domain.Record, k *Known) (f Footprint, err error) {
	for _, id := range k.IDs {
		any := false
		for row, err := range s.Store.Scan(ctx, Partition(rec.Incarnation, id), store.Range{}) {
			if err != nil {
				return f, err
			}
			if IsContribution(row.Key) {
				f.Contributions++
			}
			any = any || !bytes.Equal(row.Key, stateKey)
		}
		if any {
			f.Profiles++
		}
		objects, contents, err := write.Stored(ctx, s.Store, rec.Incarnation, id)
		if err != nil {
			return f, err
		}
		f.Objects, f.Contents = f.Objects+objects, f.Contents+contents
	}
	var parts []string
	for _, key := range k.Keys {
		parts = append(parts, index.PartitionKey(key))
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	ids := slices.Clone(k.IDs)
	slices.SortFunc(ids, ID.Compare)
	probes := func(yield func(store.Probe) bool) {
		for _, part := range parts {
			for _, id := range ids {
				if !yield(store.Probe{Partition: part, Range: store.Range{Start: id[:], End: store.After(id[:])}}) {
					return
				}
			}
		}
	}
	for _, err := range s.Store.Probe(ctx, store.Index, rec.Incarnation, probes) {
		if err != nil {
			return f, fmt.Errorf("read the index: %w", err)
		}
		f.IndexRows++
	}
	return f, nil
}

// Forget deletes a person: its main profile with all members, as DeleteProfile does. It may be repeated.
func (s *Service) Forget(ctx context.Context, rec *domain.Record, k *Known) error {
	err := patiently(ctx, func() error { return s.delete(ctx, rec, k.Main) })
	if errors.Is(err, fault.NotFound) { // it was deleted before, or everything of it has expired
		if !k.Dead {
			return err
		}
		return s.erase(ctx, rec, k.Main)
	}
	return err
}
