package query

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/job"
	"kith/profile"
	"kith/profile/change"
	"kith/store"
)

// Service owns the query index.
type Service struct {
	Store    store.Store
	Domains  *domain.Service
	Profiles *profile.Service
	Feed     *change.Feed
	Now      func() time.Time
	// Wake makes the indexer look at a domain now; nil: it looks when it does.
	Wake func(store.Incarnation)
	// Dir is where passes over large domains put what does not fit; empty: the system's folder for temporary files.
	Dir string

	on sync.Map // incarnations of whose switch this node has read last that it is on

	passes change.Passes[*pass]
}

// note remembers how a switch is.
func (s *Service) note(inc store.Incarnation, on bool) {
	if on {
		s.on.Store(inc, true)
	} else {
		s.on.Delete(inc)
	}
}

// On says whether the index of a domain is on, as far as this node has heard, without a read: a minute may pass until it does.
func (s *Service) On(inc store.Incarnation) bool {
	_, on := s.on.Load(inc)
	return on
}

// PutQuerySettings turns the index of a domain on or off. What it consists of is built, or removed, in the background.
func (s *Service) PutQuerySettings(ctx context.Context, in *api.PutQuerySettingsRequest) (*api.PutQuerySettingsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	for {
		sw, _, err := s.read(ctx, rec.Incarnation)
		if err != nil {
			return nil, err
		}
		if sw.published.Version() != 0 && sw.On == *in.Enabled || sw.published.Version() == 0 && !*in.Enabled {
			break
		}
		sw.On = *in.Enabled
		value, err := json.Marshal(sw)
		if err != nil {
			return nil, err
		}
		_, err = s.Store.Swap(ctx, job.StandingPartition(rec.Incarnation, Name), []store.Swap{{Key: switchKey, Value: value, Expect: sw.published.Version()}})
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) {
			return nil, err
		}
	}
	s.note(rec.Incarnation, *in.Enabled)
	if s.Wake != nil {
		s.Wake(rec.Incarnation)
	}
	out, err := s.settings(ctx, rec)
	return (*api.PutQuerySettingsResponse)(out), err
}

// GetQuerySettings tells whether the index of a domain is on, and how far it is.
func (s *Service) GetQuerySettings(ctx context.Context, in *api.GetQuerySettingsRequest) (*api.GetQuerySettingsResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	return s.settings(ctx, rec)
}

func (s *Service) settings(ctx context.Context, rec *domain.Record) (*api.GetQuerySettingsResponse, error) {
	sw, st, err := s.read(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	status := statusOf(sw, st)
	out := &api.GetQuerySettingsResponse{Enabled: &sw.On, Status: &status}
	if !sw.On {
		return out, nil
	}
	profiles, terms := st.Profiles, st.Terms
	if st.Serving == 0 {
		profiles, terms = st.NewProfiles, st.NewTerms
	}
	out.IndexedProfiles, out.IndexedTerms = &profiles, &terms
	if st.BuiltAt != 0 {
		out.BuiltAt = api.Micros(st.BuiltAt)
	}
	lag, err := s.lag(ctx, rec.Incarnation)
	if err != nil {
		return nil, err
	}
	upToDate := status == api.QueryStatusReady && lag == 0
	out.UpToDate, out.LagSeconds = &upToDate, api.Ptr(int64((lag+time.Second-1)/time.Second))
	return out, nil
}

// lag returns for how long the first change has waited of which it is not certain that it has been indexed; 0: there is none.
func (s *Service) lag(ctx context.Context, inc store.Incarnation) (time.Duration, error) {
	c := &change.Consumer{Feed: s.Feed}
	at, started, err := c.Cursor(ctx, change.Place{Partition: job.StandingPartition(inc, Name)})
	if err != nil || !started {
		return 0, err
	}
	for r, err := range s.Feed.Unsettled(ctx, inc, at) {
		if err != nil {
			return 0, err
		}
		return max(s.Now().Sub(time.UnixMicro(r.At)), 1), nil
	}
	return 0, nil
}

func statusOf(sw *toggle, st *state) api.QueryStatus {
	switch {
	case !sw.On:
		return api.QueryStatusOff
	case st.Serving == 0:
		return api.QueryStatusBuilding
	}
	return api.QueryStatusReady
}

// off is what a query of a domain is told that has no index.
func off(name string) error {
	return fault.BadRequestf("The query index of domain %s is off. Turn it on with PutQuerySettings (kith search --on), and wait until GetQuerySettings says READY.", name)
}
