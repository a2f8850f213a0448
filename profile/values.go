package profile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/profile/fold"
	"kith/schema"
)

const (
	// maxValues is how many values of an attribute are answered, the most frequent ones.
	maxValues = 1000
	// maxDistinct is how many values of an attribute are counted; what is met later is not.
	maxDistinct = 50_000
	// samples is of how many parts of a large domain some profiles are looked at.
	samples = 64
)

// ListProfileAttributeValues lists the values that profiles have of an attribute, the most frequent first: all of a domain of up to
// freshRows rows, as it is at this moment; of a larger one those of a sample of as many rows, taken all over the domain. Behaviour:
// docs/spec/core.md 5.7.
func (s *Service) ListProfileAttributeValues(ctx context.Context, in *api.ProfileAttributeValuesRequest) (*api.ProfileAttributeValuesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	out := &api.ProfileAttributeValuesResponse{DomainName: in.DomainName, AttributeName: in.AttributeName, Items: []api.AttributeValueItem{}}
	a, ok := schema.ParsePath(*in.AttributeName)
	if !ok {
		return out, nil
	}
	counts := valueCounts{}
	err = s.eachUpTo(ctx, rec, a, nil, freshRows, counts)
	if errors.Is(err, errEnough) {
		clear(counts)
		err = s.sample(ctx, rec, a, counts)
	}
	if err != nil {
		return nil, fmt.Errorf("list the values of an attribute: %w", err)
	}
	for _, v := range counts.top(maxValues) {
		out.Items = append(out.Items, api.AttributeValueItem{Value: &v})
	}
	return out, nil
}

// valueCounts is how often values are met.
type valueCounts map[string]int

func (c valueCounts) add(v string) {
	if _, ok := c[v]; v != "" && (ok || len(c) < maxDistinct) {
		c[strings.Clone(v)]++
	}
}

// top returns the most frequent values; of those that are as frequent, the lower ones in the order of text.
func (c valueCounts) top(n int) []string {
	all := slices.SortedFunc(maps.Keys(c), func(a, b string) int { return cmp.Or(cmp.Compare(c[b], c[a]), strings.Compare(a, b)) })
	return all[:min(n, len(all))]
}

// eachUpTo counts the values of an attribute in a part of a domain, or returns errEnough after so many rows.
func (s *Service) eachUpTo(ctx context.Context, rec *domain.Record, a schema.Attr, from *Cursor, most int64, counts valueCounts) error {
	few := *s
	few.Store = &bounded{Store: s.Store, most: most}
	pass := Pass{Incarnation: rec.Incarnation, Now: s.Now().UnixMicro(), Attrs: fold.NewAttrSet(a), Workers: 1, From: from}
	return few.Each(ctx, pass, func(_ int, p *fold.Profile) error {
		counts.add(p.Get(a))
		return nil
	})
}

// sample counts the values of an attribute of some profiles of each part of a domain.
func (s *Service) sample(ctx context.Context, rec *domain.Record, a schema.Attr, counts valueCounts) error {
	whole, err := s.Start(ctx, rec.Incarnation, samples)
	if err != nil {
		return err
	}
	for _, part := range whole.Cut(len(whole.Ranges)) {
		if err := s.eachUpTo(ctx, rec, a, part, freshRows/int64(len(whole.Ranges)), counts); err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}
