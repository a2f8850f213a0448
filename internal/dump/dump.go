// Package dump makes a domain's profiles comparable across engines and runs, for tests.
package dump

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"kith/api"
	"kith/domain"
	"kith/internal/restjson"
	"kith/profile"
	"kith/store"
)

// Profiles returns the profiles of a domain as JSON without their ids, sorted.
func Profiles(ctx context.Context, st store.Store, profiles *profile.Service, name string) ([]string, error) {
	rec, err := profiles.Domains.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all []string
	var failed error
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	ask := func(ids []string) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			texts, err := read(ctx, profiles, name, ids)
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, texts...), errors.Join(failed, err)
		})
	}
	var ids []string
	last := ""
	for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Profile, Incarnation: rec.Incarnation}) {
		if err != nil {
			failed = errors.Join(failed, err)
			break
		}
		if row.Partition.Key == last { // a sweep gives the rows of a partition together
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
	slices.Sort(all)
	return all, failed
}

func read(ctx context.Context, profiles *profile.Service, name string, ids []string) ([]string, error) {
	out, err := profiles.BatchGetProfile(ctx, &api.BatchGetProfileRequest{DomainName: &name, ProfileIds: ids})
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, p := range out.Profiles {
		p.ProfileId = nil
		b, err := restjson.Encode(p)
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(b))
	}
	return texts, nil
}

// Sum is a short hash of what Profiles returned.
func Sum(profiles []string) string {
	sum := sha256.Sum256([]byte(strings.Join(profiles, "\n")))
	return hex.EncodeToString(sum[:8])
}

// Hash says how many profiles a domain of a store has, and their Sum.
func Hash(ctx context.Context, st store.Store, name string) (string, error) {
	profiles := &profile.Service{Store: st, Domains: &domain.Service{Store: st, Now: time.Now}, Now: time.Now}
	all, err := Profiles(ctx, st, profiles, name)
	return fmt.Sprintf("%d profiles, hash %s", len(all), Sum(all)), err
}
