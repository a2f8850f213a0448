// Package apitest makes requests from the API's model: for every constraint at every depth of every operation's input, requests
// that are just inside and just outside of it, with what the answer must say. Nothing is written by hand, so that a newer model
// brings its own tests.
package apitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Model is what stands in model/.
type Model struct {
	Operations map[string]*Operation
	Shapes     map[string]*Shape
	// Relaxed are structures whose members are checked as those of another one (model/README.md).
	Relaxed map[string]string
}

// Operation is an operation of the model.
type Operation struct {
	Name  string
	Input Ref
}

// Ref is the use of a shape by a member.
type Ref struct {
	Shape, Location, LocationName string
}

// Shape is a shape of the model.
type Shape struct {
	Type               string
	Members            map[string]Ref
	Required           []string
	Member, Key, Value *Ref
	Min, Max           *float64
	Pattern            string
	Enum               []string
	Sensitive, Union   bool
}

// Load reads the API's model and the additions from the folder model/.
func Load(dir string) (*Model, error) {
	m := &Model{Operations: map[string]*Operation{}, Shapes: map[string]*Shape{}}
	for _, name := range []string{"additions.json", "customer-profiles-2020-08-15.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		var part Model
		if err := json.Unmarshal(b, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		maps.Copy(m.Operations, part.Operations)
		maps.Copy(m.Shapes, part.Shapes)
		if part.Relaxed != nil {
			m.Relaxed = part.Relaxed
		}
	}
	for name, like := range m.Relaxed {
		m.relax(m.Shapes[name], m.Shapes[like])
	}
	return m, nil
}

func (m *Model) relax(s, like *Shape) {
	for name, ref := range s.Members {
		to, ok := like.Members[name]
		switch {
		case !ok || to.Shape == ref.Shape:
		case m.Shapes[to.Shape].Type == "structure":
			m.relax(m.Shapes[ref.Shape], m.Shapes[to.Shape])
		default:
			ref.Shape = to.Shape
			s.Members[name] = ref
		}
	}
}

// Request is a request as the parts that its members travel in.
type Request struct {
	Labels map[string]string
	Query  url.Values
	Body   []byte
}

// Case is a request that breaks one constraint, or none.
type Case struct {
	Where string // the member in question as messages name it, "" for the request as a whole
	What  string // the variant: "min-1", "missing" and so on
	Want  string // what the message must contain; "" if the request is valid
	// Secret is set if the message must not quote the value.
	Secret bool
	Request
}

// Minimal returns a valid request with nothing but what is required.
func (m *Model) Minimal(op *Operation) (Request, error) {
	return m.request(op, m.sample(m.Shapes[op.Input.Shape]).(object))
}

// Cases calls do for every request of an operation until it fails. Lists on the way to the member in question have several
// elements; last puts it into the last one, else it is in the first.
func (m *Model) Cases(op *Operation, last bool, do func(Case) error) error {
	w := &walk{Model: m, op: op, last: last, do: do}
	return w.structure(m.Shapes[op.Input.Shape], place{put: func(v any) any { return v }})
}

// Mistyped calls do for requests with a member of another JSON type than the model's, at every depth, until it fails. What the message
// must contain is left open: it is about reading the request at all.
func (m *Model) Mistyped(op *Operation, do func(Case) error) error {
	w := &walk{Model: m, op: op, mistyped: true, do: do}
	return w.structure(m.Shapes[op.Input.Shape], place{put: func(v any) any { return v }})
}

// wrongTypes are values that no member of a type can have.
var wrongTypes = map[string][]any{
	"structure": {"text", 1, true, []any{}},
	"map":       {"text", 1, true, []any{}},
	"list":      {"text", 1, true, object{}},
	"string":    {1, 1.5, true, object{}, []any{}},
	"integer":   {"1", 1.5, 1e30, true, object{}, []any{}},
	"long":      {"1", 1.5, 1e30, true, object{}, []any{}},
	"double":    {"1", true, object{}, []any{}},
	"boolean":   {"true", 1, object{}, []any{}},
	"timestamp": {"text", true, object{}, []any{}},
}

// object is a structure or a map.
type object = map[string]any

// walk goes through the positions of one operation's input.
type walk struct {
	*Model
	op   *Operation
	last bool
	// mistyped leaves out what the type of a member allows.
	mistyped bool
	do       func(Case) error
}

// place is a position in a request.
type place struct {
	path   string
	hidden bool // a shape at or above it is sensitive
	label  bool // in the path of the URL, or its query: strings only
	lists  int  // how many lists are around it
	put    func(v any) any
}

func (p place) member(name string, s *Shape, put func(v any) any) place {
	path := strings.ToLower(name[:1]) + name[1:]
	if p.path != "" {
		path = p.path + "." + path
	}
	p.path, p.hidden, p.put = path, p.hidden || s.Sensitive, put
	return p
}

func (w *walk) emit(p place, what string, v any, want string) error {
	if w.mistyped {
		return nil
	}
	return w.send(p, what, v, want)
}

func (w *walk) send(p place, what string, v any, want string) error {
	r, err := w.request(w.op, p.put(v).(object))
	if errors.Is(err, errNoPlace) {
		return nil
	}
	if err != nil {
		return err
	}
	if want != "" {
		want = fmt.Sprintf("at '%s' failed to satisfy constraint: %s", p.path, want)
	}
	return w.do(Case{Where: p.path, What: what, Want: want, Secret: p.hidden, Request: r})
}

// any tests a position of any shape, and those below it.
func (w *walk) any(s *Shape, p place) error {
	if w.mistyped && !p.label {
		for _, v := range wrongTypes[s.Type] {
			if err := w.send(p, fmt.Sprintf("a %s that is %T", s.Type, v), v, ""); err != nil {
				return err
			}
		}
	}
	switch s.Type {
	case "structure":
		return w.structure(s, p)
	case "list":
		return w.list(s, p)
	case "map":
		return w.mapping(s, p)
	case "string":
		for _, v := range stringVariants(s) {
			if err := w.emit(p, v.what, v.value, v.want); err != nil {
				return err
			}
		}
		return nil
	case "integer", "long", "double":
		return w.number(s, p)
	case "blob":
		if err := w.sizes(s, p, func(n int) any { return make([]byte, n) }); err != nil {
			return err
		}
	}
	return w.emit(p, "valid", w.sample(s), "")
}

func (w *walk) structure(s *Shape, p place) error {
	if s.Union {
		const want = "Member must have exactly one of its members set, not "
		all := object{}
		for name, ref := range s.Members {
			all[name] = w.sample(w.Shapes[ref.Shape])
		}
		if err := w.emit(p, "none", object{}, want+"0"); err != nil {
			return err
		}
		if err := w.emit(p, "all", all, want+fmt.Sprint(len(all))); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Members)) {
		ref := s.Members[name]
		child := w.Shapes[ref.Shape]
		at := p.member(name, child, func(v any) any {
			o := object{}
			if !s.Union {
				o = w.sample(s).(object)
			}
			if v == nil {
				delete(o, name)
			} else {
				o[name] = v
			}
			return p.put(o)
		})
		at.label = ref.Location != ""
		if slices.Contains(s.Required, name) && ref.Location != "uri" {
			if err := w.emit(at, "missing", nil, "Member must not be null"); err != nil {
				return err
			}
		}
		if err := w.any(child, at); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) number(s *Shape, p place) error {
	variants := []struct {
		what  string
		bound *float64
		by    float64
		want  string
	}{
		{"min-1", s.Min, -1, "Member must have value greater than or equal to "}, {"min", s.Min, 0, ""},
		{"max", s.Max, 0, ""}, {"max+1", s.Max, 1, "Member must have value less than or equal to "},
	}
	for _, v := range variants {
		const largest = 1<<31 - 1 // what lies beyond is no integer of the wire at all
		if v.bound == nil || s.Type == "integer" && *v.bound+v.by > largest {
			continue
		}
		want := ""
		if v.want != "" {
			want = v.want + fmt.Sprint(*v.bound)
		}
		if err := w.emit(p, v.what, *v.bound+v.by, want); err != nil {
			return err
		}
	}
	return w.emit(p, "valid", w.sample(s), "")
}

// sizes are the variants of a list's or map's length.
func (w *walk) sizes(s *Shape, p place, of func(n int) any) error {
	if s.Min != nil && *s.Min > 0 {
		n := int(*s.Min)
		if err := w.emit(p, "size min-1", of(n-1), fmt.Sprintf("Member must have length greater than or equal to %d", n)); err != nil {
			return err
		}
		if err := w.emit(p, "size min", of(n), ""); err != nil {
			return err
		}
	}
	if s.Max != nil {
		n := int(*s.Max)
		if err := w.emit(p, "size max", of(n), ""); err != nil {
			return err
		}
		return w.emit(p, "size max+1", of(n+1), fmt.Sprintf("Member must have length less than or equal to %d", n))
	}
	return nil
}

func (w *walk) list(s *Shape, p place) error {
	child := w.Shapes[s.Member.Shape]
	of := func(n int) any {
		all := make([]any, n)
		for i := range all {
			all[i] = w.sample(child)
		}
		return all
	}
	if err := w.sizes(s, p, of); err != nil {
		return err
	}
	// Lists differ in length by depth, so that the index of one is no index of another.
	n := 2 + p.lists%2
	if s.Max != nil {
		n = min(n, int(*s.Max))
	}
	i := 0
	if w.last {
		i = n - 1
	}
	at := p
	at.path, at.lists, at.hidden = fmt.Sprintf("%s.%d.member", p.path, i+1), p.lists+1, p.hidden || child.Sensitive
	at.put = func(v any) any {
		all := of(n).([]any)
		all[i] = v
		return p.put(all)
	}
	return w.any(child, at)
}

func (w *walk) mapping(s *Shape, p place) error {
	key, child := w.Shapes[s.Key.Shape], w.Shapes[s.Value.Shape]
	of := func(n int) any {
		all := object{}
		for i := range n { // keys that differ in their length
			all[sampleString(key, i+1)] = w.sample(child)
		}
		return all
	}
	if err := w.sizes(s, p, of); err != nil {
		return err
	}
	for _, v := range stringVariants(key) {
		want := v.want
		if want != "" {
			want = "Map keys must satisfy constraint: [" + want + "]"
		}
		at := p
		at.hidden = p.hidden || key.Sensitive
		if err := w.emit(at, "key "+v.what, object{v.value: w.sample(child)}, want); err != nil {
			return err
		}
	}
	name := sampleString(key, 1)
	shown := name
	if p.hidden {
		shown = "value"
	}
	at := p
	at.path, at.hidden = p.path+"."+shown+".member", p.hidden || child.Sensitive
	at.put = func(v any) any { return p.put(object{name: v}) }
	return w.any(child, at)
}

// sample returns a small valid value of a shape.
func (m *Model) sample(s *Shape) any {
	switch s.Type {
	case "structure":
		o := object{}
		names := s.Required
		if s.Union {
			names = slices.Sorted(maps.Keys(s.Members))[:1]
		}
		for _, name := range names {
			o[name] = m.sample(m.Shapes[s.Members[name].Shape])
		}
		return o
	case "list":
		all := []any{}
		for range least(s) {
			all = append(all, m.sample(m.Shapes[s.Member.Shape]))
		}
		return all
	case "map":
		o := object{}
		for i := range least(s) {
			o[sampleString(m.Shapes[s.Key.Shape], i+1)] = m.sample(m.Shapes[s.Value.Shape])
		}
		return o
	case "string":
		return sampleString(s, 1)
	case "boolean":
		return true
	case "timestamp":
		return 1767225600
	case "blob":
		return make([]byte, least(s)) // base64 in JSON
	case "integer", "long", "double":
		switch {
		case s.Min != nil:
			return *s.Min
		case s.Max != nil:
			return *s.Max
		}
		return 1
	}
	panic("no sample of a " + s.Type)
}

// least returns the smallest length that is allowed, and at least 1.
func least(s *Shape) int {
	if s.Min != nil {
		return max(1, int(*s.Min))
	}
	return 1
}

// errNoPlace says that a request can't carry a value: a query has no empty list.
var errNoPlace = errors.New("no way to send it")

// request puts the members of an input where they travel.
func (m *Model) request(op *Operation, in object) (Request, error) {
	r := Request{Labels: map[string]string{}, Query: url.Values{}}
	body := object{}
	for name, v := range in {
		ref := m.Shapes[op.Input.Shape].Members[name]
		switch ref.Location {
		case "uri":
			r.Labels[ref.LocationName] = v.(string)
		case "querystring":
			list, ok := v.([]any)
			if !ok {
				r.Query.Set(ref.LocationName, fmt.Sprint(v))
				continue
			}
			if len(list) == 0 {
				return r, errNoPlace
			}
			for _, e := range list {
				r.Query.Add(ref.LocationName, fmt.Sprint(e))
			}
		case "":
			if ref.LocationName != "" {
				name = ref.LocationName
			}
			body[name] = v
		default:
			return r, fmt.Errorf("%s.%s travels in the %s", op.Name, name, ref.Location)
		}
	}
	var err error
	r.Body, err = json.Marshal(body)
	return r, err
}
