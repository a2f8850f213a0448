package profile

import (
	"context"
	"fmt"

	"kith/profile/fold"
	"kith/store"
)

// EachHead calls do for the heads of profiles that are not deleted; ids ascend. It reads no contributions, and judges no merges: the objects of a
// member are its person's.
func EachHead(ctx context.Context, st store.Store, inc store.Incarnation, ids []ID, do func(ID, *fold.Head) error) error {
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			for _, key := range [][]byte{stateKey, headKey} {
				if !yield(store.Probe{Partition: string(id[:]), Range: store.Range{Start: key, End: store.After(key), Limit: 1}}) {
					return
				}
			}
		}
	}
	deleted := -1
	for hit, err := range st.Probe(ctx, store.Profile, inc, probes) {
		if err != nil {
			return fmt.Errorf("read heads of profiles: %w", err)
		}
		n := hit.Index / 2
		if hit.Index%2 == 0 {
			state, err := fold.DecodeState(hit.Row.Value)
			if err != nil {
				return fmt.Errorf("profile %s: %w", ids[n], err)
			}
			if state.Deleted != nil {
				deleted = n
			}
			continue
		}
		if n == deleted {
			continue
		}
		h, err := fold.DecodeHead(hit.Row.Value)
		if err == nil {
			err = do(ids[n], h)
		}
		if err != nil {
			return fmt.Errorf("profile %s: %w", ids[n], err)
		}
	}
	return nil
}
