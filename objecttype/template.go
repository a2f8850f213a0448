package objecttype

import (
	"context"
	"errors"
	"slices"
	"strings"

	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/resource"
	"kith/schema"
)

// template is a ready-made type. A type of its name need not be put: an object of that name makes it.
type template struct {
	id, source, object string
	creates            bool
	// standard says that it describes a standard object, which no type can be made of: it is fed by others.
	standard bool
	fields   map[string]api.ObjectTypeField
	keys     map[string][]api.ObjectTypeKey
}

// templates are all templates by id; templateIDs are in order.
var templates, templateIDs = func() (map[string]*template, []string) {
	all := map[string]*template{}
	for _, r := range recipes {
		all[r.id] = r.template()
	}
	for _, s := range schema.Standards {
		all[s.Name] = standardTemplate(s)
	}
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return all, ids
}()

func (r *recipe) template() *template {
	t := &template{id: r.id, source: r.source, object: r.object, creates: r.creates, fields: map[string]api.ObjectTypeField{}, keys: map[string][]api.ObjectTypeKey{}}
	for line := range lines(r.fields) {
		source, target, mapped := strings.Cut(line, " > ")
		name, source, named := strings.Cut(source, " = ")
		f := api.ObjectTypeField{Source: &source}
		if !named {
			path, ct, typed := strings.Cut(name, " : ")
			name, source = strings.ReplaceAll(path, "[]", ""), "_source."+path
			if typed {
				f.ContentType = api.Ptr(api.FieldContentType(ct))
			}
		}
		if mapped {
			f.Target = api.Ptr(r.feeds + target)
			f.ContentType = contentTypeOf(*f.Target)
		}
		t.fields[name] = f
	}
	for line := range lines(r.keys) {
		name, rest, _ := strings.Cut(line, ": ")
		words := strings.Fields(rest)
		def := api.ObjectTypeKey{FieldNames: words[:1]}
		for _, id := range words[1:] {
			def.StandardIdentifiers = append(def.StandardIdentifiers, api.StandardIdentifier(id))
		}
		t.keys[name] = append(t.keys[name], def)
	}
	return t
}

// lines yields the lines of a recipe.
func lines(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !yield(line) {
				return
			}
		}
	}
}

// contentTypeOf returns the content type of what fills a target; STRING for most.
func contentTypeOf(target string) *api.FieldContentType {
	ct := schema.String
	if t, err := schema.ParseObjectTarget(target); err == nil && t.Standard == nil {
		switch t.Attr.ID {
		case schema.FirstName, schema.MiddleName, schema.LastName, schema.BusinessName:
			ct = schema.Name
		default:
			if name, of := schema.PredefinedKey(t.Attr); name != "" {
				ct = of
			}
		}
	}
	return api.Ptr(api.FieldContentType(ct))
}

// standardTemplate describes a standard object: its fields under their own names, and its keys.
func standardTemplate(s *schema.Standard) *template {
	t := &template{id: s.Name, source: "Standard", object: strings.TrimPrefix(s.Name, "_"), standard: true,
		fields: map[string]api.ObjectTypeField{}, keys: map[string][]api.ObjectTypeKey{}}
	for _, f := range append([]string{s.ID}, s.Fields...) {
		t.fields[strings.ReplaceAll(f, "[]", "")] = api.ObjectTypeField{Source: api.Ptr("_source." + f), Target: api.Ptr(s.Name + "." + f), ContentType: api.Ptr(api.FieldContentTypeString)}
	}
	t.keys[s.IDKey] = []api.ObjectTypeKey{{FieldNames: []string{s.ID}, StandardIdentifiers: []api.StandardIdentifier{api.StandardIdentifierUnique, api.StandardIdentifier(s.Identifier)}}}
	for _, k := range s.Keys {
		field := strings.ToUpper(k[1:2]) + k[2:]
		t.keys[k] = []api.ObjectTypeKey{{FieldNames: []string{field}}}
	}
	return t
}

// definition returns what a type made of the template is, with a description.
func (t *template) definition(description string) *definition {
	return &definition{Description: description, Creates: t.creates, Fields: t.fields, Keys: t.keys, Template: t.id}
}

// ListProfileObjectTypeTemplates lists the templates by id.
func (s *Service) ListProfileObjectTypeTemplates(_ context.Context, in *api.ListProfileObjectTypeTemplatesRequest) (*api.ListProfileObjectTypeTemplatesResponse, error) {
	from, limit := 0, 100
	if in.NextToken != nil {
		from, _ = slices.BinarySearch(templateIDs, *in.NextToken)
	}
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListProfileObjectTypeTemplatesResponse{Items: []api.ListProfileObjectTypeTemplateItem{}}
	for i, id := range templateIDs[from:] {
		if i == limit {
			out.NextToken = api.Ptr(id)
			break
		}
		t := templates[id]
		out.Items = append(out.Items, api.ListProfileObjectTypeTemplateItem{TemplateId: &t.id, SourceName: &t.source, SourceObject: &t.object})
	}
	return out, nil
}

// GetProfileObjectTypeTemplate returns a template with its mapping.
func (s *Service) GetProfileObjectTypeTemplate(_ context.Context, in *api.GetProfileObjectTypeTemplateRequest) (*api.GetProfileObjectTypeTemplateResponse, error) {
	t := templates[*in.TemplateId]
	if t == nil {
		return nil, fault.NotFoundf("Template %s is not found; ListProfileObjectTypeTemplates tells which there are.", *in.TemplateId)
	}
	return &api.GetProfileObjectTypeTemplateResponse{
		TemplateId: &t.id, SourceName: &t.source, SourceObject: &t.object, StoreOnly: api.Ptr(false), AllowProfileCreation: &t.creates,
		Fields: t.fields, Keys: t.keys,
	}, nil
}

// fromTemplate takes a template's definition over for a type that names one.
func (d *definition) fromTemplate(in *api.PutProfileObjectTypeRequest) error {
	t := templates[*in.TemplateId]
	switch {
	case t == nil:
		return fault.BadRequestf("TemplateId %s is not one of the templates; ListProfileObjectTypeTemplates tells which there are.", *in.TemplateId)
	case t.standard:
		return fault.BadRequestf("TemplateId %s describes a standard object, which object types feed; none can be made of it. Map fields to Targets that begin with %s.", t.id, t.id)
	case in.Fields != nil || in.Keys != nil || in.AllowProfileCreation != nil || in.SourceLastUpdatedTimestampFormat != nil:
		return fault.BadRequestf("TemplateId %s gives Fields, Keys, AllowProfileCreation and SourceLastUpdatedTimestampFormat, so that they can't be given beside it. Remove them, or the TemplateId.", t.id)
	}
	d.Fields, d.Keys, d.Creates = t.fields, t.keys, t.creates
	return nil
}

// implicit makes the type of a template's name, unless somebody else has.
func (s *Service) implicit(ctx context.Context, rec *domain.Record, t *template) error {
	def := t.definition("Made from the template " + t.id + " by the first object of its name")
	exists := errors.New("it exists")
	_, err := s.kind().Put(ctx, s.Domains.Scope(rec), t.id, func(r *resource.Record[definition]) error {
		others, err := s.together(ctx, rec, r, def)
		if err != nil {
			return err
		}
		if life(others.rec, r) {
			return exists
		}
		r.Data = *def
		r.Data.Implicit, r.Data.Incarnation = true, newIncarnation()
		return nil
	})
	s.changed(rec, t.id)
	if errors.Is(err, exists) {
		return nil
	}
	return err
}
