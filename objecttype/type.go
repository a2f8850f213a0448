package objecttype

import (
	"maps"
	"slices"
	"strings"

	"kith/api"
	"kith/fault"
	"kith/profile/fold"
	"kith/schema"
)

// Type is an object type as calls use it: parsed, checked, shared; not to be changed.
type Type struct {
	Name                 string
	Incarnation          uint64 // minted on creation; an object counts only while its type lives with the same incarnation
	AllowProfileCreation bool
	ExpirationDays       int32 // 0: the domain's
	Priority             int64 // SourcePriority, 0 none
	MaxObjects           int32 // of a profile, 0: no limit of its own
	// KeyNames are the names of its keys, in order. An object of it may carry others, of the standard objects that it feeds.
	KeyNames []string

	size   int     // about how many bytes it takes
	fields []field // by name
	root   *want
	slots  int
	// profile are the fields that fill attributes, in the order of schema.Attr.Less.
	profile []int
	// emails and phones are the fields that fill an attribute of a profile that an object makes.
	emails, phones []int
	timeField      int // -1: none
	time           *timeFormat
	keys           []key // every definition, by the keys' names
	unique         int   // of keys
	// match and fallback are the keys by which a profile is found, in order; carried are those that are stored, LOOKUP_ONLY ones are not.
	match, fallback, carried []int
	standards                []standard
}

// field is a field of a type.
type field struct {
	name   string
	source *schema.Source
	slot   int            // of an accessor, -1: a template
	vars   map[string]int // slots of a template's variables
	ct     schema.ContentType
	mapped bool
	target schema.Target
}

// key is one definition of a key.
type key struct {
	name    string
	fields  []int
	types   []schema.ContentType
	newOnly bool
}

// standard is a standard object that a type feeds.
type standard struct {
	*schema.Standard
	fields, keys []int
}

// identifiers are a definition's standard identifiers.
type identifiers map[api.StandardIdentifier]bool

func identifiersOf(def api.ObjectTypeKey) identifiers {
	ids := identifiers{}
	for _, id := range def.StandardIdentifiers {
		ids[id] = true
	}
	return ids
}

// compile makes a Type of what was given for it. The error is a fault for the caller.
func compile(name string, def *definition) (*Type, error) {
	t := &Type{
		Name: name, Incarnation: def.Incarnation, AllowProfileCreation: def.Creates, ExpirationDays: def.ExpirationDays, Priority: int64(def.Priority),
		MaxObjects: def.MaxObjects, KeyNames: slices.Sorted(maps.Keys(def.Keys)), timeField: -1, root: &want{slot: -1},
	}
	if err := t.compileFields(def); err != nil {
		return nil, err
	}
	if def.TimestampFormat != "" {
		var err error
		if t.time, err = parseTimeFormat(def.TimestampFormat); err != nil {
			return nil, fault.BadRequestf("SourceLastUpdatedTimestampFormat: %s.", err)
		}
	}
	if t.timeField >= 0 && t.time == nil {
		return nil, fault.BadRequestf("Field %q fills _profile.SourceLastUpdatedTimestamp, so SourceLastUpdatedTimestampFormat must say how its values are written: EpochMilli, or a pattern such as yyyy-MM-dd'T'HH:mm:ss'Z'.", t.fields[t.timeField].name)
	}
	return t, t.compileKeys(def)
}

func (t *Type) compileFields(def *definition) error {
	byTarget := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(def.Fields)) {
		f, err := t.compileField(name, def.Fields[name])
		if err != nil {
			return err
		}
		at := len(t.fields)
		t.size += 500 + 4*(len(name)+len(api.Val(def.Fields[name].Source))+len(api.Val(def.Fields[name].Target)))
		t.fields = append(t.fields, f)
		switch {
		case f.ct == schema.Email && !f.list():
			t.emails = append(t.emails, at)
		case f.ct == schema.Phone && !f.list():
			t.phones = append(t.phones, at)
		}
		if !f.mapped {
			continue
		}
		target := *def.Fields[name].Target
		if other, ok := byTarget[target]; ok {
			return fault.BadRequestf("Fields %q and %q have the same Target %q: which one would win is arbitrary. Remove one, or make one of both with a template.", other, name, target)
		}
		byTarget[target] = name
		switch {
		case f.target.SourceTime:
			t.timeField = at
		case f.target.Standard != nil:
			t.feed(f.target.Standard).fields = append(t.feed(f.target.Standard).fields, at)
		default:
			t.profile = append(t.profile, at)
		}
	}
	for _, i := range t.profile {
		twin, ok := t.fields[i].target.Attr.Twin()
		if other := byTarget["_profile."+twin.Path()]; ok && other != "" {
			return fault.BadRequestf("Fields %q and %q are mutually exclusive: map either _profile.%s or _profile.%s.", t.fields[i].name, other, t.fields[i].target.Attr.Path(), twin.Path())
		}
	}
	slices.SortFunc(t.profile, func(a, b int) int { return t.fields[a].target.Attr.Compare(t.fields[b].target.Attr) })
	return nil
}

// feed returns what is known of a standard object that the type feeds or has keys of.
func (t *Type) feed(s *schema.Standard) *standard {
	for i := range t.standards {
		if t.standards[i].Standard == s {
			return &t.standards[i]
		}
	}
	t.standards = append(t.standards, standard{Standard: s})
	return &t.standards[len(t.standards)-1]
}

func (t *Type) compileField(name string, in api.ObjectTypeField) (f field, err error) {
	f = field{name: name, ct: schema.String, slot: -1}
	if in.ContentType != nil {
		f.ct = schema.ContentType(*in.ContentType)
	}
	if in.Source == nil {
		return f, fault.BadRequestf("Field %q has no Source: it must say what is read, as in _source.email.", name)
	}
	if f.source, err = schema.ParseSource(*in.Source); err != nil {
		return f, fault.BadRequestf("Field %q: %s.", name, err)
	}
	if f.source.Accessor == "" {
		f.vars = map[string]int{}
	}
	for _, path := range f.source.Paths() {
		slot, err := t.wantPath(path, f.vars == nil)
		if err != nil {
			return f, fault.BadRequestf("Field %q: Source %q %s.", name, *in.Source, err)
		}
		if f.slot = slot; f.vars != nil {
			f.slot, f.vars[path] = -1, slot
		}
	}
	if in.Target == nil {
		return f, nil
	}
	f.mapped = true
	if f.target, err = schema.ParseObjectTarget(*in.Target); err != nil {
		return f, fault.BadRequestf("Field %q: %s.", name, err)
	}
	switch {
	case f.list() && !f.target.List:
		return f, fault.BadRequestf("Field %q: Source %q is a list, and Target %q takes one value. Target a path with [], such as _order.OrderItems[].Title, or read one value.", name, *in.Source, *in.Target)
	case !f.list() && f.target.List:
		return f, fault.BadRequestf("Field %q: Target %q takes a list, and Source %q is one value. Read a list, as in _source.items[].price.", name, *in.Target, *in.Source)
	}
	return f, nil
}

// list says whether the field's source yields a list.
func (f *field) list() bool { return strings.Contains(f.source.Accessor, "[]") }

func (t *Type) compileKeys(def *definition) error {
	index := map[string]int{}
	for i := range t.fields {
		index[t.fields[i].name] = i
	}
	for _, name := range t.KeyNames {
		for _, d := range def.Keys[name] {
			k := key{name: name, types: contentTypes(name, d.FieldNames, def.Fields)}
			for _, f := range d.FieldNames {
				i, ok := index[f]
				if !ok {
					return fault.BadRequestf("Key %q names the field %q, which Fields does not have. Add it, or name another one.", name, f)
				}
				k.fields = append(k.fields, i)
			}
			t.add(k, identifiersOf(d))
		}
	}
	if i := slices.Index(t.match, t.unique); i > 0 { // first; the others are by name
		t.match = slices.Insert(slices.Delete(t.match, i, i+1), 0, t.unique)
	}
	return nil
}

// add adds a key's definition to the lists that it belongs to.
func (t *Type) add(def key, ids identifiers) {
	def.newOnly = ids[api.StandardIdentifierNewOnly]
	k := len(t.keys)
	t.keys = append(t.keys, def)
	if ids[api.StandardIdentifierUnique] {
		t.unique = k
	}
	if ids[api.StandardIdentifierProfile] {
		if ids[api.StandardIdentifierSecondary] {
			t.fallback = append(t.fallback, k)
		} else {
			t.match = append(t.match, k)
		}
	}
	if !ids[api.StandardIdentifierLookupOnly] {
		t.carried = append(t.carried, k)
	}
	for id := range ids {
		if s := schema.StandardByIdentifier(string(id)); s != nil {
			t.feed(s).keys = append(t.feed(s).keys, k)
		}
	}
}

// names returns the fields of a key, for errors.
func (t *Type) names(k int) string {
	all := make([]string, len(t.keys[k].fields))
	for i, f := range t.keys[k].fields {
		all[i] = t.fields[f].name
	}
	return strings.Join(all, ", ")
}

// Extracted is what one object says. Values of keys are normalised.
type Extracted struct {
	UniqueKey string       // the API's ProfileObjectUniqueKey
	Values    []fold.Value // for the standard profile, in the order of schema.Attr.Less; stamps carry Priority and SourceTime
	Inferred  []fold.Value // said only when the object makes a profile
	// Keys are carried, NewKeys only when the object makes a profile.
	Keys, NewKeys []fold.Key
	// Match and Fallback are the keys by which its profile is found, in order. One named _profileId holds the id itself.
	Match, Fallback []fold.Key
	Standard        []Standard // what it says about other standard objects
}

// Standard is what an object says about one standard object (_asset, _order, …).
type Standard struct {
	Type string // "_asset"
	// Keys are those with its identifier (ASSET, …): they find the standard object within its profile. There is one at least.
	Keys   []fold.Key
	Fields []Field
	Stamp  fold.Stamp // Priority and SourceTime
}

// Field is one value of a standard object. Path is below its prefix ("Status", "Attributes.x", "OrderItems[].Title"). Values is one, or a
// list for a path with []: the n-th is of the n-th item, and "" where that item has none.
type Field struct {
	Path   string
	Values []string
}
