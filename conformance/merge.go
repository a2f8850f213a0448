package conformance

import (
	"encoding/json"
	"fmt"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

var mergeChecks = []Check{
	{"MergeProfiles", "the main profile wins, gains what it lacks and the keys of the others, and these are gone", "core.md 5.5", Model, func(t *T) {
		account, email := unique("a"), unique("e")+"@example.com"
		main := t.person(&cp.CreateProfileInput{AccountNumber: &account, FirstName: new("Ada"), Attributes: map[string]string{"x": "1"}})
		other := t.person(&cp.CreateProfileInput{EmailAddress: &email, FirstName: new("Augusta"), LastName: new("King"), Attributes: map[string]string{"x": "2", "y": "3"}})
		t.profile(other)
		if out := call(t, t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{other}}); text(out.Message) == "" {
			t.Differs("there is no Message")
		}
		t.findsNothing("_profileId", other)
		t.finds("_email", email, account)
		got := t.profile(main)
		sameText(t, "FirstName, which both have", got.FirstName, "Ada")
		sameText(t, "LastName, which the other has", got.LastName, "King")
		same(t, "Attributes", fmt.Sprint(got.Attributes), "map[x:1 y:3]")
	}},
	{"MergeProfiles", "FieldSourceProfileIds says whose value wins, also if there is none", "core.md 5.5", Model, func(t *T) {
		main := t.person(&cp.CreateProfileInput{FirstName: new("Ada"), LastName: new("Byron"), Attributes: map[string]string{"x": "1"}})
		other := t.person(&cp.CreateProfileInput{FirstName: new("Augusta"), Attributes: map[string]string{"x": "2"}})
		t.profile(other)
		call(t, t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{other},
			FieldSourceProfileIds: &types.FieldSourceProfileIds{FirstName: &other, LastName: &other, Attributes: map[string]string{"x": other}}})
		t.becomes(main, func(p types.Profile) string {
			if text(p.FirstName) != "Augusta" || text(p.LastName) != "" || p.Attributes["x"] != "2" {
				return fmt.Sprintf("FirstName, LastName and the attribute x are %q, %q, %q", text(p.FirstName), text(p.LastName), p.Attributes["x"])
			}
			return ""
		})
	}},
	{"MergeProfiles", "an id that is not in the domain is refused, and not as not found", "core.md 5.5", Observed, func(t *T) {
		main := t.person(&cp.CreateProfileInput{})
		refused(t, "an unknown id", t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{*unknownID()}}, badRequest, "")
		refused(t, "an unknown main id", t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: unknownID(), ProfileIdsToBeMerged: []string{main}}, badRequest, "")
	}},
	{"MergeProfiles", "the main profile among the others, an id twice, or a source outside of the merge are refused", "core.md 5.5", Inferred, func(t *T) {
		main, other := t.person(&cp.CreateProfileInput{}), t.person(&cp.CreateProfileInput{})
		refused(t, "itself", t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{main}}, badRequest, "")
		refused(t, "an id twice", t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{other, other}}, badRequest, "")
		refused(t, "a source outside", t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{other},
			FieldSourceProfileIds: &types.FieldSourceProfileIds{FirstName: unknownID()}}, badRequest, "")
	}},
	{"MergeProfiles", "21 profiles are refused", "core.md 5.5", Model, func(t *T) {
		var ids []string
		for range 21 {
			ids = append(ids, *unknownID())
		}
		refused(t, "21 ids", t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: unknownID(), ProfileIdsToBeMerged: ids}, badRequest, "")
	}},
}

var historyChecks = []Check{
	{"ListProfileHistoryRecords", "what happened to a profile is listed, newest first, and filtered by action", "core.md 5.6", Model, func(t *T) {
		id := t.person(&cp.CreateProfileInput{FirstName: new("Ada")})
		call(t, t.Client.UpdateProfile, &cp.UpdateProfileInput{DomainName: &t.domain, ProfileId: &id, FirstName: new("Augusta")})
		call(t, t.Client.AddProfileKey, &cp.AddProfileKeyInput{DomainName: &t.domain, ProfileId: &id, KeyName: new("_ctrContactId"), Values: []string{unique("c")}})
		t.eventually(func() string {
			if got := t.actions(id, ""); got != "ADDED_PROFILE_KEY UPDATED CREATED" {
				return "the actions are " + got + ", want ADDED_PROFILE_KEY UPDATED CREATED"
			}
			return ""
		})
		same(t, "filtered by UPDATED", t.actions(id, types.ActionTypeUpdated), "UPDATED")
	}},
	{"ListProfileHistoryRecords", "a merge is MERGED on the main profile and DELETED_BY_MERGE on the other", "core.md 5.6", Model, func(t *T) {
		main, other := t.person(&cp.CreateProfileInput{FirstName: new("Ada")}), t.person(&cp.CreateProfileInput{LastName: new("King")})
		t.profile(other)
		call(t, t.Client.MergeProfiles, &cp.MergeProfilesInput{DomainName: &t.domain, MainProfileId: &main, ProfileIdsToBeMerged: []string{other}})
		t.eventually(func() string {
			if a, b := t.actions(main, types.ActionTypeMerged), t.actions(other, types.ActionTypeDeletedByMerge); a != "MERGED" || b != "DELETED_BY_MERGE" {
				return fmt.Sprintf("the main profile has %q, the other %q", a, b)
			}
			return ""
		})
	}},
	{"GetProfileHistoryRecord", "a record has the profile as JSON, and who did it", "core.md 5.6", Model, func(t *T) {
		id := t.person(&cp.CreateProfileInput{FirstName: new("Ada")})
		var record string
		t.eventually(func() string {
			got := call(t, t.ListProfileHistoryRecords, &cp.ListProfileHistoryRecordsInput{DomainName: &t.domain, ProfileId: &id}).ProfileHistoryRecords
			if len(got) != 1 {
				return fmt.Sprintf("there are %d records, want 1", len(got))
			}
			record = *got[0].Id
			return ""
		})
		got := call(t, t.Client.GetProfileHistoryRecord, &cp.GetProfileHistoryRecordInput{DomainName: &t.domain, ProfileId: &id, Id: &record})
		var content map[string]any
		if err := json.Unmarshal([]byte(text(got.Content)), &content); err != nil || content["FirstName"] != "Ada" {
			t.Differs("Content is not the profile as JSON: %q", text(got.Content))
		}
		if !hexID.MatchString(record) || got.CreatedAt == nil || text(got.PerformedBy) == "" {
			t.Differs("Id %q, CreatedAt %v, PerformedBy %q: one of them is not there", record, got.CreatedAt, text(got.PerformedBy))
		}
	}},
	{"GetProfileHistoryRecord", "an unknown record is not found", "core.md 5.6", Inferred, func(t *T) {
		id := t.person(&cp.CreateProfileInput{})
		refused(t, "an unknown id", t.Client.GetProfileHistoryRecord, &cp.GetProfileHistoryRecordInput{DomainName: &t.domain, ProfileId: &id, Id: unknownID()}, notFound, "")
	}},
}

// actions are the actions of a profile's history in the order of the list.
func (t *T) actions(id string, filter types.ActionType) string {
	all := ""
	for _, r := range call(t, t.ListProfileHistoryRecords, &cp.ListProfileHistoryRecordsInput{DomainName: &t.domain, ProfileId: &id, ActionType: filter}).ProfileHistoryRecords {
		if all != "" {
			all += " "
		}
		all += string(r.ActionType)
	}
	return all
}
