package domain

import (
	"context"
	"maps"
	"strings"

	"kith/api"
	"kith/fault"
	"kith/resource"
)

// MaxTags is the most tags a resource can have.
const MaxTags = 50

// TagResource adds tags to a resource; an existing key is overwritten.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceRequest) (*api.TagResourceResponse, error) {
	return &api.TagResourceResponse{}, s.changeTags(ctx, *in.ResourceArn, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		if len(tags) > MaxTags {
			return fault.BadRequestf("A resource can have at most %d tags; this call would make it %d.", MaxTags, len(tags))
		}
		return nil
	})
}

// UntagResource removes tags from a resource; missing keys are ignored.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceRequest) (*api.UntagResourceResponse, error) {
	return &api.UntagResourceResponse{}, s.changeTags(ctx, *in.ResourceArn, func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
}

// ListTagsForResource returns the tags of a resource.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	name, rest, err := tagged(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	rec, err := s.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	tags := rec.Tags
	if rest != "" {
		kind, of, _ := strings.Cut(rest, "/")
		if tags, err = resource.Tags(ctx, s.Scope(rec), kind, of); err != nil {
			return nil, err
		}
	}
	if tags == nil {
		tags = map[string]string{}
	}
	return &api.ListTagsForResourceResponse{Tags: tags}, nil
}

func (s *Service) changeTags(ctx context.Context, arn string, change func(map[string]string) error) error {
	name, rest, err := tagged(arn)
	if err != nil {
		return err
	}
	if rest != "" {
		scope, err := s.Resources(ctx, name)
		if err != nil {
			return err
		}
		kind, of, _ := strings.Cut(rest, "/")
		return resource.ChangeTags(ctx, scope, kind, of, change)
	}
	_, err = s.Update(ctx, name, 0, func(rec *Record) error {
		if rec.Tags == nil {
			rec.Tags = map[string]string{}
		}
		return change(rec.Tags)
	})
	return err
}

// ParseARN returns the domain an ARN belongs to and the rest of its resource, "" for the domain itself.
// Form: arn:<partition>:profile:<region>:<account>:domains/<domain>[/<kind>/<name>].
func ParseARN(arn string) (name, rest string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "profile" {
		return "", "", false
	}
	resource, ok := strings.CutPrefix(parts[5], "domains/")
	if !ok {
		return "", "", false
	}
	name, rest, _ = strings.Cut(resource, "/")
	return name, rest, name != ""
}

// tagged is ParseARN with a sentence for what is no ARN of ours.
func tagged(arn string) (name, rest string, err error) {
	name, rest, ok := ParseARN(arn)
	if !ok {
		return "", "", fault.BadRequestf("ResourceArn must have the form arn:aws:profile:<region>:<account>:domains/<domain>, or go on with /<kind>/<name>, as in .../layouts/<name>.")
	}
	return name, rest, nil
}
