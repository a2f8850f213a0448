package domain

import (
	"context"

	"kith/fault"
	"kith/resource"
)

// Resources looks a domain up and returns where its plain resources are. It is the first line of every operation on one.
func (s *Service) Resources(ctx context.Context, name string) (resource.Scope, error) {
	rec, err := s.Lookup(ctx, name)
	if err != nil {
		return resource.Scope{}, err
	}
	return s.Scope(rec), nil
}

// Scope is Resources for a domain that has been looked up.
func (s *Service) Scope(rec *Record) resource.Scope {
	return resource.Scope{
		Store: s.Store, Now: s.Now, Room: &s.texts, Domain: rec.Name, Incarnation: rec.Incarnation,
		Alive: func(ctx context.Context) error { return s.alive(ctx, rec) },
	}
}

// alive returns fault.NotFound if a domain has been deleted, as the store knows it now.
func (s *Service) alive(ctx context.Context, rec *Record) error {
	now, err := s.Read(ctx, rec.Name)
	if err == nil && now.Incarnation != rec.Incarnation {
		return notFound(rec.Name)
	}
	return err
}

func notFound(name string) error {
	return fault.NotFoundf("DomainName %s is not found in account %s", name, accountID)
}

// CleanUp removes what writers of resources left behind that died.
func (s *Service) CleanUp(ctx context.Context, rec *Record) error {
	return layouts.Tidy(ctx, s.Scope(rec))
}
