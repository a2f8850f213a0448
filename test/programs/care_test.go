package programs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// sweep removes what tests of a prefix have left: the integrations and types of their domains, then these. What somebody else removes at the
// same time is as good as removed.
func sweep(ctx context.Context, a *account, prefix string) error {
	var errs []error
	ok := func(err error) {
		if err != nil && !gone(err) {
			errs = append(errs, err)
		}
	}
	in := &cp.ListDomainsInput{MaxResults: new(int32(2))}
	for {
		page, err := a.ListDomains(ctx, in)
		if err != nil {
			return err
		}
		for _, d := range page.Items {
			if !strings.HasPrefix(*d.DomainName, prefix) {
				continue
			}
			list, err := a.ListIntegrations(ctx, &cp.ListIntegrationsInput{DomainName: d.DomainName})
			if ok(err); err == nil {
				for _, i := range list.Items {
					_, err := a.DeleteIntegration(ctx, &cp.DeleteIntegrationInput{DomainName: d.DomainName, Uri: i.Uri})
					ok(err)
				}
			}
			all, err := a.ListProfileObjectTypes(ctx, &cp.ListProfileObjectTypesInput{DomainName: d.DomainName})
			if ok(err); err == nil {
				for _, o := range all.Items {
					_, err := a.DeleteProfileObjectType(ctx, &cp.DeleteProfileObjectTypeInput{DomainName: d.DomainName, ObjectTypeName: o.ObjectTypeName})
					ok(err)
				}
			}
			_, err = a.DeleteDomain(ctx, &cp.DeleteDomainInput{DomainName: d.DomainName})
			ok(err)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return errors.Join(errs...)
		}
	}
}

// leads is a type without ceremony.
func leads(domain string) *cp.PutProfileObjectTypeInput {
	return &cp.PutProfileObjectTypeInput{DomainName: &domain, ObjectTypeName: new("leads"), Description: new("leads"), AllowProfileCreation: true,
		Fields: map[string]types.ObjectTypeField{"id": {Source: new("_source.id")},
			"email": {Source: new("_source.email"), Target: new("_profile.EmailAddress"), ContentType: types.FieldContentTypeEmailAddress},
			"phone": {Source: new("_source.phone"), Target: new("_profile.PhoneNumber"), ContentType: types.FieldContentTypePhoneNumber}},
		Keys: map[string][]types.ObjectTypeKey{"leadId": typeKey("id", types.StandardIdentifierUnique, types.StandardIdentifierProfile)}}
}

// Two sweepers at the same time remove what is theirs, page by page while it shrinks, and leave the rest.
func TestSweeper(t *testing.T) {
	a := start(t)
	for i := range 5 {
		domain := newDomain(t, a, fmt.Sprint("tf-acc-", i))
		must(a.PutProfileObjectType(t.Context(), leads(domain)))(t)
		must(a.PutIntegration(t.Context(), &cp.PutIntegrationInput{DomainName: &domain, ObjectTypeName: new("leads"), Uri: new(fmt.Sprintf("arn:aws:appflow:%s:%s:flow/f%d", region, a.id, i))}))(t)
		must(a.PutProfileObject(t.Context(), &cp.PutProfileObjectInput{DomainName: &domain, ObjectTypeName: new("leads"), Object: new(`{"id": "1"}`)}))(t)
	}
	newDomain(t, a, "production")
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- sweep(t.Context(), a, "tf-acc-") }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := sweep(t.Context(), a, "tf-acc-"); err != nil {
		t.Error(err)
	}
	var left []string
	for _, d := range must(a.ListDomains(t.Context(), &cp.ListDomainsInput{}))(t).Items {
		left = append(left, *d.DomainName)
	}
	same(t, "domains left", left, []string{"production"})
}

// erase deletes everything about whoever has one of these keys, objects first, and returns how many profiles and objects that were.
func erase(ctx context.Context, a *account, domain string, keys map[string]string) (profiles, objects int, err error) {
	in := &cp.SearchProfilesInput{DomainName: &domain, LogicalOperator: types.LogicalOperatorOr}
	for name, value := range keys {
		if in.KeyName == nil {
			in.KeyName, in.Values = &name, []string{value}
		} else {
			in.AdditionalSearchKeys = append(in.AdditionalSearchKeys, types.AdditionalSearchKey{KeyName: &name, Values: []string{value}})
		}
	}
	found, err := a.SearchProfiles(ctx, in)
	if err != nil {
		return 0, 0, err
	}
	all, err := a.ListProfileObjectTypes(ctx, &cp.ListProfileObjectTypesInput{DomainName: &domain})
	if err != nil {
		return 0, 0, err
	}
	for _, p := range found.Items {
		for _, o := range all.Items {
			for {
				list, err := a.ListProfileObjects(ctx, &cp.ListProfileObjectsInput{DomainName: &domain, ProfileId: p.ProfileId, ObjectTypeName: o.ObjectTypeName, MaxResults: new(int32(2))})
				if err != nil {
					return profiles, objects, err
				}
				if len(list.Items) == 0 {
					break
				}
				for _, item := range list.Items {
					if _, err := a.DeleteProfileObject(ctx, &cp.DeleteProfileObjectInput{DomainName: &domain, ProfileId: p.ProfileId, ObjectTypeName: o.ObjectTypeName, ProfileObjectUniqueKey: item.ProfileObjectUniqueKey}); err != nil {
						return profiles, objects, err
					}
					objects++
				}
			}
		}
		if _, err := a.DeleteProfile(ctx, &cp.DeleteProfileInput{DomainName: &domain, ProfileId: p.ProfileId}); err != nil && !gone(err) {
			return profiles, objects, err
		}
		profiles++
	}
	return profiles, objects, nil
}

// Who asks to be forgotten is: by no key is anything found, and the neighbour stays.
func TestEraser(t *testing.T) {
	a := start(t)
	domain := newDomain(t, a, "privacy")
	must(a.PutProfileObjectType(t.Context(), leads(domain)))(t)
	put := func(text string) {
		must(a.PutProfileObject(t.Context(), &cp.PutProfileObjectInput{DomainName: &domain, ObjectTypeName: new("leads"), Object: &text}))(t)
	}
	for i := range 3 {
		put(fmt.Sprintf(`{"id": "l%d", "email": "ada@example.com"}`, i))
	}
	put(`{"id": "l9", "phone": "+12065550100"}`)
	put(`{"id": "other", "email": "ben@example.com"}`)
	keys := map[string]string{"_email": "Ada@Example.com", "_phone": "2065550100"}
	profiles, objects, err := erase(t.Context(), a, domain, keys)
	if err != nil || profiles != 4 || objects != 4 { // one profile for each lead: they share nothing that matches
		t.Fatalf("%d profiles and %d objects: %v", profiles, objects, err)
	}
	for name, value := range map[string]string{"_email": "ada@example.com", "_phone": "+12065550100", "leadId": "l1"} {
		same(t, "found by "+name, len(must(a.SearchProfiles(t.Context(), &cp.SearchProfilesInput{DomainName: &domain, KeyName: &name, Values: []string{value}}))(t).Items), 0)
	}
	if profiles, objects, err := erase(t.Context(), a, domain, keys); err != nil || profiles != 0 || objects != 0 {
		t.Errorf("a second time: %d profiles and %d objects: %v", profiles, objects, err)
	}
	same(t, "the neighbour", must(a.GetDomain(t.Context(), &cp.GetDomainInput{DomainName: &domain}))(t).Stats.ProfileCount, int64(1))
}

// dedupe merges the profiles of a key value into the first of them, twenty at a time.
func dedupe(ctx context.Context, a *account, domain, key, value string) (merged int, err error) {
	for {
		found, err := a.SearchProfiles(ctx, &cp.SearchProfilesInput{DomainName: &domain, KeyName: &key, Values: []string{value}, MaxResults: new(int32(21))})
		if err != nil || len(found.Items) < 2 {
			return merged, err
		}
		var ids []string
		for _, p := range found.Items {
			ids = append(ids, *p.ProfileId)
		}
		slices.Sort(ids)
		if _, err := a.MergeProfiles(ctx, &cp.MergeProfilesInput{DomainName: &domain, MainProfileId: &ids[0], ProfileIdsToBeMerged: ids[1:]}); err != nil {
			return merged, err
		}
		merged += len(ids) - 1
	}
}

// Duplicates that a careless import made become one customer with everything they had; a second run finds nothing to do.
func TestDeduplicator(t *testing.T) {
	a := start(t)
	domain := newDomain(t, a, "dedupe")
	const duplicates = 30
	for i := range duplicates {
		must(a.CreateProfile(t.Context(), &cp.CreateProfileInput{DomainName: &domain, EmailAddress: new("ada@example.com"), AccountNumber: new(fmt.Sprint("A-", i)), Attributes: map[string]string{fmt.Sprint("k", i): "v"}}))(t)
	}
	for _, want := range []int{duplicates - 1, 0} {
		if merged, err := dedupe(t.Context(), a, domain, "_email", "ADA@example.com"); err != nil || merged != want {
			t.Fatalf("%d were merged, want %d: %v", merged, want, err)
		}
	}
	for _, account := range []string{"A-0", "A-29"} {
		found := must(a.SearchProfiles(t.Context(), &cp.SearchProfilesInput{DomainName: &domain, KeyName: new("_account"), Values: []string{account}}))(t).Items
		if len(found) != 1 || len(found[0].Attributes) != duplicates {
			t.Errorf("%s finds %d profiles: %+v", account, len(found), found)
		}
	}
}
