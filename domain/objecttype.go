package domain

import (
	"context"
	"maps"
	"slices"
	"strings"

	"kith/api"
	"kith/fault"
	"kith/resource"
)

// objectTypes are the types of data that belong to a domain and to no profile: in practice the catalogue of items to recommend.
var objectTypes = resource.Kind[objectType]{Name: "domain-object-types", Title: "Domain object type", Max: 1}

// objectType is what is stored of one.
type objectType struct {
	Description   string `json:",omitzero"`
	EncryptionKey string `json:",omitzero"`
	Fields        map[string]api.DomainObjectTypeField
}

// PutDomainObjectType creates a domain object type, which needs a domain with a data store, or replaces what is stored of one but its
// tags.
func (s *Service) PutDomainObjectType(ctx context.Context, in *api.PutDomainObjectTypeRequest) (*api.PutDomainObjectTypeResponse, error) {
	rec, err := s.Read(ctx, *in.DomainName) // whether it has a data store is decided here
	if err != nil {
		return nil, err
	}
	if err := checkFields(in.Fields); err != nil {
		return nil, err
	}
	r, err := objectTypes.Put(ctx, s.Scope(rec), *in.ObjectTypeName, func(r *resource.Record[objectType]) error {
		if !r.Exists() {
			if !rec.DataStore {
				return fault.BadRequestf("Domain object types need a domain with a data store: call UpdateDomain with DataStore.Enabled true first.")
			}
			r.Tags = in.Tags
		}
		r.Data = objectType{Description: api.Val(in.Description), EncryptionKey: api.Val(in.EncryptionKey), Fields: in.Fields}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.PutDomainObjectTypeResponse)(showObjectType(r)), nil
}

// GetDomainObjectType returns a domain object type.
func (s *Service) GetDomainObjectType(ctx context.Context, in *api.GetDomainObjectTypeRequest) (*api.GetDomainObjectTypeResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	r, err := objectTypes.Get(ctx, scope, *in.ObjectTypeName)
	if err != nil {
		return nil, err
	}
	return showObjectType(r), nil
}

// ListDomainObjectTypes lists the domain object types by name, without their fields.
func (s *Service) ListDomainObjectTypes(ctx context.Context, in *api.ListDomainObjectTypesRequest) (*api.ListDomainObjectTypesResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	page, next, err := objectTypes.List(ctx, scope, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListDomainObjectTypesResponse{Items: []api.DomainObjectTypesListItem{}, NextToken: next}
	for _, r := range page {
		out.Items = append(out.Items, api.DomainObjectTypesListItem{
			ObjectTypeName: &r.Name, Description: text(r.Data.Description), Tags: r.Tags,
			CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
		})
	}
	return out, nil
}

// DeleteDomainObjectType removes a domain object type.
func (s *Service) DeleteDomainObjectType(ctx context.Context, in *api.DeleteDomainObjectTypeRequest) (*api.DeleteDomainObjectTypeResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return &api.DeleteDomainObjectTypeResponse{}, objectTypes.Delete(ctx, scope, *in.ObjectTypeName, nil)
}

func showObjectType(r *resource.Record[objectType]) *api.GetDomainObjectTypeResponse {
	return &api.GetDomainObjectTypeResponse{
		ObjectTypeName: &r.Name, Description: text(r.Data.Description), EncryptionKey: text(r.Data.EncryptionKey), Fields: r.Data.Fields,
		Tags: r.Tags, CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
	}
}

// checkFields refuses fields that nothing could be read from or written to: a source is a path below _source or a template of
// such paths, a target a path below _catalogItem that no other field has.
func checkFields(fields map[string]api.DomainObjectTypeField) error {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		source, target := *fields[name].Source, *fields[name].Target
		if path, ok := strings.CutPrefix(source, "_source."); (!ok || path == "") && !strings.Contains(source, "{{_source.") {
			return fault.BadRequestf("Source of field %s must be _source.<name> or a template such as {{_source.<name>}}, not %q.", name, source)
		}
		if path, ok := strings.CutPrefix(target, "_catalogItem."); !ok || path == "" {
			return fault.BadRequestf("Target of field %s must be _catalogItem.<name>, not %q.", name, target)
		}
		if other, ok := taken[target]; ok {
			return fault.BadRequestf("Fields %s and %s have the same Target %q: which one would win is arbitrary.", other, name, target)
		}
		taken[target] = name
	}
	return nil
}
