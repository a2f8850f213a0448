package objecttype

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"kith/fault"
	"kith/schema"
)

// Limits of an object's JSON, besides its size.
const (
	MaxDepth = 100   // objects and lists within each other
	maxItems = 2_000 // of a list that a field reads
)

// want is what is wanted of a value within an object: the paths of a type as a tree, so that an object is read once.
type want struct {
	slot    int // where the value goes, -1: nowhere
	list    bool
	members map[string]*want
	items   *want
	slots   []int // below items
}

// wantPath adds a path and returns its slot. The error ends a sentence about the Source.
func (t *Type) wantPath(path string, listOK bool) (int, error) {
	if strings.Count(path, "[]") > 1 {
		return 0, errors.New("has more than one []; one list can be read, as in _source.items[].price")
	}
	if strings.Contains(path, "[]") && !listOK {
		return 0, errors.New("has [] in a template; read lists with {{#each}}")
	}
	w, list := t.root, (*want)(nil)
	for part := range strings.SplitSeq(path, ".") {
		name, each := strings.CutSuffix(part, "[]")
		if name == "" || strings.ContainsAny(name, "[]") {
			return 0, errors.New("must have names between its dots, of which one may end in []")
		}
		if w.members == nil {
			w.members = map[string]*want{}
		}
		next := w.members[name]
		if next == nil {
			next = &want{slot: -1, list: w.list}
			w.members[name] = next
		}
		if w = next; each {
			if w.items == nil {
				w.items = &want{slot: -1, list: true}
			}
			list, w = w, w.items
		}
	}
	if w.slot < 0 {
		w.slot = t.slots
		t.slots++
		if list != nil {
			list.slots = append(list.slots, w.slot)
		}
	}
	return w.slot, nil
}

// slot is what was found at a path: JSON, "" for nothing. Of a list, one for each item.
type slot struct {
	raw  string
	list []string
}

// reader reads an object. It is used again: its strings are parts of the object.
type reader struct {
	buf   bytes.Buffer
	dec   jsontext.Decoder
	src   string
	slots []slot
	norm  []byte
	// texts are the fields', keys the keys' values.
	texts, keys []string
	// trees are the lists and objects that templates have looked at, by slot.
	trees map[int]any
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// release gives the reader back, without what it holds of the object.
func (r *reader) release() {
	r.clearSlots()
	clear(r.texts)
	clear(r.keys)
	r.trees = nil
	r.src, r.buf = "", bytes.Buffer{}
	r.dec.Reset(&r.buf)
	readers.Put(r)
}

// clearSlots empties the slots, and keeps the room of their lists.
func (r *reader) clearSlots() {
	for i := range r.slots {
		s := &r.slots[i]
		clear(s.list)
		s.raw, s.list = "", s.list[:0]
	}
}

// read finds what a type wants of an object. The error is a fault; objects are sensitive, so that it quotes nothing.
func (r *reader) read(t *Type, object []byte) error {
	r.src = string(object)
	r.slots = slices.Grow(r.slots[:0], t.slots)[:t.slots]
	r.clearSlots()
	if at := tooDeep(object); at >= 0 {
		return fault.BadRequestf("Object nests more than %d objects and lists within each other, at byte %d. Flatten it.", MaxDepth, at)
	}
	r.buf = *bytes.NewBuffer(object)
	r.dec.Reset(&r.buf)
	if r.dec.PeekKind() != '{' {
		if err := r.dec.SkipValue(); err != nil {
			return r.broken(err)
		}
		return fault.BadRequestf("Object must be a JSON object: {...}.")
	}
	err := r.value(t.root)
	if err == nil {
		if _, err = r.dec.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		} else if err == nil {
			return fault.BadRequestf("Object must be one JSON object; something follows it at byte %d.", r.dec.InputOffset())
		}
	}
	return r.broken(err)
}

// broken says what is wrong with an object that can't be read.
func (r *reader) broken(err error) error {
	if fault.Message(err) != "" {
		return err
	}
	at := r.dec.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = syntax.ByteOffset
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fault.BadRequestf("Object has a JSON object with the same name twice, at byte %d. Which one counts would be arbitrary: remove one.", at)
	}
	if text := fmt.Sprint(err); strings.Contains(text, "UTF-8") || strings.Contains(text, "surrogate") {
		return fault.BadRequestf("Object has text that is no valid Unicode, or half of a surrogate pair, at byte %d.", at)
	}
	return fault.BadRequestf("Object must be one JSON object; it stops being one at byte %d.", at)
}

// tooDeep returns where the nesting passes MaxDepth, or -1.
func tooDeep(b []byte) int {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) <= MaxDepth {
		return -1
	}
	depth, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{', c == '[':
			if depth++; depth > MaxDepth {
				return i
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return -1
}

// value reads a value of which something is wanted.
func (r *reader) value(w *want) (err error) {
	before := r.dec.InputOffset()
	switch kind := r.dec.PeekKind(); {
	case kind == '{' && w.members != nil:
		err = r.object(w)
	case kind == '[' && w.items != nil:
		err = r.list(w)
	default:
		err = r.dec.SkipValue()
	}
	if err != nil || w.slot < 0 {
		return err
	}
	raw := strings.TrimLeft(r.src[before:r.dec.InputOffset()], " \t\r\n:,")
	if s := &r.slots[w.slot]; w.list {
		s.list = append(s.list, raw)
	} else {
		s.raw = raw
	}
	return nil
}

func (r *reader) object(w *want) error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadValue()
		if err != nil {
			return err
		}
		var next *want
		if bytes.IndexByte(name, '\\') < 0 && len(name) > 1 {
			next = w.members[string(name[1:len(name)-1])]
		} else {
			next = w.members[unquote(string(name))]
		}
		if next == nil {
			err = r.dec.SkipValue()
		} else {
			err = r.value(next)
		}
		if err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

func (r *reader) list(w *want) error {
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	n := 0
	for ; r.dec.PeekKind() != ']'; n++ {
		if n == maxItems {
			return fault.BadRequestf("Object has a list of more than %d items that a field reads, at byte %d. Split the object.", maxItems, r.dec.InputOffset())
		}
		if err := r.value(w.items); err != nil {
			return err
		}
		for _, i := range w.slots {
			if s := &r.slots[i]; len(s.list) == n {
				s.list = append(s.list, "")
			}
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// scalar returns the text of a JSON value: of a string, or of a number or boolean as it is written; "" for null, objects and lists.
func scalar(raw string) string {
	if raw == "" {
		return ""
	}
	switch raw[0] {
	case '"':
		return unquote(raw)
	case 'n', '{', '[':
		return ""
	}
	return raw
}

func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 && len(raw) > 1 {
		return raw[1 : len(raw)-1]
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "" // it has been read before
	}
	return string(b)
}

// lookup returns what templates see of the JSON value of a slot. A list or an object is read once, however often it is looked at.
func (r *reader) lookup(slot int) any {
	raw := r.slots[slot].raw
	if raw == "" {
		return nil
	}
	switch raw[0] {
	case '"':
		return unquote(raw)
	case 'n':
		return nil
	case '{', '[':
		v, ok := r.trees[slot]
		if !ok {
			if r.trees == nil {
				r.trees = map[int]any{}
			}
			v, _ = tree(jsontext.NewDecoder(strings.NewReader(raw))) // it has been read before
			r.trees[slot] = v
		}
		return v
	}
	return schema.Literal(raw)
}

// tree reads a value for templates.
func tree(dec *jsontext.Decoder) (any, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case '{':
		m := map[string]any{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String()
			if m[key], err = tree(dec); err != nil {
				return nil, err
			}
		}
		_, err = dec.ReadToken()
		return m, err
	case '[':
		list := []any{}
		for dec.PeekKind() != ']' {
			v, err := tree(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.ReadToken()
		return list, err
	case '"':
		return tok.String(), nil
	case 'n':
		return nil, nil
	}
	return schema.Literal(tok.String()), nil
}
