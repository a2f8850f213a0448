package resource

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"kith/fault"
	"kith/store"
)

// raw is a kind of which only the name is known: tags are changed without a look at the data.
func raw(kind string) Kind[jsontext.Value] {
	return Kind[jsontext.Value]{Name: kind, Title: "Resource"}
}

// Tags returns the tags of a resource of any kind, or fault.NotFound. So every resource is taggable by its ARN.
func Tags(ctx context.Context, at Scope, kind, name string) (map[string]string, error) {
	r, err := raw(kind).load(ctx, at, name)
	if err != nil {
		return nil, err
	}
	if !r.Exists() {
		return nil, untaggable(at, kind, name)
	}
	return r.Tags, nil
}

func untaggable(at Scope, kind, name string) error {
	return fault.NotFoundf("Resource %s/%s is not found in domain %s.", kind, name, at.Domain)
}

// ChangeTags changes the tags of a resource of any kind, or returns fault.NotFound. Revision and times stay. change may be called
// several times.
func ChangeTags(ctx context.Context, at Scope, kind, name string, do func(tags map[string]string) error) error {
	k := raw(kind)
	for {
		r, err := k.load(ctx, at, name)
		if err != nil {
			return err
		}
		if !r.Exists() {
			return untaggable(at, kind, name)
		}
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		if err := do(r.Tags); err != nil {
			return err
		}
		if len(r.Tags) == 0 {
			r.Tags = nil // answers show no empty Tags
		}
		c := &change[jsontext.Value]{kind: k, at: at, rec: r}
		if err := c.put(r); err != nil {
			return err
		}
		again, err := c.publish(ctx)
		if errors.Is(err, store.ErrUnknown) { // tags that are changed twice are changed
			continue
		}
		if err != nil {
			return err
		}
		if !again {
			return at.stillThere(ctx)
		}
	}
}
