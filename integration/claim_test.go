package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// party is a node of which one domain wants the flow. Its calls of the store can be stopped.
type party struct {
	*Service
	store  *faulty.Store
	domain string
}

func newParty(t *testing.T, shared store.Store, name string) *party {
	t.Helper()
	st := &faulty.Store{Store: shared}
	domains := &domain.Service{Store: st, Now: time.Now}
	_, err := domains.CreateDomain(t.Context(), &api.CreateDomainRequest{DomainName: &name, DefaultExpirationDays: api.Ptr(int32(1))})
	if err != nil {
		t.Fatal(err)
	}
	return &party{&Service{Store: st, Domains: domains}, st, name}
}

func (p *party) put(ctx context.Context) error {
	_, err := p.PutIntegration(ctx, &api.PutIntegrationRequest{DomainName: &p.domain, Uri: api.Ptr(flowARN), ObjectTypeName: api.Ptr(unstructured)})
	return err
}

func (p *party) remove(ctx context.Context) error {
	_, err := p.DeleteIntegration(ctx, &api.DeleteIntegrationRequest{DomainName: &p.domain, Uri: api.Ptr(flowARN)})
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (p *party) have(t *testing.T) bool {
	t.Helper()
	_, err := p.GetIntegration(t.Context(), &api.GetIntegrationRequest{DomainName: &p.domain, Uri: api.Ptr(flowARN)})
	if err != nil && !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// stopAt has the party stand still before its n-th call of the store, until the returned function lets it go on. The channel says that it
// stands there.
func (p *party) stopAt(n int) (arrived chan struct{}, goOn func()) {
	arrived, release, calls := make(chan struct{}), make(chan struct{}), 0
	p.store.Before(func(faulty.Op, store.Partition) error {
		if calls++; calls == n {
			close(arrived)
			<-release
		}
		return nil
	})
	return arrived, func() { close(release) }
}

// start runs a call, and returns where its error comes.
func start(call func(context.Context) error) chan error {
	done := make(chan error, 1)
	go func() { done <- call(context.Background()) }()
	return done
}

// Two domains that want the same flow never both have it, wherever either stands still while the other goes on, and who was told that it
// has the flow has it.
func TestAFlowBelongsToOneDomain(t *testing.T) {
	for name, calls := range map[string][2]func(*party) func(context.Context) error{
		"put and put":    {func(p *party) func(context.Context) error { return p.put }, func(p *party) func(context.Context) error { return p.put }},
		"delete and put": {func(p *party) func(context.Context) error { return p.remove }, func(p *party) func(context.Context) error { return p.put }},
	} {
		t.Run(name, func(t *testing.T) {
			for k := 1; ; k++ {
				again := false
				for j := 1; ; j++ {
					first, more := interleave(t, calls, k, j)
					again = again || first
					if !more {
						break
					}
				}
				if !again {
					return
				}
			}
		})
	}
}

// interleave stops the first call before its k-th call of the store and the second before its j-th, then lets the first end, then the
// second. It says whether either came so far.
func interleave(t *testing.T, calls [2]func(*party) func(context.Context) error, k, j int) (first, second bool) {
	t.Helper()
	shared := mem.New()
	a, b := newParty(t, shared, "a"), newParty(t, shared, "b")
	deletes := false
	if calls[0](a)(t.Context()); !a.have(t) { // it is the delete
		deletes = true
		if err := a.put(t.Context()); err != nil {
			t.Fatal(err)
		}
	} else if err := a.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	atA, goA := a.stopAt(k)
	doneA := start(calls[0](a))
	var errA, errB error
	select {
	case <-atA:
		first = true
	case errA = <-doneA:
		doneA <- errA
	}
	atB, goB := b.stopAt(j)
	doneB := start(calls[1](b))
	select {
	case <-atB:
		second = true
	case errB = <-doneB:
		doneB <- errB
	}
	goA()
	errA = <-doneA
	goB()
	errB = <-doneB
	where := fmt.Sprintf("first stopped at %d, second at %d: %v, %v", k, j, errA, errB)
	for _, err := range []error{errA, errB} {
		if err != nil && !errors.Is(err, fault.BadRequest) {
			t.Fatal(where)
		}
	}
	hasA, hasB := a.have(t), b.have(t)
	if hasA && hasB || hasA != (errA == nil && !deletes) || hasB != (errB == nil) {
		t.Fatalf("%s; a has it: %t, b has it: %t", where, hasA, hasB)
	}
	for _, p := range []*party{a, b} { // whatever was left behind is in nobody's way
		if err := p.remove(t.Context()); err != nil {
			t.Fatal(where, err)
		}
	}
	if err := b.put(t.Context()); err != nil {
		t.Fatal(where, err)
	}
	return first, second
}

// Wherever a put or a delete is cut off, another domain can have the flow once the first has no integration of it.
func TestAFlowAfterACallThatWasCutOff(t *testing.T) {
	cut := errors.New("cut off")
	for _, deletes := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				shared := mem.New()
				a, b := newParty(t, shared, "a"), newParty(t, shared, "b")
				call := a.put
				if deletes {
					if err := a.put(t.Context()); err != nil {
						t.Fatal(err)
					}
					call = a.remove
				}
				calls := 0
				hook := func(faulty.Op, store.Partition) error {
					if calls++; calls >= n {
						return cut
					}
					return nil
				}
				if after {
					a.store.After(hook)
				} else {
					a.store.Before(hook)
				}
				err := call(t.Context())
				a.store.Before(nil)
				a.store.After(nil)
				if err == nil {
					break
				}
				if a.have(t) {
					if err := b.put(t.Context()); !errors.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), "another domain") {
						t.Fatalf("cut at %d: %v", n, err)
					}
					if err := a.remove(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.put(t.Context()); err != nil {
					t.Fatalf("cut at %d: %v", n, err)
				}
			}
		}
	}
}

// What removes a deleted domain leaves no row of its flows, and those of others.
func TestFlowsGoWithTheirDomain(t *testing.T) {
	shared := mem.New()
	a, b := newParty(t, shared, "a"), newParty(t, shared, "b")
	if err := a.put(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(flowARN, "orders", "other", 1)
	if _, err := b.PutIntegration(t.Context(), &api.PutIntegrationRequest{DomainName: &b.domain, Uri: &other, ObjectTypeName: api.Ptr(unstructured)}); err != nil {
		t.Fatal(err)
	}
	rec, err := a.Domains.Lookup(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Domains.DeleteDomain(t.Context(), &api.DeleteDomainRequest{DomainName: &a.domain}); err != nil {
		t.Fatal(err)
	}
	if err := a.DropDomain(t.Context(), rec.Incarnation); err != nil {
		t.Fatal(err)
	}
	var left []string
	for row, err := range shared.Scan(t.Context(), flows, store.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, string(row.Key))
	}
	if len(left) != 1 || left[0] != other {
		t.Fatal(left)
	}
	if err := b.put(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A put and a delete whose answers get lost on the way find out what became of them.
func TestAFlowWhenAnswersAreLost(t *testing.T) {
	for _, happened := range []bool{false, true} {
		for n := 1; ; n++ {
			shared := mem.New()
			a, b := newParty(t, shared, "a"), newParty(t, shared, "b")
			swaps := 0
			hook := func(op faulty.Op, _ store.Partition) error {
				if op != faulty.Swap {
					return nil
				}
				if swaps++; swaps == n {
					return store.ErrUnknown
				}
				return nil
			}
			if happened {
				a.store.After(hook)
			} else {
				a.store.Before(hook)
			}
			if err := a.put(t.Context()); err != nil || !a.have(t) {
				t.Fatalf("put, Swap %d lost, happened %t: %v", n, happened, err)
			}
			if err := a.remove(t.Context()); err != nil || a.have(t) {
				t.Fatalf("delete, Swap %d lost, happened %t: %v", n, happened, err)
			}
			if err := b.put(t.Context()); err != nil {
				t.Fatal(err)
			}
			if o, err := a.owner(t.Context(), flowARN); err != nil || o.inc == 0 {
				t.Fatal(o, err)
			}
			if swaps < n {
				break
			}
		}
	}
}
