package profile

import (
	"context"
	"runtime"
	"sync"
	"time"

	"kith/api"
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

func (s *Service) count(ctx context.Context, inc store.Incarnation) (int64, error) {
	ranges, err := s.Store.Split(ctx, store.SweepRange{Table: store.Profile, Incarnation: inc}, runtime.NumCPU())
	if err != nil {
		return 0, err
	}
	counts, errs := make([]int64, len(ranges)), make([]error, len(ranges))
	var wg sync.WaitGroup
	for i, r := range ranges {
		wg.Go(func() { counts[i], errs[i] = s.countRange(ctx, r) })
	}
	wg.Wait()
	var n int64
	for i := range ranges {
		if errs[i] != nil {
			return 0, errs[i]
		}
		n += counts[i]
	}
	return n, nil
}

func (s *Service) countRange(ctx context.Context, r store.SweepRange) (n int64, err error) {
	rows := NewReader(s.Now().UnixMicro())
	return n, eachProfile(s.Store.Sweep(ctx, r), rows, func(id ID) error {
		visible := rows.p.Visible()
		if rows.p.links != nil { // of merges, the main profile counts
			all, err := s.loadMains(ctx, r.Incarnation, []ID{id})
			if err != nil {
				return err
			}
			visible = all[id] != nil
		}
		if visible {
			n++
		}
		return nil
	})
}
