package catalog

import (
	"cmp"
	"context"
	"errors"
	"time"

	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile"
	"kith/store"
)

// Service tells what objects hold.
type Service struct {
	Store    store.Store
	Domains  *domain.Service
	Types    *objecttype.Service
	Profiles *profile.Service
	Now      func() time.Time
	// Wake is told that a domain's kept catalogue is missing or old.
	Wake func(store.Incarnation)
	// FreshRows and FreshBytes are how much of a domain is read to answer a call; 0: freshRows and freshBytes.
	FreshRows, FreshBytes int
}

const (
	freshRows  = 50_000
	freshBytes = 32 << 20
)

func (s *Service) few() *bounded {
	return &bounded{Store: s.Store, rows: cmp.Or(s.FreshRows, freshRows), bytes: cmp.Or(s.FreshBytes, freshBytes)}
}

// kind says which rows a type's objects come from.
type kind int

const (
	none     kind = iota // a template that nobody has put an object of
	custom               // bodies
	standard             // what bodies say about standard objects
	whole                // profiles
)

// kindOf looks a type up, or returns fault.NotFound.
func (s *Service) kindOf(ctx context.Context, rec *domain.Record, name string) (kind, error) {
	switch {
	case name == profileType:
		return whole, nil
	case standardTypes()[name]:
		return standard, nil
	}
	_, err := s.Types.Find(ctx, rec, name)
	if errors.Is(err, fault.NotFound) && objecttype.IsTemplate(name) {
		return none, nil
	}
	return custom, err
}

// ask answers a question about a type: by kept, from what is kept, or by a census of one of its attributes, or of all for "". known says that the census
// has all there is, and not just a part of a large domain.
func (s *Service) ask(ctx context.Context, rec *domain.Record, name, path string, c *census, kept func(*meta) error, counted func(known bool) error) error {
	k, err := s.kindOf(ctx, rec, name)
	if err != nil {
		return err
	}
	if k == none {
		return counted(true)
	}
	m, err := s.current(ctx, rec, name)
	if err != nil {
		return err
	}
	if m != nil {
		return kept(m)
	}
	err = s.look(ctx, rec, k, name, path, c)
	if errors.Is(err, errEnough) {
		s.wake(rec)
		return counted(false)
	}
	if err != nil {
		return err
	}
	return counted(true)
}

// look fills a census with what the objects of a type hold now, of one attribute or of all for "". errEnough: there is more than is read for
// a call, and the census has a part of it.
func (s *Service) look(ctx context.Context, rec *domain.Record, k kind, name, path string, c *census) error {
	now := s.Now().UnixMicro()
	add := func(n of, text string, at int64) error {
		if n.objectType != name || path != "" && n.path != path {
			return nil
		}
		return c.add(n, text, at)
	}
	if k == whole {
		return s.profiles(ctx, s.few(), rec, now, add)
	}
	p := &pass{s: s, store: s.few(), rec: rec, now: now, add: add}
	if k == standard {
		p.standard = map[string]bool{name: true}
		return p.run(ctx)
	}
	t, err := s.Types.Find(ctx, rec, name)
	if err != nil {
		return err
	}
	p.alive = map[string]uint64{name: t.Incarnation}
	return p.run(ctx)
}

// all fills a census with what all objects and profiles of a domain hold.
func (s *Service) all(ctx context.Context, rec *domain.Record, c *census) error {
	alive, err := s.alive(ctx, rec)
	if err != nil {
		return err
	}
	now := s.Now().UnixMicro()
	p := &pass{s: s, store: s.Store, rec: rec, now: now, add: c.add, alive: alive, standard: standardTypes()}
	if err := p.run(ctx); err != nil {
		return err
	}
	return s.profiles(ctx, s.Store, rec, now, c.add)
}

// alive returns the incarnations of a domain's types.
func (s *Service) alive(ctx context.Context, rec *domain.Record) (map[string]uint64, error) {
	names, err := s.Types.Names(ctx, rec)
	if err != nil {
		return nil, err
	}
	all := make(map[string]uint64, len(names))
	for _, name := range names {
		t, err := s.Types.Find(ctx, rec, name)
		if errors.Is(err, fault.NotFound) { // it was deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		all[name] = t.Incarnation
	}
	return all, nil
}
