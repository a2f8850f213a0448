package integration

import (
	"context"

	"kith/domain"
	"kith/store"
)

// Service owns the integrations.
type Service struct {
	Store   store.Store
	Domains *domain.Service
	// Ensure returns fault.NotFound if a domain has no object type of a name; the name of a template becomes an implicit type. nil asks nobody.
	Ensure func(ctx context.Context, rec *domain.Record, name string) error
	// Max is how many integrations a domain may have; 0 is DefaultMax.
	Max int
}

// DefaultMax is how many integrations a domain may have unless a Service says otherwise.
const DefaultMax = 50
