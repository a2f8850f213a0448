package privacy

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kith/domain"
	"kith/fault"
	"kith/objecttype"
	"kith/profile/fold"
	"kith/schema"
)

// shortKey is how many bytes a key has at least that is looked for where nobody knows what a field means.
const shortKey = 6

// keySet is the keys of a person, as they are looked for.
type keySet struct {
	exact map[fold.Key]bool
	// loose are the values that are looked for in fields whose meaning is not known, each as the parts of a key.
	loose [][]string
	// rec is the domain, which knows how its phone numbers are written.
	rec *domain.Record
}

func newKeySet(rec *domain.Record, keys []fold.Key) *keySet {
	k := &keySet{exact: map[fold.Key]bool{}, rec: rec}
	for _, key := range keys {
		if key.Name == schema.KeyFullName { // others have the same name
			continue
		}
		k.exact[fold.Key{Name: key.Name, Value: schema.IndexValue(key.Value)}] = true
		parts := strings.Split(schema.IndexValue(key.Value), schema.TupleSep)
		if strings.HasPrefix(key.Name, "\x01") || len(strings.Join(parts, "")) < shortKey {
			continue
		}
		k.loose = append(k.loose, parts)
	}
	return k
}

// carries says whether an object carries one of the keys.
func (k *keySet) carries(t *objecttype.Type, object string) bool {
	if t != nil {
		read := false
		for _, country := range k.rec.Origins() {
			if e, err := t.Extract([]byte(object), country); err == nil {
				read = true
				for _, keys := range [][]fold.Key{e.Keys, e.NewKeys, e.Match, e.Fallback} {
					for _, key := range keys {
						if k.exact[fold.Key{Name: key.Name, Value: schema.IndexValue(key.Value)}] {
							return true
						}
					}
				}
			}
		}
		if read {
			return false
		}
	}
	if texts, ok := scalars(object); ok {
		return k.in(texts)
	}
	return k.in([]string{object})
}

// scalars lists the texts and numbers of a JSON value as they are written, without the names of members. ok is false for what is no JSON.
func scalars(object string) (all []string, ok bool) {
	d := jsontext.NewDecoder(strings.NewReader(object), jsontext.AllowDuplicateNames(true))
	for {
		tok, err := d.ReadToken()
		if err != nil {
			return all, errors.Is(err, io.EOF)
		}
		in, n := d.StackIndex(d.StackDepth())
		isName := in == '{' && n%2 == 1
		if kind := tok.Kind(); kind == '0' || kind == '"' && !isName {
			all = append(all, tok.String())
		}
	}
}

// in says whether all parts of one of the keys are among texts, each as a whole, however it is normalised.
func (k *keySet) in(texts []string) bool {
	if len(k.loose) == 0 {
		return false
	}
	have := map[string]bool{}
	for _, text := range texts {
		for _, ct := range []schema.ContentType{schema.String, schema.Email, schema.Name, schema.Number} {
			have[schema.IndexValue(schema.Normalize(ct, text))] = true
		}
		for _, form := range k.rec.Phones(nil, text) {
			have[schema.IndexValue(form)] = true
		}
	}
	for _, parts := range k.loose {
		all := true
		for _, part := range parts {
			all = all && have[part]
		}
		if all {
			return true
		}
	}
	return false
}

// types remembers the object types of a domain while its letters are read.
type types struct {
	find func(ctx context.Context, rec *domain.Record, name string) (*objecttype.Type, error)
	rec  *domain.Record
	all  map[string]*objecttype.Type
}

// of returns a type, or nil if there is none that can be read.
func (t *types) of(ctx context.Context, name string) (*objecttype.Type, error) {
	if found, ok := t.all[name]; ok {
		return found, nil
	}
	found, err := t.find(ctx, t.rec, name)
	if err != nil && !errors.Is(err, fault.NotFound) && !errors.Is(err, objecttype.ErrUnreadable) {
		return nil, err
	}
	if t.all == nil {
		t.all = map[string]*objecttype.Type{}
	}
	t.all[name] = found
	return found, nil
}
