package profile

import (
	"context"
	"errors"
	"fmt"

	"kith/profile/fold"
	"kith/store"
)

// wholeHead reads the head of one profile with its objects; one that says nothing if there is none.
func (s *Service) wholeHead(ctx context.Context, inc store.Incarnation, id ID) (*fold.Head, error) {
	row, err := s.Store.Get(ctx, Partition(inc, id), headKey)
	if errors.Is(err, store.ErrNotFound) {
		return &fold.Head{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a profile: %w", err)
	}
	return fold.DecodeHead(row.Value)
}

// eachWholeHead calls do for the heads of profiles that are known to be alive, with their objects; ids ascend.
func (s *Service) eachWholeHead(ctx context.Context, inc store.Incarnation, ids []ID, do func(ID, *fold.Head) error) error {
	return eachHead(ctx, s.Store, inc, ids, [][]byte{headKey}, do)
}

// EachHead calls do for the heads of profiles that are not deleted, with their objects; ids ascend. It reads no contributions, and judges no
// merges: the objects of a member are its person's.
func EachHead(ctx context.Context, st store.Store, inc store.Incarnation, ids []ID, do func(ID, *fold.Head) error) error {
	return eachHead(ctx, st, inc, ids, [][]byte{stateKey, headKey}, do)
}

// eachHead calls do for the heads of profiles, and looks at their rows of some keys.
func eachHead(ctx context.Context, st store.Store, inc store.Incarnation, ids []ID, keys [][]byte, do func(ID, *fold.Head) error) error {
	probes := func(yield func(store.Probe) bool) {
		for _, id := range ids {
			for _, key := range keys {
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
		n := hit.Index / len(keys)
		if string(hit.Row.Key) == string(stateKey) {
			links, err := fold.PeekLinks(hit.Row.Value)
			if err != nil {
				return fmt.Errorf("profile %s: %w", ids[n], err)
			}
			if links.Deleted {
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
