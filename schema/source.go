package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Source is a parsed Source of a field: an accessor "_source.<path>" or a template with at least one "{{_source.<path>}}".
//
// Templates are the documented part of Handlebars: interpolation, #if/else, #unless, #with, #each and the block helper
// removeExtraSpace. Values are never HTML-escaped. A template all of whose variables are empty, those that blocks ask for too, yields "".
type Source struct {
	// Accessor is the path of a plain accessor, "" for a template.
	Accessor string
	nodes    []node
	vars     []string
}

// Lookup returns the value at a path below _source: a string, a Literal, a []any, a map[string]any, or nil for absent.
type Lookup func(path string) any

// Literal is the text of a number, of true or of false, as JSON has it.
type Literal string

const sourcePrefix = "_source."

// MaxSourceDepth bounds how deep blocks of a template may be nested.
const MaxSourceDepth = 16

// maxSteps bounds the work of a template, which blocks within blocks over long lists would multiply. Each stepBytes of its text are a step
// too, so that it bounds what a template makes.
const (
	maxSteps  = 20_000
	stepBytes = 64
)

// ErrTemplate says that a template was given up: it does too much.
var ErrTemplate = errors.New("the template takes too many steps for these values")

// ParseSource parses a Source. The error is a sentence for the caller.
func ParseSource(text string) (*Source, error) {
	if !strings.Contains(text, "{{") {
		path, ok := strings.CutPrefix(text, sourcePrefix)
		if !ok || path == "" {
			return nil, fmt.Errorf("Source %q must be _source.<column> or a template with {{_source.<column>}}", text) // a sentence for the caller
		}
		return &Source{Accessor: path, vars: []string{path}}, nil
	}
	p := &parser{text: text}
	nodes, _, err := p.block("", 0)
	if err != nil {
		return nil, fmt.Errorf("Source %q: %w", text, err) // a sentence for the caller
	}
	if len(p.vars) == 0 {
		return nil, fmt.Errorf("Source %q uses no {{_source.<column>}}", text) // a sentence for the caller
	}
	return &Source{nodes: nodes, vars: p.vars}, nil
}

// Paths returns the paths below _source that s reads, without repetition.
func (s *Source) Paths() []string {
	var all []string
	for _, v := range s.vars {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// Eval returns the field's value, or ErrTemplate. Where values are no lists, a template ends.
func (s *Source) Eval(lookup Lookup) (string, error) {
	if s.Accessor != "" {
		return scalar(lookup(s.Accessor)), nil
	}
	e := &eval{lookup: lookup, steps: new(int)}
	e.run(s.nodes, nil)
	switch {
	case *e.steps > maxSteps:
		return "", ErrTemplate
	case !e.filled:
		return "", nil
	}
	return e.out.String(), nil
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Literal:
		return string(v)
	}
	return ""
}

// empty says whether a value counts as none: absent, an empty text, or a list of nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return false
	}
	return scalar(v) == ""
}

// helpers are the blocks that change the text of what is in them. Those of names are ours: AWS has no way to split one.
var helpers = map[string]func(string) string{
	"removeExtraSpace": func(text string) string { return strings.Join(strings.Fields(text), " ") },
	"givenName":        func(text string) string { given, _ := SplitName(text); return given },
	"familyName":       func(text string) string { _, family := SplitName(text); return family },

	"familyFirstGivenName":  func(text string) string { given, _ := SplitFamilyFirst(text); return given },
	"familyFirstFamilyName": func(text string) string { _, family := SplitFamilyFirst(text); return family },
	"chineseGivenName":      func(text string) string { given, _ := SplitChineseName(text); return given },
	"chineseFamilyName":     func(text string) string { _, family := SplitChineseName(text); return family },
}

// node is a piece of a template: text, a variable, or a block.
type node struct {
	text string
	path string // of a variable or a block's subject
	this bool   // the path is relative to the block's value
	kind string // "", "var", "if", "unless", "with", "each", or a helper
	body []node
	alt  []node // else
}

type parser struct {
	text string
	vars []string
}

// block parses until the end of the text or the closing tag of kind; it reports whether it stopped at an else.
func (p *parser) block(kind string, depth int) (nodes []node, atElse bool, err error) {
	if depth > MaxSourceDepth {
		return nil, false, errors.New("blocks are nested too deep")
	}
	for {
		i := strings.Index(p.text, "{{")
		if i < 0 {
			if kind != "" {
				return nil, false, fmt.Errorf("{{#%s}} is not closed", kind)
			}
			if p.text != "" {
				nodes = append(nodes, node{text: p.text})
			}
			p.text = ""
			return nodes, false, nil
		}
		if i > 0 {
			nodes = append(nodes, node{text: p.text[:i]})
		}
		tag, err := p.tag(i)
		if err != nil {
			return nil, false, err
		}
		switch {
		case tag == "else" && kind != "":
			return nodes, true, nil
		case strings.HasPrefix(tag, "/"):
			if kind == "" || strings.TrimSpace(tag[1:]) != kind {
				return nil, false, fmt.Errorf("{{%s}} closes nothing", tag)
			}
			return nodes, false, nil
		case strings.HasPrefix(tag, "#"):
			n, err := p.open(tag[1:], depth)
			if err != nil {
				return nil, false, err
			}
			nodes = append(nodes, n)
		default:
			path, this, err := p.path(tag, depth)
			if err != nil {
				return nil, false, err
			}
			nodes = append(nodes, node{kind: "var", path: path, this: this})
		}
	}
}

// tag cuts the tag at i off the text and returns what stands in it.
func (p *parser) tag(i int) (string, error) {
	open, end := "{{", "}}"
	if strings.HasPrefix(p.text[i:], "{{{") {
		open, end = "{{{", "}}}"
	}
	rest := p.text[i+len(open):]
	j := strings.Index(rest, end)
	if j < 0 {
		return "", fmt.Errorf("%s is not closed", open)
	}
	p.text = rest[j+len(end):]
	return strings.TrimSpace(rest[:j]), nil
}

func (p *parser) open(tag string, depth int) (node, error) {
	kind, subject, _ := strings.Cut(strings.TrimSpace(tag), " ")
	n := node{kind: kind}
	switch kind {
	case "if", "unless", "with", "each":
		var err error
		if n.path, n.this, err = p.path(strings.TrimSpace(subject), depth); err != nil {
			return n, err
		}
	default:
		switch {
		case helpers[kind] == nil:
			return n, fmt.Errorf("{{#%s}} is not a known block; known are if, unless, with, each, removeExtraSpace, givenName, familyName, familyFirstGivenName, familyFirstFamilyName, chineseGivenName and chineseFamilyName", kind)
		case strings.TrimSpace(subject) != "":
			return n, fmt.Errorf("{{#%s}} takes no argument", kind)
		}
	}
	var atElse bool
	var err error
	if n.body, atElse, err = p.block(kind, depth+1); err != nil {
		return n, err
	}
	if atElse {
		if n.alt, atElse, err = p.block(kind, depth+1); err != nil {
			return n, err
		}
		if atElse {
			return n, errors.New("a block has two {{else}}")
		}
	}
	return n, nil
}

// path reads a variable: _source.<path>, or inside a block "this", "this.<path>" or a bare name of the block's value.
func (p *parser) path(tag string, depth int) (path string, this bool, err error) {
	if path, ok := strings.CutPrefix(tag, sourcePrefix); ok && path != "" {
		p.vars = append(p.vars, path)
		return path, false, nil
	}
	if depth > 0 {
		if tag == "this" {
			return "", true, nil
		}
		if path := strings.TrimPrefix(tag, "this."); path != "" && !strings.ContainsAny(path, " #/{}") {
			return path, true, nil
		}
	}
	return "", false, fmt.Errorf("{{%s}} must be {{_source.<column>}}", tag)
}

type eval struct {
	lookup Lookup
	out    strings.Builder
	filled bool // some variable was not empty
	steps  *int
}

func (e *eval) run(nodes []node, this any) {
	for i := range nodes {
		n := &nodes[i]
		if *e.steps++; *e.steps > maxSteps {
			return
		}
		if n.kind == "" {
			e.write(n.text)
			continue
		}
		var v any
		switch {
		case helpers[n.kind] != nil:
		case n.this:
			v = walk(this, n.path)
		default:
			v = e.lookup(n.path)
		}
		if helpers[n.kind] == nil && !empty(v) {
			e.filled = e.filled || n.kind != "var" || scalar(v) != ""
		}
		switch n.kind {
		case "var":
			e.write(scalar(v))
		case "if":
			e.choose(truthy(v), n, this)
		case "unless":
			e.choose(!truthy(v), n, this)
		case "with":
			if truthy(v) {
				e.run(n.body, v)
			} else {
				e.run(n.alt, this)
			}
		case "each":
			list, _ := v.([]any)
			for _, item := range list {
				e.run(n.body, item)
			}
			if len(list) == 0 {
				e.run(n.alt, this)
			}
		default:
			inner := &eval{lookup: e.lookup, steps: e.steps}
			inner.run(n.body, this)
			e.filled = e.filled || inner.filled
			e.write(helpers[n.kind](inner.out.String()))
		}
	}
}

func (e *eval) write(text string) {
	e.out.WriteString(text)
	*e.steps += len(text) / stepBytes
}

func (e *eval) choose(yes bool, n *node, this any) {
	if yes {
		e.run(n.body, this)
		return
	}
	e.run(n.alt, this)
}

func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case Literal:
		mantissa, _, _ := strings.Cut(strings.ToLower(string(v)), "e")
		return v != "false" && strings.Trim(mantissa, "-0.") != "" // as Handlebars has it, 0 is false
	case []any:
		return len(v) > 0
	}
	return true
}

func walk(v any, path string) any {
	if path == "" {
		return v
	}
	for part := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}
