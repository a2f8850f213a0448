package access

import (
	"cmp"
	"strings"

	"kith/api"
)

// What an operation acts on, named as AWS names it in its Service Authorization Reference: the domain, and what the operation names in
// it. The caller's policy must allow the action on each of them. Upload jobs, profiles and workflows have no ARN: their domain's stands for
// them. The ARNs of a server have one region and one account, whatever region a client signs for.

// Region and AccountID are those of every ARN of a server.
const (
	Region    = "us-east-1"
	AccountID = "000000000000"
)

// AnyResource is the resource of operations that act on no single domain.
const AnyResource = "*"

const arnPrefix = "arn:aws:profile:" + Region + ":" + AccountID + ":"

// ARN returns the ARN of a resource, such as domains/acme or domains/acme/object-types/order.
func ARN(resource string) string { return arnPrefix + resource }

// Pattern is what a policy says of resources: "*", or an ARN with wildcards. All ARNs of a server begin alike, so whether that part matches
// is known beforehand.
type Pattern struct {
	text string
	all  bool   // every resource, AnyResource too
	here bool   // partition, service, region and account match
	name string // pattern of what follows them
}

// NewPattern reads a pattern. One that can match nothing is no error here: Check says so.
func NewPattern(text string) Pattern {
	p := Pattern{text: text, all: match(text, AnyResource, false)}
	parts := strings.SplitN(text, ":", 6)
	for len(parts) < 6 && strings.HasSuffix(text, "*") {
		parts = append(parts, "*")
	}
	p.here = len(parts) == 6 && match(strings.Join(parts[:5], ":")+":", arnPrefix, false)
	if p.here {
		p.name = parts[5]
	}
	return p
}

// kind is a kind of resources in a domain: domains/<domain>/<kind>/<name>.
type kind struct {
	name  string
	label string // of a path that names one; "" for what is named in bodies only
}

var kinds = []kind{
	{"calculated-attributes", "CalculatedAttributeName"},
	{"domain-object-types", "ObjectTypeName"}, // below /domain-object-types/
	{"event-streams", "EventStreamName"},
	{"event-triggers", "EventTriggerName"},
	{"integrations", ""},
	{"layouts", "LayoutDefinitionName"},
	{"object-types", "ObjectTypeName"}, // below /object-types/
	{"recommender-filters", "RecommenderFilterName"},
	{"recommender-schemas", "RecommenderSchemaName"},
	{"recommenders", "RecommenderName"},
	{"segment-definitions", "SegmentDefinitionName"},
}

// bodyResource returns what a request names in its body, when that is a resource.
func bodyResource(in any) (kind, name string) {
	switch in := in.(type) {
	case *api.PutProfileObjectRequest:
		return "object-types", api.Val(in.ObjectTypeName)
	case *api.BatchPutProfileObjectRequest:
		return "object-types", api.Val(in.ObjectTypeName)
	case *api.DeleteProfileObjectRequest:
		return "object-types", api.Val(in.ObjectTypeName)
	case *api.ListProfileObjectsRequest:
		return "object-types", api.Val(in.ObjectTypeName)
	case *api.PutIntegrationRequest:
		return "integrations", api.Val(in.Uri)
	case *api.GetIntegrationRequest:
		return "integrations", api.Val(in.Uri)
	case *api.DeleteIntegrationRequest:
		return "integrations", api.Val(in.Uri)
	case *api.GetIntegrationDetailsRequest:
		return "integrations", api.Val(in.Uri)
	case *api.CreateIntegrationWorkflowRequest:
		return "integrations", "*" // whose URI is made by the workflow
	case *api.GetProfileRecommendationsRequest:
		return "recommenders", api.Val(in.RecommenderName)
	case *api.SearchRecommendationsRequest:
		if in.Recommender == nil {
			return "recommenders", ""
		}
		return "recommenders", api.Val(in.Recommender.Name)
	}
	return "", ""
}

// target says what an operation acts on.
type target struct {
	domain bool   // the domain of its path
	kind   string // and this of it, or ""
	label  string // of the path, which names it, or "": the body does
	tagged bool   // the resource that its path names by its ARN
}

// targets has every operation.
var targets = func() map[string]target {
	all := map[string]target{}
	for _, op := range api.Operations {
		all[op.Name] = targetOf(op)
	}
	return all
}()

func targetOf(op api.Operation) target {
	t := target{domain: strings.Contains(op.Path, "{DomainName}"), tagged: strings.Contains(op.Path, "{resourceArn}")}
	if t.kind, _ = bodyResource(op.NewInput()); t.kind != "" {
		return t
	}
	for _, k := range kinds {
		if k.label == "" || !strings.Contains(op.Path, "{"+k.label+"}") || k.label == "ObjectTypeName" && !strings.Contains(op.Path, "/"+k.name+"/") {
			continue
		}
		t.kind, t.label = k.name, k.label
	}
	return t
}

// Resources appends to dst the ARNs that a request acts on, the most special one last; AnyResource alone when there is none. label gives the labels of its
// path, in is its decoded input; what it leaves unnamed is "*". tagged is the resource, below the ARN's account, that the label resourceArn names, or "" when it names none.
func Resources(dst []string, op api.Operation, label func(string) string, in any, tagged string) []string {
	t := targets[op.Name]
	switch {
	case t.tagged && tagged != "":
		return append(dst, ARN(tagged))
	case !t.domain:
		return append(dst, AnyResource)
	}
	arn := ARN("domains/" + label("DomainName"))
	if t.kind == "" {
		return append(dst, arn)
	}
	name := label(t.label)
	if t.label == "" {
		_, name = bodyResource(in)
	}
	return append(dst, arn, arn+"/"+t.kind+"/"+cmp.Or(name, "*"))
}
