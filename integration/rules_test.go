package integration

import (
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/internal/restjson"
)

const flowARN = "arn:aws:appflow:us-east-1:000000000000:flow/orders"

// put is a request with a flow of the connector, changed by changes.
func put(changes ...func(*api.PutIntegrationRequest)) *api.PutIntegrationRequest {
	in := &api.PutIntegrationRequest{ObjectTypeName: api.Ptr("Order"), FlowDefinition: &api.FlowDefinition{
		FlowName: api.Ptr("orders"), KmsArn: api.Ptr("arn:aws:kms:us-east-1:000000000000:key/k"), Tasks: []api.Task{},
		SourceFlowConfig: &api.SourceFlowConfig{
			ConnectorType:             api.Ptr(api.SourceConnectorTypeS3),
			SourceConnectorProperties: &api.SourceConnectorProperties{S3: &api.S3SourceProperties{BucketName: api.Ptr("bucket")}},
		},
		TriggerConfig: &api.TriggerConfig{TriggerType: api.Ptr(api.TriggerTypeOnDemand)},
	}}
	for _, change := range changes {
		change(in)
	}
	return in
}

func scheduled(s api.ScheduledTriggerProperties) func(*api.PutIntegrationRequest) {
	return func(in *api.PutIntegrationRequest) {
		in.FlowDefinition.TriggerConfig = &api.TriggerConfig{
			TriggerType: api.Ptr(api.TriggerTypeScheduled), TriggerProperties: &api.TriggerProperties{Scheduled: &s},
		}
	}
}

func plain(uri string) func(*api.PutIntegrationRequest) {
	return func(in *api.PutIntegrationRequest) { in.Uri, in.FlowDefinition = &uri, nil }
}

func TestWhatIsRefused(t *testing.T) {
	day := func(d int) *restjson.Time { return restjson.At(time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC)) }
	for name, c := range map[string]struct {
		in    *api.PutIntegrationRequest
		uri   string // of what is allowed
		wrong string // what the sentence names
	}{
		"a flow":              {in: put(), uri: flowARN},
		"a flow and its ARN":  {in: put(func(in *api.PutIntegrationRequest) { in.Uri = api.Ptr(flowARN) }), uri: flowARN},
		"a flow of elsewhere": {in: put(plain(flowARN)), uri: flowARN},
		"another flow's ARN":  {in: put(func(in *api.PutIntegrationRequest) { in.Uri = api.Ptr(flowARN + "2") }), wrong: "contradict"},
		"a flow and a bucket": {in: put(func(in *api.PutIntegrationRequest) { in.Uri = api.Ptr("s3://bucket") }), wrong: "contradict"},
		"nothing":             {in: put(func(in *api.PutIntegrationRequest) { in.FlowDefinition = nil }), wrong: "Uri is missing"},
		"both kinds of types": {in: put(plain("s3://b"), func(in *api.PutIntegrationRequest) { in.ObjectTypeNames = map[string]string{"e": "T"} }), wrong: "exclude"},
		"types of events": {in: put(plain("s3://b"), func(in *api.PutIntegrationRequest) {
			in.ObjectTypeName, in.ObjectTypeNames = nil, map[string]string{"e": "T"}
		}), uri: "s3://b"},
		"no type":               {in: put(plain("s3://b"), func(in *api.PutIntegrationRequest) { in.ObjectTypeName = nil }), wrong: "is missing"},
		"no type, an empty map": {in: put(plain("s3://b"), func(in *api.PutIntegrationRequest) { in.ObjectTypeName, in.ObjectTypeNames = nil, map[string]string{} }), wrong: "is missing"},
		"a trigger only":        {in: put(plain("s3://b"), func(in *api.PutIntegrationRequest) { in.ObjectTypeName, in.EventTriggerNames = nil, []string{"t"} }), uri: "s3://b"},
		"a flow with many types": {in: put(func(in *api.PutIntegrationRequest) {
			in.ObjectTypeName, in.ObjectTypeNames = nil, map[string]string{"e": "T"}
		}), wrong: "needs ObjectTypeName"},
		"properties of another": {in: put(func(in *api.PutIntegrationRequest) {
			in.FlowDefinition.SourceFlowConfig.ConnectorType = api.Ptr(api.SourceConnectorTypeZendesk)
		}), wrong: "exactly the member"},
		"properties of none": {in: put(func(in *api.PutIntegrationRequest) {
			in.FlowDefinition.SourceFlowConfig.SourceConnectorProperties = &api.SourceConnectorProperties{}
		}), wrong: "exactly the member"},
		"no profile of a connector": {in: put(zendesk), wrong: "ConnectorProfileName"},
		"a profile of a connector": {in: put(zendesk, func(in *api.PutIntegrationRequest) {
			in.FlowDefinition.SourceFlowConfig.ConnectorProfileName = api.Ptr("p")
		}), uri: flowARN},
		"a schedule that is none":    {in: put(scheduled(api.ScheduledTriggerProperties{ScheduleExpression: api.Ptr("daily")})), wrong: "ScheduleExpression"},
		"a schedule":                 {in: put(scheduled(api.ScheduledTriggerProperties{ScheduleExpression: api.Ptr("rate(5minutes)"), ScheduleStartTime: day(1), ScheduleEndTime: day(2)})), uri: flowARN},
		"a schedule that ends first": {in: put(scheduled(api.ScheduledTriggerProperties{ScheduleExpression: api.Ptr("cron(0 1 * * ? *)"), ScheduleStartTime: day(2), ScheduleEndTime: day(2)})), wrong: "ScheduleEndTime"},
		"scheduled without one": {in: put(func(in *api.PutIntegrationRequest) {
			in.FlowDefinition.TriggerConfig.TriggerType = api.Ptr(api.TriggerTypeScheduled)
		}), wrong: "Scheduled is missing"},
		"a schedule for no reason": {in: put(scheduled(api.ScheduledTriggerProperties{ScheduleExpression: api.Ptr("rate(1)")}),
			func(in *api.PutIntegrationRequest) {
				in.FlowDefinition.TriggerConfig.TriggerType = api.Ptr(api.TriggerTypeEvent)
			}), wrong: "only for"},
		"an operator of another":    {in: put(task(api.Task{TaskType: api.Ptr(api.TaskTypeFilter), ConnectorOperator: &api.ConnectorOperator{Zendesk: api.Ptr(api.ZendeskConnectorOperatorNoOp)}})), wrong: "Tasks[0].ConnectorOperator"},
		"an operator":               {in: put(task(api.Task{TaskType: api.Ptr(api.TaskTypeFilter), ConnectorOperator: &api.ConnectorOperator{S3: api.Ptr(api.S3ConnectorOperatorNoOp)}})), uri: flowARN},
		"a map to nowhere":          {in: put(task(api.Task{TaskType: api.Ptr(api.TaskTypeMap)})), wrong: "Tasks[0].DestinationField"},
		"a map":                     {in: put(task(api.Task{TaskType: api.Ptr(api.TaskTypeMap), DestinationField: api.Ptr("to")})), uri: flowARN},
		"an ARN with too few parts": {in: put(plain("arn:aws:appflow")), wrong: "no ARN"},
		"no flow of that service":   {in: put(plain("arn:aws:appflow:r:1:connector/x")), wrong: "flow/"},
	} {
		uri, _, err := check(c.in)
		switch {
		case c.wrong == "" && (err != nil || uri != c.uri):
			t.Errorf("%s: %q, %v", name, uri, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: allowed, or not said why: %v", name, err)
		}
	}
}

func zendesk(in *api.PutIntegrationRequest) {
	in.FlowDefinition.SourceFlowConfig.ConnectorType = api.Ptr(api.SourceConnectorTypeZendesk)
	in.FlowDefinition.SourceFlowConfig.SourceConnectorProperties = &api.SourceConnectorProperties{Zendesk: &api.ZendeskSourceProperties{Object: api.Ptr("o")}}
}

func task(t api.Task) func(*api.PutIntegrationRequest) {
	return func(in *api.PutIntegrationRequest) {
		t.SourceFields = []string{"from"}
		in.FlowDefinition.Tasks = []api.Task{t}
	}
}

func TestSources(t *testing.T) {
	for uri, want := range map[string]Source{
		flowARN: Flow, "arn:aws-us-gov:appflow:r:1:flow/x": Flow, "s3://bucket/prefix/": Bucket, "arn:aws:s3:::bucket": Bucket,
		"arn:aws:events:r:1:event-source/aws.partner/segment.com/x":                 Events,
		"arn:aws:app-integrations:r:1:event-integration/shopify":                    Events,
		"arn:aws:connect:us-west-2:1:instance/bcb96bf1-5ea5-4ec5-9ac3-8a9d7a2dd3c0": Instance,
		"arn:aws:connect-campaigns:us-west-2:1:instance/i":                          Campaigns,
		"arn:aws:kinesis:r:1:stream/s":                                              Stream, "https://example.com": Other, "x": Other, "arn:aws:sqs:r:1:queue": Other,
	} {
		if got, err := sourceOf(uri); got != want || err != nil {
			t.Errorf("%s: %s, %v", uri, got, err)
		}
	}
}

func TestNeededTypes(t *testing.T) {
	got := needed(nil, map[string]string{"Campaign-SMS": "Label", "ShopifyCreateOrders": "B", "SegmentIdentify": "A", "x": "A", "y": unstructured})
	if strings.Join(got, " ") != "A B" {
		t.Error(got)
	}
	if got := needed(api.Ptr(unstructured), nil); got != nil {
		t.Error(got)
	}
}
