package objecttype

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/internal/cache"
	"kith/resource"
	"kith/schema"
	"kith/store"
)

// Quotas are the limits on types; 0 is the default.
type Quotas struct {
	Types  int // of a domain, 100
	Fields int // of a type, 250
	Keys   int // of a type, each of a name's definitions counts, 10
	// Objects is how many objects a profile may have, of all types, 1000; the types' shares of it are told.
	Objects int
}

func (q Quotas) types() int   { return cmp.Or(q.Types, 100) }
func (q Quotas) fields() int  { return cmp.Or(q.Fields, 250) }
func (q Quotas) keys() int    { return cmp.Or(q.Keys, 10) }
func (q Quotas) objects() int { return cmp.Or(q.Objects, 1000) }

// Service owns the object types.
type Service struct {
	Domains *domain.Service
	Quotas  Quotas
	// OnDelete is told when a type is gone, so that what its objects left is removed soon; nil leaves that to whoever finds it among the
	// domain's DeadTypes.
	OnDelete func(ctx context.Context, rec *domain.Record, name string, incarnation uint64) error

	once  sync.Once
	types *cache.Cache[typeKey, *Type]
	sets  *cache.Cache[store.Incarnation, *set]
	last  *cache.Cache[store.Incarnation, *set] // what was read last: it is so as long as no type has changed since
}

// definition is what is stored of a type.
type definition struct {
	Incarnation uint64 `json:",string"`
	// Implicit says that the type was made by putting an object of a template's name.
	Implicit        bool `json:",omitzero"`
	Description     string
	Template        string                         `json:",omitzero"`
	ExpirationDays  int32                          `json:",omitzero"`
	EncryptionKey   string                         `json:",omitzero"`
	Creates         bool                           `json:",omitzero"`
	TimestampFormat string                         `json:",omitzero"`
	MaxObjects      int32                          `json:",omitzero"`
	Priority        int32                          `json:",omitzero"`
	Fields          map[string]api.ObjectTypeField `json:",omitzero"`
	Keys            map[string][]api.ObjectTypeKey `json:",omitzero"`
}

func (s *Service) kind() resource.Kind[definition] {
	return resource.Kind[definition]{Name: "object-types", Title: "Object type", Max: s.Quotas.types(), Serial: true}
}

// maxRemembered bounds the types, and the domains' sets of types, that are remembered.
const (
	maxRemembered = 1000
	maxSize       = 64 << 20 // bytes of types
)

func (s *Service) init() {
	s.once.Do(func() {
		s.types = &cache.Cache[typeKey, *Type]{MaxAge: domain.MaxStaleness, Max: maxRemembered, MaxSize: maxSize, Size: func(t *Type) int { return t.size }}
		s.last = &cache.Cache[store.Incarnation, *set]{MaxAge: time.Hour, Max: maxRemembered}
		s.sets = &cache.Cache[store.Incarnation, *set]{MaxAge: domain.MaxStaleness, Max: maxRemembered}
	})
}

// typeKey is a type of a domain's life.
type typeKey struct {
	of   store.Incarnation
	name string
}

// changed forgets what is remembered of a type and of its domain's types.
func (s *Service) changed(rec *domain.Record, name string) {
	s.init()
	s.types.Drop(typeKey{rec.Incarnation, name})
	s.sets.Drop(rec.Incarnation)
}

// Lookup returns a type for an object that is to be put. Where there is none, a template of that name becomes one, else it is fault.NotFound;
// fault.BadRequest for standard objects, which are never put. The type is as it was at most domain.MaxStaleness ago.
func (s *Service) Lookup(ctx context.Context, rec *domain.Record, name string) (*Type, error) {
	t, err := s.Find(ctx, rec, name)
	if !errors.Is(err, fault.NotFound) {
		return t, err
	}
	switch from := templates[name]; {
	case name == "_profile" || from != nil && from.standard:
		return nil, fault.BadRequestf("Objects of type %s can't be put: it is a standard object, which objects of other types feed. Put an object of a type that maps fields to it.", name)
	case from == nil:
		return nil, notFound(rec, name)
	default:
		if err := s.implicit(ctx, rec, from); err != nil {
			return nil, err
		}
		return s.Find(ctx, rec, name)
	}
}

// IsTemplate says whether there is a template of a name: a type so named needs no PutProfileObjectType.
func IsTemplate(name string) bool { return templates[name] != nil }

// ErrUnreadable says that a type is stored that objects can't be read by.
var ErrUnreadable = errors.New("a stored object type can't be read: it breaks a rule that types have now")

// Find returns a type that exists, or fault.NotFound, or ErrUnreadable. It is as it was at most domain.MaxStaleness ago.
func (s *Service) Find(ctx context.Context, rec *domain.Record, name string) (*Type, error) {
	s.init()
	return s.types.Get(ctx, typeKey{rec.Incarnation, name}, func(ctx context.Context) (*Type, error) {
		r, err := s.get(ctx, rec, name)
		if err != nil {
			return nil, err
		}
		t, err := compile(r.Name, &r.Data)
		if err != nil { // it was checked when it was put; the sentence quotes fields, which no log may have
			return nil, ErrUnreadable
		}
		return t, nil
	})
}

var errNone = errors.New("nothing has been read yet")

// set is what is remembered of all types of a domain together.
type set struct {
	rec   *domain.Record
	turns int64
	keys  Keys
	alive map[string]uint64
	// owners tells a type that uses a key.
	owners map[string]string
	// caps are the types' MaxProfileObjectCount.
	caps map[string]int32
}

// all reads what matters of all types of a domain together, but for one of them.
func (s *Service) all(ctx context.Context, rec *domain.Record, but string) (*set, error) {
	out := &set{rec: rec, keys: Keys{}, alive: map[string]uint64{}, owners: map[string]string{}, caps: map[string]int32{}}
	at := s.Domains.Scope(rec)
	var err error
	if out.turns, err = s.kind().Turns(ctx, at); err != nil { // before the rows: what changes meanwhile is read again
		return nil, err
	}
	for cursor := (*string)(nil); ; {
		page, next, err := s.kind().List(ctx, at, cursor, nil)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Name == but || !life(rec, r) {
				continue
			}
			out.alive[r.Name], out.caps[r.Name] = r.Data.Incarnation, r.Data.MaxObjects
			for key, defs := range r.Data.Keys {
				if len(defs) > 0 {
					out.keys[key], out.owners[key] = contentTypes(key, defs[0].FieldNames, r.Data.Fields), r.Name
				}
			}
		}
		if cursor = next; cursor == nil {
			return out, nil
		}
	}
}

func (s *Service) remembered(ctx context.Context, rec *domain.Record) (*set, error) {
	s.init()
	return s.sets.Get(ctx, rec.Incarnation, func(ctx context.Context) (*set, error) {
		last, _ := s.last.Get(ctx, rec.Incarnation, func(context.Context) (*set, error) { return nil, errNone })
		if last != nil && slices.Equal(last.rec.DeadTypes, rec.DeadTypes) {
			if turns, err := s.kind().Turns(ctx, s.Domains.Scope(rec)); err != nil || turns == last.turns {
				return last, err
			}
		}
		all, err := s.all(ctx, rec, "")
		if err == nil {
			s.last.Drop(rec.Incarnation)
			_, err = s.last.Get(ctx, rec.Incarnation, func(context.Context) (*set, error) { return all, nil })
		}
		return all, err
	})
}

// Keys returns the keys of a domain's types. It is as it was at most domain.MaxStaleness ago, and shared: not to be changed.
func (s *Service) Keys(ctx context.Context, rec *domain.Record) (Keys, error) {
	all, err := s.remembered(ctx, rec)
	if err != nil {
		return nil, err
	}
	return all.keys, nil
}

// Names returns the names of a domain's types as they are now.
func (s *Service) Names(ctx context.Context, rec *domain.Record) ([]string, error) {
	all, err := s.all(ctx, rec, "")
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(all.alive)), nil
}

// Keys are the names of keys with the content types of their parts.
type Keys map[string][]schema.ContentType

// contentTypes returns the content types of a key's parts: those of the fields, or that of a predefined key.
func contentTypes(key string, names []string, fields map[string]api.ObjectTypeField) []schema.ContentType {
	if schema.Predefined(key) {
		return []schema.ContentType{schema.KeyContentType(key)}
	}
	all := make([]schema.ContentType, len(names))
	for i, name := range names {
		if all[i] = schema.String; fields[name].ContentType != nil {
			all[i] = schema.ContentType(*fields[name].ContentType)
		}
	}
	return all
}

func notFound(rec *domain.Record, name string) error {
	return fault.NotFoundf("Object type %s is not found in domain %s, and there is no template of that name.", name, rec.Name)
}
