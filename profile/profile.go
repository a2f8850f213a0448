package profile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/schema"
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
	// Writer is by what profiles are changed by hand.
	Writer *write.Writer
	// Types are the object types, which define keys; nil: there are none.
	Types *objecttype.Service
	// Importing says whether an import runs on this node, which counting makes way for; nil: none does.
	Importing func() bool
	// Letters keep objects that can't be attached to a profile.
	Letters DeadLetters
	// Apart returns the pairs among some persons, whose ids ascend, of which somebody has said that they are not the same; nil: nobody says so. No
	// merge that the server makes by itself (Merge) puts such two together.
	Apart func(ctx context.Context, inc store.Incarnation, ids []ID) ([][2]ID, error)
	// Unmerging is told by UnmergeProfiles which merge it is about to take back; nil: nobody wants to know.
	Unmerging func(ctx context.Context, rec *domain.Record, m *Made) error
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
		case schema.PartyType:
			out.PartyType = api.Ptr(api.PartyType(v.Text))
		case schema.Gender:
			out.Gender = api.Ptr(api.Gender(v.Text))
		case schema.ProfileType:
			out.ProfileType = api.Ptr(api.ProfileType(v.Text))
		case schema.EngagementPhone:
			out.EngagementPreferences = preferences(out.EngagementPreferences)
			out.EngagementPreferences.Phone = contacts(v.Text)
		case schema.EngagementEmail:
			out.EngagementPreferences = preferences(out.EngagementPreferences)
			out.EngagementPreferences.Email = contacts(v.Text)
		default:
			if dst := scalar(out, v.Attr.ID); dst != nil {
				*dst = &v.Text
			}
		}
	}
}

func scalar(p *api.Profile, id uint16) **string {
	switch id {
	case schema.AccountNumber:
		return &p.AccountNumber
	case schema.AdditionalInformation:
		return &p.AdditionalInformation
	case schema.BusinessName:
		return &p.BusinessName
	case schema.FirstName:
		return &p.FirstName
	case schema.MiddleName:
		return &p.MiddleName
	case schema.LastName:
		return &p.LastName
	case schema.BirthDate:
		return &p.BirthDate
	case schema.PhoneNumber:
		return &p.PhoneNumber
	case schema.MobilePhoneNumber:
		return &p.MobilePhoneNumber
	case schema.HomePhoneNumber:
		return &p.HomePhoneNumber
	case schema.BusinessPhoneNumber:
		return &p.BusinessPhoneNumber
	case schema.EmailAddress:
		return &p.EmailAddress
	case schema.PersonalEmailAddress:
		return &p.PersonalEmailAddress
	case schema.BusinessEmailAddress:
		return &p.BusinessEmailAddress
	case schema.PartyTypeString:
		return &p.PartyTypeString
	case schema.GenderString:
		return &p.GenderString
	}
	return nil
}

func addressPart(p *api.Profile, base uint16, part int) **string {
	var block **api.Address
	switch base {
	case schema.Address:
		block = &p.Address
	case schema.ShippingAddress:
		block = &p.ShippingAddress
	case schema.MailingAddress:
		block = &p.MailingAddress
	default:
		block = &p.BillingAddress
	}
	if *block == nil {
		*block = &api.Address{}
	}
	return partsOf(*block)[part]
}

// partsOf returns the parts of an address in the order of their numbers.
func partsOf(a *api.Address) [10]**string {
	return [...]**string{&a.Address1, &a.Address2, &a.Address3, &a.Address4, &a.City, &a.County, &a.State, &a.Province, &a.Country, &a.PostalCode}
}

func preferences(p *api.EngagementPreferences) *api.EngagementPreferences {
	if p == nil {
		p = &api.EngagementPreferences{}
	}
	return p
}

// contacts reads a list of contact preferences as valuesOf wrote it.
func contacts(text string) (list []api.ContactPreference) {
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil // nobody else writes one
	}
	return list
}
