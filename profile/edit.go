package profile

import (
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/write"
	"kith/schema"
)

// CreateProfile makes a profile with what the caller says of it, if anything; two calls make two. An empty text says nothing. Behaviour:
// docs/spec/core.md 5.1.
func (s *Service) CreateProfile(ctx context.Context, in *api.CreateProfileRequest) (*api.CreateProfileResponse, error) {
	if _, err := s.Domains.Lookup(ctx, *in.DomainName); err != nil {
		return nil, err
	}
	values, err := valuesOf(formOf(in))
	if err != nil {
		return nil, err
	}
	values = slices.DeleteFunc(values, func(v fold.Value) bool { return v.Text == "" })
	r, err := s.Writer.Create(ctx, *in.DomainName, caller(ctx), func(_ context.Context, d *write.Draft) error {
		d.Note(write.Created, "", "", "")
		return d.Set(values, lifeIn(d.Record))
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateProfileResponse{ProfileId: api.Ptr(r.ID.String())}, nil
}

// UpdateProfile changes what the caller names: what is absent stays, an empty text blanks, whatever else says it. Parts of addresses and
// custom attributes are changed one by one, lists of contact preferences as a whole. Behaviour: docs/spec/core.md 5.1.
func (s *Service) UpdateProfile(ctx context.Context, in *api.UpdateProfileRequest) (*api.UpdateProfileResponse, error) {
	if _, err := s.Domains.Lookup(ctx, *in.DomainName); err != nil {
		return nil, err
	}
	values, err := valuesOf(in)
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	_, err = s.Writer.Change(ctx, *in.DomainName, caller(ctx), id, func(_ context.Context, d *write.Draft) error {
		if err := d.FindProfile(id); err != nil {
			return err
		}
		d.Note(write.Updated, "", "", "")
		return d.Set(values, lifeIn(d.Record))
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateProfileResponse{ProfileId: in.ProfileId}, nil
}

// lifeIn is how long what is written by hand lives in a domain.
func lifeIn(rec *domain.Record) time.Duration {
	return time.Duration(rec.DefaultExpirationDays) * 24 * time.Hour
}

// formOf returns a request that creates a profile as one that changes it.
func formOf(in *api.CreateProfileRequest) *api.UpdateProfileRequest {
	return &api.UpdateProfileRequest{
		AccountNumber: in.AccountNumber, AdditionalInformation: in.AdditionalInformation, PartyType: in.PartyType,
		BusinessName: in.BusinessName, FirstName: in.FirstName, MiddleName: in.MiddleName, LastName: in.LastName,
		BirthDate: in.BirthDate, Gender: in.Gender, PhoneNumber: in.PhoneNumber, MobilePhoneNumber: in.MobilePhoneNumber,
		HomePhoneNumber: in.HomePhoneNumber, BusinessPhoneNumber: in.BusinessPhoneNumber, EmailAddress: in.EmailAddress,
		PersonalEmailAddress: in.PersonalEmailAddress, BusinessEmailAddress: in.BusinessEmailAddress,
		Address: (*api.UpdateAddress)(in.Address), ShippingAddress: (*api.UpdateAddress)(in.ShippingAddress),
		MailingAddress: (*api.UpdateAddress)(in.MailingAddress), BillingAddress: (*api.UpdateAddress)(in.BillingAddress),
		Attributes: in.Attributes, PartyTypeString: in.PartyTypeString, GenderString: in.GenderString,
		ProfileType: in.ProfileType, EngagementPreferences: in.EngagementPreferences,
	}
}

// valuesOf returns what a request says, each attribute once; an empty text is a blank. The error is fault.BadRequest.
func valuesOf(in *api.UpdateProfileRequest) (values []fold.Value, err error) {
	say := func(a schema.Attr, text string) { values = append(values, fold.Value{Attr: a, Text: text}) }
	for id, text := range map[uint16]*string{
		schema.AccountNumber: in.AccountNumber, schema.AdditionalInformation: in.AdditionalInformation, schema.BusinessName: in.BusinessName,
		schema.FirstName: in.FirstName, schema.MiddleName: in.MiddleName, schema.LastName: in.LastName, schema.BirthDate: in.BirthDate,
		schema.PhoneNumber: in.PhoneNumber, schema.MobilePhoneNumber: in.MobilePhoneNumber, schema.HomePhoneNumber: in.HomePhoneNumber,
		schema.BusinessPhoneNumber: in.BusinessPhoneNumber, schema.EmailAddress: in.EmailAddress,
		schema.PersonalEmailAddress: in.PersonalEmailAddress, schema.BusinessEmailAddress: in.BusinessEmailAddress,
		schema.ProfileType: (*string)(in.ProfileType),
	} {
		if text != nil {
			say(schema.Attr{ID: id}, *text)
		}
	}
	for _, twins := range []struct {
		id         uint16
		enum, free *string
	}{
		{schema.PartyType, (*string)(in.PartyType), in.PartyTypeString}, {schema.Gender, (*string)(in.Gender), in.GenderString},
	} {
		if err := sayTwins(schema.Attr{ID: twins.id}, twins.enum, twins.free, say); err != nil {
			return nil, err
		}
	}
	for base, block := range map[uint16]*api.UpdateAddress{
		schema.Address: in.Address, schema.ShippingAddress: in.ShippingAddress, schema.MailingAddress: in.MailingAddress, schema.BillingAddress: in.BillingAddress,
	} {
		if block == nil {
			continue
		}
		for i, part := range partsOf((*api.Address)(block)) {
			if *part != nil {
				say(schema.Attr{ID: base + uint16(i)}, **part)
			}
		}
	}
	for name, text := range in.Attributes {
		a, ok := schema.ParsePath("Attributes." + name)
		if !ok {
			return nil, fault.BadRequestf("A name in Attributes holds a control character, such as a line break or a tab. Leave these out.")
		}
		say(a, text)
	}
	if p := in.EngagementPreferences; p != nil {
		for id, list := range map[uint16][]api.ContactPreference{schema.EngagementPhone: p.Phone, schema.EngagementEmail: p.Email} {
			if list == nil {
				continue
			}
			text := ""
			if len(list) > 0 {
				b, err := json.Marshal(list)
				if err != nil {
					return nil, err
				}
				text = string(b)
			}
			say(schema.Attr{ID: id}, text)
		}
	}
	return values, nil
}

// sayTwins says what a request says of an attribute that is an enumeration and of its free form, of which a profile has one: who sets
// one blanks the other, and an empty free form, since the enumeration has no empty value, blanks both.
func sayTwins(a schema.Attr, enum, free *string, say func(schema.Attr, string)) error {
	twin, _ := a.Twin()
	switch {
	case api.Val(enum) != "" && api.Val(free) != "":
		return fault.BadRequestf("%s and %s say the same thing in two forms. Give one of them.", a.Path(), twin.Path())
	case enum != nil:
		say(a, *enum)
		say(twin, "")
	case free != nil:
		say(a, "")
		say(twin, *free)
	}
	return nil
}
