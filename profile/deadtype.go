package profile

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"kith/domain"
	"kith/job"
	"kith/profile/fold"
	"kith/store"
)

// DeadTypesKind is the kind of background work that removes the objects of object types that were deleted.
const DeadTypesKind = "object-type"

// EndType ends an incarnation of an object type: its objects are listed and found no more from now on, and background work removes them and
// takes back what they said. It may be repeated.
func (s *Service) EndType(ctx context.Context, rec *domain.Record, name string, incarnation uint64) error {
	at := s.Now().UnixMicro()
	if _, err := s.Domains.BuryType(ctx, rec.Name, rec.Incarnation, domain.DeadType{Name: name, Incarnation: incarnation, At: at}); err != nil {
		return err
	}
	id := DeadTypesKind + "-" + strconv.FormatUint(incarnation, 16)
	err := job.Enqueue(ctx, s.Store, job.Work{Kind: DeadTypesKind, ID: id, Lane: DeadTypesKind, Incarnation: rec.Incarnation, Arrived: at})
	if err == nil && s.Domains.OnUpdate != nil {
		s.Domains.OnUpdate()
	}
	return err
}

// TypeRemover removes the objects of all types that have ended in a domain. It has a lane of its own, and may be cut off anywhere: what it has
// removed it does not meet again.
//
// A put that knows nothing of the end may be on its way. Puts look after they have announced themselves (package write), so none does that
// has announced itself later than every node knows. So after a first pass over all profiles it waits until the feed is settled up to
// there, and looks at the profiles again that the feed names meanwhile. Then the types are forgotten.
type TypeRemover struct{ *Service }

// GiveUp implements job.Handler: the daily sweep queues it anew.
func (r TypeRemover) GiveUp(context.Context, *job.Task, error) error { return nil }

const (
	// clockSlack is more than by what the clocks of two nodes differ while they write.
	clockSlack = 20 * time.Second
	// settlePoll is how often it is looked how far the feed is settled.
	settlePoll = time.Second
)

// Run implements job.Handler.
func (r TypeRemover) Run(ctx context.Context, t *job.Task) error {
	wait := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePoll):
			return nil
		}
	}
	rec, err := r.live(ctx, t.Incarnation)
	if rec == nil || err != nil {
		return err
	}
	return r.removeTypes(ctx, rec, wait)
}

// removeTypes removes the objects of the types that have ended by now; wait is called until the feed is settled.
func (s *Service) removeTypes(ctx context.Context, rec *domain.Record, wait func(context.Context) error) error {
	rec, err := s.Domains.Read(ctx, rec.Name)
	if err != nil || len(rec.DeadTypes) == 0 {
		return err
	}
	dead := slices.Clone(rec.DeadTypes)
	var incarnations []uint64
	known := int64(0) // when every node knows
	for _, t := range dead {
		incarnations = append(incarnations, t.Incarnation)
		known = max(known, t.At+(domain.MaxStaleness+clockSlack).Microseconds())
	}
	since, err := s.Feed.Settled(ctx, rec.Incarnation)
	if err != nil {
		return err
	}
	if err := s.stripAll(ctx, rec, incarnations); err != nil {
		return err
	}
	settled := int64(0)
	for {
		if settled, err = s.Feed.Settled(ctx, rec.Incarnation); err != nil {
			return err
		}
		if settled >= known {
			break
		}
		if s.Feed.OnChange != nil {
			s.Feed.OnChange(rec.Incarnation) // the feed may be at rest
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
	seen := map[ID]bool{}
	for row, err := range s.Feed.Rows(ctx, rec.Incarnation, since, settled) {
		if err != nil {
			return err
		}
		if seen[row.ID] {
			continue
		}
		if len(seen) == maxSeen {
			clear(seen)
		}
		seen[row.ID] = true
		if err := s.Writer.StripTypes(ctx, rec.Name, byType, row.ID, incarnations); err != nil {
			return fmt.Errorf("profile %s: %w", row.ID, err)
		}
	}
	_, err = s.Domains.ForgetType(ctx, rec.Name, rec.Incarnation, func(t domain.DeadType) bool { return slices.Contains(incarnations, t.Incarnation) })
	return err
}

// byType is who removes the objects of a type that was deleted.
const byType = "object-type"

// maxSeen bounds how many profiles are known to have been looked at.
const maxSeen = 100_000

// stripAll removes objects from all profiles of a domain that have some of the types.
func (s *Service) stripAll(ctx context.Context, rec *domain.Record, incarnations []uint64) error {
	is := func(incarnation uint64) bool { return slices.Contains(incarnations, incarnation) }
	for row, err := range s.Store.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}) {
		if err != nil {
			return err
		}
		if string(row.Row.Key) != string(headKey) {
			continue
		}
		h, err := fold.DecodeHeadView(row.Row.Value, -1) // what has expired, too
		if err != nil {
			return err
		}
		if !h.HasType(is) {
			continue
		}
		var id ID
		copy(id[:], row.Partition.Key)
		if err := s.Writer.StripTypes(ctx, rec.Name, byType, id, incarnations); err != nil {
			return fmt.Errorf("profile %s: %w", id, err)
		}
	}
	return nil
}
