package integration

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"kith/domain"
	"kith/fault"
	"kith/store"
)

var flows = store.Partition{Table: store.Catalog, Key: "flows"}

// ownerFormat is the first byte of a row that says whose a flow is.
const ownerFormat = 1

// owner is the row of a flow: the domain that may have it.
type owner struct {
	inc     store.Incarnation // 0: there is no row
	version uint64
}

func (s *Service) owner(ctx context.Context, uri string) (owner, error) {
	row, err := s.Store.Get(ctx, flows, []byte(uri))
	if errors.Is(err, store.ErrNotFound) {
		return owner{}, nil
	}
	if err != nil {
		return owner{}, fmt.Errorf("read whose a flow is: %w", err)
	}
	return decodeOwner(row)
}

func decodeOwner(row store.Row) (owner, error) {
	if len(row.Value) != 9 || row.Value[0] != ownerFormat {
		return owner{}, fmt.Errorf("whose a flow is: %w", store.ErrFormat)
	}
	return owner{store.Incarnation(binary.BigEndian.Uint64(row.Value[1:])), row.Version}, nil
}

// claim writes that a domain may have a flow. It returns fault.BadRequest if another domain has it.
func (s *Service) claim(ctx context.Context, rec *domain.Record, uri string) error {
	for {
		o, err := s.owner(ctx, uri)
		if err != nil {
			return err
		}
		if o.inc != 0 && o.inc != rec.Incarnation {
			used, err := s.has(ctx, o.inc, uri)
			if err != nil {
				return err
			}
			if used {
				return elsewhere(uri)
			}
		}
		if again, err := s.setOwner(ctx, rec, uri, o); !again {
			return err
		}
	}
}

// confirm follows the write of an integration of a claimed flow. If another domain has taken the flow over meanwhile, because it saw no
// integration, this one is taken back.
func (s *Service) confirm(ctx context.Context, rec *domain.Record, uri string) error {
	for {
		o, err := s.owner(ctx, uri)
		if err != nil {
			return err
		}
		if o.inc != 0 && o.inc != rec.Incarnation {
			err := s.kind().Delete(ctx, s.Domains.Scope(rec), uri, nil)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			return elsewhere(uri)
		}
		if again, err := s.setOwner(ctx, rec, uri, o); !again {
			return err
		}
	}
}

func (s *Service) setOwner(ctx context.Context, rec *domain.Record, uri string, was owner) (again bool, err error) {
	value := binary.BigEndian.AppendUint64([]byte{ownerFormat}, uint64(rec.Incarnation))
	_, err = s.Store.Swap(ctx, flows, []store.Swap{{Key: []byte(uri), Value: value, Expect: was.version}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) { // what has happened is done again, and does no harm
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("write whose a flow is: %w", err)
	}
	return false, nil
}

// release follows the deletion of an integration. Who claims the flow meanwhile keeps it.
func (s *Service) release(ctx context.Context, inc store.Incarnation, uri string) error {
	o, err := s.owner(ctx, uri)
	if err != nil || o.inc != inc {
		return err
	}
	for now := o; now.version == o.version; { // a new claim of the same domain stays
		_, err = s.Store.Swap(ctx, flows, []store.Swap{{Key: []byte(uri), Op: store.Delete, Expect: o.version}})
		if errors.Is(err, store.ErrConflict) {
			return nil
		}
		if !errors.Is(err, store.ErrUnknown) {
			return err
		}
		if now, err = s.owner(ctx, uri); err != nil {
			return err
		}
	}
	return nil
}

// has says whether a domain lives and has an integration.
func (s *Service) has(ctx context.Context, inc store.Incarnation, uri string) (bool, error) {
	rec, err := s.Domains.OfIncarnation(ctx, inc)
	if rec == nil || err != nil {
		return false, err
	}
	_, err = s.kind().Get(ctx, s.Domains.Scope(rec), uri)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// DropDomain forgets the flows of a deleted domain.
func (s *Service) DropDomain(ctx context.Context, inc store.Incarnation) error {
	var mine []string
	for row, err := range s.Store.Scan(ctx, flows, store.Range{}) {
		if err != nil {
			return fmt.Errorf("list flows: %w", err)
		}
		o, err := decodeOwner(row)
		if err != nil {
			return err
		}
		if o.inc == inc {
			mine = append(mine, string(row.Key))
		}
	}
	for _, uri := range mine {
		if err := s.release(ctx, inc, uri); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere does not say which domain has the flow: the caller need not be allowed to know it.
func elsewhere(uri string) error {
	return fault.BadRequestf("Integration %s can't be put: another domain has this flow, and a flow brings data to one domain. Delete it there first.", uri)
}
