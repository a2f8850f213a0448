package programs

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
)

// errExists is what a handler of a stack says when what it shall create is there already: the stack rolls back instead of adopting it.
var errExists = errors.New("already exists")

// resource is what a stack's handlers do with one resource. read returns its tags.
type resource interface {
	create(ctx context.Context, a *account) error
	read(ctx context.Context, a *account) (map[string]string, error)
	update(ctx context.Context, a *account) error
	remove(ctx context.Context, a *account) error
	arn(a *account) *string
}

// stackDomain is an AWS::CustomerProfiles::Domain.
type stackDomain struct {
	name string
	days int32
	tags map[string]string
}

// create relies on the text of the refusal: the API has no exception of its own for it.
func (d *stackDomain) create(ctx context.Context, a *account) error {
	_, err := a.CreateDomain(ctx, &customerprofiles.CreateDomainInput{DomainName: &d.name, DefaultExpirationDays: &d.days, Tags: d.tags})
	if refused(err, "Domain "+d.name+" already exists") {
		return errExists
	}
	return err
}

func (d *stackDomain) read(ctx context.Context, a *account) (map[string]string, error) {
	out, err := a.GetDomain(ctx, &customerprofiles.GetDomainInput{DomainName: &d.name})
	if err != nil {
		return nil, err
	}
	if *out.DefaultExpirationDays != d.days {
		return nil, fmt.Errorf("days are %d", *out.DefaultExpirationDays)
	}
	return out.Tags, nil
}

func (d *stackDomain) update(ctx context.Context, a *account) error {
	_, err := a.UpdateDomain(ctx, &customerprofiles.UpdateDomainInput{DomainName: &d.name, DefaultExpirationDays: &d.days})
	return err
}

func (d *stackDomain) remove(ctx context.Context, a *account) error {
	_, err := a.DeleteDomain(ctx, &customerprofiles.DeleteDomainInput{DomainName: &d.name})
	return err
}

func (d *stackDomain) arn(a *account) *string { return a.arn("domains/" + d.name) }

// stackType is an AWS::CustomerProfiles::ObjectType.
type stackType struct {
	domain, name, description string
	fields                    map[string]types.ObjectTypeField
	keys                      map[string][]types.ObjectTypeKey
	tags                      map[string]string
}

func orderType(domain string) *stackType {
	return &stackType{
		domain: domain, name: "Orders", description: "orders of the shop", tags: map[string]string{"stack": "s"},
		fields: map[string]types.ObjectTypeField{
			"orderId": {Source: aws.String("_source.id")},
			"email":   {Source: aws.String("_source.email"), Target: aws.String("_profile.EmailAddress"), ContentType: types.FieldContentTypeEmailAddress},
		},
		keys: map[string][]types.ObjectTypeKey{
			"orderKey": {{FieldNames: []string{"orderId"}, StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierUnique}}},
			"_email":   {{FieldNames: []string{"email"}, StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierProfile}}},
		},
	}
}

func (o *stackType) put(ctx context.Context, a *account) error {
	_, err := a.PutProfileObjectType(ctx, &customerprofiles.PutProfileObjectTypeInput{
		DomainName: &o.domain, ObjectTypeName: &o.name, Description: &o.description, AllowProfileCreation: true, Fields: o.fields, Keys: o.keys, Tags: o.tags,
	})
	return err
}

// create looks first, for a put would replace what is there.
func (o *stackType) create(ctx context.Context, a *account) error {
	_, err := o.read(ctx, a)
	switch {
	case err == nil:
		return errExists
	case !gone(err):
		return err
	}
	return o.put(ctx, a)
}

func (o *stackType) read(ctx context.Context, a *account) (map[string]string, error) {
	out, err := a.GetProfileObjectType(ctx, &customerprofiles.GetProfileObjectTypeInput{DomainName: &o.domain, ObjectTypeName: &o.name})
	if err != nil {
		return nil, err
	}
	if *out.Description != o.description || len(out.Fields) != len(o.fields) || len(out.Keys) != len(o.keys) {
		return nil, fmt.Errorf("the type is %+v", out)
	}
	return out.Tags, nil
}

func (o *stackType) update(ctx context.Context, a *account) error { return o.put(ctx, a) }

func (o *stackType) remove(ctx context.Context, a *account) error {
	_, err := a.DeleteProfileObjectType(ctx, &customerprofiles.DeleteProfileObjectTypeInput{DomainName: &o.domain, ObjectTypeName: &o.name})
	return err
}

func (o *stackType) arn(a *account) *string {
	return a.arn("domains/" + o.domain + "/object-types/" + o.name)
}

// stackIntegration is an AWS::CustomerProfiles::Integration: of a source by its Uri, or of a flow.
type stackIntegration struct {
	domain, uri string
	one         *string
	many        map[string]string
	flow        *types.FlowDefinition
	tags        map[string]string
}

func (i *stackIntegration) put(ctx context.Context, a *account) error {
	in := &customerprofiles.PutIntegrationInput{DomainName: &i.domain, ObjectTypeName: i.one, ObjectTypeNames: i.many, FlowDefinition: i.flow, Tags: i.tags}
	if i.uri != "" {
		in.Uri = &i.uri
	}
	out, err := a.PutIntegration(ctx, in)
	if err == nil {
		i.uri = *out.Uri // its id in the stack from now on
	}
	return err
}

func (i *stackIntegration) create(ctx context.Context, a *account) error {
	if i.uri != "" {
		_, err := i.read(ctx, a)
		if err == nil {
			return errExists
		}
		if !gone(err) {
			return err
		}
	}
	return i.put(ctx, a)
}

func (i *stackIntegration) read(ctx context.Context, a *account) (map[string]string, error) {
	out, err := a.GetIntegration(ctx, &customerprofiles.GetIntegrationInput{DomainName: &i.domain, Uri: &i.uri})
	if err != nil {
		return nil, err
	}
	if aws.ToString(out.ObjectTypeName) != aws.ToString(i.one) || len(out.ObjectTypeNames) != len(i.many) {
		return nil, fmt.Errorf("the integration is %+v", out)
	}
	return out.Tags, nil
}

func (i *stackIntegration) update(ctx context.Context, a *account) error { return i.put(ctx, a) }

func (i *stackIntegration) remove(ctx context.Context, a *account) error {
	_, err := a.DeleteIntegration(ctx, &customerprofiles.DeleteIntegrationInput{DomainName: &i.domain, Uri: &i.uri})
	return err
}

func (i *stackIntegration) arn(a *account) *string {
	return a.arn("domains/" + i.domain + "/integrations/" + i.uri)
}

// stack is resources in the order of what they need.
type stack []resource

// deploy creates the resources; when one can't be, those before it are removed, the last first.
func (s stack) deploy(ctx context.Context, a *account) error {
	for n, r := range s {
		err := r.create(ctx, a)
		if err == nil {
			_, err = r.read(ctx, a) // a stack waits for it, and does not wait long
		}
		if err != nil {
			return errors.Join(err, s[:n].destroy(ctx, a))
		}
	}
	return nil
}

// destroy removes the resources, the last first. What is gone is as good as removed.
func (s stack) destroy(ctx context.Context, a *account) error {
	for n := len(s) - 1; n >= 0; n-- {
		if err := s[n].remove(ctx, a); err != nil && !gone(err) {
			return err
		}
		if _, err := s[n].read(ctx, a); !gone(err) {
			return fmt.Errorf("%s is still there: %w", *s[n].arn(a), err)
		}
	}
	return nil
}

func contactStack(domain string) stack {
	return stack{
		&stackDomain{name: domain, days: 366, tags: map[string]string{"stack": "s"}},
		orderType(domain),
		&stackIntegration{domain: domain, uri: "arn:aws:connect:eu-central-1:000000000000:instance/bcb96bf1-5ea5-4ec5-9ac3-8a9d7a2dd3c0", one: aws.String("CTR"), tags: map[string]string{"stack": "s"}},
		&stackIntegration{domain: domain, one: aws.String("Orders"), tags: map[string]string{"stack": "s"}, flow: &types.FlowDefinition{
			FlowName: aws.String("orders-of-" + domain), KmsArn: aws.String("arn:aws:kms:eu-central-1:000000000000:key/k"),
			SourceFlowConfig: &types.SourceFlowConfig{ConnectorType: types.SourceConnectorTypeS3,
				SourceConnectorProperties: &types.SourceConnectorProperties{S3: &types.S3SourceProperties{BucketName: aws.String("orders"), BucketPrefix: aws.String("in")}}},
			Tasks: []types.Task{
				{TaskType: types.TaskTypeFilter, SourceFields: []string{"id", "email"}, ConnectorOperator: &types.ConnectorOperator{S3: types.S3ConnectorOperatorProjection}},
				{TaskType: types.TaskTypeMap, SourceFields: []string{"id"}, DestinationField: aws.String("id"), ConnectorOperator: &types.ConnectorOperator{S3: types.S3ConnectorOperatorNoOp}, TaskProperties: map[string]string{"SOURCE_DATA_TYPE": "string"}},
			},
			TriggerConfig: &types.TriggerConfig{TriggerType: types.TriggerTypeScheduled, TriggerProperties: &types.TriggerProperties{
				Scheduled: &types.ScheduledTriggerProperties{ScheduleExpression: aws.String("rate(1hours)"), DataPullMode: types.DataPullModeIncremental}}},
		}},
		&stackIntegration{domain: domain, uri: "arn:aws:events:eu-central-1:000000000000:event-source/aws.partner/shop/x", many: map[string]string{"ShopifyCreateOrders": "Orders", "ShopifyUpdatedOrders": "Orders"}, tags: map[string]string{"stack": "s"}},
	}
}

// A stack with a domain, a type and integrations is deployed, changed, tagged, and removed in reverse, several times under one name.
func TestStackOfAContactCentre(t *testing.T) {
	ctx, a := t.Context(), start(t)
	for range 2 {
		s := contactStack("contact-centre")
		if err := s.deploy(ctx, a); err != nil {
			t.Fatal(err)
		}
		again := contactStack("contact-centre")
		for n, r := range s { // a second stack of the same would find all of it
			if second, ok := again[n].(*stackIntegration); ok {
				second.uri = r.(*stackIntegration).uri
			}
			if err := again[n].create(ctx, a); !errors.Is(err, errExists) {
				t.Errorf("%s, created twice: %v", *r.arn(a), err)
			}
			if tags := must(r.read(ctx, a))(t); len(tags) != 1 || tags["stack"] != "s" {
				t.Errorf("%s has the tags %v", *r.arn(a), tags)
			}
			retag(t, a, r)
		}
		s[0].(*stackDomain).days = 30
		s[1].(*stackType).description = "all orders"
		s[2].(*stackIntegration).one, s[2].(*stackIntegration).many = nil, map[string]string{"Campaign-SMS": "Sent"}
		for _, r := range s {
			if err := r.update(ctx, a); err != nil {
				t.Fatalf("%s: %v", *r.arn(a), err)
			}
			if tags := must(r.read(ctx, a))(t); tags["team"] != "crm" {
				t.Errorf("%s lost its tags by an update: %v", *r.arn(a), tags)
			}
		}
		list := must(a.ListIntegrations(ctx, &customerprofiles.ListIntegrationsInput{DomainName: aws.String("contact-centre")}))(t)
		same(t, "integrations", len(list.Items), 3)
		if err := s.destroy(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
}

// retag changes a resource's tags as a stack does: by its ARN, with what differs.
func retag(t *testing.T, a *account, r resource) {
	t.Helper()
	ctx, arn := t.Context(), r.arn(a)
	must(a.UntagResource(ctx, &customerprofiles.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"stack"}}))(t)
	must(a.TagResource(ctx, &customerprofiles.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"team": "crm"}}))(t)
	same(t, "tags of "+*arn, must(a.ListTagsForResource(ctx, &customerprofiles.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags, map[string]string{"team": "crm"})
	same(t, "the same, read", must(r.read(ctx, a))(t), map[string]string{"team": "crm"})
}

// A stack that fails in the middle is rolled back, and leaves the name free; one that names what is there already touches nothing of it.
func TestStackThatFails(t *testing.T) {
	ctx, a := t.Context(), start(t)
	s := contactStack("half")
	s[1].(*stackType).keys = map[string][]types.ObjectTypeKey{"k": {{FieldNames: []string{"missing"}}}}
	if err := s.deploy(ctx, a); !refused(err, "") {
		t.Fatal(err)
	}
	if _, err := s[0].read(ctx, a); !gone(err) {
		t.Fatalf("the domain of a stack that was rolled back: %v", err)
	}
	first := contactStack("half")
	if err := first.deploy(ctx, a); err != nil {
		t.Fatal(err)
	}
	second := contactStack("half")
	if err := second.deploy(ctx, a); !errors.Is(err, errExists) {
		t.Fatal(err)
	}
	for _, r := range first {
		if _, err := r.read(ctx, a); err != nil {
			t.Errorf("%s, after another stack failed: %v", *r.arn(a), err)
		}
	}
}

// What handlers of stacks, and others, have been seen to rely on: the order of checks, and texts. docs/spec/core.md marks it [observed].
func TestTextsThatProgramsReliOn(t *testing.T) {
	ctx, a := t.Context(), start(t)
	_, err := a.GetDomain(ctx, &customerprofiles.GetDomainInput{DomainName: aws.String("nowhere")})
	if !gone(err) || !has(err, "DomainName nowhere is not found in account "+a.id) {
		t.Errorf("an unknown domain: %v", err)
	}
	// The domain is looked up before anything that is named in it.
	for what, call := range map[string]func(domain string) error{
		"object type": func(d string) error {
			_, err := a.GetProfileObjectType(ctx, &customerprofiles.GetProfileObjectTypeInput{DomainName: &d, ObjectTypeName: aws.String("none")})
			return err
		},
		"integration": func(d string) error {
			_, err := a.GetIntegration(ctx, &customerprofiles.GetIntegrationInput{DomainName: &d, Uri: aws.String("none")})
			return err
		},
		"profile": func(d string) error {
			_, err := a.DeleteProfile(ctx, &customerprofiles.DeleteProfileInput{DomainName: &d, ProfileId: aws.String("0123456789abcdef0123456789abcdef")})
			return err
		},
	} {
		if err := call("nowhere"); !gone(err) || !has(err, "DomainName nowhere is not found") {
			t.Errorf("%s of an unknown domain: %v", what, err)
		}
	}
	must(a.CreateDomain(ctx, &customerprofiles.CreateDomainInput{DomainName: aws.String("here"), DefaultExpirationDays: aws.Int32(1)}))(t)
	_, err = a.SearchProfiles(ctx, &customerprofiles.SearchProfilesInput{DomainName: aws.String("here"), KeyName: aws.String("_email"), Values: []string{""}})
	if !refused(err, "Member must have length greater than or equal to 1") {
		t.Errorf("an empty value: %v", err)
	}
	id := "0123456789abcdef0123456789abcdef"
	_, err = a.MergeProfiles(ctx, &customerprofiles.MergeProfilesInput{DomainName: aws.String("here"), MainProfileId: &id, ProfileIdsToBeMerged: []string{"f" + id[1:]}})
	if !refused(err, "Unknown profile IDs") {
		t.Errorf("a merge of unknown profiles: %v", err)
	}
}
