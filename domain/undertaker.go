package domain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kith/job"
	"kith/store"
)

// UndertakerKind is the kind of work that removes the rows of a deleted domain.
const UndertakerKind = "delete-domain"

// Undertaker removes what a deleted domain left: its rows in every table, and what it has outside them.
type Undertaker struct {
	Store store.Store
	// Drop removes what an incarnation has outside its rows: its blobs, and what other packages noted of it for the whole account.
	Drop func(ctx context.Context, inc store.Incarnation) error
	// Wait is how long other nodes may still take the domain for alive, and write.
	Wait time.Duration
}

// Run implements job.Handler. Every table goes but the catalog, which holds no rows of an incarnation; the jobs table goes last, for it
// holds the lease. Then the incarnation is forgotten.
func (u *Undertaker) Run(ctx context.Context, t *job.Task) error {
	select {
	case <-time.After(u.Wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, table := range store.Tables {
		if table == store.Catalog || table == store.Jobs {
			continue
		}
		if err := u.Store.DropRange(ctx, table, t.Incarnation); err != nil {
			return fmt.Errorf("remove rows of a deleted domain: %w", err)
		}
	}
	if err := u.Drop(ctx, t.Incarnation); err != nil {
		return fmt.Errorf("remove files and notes of a deleted domain: %w", err)
	}
	if err := u.Store.DropRange(ctx, store.Jobs, t.Incarnation); err != nil {
		return err
	}
	row, err := u.Store.Get(ctx, catalog, deadKey(t.Incarnation))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = u.Store.Swap(ctx, catalog, []store.Swap{{Key: deadKey(t.Incarnation), Op: store.Delete, Expect: row.Version}}); err != nil {
		return err
	}
	return u.Store.DropRange(ctx, store.Jobs, t.Incarnation) // who has read meanwhile that the domain is dead has queued its removal again (Domains)
}

// GiveUp implements job.Handler. It is never called: a dead domain keeps nobody waiting, so that removal is put off for longer and
// longer instead (job.Runner.Undertakers).
func (u *Undertaker) GiveUp(context.Context, *job.Task, error) error { return nil }

// Domains lists where background work may be, for job.Runner. A dead domain always has the work of being removed.
func (s *Service) Domains(ctx context.Context) ([]job.Domain, error) {
	live, err := s.Live(ctx)
	if err != nil {
		return nil, err
	}
	dead, err := s.Dead(ctx)
	if err != nil {
		return nil, err
	}
	var all []job.Domain
	for _, rec := range live {
		all = append(all, job.Domain{Incarnation: rec.Incarnation})
	}
	for _, inc := range dead {
		w := job.Work{Kind: UndertakerKind, ID: "undertaker", Incarnation: inc, Arrived: s.Now().UnixMicro()}
		if err := job.Ensure(ctx, s.Store, w); err != nil {
			return nil, err
		}
		// It may have been removed since it was listed: then nobody else will see what was queued.
		if _, err := s.Store.Get(ctx, catalog, deadKey(inc)); errors.Is(err, store.ErrNotFound) {
			if err := s.Store.DropRange(ctx, store.Jobs, inc); err != nil {
				return nil, err
			}
			continue
		} else if err != nil {
			return nil, err
		}
		all = append(all, job.Domain{Incarnation: inc, Dead: true})
	}
	return all, nil
}
