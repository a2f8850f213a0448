package domain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/fault"
	"kith/schema"
	"kith/store"
)

// CreateDomain creates a domain. It is not idempotent: an existing name is a BadRequest, whatever the body.
func (s *Service) CreateDomain(ctx context.Context, in *api.CreateDomainRequest) (*api.CreateDomainResponse, error) {
	if err := checkBlocks(in.Matching, in.RuleBasedMatching); err != nil {
		return nil, err
	}
	if err := s.checkExports(ctx, *in.DomainName, in.Matching, in.RuleBasedMatching); err != nil {
		return nil, err
	}
	now := s.Now().UnixMicro()
	rec := &Record{
		Name: *in.DomainName, Incarnation: newIncarnation(), CreatedAt: now, UpdatedAt: now,
		DefaultExpirationDays: *in.DefaultExpirationDays,
		DefaultEncryptionKey:  api.Val(in.DefaultEncryptionKey),
		DeadLetterQueueURL:    api.Val(in.DeadLetterQueueUrl),
		Tags:                  in.Tags,
	}
	rec.setBlocks(in.Matching, in.RuleBasedMatching, in.DataStore)
	rec.RulesChangedAt = now
	value, err := json.Marshal(rec, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	if err := s.create(ctx, rec, value); err != nil {
		return nil, err
	}
	rules, err := s.rulesOf(ctx, rec, true)
	if err != nil {
		return nil, err
	}
	return &api.CreateDomainResponse{
		DomainName: &rec.Name, DefaultExpirationDays: &rec.DefaultExpirationDays,
		DefaultEncryptionKey: text(rec.DefaultEncryptionKey), DeadLetterQueueUrl: text(rec.DeadLetterQueueURL),
		Matching: rec.Matching, RuleBasedMatching: rules, DataStore: rec.dataStore(),
		CreatedAt: at(rec.CreatedAt), LastUpdatedAt: at(rec.UpdatedAt), Tags: rec.Tags,
	}, nil
}

// create puts the row of a new domain. One whose answer is lost may have been deleted by others before anybody looks; its mark tells, and keeps
// the incarnation from having a second life.
func (s *Service) create(ctx context.Context, rec *Record, value []byte) error {
	_, err := store.Certain(ctx, s.Store, catalog, []store.Swap{
		{Key: liveKey(rec.Name), Value: value},
		{Key: deadKey(rec.Incarnation), Op: store.Check},
	}, func(value []byte) bool {
		now := &Record{}
		return json.Unmarshal(value, now) == nil && now.Incarnation == rec.Incarnation
	})
	s.remembered().Drop(rec.Name)
	if !errors.Is(err, store.ErrConflict) {
		if err != nil {
			err = fmt.Errorf("write a domain: %w", err)
		}
		return err
	}
	if errors.Is(err, store.ErrUnknown) {
		if _, err := s.Store.Get(ctx, catalog, deadKey(rec.Incarnation)); !errors.Is(err, store.ErrNotFound) {
			return err // nil: it was there
		}
	}
	return fault.BadRequestf("Domain %s already exists", rec.Name)
}

// GetDomain returns a domain with its statistics.
func (s *Service) GetDomain(ctx context.Context, in *api.GetDomainRequest) (*api.GetDomainResponse, error) {
	rec, err := s.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	rules, err := s.rulesOf(ctx, rec, false)
	if err != nil {
		return nil, err
	}
	out := &api.GetDomainResponse{
		DomainName: &rec.Name, DefaultExpirationDays: &rec.DefaultExpirationDays,
		DefaultEncryptionKey: text(rec.DefaultEncryptionKey), DeadLetterQueueUrl: text(rec.DeadLetterQueueURL),
		Matching: rec.Matching, RuleBasedMatching: rules, DataStore: rec.dataStore(),
		CreatedAt: at(rec.CreatedAt), LastUpdatedAt: at(rec.UpdatedAt), Tags: rec.Tags,
	}
	if s.Stats != nil {
		out.Stats, err = s.Stats(ctx, rec.Incarnation)
	}
	return out, err
}

// UpdateDomain changes the members that are present, each as a whole. Tags are left alone: TagResource changes them.
func (s *Service) UpdateDomain(ctx context.Context, in *api.UpdateDomainRequest) (*api.UpdateDomainResponse, error) {
	if in.Matching != nil || in.RuleBasedMatching != nil {
		if _, err := s.Lookup(ctx, *in.DomainName); err != nil {
			return nil, err
		}
		if err := checkBlocks(in.Matching, in.RuleBasedMatching); err != nil {
			return nil, err
		}
		if err := s.checkExports(ctx, *in.DomainName, in.Matching, in.RuleBasedMatching); err != nil {
			return nil, err
		}
	}
	changed := false
	rec, err := s.Update(ctx, *in.DomainName, 0, func(rec *Record) error {
		if err := checkBlocks(in.Matching, in.RuleBasedMatching); err != nil {
			return err
		}
		var err error
		if changed, err = s.rulesChange(ctx, rec, in.RuleBasedMatching); err != nil {
			return err
		}
		if err := s.checkDataStore(ctx, rec, in.DataStore); err != nil {
			return err
		}
		if in.DefaultExpirationDays != nil {
			rec.DefaultExpirationDays = *in.DefaultExpirationDays
		}
		if in.DefaultEncryptionKey != nil {
			rec.DefaultEncryptionKey = *in.DefaultEncryptionKey
		}
		if in.DeadLetterQueueUrl != nil {
			rec.DeadLetterQueueURL = *in.DeadLetterQueueUrl
		}
		rec.UpdatedAt = max(s.Now().UnixMicro(), rec.UpdatedAt+1000)
		rec.setBlocks(in.Matching, in.RuleBasedMatching, in.DataStore)
		if changed {
			rec.RulesChangedAt = rec.UpdatedAt
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rules, err := s.rulesOf(ctx, rec, changed)
	if err != nil {
		return nil, err
	}
	return &api.UpdateDomainResponse{
		DomainName: &rec.Name, DefaultExpirationDays: &rec.DefaultExpirationDays,
		DefaultEncryptionKey: text(rec.DefaultEncryptionKey), DeadLetterQueueUrl: text(rec.DeadLetterQueueURL),
		Matching: rec.Matching, RuleBasedMatching: rules, DataStore: rec.dataStore(),
		CreatedAt: at(rec.CreatedAt), LastUpdatedAt: at(rec.UpdatedAt), Tags: rec.Tags,
	}, nil
}

// DeleteDomain makes a domain and all its data unreachable at once; the rows are removed in the background. The name may be
// used again immediately.
func (s *Service) DeleteDomain(ctx context.Context, in *api.DeleteDomainRequest) (*api.DeleteDomainResponse, error) {
	for was := store.Incarnation(0); ; {
		rec, err := s.Read(ctx, *in.DomainName)
		if err != nil {
			return nil, err
		}
		if was != 0 && rec.Incarnation != was {
			return &api.DeleteDomainResponse{Message: api.Ptr("Domain Deleted")}, nil // the one that was meant has gone
		}
		was = rec.Incarnation
		_, err = store.Certain(ctx, s.Store, catalog, []store.Swap{
			{Key: liveKey(rec.Name), Op: store.Delete, Expect: rec.Version},
			{Key: deadKey(rec.Incarnation)},
		}, nil)
		s.remembered().Drop(rec.Name)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("delete a domain: %w", err)
		}
		if s.OnDelete != nil {
			s.OnDelete(rec.Incarnation)
		}
		return &api.DeleteDomainResponse{Message: api.Ptr("Domain Deleted")}, nil
	}
}

// ListDomains lists the domains by name.
func (s *Service) ListDomains(ctx context.Context, in *api.ListDomainsRequest) (*api.ListDomainsResponse, error) {
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	r := store.Prefix(livePrefix)
	if in.NextToken != nil {
		r.Start = liveKey(*in.NextToken)
	}
	r.Limit = limit + 1
	out := &api.ListDomainsResponse{Items: []api.ListDomainItem{}}
	for row, err := range s.Store.Scan(ctx, catalog, r) {
		if err != nil {
			return nil, err
		}
		rec, err := decode(strings.TrimPrefix(string(row.Key), livePrefix), row)
		if err != nil {
			return nil, err
		}
		if len(out.Items) == limit {
			out.NextToken = &rec.Name
			break
		}
		out.Items = append(out.Items, api.ListDomainItem{DomainName: &rec.Name, CreatedAt: at(rec.CreatedAt), LastUpdatedAt: at(rec.UpdatedAt), Tags: rec.Tags})
	}
	return out, nil
}

// setBlocks takes over the blocks that are present.
func (rec *Record) setBlocks(m *api.MatchingRequest, rb *api.RuleBasedMatchingRequest, ds *api.DataStoreRequest) {
	if m != nil {
		rec.setMatching(m)
	}
	if rb != nil {
		rec.RuleBasedMatching = &api.RuleBasedMatchingResponse{
			Enabled: rb.Enabled, MatchingRules: rb.MatchingRules,
			MaxAllowedRuleLevelForMerging:  rb.MaxAllowedRuleLevelForMerging,
			MaxAllowedRuleLevelForMatching: rb.MaxAllowedRuleLevelForMatching,
			AttributeTypesSelector:         rb.AttributeTypesSelector, ConflictResolution: rb.ConflictResolution, ExportingConfig: rb.ExportingConfig,
		}
	}
	if ds != nil && ds.Enabled != nil {
		rec.DataStore = api.Val(ds.Enabled)
	}
}

// checkDataStore refuses to disable a data store, and to enable one whose tables would have the same name.
func (s *Service) checkDataStore(ctx context.Context, rec *Record, in *api.DataStoreRequest) error {
	if in == nil || in.Enabled == nil || *in.Enabled == rec.DataStore {
		return nil
	}
	if rec.DataStore {
		return fault.BadRequestf("The data store of domain %s is enabled, and can't be disabled again.", rec.Name)
	}
	if s.TypeNames == nil {
		return nil
	}
	names, err := s.TypeNames(ctx, rec)
	if err != nil {
		return err
	}
	if a, b, ok := schema.SameTable(names); ok {
		return fault.BadRequestf("The data store of domain %s can't be enabled: the objects of types %s and %s would be in one table, for their names differ in case, or in - and _, only. Delete one of the types first.", rec.Name, a, b)
	}
	return nil
}

// dataStore shows a data store. It is the domain's own data, so that it is ready at once.
func (rec *Record) dataStore() *api.DataStoreResponse {
	if !rec.DataStore {
		return nil
	}
	return &api.DataStoreResponse{Enabled: api.Ptr(true), Readiness: &api.Readiness{ProgressPercentage: api.Ptr(int32(100))}}
}

// text returns nil for "", so that unset members are omitted.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
