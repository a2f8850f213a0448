package objecttype

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"

	"kith/fault"
	"kith/profile/fold"
	"kith/schema"
)

// Extract returns what an object of the type says. Its phone numbers were written in a country; 0: nobody knows where. It is fault.BadRequest
// when the object can't be put.
func (t *Type) Extract(object []byte, in schema.Country) (*Extracted, error) {
	r := readers.Get().(*reader)
	defer r.release()
	if err := r.read(t, object); err != nil {
		return nil, err
	}
	texts := grown(&r.texts, len(t.fields))
	for i := range t.fields {
		var err error
		if texts[i], err = r.text(&t.fields[i]); err != nil {
			return nil, err
		}
	}
	out := &Extracted{}
	stamp, err := t.stamp(texts)
	if err != nil {
		return nil, err
	}
	if err := t.values(out, texts, stamp); err != nil {
		return nil, err
	}
	if out.UniqueKey, err = t.uniqueKey(r, texts); err != nil {
		return nil, err
	}
	values := grown(&r.keys, len(t.keys))
	for i := range t.keys {
		values[i] = t.keys[i].value(r, texts, in)
	}
	if err := t.keysOf(out, values); err != nil {
		return nil, err
	}
	t.standard(out, r, texts, values, stamp)
	return out, nil
}

// grown returns a slice of a length that is used again.
func grown(s *[]string, n int) []string {
	*s = slices.Grow((*s)[:0], n)[:n]
	clear(*s)
	return *s
}

// text returns a field's value, "" when it has none. Blanks alone are none.
func (r *reader) text(f *field) (text string, err error) {
	switch {
	case f.list():
		return "", nil
	case f.slot >= 0:
		text = scalar(r.slots[f.slot].raw)
	default:
		if text, err = f.source.Eval(func(path string) any { return r.lookup(f.vars[path]) }); err != nil {
			return "", fault.BadRequestf("Field %q: %s. Make its template simpler, or the lists of the object shorter.", f.name, err)
		}
	}
	if text != "" && (text[0] <= ' ' || text[0] >= utf8.RuneSelf) && strings.TrimSpace(text) == "" {
		return "", nil
	}
	return text, nil
}

// stamp returns the weight and time of what the object says.
func (t *Type) stamp(texts []string) (s fold.Stamp, err error) {
	s.Priority = t.Priority
	if t.timeField < 0 || texts[t.timeField] == "" {
		return s, nil
	}
	at, ok := t.time.parse(texts[t.timeField])
	if !ok {
		return s, fault.BadRequestf("Field %q, which fills _profile.SourceLastUpdatedTimestamp, is no time of the format %s that the object type says.", t.fields[t.timeField].name, t.time.pattern)
	}
	s.SourceTime = at
	return s, nil
}

// values says what the profile gets.
func (t *Type) values(out *Extracted, texts []string, stamp fold.Stamp) error {
	out.Values = make([]fold.Value, 0, len(t.profile))
	for _, i := range t.profile {
		if texts[i] == "" {
			continue
		}
		v := fold.Value{Attr: t.fields[i].target.Attr, Text: texts[i], Kind: fold.Object, Stamp: stamp}
		if len(v.Text) > v.Attr.MaxLen() {
			if n := utf8.RuneCountInString(v.Text); n > v.Attr.MaxLen() {
				return fault.BadRequestf("Field %q has %d characters, and _profile.%s holds %d at most. Shorten it.", t.fields[i].name, n, v.Attr.Path(), v.Attr.MaxLen())
			}
		}
		if enum := v.Attr.Enum(); enum != nil {
			v.Text = strings.ToUpper(strings.TrimSpace(v.Text))
			if !slices.Contains(enum, v.Text) {
				return fault.BadRequestf("Field %q must be one of %s, since it fills _profile.%s. Send one of these, or map the field to _profile.%sString.", t.fields[i].name, strings.Join(enum, ", "), v.Attr.Path(), v.Attr.Path())
			}
		}
		out.Values = append(out.Values, v)
	}
	t.infer(out, schema.EmailAddress, t.emails, texts, stamp)
	t.infer(out, schema.PhoneNumber, t.phones, texts, stamp)
	slices.SortFunc(out.Inferred, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
	return nil
}

// infer fills an attribute of a profile that the object makes with the first of some fields that has a value.
func (t *Type) infer(out *Extracted, id uint16, fields []int, texts []string, stamp fold.Stamp) {
	attr := schema.Attr{ID: id}
	if slices.ContainsFunc(out.Values, func(v fold.Value) bool { return v.Attr == attr }) {
		return
	}
	for _, i := range fields {
		if texts[i] != "" && utf8.RuneCountInString(texts[i]) <= attr.MaxLen() {
			out.Inferred = append(out.Inferred, fold.Value{Attr: attr, Text: texts[i], Kind: fold.Object, Stamp: stamp})
			return
		}
	}
}

// uniqueKey returns base64(SHA-256) of the type's name, the key's name and the normalised parts, each after its length.
func (t *Type) uniqueKey(r *reader, texts []string) (string, error) {
	b, any, k := r.norm[:0], false, &t.keys[t.unique]
	b = append(binary.AppendUvarint(b, uint64(len(t.Name))), t.Name...)
	b = append(binary.AppendUvarint(b, uint64(len(k.name))), k.name...)
	for i, f := range k.fields {
		var part [256]byte
		v := schema.AppendNormalized(part[:0], k.part(i), []byte(texts[f]))
		any = any || len(v) > 0
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	r.norm = b
	if !any {
		return "", fault.BadRequestf("The unique key %q is empty: give a value for %s.", k.name, t.names(t.unique))
	}
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// part is the content type of a part of a key.
func (k *key) part(i int) schema.ContentType {
	if len(k.types) == 1 {
		return k.types[0]
	}
	return k.types[i]
}

// value returns a key's normalised value, "" when a part is empty. Unique keys are not read so: an object is the same whatever the domain's country.
func (k *key) value(r *reader, texts []string, in schema.Country) string {
	b := r.norm[:0]
	for i, f := range k.fields {
		if i > 0 && k.name == schema.KeyFullName {
			b = append(b, ' ')
		} else if i > 0 {
			b = append(b, schema.TupleSep...)
		}
		from := len(b)
		if b = schema.AppendNormalizedIn(b, in, k.part(i), []byte(texts[f])); len(b) == from {
			return ""
		}
		if len(k.fields) > 1 && strings.Contains(string(b[from:]), schema.TupleSep) {
			b = append(b[:from], strings.ReplaceAll(string(b[from:]), schema.TupleSep, " ")...)
		}
	}
	r.norm = b
	return string(b)
}

// keysOf says what the object carries, and how its profile is found.
func (t *Type) keysOf(out *Extracted, values []string) error {
	out.Keys = make([]fold.Key, 0, len(t.carried)+1) // who puts it adds that of a standard object
	for _, i := range t.carried {
		switch k := &t.keys[i]; {
		case values[i] == "":
		case k.newOnly:
			out.NewKeys = appendKey(out.NewKeys, k.name, values[i])
		default:
			out.Keys = appendKey(out.Keys, k.name, values[i])
		}
	}
	for _, i := range t.match {
		if values[i] != "" {
			out.Match = appendKey(out.Match, t.keys[i].name, values[i])
		}
	}
	for _, i := range t.fallback {
		if values[i] != "" {
			out.Fallback = appendKey(out.Fallback, t.keys[i].name, values[i])
		}
	}
	if len(out.Match)+len(out.Fallback) == 0 {
		var names []string
		for _, i := range slices.Concat(t.match, t.fallback) {
			names = append(names, t.keys[i].name+" ("+t.names(i)+")")
		}
		return fault.BadRequestf("All keys that find a profile are empty: give a value for one of %s.", strings.Join(names, ", "))
	}
	return nil
}

func appendKey(keys []fold.Key, name, value string) []fold.Key {
	k := fold.Key{Name: name, Value: value}
	if slices.Contains(keys, k) {
		return keys
	}
	return append(keys, k)
}

// standard says what other standard objects get. One without a key says nothing: nobody could tell which it is.
func (t *Type) standard(out *Extracted, r *reader, texts, values []string, stamp fold.Stamp) {
	for i := range t.standards {
		in := &t.standards[i]
		if len(in.fields) == 0 {
			continue
		}
		s := Standard{Type: in.Name, Stamp: stamp}
		for _, k := range in.keys {
			if values[k] != "" {
				s.Keys = appendKey(s.Keys, t.keys[k].name, values[k])
			}
		}
		if len(in.keys) == 0 { // a communication record is its object's
			s.Keys = []fold.Key{{Name: t.keys[t.unique].name, Value: out.UniqueKey}}
		}
		for _, f := range in.fields {
			if values := r.listOf(&t.fields[f], texts[f]); len(values) > 0 {
				s.Fields = append(s.Fields, Field{Path: t.fields[f].target.Path, Values: values})
			}
		}
		if len(s.Keys) > 0 && (len(in.keys) > 0 || len(s.Fields) > 0) {
			out.Standard = append(out.Standard, s)
		}
	}
}

// listOf returns a field's values: one, those of a list, or none when all are empty.
func (r *reader) listOf(f *field, text string) []string {
	if !f.list() {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	list, filled := make([]string, len(r.slots[f.slot].list)), false
	for i, raw := range r.slots[f.slot].list {
		list[i] = scalar(raw)
		filled = filled || list[i] != ""
	}
	if !filled {
		return nil
	}
	return list
}
