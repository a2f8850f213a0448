package job

import (
	"context"
	"log/slog"
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

// Standing work that loses its lease each time it runs is tried when its domain is looked at, and not at once: on a cluster the rows of a deleted domain can't
// be written again, so that its lease is lost as often as it is taken.
func TestStandingThatLosesItsLease(t *testing.T) {
	var now time.Duration
	domains := []Domain{{Incarnation: 1}}
	runs := 0
	run := func(context.Context, *Task) (time.Duration, error) {
		runs++
		return 0, ErrLost
	}
	r := &Runner{Store: mem.New(), Now: time.Now, Clock: func() time.Duration { return now }, Log: slog.New(slog.DiscardHandler), LeaseFor: time.Minute,
		Gone:     func(context.Context, store.Incarnation) (bool, error) { return false, nil },
		Standing: []Standing{{Name: "s", Run: run}}, Domains: func(context.Context) ([]Domain, error) { return domains, nil }}
	r.init()
	turn := func(when string, want int) {
		t.Helper()
		for range 3 {
			if err := r.stirred(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.wg.Wait()
		}
		if runs != want {
			t.Errorf("%s: it was run %d times, want %d", when, runs, want)
		}
	}
	r.WakeStanding(1, "s")
	turn("woken", 1)
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	turn("looked at", 2)
	now, domains = 2*time.Hour, nil
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if turn("deleted", 2); len(r.stand.all) > 0 {
		t.Error("it is still known an hour later")
	}
	// A look does not take away the first wake of a domain that it has not listed yet.
	r.WakeStanding(2, "s")
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	turn("woken before the first look", 3)
}
