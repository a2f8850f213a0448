package stage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
)

// Quotas of a mapping.
const (
	MaxFields     = 250
	DefaultExpiry = 14 // days
)

// Mapping is a job's Fields and UniqueKey, compiled.
type Mapping struct {
	fields []field // with a target, in the order of schema.Attr.Less
	unique []field // the parts of the unique key
	// index is the name of the key that rows are matched by.
	index string
	// own is the definition of index when it is a key of the domain's own, else nil.
	own *domain.Key
	// private says that the unique key has no attribute: its value is kept beside the contribution.
	private bool
	// sources are the columns that fields read, by header name.
	sources []string
}

// field is one entry of Fields.
type field struct {
	label   string
	source  *schema.Source
	attr    schema.Attr
	hasAttr bool
	ct      schema.ContentType
	prefix  []byte // of the encoded value
}

// Compile checks a job's mapping. The error is a fault for the caller; it names labels, sources and targets.
func Compile(fields map[string]api.ObjectTypeField, uniqueKey string) (*Mapping, error) {
	if len(fields) == 0 {
		return nil, fault.BadRequestf("Fields must map at least one column.")
	}
	if len(fields) > MaxFields {
		return nil, fault.BadRequestf("Fields maps %d columns; the limit is %d.", len(fields), MaxFields)
	}
	m := &Mapping{}
	byLabel := map[string]field{}
	byAttr := map[schema.Attr]string{}
	for _, label := range slices.Sorted(maps.Keys(fields)) {
		f, err := compileField(label, fields[label])
		if err != nil {
			return nil, err
		}
		byLabel[label] = f
		for _, p := range f.source.Paths() {
			if !slices.Contains(m.sources, p) {
				m.sources = append(m.sources, p)
			}
		}
		if !f.hasAttr {
			continue
		}
		if other, ok := byAttr[f.attr]; ok {
			return nil, fault.BadRequestf("Fields %q and %q have the same Target _profile.%s; a column can fill an attribute only once.", other, label, f.attr.Path())
		}
		byAttr[f.attr] = label
		m.fields = append(m.fields, f)
	}
	for a, label := range byAttr {
		if twin, ok := a.Twin(); ok && byAttr[twin] != "" {
			return nil, fault.BadRequestf("Fields %q and %q are mutually exclusive: map either _profile.%s or _profile.%s.", label, byAttr[twin], a.Path(), twin.Path())
		}
	}
	slices.SortFunc(m.fields, func(a, b field) int { return a.attr.Compare(b.attr) })
	var err error
	if m.unique, err = resolveUnique(byLabel, fields, uniqueKey); err != nil {
		return nil, err
	}
	m.chooseIndex()
	return m, nil
}

func compileField(label string, in api.ObjectTypeField) (f field, err error) {
	f = field{label: label, ct: schema.String}
	if in.ContentType != nil {
		f.ct = schema.ContentType(*in.ContentType)
	}
	if f.source, err = schema.ParseSource(api.Val(in.Source)); err != nil {
		return f, fault.BadRequestf("Field %q: %s.", label, err)
	}
	if in.Target == nil {
		return f, nil
	}
	if f.attr, err = schema.ParseTarget(*in.Target); err != nil {
		return f, fault.BadRequestf("Field %q: %s.", label, err)
	}
	f.hasAttr = true
	f.prefix = fold.ValuePrefix(f.attr, 0)
	return f, nil
}

// resolveUnique finds the fields that UniqueKey names: a label, a Source with or without "_source.", a Target with or
// without "_profile.", or several of these between commas.
func resolveUnique(byLabel map[string]field, fields map[string]api.ObjectTypeField, uniqueKey string) ([]field, error) {
	one := func(name string) (field, bool) {
		if f, ok := byLabel[name]; ok {
			return f, true
		}
		for _, prefix := range []string{"_source.", "_profile."} {
			for _, label := range slices.Sorted(maps.Keys(fields)) {
				text := api.Val(fields[label].Source)
				if prefix == "_profile." {
					text = api.Val(fields[label].Target)
				}
				if text != "" && (text == name || text == prefix+name) {
					return byLabel[label], true
				}
			}
		}
		return field{}, false
	}
	if f, ok := one(strings.TrimSpace(uniqueKey)); ok {
		return []field{f}, nil
	}
	var parts []field
	for part := range strings.SplitSeq(uniqueKey, ",") {
		f, ok := one(strings.TrimSpace(part))
		if !ok {
			return nil, fault.BadRequestf("UniqueKey %q names no field: it must be a key of Fields, a Source, a Target, or several of these separated by commas.", uniqueKey)
		}
		if !slices.ContainsFunc(parts, func(o field) bool { return o.label == f.label }) {
			parts = append(parts, f)
		}
	}
	return parts, nil
}

// chooseIndex decides by which key rows are matched (docs/spec/core.md 1.8).
func (m *Mapping) chooseIndex() {
	if len(m.unique) == 1 && m.unique[0].hasAttr {
		if name, ct := schema.PredefinedKey(m.unique[0].attr); name != "" {
			m.index, m.unique[0].ct = name, ct
			return
		}
	}
	key := &domain.Key{}
	var names, labels []string
	for _, f := range m.unique {
		labels = append(labels, f.label)
		if !f.hasAttr {
			m.private = true
			continue
		}
		key.Parts = append(key.Parts, domain.KeyPart{Attribute: f.attr.Path(), ContentType: string(f.ct)})
		names = append(names, f.attr.Path()+":"+string(f.ct))
	}
	if m.private {
		m.index = fold.PrivatePrefix + strings.Join(labels, "+")
		return
	}
	key.Name = "attribute:" + strings.Join(names, "+")
	m.index, m.own = key.Name, key
}

// bound is a mapping bound to the columns of a file.
type bound struct {
	*Mapping
	columns map[string]int // source path → column
	header  []string
	fields  []boundField
	unique  []boundField
}

type boundField struct {
	field
	column int // of an accessor, -1 for a template
	// place of a part of the unique key among the attributes' fields, -1 when it fills no attribute.
	place int
	limit int      // characters
	enum  []string // allowed values, or nil
	// in is the country that the phone numbers of the field are written in, and inPrefix prefix with it; 0: they are none, or nobody knows.
	in       schema.Country
	inPrefix []byte
	// isKey says that keys are made of the values, so that a part of one would be somebody else's.
	isKey bool
	// named says that the values are names of people, firms or places, which are never judged: Null is a surname, and NO is Norway.
	named bool
}

// bind finds the columns of a mapping in a header. Names match as schema.ColumnName has them, else by a unique hit without regard
// to case. Several columns of one name are refused only where the mapping reads them. In strict mode only exact matches after trimming count, names
// are unique, and those with dots are refused (docs/spec/core.md 1.7). The error is the job's reason; it names columns.
func (m *Mapping) bind(header []string, strict bool) (*bound, error) {
	b := &bound{Mapping: m, columns: map[string]int{}}
	named := schema.ColumnName
	if strict {
		named = strings.TrimSpace
	}
	exact, folded, twice := map[string]int{}, map[string][]int{}, map[string]int{}
	for i, h := range header {
		h = named(h)
		b.header = append(b.header, h)
		if h == "" {
			continue
		}
		if strict && strings.Contains(h, ".") {
			return nil, fmt.Errorf("the header names column %q, and names must not hold dots while the server runs with --strict-aws", h)
		}
		if j, ok := exact[h]; ok {
			if strict {
				return nil, twins(h, j, i)
			}
			twice[h] = i
			continue
		}
		exact[h] = i
		folded[strings.ToLower(h)] = append(folded[strings.ToLower(h)], i)
	}
	var missing []string
	for _, source := range m.sources {
		name := named(source)
		if i, ok := exact[name]; ok {
			if j, again := twice[name]; again {
				return nil, twins(name, i, j)
			}
			b.columns[source] = i
		} else if hits := folded[strings.ToLower(name)]; len(hits) == 1 && !strict {
			b.columns[source] = hits[0]
		} else {
			missing = append(missing, fmt.Sprintf("%q", name))
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("the header lacks the mapped column %s", strings.Join(missing, ", "))
	}
	for _, f := range m.fields {
		b.fields = append(b.fields, b.bindField(f))
	}
	for _, f := range m.unique {
		u := b.bindField(f)
		if f.hasAttr {
			u.place = slices.IndexFunc(b.fields, func(o boundField) bool { return o.label == f.label })
		}
		b.unique = append(b.unique, u)
	}
	return b, nil
}

// readIn notes what the plan knows of the fields: the country of phone numbers, and what keys are made of.
func (b *bound) readIn(c schema.Country, own []domain.Key, keyed *index.Attrs) {
	for i := range b.fields {
		f := &b.fields[i]
		f.isKey = keyed.Has(f.attr) || slices.ContainsFunc(b.unique, func(u boundField) bool { return u.place == i })
		if c != 0 && index.IsPhone(f.attr, own) {
			f.in, f.inPrefix = c, fold.ValuePrefix(f.attr, c)
		}
	}
}

// isName says whether a field holds names.
func isName(f field) bool {
	base, _ := f.attr.AddressPart()
	return f.ct == schema.Name || base != 0 || slices.Contains([]uint16{schema.FirstName, schema.MiddleName, schema.LastName, schema.BusinessName}, f.attr.ID)
}

func twins(name string, i, j int) error {
	return fmt.Errorf("the header names column %q twice, as number %d and %d; names must be unique", name, i+1, j+1)
}

func (b *bound) bindField(f field) boundField {
	bf := boundField{field: f, column: -1, place: -1, limit: f.attr.MaxLen(), enum: f.attr.Enum(), named: isName(f)}
	if f.source.Accessor != "" {
		bf.column = b.columns[f.source.Accessor]
	}
	return bf
}

// Own is the definition of the key that rows are matched by when it is one of the domain's own, else nil.
func (m *Mapping) Own() *domain.Key { return m.own }

// Index returns the name of the key by which rows are matched.
func (m *Mapping) Index() string { return m.index }
