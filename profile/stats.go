package profile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/job"
	"kith/profile/fold"
	"kith/store"
)

// Statistics is the standing work that counts the profiles of a domain.
const Statistics = "statistics"

const (
	// freshProfiles and freshRows are how much of a domain is looked at to answer a question: who has less is counted each time.
	freshProfiles = 1000
	freshRows     = 50_000
	// countShare is how many times as long as a count takes its figure stands, at most maxPause: counting takes a twentieth of one
	// core at most, however much is written.
	countShare = 20
	maxPause   = 30 * time.Minute
	// countPatience is for how long counting makes way for imports, and countYield when it looks again.
	countPatience = 2 * time.Minute
	countYield    = 5 * time.Second
	// countStride is how many profiles are counted between two looks at whether an import has begun.
	countStride = 1024
)

var countKey = []byte("profiles")

// count is the row of the statistics.
type count struct {
	Profiles int64
	Metered  int64 `json:",omitzero"` // as the API meters them
	Objects  int64 `json:",omitzero"`
	Bytes    int64 `json:",omitzero"`
	At       int64 // when it was begun, by the time of day
	Took     int64 // microseconds
}

// errEnough ends a pass that has seen as much as it was to see, and errYield one that makes way for an import.
var (
	errEnough = errors.New("enough was seen")
	errYield  = errors.New("an import has begun")
)

// Stats counts the visible profiles of a small domain, and returns the kept figure of a large one (CountProfiles).
func (s *Service) Stats(ctx context.Context, inc store.Incarnation) (*api.DomainStats, error) {
	c, err := s.countUpTo(ctx, inc)
	if errors.Is(err, errEnough) {
		var kept count
		if kept, _, err = s.kept(ctx, inc); kept.Profiles >= c.Profiles {
			c = kept
		}
	}
	if err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	return &api.DomainStats{ProfileCount: &c.Profiles, MeteringProfileCount: &c.Metered, ObjectCount: &c.Objects, TotalSize: &c.Bytes}, nil
}

// add counts a profile. More than 100 objects count as another one, and so does each further hundred (docs/spec/core.md 2.3).
func (c *count) add(p *fold.Profile) {
	c.Profiles++
	c.Metered += 1 + int64(max(p.Objects-1, 0)/100)
	c.Objects += int64(p.Objects)
	c.Bytes += p.Bytes
}

// countUpTo counts the profiles of a domain, or returns errEnough with how many it has met.
func (s *Service) countUpTo(ctx context.Context, inc store.Incarnation) (c count, err error) {
	few := *s
	few.Store = &bounded{Store: s.Store, most: freshRows}
	err = few.Each(ctx, Pass{Incarnation: inc, Now: s.Now().UnixMicro(), Attrs: fold.NewAttrSet(), Workers: 1}, func(_ int, p *fold.Profile) error {
		if c.add(p); c.Profiles >= freshProfiles {
			return errEnough
		}
		return nil
	})
	return c, err
}

// bounded is a store that gives out so many rows of sweeps and then errEnough.
type bounded struct {
	store.Store
	most int64
	rows atomic.Int64
}

// Sweep implements store.Store.
func (b *bounded) Sweep(ctx context.Context, r store.SweepRange) iter.Seq2[store.SweepRow, error] {
	return func(yield func(store.SweepRow, error) bool) {
		for row, err := range b.Store.Sweep(ctx, r) {
			if err == nil && b.rows.Add(1) > b.most {
				err = errEnough
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func (s *Service) kept(ctx context.Context, inc store.Incarnation) (c count, version uint64, err error) {
	row, err := s.Store.Get(ctx, job.StandingPartition(inc, Statistics), countKey)
	if errors.Is(err, store.ErrNotFound) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, err
	}
	return c, row.Version, json.Unmarshal(row.Value, &c)
}

// CountProfiles is the standing work: it counts the visible profiles of a domain, looking at none of their attributes, and keeps the
// figure, unless that was done so lately that it would take too much of the machine to do it again; then it says when to come back.
// Where an import runs on this node it waits or stops, for countPatience at most: of two files, one after the other, it
// would make the second one wait.
func (s *Service) CountProfiles(ctx context.Context, t *job.Task) (again time.Duration, err error) {
	last, version, err := s.kept(ctx, t.Incarnation)
	if err != nil {
		return 0, err
	}
	now := s.Now()
	stands := min(countShare*time.Duration(last.Took)*time.Microsecond, maxPause)
	age := time.Duration(0) // of a domain that was never counted, too
	if last.At != 0 {
		age = now.Sub(time.UnixMicro(last.At))
	}
	if age >= 0 && age < stands {
		return stands - age, nil
	}
	keep := func(c count) error {
		value, err := json.Marshal(c)
		if err == nil {
			_, err = t.Swap(ctx, store.Swap{Key: countKey, Value: value, Expect: version})
		}
		return err
	}
	importing := func() bool { return age < stands+countPatience && s.Importing != nil && s.Importing() }
	yield := func() (time.Duration, error) {
		if last.At != 0 {
			return countYield, nil
		}
		return countYield, keep(count{At: now.UnixMicro()}) // it has waited since now
	}
	if importing() {
		return yield()
	}
	next, start := count{At: now.UnixMicro()}, time.Now()
	pass := Pass{Incarnation: t.Incarnation, Now: now.UnixMicro(), Attrs: fold.NewAttrSet(), Workers: 1} // requests and imports come first
	err = s.Each(ctx, pass, func(_ int, p *fold.Profile) error {
		if next.add(p); next.Profiles%countStride == 0 && importing() {
			return errYield
		}
		return nil
	})
	if errors.Is(err, errYield) {
		return yield()
	}
	if err != nil {
		return 0, fmt.Errorf("count profiles: %w", err)
	}
	next.Took = time.Since(start).Microseconds()
	return 0, keep(next)
}
