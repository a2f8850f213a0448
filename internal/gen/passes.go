package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// placeNouns gives every operation its noun.
func placeNouns(m *model) error {
	for _, noun := range slices.Sorted(maps.Keys(nouns)) {
		for _, name := range nouns[noun] {
			op, ok := m.Operations[name]
			if !ok {
				return fmt.Errorf("nouns.go names %s, which the model lacks", name)
			}
			op.noun = noun
		}
	}
	for _, op := range m.operations() {
		if op.noun == "" {
			return fmt.Errorf("operation %s has no noun: add it to nouns.go", op.Name)
		}
	}
	return nil
}

// nameShapes gives structures and enums their Go names and refuses collisions.
func nameShapes(m *model) error {
	taken := map[string]string{"Operation": "the operation table"}
	for _, s := range m.shapes() {
		if s.Type != "structure" && len(s.Enum) == 0 {
			continue
		}
		s.goName = exported(s.name)
		if other, ok := taken[s.goName]; ok {
			return fmt.Errorf("shapes %s and %s have one Go name", s.name, other)
		}
		taken[s.goName] = s.name
	}
	return nil
}

func exported(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// markReach notes which nouns use a shape and whether requests do.
func markReach(m *model) error {
	var walk func(name, noun string, input bool) error
	walk = func(name, noun string, input bool) error {
		s, ok := m.Shapes[name]
		if !ok {
			return fmt.Errorf("shape %s is missing", name)
		}
		if s.nouns[noun] && (s.input || !input) {
			return nil
		}
		s.nouns[noun] = true
		s.input = s.input || input
		for _, r := range s.refs() {
			if err := walk(r.Shape, noun, input); err != nil {
				return err
			}
		}
		return nil
	}
	for _, op := range m.operations() {
		if err := walk(op.Input.Shape, op.noun, true); err != nil {
			return err
		}
		if err := walk(op.Output.Shape, op.noun, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *shape) refs() []ref {
	var refs []ref
	for _, mb := range s.Members {
		refs = append(refs, mb.ref)
	}
	for _, r := range []*ref{s.Member, s.Key, s.Value} {
		if r != nil {
			refs = append(refs, *r)
		}
	}
	return refs
}

// markConstraints notes which shapes have something to check, and which hold something sensitive. The model has no recursion.
func markConstraints(m *model) error {
	var resolve func(s *shape)
	resolve = func(s *shape) {
		if s.resolvingDone {
			return
		}
		s.resolvingDone = true
		s.constrained = len(s.Required) > 0 || s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 || s.Union
		s.holdsSecret = s.Sensitive
		for _, r := range s.refs() {
			child := m.Shapes[r.Shape]
			resolve(child)
			s.constrained = s.constrained || child.constrained
			s.holdsSecret = s.holdsSecret || child.holdsSecret
		}
	}
	for _, s := range m.shapes() {
		resolve(s)
	}
	return nil
}
