package profile

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/schema"
	"kith/store"
)

// A standard object is computed, as a profile is: it is the fold of what the person's objects say that carry its id. A page reads all bodies
// twice, one at a time: first to see which standard objects there are and in which order they come, then for what the page's are made of.

// made is a standard object on its way.
type made struct {
	id     string
	newest position // of its objects
	wanted bool     // one of its objects has a key of the filter
	values []fold.Value
}

// standardPage answers the standard objects behind a position.
func (l *listing) standardPage(ctx context.Context, t *schema.Standard) (*api.ListProfileObjectsResponse, error) {
	all, err := l.standards(ctx, t)
	if err != nil {
		return nil, err
	}
	page := all
	more := len(all) > l.limit
	if more {
		page = all[:l.limit]
	}
	if err := l.gather(ctx, t, page); err != nil {
		return nil, err
	}
	out := &api.ListProfileObjectsResponse{Items: []api.ListProfileObjectsItem{}}
	size := 0
	for i, m := range page {
		text, err := m.json(t)
		if err != nil {
			return nil, err
		}
		if size += len(text); size > maxObjectPage && i > 0 {
			page, more = page[:i], true
			break
		}
		out.Items = append(out.Items, api.ListProfileObjectsItem{ObjectTypeName: &l.typeName, ProfileObjectUniqueKey: &m.id, Object: &text})
	}
	if more {
		out.NextToken = page[len(page)-1].newest.token()
	}
	return out, nil
}

// standards returns the standard objects of a type behind the page's position, newest first, without their values.
func (l *listing) standards(ctx context.Context, t *schema.Standard) ([]*made, error) {
	byID := map[string]*made{}
	err := l.eachSaid(ctx, t, func(o *owned, b *write.Body, s *write.Standard) {
		m := byID[s.ID]
		if m == nil {
			m = &made{id: s.ID}
			if hash, err := hex.DecodeString(s.ID); err == nil {
				copy(m.newest.hash[:], hash)
			}
			byID[s.ID] = m
		}
		m.newest.time = max(m.newest.time, o.Time)
		m.wanted = m.wanted || l.filter.has(b) || l.filter.field(s)
	})
	if err != nil {
		return nil, err
	}
	var all []*made
	for _, m := range byID {
		if m.wanted && (l.after == nil || m.newest.compare(*l.after) > 0) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *made) int { return a.newest.compare(b.newest) })
	return all, nil
}

// field says whether what an object says about a standard object has a value of the filter, whose key is named as a field is.
func (f *objectFilter) field(s *write.Standard) bool {
	path := strings.TrimPrefix(f.name, "_")
	path = strings.ToUpper(path[:1]) + path[1:]
	for i := range s.Values {
		v := &s.Values[i]
		for _, k := range f.keys {
			if v.Attr.Custom == path && schema.Normalize(schema.String, v.Text) == k.Value {
				return true
			}
		}
	}
	return false
}

// gather gives the standard objects of a page what objects say about them.
func (l *listing) gather(ctx context.Context, t *schema.Standard, page []*made) error {
	return l.eachSaid(ctx, t, func(_ *owned, _ *write.Body, s *write.Standard) {
		if i := slices.IndexFunc(page, func(m *made) bool { return m.id == s.ID }); i >= 0 {
			for _, v := range s.Values {
				if v.Expires > l.now {
					page[i].values = append(page[i].values, v)
				}
			}
		}
	})
}

// eachSaid calls do for the objects of the person that say something about a standard object of a type.
func (l *listing) eachSaid(ctx context.Context, t *schema.Standard, do func(*owned, *write.Body, *write.Standard)) error {
	type place struct {
		by  ID
		row string
	}
	at := make(map[place]*owned, len(l.owned))
	var ids []ID
	for i := range l.owned {
		o := &l.owned[i]
		at[place{o.by, string(write.BodyKey(o.ObjectRef))}] = o
		ids = append(ids, o.by)
	}
	slices.SortFunc(ids, ID.Compare)
	for _, id := range slices.Compact(ids) {
		part := store.Partition{Table: store.Body, Incarnation: l.rec.Incarnation, Key: string(id[:])}
		for row, err := range l.s.Store.Scan(ctx, part, store.Range{}) {
			if err != nil {
				return fmt.Errorf("read the objects of a profile: %w", err)
			}
			o := at[place{id, string(row.Key)}]
			if o == nil {
				continue
			}
			b, err := write.DecodeBody(row.Value)
			if err != nil {
				return err
			}
			for i := range b.Standard {
				if b.Standard[i].Type == t.Name {
					do(o, b, &b.Standard[i])
				}
			}
		}
	}
	return nil
}

// json returns a standard object as callers see it.
func (m *made) json(t *schema.Standard) (string, error) {
	record := map[string]any{}
	for _, v := range fold.Fold(m.values) {
		if err := place(record, v.Attr.Custom, v.Text); err != nil {
			return "", err
		}
	}
	record[t.ID] = m.id
	text, err := json.Marshal(record, json.Deterministic(true))
	return string(text), err
}

// place puts a value at a path into a record. A path that leads through a value that is no object is left out.
func place(record map[string]any, path, text string) error {
	before, rest, isList := strings.Cut(path, "[]")
	names := strings.Split(before, ".")
	if names[0] == "Attributes" && len(names) > 1 { // the rest is one name
		names, rest, isList = []string{"Attributes", strings.TrimPrefix(path, "Attributes.")}, "", false
	}
	for _, name := range names[:len(names)-1] {
		next, ok := record[name].(map[string]any)
		if !ok {
			if record[name] != nil {
				return nil
			}
			next = map[string]any{}
			record[name] = next
		}
		record = next
	}
	name := names[len(names)-1]
	if !isList {
		if record[name] == nil {
			record[name] = text
		}
		return nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return fmt.Errorf("%w: a list of a standard object", fold.ErrCorrupt)
	}
	list, _ := record[name].([]any)
	for i, text := range texts {
		if i == len(list) {
			list = append(list, map[string]any{})
		}
		if item, ok := list[i].(map[string]any); ok && text != "" {
			if err := place(item, strings.TrimPrefix(rest, "."), text); err != nil {
				return err
			}
		}
	}
	record[name] = list
	return nil
}
