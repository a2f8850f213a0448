package profile

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
)

// DeadLetters keeps objects that can't be attached to a profile.
type DeadLetters interface {
	// Keep keeps one. It is durable when Keep returns nil.
	Keep(ctx context.Context, rec *domain.Record, l deadletter.Letter) error
}

// PutProfileObject attaches an object to the profile that its keys find, or makes one. An object of the same type and unique key is replaced,
// and moves when its keys find another profile. Behaviour: docs/spec/core.md 4.1 to 4.6.
func (s *Service) PutProfileObject(ctx context.Context, in *api.PutProfileObjectRequest) (*api.PutProfileObjectResponse, error) {
	rec, t, err := s.typeToPut(ctx, *in.DomainName, *in.ObjectTypeName)
	if err != nil {
		return nil, err
	}
	key, _, err := s.putObject(ctx, rec, t, *in.Object, false)
	if err != nil {
		return nil, err
	}
	return &api.PutProfileObjectResponse{ProfileObjectUniqueKey: &key}, nil
}

// BatchPutProfileObject puts objects of one type, one after the other in the order of the request. What is wrong with one of them is told
// in the answer and keeps no other back. Behaviour: docs/spec/core.md 4.7.
func (s *Service) BatchPutProfileObject(ctx context.Context, in *api.BatchPutProfileObjectRequest) (*api.BatchPutProfileObjectResponse, error) {
	seen := map[string]bool{}
	for _, item := range in.Items {
		if seen[*item.Id] {
			return nil, fault.BadRequestf("Items has the Id %q twice. Give each item an Id of its own, by which the answer tells what became of it.", *item.Id)
		}
		seen[*item.Id] = true
	}
	rec, t, err := s.typeToPut(ctx, *in.DomainName, *in.ObjectTypeName)
	if err != nil {
		return nil, err
	}
	out := &api.BatchPutProfileObjectResponse{Successful: []api.BatchPutProfileObjectResponseItem{}, Failed: []api.BatchPutProfileObjectErrorItem{}}
	var last write.Result
	for i := range in.Items {
		item := &in.Items[i]
		key, r, err := s.putObject(ctx, rec, t, *item.Object, true)
		if code := itemCode(err); code != 0 {
			out.Failed = append(out.Failed, api.BatchPutProfileObjectErrorItem{Id: item.Id, Code: &code, Message: api.Ptr(short(fault.Message(err)))})
			continue
		}
		if err != nil { // of the server: nobody is told yet that an item is kept, and the call may be made again
			return nil, err
		}
		out.Successful = append(out.Successful, api.BatchPutProfileObjectResponseItem{Id: item.Id, ProfileObjectUniqueKey: &key})
		if r.Time != 0 {
			last = r
		}
	}
	if err := s.Writer.Sync(ctx, rec, last); err != nil { // one wait for the disk, for all of them
		return nil, err
	}
	return out, nil
}

// itemCode returns the code by which the answer of a batch tells what is wrong with an item, or 0.
func itemCode(err error) int32 {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return 0
	}
	switch f.Kind {
	case fault.BadRequest:
		return 400
	case fault.AccessDenied:
		return 403
	case fault.NotFound:
		return 404
	case fault.Throttled:
		return 429
	}
	return 0
}

// maxItemMessage is how many characters a sentence about an item has at most.
const maxItemMessage = 1000

func short(text string) string {
	if utf8.RuneCountInString(text) <= maxItemMessage {
		return text
	}
	return string([]rune(text)[:maxItemMessage-1]) + "…"
}

// typeToPut returns the domain and the type of objects that are to be put.
func (s *Service) typeToPut(ctx context.Context, name, typeName string) (*domain.Record, *objecttype.Type, error) {
	rec, err := s.Domains.Lookup(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if typeName == profileType || schema.StandardByName(typeName) != nil {
		return nil, nil, fault.BadRequestf("%s is a standard object, which is made of what objects of other types say. Put an object of a type whose fields have Targets such as %s.<field>.", typeName, typeName)
	}
	t, err := s.Types.Lookup(ctx, rec, typeName)
	return rec, t, err
}

// defaultLife is how many days an object lives when neither its type nor its domain says.
const defaultLife = 365

const day = 24 * time.Hour

// putObject puts an object. It returns its unique key also when it has become a dead letter because its type makes no profiles.
func (s *Service) putObject(ctx context.Context, rec *domain.Record, t *objecttype.Type, object string, lazy bool) (key string, r write.Result, err error) {
	raw := []byte(object)
	x, err := extract(rec, t, raw)
	if err != nil {
		return "", r, err
	}
	days := t.ExpirationDays
	if days == 0 {
		days = rec.DefaultExpirationDays
	}
	if days == 0 {
		days = defaultLife
	}
	o := &write.Object{
		Type: t.Name, Incarnation: t.Incarnation, UniqueKey: x.UniqueKey, JSON: raw, Values: x.Values, Inferred: x.Inferred,
		Life: time.Duration(days) * day, Keys: x.Keys, NewKeys: x.NewKeys, Match: x.Match, Fallback: x.Fallback,
		Create: t.AllowProfileCreation, MaxOfType: int(t.MaxObjects), Lazy: lazy,
	}
	o.Alive = func(ctx context.Context, rec *domain.Record) error {
		now, err := s.Types.Find(ctx, rec, t.Name)
		if err == nil && now.Incarnation != t.Incarnation {
			err = fault.NotFoundf("Object type %s of domain %s was deleted and made again meanwhile. Put the object again.", t.Name, rec.Name)
		}
		return err
	}
	for i := range x.Standard {
		st, err := standardObject(&x.Standard[i])
		if err != nil {
			return "", r, err
		}
		o.Standard = append(o.Standard, st)
	}
	r, err = s.Writer.Put(ctx, rec.Name, caller(ctx), o)
	letter := deadletter.Letter{ObjectType: t.Name, Object: object, UniqueKey: x.UniqueKey}
	switch {
	case errors.Is(err, write.ErrNoProfile):
		letter.Reason = "The keys of the object find no profile, or more than one each, and its type does not create profiles."
		err = s.Letters.Keep(ctx, rec, letter)
	case errors.Is(err, write.ErrFull):
		letter.Reason = fault.Message(err)
		err = errors.Join(err, s.Letters.Keep(ctx, rec, letter))
	}
	return x.UniqueKey, r, err
}

// extract returns what an object says in a domain, whose country its phone numbers are written in. Its profile is found by a number also if
// that came there before the country was known.
func extract(rec *domain.Record, t *objecttype.Type, object []byte) (*objecttype.Extracted, error) {
	country := rec.WrittenIn()
	x, err := t.Extract(object, country)
	if err != nil || country == 0 {
		return x, err
	}
	index.ReadIn(x.Values, country, rec.Keys)
	index.ReadIn(x.Inferred, country, rec.Keys)
	for _, keys := range []*[]fold.Key{&x.Match, &x.Fallback} {
		for _, k := range *keys {
			if k.Name != schema.KeyPhone {
				continue
			}
			for _, form := range schema.NationalForms(k.Value, country) {
				*keys = append(*keys, fold.Key{Name: k.Name, Value: form})
			}
		}
	}
	return x, nil
}

// standardObject returns what an object says about a standard object as it is written. Its keys are normalised.
func standardObject(x *objecttype.Standard) (write.StandardObject, error) {
	o := write.StandardObject{Type: x.Type, IDKey: schema.StandardByName(x.Type).IDKey, Keys: x.Keys}
	for _, f := range x.Fields {
		v := fold.Value{Attr: schema.Attr{Custom: f.Path}, Text: f.Values[0], Stamp: x.Stamp}
		if strings.Contains(f.Path, "[]") {
			list, err := json.Marshal(f.Values)
			if err != nil {
				return o, err
			}
			v.Text = string(list)
		}
		o.Values = append(o.Values, v)
	}
	return o, nil
}

// DeleteProfileObject deletes an object and takes back what it said: its keys and values.
func (s *Service) DeleteProfileObject(ctx context.Context, in *api.DeleteProfileObjectRequest) (*api.DeleteProfileObjectResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	name := *in.ObjectTypeName
	if name == profileType || schema.StandardByName(name) != nil {
		return nil, fault.BadRequestf("%s is a standard object, which is made of what objects of other types say: delete these, and it goes. %s goes with DeleteProfile.", name, profileType)
	}
	t, err := s.Types.Find(ctx, rec, name)
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	if rec.IsDead(t.Incarnation) {
		return nil, fault.NotFoundf("Object type %s is not found in domain %s.", name, rec.Name)
	}
	if _, err := s.Writer.DeleteObject(ctx, rec.Name, caller(ctx), id, name, t.Incarnation, *in.ProfileObjectUniqueKey); err != nil {
		return nil, err
	}
	return &api.DeleteProfileObjectResponse{Message: api.Ptr("OK")}, nil
}
