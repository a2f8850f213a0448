package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// model is a service description in the layout that botocore reads.
type model struct {
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
	// Relaxed are the structures whose members are checked as those of another one that have the same names.
	Relaxed map[string]string `json:"relaxed"`
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method string `json:"method"`
		URI    string `json:"requestUri"`
		Code   int    `json:"responseCode"`
	} `json:"http"`
	Input    ref   `json:"input"`
	Output   ref   `json:"output"`
	Errors   []ref `json:"errors"`
	ReadOnly bool  `json:"readonly"`

	addition bool
	noun     string
}

type ref struct {
	Shape        string `json:"shape"`
	Location     string `json:"location"`
	LocationName string `json:"locationName"`
}

type shape struct {
	Type      string   `json:"type"`
	Members   members  `json:"members"`
	Required  []string `json:"required"`
	Member    *ref     `json:"member"`
	Key       *ref     `json:"key"`
	Value     *ref     `json:"value"`
	Min       *float64 `json:"min"`
	Max       *float64 `json:"max"`
	Pattern   string   `json:"pattern"`
	Enum      []string `json:"enum"`
	Sensitive bool     `json:"sensitive"`
	Streaming bool     `json:"streaming"` // of a blob: it is the body, and made on the way; else it is bytes in base64
	Union     bool     `json:"union"`
	Exception bool     `json:"exception"`
	Payload   string   `json:"payload"` // the member that is the body

	name          string
	goName        string // for structures and enums
	nouns         map[string]bool
	input         bool // reachable from a request
	constrained   bool // something at or below it has to be checked
	holdsSecret   bool // something at or below it is sensitive
	resolvingDone bool
}

// members keeps the order of the file, so that generated code reads like the model.
type members []member

type member struct {
	name string
	ref
}

func (m *members) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(b)))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var r ref
		if err := dec.Decode(&r); err != nil {
			return err
		}
		*m = append(*m, member{name.(string), r})
	}
	return nil
}

func load(path string) (*model, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &model{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, s := range m.Shapes {
		s.name, s.nouns = name, map[string]bool{}
	}
	return m, nil
}

// merge adds what Kith adds to the API. A shape with the name of an existing one is refused, unless it is an exception, or shows nothing
// that the other has not: then the API's own stands for it.
func (m *model) merge(add *model) error {
	for name, s := range add.Shapes {
		if old, ok := m.Shapes[name]; ok {
			if old.Exception && s.Exception || s.shows(old) {
				continue
			}
			return fmt.Errorf("additions: shape %s exists in the API model", name)
		}
		m.Shapes[name] = s
	}
	for name, op := range add.Operations {
		if _, ok := m.Operations[name]; ok {
			return fmt.Errorf("additions: operation %s exists in the API model", name)
		}
		op.addition = true
		m.Operations[name] = op
	}
	for _, name := range slices.Sorted(maps.Keys(add.Relaxed)) {
		if err := m.relax(name, add.Relaxed[name]); err != nil {
			return err
		}
	}
	return nil
}

// relax gives the members of a structure the shapes that another one has for them, at every depth: the constraints change, and the Go
// types do not.
func (m *model) relax(name, like string) error {
	s, other := m.Shapes[name], m.Shapes[like]
	if s == nil || other == nil || s.Type != "structure" || other.Type != "structure" {
		return fmt.Errorf("additions: %s can't be relaxed like %s", name, like)
	}
	for i, mb := range s.Members {
		at := slices.IndexFunc(other.Members, func(o member) bool { return o.name == mb.name })
		if at < 0 || other.Members[at].Shape == mb.Shape {
			continue
		}
		to := other.Members[at].Shape
		switch {
		case m.Shapes[mb.Shape].Type != m.Shapes[to].Type:
			return fmt.Errorf("additions: member %s of %s and %s differs in its type", mb.name, name, like)
		case m.Shapes[to].Type == "structure":
			if err := m.relax(mb.Shape, to); err != nil {
				return err
			}
		default:
			s.Members[i].Shape = to
		}
	}
	return nil
}

// shows says whether a shape is an excerpt of another one, for clients that know the additions alone.
func (s *shape) shows(of *shape) bool {
	if s.Type == "" || s.Type != of.Type || s.Required != nil {
		return false
	}
	for _, m := range s.Members {
		if !of.has(m.name) {
			return false
		}
	}
	return true
}

func (m *model) operations() []*operation {
	var ops []*operation
	for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
		ops = append(ops, m.Operations[name])
	}
	return ops
}

func (m *model) shapes() []*shape {
	var all []*shape
	for _, name := range slices.Sorted(maps.Keys(m.Shapes)) {
		all = append(all, m.Shapes[name])
	}
	return all
}
