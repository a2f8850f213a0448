package domain

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kith/api"
	"kith/fault"
	"kith/resource"
)

// layouts are what the profile explorer of a contact centre shows of a customer. Their text is the JSON that the explorer draws; Kith
// does not read it.
var layouts = resource.Kind[layout]{Name: "layouts", Title: "Layout"}

// layout is what is stored of one besides its text.
type layout struct {
	Description string
	DisplayName string
	Type        api.LayoutType
}

// CreateDomainLayout makes a layout. IsDefault ends that of another.
func (s *Service) CreateDomainLayout(ctx context.Context, in *api.CreateDomainLayoutRequest) (*api.CreateDomainLayoutResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if err := checkLayout(*in.Layout); err != nil {
		return nil, err
	}
	r, err := layouts.Create(ctx, scope, *in.LayoutDefinitionName, func(r *resource.Record[layout]) error {
		r.Data = layout{Description: *in.Description, DisplayName: *in.DisplayName, Type: *in.LayoutType}
		r.Default, r.Tags = api.Val(in.IsDefault), in.Tags
		r.SetText(*in.Layout)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateDomainLayoutResponse{
		LayoutDefinitionName: &r.Name, Description: &r.Data.Description, DisplayName: &r.Data.DisplayName, IsDefault: &r.Default,
		LayoutType: &r.Data.Type, Layout: in.Layout, Version: layoutVersion(r), Tags: r.Tags,
		CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
	}, nil
}

// GetDomainLayout returns a layout.
func (s *Service) GetDomainLayout(ctx context.Context, in *api.GetDomainLayoutRequest) (*api.GetDomainLayoutResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	r, text, err := layouts.Read(ctx, scope, *in.LayoutDefinitionName)
	if err != nil {
		return nil, err
	}
	return &api.GetDomainLayoutResponse{
		LayoutDefinitionName: &r.Name, Description: &r.Data.Description, DisplayName: &r.Data.DisplayName, IsDefault: &r.Default,
		LayoutType: &r.Data.Type, Layout: &text, Version: layoutVersion(r), Tags: r.Tags,
		CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
	}, nil
}

// ListDomainLayouts lists the layouts by name, without their texts.
func (s *Service) ListDomainLayouts(ctx context.Context, in *api.ListDomainLayoutsRequest) (*api.ListDomainLayoutsResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	page, next, err := layouts.List(ctx, scope, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListDomainLayoutsResponse{Items: []api.LayoutItem{}, NextToken: next}
	for _, r := range page {
		out.Items = append(out.Items, api.LayoutItem{
			LayoutDefinitionName: &r.Name, Description: &r.Data.Description, DisplayName: &r.Data.DisplayName, IsDefault: &r.Default,
			LayoutType: &r.Data.Type, Tags: r.Tags, CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
		})
	}
	return out, nil
}

// UpdateDomainLayout changes the members that are present.
func (s *Service) UpdateDomainLayout(ctx context.Context, in *api.UpdateDomainLayoutRequest) (*api.UpdateDomainLayoutResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if in.Layout != nil {
		if err := checkLayout(*in.Layout); err != nil {
			return nil, err
		}
	}
	_, err = layouts.Update(ctx, scope, *in.LayoutDefinitionName, func(r *resource.Record[layout]) error {
		api.Set(&r.Data.Description, in.Description)
		api.Set(&r.Data.DisplayName, in.DisplayName)
		api.Set(&r.Data.Type, in.LayoutType)
		api.Set(&r.Default, in.IsDefault)
		if in.Layout != nil {
			r.SetText(*in.Layout)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, err := s.GetDomainLayout(ctx, &api.GetDomainLayoutRequest{DomainName: in.DomainName, LayoutDefinitionName: in.LayoutDefinitionName})
	return (*api.UpdateDomainLayoutResponse)(out), err
}

// DeleteDomainLayout removes a layout. When it was the default, no other becomes it.
func (s *Service) DeleteDomainLayout(ctx context.Context, in *api.DeleteDomainLayoutRequest) (*api.DeleteDomainLayoutResponse, error) {
	scope, err := s.Resources(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	if err := layouts.Delete(ctx, scope, *in.LayoutDefinitionName, nil); err != nil {
		return nil, err
	}
	return &api.DeleteDomainLayoutResponse{Message: api.Ptr("Layout Deleted")}, nil
}

// checkLayout refuses a text that is no JSON. Layouts are sensitive: the sentence quotes nothing.
func checkLayout(text string) error {
	dec := jsontext.NewDecoder(strings.NewReader(text), jsontext.AllowDuplicateNames(true))
	err := dec.SkipValue()
	if err == nil {
		if _, err = dec.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	return fault.BadRequestf("Layout must be one JSON value; it stops being one at byte %d.", dec.InputOffset())
}

func layoutVersion(r *resource.Record[layout]) *string {
	return api.Ptr(strconv.FormatInt(r.Revision, 10))
}
