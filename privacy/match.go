package privacy

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json"

	"kith/domain"
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
}

func newKeySet(keys []fold.Key) *keySet {
	k := &keySet{exact: map[fold.Key]bool{}}
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
		if e, err := t.Extract([]byte(object)); err == nil {
			for _, keys := range [][]fold.Key{e.Keys, e.NewKeys, e.Match, e.Fallback} {
				for _, key := range keys {
					if k.exact[fold.Key{Name: key.Name, Value: schema.IndexValue(key.Value)}] {
						return true
					}
				}
			}
			return false
		}
	}
	var v any
	if json.Unmarshal([]byte(object), &v) != nil {
		return k.in([]string{object})
	}
	var texts []string
	leaves(v, func(text string) { texts = append(texts, text) })
	return k.in(texts)
}

// leaves calls do for every text and number of a JSON value.
func leaves(v any, do func(string)) {
	switch v := v.(type) {
	case string:
		do(v)
	case float64:
		b, err := json.Marshal(v)
		if err == nil {
			do(string(b))
		}
	case []any:
		for _, e := range v {
			leaves(e, do)
		}
	case map[string]any:
		for _, e := range v {
			leaves(e, do)
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
		for _, ct := range []schema.ContentType{schema.String, schema.Email, schema.Phone, schema.Name, schema.Number} {
			have[schema.IndexValue(schema.Normalize(ct, text))] = true
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
func (t *types) of(ctx context.Context, name string) *objecttype.Type {
	if found, ok := t.all[name]; ok {
		return found
	}
	found, err := t.find(ctx, t.rec, name)
	if err != nil {
		found = nil
	}
	if t.all == nil {
		t.all = map[string]*objecttype.Type{}
	}
	t.all[name] = found
	return found
}
