package profile

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
)

const (
	// defaultObjectPage is how many objects a page has when the caller does not say.
	defaultObjectPage = 20
	// maxObjectPage bounds the bytes of a page's objects; a page of large ones is shorter.
	maxObjectPage = 4 << 20
)

// ListProfileObjects lists the objects of a type that a profile has, newest first. Standard objects are made of what its objects say.
// Behaviour: docs/spec/core.md 5.4.
func (s *Service) ListProfileObjects(ctx context.Context, in *api.ListProfileObjectsRequest) (*api.ListProfileObjectsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	mains, err := s.loadMains(ctx, rec.Incarnation, []ID{id})
	if err != nil {
		return nil, err
	}
	p := mains[id]
	if p == nil {
		return nil, fault.NotFoundf("Profile %s is not found in domain %s.", id, rec.Name)
	}
	l := &listing{s: s, rec: rec, typeName: *in.ObjectTypeName, limit: defaultObjectPage, now: s.Now().UnixMicro()}
	if in.MaxResults != nil {
		l.limit = int(*in.MaxResults)
	}
	if l.after, err = parseObjectToken(in.NextToken); err != nil {
		return nil, err
	}
	standard := schema.StandardByName(l.typeName)
	switch {
	case l.typeName == profileType:
		return l.profile(p, in.ObjectFilter)
	case standard != nil:
		if l.filter, err = s.objectFilter(ctx, rec, l.typeName, append([]string{standard.IDKey}, standard.Keys...), in.ObjectFilter); err != nil {
			return nil, err
		}
		if l.owned, err = s.ownedBy(ctx, rec, &p.Member, l.now); err != nil {
			return nil, err
		}
		return l.standardPage(ctx, standard)
	}
	t, err := s.Types.Find(ctx, rec, l.typeName)
	if errors.Is(err, fault.NotFound) && objecttype.IsTemplate(l.typeName) { // nobody has put an object of it
		return &api.ListProfileObjectsResponse{Items: []api.ListProfileObjectsItem{}}, nil
	}
	if err != nil {
		return nil, err
	}
	if l.filter, err = s.objectFilter(ctx, rec, l.typeName, t.KeyNames, in.ObjectFilter); err != nil {
		return nil, err
	}
	if l.owned, err = s.ownedBy(ctx, rec, &p.Member, l.now); err != nil {
		return nil, err
	}
	l.owned = slices.DeleteFunc(l.owned, func(o owned) bool { return o.Type != t.Name || o.Incarnation != t.Incarnation })
	return l.page(ctx)
}

// owned is an object with the profile that has it: the person's main one, or a member.
type owned struct {
	fold.ObjectRef
	by ID
}

// position is where an object is in a list: newest first.
func (o *owned) position() position { return position{o.Time, o.Hash} }

// ownedBy returns the visible objects of a person, newest first.
func (s *Service) ownedBy(ctx context.Context, rec *domain.Record, m *fold.Member, now int64) (all []owned, err error) {
	err = s.eachWholeHead(ctx, rec.Incarnation, idsOf(m), func(id ID, h *fold.Head) error {
		for _, o := range h.Objects {
			if o.Expires > now && !rec.IsDead(o.Incarnation) {
				all = append(all, owned{o, id})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b owned) int { return a.position().compare(b.position()) })
	return all, nil
}

// position is a place in a list of objects.
type position struct {
	time int64
	hash [16]byte
}

// compare is the order of a list: newest first.
func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(o.time, p.time), bytes.Compare(p.hash[:], o.hash[:]))
}

// A token is the position of the last object of a page: its time and hash.
func (p position) token() *string { return api.Ptr(fmt.Sprintf("%d:%x", p.time, p.hash)) }

func parseObjectToken(token *string) (*position, error) {
	if token == nil {
		return nil, nil
	}
	var p position
	var text string
	if _, err := fmt.Sscanf(*token, "%d:%32s", &p.time, &text); err == nil {
		if hash, err := hex.DecodeString(text); err == nil && len(hash) == len(p.hash) {
			copy(p.hash[:], hash)
			return &p, nil
		}
	}
	return nil, fault.BadRequestf("NextToken is not valid.")
}

// listing is one page of a list of objects.
type listing struct {
	s        *Service
	rec      *domain.Record
	typeName string
	limit    int
	now      int64
	after    *position
	filter   *objectFilter // nil: all
	owned    []owned
}

// objectFilter wants one of some keys.
type objectFilter struct {
	name string
	keys []index.Key
}

// objectFilter reads the filter of a list. names are the keys by which it may filter.
func (s *Service) objectFilter(ctx context.Context, rec *domain.Record, typeName string, names []string, in *api.ObjectFilter) (*objectFilter, error) {
	if in == nil {
		return nil, nil
	}
	name := *in.KeyName
	if !slices.Contains(names, name) {
		return nil, fault.BadRequestf("ObjectFilter: objects of type %s have no key %s. Filter by one of %s.", typeName, name, strings.Join(names, ", "))
	}
	types, err := s.keyTypes(ctx, rec)
	if err != nil {
		return nil, err
	}
	parts, ok := types[name]
	if !ok {
		parts = []schema.ContentType{schema.KeyContentType(name)}
	}
	f := &objectFilter{name: name}
	for i, text := range in.Values {
		forms, err := keyForms(nil, parts, text, phoneReader{rec, true})
		if err != nil {
			return nil, fault.BadRequestf("ObjectFilter: value %d: %s.", i+1, err)
		}
		for _, n := range forms {
			f.keys = append(f.keys, index.Key{Name: name, Value: n})
		}
	}
	return f, nil
}

// may says whether an object may have one of the keys: its head's entry has their hashes.
func (f *objectFilter) may(o *fold.ObjectRef) bool {
	return f == nil || slices.ContainsFunc(f.keys, func(k index.Key) bool { return slices.Contains(o.Keys, fold.KeyHash(k)) })
}

func (f *objectFilter) has(b *write.Body) bool {
	return f == nil || slices.ContainsFunc(f.keys, func(k index.Key) bool { return slices.Contains(b.Keys, k) })
}

// page answers the objects behind a position. It holds one body at a time, besides those that it answers.
func (l *listing) page(ctx context.Context) (*api.ListProfileObjectsResponse, error) {
	out := &api.ListProfileObjectsResponse{Items: []api.ListProfileObjectsItem{}}
	size := 0
	var last position
	for i := range l.owned {
		o := &l.owned[i]
		if l.after != nil && o.position().compare(*l.after) <= 0 || !l.filter.may(&o.ObjectRef) {
			continue
		}
		b, err := write.ReadBody(ctx, l.s.Store, l.rec.Incarnation, o.by, write.BodyKey(o.ObjectRef))
		if err != nil {
			return nil, err
		}
		if b == nil || !l.filter.has(b) {
			continue
		}
		if size += len(b.JSON); len(out.Items) == l.limit || size > maxObjectPage && len(out.Items) > 0 {
			out.NextToken = last.token()
			break
		}
		out.Items = append(out.Items, api.ListProfileObjectsItem{ObjectTypeName: &o.Type, ProfileObjectUniqueKey: api.Ptr(b.UniqueKey), Object: api.Ptr(string(b.JSON))})
		last = o.position()
	}
	return out, nil
}

// profile answers the profile itself as an object.
func (l *listing) profile(p *stored, filter *api.ObjectFilter) (*api.ListProfileObjectsResponse, error) {
	if filter != nil {
		return nil, fault.BadRequestf("ObjectFilter: there is one object of type %s, the profile. Leave the filter out.", profileType)
	}
	out := &api.ListProfileObjectsResponse{Items: []api.ListProfileObjectsItem{}}
	if l.after == nil {
		text := string(wire(p.Profile()).AppendJSON(nil))
		out.Items = append(out.Items, api.ListProfileObjectsItem{ObjectTypeName: &l.typeName, ProfileObjectUniqueKey: api.Ptr(p.ID.String()), Object: &text})
	}
	return out, nil
}
