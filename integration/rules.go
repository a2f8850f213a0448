package integration

import (
	"maps"
	"slices"
	"strings"

	"kith/access"
	"kith/api"
	"kith/fault"
)

// Source is what a Uri names.
type Source string

// The sources, by their names in answers.
const (
	Flow      Source = "APPFLOW_FLOW"
	Bucket    Source = "S3"
	Events    Source = "EVENT_SOURCE"
	Instance  Source = "CONNECT_INSTANCE"
	Campaigns Source = "OUTBOUND_CAMPAIGNS"
	Stream    Source = "KINESIS_STREAM"
	Other     Source = "OTHER"
)

// Names of object types that need not exist, for no object is ever put under them by their own name alone.
const unstructured = "_unstructured"

// sourceOf returns what a Uri names. Anything is allowed, but an ARN of a service that is known here must name what brings data.
func sourceOf(uri string) (Source, error) {
	switch {
	case strings.HasPrefix(uri, "s3://"):
		return Bucket, nil
	case !strings.HasPrefix(uri, "arn:"):
		return Other, nil
	}
	parts := strings.SplitN(uri, ":", 6)
	if len(parts) != 6 || parts[1] == "" || parts[5] == "" {
		return "", fault.BadRequestf("Uri %s is no ARN: it must have the form arn:<partition>:<service>:<region>:<account>:<resource>.", uri)
	}
	forms := map[string]struct {
		source Source
		prefix []string
	}{
		"appflow":           {Flow, []string{"flow/"}},
		"s3":                {Bucket, []string{""}},
		"events":            {Events, []string{"event-source/", "event-bus/"}},
		"app-integrations":  {Events, []string{"event-integration/", "data-integration/", "application/"}},
		"connect":           {Instance, []string{"instance/"}},
		"connect-campaigns": {Campaigns, []string{"instance/", "campaign/"}},
		"kinesis":           {Stream, []string{"stream/"}},
	}
	form, known := forms[parts[2]]
	if !known {
		return Other, nil
	}
	for _, prefix := range form.prefix {
		if name, ok := strings.CutPrefix(parts[5], prefix); ok && name != "" {
			return form.source, nil
		}
	}
	return "", fault.BadRequestf("Uri %s names nothing that brings data: a resource of service %s must begin with %s.", uri, parts[2], strings.Join(form.prefix, " or "))
}

// flowURI is the ARN of a flow.
func flowURI(name string) string {
	return "arn:aws:appflow:" + access.Region + ":" + access.AccountID + ":flow/" + name
}

// check refuses what the model can't say and returns the Uri of the integration, which for a flow that comes without one is the flow's ARN.
func check(in *api.PutIntegrationRequest) (uri string, source Source, err error) {
	flow := in.FlowDefinition
	switch {
	case in.Uri != nil:
		uri = *in.Uri
	case flow != nil:
		uri = flowURI(*flow.FlowName)
	default:
		return "", "", fault.BadRequestf("Uri is missing: name the source by it, or describe a flow in FlowDefinition.")
	}
	if source, err = sourceOf(uri); err != nil {
		return "", "", err
	}
	one, many := in.ObjectTypeName != nil, len(in.ObjectTypeNames) > 0
	switch {
	case one && many:
		return "", "", fault.BadRequestf("ObjectTypeName and ObjectTypeNames exclude each other: give the one type, or the types of each event.")
	case !one && !many && len(in.EventTriggerNames) == 0:
		return "", "", fault.BadRequestf("ObjectTypeName or ObjectTypeNames is missing: one of them says what the records become. Only an integration with EventTriggerNames needs neither.")
	}
	if flow == nil {
		return uri, source, nil
	}
	switch {
	case source != Flow || !strings.HasSuffix(uri, ":flow/"+*flow.FlowName):
		return "", "", fault.BadRequestf("Uri and FlowDefinition contradict each other: Uri must be the ARN of the flow that FlowDefinition names, or be left out.")
	case !one:
		return "", "", fault.BadRequestf("FlowDefinition needs ObjectTypeName: the records of a flow are of one type.")
	}
	return uri, source, checkFlow(flow)
}

// checkFlow refuses a flow that nothing could run. A flow is sensitive: no sentence quotes it.
func checkFlow(flow *api.FlowDefinition) error {
	source := flow.SourceFlowConfig
	connector := *source.ConnectorType
	given := connectors(map[api.SourceConnectorType]bool{
		api.SourceConnectorTypeMarketo:    source.SourceConnectorProperties.Marketo != nil,
		api.SourceConnectorTypeS3:         source.SourceConnectorProperties.S3 != nil,
		api.SourceConnectorTypeSalesforce: source.SourceConnectorProperties.Salesforce != nil,
		api.SourceConnectorTypeServicenow: source.SourceConnectorProperties.ServiceNow != nil,
		api.SourceConnectorTypeZendesk:    source.SourceConnectorProperties.Zendesk != nil,
	})
	if len(given) != 1 || given[0] != connector {
		return fault.BadRequestf("FlowDefinition.SourceFlowConfig.SourceConnectorProperties must have exactly the member of its ConnectorType, %s.", connector)
	}
	if connector != api.SourceConnectorTypeS3 && source.ConnectorProfileName == nil {
		return fault.BadRequestf("FlowDefinition.SourceFlowConfig.ConnectorProfileName is missing: every connector but S3 needs one.")
	}
	if err := checkTrigger(flow.TriggerConfig); err != nil {
		return err
	}
	for i, task := range flow.Tasks {
		if err := checkTask(i, task, connector); err != nil {
			return err
		}
	}
	return nil
}

func connectors(given map[api.SourceConnectorType]bool) []api.SourceConnectorType {
	maps.DeleteFunc(given, func(_ api.SourceConnectorType, there bool) bool { return !there })
	return slices.Collect(maps.Keys(given))
}

func checkTrigger(t *api.TriggerConfig) error {
	var schedule *api.ScheduledTriggerProperties
	if t.TriggerProperties != nil {
		schedule = t.TriggerProperties.Scheduled
	}
	scheduled := *t.TriggerType == api.TriggerTypeScheduled
	switch {
	case scheduled && schedule == nil:
		return fault.BadRequestf("FlowDefinition.TriggerConfig.TriggerProperties.Scheduled is missing: a flow with TriggerType Scheduled needs a schedule.")
	case !scheduled && schedule != nil:
		return fault.BadRequestf("FlowDefinition.TriggerConfig.TriggerProperties.Scheduled is only for TriggerType Scheduled, not for %s.", *t.TriggerType)
	case schedule == nil:
		return nil
	}
	text := strings.TrimSpace(*schedule.ScheduleExpression)
	if name, rest, ok := strings.Cut(text, "("); !ok || !strings.HasSuffix(rest, ")") || name != "rate" && name != "cron" && name != "at" {
		return fault.BadRequestf("FlowDefinition.TriggerConfig.TriggerProperties.Scheduled.ScheduleExpression must have the form rate(...), cron(...) or at(...).")
	}
	if start, end := schedule.ScheduleStartTime, schedule.ScheduleEndTime; start != nil && end != nil && !start.Before(end.Time) {
		return fault.BadRequestf("FlowDefinition.TriggerConfig.TriggerProperties.Scheduled.ScheduleEndTime must be later than ScheduleStartTime.")
	}
	return nil
}

func checkTask(i int, task api.Task, connector api.SourceConnectorType) error {
	if op := task.ConnectorOperator; op != nil {
		given := connectors(map[api.SourceConnectorType]bool{
			api.SourceConnectorTypeMarketo:    op.Marketo != nil,
			api.SourceConnectorTypeS3:         op.S3 != nil,
			api.SourceConnectorTypeSalesforce: op.Salesforce != nil,
			api.SourceConnectorTypeServicenow: op.ServiceNow != nil,
			api.SourceConnectorTypeZendesk:    op.Zendesk != nil,
		})
		if len(given) > 1 || len(given) == 1 && given[0] != connector {
			return fault.BadRequestf("FlowDefinition.Tasks[%d].ConnectorOperator must have the member of the flow's ConnectorType, %s, and no other.", i, connector)
		}
	}
	if *task.TaskType == api.TaskTypeMap && api.Val(task.DestinationField) == "" {
		return fault.BadRequestf("FlowDefinition.Tasks[%d].DestinationField is missing: a task of type Map needs one.", i)
	}
	return nil
}

// campaignEvent begins the names of events whose types are labels of templates that the contact centre has, and that need not exist.
const campaignEvent = "Campaign-"

// needed returns the object types that must exist.
func needed(one *string, many map[string]string) []string {
	var all []string
	if one != nil && *one != unstructured {
		all = append(all, *one)
	}
	for _, event := range slices.Sorted(maps.Keys(many)) {
		name := many[event]
		if !strings.HasPrefix(event, campaignEvent) && name != unstructured && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
