package profile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/store"
)

// Service owns the profiles.
type Service struct {
	Store   store.Store
	Domains *domain.Service
	Now     func() time.Time
	// Feed is where changes are announced, and has the registry of imports.
	Feed *change.Feed
	// Runs tells what imports wrote.
	Runs change.Runs
}

// BatchGetProfile returns profiles in the order of the request, duplicates once; ids without a profile are in Errors.
func (s *Service) BatchGetProfile(ctx context.Context, in *api.BatchGetProfileRequest) (*api.BatchGetProfileResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	out := &api.BatchGetProfileResponse{Profiles: []api.Profile{}, Errors: []api.BatchGetProfileError{}}
	var ids []ID
	for _, text := range in.ProfileIds {
		id, _ := fold.ParseID(text)
		ids = append(ids, id)
	}
	mains, err := s.loadMains(ctx, rec.Incarnation, ids)
	if err != nil {
		return nil, err
	}
	for i, text := range in.ProfileIds {
		if slices.Contains(in.ProfileIds[:i], text) {
			continue
		}
		p := mains[ids[i]]
		if p == nil {
			out.Errors = append(out.Errors, api.BatchGetProfileError{
				Code: api.Ptr(string(fault.NotFound)), ProfileId: &text,
				Message: api.Ptr(fmt.Sprintf("Profile %s is not found in domain %s.", text, rec.Name)),
			})
			continue
		}
		out.Profiles = append(out.Profiles, *wire(p.Profile()))
	}
	return out, nil
}

// wire returns the profile in the API's form. Unset attributes are omitted.
func wire(p *fold.Profile) *api.Profile {
	out := &api.Profile{}
	fill(out, p)
	return out
}

// fill is wire into an item of an answer.
func fill(out *api.Profile, p *fold.Profile) {
	out.ProfileId = api.Ptr(p.ID.String())
	for i := range p.Values {
		v := &p.Values[i]
		if base, part := v.Attr.AddressPart(); base != 0 {
			*addressPart(out, base, part) = &v.Text
			continue
		}
		switch v.Attr.ID {
		case 0:
			if out.Attributes == nil {
				out.Attributes = map[string]string{}
			}
			out.Attributes[v.Attr.Custom] = v.Text
		case objecttype.PartyType:
			out.PartyType = api.Ptr(api.PartyType(v.Text))
		case objecttype.Gender:
			out.Gender = api.Ptr(api.Gender(v.Text))
		case objecttype.ProfileType:
			out.ProfileType = api.Ptr(api.ProfileType(v.Text))
		default:
			if dst := scalar(out, v.Attr.ID); dst != nil {
				*dst = &v.Text
			}
		}
	}
}

func scalar(p *api.Profile, id uint16) **string {
	switch id {
	case objecttype.AccountNumber:
		return &p.AccountNumber
	case objecttype.AdditionalInformation:
		return &p.AdditionalInformation
	case objecttype.BusinessName:
		return &p.BusinessName
	case objecttype.FirstName:
		return &p.FirstName
	case objecttype.MiddleName:
		return &p.MiddleName
	case objecttype.LastName:
		return &p.LastName
	case objecttype.BirthDate:
		return &p.BirthDate
	case objecttype.PhoneNumber:
		return &p.PhoneNumber
	case objecttype.MobilePhoneNumber:
		return &p.MobilePhoneNumber
	case objecttype.HomePhoneNumber:
		return &p.HomePhoneNumber
	case objecttype.BusinessPhoneNumber:
		return &p.BusinessPhoneNumber
	case objecttype.EmailAddress:
		return &p.EmailAddress
	case objecttype.PersonalEmailAddress:
		return &p.PersonalEmailAddress
	case objecttype.BusinessEmailAddress:
		return &p.BusinessEmailAddress
	case objecttype.PartyTypeString:
		return &p.PartyTypeString
	case objecttype.GenderString:
		return &p.GenderString
	}
	return nil
}

func addressPart(p *api.Profile, base uint16, part int) **string {
	var block **api.Address
	switch base {
	case objecttype.Address:
		block = &p.Address
	case objecttype.ShippingAddress:
		block = &p.ShippingAddress
	case objecttype.MailingAddress:
		block = &p.MailingAddress
	default:
		block = &p.BillingAddress
	}
	if *block == nil {
		*block = &api.Address{}
	}
	a := *block
	return [...]**string{&a.Address1, &a.Address2, &a.Address3, &a.Address4, &a.City, &a.County, &a.State, &a.Province, &a.Country, &a.PostalCode}[part]
}
