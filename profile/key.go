package profile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/profile/write"
	"kith/schema"
)

// AddProfileKey gives a profile values of a key, by which it is found and to which objects are attached. It may be repeated. Behaviour:
// docs/spec/core.md 5.3.
func (s *Service) AddProfileKey(ctx context.Context, in *api.AddProfileKeyRequest) (*api.AddProfileKeyResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	keys, err := s.keysByHand(ctx, rec, *in.KeyName, in.Values, phoneReader{rec, false})
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	_, err = s.Writer.Change(ctx, rec.Name, caller(ctx), id, func(_ context.Context, d *write.Draft) error {
		if err := d.FindProfile(id); err != nil {
			return err
		}
		d.Note(write.AddedKey, "", "", detailOf(in.KeyName, in.Values))
		d.Life(lifeIn(d.Record))
		return d.AddKeys(keys)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddProfileKeyResponse{KeyName: in.KeyName, Values: in.Values}, nil
}

// DeleteProfileKey takes values of a key from a profile that were added by hand. Values that it does not have are no error. Behaviour:
// docs/spec/core.md 5.3.
func (s *Service) DeleteProfileKey(ctx context.Context, in *api.DeleteProfileKeyRequest) (*api.DeleteProfileKeyResponse, error) {
	rec, err := s.Domains.Lookup(ctx, *in.DomainName)
	if err != nil {
		return nil, err
	}
	keys, err := s.keysByHand(ctx, rec, *in.KeyName, in.Values, phoneReader{rec, true})
	if err != nil {
		return nil, err
	}
	id, _ := fold.ParseID(*in.ProfileId)
	err = s.Writer.DeleteKeys(ctx, rec.Name, caller(ctx), id, keys, detailOf(in.KeyName, in.Values))
	if err != nil {
		return nil, err
	}
	return &api.DeleteProfileKeyResponse{Message: api.Ptr("OK")}, nil
}

// detailOf is what the history says of a change of keys.
func detailOf(name *string, values []string) string {
	return string((&api.AddProfileKeyResponse{KeyName: name, Values: values}).AppendJSON(nil))
}

// keysByHand returns the keys that a request to change a profile's keys names; phones reads phone numbers. The error is fault.BadRequest.
func (s *Service) keysByHand(ctx context.Context, rec *domain.Record, name string, values []string, phones phoneReader) (keys []index.Key, err error) {
	types, err := s.keyTypes(ctx, rec)
	if err != nil {
		return nil, err
	}
	parts, known := types[name]
	_, isAttribute := attributeKey(name)
	switch {
	case name == schema.KeyProfileID:
		return nil, fault.BadRequestf("The key %s is the profile's own id. It can't be added or removed.", name)
	case !known && strings.HasPrefix(name, "_") && !schema.Predefined(name):
		return nil, fault.BadRequestf("There is no predefined key %s. Use one, such as _ctrContactId, or a name of your own that does not begin with an underscore.", name)
	case !known && isAttribute:
		return nil, fault.BadRequestf("%s is an attribute, no key. Change it with UpdateProfile, or use a key such as %s.", name, schema.KeyEmail)
	case len(values) == 0:
		return nil, fault.BadRequestf("Values is empty. Name at least one value of key %s.", name)
	}
	if !known {
		parts = []schema.ContentType{schema.KeyContentType(name)}
	}
	for i, v := range values {
		forms, err := keyForms(nil, parts, v, phones)
		if err != nil {
			return nil, fault.BadRequestf("Value %d of key %s: %s.", i+1, name, err)
		}
		switch {
		case len(forms) > 0:
		case len(parts) > 1:
			return nil, fault.BadRequestf("Value %d of key %s can't be a key: give a text for each of its %d fields, joined by blanks.", i+1, name, len(parts))
		default:
			return nil, fault.BadRequestf("Value %d of key %s can't be a key: its content type %s leaves nothing of it to compare.", i+1, name, parts[0])
		}
		for _, n := range forms {
			keys = append(keys, index.Key{Name: name, Value: n})
		}
	}
	return keys, nil
}

// keyTypes returns the content types of the fields of each key that object types of a domain define.
func (s *Service) keyTypes(ctx context.Context, rec *domain.Record) (objecttype.Keys, error) {
	if s.Types == nil {
		return nil, nil
	}
	types, err := s.Types.Keys(ctx, rec)
	if err != nil {
		return nil, fmt.Errorf("read the keys of a domain: %w", err)
	}
	return types, nil
}

// attributeKey says whether a name is that of an attribute of the standard profile, and which one.
func attributeKey(name string) (schema.Attr, bool) {
	a, ok := schema.ParsePath(name)
	return a, ok && a.ID != 0
}

// maxSplits bounds in how many ways the text of a key of several fields is read.
const maxSplits = 32

// phoneReader reads phone numbers of a domain: as it reads what is written there now, or in every way that may find one.
type phoneReader struct {
	rec   *domain.Record
	every bool
}

// forms appends the normalised values of a field.
func (r phoneReader) forms(dst []string, ct schema.ContentType, text string) []string {
	country := schema.Country(0)
	if ct == schema.Phone && r.rec != nil {
		if r.every {
			return r.rec.Phones(dst, text)
		}
		country = r.rec.WrittenIn()
	}
	if n := schema.NormalizeIn(country, ct, text); n != "" {
		dst = append(dst, n)
	}
	return dst
}

// keyForms appends the normalised values that the text of a key may stand for. A key of several fields has a text of these joined by blanks;
// where fields have blanks themselves, each way to split it is one. The error is a sentence for the caller.
func keyForms(dst []string, parts []schema.ContentType, text string, phones phoneReader) ([]string, error) {
	if len(parts) > 1 {
		forms, err := tupleForms(parts, text, phones)
		return append(dst, forms...), err
	}
	ct := schema.String
	if len(parts) == 1 {
		ct = parts[0]
	}
	return phones.forms(dst, ct, text), nil
}

// tupleForms is keyForms of a key of several fields.
func tupleForms(parts []schema.ContentType, text string, phones phoneReader) (forms []string, err error) {
	words := strings.Fields(text)
	var split func(tuple []string, words []string) error
	split = func(tuple []string, words []string) error {
		at := len(tuple)
		if at == len(parts)-1 {
			for _, n := range phones.forms(nil, parts[at], strings.Join(words, " ")) {
				if len(forms) == maxSplits {
					return fmt.Errorf("its %d words can be read as %d fields in more than %d ways", len(strings.Fields(text)), len(parts), maxSplits)
				}
				if form := strings.Join(append(tuple[:at:at], n), schema.TupleSep); !slices.Contains(forms, form) {
					forms = append(forms, form)
				}
			}
			return nil
		}
		for i := 1; i <= len(words)-(len(parts)-1-at); i++ {
			for _, n := range phones.forms(nil, parts[at], strings.Join(words[:i], " ")) {
				if err := split(append(tuple[:at:at], n), words[i:]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := split(nil, words); err != nil {
		return nil, err
	}
	return forms, nil
}
