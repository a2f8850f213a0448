// Package dump makes a domain's profiles comparable across engines and runs, for tests.
package dump

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"kith/api"
	"kith/domain"
	"kith/internal/restjson"
	"kith/profile"
	"kith/store"
)

// Hash returns the number of profiles of a domain and a hash of them all, whatever their ids and order.
func Hash(ctx context.Context, st store.Store, name string) (n int, hash string, err error) {
	domains := &domain.Service{Store: st, Now: time.Now}
	profiles := &profile.Service{Store: st, Domains: domains, Now: time.Now}
	rec, err := domains.Lookup(ctx, name)
	if err != nil {
		return 0, "", err
	}
	var mu sync.Mutex
	var all [][32]byte
	var failed error
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	ask := func(ids []string) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			sums, err := read(ctx, profiles, name, ids)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, sums...)
			if err != nil {
				failed = err
			}
		})
	}
	var ids []string
	last := ""
	for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}) {
		if err != nil {
			wg.Wait()
			return 0, "", err
		}
		if row.Partition.Key == last {
			continue
		}
		last = row.Partition.Key
		if ids = append(ids, hex.EncodeToString([]byte(last))); len(ids) == 20 {
			ask(ids)
			ids = nil
		}
	}
	if ids != nil {
		ask(ids)
	}
	wg.Wait()
	if failed != nil {
		return 0, "", failed
	}
	slices.SortFunc(all, func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, sum := range all {
		h.Write(sum[:])
	}
	return len(all), hex.EncodeToString(h.Sum(nil)[:8]), nil
}

func read(ctx context.Context, profiles *profile.Service, name string, ids []string) ([][32]byte, error) {
	out, err := profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &name, ProfileIds: ids})
	if err != nil {
		return nil, err
	}
	if len(out.Errors) > 0 {
		return nil, fmt.Errorf("%d profiles could not be read", len(out.Errors))
	}
	var sums [][32]byte
	for _, p := range out.Profiles {
		p.ProfileId = nil
		b, err := restjson.Encode(p)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sha256.Sum256(b))
	}
	return sums, nil
}
