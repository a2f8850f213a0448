package domain

import (
	"context"
	"fmt"
	"time"

	"kith/api"
	"kith/fault"
	"kith/internal/restjson"
	"kith/job"
	"kith/store"
)

// ListBackgroundWork lists the work of a domain that runs or waits, in the order of its arrival.
func (s *Service) ListBackgroundWork(ctx context.Context, in *api.ListBackgroundWorkRequest) (*api.ListBackgroundWorkResponse, error) {
	rec, err := s.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	all, err := job.List(ctx, s.Store, rec.Incarnation)
	if err != nil {
		return nil, fmt.Errorf("list background work: %w", err)
	}
	out := &api.ListBackgroundWorkResponse{Items: []api.BackgroundWork{}}
	for _, w := range all {
		lane := string(w.Lane)
		if w.Lane == job.Turn {
			lane = "turn"
		}
		it := api.BackgroundWork{
			WorkId: &w.ID, Kind: &w.Kind, Lane: &lane, ArrivedAt: restjson.At(time.UnixMicro(w.Arrived).UTC()),
			FailedAttempts: api.Ptr(int32(w.Failed)), Cancelled: &w.Cancelled,
		}
		if w.Owner != "" {
			it.Node = &w.Owner
		}
		out.Items = append(out.Items, it)
	}
	return out, nil
}

// CancelBackgroundWork ends work of a domain that runs or waits. An import that has not begun to write writes nothing; what is half
// done is told by the details of its job.
func (s *Service) CancelBackgroundWork(ctx context.Context, in *api.CancelBackgroundWorkRequest) (*api.CancelBackgroundWorkResponse, error) {
	rec, err := s.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	cancel := s.CancelWork
	if cancel == nil {
		cancel = func(ctx context.Context, inc store.Incarnation, id string) (job.Work, bool, error) {
			return job.Cancel(ctx, s.Store, inc, id)
		}
	}
	w, ok, err := cancel(ctx, rec.Incarnation, *in.WorkId)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFoundf("No work %s runs or waits in domain %s; ListBackgroundWork tells what does.", *in.WorkId, rec.Name)
	}
	return &api.CancelBackgroundWorkResponse{WorkId: &w.ID, Kind: &w.Kind}, nil
}

// OfIncarnation returns the living domain of an incarnation, or nil.
func (s *Service) OfIncarnation(ctx context.Context, inc store.Incarnation) (*Record, error) {
	all, err := s.Live(ctx)
	if err != nil {
		return nil, err
	}
	for _, rec := range all {
		if rec.Incarnation == inc {
			return rec, nil
		}
	}
	return nil, nil
}
