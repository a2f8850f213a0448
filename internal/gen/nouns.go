package main

// nouns places every operation in the folder of its noun (ARCHITECTURE.md). The generator refuses an operation that is not here.
var nouns = map[string][]string{
	"domain": {
		"GetPhoneSettings", "PutPhoneSettings",
		"CreateDomain", "GetDomain", "UpdateDomain", "DeleteDomain", "ListDomains",
		"TagResource", "UntagResource", "ListTagsForResource",
		"PutDomainObjectType", "GetDomainObjectType", "DeleteDomainObjectType", "ListDomainObjectTypes",
		"ListBackgroundWork", "CancelBackgroundWork",
		"CreateDomainLayout", "GetDomainLayout", "UpdateDomainLayout", "DeleteDomainLayout", "ListDomainLayouts",
	},
	"objecttype": {
		"PutProfileObjectType", "GetProfileObjectType", "DeleteProfileObjectType", "ListProfileObjectTypes",
		"GetProfileObjectTypeTemplate", "ListProfileObjectTypeTemplates", "DetectProfileObjectType",
	},
	"profile": {
		"CreateProfile", "UpdateProfile", "DeleteProfile", "BatchGetProfile", "SearchProfiles",
		"AddProfileKey", "DeleteProfileKey", "PutProfileObject", "BatchPutProfileObject", "ListProfileObjects",
		"DeleteProfileObject", "MergeProfiles", "ListProfileHistoryRecords", "GetProfileHistoryRecord",
		"ListProfileAttributeValues", "UnmergeProfiles", "GetProfileProvenance", "ListProfiles",
	},
	"query":   {"QueryProfiles", "GetQuerySettings", "PutQuerySettings"},
	"catalog": {"ListObjectTypeAttributes", "ListObjectTypeAttributeValues", "GetObjectTypeAttributeStatistics"},
	"match": {
		"GetMatches", "GetSimilarProfiles", "ListRuleBasedMatches", "GetAutoMergingPreview",
		"GetIdentityResolutionJob", "ListIdentityResolutionJobs",
		"StartIdentityResolutionJob", "GetIdentityResolutionJobDetails", "ListIdentityResolutionJobMerges", "UnmergeMatch",
		"ExplainMatch", "PutMatchAnswer", "ListMatchAnswers", "DeleteMatchAnswer",
	},
	"calc": {
		"CreateCalculatedAttributeDefinition", "GetCalculatedAttributeDefinition", "UpdateCalculatedAttributeDefinition",
		"DeleteCalculatedAttributeDefinition", "ListCalculatedAttributeDefinitions", "GetCalculatedAttributeForProfile",
		"ListCalculatedAttributesForProfile", "BatchGetCalculatedAttributeForProfile",
	},
	"segment": {
		"CreateSegmentDefinition", "GetSegmentDefinition", "DeleteSegmentDefinition", "ListSegmentDefinitions",
		"CreateSegmentEstimate", "GetSegmentEstimate", "CreateSegmentSnapshot", "GetSegmentSnapshot", "GetSegmentMembership",
		"AssociateStreamForSegments", "GetStreamForSegments", "DisassociateStreamForSegments",
		"PutSegmentSubscription", "GetSegmentSubscription", "DeleteSegmentSubscription", "ListSegmentSubscriptionEvents",
	},
	"upload": {
		"CreateUploadJob", "GetUploadJobPath", "StartUploadJob", "StopUploadJob", "GetUploadJob", "ListUploadJobs",
		"GetUploadJobDetails", "ListUploadJobRejects", "ExportUploadJobRejects", "DryRunUploadJob", "UndoUploadJob",
		"PutUploadJobOptions", "SuggestUploadMapping", "PutUploadJobMapping",
	},
	"event": {
		"CreateEventStream", "GetEventStream", "DeleteEventStream", "ListEventStreams",
		"CreateEventTrigger", "GetEventTrigger", "UpdateEventTrigger", "DeleteEventTrigger", "ListEventTriggers",
	},
	"integration": {
		"PutIntegration", "GetIntegration", "DeleteIntegration", "ListIntegrations", "ListAccountIntegrations",
		"GetIntegrationDetails",
		"CreateIntegrationWorkflow", "GetWorkflow", "GetWorkflowSteps", "DeleteWorkflow", "ListWorkflows",
	},
	"recommend": {
		"CreateRecommender", "GetRecommender", "UpdateRecommender", "DeleteRecommender", "ListRecommenders",
		"StartRecommender", "StopRecommender", "ListRecommenderRecipes", "GetProfileRecommendations", "SearchRecommendations",
		"CreateRecommenderFilter", "GetRecommenderFilter", "DeleteRecommenderFilter", "ListRecommenderFilters",
		"CreateRecommenderSchema", "GetRecommenderSchema", "DeleteRecommenderSchema", "ListRecommenderSchemas",
	},
	"privacy":    {"ExportPerson", "ForgetPerson"},
	"deadletter": {"ListDeadLetters", "ReplayDeadLetters", "DeleteDeadLetters"},
	"access":     {"CreateAccessKey", "ListAccessKeys", "DeleteAccessKey"},
	"admin":      {"CreateBackup", "PurgeStore"},
}
