package profile

import (
	"context"
	"runtime"
	"sync"
	"time"

	"kith/api"
	"kith/profile/fold"
	"kith/store"
)

// maxStatsAge is how old the statistics of a domain may be.
const maxStatsAge = time.Minute

type statsCache struct {
	mu  sync.Mutex
	all map[store.Incarnation]*domainStats
}

type domainStats struct {
	mu       sync.Mutex
	profiles int64
	at       time.Time
	cost     time.Duration
}

// Stats counts the visible profiles of a domain. A count is used again for a hundred times the time it took to make, a
// minute at most, so that small domains are always fresh and large ones are not swept all the time.
func (s *Service) Stats(ctx context.Context, inc store.Incarnation) (*api.DomainStats, error) {
	s.stats.mu.Lock()
	if s.stats.all == nil {
		s.stats.all = map[store.Incarnation]*domainStats{}
	}
	d := s.stats.all[inc]
	if d == nil {
		d = &domainStats{}
		s.stats.all[inc] = d
	}
	s.stats.mu.Unlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if now := s.Now(); d.at.IsZero() || now.Sub(d.at) > min(maxStatsAge, 100*d.cost) || now.Before(d.at) {
		n, err := s.count(ctx, inc)
		if err != nil {
			return nil, err
		}
		d.profiles, d.at, d.cost = n, now, s.Now().Sub(now)
	}
	zero := int64(0)
	return &api.DomainStats{ProfileCount: api.Ptr(d.profiles), MeteringProfileCount: api.Ptr(d.profiles), ObjectCount: &zero, TotalSize: &zero}, nil
}

// Forget drops the statistics of a deleted domain.
func (s *Service) Forget(inc store.Incarnation) {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	delete(s.stats.all, inc)
}

// count counts the visible profiles of a domain by a pass that looks at none of their attributes.
func (s *Service) count(ctx context.Context, inc store.Incarnation) (int64, error) {
	p := Pass{Incarnation: inc, Now: s.Now().UnixMicro(), Attrs: fold.NewAttrSet(), Workers: runtime.GOMAXPROCS(0)}
	counts := make([]struct {
		n int64
		_ [56]byte // a cache line each
	}, p.Workers)
	err := s.Each(ctx, p, func(worker int, _ *fold.Profile) error {
		counts[worker].n++
		return nil
	})
	var n int64
	for i := range counts {
		n += counts[i].n
	}
	return n, err
}
