package objecttype

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/resource"
)

// PutProfileObjectType creates an object type, or replaces all that is stored of it but its tags. Objects that have been put stay as they are.
func (s *Service) PutProfileObjectType(ctx context.Context, in *api.PutProfileObjectTypeRequest) (*api.PutProfileObjectTypeResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	def, err := s.define(in)
	if err != nil {
		return nil, err
	}
	var others *set
	r, err := s.kind().Put(ctx, s.Domains.Scope(rec), *in.ObjectTypeName, func(r *resource.Record[definition]) error {
		if others, err = s.together(ctx, rec, r, def); err != nil {
			return err
		}
		data := *def
		if life(others.rec, r) {
			data.Incarnation = r.Data.Incarnation
			if err := keepKey(others.rec, &r.Data, &data); err != nil {
				return err
			}
		} else {
			data.Incarnation, r.Tags = newIncarnation(), in.Tags
		}
		if r.Exists() && (r.Data.Implicit || data.Incarnation != r.Data.Incarnation) {
			r.CreatedAt = max(s.Domains.Now().UnixMicro(), r.UpdatedAt+1000) // nobody had put it before
		}
		r.Data = data
		return nil
	})
	s.changed(rec, *in.ObjectTypeName)
	if err != nil {
		return nil, err
	}
	g := s.show(r, others)
	return &api.PutProfileObjectTypeResponse{
		ObjectTypeName: g.ObjectTypeName, Description: g.Description, TemplateId: g.TemplateId, ExpirationDays: g.ExpirationDays, EncryptionKey: g.EncryptionKey,
		AllowProfileCreation: g.AllowProfileCreation, SourceLastUpdatedTimestampFormat: g.SourceLastUpdatedTimestampFormat,
		MaxProfileObjectCount: g.MaxProfileObjectCount, MaxAvailableProfileObjectCount: g.MaxAvailableProfileObjectCount, SourcePriority: g.SourcePriority,
		Fields: g.Fields, Keys: g.Keys, CreatedAt: g.CreatedAt, LastUpdatedAt: g.LastUpdatedAt, Tags: g.Tags,
	}, nil
}

// life says whether a record is of a type that lives. One whose deletion was cut off does not.
func life(rec *domain.Record, r *resource.Record[definition]) bool {
	return r.Exists() && !rec.IsDead(r.Data.Incarnation)
}

// keepKey refuses to change the key of a type whose domain has a data store: what is in it has been written with that key.
func keepKey(rec *domain.Record, was, now *definition) error {
	if !rec.DataStore || was.EncryptionKey == now.EncryptionKey {
		return nil
	}
	if now.EncryptionKey != "" {
		return fault.BadRequestf("EncryptionKey of an object type can't be changed while domain %s has a data store. Leave it out, and it stays.", rec.Name)
	}
	now.EncryptionKey = was.EncryptionKey
	return nil
}

// together checks a definition against the other types of its domain, as they are now.
func (s *Service) together(ctx context.Context, rec *domain.Record, r *resource.Record[definition], def *definition) (*set, error) {
	now, err := s.Domains.Read(ctx, rec.Name) // whether it has a data store, and who is dead, is decided here
	if err != nil {
		return nil, err
	}
	others, err := s.all(ctx, now, r.Name)
	if err != nil {
		return nil, err
	}
	return others, checkOthers(r.Name, def, others, now.DataStore)
}

// define makes and checks the definition that a request asks for, by itself.
func (s *Service) define(in *api.PutProfileObjectTypeRequest) (*definition, error) {
	if strings.HasPrefix(*in.ObjectTypeName, "_") {
		return nil, fault.BadRequestf("Object type %s must have a name that does not begin with _: those are of standard objects.", *in.ObjectTypeName)
	}
	def := &definition{
		Description: *in.Description, Template: api.Val(in.TemplateId), ExpirationDays: api.Val(in.ExpirationDays), EncryptionKey: api.Val(in.EncryptionKey),
		Creates: api.Val(in.AllowProfileCreation), TimestampFormat: api.Val(in.SourceLastUpdatedTimestampFormat), MaxObjects: api.Val(in.MaxProfileObjectCount),
		Priority: api.Val(in.SourcePriority), Fields: in.Fields, Keys: in.Keys,
	}
	if in.TemplateId != nil {
		return def, def.fromTemplate(in)
	}
	if len(in.Fields) == 0 || len(in.Keys) == 0 {
		return nil, fault.BadRequestf("An object type needs Fields and Keys, both with something in them, or a TemplateId (ListProfileObjectTypeTemplates).")
	}
	return def, check(*in.ObjectTypeName, def, s.Quotas)
}

func newIncarnation() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:])
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// GetProfileObjectType returns an object type.
func (s *Service) GetProfileObjectType(ctx context.Context, in *api.GetProfileObjectTypeRequest) (*api.GetProfileObjectTypeResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	r, err := s.get(ctx, rec, *in.ObjectTypeName)
	if err != nil {
		return nil, err
	}
	others, err := s.all(ctx, rec, r.Name)
	if err != nil {
		return nil, err
	}
	return s.show(r, others), nil
}

// ListProfileObjectTypes lists the object types by name, without their fields and keys.
func (s *Service) ListProfileObjectTypes(ctx context.Context, in *api.ListProfileObjectTypesRequest) (*api.ListProfileObjectTypesResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	all, err := s.all(ctx, rec, "")
	if err != nil {
		return nil, err
	}
	page, next, err := s.kind().List(ctx, s.Domains.Scope(rec), in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListProfileObjectTypesResponse{Items: []api.ListProfileObjectTypeItem{}, NextToken: next}
	for _, r := range page {
		if !life(rec, r) {
			continue
		}
		out.Items = append(out.Items, api.ListProfileObjectTypeItem{
			ObjectTypeName: &r.Name, Description: &r.Data.Description, CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt),
			MaxProfileObjectCount: optional(r.Data.MaxObjects), MaxAvailableProfileObjectCount: api.Ptr(s.available(all, r.Name)),
			SourcePriority: optional(r.Data.Priority), Tags: r.Tags,
		})
	}
	return out, nil
}

// get returns the record of a type that lives, or fault.NotFound.
func (s *Service) get(ctx context.Context, rec *domain.Record, name string) (*resource.Record[definition], error) {
	r, err := s.kind().Get(ctx, s.Domains.Scope(rec), name)
	if err == nil && !life(rec, r) {
		return nil, fault.NotFoundf("Object type %s is not found in domain %s.", name, rec.Name)
	}
	return r, err
}

// DeleteProfileObjectType ends a type's life: from then on its objects count no longer. Then its record goes; a call that is cut off before
// leaves one that nobody sees, and that the next one replaces.
func (s *Service) DeleteProfileObjectType(ctx context.Context, in *api.DeleteProfileObjectTypeRequest) (*api.DeleteProfileObjectTypeResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	r, err := s.get(ctx, rec, *in.ObjectTypeName)
	if err != nil {
		return nil, err
	}
	dead := r.Data.Incarnation
	rec, err = s.Domains.BuryType(ctx, rec.Name, rec.Incarnation, domain.DeadType{Name: r.Name, Incarnation: dead, At: s.Domains.Now().UnixMicro()})
	if errors.Is(err, domain.ErrGone) {
		return nil, fault.NotFoundf("DomainName %s is not found", *in.DomainName)
	}
	if err != nil {
		return nil, err
	}
	other := errors.New("there is another one of the name by now")
	err = s.kind().Delete(ctx, s.Domains.Scope(rec), r.Name, func(now *resource.Record[definition]) error {
		if now.Data.Incarnation != dead {
			return other
		}
		return nil
	})
	s.changed(rec, r.Name)
	if err != nil && !errors.Is(err, other) && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	if s.OnDelete != nil {
		if err := s.OnDelete(ctx, rec, r.Name, dead); err != nil {
			return nil, err
		}
	}
	return &api.DeleteProfileObjectTypeResponse{Message: api.Ptr("Deleted")}, nil
}

// show returns a type for the wire; others are the other types of its domain.
func (s *Service) show(r *resource.Record[definition], others *set) *api.GetProfileObjectTypeResponse {
	d := &r.Data
	return &api.GetProfileObjectTypeResponse{
		ObjectTypeName: &r.Name, Description: &d.Description, TemplateId: optional(d.Template), ExpirationDays: optional(d.ExpirationDays),
		EncryptionKey: optional(d.EncryptionKey), AllowProfileCreation: &d.Creates, SourceLastUpdatedTimestampFormat: optional(d.TimestampFormat),
		MaxProfileObjectCount: optional(d.MaxObjects), MaxAvailableProfileObjectCount: api.Ptr(s.available(others, r.Name)), SourcePriority: optional(d.Priority),
		Fields: d.Fields, Keys: d.Keys, CreatedAt: api.Micros(r.CreatedAt), LastUpdatedAt: api.Micros(r.UpdatedAt), Tags: r.Tags,
	}
}

// available is how many objects of a type a profile may have at most, given what other types have been assigned.
func (s *Service) available(all *set, name string) int32 {
	left := int64(s.Quotas.objects())
	for other, n := range all.caps {
		if other != name {
			left -= int64(n)
		}
	}
	return int32(max(left, 0))
}

// optional returns nil for what was not given.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
