package server

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"kith/fault"
	"kith/internal/restjson"
)

// router finds the route of a path by its segments. A fixed segment goes before a label.
type router struct {
	fixed   map[string]*router
	label   *router
	methods map[string]*route
}

// add puts a route under its method and path, such as "/domains/{DomainName}".
func (n *router) add(rt *route) {
	for seg := range strings.SplitSeq(strings.TrimPrefix(rt.op.Path, "/"), "/") {
		next := &n.label
		if name, ok := strings.CutPrefix(seg, "{"); ok {
			rt.labels = append(rt.labels, strings.TrimSuffix(name, "}"))
		} else {
			if n.fixed == nil {
				n.fixed = map[string]*router{}
			}
			child := n.fixed[seg]
			next = &child
			if child == nil {
				child = &router{}
				n.fixed[seg] = child
			}
		}
		if *next == nil {
			*next = &router{}
		}
		n = *next
	}
	if n.methods == nil {
		n.methods = map[string]*route{}
	}
	n.methods[rt.op.Method] = rt
	if len(rt.labels) > maxLabels {
		panic("more than maxLabels labels: " + rt.op.Path)
	}
}

// maxLabels is how many labels a path has, at most.
const maxLabels = 4

// labels are the values of a path's labels.
type labels struct {
	names  []string
	values [maxLabels]string
}

// PathValue implements restjson.Labels.
func (l *labels) PathValue(name string) string {
	for i, n := range l.names {
		if n == name {
			return l.values[i]
		}
	}
	return ""
}

// match is a search for a route.
type match struct {
	method string
	values [maxLabels]string
	allow  []string // methods that the path has instead
}

// find returns the route for an escaped path without its first slash, or nil. n stands behind as many labels.
func (m *match) find(n *router, path string, behind int) *route {
	escaped, rest, more := strings.Cut(path, "/")
	seg := escaped
	if strings.IndexByte(escaped, '%') >= 0 {
		var err error
		if seg, err = url.PathUnescape(escaped); err != nil {
			return nil
		}
	}
	if rt := m.step(n.fixed[seg], rest, more, behind); rt != nil || n.label == nil {
		return rt
	}
	m.values[behind] = seg
	return m.step(n.label, rest, more, behind+1)
}

func (m *match) step(n *router, rest string, more bool, behind int) *route {
	switch {
	case n == nil:
		return nil
	case more:
		return m.find(n, rest, behind)
	}
	if rt := n.methods[m.method]; rt != nil {
		return rt
	}
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		if n.methods[method] != nil {
			m.allow = append(m.allow, method)
		}
	}
	return nil
}

// find matches a request on its escaped path, with or without the "/v1" that some documents show, and returns the values of its labels.
func (s *Server) find(r *http.Request) (*route, labels, error) {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, "/v1/") {
		path = path[len("/v1"):]
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") && hasDotSegment(path) {
		return nil, labels{}, fault.BadRequestf("1 validation error detected: Value '' at a label of the path failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	m := match{method: r.Method}
	rt := m.find(&s.router, strings.TrimPrefix(path, "/"), 0)
	switch {
	case rt == nil && m.allow != nil:
		return nil, labels{}, methodNotAllowed(strings.Join(m.allow, ", "))
	case rt == nil:
		return nil, labels{}, unknownOperation()
	}
	for i, name := range rt.labels {
		if !utf8.ValidString(m.values[i]) {
			return nil, labels{}, &restjson.SyntaxError{Message: "label " + name + " of the path is not valid UTF-8"}
		}
	}
	return rt, labels{rt.labels, m.values}, nil
}

func hasDotSegment(path string) bool {
	return strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
}
