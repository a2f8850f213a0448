package domain

import (
	"errors"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/store/mem"
)

// What a node changes it sees at once; another node sees it within MaxStaleness, and Read and Update see it always.
func TestRecordsAreRememberedForMaxStaleness(t *testing.T) {
	ctx, st := t.Context(), mem.New()
	here, there := &Service{Store: st, Now: time.Now}, &Service{Store: st, Now: time.Now}
	name := api.Ptr("d")
	days := func(s *Service) int32 {
		rec, err := s.Lookup(ctx, *name)
		if err != nil {
			t.Fatal(err)
		}
		return rec.DefaultExpirationDays
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for start := time.Now(); !ok(); time.Sleep(MaxStaleness / 100) {
			if time.Since(start) > time.Minute {
				t.Fatal(what)
			}
		}
	}
	if _, err := here.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
		t.Fatal(err)
	}
	seen := int32(0)
	for n := range int32(20) {
		now := days(there)
		if now < seen {
			t.Fatalf("the record of %d days came back after that of %d", now, seen)
		}
		seen = now
		if _, err := here.UpdateDomain(ctx, &api.UpdateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(n + 2)}); err != nil {
			t.Fatal(err)
		}
		if days(here) != n+2 {
			t.Fatal("the node that changed a record does not see it")
		}
		if rec, err := there.Read(ctx, *name); err != nil || rec.DefaultExpirationDays != n+2 {
			t.Fatalf("Read sees %+v, %v", rec, err)
		}
		if n == 0 {
			until("the other node never saw the change", func() bool { return days(there) == 2 })
		}
	}
	rec, err := here.Lookup(ctx, *name)
	if err != nil {
		t.Fatal(err)
	}
	rec.DefaultExpirationDays = 99 // a caller's own copy
	if days(here) == 99 {
		t.Fatal("what a caller did to its record was remembered")
	}
	if _, err := here.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Lookup(ctx, *name); !errors.Is(err, fault.NotFound) {
		t.Fatalf("a deleted domain is there: %v", err)
	}
	until("the other node never saw the deletion", func() bool {
		_, err := there.Lookup(ctx, *name)
		return errors.Is(err, fault.NotFound)
	})
}
