package conformance

import (
	"strings"
	"time"

	cp "github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// matchingDomain is a domain of its own whose matching is enabled. Nothing has run in it yet.
func (t *T) matchingDomain() *string {
	name := t.anotherDomain()
	call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: &name, Matching: &types.MatchingRequest{Enabled: new(true)}})
	return &name
}

func preview(name *string, attribute string) *cp.GetAutoMergingPreviewInput {
	return &cp.GetAutoMergingPreviewInput{
		DomainName: name, Consolidation: &types.Consolidation{MatchingAttributesList: [][]string{{attribute}}},
		ConflictResolution: &types.ConflictResolution{ConflictResolvingModel: types.ConflictResolvingModelRecency},
	}
}

// matchChecks are about identity resolution, as far as it can be seen without waiting a week for a job.
var matchChecks = []Check{
	{"ListIdentityResolutionJobs", "a domain whose matching is enabled has a PENDING job that begins within a day", "advanced.md 1.2", Doc, func(t *T) {
		name := t.matchingDomain()
		t.eventually(func() string {
			out := call(t, t.ListIdentityResolutionJobs, &cp.ListIdentityResolutionJobsInput{DomainName: name})
			if len(out.IdentityResolutionJobsList) != 1 || out.IdentityResolutionJobsList[0].Status != types.IdentityResolutionJobStatusPending {
				return "the list is not one PENDING job"
			}
			if at := out.IdentityResolutionJobsList[0].JobStartTime; at == nil || time.Until(*at) > 25*time.Hour {
				return "JobStartTime is not within a day"
			}
			return ""
		})
	}},
	{"ListIdentityResolutionJobs", "disabling matching removes the PENDING job", "advanced.md 1.1", Model, func(t *T) {
		name := t.matchingDomain()
		call(t, t.UpdateDomain, &cp.UpdateDomainInput{DomainName: name, Matching: &types.MatchingRequest{Enabled: new(false)}})
		t.eventually(func() string {
			if out := call(t, t.ListIdentityResolutionJobs, &cp.ListIdentityResolutionJobsInput{DomainName: name}); len(out.IdentityResolutionJobsList) != 0 {
				return "there still is a job"
			}
			return ""
		})
	}},
	{"GetIdentityResolutionJob", "a job of the list is told with its settings", "advanced.md 1.2", Model, func(t *T) {
		name := t.matchingDomain()
		var id *string
		t.eventually(func() string {
			out := call(t, t.ListIdentityResolutionJobs, &cp.ListIdentityResolutionJobsInput{DomainName: name})
			if len(out.IdentityResolutionJobsList) == 0 {
				return "there is no job"
			}
			id = out.IdentityResolutionJobsList[0].JobId
			return ""
		})
		got := call(t, t.GetIdentityResolutionJob, &cp.GetIdentityResolutionJobInput{DomainName: name, JobId: id})
		sameText(t, "JobId", got.JobId, *id)
		sameText(t, "DomainName", got.DomainName, *name)
		same(t, "Status", got.Status, types.IdentityResolutionJobStatusPending)
	}},
	{"GetIdentityResolutionJob", "an unknown job is not found", "advanced.md 1.5", Inferred, func(t *T) {
		name := t.matchingDomain()
		refused(t, "an unknown job", t.Client.GetIdentityResolutionJob, &cp.GetIdentityResolutionJobInput{DomainName: name, JobId: new(strings.Repeat("ab", 16))}, notFound, "")
	}},
	{"GetMatches", "before a job has run there are none", "advanced.md 1.5", Inferred, func(t *T) {
		out := call(t, t.GetMatches, &cp.GetMatchesInput{DomainName: t.matchingDomain()})
		if len(out.Matches) != 0 || out.PotentialMatches != nil && *out.PotentialMatches != 0 || out.MatchGenerationDate != nil {
			t.Differs("got %d matches, PotentialMatches %v, MatchGenerationDate %v", len(out.Matches), out.PotentialMatches, out.MatchGenerationDate)
		}
	}},
	{"GetMatches", "it is refused where matching is not enabled", "advanced.md 1.5", Inferred, func(t *T) {
		refused(t, "a domain without matching", t.Client.GetMatches, &cp.GetMatchesInput{DomainName: &t.domain}, badRequest, "")
	}},
	{"GetAutoMergingPreview", "without results it counts nothing", "advanced.md 1.5", Inferred, func(t *T) {
		out := call(t, t.GetAutoMergingPreview, preview(t.matchingDomain(), "EmailAddress"))
		same(t, "NumberOfMatchesInSample", out.NumberOfMatchesInSample, 0)
		same(t, "NumberOfProfilesInSample", out.NumberOfProfilesInSample, 0)
		same(t, "NumberOfProfilesWillBeMerged", out.NumberOfProfilesWillBeMerged, 0)
	}},
	{"GetAutoMergingPreview", "an attribute that no profile has is refused", "advanced.md 1.1", Inferred, func(t *T) {
		refused(t, "Surname", t.Client.GetAutoMergingPreview, preview(t.matchingDomain(), "Surname"), badRequest, "")
	}},
	{"GetSimilarProfiles", "a profile that is like nobody has no similar ones", "advanced.md 1.5", Inferred, func(t *T) {
		name := t.matchingDomain()
		id := call(t, t.CreateProfile, &cp.CreateProfileInput{DomainName: name, FirstName: new("Ada")}).ProfileId
		in := &cp.GetSimilarProfilesInput{DomainName: name, MatchType: types.MatchTypeMlBasedMatching, SearchKey: new("_profileId"), SearchValue: id}
		if out := call(t, t.GetSimilarProfiles, in); len(out.ProfileIds) != 0 {
			t.Differs("got %v", out.ProfileIds)
		}
	}},
	{"GetSimilarProfiles", "an unknown profile, or match, is not found, and an unknown key is refused", "advanced.md 1.5", Inferred, func(t *T) {
		name := t.matchingDomain()
		for key, want := range map[string]exception{"_profileId": notFound, "_matchId": notFound, "FavouriteColour": badRequest} {
			in := &cp.GetSimilarProfilesInput{DomainName: name, MatchType: types.MatchTypeMlBasedMatching, SearchKey: &key, SearchValue: new(strings.Repeat("ab", 16))}
			refused(t, key, t.Client.GetSimilarProfiles, in, want, "")
		}
	}},
}
