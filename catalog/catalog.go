package catalog

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
)

// maxListed is how many attributes of a type are told, the newest.
const maxListed = 1000

// plainName are the names that ListObjectTypeAttributes may tell, by the model. The other two operations take any path.
var plainName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// named is an attribute that is told.
type named struct {
	name string
	at   int64
}

// ListObjectTypeAttributes lists the attributes seen in objects of a type, by name: those that have a plain name, which are members of the
// objects themselves.
func (s *Service) ListObjectTypeAttributes(ctx context.Context, in *api.ListObjectTypeAttributesRequest) (*api.ListObjectTypeAttributesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	c := newCensus(false, false)
	defer c.close()
	var all []named
	err = s.ask(ctx, rec, *in.ObjectTypeName, "", c, func(*meta) (err error) {
		all, err = s.keptNames(ctx, rec, *in.ObjectTypeName)
		return err
	}, func(bool) error {
		for name, a := range c.attrs {
			all = append(all, named{name.path, a.at})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all = plain(all)
	from := 0
	if in.NextToken != nil {
		from, _ = slices.BinarySearchFunc(all, *in.NextToken, func(n named, at string) int { return strings.Compare(n.name, at) })
	}
	out := &api.ListObjectTypeAttributesResponse{Items: []api.ListObjectTypeAttributeItem{}}
	for _, n := range all[from:] {
		if len(out.Items) == pageSize(in.MaxResults) {
			out.NextToken = &n.name
			break
		}
		out.Items = append(out.Items, api.ListObjectTypeAttributeItem{AttributeName: &n.name, LastUpdatedAt: api.Micros(n.at)})
	}
	return out, nil
}

// plain leaves the newest attributes that have plain names, by name.
func plain(all []named) []named {
	all = slices.DeleteFunc(all, func(n named) bool { return !plainName.MatchString(n.name) })
	slices.SortFunc(all, func(a, b named) int { return valueAt{a.name, a.at}.compare(valueAt{b.name, b.at}) })
	all = all[:min(len(all), maxListed)]
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return all
}

func pageSize(max *int32) int {
	if max == nil {
		return 100
	}
	return int(*max)
}

// ListObjectTypeAttributeValues lists the values seen of an attribute, the newest first.
func (s *Service) ListObjectTypeAttributeValues(ctx context.Context, in *api.ListObjectTypeAttributeValuesRequest) (*api.ListObjectTypeAttributeValuesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	from, err := parseToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	c := newCensus(true, false)
	defer c.close()
	name := of{*in.ObjectTypeName, *in.AttributeName}
	var all []valueAt
	err = s.ask(ctx, rec, name.objectType, name.path, c, func(*meta) (err error) {
		all, err = s.keptValues(ctx, rec, name)
		return err
	}, func(bool) error {
		if a := c.attrs[name]; a != nil {
			all = a.newest(valuesSize)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all = from.behind(all)
	out := &api.ListObjectTypeAttributeValuesResponse{Items: []api.ListObjectTypeAttributeValuesItem{}}
	for i, v := range all {
		if len(out.Items) == pageSize(in.MaxResults) {
			out.NextToken = api.Ptr(from.next(all[:i]))
			break
		}
		out.Items = append(out.Items, api.ListObjectTypeAttributeValuesItem{Value: &v.Value, LastUpdatedAt: api.Micros(v.At)})
	}
	return out, nil
}

// position is a place in a list of values: behind the first told of those written at a time. A value itself may be longer than a token.
type position struct{ at, told int64 }

func parseToken(token *string) (p position, err error) {
	if token == nil {
		return p, nil
	}
	if n, err := fmt.Sscanf(*token, "%d:%d", &p.at, &p.told); n != 2 || err != nil {
		return p, fault.BadRequestf("NextToken is not valid.")
	}
	return p, nil
}

// behind returns the values behind a position; the zero one is the beginning.
func (p position) behind(all []valueAt) []valueAt {
	if p.told == 0 {
		return all
	}
	n := 0
	for told := int64(0); n < len(all) && (all[n].At > p.at || all[n].At == p.at && told < p.told); n++ {
		if all[n].At == p.at {
			told++
		}
	}
	return all[n:]
}

// next is the token of the position behind a page that began at p.
func (p position) next(page []valueAt) string {
	end := position{at: page[len(page)-1].At}
	if end.at == p.at {
		end.told = p.told
	}
	for _, v := range page {
		if v.At == end.at {
			end.told++
		}
	}
	return fmt.Sprintf("%d:%d", end.at, end.told)
}

// GetObjectTypeAttributeStatistics returns the statistics of an attribute whose values are all numbers, of a domain with a data store. Without them the answer
// is empty, and it has no time before they were calculated.
func (s *Service) GetObjectTypeAttributeStatistics(ctx context.Context, in *api.GetObjectTypeAttributeStatisticsRequest) (*api.GetObjectTypeAttributeStatisticsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	name := of{*in.ObjectTypeName, *in.AttributeName}
	if _, err := s.kindOf(ctx, rec, name.objectType); err != nil {
		return nil, err
	}
	if !rec.DataStore {
		return nil, fault.BadRequestf("Statistics need a domain with a data store: call UpdateDomain with DataStore.Enabled true first.")
	}
	found, at, err := s.statistics(ctx, rec, name)
	if err != nil {
		return nil, err
	}
	out := &api.GetObjectTypeAttributeStatisticsResponse{Statistics: &api.GetObjectTypeAttributeStatisticsStats{}}
	if at != 0 {
		out.CalculatedAt = api.Micros(at)
	}
	if found != nil {
		p := &found.Percentiles
		out.Statistics = &api.GetObjectTypeAttributeStatisticsStats{
			Maximum: &found.Most, Minimum: &found.Least, Average: &found.Mean, StandardDeviation: &found.Deviation,
			Percentiles: &api.GetObjectTypeAttributeStatisticsPercentiles{P5: &p[0], P25: &p[1], P50: &p[2], P75: &p[3], P95: &p[4]},
		}
	}
	return out, nil
}

// statistics returns those of an attribute, nil if it has none, and when they were calculated, 0 if they have not been yet.
func (s *Service) statistics(ctx context.Context, rec *domain.Record, name of) (found *stats, at int64, err error) {
	c := newCensus(false, true)
	defer c.close()
	err = s.ask(ctx, rec, name.objectType, name.path, c, func(m *meta) (err error) {
		found, err = s.keptStats(ctx, rec, name)
		at = m.At
		return err
	}, func(known bool) error {
		if !known {
			return nil
		}
		all, err := c.statsOf()
		found, at = all[name], s.Now().UnixMicro()
		return err
	})
	return found, at, err
}
