package domain

import (
	"context"
	"reflect"

	"kith/api"
)

// setMatching takes over Matching. Whoever turns it off gives up the criteria of merging (docs/spec/advanced.md 1.1). UpdatedAt is the time of the call.
func (rec *Record) setMatching(m *api.MatchingRequest) {
	was := rec.Matching
	rec.Matching = &api.MatchingResponse{Enabled: m.Enabled, JobSchedule: m.JobSchedule, AutoMerging: m.AutoMerging, ExportingConfig: m.ExportingConfig}
	on, wasOn := rec.MatchingOn(), was != nil && api.Val(was.Enabled)
	switch {
	case !on:
		rec.Matching.AutoMerging, rec.MatchingSince, rec.MatchingChanged = nil, 0, 0
	case !wasOn:
		rec.MatchingSince, rec.MatchingChanged = rec.UpdatedAt, rec.UpdatedAt
	case !reflect.DeepEqual(was.JobSchedule, m.JobSchedule):
		rec.MatchingChanged = rec.UpdatedAt
	}
}

// MatchingOn says whether identity resolution jobs run in the domain.
func (rec *Record) MatchingOn() bool { return rec.Matching != nil && api.Val(rec.Matching.Enabled) }

// checkExports refuses settings whose results could not be written to where they are wanted.
func (s *Service) checkExports(ctx context.Context, name string, m *api.MatchingRequest, rb *api.RuleBasedMatchingRequest) error {
	if s.CanExport == nil {
		return nil
	}
	for _, to := range []*api.ExportingConfig{exportOf(m), exportOfRules(rb)} {
		if to == nil || to.S3Exporting == nil {
			continue
		}
		if err := s.CanExport(ctx, name, to); err != nil {
			return err
		}
	}
	return nil
}

func exportOf(m *api.MatchingRequest) *api.ExportingConfig {
	if m == nil || !api.Val(m.Enabled) {
		return nil
	}
	return m.ExportingConfig
}

func exportOfRules(m *api.RuleBasedMatchingRequest) *api.ExportingConfig {
	if m == nil || !api.Val(m.Enabled) {
		return nil
	}
	return m.ExportingConfig
}
