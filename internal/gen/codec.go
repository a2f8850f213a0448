package main

import (
	"fmt"
	"maps"
	"slices"
)

// hot are the operations whose requests and answers have codecs of their own: those that are called for every customer who calls or clicks.
// All others go through reflection, which costs several times as much; the two are compared by fuzzing (api/codec_test.go).
var hot = []string{
	"SearchProfiles", "BatchGetProfile", "CreateProfile", "UpdateProfile", "PutProfileObject", "BatchPutProfileObject",
	"AddProfileKey", "DeleteProfileKey", "ListProfileObjects",
}

// codecs writes the decoders of hot requests and the encoders of their answers.
func (r *renderer) codecs() error {
	in, out := map[string]*shape{}, map[string]*shape{}
	for _, name := range hot {
		op, ok := r.m.Operations[name]
		if !ok {
			return fmt.Errorf("codec.go names %s, which the model lacks", name)
		}
		r.gather(r.m.Shapes[op.Input.Shape], in)
		r.gather(r.m.Shapes[op.Output.Shape], out)
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		r.decoder(in[name])
	}
	for _, name := range slices.Sorted(maps.Keys(out)) {
		r.encoder(out[name])
	}
	return nil
}

// gather collects the structures that the JSON body of s holds, s included.
func (r *renderer) gather(s *shape, all map[string]*shape) {
	switch s.Type {
	case "structure":
		all[s.name] = s
		for _, mb := range s.Members {
			if inBody(s, mb) {
				r.gather(r.m.Shapes[mb.Shape], all)
			}
		}
	case "list":
		r.gather(r.m.Shapes[s.Member.Shape], all)
	case "map":
		r.gather(r.m.Shapes[s.Value.Shape], all)
	}
}

// inBody says whether a member travels in the JSON body.
func inBody(s *shape, mb member) bool { return mb.Location == "" && mb.name != s.Payload }

// wireName is a member's name in the JSON body.
func wireName(mb member) string {
	if mb.LocationName != "" {
		return mb.LocationName
	}
	return mb.name
}

func (r *renderer) encoder(s *shape) {
	r.p("// AppendJSON appends the JSON form.")
	r.p("func (x *%s) AppendJSON(b []byte) []byte {", s.goName)
	r.p("b = append(b, '{')\nstart := len(b)")
	for _, mb := range s.Members {
		if !inBody(s, mb) {
			continue
		}
		field := "x." + exported(mb.name)
		r.p("if %s != nil {", field)
		r.p("b = restjson.AppendName(b, start, %s)", quote(fmt.Sprintf("%q:", wireName(mb))))
		r.encode(r.m.Shapes[mb.Shape], field, true, 0)
		r.p("}")
	}
	r.p("_ = start\nreturn append(b, '}')\n}\n")
}

// encode writes what appends expr, a value of shape s, to b. Scalars are dereferenced when ptr is set.
func (r *renderer) encode(s *shape, expr string, ptr bool, depth int) {
	star := ""
	if ptr {
		star = "*"
	}
	switch s.Type {
	case "string":
		r.p("b = restjson.AppendString(b, string(%s%s))", star, expr)
	case "integer", "long":
		r.p("b = restjson.AppendInt(b, int64(%s%s))", star, expr)
	case "double":
		r.p("b = restjson.AppendFloat(b, %s%s)", star, expr)
	case "boolean":
		r.p("b = restjson.AppendBool(b, %s%s)", star, expr)
	case "timestamp", "structure":
		r.p("b = %s.AppendJSON(b)", expr)
	case "list":
		i := fmt.Sprintf("i%d", depth)
		r.p("b = append(b, '[')\nfor %s := range %s {\nif %s > 0 {\nb = append(b, ',')\n}", i, expr, i)
		r.encode(r.m.Shapes[s.Member.Shape], fmt.Sprintf("%s[%s]", expr, i), false, depth+1)
		r.p("}\nb = append(b, ']')")
	case "map":
		i, k := fmt.Sprintf("i%d", depth), fmt.Sprintf("k%d", depth)
		r.p("var room%d [8]string\nb = append(b, '{')", depth)
		r.p("for %s, %s := range sortedKeys(room%d[:0], %s) {\nif %s > 0 {\nb = append(b, ',')\n}", i, k, depth, expr, i)
		r.p("b = append(restjson.AppendString(b, %s), ':')\nv%d := %s[%s]", k, depth, expr, k)
		r.encode(r.m.Shapes[s.Value.Shape], fmt.Sprintf("v%d", depth), false, depth+1)
		r.p("}\nb = append(b, '}')")
	default:
		panic("no encoder for a " + s.Type)
	}
}

func (r *renderer) decoder(s *shape) {
	r.p("// DecodeJSON reads the JSON form, or fails where only the general decoder knows what to do.")
	r.p("func (x *%s) DecodeJSON(d *restjson.Decoder) {", s.goName)
	r.p("var seen [%d]bool\nd.Open('{')\nfor d.More('}') {\nswitch d.Name() {", len(s.Members))
	for i, mb := range s.Members {
		if !inBody(s, mb) {
			continue
		}
		r.p("case %q:", wireName(mb))
		r.p("if seen[%d] {\nd.Fail()\n}\nseen[%d] = true", i, i)
		r.p("if d.Null() {\ncontinue\n}")
		r.decode(r.m.Shapes[mb.Shape], "x."+exported(mb.name), true, 0)
	}
	r.p("default:\nd.Fail()\n}\n}\n_ = seen\n}\n")
}

// decode writes what reads a value of shape s into dst.
func (r *renderer) decode(s *shape, dst string, ptr bool, depth int) {
	scalar := func(read string) {
		switch {
		case ptr:
			r.p("v := %s\n%s = &v", read, dst)
		default:
			r.p("%s = %s", dst, read)
		}
	}
	switch s.Type {
	case "string":
		if s.goName != "" {
			scalar(s.goName + "(d.String())")
		} else {
			scalar("d.String()")
		}
	case "integer":
		scalar("int32(d.Int(32))")
	case "long":
		scalar("d.Int(64)")
	case "boolean":
		scalar("d.Bool()")
	case "structure":
		if ptr {
			r.p("%s = &%s{}", dst, s.goName)
		}
		r.p("%s.DecodeJSON(d)", dst)
	case "list":
		child := r.m.Shapes[s.Member.Shape]
		r.p("%s = []%s{}\nd.Open('[')\nfor d.More(']') {\nvar e%d %s", dst, r.goType(child, false), depth, r.goType(child, false))
		r.decode(child, fmt.Sprintf("e%d", depth), false, depth+1)
		r.p("%s = append(%s, e%d)\n}", dst, dst, depth)
	case "map":
		child := r.m.Shapes[s.Value.Shape]
		r.p("%s = map[string]%s{}\nd.Open('{')\nfor d.More('}') {\nk%d := d.Name()\nvar e%d %s", dst, r.goType(child, false), depth, depth, r.goType(child, false))
		r.p("if _, twice := %s[k%d]; twice {\nd.Fail()\n}", dst, depth)
		r.decode(child, fmt.Sprintf("e%d", depth), false, depth+1)
		r.p("%s[k%d] = e%d\n}", dst, depth, depth)
	default: // numbers with a fraction, timestamps
		r.p("d.Fail()")
	}
}
