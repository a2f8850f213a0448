package objecttype

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"kith/api"
	"kith/fault"
	"kith/schema"
)

// MaxDetected is how many attributes, nested ones too, an object may have whose type is to be detected.
const MaxDetected = 120

// DetectProfileObjectType proposes a type for some objects: fields by their names and values, and keys.
func (s *Service) DetectProfileObjectType(ctx context.Context, in *api.DetectProfileObjectTypeRequest) (*api.DetectProfileObjectTypeResponse, error) {
	if _, err := s.Domains.Lookup(ctx, *in.DomainName); err != nil {
		return nil, err
	}
	out := &api.DetectProfileObjectTypeResponse{DetectedProfileObjectTypes: []api.DetectedProfileObjectType{}}
	leaves, err := readLeaves(in.Objects)
	if err != nil {
		return nil, err
	}
	if found := detect(leaves, len(in.Objects)); found != nil {
		out.DetectedProfileObjectTypes = append(out.DetectedProfileObjectTypes, *found)
	}
	return out, nil
}

// leaf is a path at which objects have plain values.
type leaf struct {
	names  []string
	values []string // not empty ones
	in     uint     // a bit for each object that has one
	number bool     // all are numbers
	field  string   // its name as a field
	attr   uint16   // of the standard profile, 0: a custom one
	ct     schema.ContentType
}

// readLeaves returns the plain values of objects by their paths, in the order in which they come first.
func readLeaves(objects []string) ([]*leaf, error) {
	var all []*leaf
	for i, text := range objects {
		w := &walker{dec: jsontext.NewDecoder(bytes.NewBufferString(text)), leaves: &all, bit: 1 << i}
		err := error(nil)
		if at := tooDeep([]byte(text)); at >= 0 {
			return nil, fault.BadRequestf("Number %d of Objects nests more than %d objects and lists within each other, at byte %d. Flatten it.", i+1, MaxDepth, at)
		}
		if w.dec.PeekKind() == '{' {
			if err = w.value(nil, true); err == nil {
				if _, err = w.dec.ReadToken(); err == nil {
					err = errors.New("something follows it")
				} else if errors.Is(err, io.EOF) {
					err = nil
				}
			}
		} else {
			err = errors.New("it is no object")
		}
		switch {
		case errors.Is(err, errTooMany):
			return nil, fault.BadRequestf("Number %d of Objects has more than %d attributes, nested ones too. Leave some out.", i+1, MaxDetected)
		case err != nil:
			return nil, fault.BadRequestf("Number %d of Objects must be one JSON object; it stops being one at byte %d.", i+1, w.dec.InputOffset())
		}
	}
	return all, nil
}

var errTooMany = errors.New("too many attributes")

// walker reads an object.
type walker struct {
	dec    *jsontext.Decoder
	leaves *[]*leaf
	bit    uint // of the object
	n      int
}

// value reads a value at a path; keep: its plain values are kept. Those in lists are counted, and not kept.
func (w *walker) value(names []string, keep bool) error {
	tok, err := w.dec.ReadToken()
	if err != nil {
		return err
	}
	switch tok.Kind() {
	case '{':
		for w.dec.PeekKind() != '}' {
			name, err := w.dec.ReadToken()
			if err != nil {
				return err
			}
			if w.n++; w.n > MaxDetected {
				return errTooMany
			}
			if err := w.value(append(slices.Clip(names), name.String()), keep); err != nil {
				return err
			}
		}
		_, err = w.dec.ReadToken()
		return err
	case '[':
		for w.dec.PeekKind() != ']' {
			if err := w.value(names, false); err != nil {
				return err
			}
		}
		_, err = w.dec.ReadToken()
		return err
	case 'n':
		return nil
	}
	if keep {
		w.keep(names, tok.String(), tok.Kind() == '0')
	}
	return nil
}

func (w *walker) keep(names []string, text string, number bool) {
	if strings.TrimSpace(text) == "" {
		return
	}
	for _, l := range *w.leaves {
		if slices.Equal(l.names, names) {
			l.values, l.number, l.in = append(l.values, text), l.number && number, l.in|w.bit
			return
		}
	}
	*w.leaves = append(*w.leaves, &leaf{names: names, values: []string{text}, in: w.bit, number: number, ct: schema.String})
}

// detect proposes a type, or nil.
func detect(leaves []*leaf, objects int) *api.DetectedProfileObjectType {
	leaves = named(leaves)
	d := &detection{leaves: leaves, objects: objects, out: &definition{Fields: map[string]api.ObjectTypeField{}, Keys: map[string][]api.ObjectTypeKey{}}}
	d.assign()
	d.times()
	d.fields()
	if !d.keys() || check("detected", d.out, Quotas{}) != nil {
		return nil
	}
	out := &api.DetectedProfileObjectType{Fields: d.out.Fields, Keys: d.out.Keys}
	if d.out.TimestampFormat != "" {
		out.SourceLastUpdatedTimestampFormat = &d.out.TimestampFormat
	}
	return out
}

// named leaves out what no Source can name, and gives the others the names of fields: their paths, as far as a name may have that form.
func named(leaves []*leaf) (out []*leaf) {
	taken := map[string]bool{"tags": true, "Tags": true}
	for _, l := range leaves {
		if slices.ContainsFunc(l.names, func(n string) bool { return n == "" || strings.ContainsAny(n, ".[]{}") }) || len(l.source()) > 900 {
			continue
		}
		name := strings.Map(func(r rune) rune {
			if r < 0x80 && (isLetter(byte(r)) || '0' <= r && r <= '9' || r == '_' || r == '.' || r == '-') {
				return r
			}
			return '_'
		}, strings.Join(l.names, "."))
		if !isLetter(name[0]) {
			name = "f" + name
		}
		name = name[:min(len(name), 60)]
		for base, n := name, 2; taken[name]; n++ {
			name = base + "-" + string(rune('0'+n%10)) + strings.Repeat("x", n/10)
		}
		taken[name], l.field = true, name
		out = append(out, l)
	}
	return out
}

func (l *leaf) source() string { return "_source." + strings.Join(l.names, ".") }

// detection is a proposal on its way.
type detection struct {
	leaves  []*leaf
	objects int
	out     *definition
	time    *leaf
}

// spare are the attributes that take what comes second.
var spare = map[uint16][]uint16{
	schema.EmailAddress: {schema.PersonalEmailAddress, schema.BusinessEmailAddress},
	schema.PhoneNumber:  {schema.MobilePhoneNumber, schema.HomePhoneNumber, schema.BusinessPhoneNumber},
}

// assign gives leaves their attributes: by name, those that are nested least first, and then by their values alone.
func (d *detection) assign() {
	taken := map[uint16]bool{}
	give := func(l *leaf, id uint16) {
		for _, id := range append([]uint16{id}, spare[id]...) {
			if twin, ok := (schema.Attr{ID: id}).Twin(); !taken[id] && !(ok && taken[twin.ID]) && l.fits(id) {
				taken[id], l.attr = true, id
				return
			}
		}
	}
	order := slices.Clone(d.leaves)
	slices.SortStableFunc(order, func(a, b *leaf) int { return cmp.Compare(len(a.names), len(b.names)) })
	for _, l := range order {
		id := understand(l.names)
		switch {
		case id == schema.Gender && !l.fits(id):
			id = schema.GenderString
		case id == schema.PartyType && !l.fits(id):
			id = schema.PartyTypeString
		}
		if id != 0 {
			give(l, id)
		}
	}
	for _, l := range order {
		switch {
		case l.attr != 0:
		case l.all(emailLike):
			l.ct = schema.Email
			give(l, schema.EmailAddress)
		case !l.number && l.all(phoneLike) && (l.all(func(v string) bool { return v[0] == '+' }) || strings.Contains(plain(l.names[len(l.names)-1]), "phone")):
			l.ct = schema.Phone
			give(l, schema.PhoneNumber)
		}
	}
}

// fits says whether an attribute can take the values, and they look as it wants them.
func (l *leaf) fits(id uint16) bool {
	a := schema.Attr{ID: id}
	_, ct := schema.PredefinedKey(a)
	return l.all(func(v string) bool {
		switch {
		case utf8.RuneCountInString(v) > a.MaxLen():
			return false
		case ct == schema.Email:
			return strings.Contains(v, "@")
		case ct == schema.Phone:
			return phoneLike(v)
		case a.Enum() != nil:
			return slices.Contains(a.Enum(), strings.ToUpper(strings.TrimSpace(v)))
		}
		return true
	})
}

func (l *leaf) all(is func(string) bool) bool {
	return !slices.ContainsFunc(l.values, func(v string) bool { return !is(v) })
}

// emailLike says whether a text is a word, an at sign and a domain.
func emailLike(v string) bool {
	user, host, ok := strings.Cut(v, "@")
	return ok && user != "" && strings.Contains(strings.Trim(host, "."), ".") && !strings.ContainsAny(v, " \t\"<>,;") && !strings.Contains(host, "@")
}

// phoneLike says whether a text is made as telephone numbers are.
func phoneLike(v string) bool {
	digits := 0
	for i, c := range []byte(v) {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case c == '+' && i == 0, strings.IndexByte(" ()-./", c) >= 0:
		default:
			return false
		}
	}
	return digits >= 6 && digits <= 15
}

// times finds the leaf that says when the source has changed the object.
func (d *detection) times() {
	best := len(updateWords)
	for _, l := range d.leaves {
		at := slices.Index(updateWords, plain(l.names[len(l.names)-1]))
		if at < 0 || at >= best || l.attr != 0 {
			continue
		}
		for _, pattern := range updatePatterns {
			f, err := parseTimeFormat(pattern)
			if err == nil && l.all(func(v string) bool { _, ok := f.parse(v); return ok && (pattern != EpochMilli || len(v) >= 12) }) {
				best, d.time, d.out.TimestampFormat = at, l, pattern
				break
			}
		}
	}
}

// fields writes the fields: what is no attribute of the standard profile becomes a custom one, if it is short enough.
func (d *detection) fields() {
	for _, l := range d.leaves {
		f := api.ObjectTypeField{Source: api.Ptr(l.source())}
		a := schema.Attr{ID: l.attr}
		switch {
		case l == d.time:
			f.Target = api.Ptr("_profile.SourceLastUpdatedTimestamp")
		case l.attr != 0:
			f.Target = api.Ptr("_profile." + a.Path())
			l.ct = schema.ContentType(*contentTypeOf(*f.Target))
		case l.all(func(v string) bool { return utf8.RuneCountInString(v) <= 255 }):
			f.Target = api.Ptr("_profile.Attributes." + l.field)
			if id, _ := idOf(l.names[len(l.names)-1]); l.number && !id {
				l.ct = schema.Number
			}
		default:
			continue
		}
		f.ContentType = api.Ptr(api.FieldContentType(l.ct))
		d.out.Fields[l.field] = f
	}
}

// keys writes the keys: what identifies an object, and what finds its profile. It returns false when nothing does.
func (d *detection) keys() bool {
	unique, person := d.unique()
	for _, l := range d.leaves {
		if name, _ := schema.PredefinedKey(schema.Attr{ID: l.attr}); name != "" && l.attr != 0 {
			d.key(name, l, api.StandardIdentifierProfile)
		}
	}
	if person != nil && person != unique {
		d.key(keyName(person), person, api.StandardIdentifierProfile)
	}
	for _, l := range d.leaves {
		if p := plain(l.names[len(l.names)-1]); l.attr == 0 && d.out.Fields[l.field].Target != nil && (p == "name" || p == "fullname" || p == "displayname" || p == "customername") {
			d.key(schema.KeyFullName, l)
			break
		}
	}
	switch {
	case unique == nil && len(d.out.Keys) == 0:
		return false
	case unique == nil: // what finds the profile stands for the object, if it tells all of them apart
		for _, name := range []string{schema.KeyEmail, schema.KeyAccount, schema.KeyPhone} {
			if defs := d.out.Keys[name]; len(defs) > 0 && d.leaf(defs[0].FieldNames[0]).distinct(d.objects) {
				defs[0].StandardIdentifiers = append(defs[0].StandardIdentifiers, api.StandardIdentifierUnique)
				return true
			}
		}
		return false
	}
	ids := []api.StandardIdentifier{api.StandardIdentifierUnique}
	if unique == person || !d.finds() {
		ids = append(ids, api.StandardIdentifierProfile)
	}
	d.key(keyName(unique), unique, ids...)
	return true
}

// finds says whether every object has a key that finds a profile.
func (d *detection) finds() bool {
	in := uint(0)
	for _, defs := range d.out.Keys {
		for _, def := range defs {
			if slices.Contains(def.StandardIdentifiers, api.StandardIdentifierProfile) {
				in |= d.leaf(def.FieldNames[0]).in
			}
		}
	}
	return in == 1<<d.objects-1
}

func (d *detection) leaf(field string) *leaf {
	return d.leaves[slices.IndexFunc(d.leaves, func(l *leaf) bool { return l.field == field })]
}

// distinct says whether every object has a value of its own.
func (l *leaf) distinct(objects int) bool {
	sorted := slices.Sorted(slices.Values(l.values))
	return len(slices.Compact(sorted)) == objects
}

// unique returns the leaf that tells objects apart, and that which tells whose they are; both may be one, or nil.
func (d *detection) unique() (unique, person *leaf) {
	best := 0
	for _, l := range d.leaves {
		if l.attr != 0 && l.attr != schema.AccountNumber || d.out.Fields[l.field].Target == nil || l == d.time {
			continue
		}
		id, whose := idOf(l.names[len(l.names)-1])
		if len(l.names) > 1 && id && !whose { // customer.id
			whose = slices.Contains(people, plain(l.names[len(l.names)-2]))
		}
		if !id {
			continue
		}
		if whose && l.attr == 0 && person == nil {
			person = l
		}
		rank := 10 - 2*min(len(l.names), 4)
		switch {
		case len(l.names) == 1 && (plain(l.names[0]) == "id" || plain(l.names[0]) == "uuid" || plain(l.names[0]) == "guid"):
			rank = 20
		case whose:
			rank--
		}
		if l.distinct(d.objects) && rank > best {
			best, unique = rank, l
		}
	}
	return unique, person
}

func (d *detection) key(name string, l *leaf, ids ...api.StandardIdentifier) {
	d.out.Keys[name] = append(d.out.Keys[name], api.ObjectTypeKey{FieldNames: []string{l.field}, StandardIdentifiers: ids})
}

// keyName makes a key's name of a field's.
func keyName(l *leaf) string { return strings.ReplaceAll(l.field, ".", "_") }
