package integration

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
)

// reasons say why a source brings nothing.
var reasons = map[Source]string{
	Flow:      "This version of Kith has no connector that runs flows.",
	Bucket:    "This version of Kith has no connector that reads buckets.",
	Events:    "This version of Kith has no connector that receives events of an event bus.",
	Instance:  "This version of Kith does not receive contact records of an instance.",
	Campaigns: "This version of Kith does not receive events of outbound campaigns.",
	Stream:    "This version of Kith has no connector that reads streams.",
	Other:     "Kith knows no source of this form.",
}

const instead = " The integration is stored and never run. Bring its records by PutProfileObject, BatchPutProfileObject or an upload job."

// GetIntegrationDetails says what of an integration is ready, what is not, and why.
func (s *Service) GetIntegrationDetails(ctx context.Context, in *api.GetIntegrationDetailsRequest) (*api.GetIntegrationDetailsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	r, err := s.kind().Get(ctx, s.Domains.Scope(rec), *in.Uri)
	if err != nil {
		return nil, err
	}
	source, err := sourceOf(r.Name)
	if err != nil {
		return nil, err
	}
	out := &api.GetIntegrationDetailsResponse{DomainName: &rec.Name, Uri: &r.Name, Source: api.Ptr(string(source)), Runs: api.Ptr(false)}
	part := func(kind, name, reason string) {
		p := api.IntegrationPart{Kind: &kind, Name: &name, Ready: api.Ptr(reason == "")}
		if reason != "" {
			p.Reason = &reason
		}
		out.Parts = append(out.Parts, p)
	}
	part("SOURCE", r.Name, reasons[source]+instead)
	for _, name := range needed(r.Data.ObjectTypeName, r.Data.ObjectTypeNames) {
		reason, err := s.missing(ctx, rec, r.Data.Scope, name)
		if err != nil {
			return nil, err
		}
		part("OBJECT_TYPE", name, reason)
	}
	for _, name := range r.Data.EventTriggerNames {
		part("EVENT_TRIGGER", name, "This version of Kith has no event triggers.")
	}
	if r.Data.FlowDefinition != nil {
		text, err := json.Marshal(r.Data.FlowDefinition, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		out.FlowDefinition = api.Ptr(string(text))
	}
	return out, nil
}

// missing says why objects of a type can't be put, or "".
func (s *Service) missing(ctx context.Context, rec *domain.Record, scope api.Scope, name string) (string, error) {
	err := s.exists(ctx, rec, scope, name, s.Types.Find)
	if errors.Is(err, fault.NotFound) {
		return "The object type does not exist any more.", nil
	}
	return "", err
}
