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
}

// find calls met with every node whose pattern fits an escaped path without its first slash, best first, and with the values of its labels,
// until met returns true.
func (n *router) find(path string, values []string, met func(*router, []string) bool) bool {
	escaped, rest, more := strings.Cut(path, "/")
	seg := escaped
	if strings.IndexByte(escaped, '%') >= 0 {
		var err error
		if seg, err = url.PathUnescape(escaped); err != nil {
			return false
		}
	}
	step := func(next *router, values []string) bool {
		switch {
		case next == nil:
			return false
		case more:
			return next.find(rest, values, met)
		}
		return len(next.methods) > 0 && met(next, values)
	}
	return step(n.fixed[seg], values) || step(n.label, append(values, seg))
}

// find matches a request on its escaped path, with or without the "/v1" that some documents show, and sets its path values.
func (s *Server) find(r *http.Request) (*route, error) {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, "/v1/") {
		path = path[len("/v1"):]
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") && hasDotSegment(path) {
		return nil, fault.BadRequestf("1 validation error detected: Value '' at a label of the path failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	var rt *route
	var values []string
	var allow []string
	var room [4]string
	s.router.find(strings.TrimPrefix(path, "/"), room[:0], func(n *router, v []string) bool {
		if rt = n.methods[r.Method]; rt != nil {
			values = v
			return true
		}
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
			if n.methods[method] != nil {
				allow = append(allow, method)
			}
		}
		return false
	})
	switch {
	case rt == nil && allow != nil:
		return nil, methodNotAllowed(strings.Join(allow, ", "))
	case rt == nil:
		return nil, unknownOperation()
	}
	for i, v := range values {
		if !utf8.ValidString(v) {
			return nil, &restjson.SyntaxError{Message: "label " + rt.labels[i] + " of the path is not valid UTF-8"}
		}
		r.SetPathValue(rt.labels[i], v)
	}
	return rt, nil
}

func hasDotSegment(path string) bool {
	return strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
}
