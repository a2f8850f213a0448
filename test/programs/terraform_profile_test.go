package programs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// profileConfig is what somebody writes for an aws_customerprofiles_profile, and, as state, what was read of one. Empty is absent.
type profileConfig struct {
	account, first, last, email, phone, party string
	address, billing                          map[string]string // by "City" and "Country"
	attributes                                map[string]string
}

// terraformProfile applies configurations of one profile as the provider does. An id is "domain:profile".
type terraformProfile struct {
	*account
	id    string
	state *profileConfig
}

func (p *terraformProfile) split() (domain, profile string) {
	domain, profile, _ = strings.Cut(p.id, ":")
	return domain, profile
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (p *terraformProfile) create(ctx context.Context, domain string, c profileConfig) error {
	out, err := p.CreateProfile(ctx, &customerprofiles.CreateProfileInput{
		DomainName: &domain, AccountNumber: text(c.account), FirstName: text(c.first), LastName: text(c.last), EmailAddress: text(c.email),
		PhoneNumber: text(c.phone), PartyTypeString: text(c.party), Address: wholeAddress(c.address), BillingAddress: wholeAddress(c.billing), Attributes: c.attributes,
	})
	if err != nil {
		return err
	}
	p.id = domain + ":" + *out.ProfileId
	return p.refresh(ctx)
}

func wholeAddress(parts map[string]string) *types.Address {
	if parts == nil {
		return nil
	}
	return &types.Address{City: text(parts["City"]), Country: text(parts["Country"])}
}

// update sends the members that differ: what is taken out of the configuration as an empty text, and blocks as a whole.
func (p *terraformProfile) update(ctx context.Context, c profileConfig) error {
	domain, id := p.split()
	in := &customerprofiles.UpdateProfileInput{DomainName: &domain, ProfileId: &id}
	for _, m := range []struct {
		was, is string
		to      **string
	}{
		{p.state.account, c.account, &in.AccountNumber}, {p.state.first, c.first, &in.FirstName}, {p.state.last, c.last, &in.LastName},
		{p.state.email, c.email, &in.EmailAddress}, {p.state.phone, c.phone, &in.PhoneNumber}, {p.state.party, c.party, &in.PartyTypeString},
	} {
		if m.was != m.is {
			*m.to = aws.String(m.is)
		}
	}
	changed := func(was, is map[string]string) *types.UpdateAddress {
		if maps.Equal(was, is) {
			return nil
		}
		return &types.UpdateAddress{City: aws.String(is["City"]), Country: aws.String(is["Country"])}
	}
	in.Address, in.BillingAddress = changed(p.state.address, c.address), changed(p.state.billing, c.billing)
	if !maps.Equal(p.state.attributes, c.attributes) {
		in.Attributes = map[string]string{}
		maps.Copy(in.Attributes, c.attributes)
		for k := range p.state.attributes {
			if _, ok := c.attributes[k]; !ok {
				in.Attributes[k] = ""
			}
		}
	}
	if _, err := p.UpdateProfile(ctx, in); err != nil {
		return err
	}
	return p.refresh(ctx)
}

// refresh reads the profile by the key _profileId. One that is gone, with its domain or without, is no longer in the state; several are an error.
func (p *terraformProfile) refresh(ctx context.Context) error {
	domain, id := p.split()
	out, err := p.SearchProfiles(ctx, &customerprofiles.SearchProfilesInput{DomainName: &domain, KeyName: aws.String("_profileId"), Values: []string{id}})
	if gone(err) || err == nil && len(out.Items) == 0 {
		p.state = nil
		return nil
	}
	if err != nil {
		return err
	}
	if len(out.Items) > 1 {
		return fmt.Errorf("%d profiles have the id %s", len(out.Items), id)
	}
	it := out.Items[0]
	if *it.ProfileId != id {
		return fmt.Errorf("the profile that was found has the id %s", *it.ProfileId)
	}
	read := func(a *types.Address) map[string]string {
		if a == nil {
			return nil
		}
		parts := map[string]string{}
		for k, v := range map[string]*string{"City": a.City, "Country": a.Country} {
			if v != nil {
				parts[k] = *v
			}
		}
		return parts
	}
	p.state = &profileConfig{
		account: aws.ToString(it.AccountNumber), first: aws.ToString(it.FirstName), last: aws.ToString(it.LastName), email: aws.ToString(it.EmailAddress),
		phone: aws.ToString(it.PhoneNumber), party: aws.ToString(it.PartyTypeString), address: read(it.Address), billing: read(it.BillingAddress), attributes: it.Attributes,
	}
	return nil
}

// destroy deletes the profile; one that has gone already is as good.
func (p *terraformProfile) destroy(ctx context.Context) error {
	domain, id := p.split()
	_, err := p.DeleteProfile(ctx, &customerprofiles.DeleteProfileInput{DomainName: &domain, ProfileId: &id})
	if err != nil && !gone(err) {
		return err
	}
	return nil
}

// A profile is created, read by its id, changed in place, imported and destroyed; after every apply the plan is empty.
func TestTerraformProfile(t *testing.T) {
	ctx := t.Context()
	a := start(t)
	const domain = "from-terraform"
	must(a.CreateDomain(ctx, &customerprofiles.CreateDomainInput{DomainName: aws.String(domain), DefaultExpirationDays: aws.Int32(365)}))(t)
	p := &terraformProfile{account: a}
	steps := []struct {
		what string
		c    profileConfig
	}{
		{"created", profileConfig{email: "ann@example.com", attributes: map[string]string{"tier": "gold", "x": "1"}}},
		{"more of it", profileConfig{email: "ann@example.com", first: "Ann", party: "Household", address: map[string]string{"City": "Rome", "Country": "IT"}, attributes: map[string]string{"tier": "gold", "x": "1"}}},
		{"changed", profileConfig{email: "ann@example.org", first: "Anna", last: "Lee", phone: "+1 206 555 0100", party: "Household", account: "7",
			address: map[string]string{"City": "Milan", "Country": "IT"}, billing: map[string]string{"Country": "CH"}, attributes: map[string]string{"tier": "tin"}}},
		{"parts taken out", profileConfig{email: "ann@example.org", account: "7", address: map[string]string{"Country": "IT"}, attributes: map[string]string{"tier": "tin"}}},
		{"nothing left but this", profileConfig{email: "ann@example.org"}},
	}
	for i, step := range steps {
		if i == 0 {
			if err := p.create(ctx, domain, step.c); err != nil {
				t.Fatal(err)
			}
		} else if err := p.update(ctx, step.c); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if p.state == nil {
			t.Fatalf("%s: the profile is gone", step.what)
		}
		if got, want := fmt.Sprintf("%+v", *p.state), fmt.Sprintf("%+v", step.c); got != want {
			t.Fatalf("%s: the state is %s, want %s", step.what, got, want)
		}
		imported := &terraformProfile{account: a, id: p.id}
		if err := imported.refresh(ctx); err != nil || imported.state == nil || fmt.Sprintf("%+v", *imported.state) != fmt.Sprintf("%+v", *p.state) {
			t.Fatalf("%s: imported as %+v: %v", step.what, imported.state, err)
		}
	}
	if err := p.destroy(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.refresh(ctx); err != nil || p.state != nil {
		t.Fatalf("a profile that was destroyed is read: %+v, %v", p.state, err)
	}
	if err := p.destroy(ctx); err != nil {
		t.Fatalf("it is destroyed twice: %v", err)
	}
	// Behind the provider's back, with its domain.
	if err := p.create(ctx, domain, steps[0].c); err != nil {
		t.Fatal(err)
	}
	must(a.DeleteDomain(ctx, &customerprofiles.DeleteDomainInput{DomainName: aws.String(domain)}))(t)
	if err := p.refresh(ctx); err != nil || p.state != nil {
		t.Fatalf("a profile of a domain that is gone is read: %+v, %v", p.state, err)
	}
	if err := p.destroy(ctx); err != nil {
		t.Fatal(err)
	}
	var bad *types.BadRequestException
	if _, err := a.DeleteProfile(ctx, &customerprofiles.DeleteProfileInput{DomainName: aws.String(domain), ProfileId: aws.String("no id")}); !errors.As(err, &bad) {
		t.Errorf("what is no id: %v", err)
	}
}
