package profile

import (
	"context"
	"fmt"

	"kith/store"
)

// loadMany calls yield with every one of ids, which ascend, and its profile, nil where none is visible, until yield returns false.
// All are read by one Probe.
func (s *Service) loadMany(ctx context.Context, inc store.Incarnation, ids []ID, yield func(ID, *Profile) bool) error {
	probes := func(probe func(store.Probe) bool) {
		for i := range ids {
			if !probe(store.Probe{Partition: string(ids[i][:])}) {
				return
			}
		}
	}
	now := s.Now().UnixMicro()
	at := 0 // the profile whose rows are being gathered
	r := NewReader(ctx, s.Store, inc)
	// upTo hands over what was gathered, and the profiles without rows behind it.
	upTo := func(i int) bool {
		for ; at < i; at++ {
			if !yield(ids[at], r.Profile(ids[at])) {
				return false
			}
			r = NewReader(ctx, s.Store, inc) // a profile holds on to what its reader decoded
		}
		return true
	}
	for hit, err := range s.Store.Probe(ctx, store.Profile, inc, probes) {
		if err != nil {
			return fmt.Errorf("read profiles: %w", err)
		}
		if !upTo(hit.Index) {
			return nil
		}
		if err := r.Add(hit.Row, now); err != nil {
			return fmt.Errorf("profile %s: %w", ids[at], err)
		}
	}
	upTo(len(ids))
	return nil
}
