package profile

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/store"
)

// pair is one key of a search with its alternatives.
type pair struct {
	name       string
	values     []string // as the caller wrote them
	normalized []string // the same, index by index
}

// SearchProfiles finds profiles by exact values of keys, in the order of their ids. AND wants all pairs, OR any of them; the
// values within a pair are alternatives in both. Behaviour: spec/core.md 5.2.
func (s *Service) SearchProfiles(ctx context.Context, in *api.SearchProfilesRequest) (*api.SearchProfilesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	limit := 20
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	pairs, err := searchPairs(in)
	if err != nil {
		return nil, err
	}
	and := api.Val(in.LogicalOperator) == api.LogicalOperatorAnd
	var after *ID
	if in.NextToken != nil {
		id, ok := ParseID(*in.NextToken)
		if !ok {
			return nil, fault.BadRequestf("NextToken is not valid.")
		}
		after = &id
	}
	out := &api.SearchProfilesResponse{Items: []api.Profile{}}
	last := ""
	confirm := func(id ID, p *Profile) bool {
		if p == nil {
			return true
		}
		found := foundBy(p, pairs, rec.Keys)
		if len(found) == 0 || and && len(found) < len(pairs) {
			return true
		}
		if len(out.Items) == limit {
			out.NextToken = &last
			return false
		}
		item := p.wire()
		item.FoundByItems = found
		out.Items = append(out.Items, *item)
		last = id.String()
		return true
	}
	// The candidates are hints: as many as the page still takes, and one beyond it, are read together.
	var batch []ID
	for id, err := range s.candidates(ctx, rec, pairs, and, after) {
		if err != nil {
			return nil, err
		}
		if batch = append(batch, id); len(batch) <= limit-len(out.Items) {
			continue
		}
		if err := s.loadMany(ctx, rec.Incarnation, batch, confirm); err != nil || out.NextToken != nil {
			return out, err
		}
		batch = batch[:0]
	}
	return out, s.loadMany(ctx, rec.Incarnation, batch, confirm)
}

func searchPairs(in *api.SearchProfilesRequest) ([]pair, error) {
	pairs := []pair{newPair(*in.KeyName, in.Values)}
	for _, k := range in.AdditionalSearchKeys {
		pairs = append(pairs, newPair(*k.KeyName, k.Values))
	}
	for _, p := range pairs {
		if len(p.values) == 0 {
			return nil, fault.BadRequestf("1 validation error detected: Value at 'values' failed to satisfy constraint: Member must have length greater than or equal to 1 (key %s)", p.name)
		}
	}
	return pairs, nil
}

func newPair(name string, values []string) pair {
	p := pair{name: name, values: values}
	for _, v := range values {
		p.normalized = append(p.normalized, objecttype.Normalize(objecttype.KeyContentType(name), v))
	}
	return p
}

// foundBy lists the pairs that a profile confirms, each with the values that hit, in the caller's spelling.
func foundBy(p *Profile, pairs []pair, own []domain.Key) []api.FoundByKeyValue {
	var found []api.FoundByKeyValue
	for _, pr := range pairs {
		var hits []string
		for i, n := range pr.normalized {
			if n != "" && p.Has(pr.name, objecttype.IndexValue(n), own) && !slices.Contains(hits, pr.values[i]) {
				hits = append(hits, pr.values[i])
			}
		}
		if hits != nil {
			found = append(found, api.FoundByKeyValue{KeyName: &pr.name, Values: hits})
		}
	}
	return found
}

// candidates streams the ids that the index names, ascending, each once, behind after.
func (s *Service) candidates(ctx context.Context, rec *domain.Record, pairs []pair, and bool, after *ID) iter.Seq2[ID, error] {
	var streams []iter.Seq2[ID, error]
	for _, p := range pairs {
		var parts []iter.Seq2[ID, error]
		for _, n := range p.normalized {
			if n != "" {
				parts = append(parts, s.holders(ctx, rec.Incarnation, p.name, n, after))
			}
		}
		if and {
			streams = append(streams, union(parts))
		} else {
			streams = append(streams, parts...)
		}
	}
	if and {
		return intersection(streams)
	}
	return union(streams)
}

// holders streams the profiles that hold a key value, by the index alone.
func (s *Service) holders(ctx context.Context, inc store.Incarnation, name, normalized string, after *ID) iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		if name == objecttype.KeyProfileID {
			if id, ok := ParseID(normalized); ok && (after == nil || bytes.Compare(id[:], after[:]) > 0) {
				yield(id, nil)
			}
			return
		}
		r := store.Range{}
		if after != nil {
			r.Start = store.After(after[:])
		}
		var last ID
		for row, err := range s.Store.Scan(ctx, store.Partition{Table: store.Index, Incarnation: inc, Key: IndexPartition(name, normalized)}, r) {
			id, ok := IndexedID(row.Key)
			if err == nil && (!ok || id == last) {
				continue
			}
			last = id
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// head is a stream with its next id.
type head struct {
	id   ID
	next func() (ID, error, bool)
	stop func()
}

func open(streams []iter.Seq2[ID, error]) (heads []*head, closeAll func(), err error) {
	var all []*head
	closeAll = func() {
		for _, h := range all {
			h.stop()
		}
	}
	for _, s := range streams {
		h := &head{}
		h.next, h.stop = iter.Pull2(s)
		all = append(all, h)
		id, err, ok := h.next()
		if err != nil {
			return nil, closeAll, err
		}
		h.id = id
		if ok {
			heads = append(heads, h)
		}
	}
	return heads, closeAll, nil
}

// union merges ascending streams.
func union(streams []iter.Seq2[ID, error]) iter.Seq2[ID, error] {
	if len(streams) == 1 {
		return streams[0]
	}
	return func(yield func(ID, error) bool) {
		heads, closeAll, err := open(streams)
		defer closeAll()
		if err != nil {
			yield(ID{}, err)
			return
		}
		for len(heads) > 0 {
			least := slices.MinFunc(heads, func(a, b *head) int { return bytes.Compare(a.id[:], b.id[:]) }).id
			if !yield(least, nil) {
				return
			}
			if heads, err = advance(heads, least); err != nil {
				yield(ID{}, err)
				return
			}
		}
	}
}

// advance moves the heads that stand at id, and drops the streams that end.
func advance(heads []*head, id ID) ([]*head, error) {
	var failed error
	heads = slices.DeleteFunc(heads, func(h *head) bool {
		if h.id != id || failed != nil {
			return false
		}
		next, err, ok := h.next()
		if err != nil {
			failed = err
		}
		h.id = next
		return !ok
	})
	return heads, failed
}

// intersection streams the ids that all ascending streams have.
func intersection(streams []iter.Seq2[ID, error]) iter.Seq2[ID, error] {
	if len(streams) == 1 {
		return streams[0]
	}
	return func(yield func(ID, error) bool) {
		heads, closeAll, err := open(streams)
		defer closeAll()
		if err != nil {
			yield(ID{}, err)
			return
		}
		for len(heads) == len(streams) && len(heads) > 0 {
			least := heads[0].id
			same := true
			for _, h := range heads[1:] {
				same = same && h.id == least
				if bytes.Compare(h.id[:], least[:]) < 0 {
					least = h.id
				}
			}
			if same && !yield(least, nil) {
				return
			}
			if heads, err = advance(heads, least); err != nil {
				yield(ID{}, err)
				return
			}
		}
	}
}
