package job

import (
	"context"
	"testing"
	"time"

	"kith/store"
	"kith/store/mem"
)

// What stands of a domain is kept while there is the domain, and forgotten an hour after it is gone.
func TestStandingOfGoneDomainsIsForgotten(t *testing.T) {
	var now time.Duration
	domains := []Domain{{Incarnation: 1}, {Incarnation: 2}}
	idle := func(context.Context, store.Incarnation) (bool, error) { return true, nil }
	r := &Runner{Store: mem.New(), Now: time.Now, Clock: func() time.Duration { return now }, Standing: []Standing{{Name: "s", Idle: idle}},
		Domains: func(context.Context) ([]Domain, error) { return domains, nil }}
	r.init()
	for _, c := range []struct {
		now   time.Duration
		there []Domain
		want  int
	}{{0, domains, 2}, {2 * time.Hour, domains, 2}, {3 * time.Hour, domains[:1], 2}, {4 * time.Hour, domains[:1], 1}} {
		now, domains = c.now, c.there
		if err := r.look(t.Context()); err != nil || len(r.stand.all) != c.want {
			t.Errorf("after %s what stands of %d domains is kept, want %d; %v", c.now, len(r.stand.all), c.want, err)
		}
	}
}
