package integration

import (
	"cmp"
	"context"
	"errors"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/resource"
)

// integration is what is stored of one.
type integration struct {
	ObjectTypeName    *string             `json:",omitzero"`
	ObjectTypeNames   map[string]string   `json:",omitzero"`
	FlowDefinition    *api.FlowDefinition `json:",omitzero"`
	RoleArn           *string             `json:",omitzero"`
	EventTriggerNames []string            `json:",omitzero"`
	Scope             api.Scope
}

type record = resource.Record[integration]

func (s *Service) kind() resource.Kind[integration] {
	return resource.Kind[integration]{Name: "integrations", Title: "Integration", Max: cmp.Or(s.Max, DefaultMax)}
}

// PutIntegration creates an integration, or replaces what is stored of one but its tags. A flow that was described stays when it is not
// described again.
func (s *Service) PutIntegration(ctx context.Context, in *api.PutIntegrationRequest) (*api.PutIntegrationResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	uri, source, err := check(in)
	if err != nil {
		return nil, err
	}
	if err := s.checkTypes(ctx, rec, in); err != nil {
		return nil, err
	}
	if source == Flow {
		if err := s.claim(ctx, rec, uri); err != nil {
			return nil, err
		}
	}
	r, err := s.kind().Put(ctx, s.Domains.Scope(rec), uri, func(r *record) error {
		if !r.Exists() {
			r.Tags = in.Tags
		}
		r.Data = integration{
			ObjectTypeName: in.ObjectTypeName, ObjectTypeNames: in.ObjectTypeNames, FlowDefinition: cmp.Or(in.FlowDefinition, r.Data.FlowDefinition),
			RoleArn: in.RoleArn, EventTriggerNames: in.EventTriggerNames, Scope: api.ScopeProfile,
		}
		api.Set(&r.Data.Scope, in.Scope)
		return nil
	})
	switch {
	case source != Flow:
	case err == nil:
		err = s.confirm(ctx, rec, uri)
	case errors.Is(err, fault.BadRequest) || errors.Is(err, fault.NotFound):
		if used, hasErr := s.has(ctx, rec.Incarnation, uri); hasErr == nil && !used {
			err = errors.Join(err, s.release(ctx, rec.Incarnation, uri))
		}
	}
	if err != nil {
		return nil, err
	}
	return (*api.PutIntegrationResponse)(show(rec.Name, r)), nil
}

// checkTypes refuses object types that the domain does not have. With scope DOMAIN they are those of the domain itself.
func (s *Service) checkTypes(ctx context.Context, rec *domain.Record, in *api.PutIntegrationRequest) error {
	for _, name := range needed(in.ObjectTypeName, in.ObjectTypeNames) {
		err := s.exists(ctx, rec, api.Val(in.Scope), name, s.Types.Lookup)
		if errors.Is(err, fault.NotFound) && api.Val(in.Scope) == api.ScopeDomain {
			return fault.BadRequestf("Domain object type %s is not found in domain %s: create it by PutDomainObjectType first, or give Scope PROFILE.", name, rec.Name)
		}
		if errors.Is(err, fault.NotFound) {
			return fault.BadRequestf("Object type %s is not found in domain %s, nor is there a template of that name: create it by PutProfileObjectType first.", name, rec.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exists returns fault.NotFound if a domain has no object type of a name; look is how one of profiles is looked for.
func (s *Service) exists(ctx context.Context, rec *domain.Record, scope api.Scope, name string, look func(context.Context, *domain.Record, string) (*objecttype.Type, error)) (err error) {
	if scope == api.ScopeDomain {
		_, err = s.Domains.GetDomainObjectType(ctx, &api.GetDomainObjectTypeRequest{DomainName: &rec.Name, ObjectTypeName: &name})
	} else {
		_, err = look(ctx, rec, name)
	}
	return err
}

// GetIntegration returns an integration.
func (s *Service) GetIntegration(ctx context.Context, in *api.GetIntegrationRequest) (*api.GetIntegrationResponse, error) {
	scope, err := s.Domains.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	r, err := s.kind().Get(ctx, scope, *in.Uri)
	if err != nil {
		return nil, err
	}
	return show(scope.Domain, r), nil
}

// DeleteIntegration removes an integration. What it has brought stays.
func (s *Service) DeleteIntegration(ctx context.Context, in *api.DeleteIntegrationRequest) (*api.DeleteIntegrationResponse, error) {
	scope, err := s.Domains.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if err := s.kind().Delete(ctx, scope, *in.Uri, nil); err != nil {
		return nil, err
	}
	return &api.DeleteIntegrationResponse{Message: api.Ptr("Integration Deleted")}, s.release(ctx, scope.Incarnation, *in.Uri)
}

// ListIntegrations lists the integrations of a domain by Uri. None is hidden: Kith makes none by itself.
func (s *Service) ListIntegrations(ctx context.Context, in *api.ListIntegrationsRequest) (*api.ListIntegrationsResponse, error) {
	scope, err := s.Domains.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	page, next, err := s.kind().List(ctx, scope, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListIntegrationsResponse{Items: []api.ListIntegrationItem{}, NextToken: next}
	for _, r := range page {
		out.Items = append(out.Items, api.ListIntegrationItem(*show(scope.Domain, r)))
	}
	return out, nil
}

// maxDomains is how many domains one call of ListAccountIntegrations looks at; a page may be short, or empty, and yet have a next one.
const maxDomains = 500

// ListAccountIntegrations lists the integrations of one Uri in all domains, by the domain's name.
func (s *Service) ListAccountIntegrations(ctx context.Context, in *api.ListAccountIntegrationsRequest) (*api.ListAccountIntegrationsResponse, error) {
	out := &api.ListAccountIntegrationsResponse{Items: []api.ListIntegrationItem{}}
	limit, at := 100, in.NextToken
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	for looked := 0; looked < maxDomains; {
		domains, err := s.Domains.ListDomains(ctx, &api.ListDomainsRequest{NextToken: at})
		if err != nil {
			return nil, err
		}
		for _, d := range domains.Items {
			if len(out.Items) == limit {
				out.NextToken = d.DomainName
				return out, nil
			}
			looked++
			got, err := s.GetIntegration(ctx, &api.GetIntegrationRequest{DomainName: d.DomainName, Uri: in.Uri})
			if errors.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, api.ListIntegrationItem(*got))
		}
		if at = domains.NextToken; at == nil {
			break
		}
	}
	out.NextToken = at
	return out, nil
}

func show(domainName string, r *record) *api.GetIntegrationResponse {
	d := r.Data
	return &api.GetIntegrationResponse{
		DomainName: &domainName, Uri: &r.Name, ObjectTypeName: d.ObjectTypeName, ObjectTypeNames: d.ObjectTypeNames, RoleArn: d.RoleArn,
		EventTriggerNames: d.EventTriggerNames, Scope: &d.Scope, IsUnstructured: api.Ptr(isUnstructured(r.Name, d)),
		Tags: r.Tags, CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
	}
}

// isUnstructured says that a flow was made elsewhere, or brings records of no type.
func isUnstructured(uri string, d integration) bool {
	source, err := sourceOf(uri)
	if err != nil || source != Flow {
		return false
	}
	return d.FlowDefinition == nil || api.Val(d.ObjectTypeName) == unstructured
}
