package domain

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"kith/api"
	"kith/job"
	"kith/store"
	"kith/store/mem"
)

// stepped is a store whose calls happen when they are let.
type stepped struct {
	store.Store
	let  chan struct{} // an element for each call; closed: all
	over chan struct{} // closed when the caller has ended
}

func newStepped(st store.Store, do func(store.Store) error) (*stepped, *error) {
	s := &stepped{Store: st, let: make(chan struct{}), over: make(chan struct{})}
	err := new(error)
	go func() {
		defer close(s.over)
		*err = do(s)
	}()
	return s, err
}

// step lets n calls happen.
func (s *stepped) step(n int) {
	for range n {
		select {
		case s.let <- struct{}{}:
		case <-s.over:
		}
	}
}

func (s *stepped) rest() {
	close(s.let)
	<-s.over
}

func (s *stepped) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	<-s.let
	return s.Store.Get(ctx, p, key)
}

func (s *stepped) Scan(ctx context.Context, p store.Partition, r store.Range) iter.Seq2[store.Row, error] {
	<-s.let
	var rows []store.Row
	for row, err := range s.Store.Scan(ctx, p, r) {
		if err != nil {
			return func(yield func(store.Row, error) bool) { yield(store.Row{}, err) }
		}
		row.Key, row.Value = slices.Clone(row.Key), slices.Clone(row.Value)
		rows = append(rows, row)
	}
	return func(yield func(store.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (s *stepped) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	<-s.let
	return s.Store.Swap(ctx, p, ops)
}

func (s *stepped) DropRange(ctx context.Context, t store.Table, inc store.Incarnation) error {
	<-s.let
	return s.Store.DropRange(ctx, t, inc)
}

// Who looks for work, and what removes a deleted domain, may meet at any moment: no row of the domain is left behind either.
func TestNothingIsQueuedForARemovedDomain(t *testing.T) {
	ctx := context.Background()
	for looks := range 7 {
		for removes := range 22 {
			st := mem.New()
			s := &Service{Store: st, Now: time.Now}
			name := api.Ptr("d")
			if _, err := s.CreateDomain(ctx, &api.CreateDomainRequest{DomainName: name, DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.DeleteDomain(ctx, &api.DeleteDomainRequest{DomainName: name}); err != nil {
				t.Fatal(err)
			}
			dead, err := s.Dead(ctx)
			if err != nil || len(dead) != 1 {
				t.Fatal(dead, err)
			}
			look, looked := newStepped(st, func(st store.Store) error {
				_, err := (&Service{Store: st, Now: time.Now}).Domains(ctx)
				return err
			})
			remove, removed := newStepped(st, func(st store.Store) error {
				u := &Undertaker{Store: st, Drop: func(context.Context, store.Incarnation) error { return nil }}
				return u.Run(ctx, &job.Task{Work: job.Work{Incarnation: dead[0]}})
			})
			look.step(looks)
			remove.step(removes)
			look.rest()
			remove.rest()
			if *looked != nil || *removed != nil {
				t.Fatal(*looked, *removed)
			}
			for row := range st.Sweep(ctx, store.SweepRange{Table: store.Jobs}) {
				t.Fatalf("after %d and %d steps %q %q is left", looks, removes, row.Partition.Key, row.Row.Key)
			}
		}
	}
}
