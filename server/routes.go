package server

import (
	"context"

	"kith/internal/restjson"
)

// handlers are the bound operations by name.
type handlers map[string]func(ctx context.Context, in restjson.Input) (any, error)

// on binds an operation to its method.
func on[In restjson.Input, Out any](h handlers, name string, method func(context.Context, In) (Out, error)) {
	h[name] = func(ctx context.Context, in restjson.Input) (any, error) { return method(ctx, in.(In)) }
}

// bind is the table of what is built: one line per operation. What has no line answers 501.
func (s *Server) bind() handlers {
	h := handlers{}

	on(h, "CreateDomain", s.Domains.CreateDomain)
	on(h, "GetDomain", s.Domains.GetDomain)
	on(h, "UpdateDomain", s.Domains.UpdateDomain)
	on(h, "DeleteDomain", s.Domains.DeleteDomain)
	on(h, "ListDomains", s.Domains.ListDomains)
	on(h, "TagResource", s.Domains.TagResource)
	on(h, "UntagResource", s.Domains.UntagResource)
	on(h, "ListTagsForResource", s.Domains.ListTagsForResource)
	on(h, "CreateDomainLayout", s.Domains.CreateDomainLayout)
	on(h, "GetDomainLayout", s.Domains.GetDomainLayout)
	on(h, "ListDomainLayouts", s.Domains.ListDomainLayouts)
	on(h, "UpdateDomainLayout", s.Domains.UpdateDomainLayout)
	on(h, "DeleteDomainLayout", s.Domains.DeleteDomainLayout)
	on(h, "PutDomainObjectType", s.Domains.PutDomainObjectType)
	on(h, "GetDomainObjectType", s.Domains.GetDomainObjectType)
	on(h, "ListDomainObjectTypes", s.Domains.ListDomainObjectTypes)
	on(h, "DeleteDomainObjectType", s.Domains.DeleteDomainObjectType)
	on(h, "ListBackgroundWork", s.Domains.ListBackgroundWork)
	on(h, "CancelBackgroundWork", s.Domains.CancelBackgroundWork)

	on(h, "PutProfileObjectType", s.Types.PutProfileObjectType)
	on(h, "GetProfileObjectType", s.Types.GetProfileObjectType)
	on(h, "ListProfileObjectTypes", s.Types.ListProfileObjectTypes)
	on(h, "DeleteProfileObjectType", s.Types.DeleteProfileObjectType)
	on(h, "ListProfileObjectTypeTemplates", s.Types.ListProfileObjectTypeTemplates)
	on(h, "GetProfileObjectTypeTemplate", s.Types.GetProfileObjectTypeTemplate)
	on(h, "DetectProfileObjectType", s.Types.DetectProfileObjectType)

	on(h, "CreateUploadJob", s.Uploads.CreateUploadJob)
	on(h, "GetUploadJobPath", s.Uploads.GetUploadJobPath)
	on(h, "StartUploadJob", s.Uploads.StartUploadJob)
	on(h, "StopUploadJob", s.Uploads.StopUploadJob)
	on(h, "GetUploadJob", s.Uploads.GetUploadJob)
	on(h, "ListUploadJobs", s.Uploads.ListUploadJobs)
	on(h, "GetUploadJobDetails", s.Uploads.GetUploadJobDetails)
	on(h, "ListUploadJobRejects", s.Uploads.ListUploadJobRejects)
	on(h, "ExportUploadJobRejects", s.Uploads.ExportUploadJobRejects)
	on(h, "DryRunUploadJob", s.Uploads.DryRunUploadJob)
	on(h, "UndoUploadJob", s.Uploads.UndoUploadJob)
	on(h, "PutUploadJobOptions", s.Uploads.PutUploadJobOptions)
	on(h, "PutUploadJobMapping", s.Uploads.PutUploadJobMapping)
	on(h, "SuggestUploadMapping", s.Uploads.SuggestUploadMapping)

	s.bindProfiles(h)

	on(h, "PutIntegration", s.Integrations.PutIntegration)
	on(h, "GetIntegration", s.Integrations.GetIntegration)
	on(h, "DeleteIntegration", s.Integrations.DeleteIntegration)
	on(h, "ListIntegrations", s.Integrations.ListIntegrations)
	on(h, "ListAccountIntegrations", s.Integrations.ListAccountIntegrations)
	on(h, "GetIntegrationDetails", s.Integrations.GetIntegrationDetails)

	s.bindMatches(h)
	s.bindCatalog(h)
	s.bindOperators(h)

	return h
}

// bindMatches binds identity resolution.
func (s *Server) bindMatches(h handlers) {
	on(h, "GetMatches", s.Matches.GetMatches)
	on(h, "GetSimilarProfiles", s.Matches.GetSimilarProfiles)
	on(h, "GetAutoMergingPreview", s.Matches.GetAutoMergingPreview)
	on(h, "ListIdentityResolutionJobs", s.Matches.ListIdentityResolutionJobs)
	on(h, "GetIdentityResolutionJob", s.Matches.GetIdentityResolutionJob)
	on(h, "StartIdentityResolutionJob", s.Matches.StartIdentityResolutionJob)
	on(h, "GetIdentityResolutionJobDetails", s.Matches.GetIdentityResolutionJobDetails)
	on(h, "ListIdentityResolutionJobMerges", s.Matches.ListIdentityResolutionJobMerges)
	on(h, "UnmergeMatch", s.Matches.UnmergeMatch)
	on(h, "ExplainMatch", s.Matches.ExplainMatch)
	on(h, "PutMatchAnswer", s.Matches.PutMatchAnswer)
	on(h, "ListMatchAnswers", s.Matches.ListMatchAnswers)
	on(h, "DeleteMatchAnswer", s.Matches.DeleteMatchAnswer)
}

// bindCatalog binds what tells what objects hold.
func (s *Server) bindCatalog(h handlers) {
	on(h, "ListObjectTypeAttributes", s.Catalog.ListObjectTypeAttributes)
	on(h, "ListObjectTypeAttributeValues", s.Catalog.ListObjectTypeAttributeValues)
	on(h, "GetObjectTypeAttributeStatistics", s.Catalog.GetObjectTypeAttributeStatistics)
}

// bindOperators binds what operators need besides the API.
func (s *Server) bindOperators(h handlers) {
	on(h, "ExportPerson", s.Privacy.ExportPerson)
	on(h, "ForgetPerson", s.Privacy.ForgetPerson)
	on(h, "ListDeadLetters", s.Letters.ListDeadLetters)
	on(h, "ReplayDeadLetters", s.Letters.ReplayDeadLetters)
	on(h, "DeleteDeadLetters", s.Letters.DeleteDeadLetters)

	on(h, "ListRuleBasedMatches", s.Rules.ListRuleBasedMatches)

	on(h, "QueryProfiles", s.Query.QueryProfiles)
	on(h, "GetPhoneSettings", s.Domains.GetPhoneSettings)
	on(h, "PutPhoneSettings", s.Domains.PutPhoneSettings)
	on(h, "GetQuerySettings", s.Query.GetQuerySettings)
	on(h, "PutQuerySettings", s.Query.PutQuerySettings)

	on(h, "CreateAccessKey", s.Access.CreateAccessKey)
	on(h, "ListAccessKeys", s.Access.ListAccessKeys)
	on(h, "DeleteAccessKey", s.Access.DeleteAccessKey)

	on(h, "CreateBackup", s.Admin.CreateBackup)
	on(h, "PurgeStore", s.Admin.PurgeStore)
}

// bindProfiles is the part of the table about profiles and their objects.
func (s *Server) bindProfiles(h handlers) {
	on(h, "CreateProfile", s.Profiles.CreateProfile)
	on(h, "UpdateProfile", s.Profiles.UpdateProfile)
	on(h, "AddProfileKey", s.Profiles.AddProfileKey)
	on(h, "DeleteProfileKey", s.Profiles.DeleteProfileKey)
	on(h, "ListProfileAttributeValues", s.Profiles.ListProfileAttributeValues)
	on(h, "PutProfileObject", s.Profiles.PutProfileObject)
	on(h, "BatchPutProfileObject", s.Profiles.BatchPutProfileObject)
	on(h, "ListProfileObjects", s.Profiles.ListProfileObjects)
	on(h, "DeleteProfileObject", s.Profiles.DeleteProfileObject)
	on(h, "SearchProfiles", s.Profiles.SearchProfiles)
	on(h, "ListProfiles", s.Profiles.ListProfiles)
	on(h, "BatchGetProfile", s.Profiles.BatchGetProfile)
	on(h, "DeleteProfile", s.Profiles.DeleteProfile)
	on(h, "MergeProfiles", s.Profiles.MergeProfiles)
	on(h, "UnmergeProfiles", s.Profiles.UnmergeProfiles)
	on(h, "GetProfileProvenance", s.Profiles.GetProfileProvenance)
	on(h, "ListProfileHistoryRecords", s.Profiles.ListProfileHistoryRecords)
	on(h, "GetProfileHistoryRecord", s.Profiles.GetProfileHistoryRecord)
}
