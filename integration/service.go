package integration

import (
	"context"

	"kith/domain"
	"kith/objecttype"
	"kith/store"
)

// Service owns the integrations.
type Service struct {
	Store   store.Store
	Domains *domain.Service
	Types   Types
	// Max is how many integrations a domain may have; 0 is DefaultMax.
	Max int
}

// Types tells which object types a domain has. Both return fault.NotFound for one that it does not have.
type Types interface {
	// Lookup is for objects that are to be put: the name of a template becomes an implicit type.
	Lookup(ctx context.Context, rec *domain.Record, name string) (*objecttype.Type, error)
	// Find looks only.
	Find(ctx context.Context, rec *domain.Record, name string) (*objecttype.Type, error)
}

// DefaultMax is how many integrations a domain may have unless a Service says otherwise.
const DefaultMax = 50
