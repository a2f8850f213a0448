package xlsx

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// Bounds of XML.
const (
	maxTag   = 64 << 10 // bytes of a tag with its attributes
	maxDepth = 256
)

var (
	errTag      = &Error{"file-xml", "The workbook has an XML tag of more than 64 kB or nested deeper than 256 elements, which no spreadsheet program writes. Save it again with one, or export the sheet as CSV."}
	errEntities = &Error{"file-xml", "The workbook's XML has a document type, with which it could declare entities; no spreadsheet program writes one. Save it again with one, or export the sheet as CSV."}
)

// event is what a parser finds next.
type event byte

const (
	atEnd  event = iota // the document is over
	opened              // a start tag: name and attrs
	closed              // its end: name
	text                // characters: text
)

type attr struct{ name, value []byte }

// parser takes XML apart, in a fixed amount of memory: what is between tags comes in pieces. encoding/xml keeps each token and the stack of
// open elements whole, so a file decides how much memory it takes. Names are without their prefixes. Not checked is what no reader of a
// sheet depends on, such as that the name of an end tag is that of its start.
type parser struct {
	r          io.Reader
	buf        []byte
	start, end int
	eof        bool

	depth  int // of the element that was opened, or within which the text is
	closes bool
	cdata  bool

	name    []byte // valid, like all that follows, until the next event
	attrs   []attr
	text    []byte
	scratch []byte
}

func newParser(r io.Reader) *parser {
	return &parser{r: r, buf: make([]byte, maxTag+1)}
}

// fill reads on. It returns io.EOF when there is no more, and errTag when there is no room for more.
func (p *parser) fill() error {
	if p.eof {
		return io.EOF
	}
	if p.start > 0 {
		p.end = copy(p.buf, p.buf[p.start:p.end])
		p.start = 0
	}
	if p.end == len(p.buf) {
		return errTag
	}
	for {
		n, err := p.r.Read(p.buf[p.end:])
		p.end += n
		if errors.Is(err, io.EOF) {
			p.eof = true
			err = nil
		}
		if n > 0 || err != nil {
			return err
		}
		if p.eof {
			return io.EOF
		}
	}
}

// atLeast reads until n bytes are there, or the text is over.
func (p *parser) atLeast(n int) ([]byte, error) {
	for p.end-p.start < n {
		if err := p.fill(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	return p.buf[p.start:p.end], nil
}

// next returns what comes next.
func (p *parser) next() (event, error) {
	if p.closes {
		p.closes = false
		p.depth--
		return closed, nil
	}
	for {
		b, err := p.atLeast(1)
		switch {
		case err != nil:
			return atEnd, err
		case len(b) == 0:
			if p.depth > 0 {
				return atEnd, errDamaged
			}
			return atEnd, nil
		case p.cdata:
			if ok, err := p.inCDATA(); ok || err != nil {
				return text, err
			}
		case b[0] == '&':
			return text, p.entity()
		case b[0] != '<':
			n := bytes.IndexAny(b, "<&")
			if n < 0 {
				n = len(b)
			}
			p.text = b[:n]
			p.start += n
			return text, nil
		default:
			e, err := p.markup()
			if e != atEnd || err != nil {
				return e, err
			}
		}
	}
}

// markup reads what a "<" begins. atEnd says that it was nothing of interest.
func (p *parser) markup() (event, error) {
	b, err := p.atLeast(9)
	switch {
	case err != nil:
		return atEnd, err
	case bytes.HasPrefix(b, []byte("<!--")):
		p.start += 4
		return atEnd, p.skipTo("-->")
	case bytes.HasPrefix(b, []byte("<![CDATA[")):
		p.start += 9
		p.cdata = true
		return atEnd, nil
	case bytes.HasPrefix(b, []byte("<!")):
		return atEnd, errEntities
	case bytes.HasPrefix(b, []byte("<?")):
		return atEnd, p.skipTo("?>")
	}
	for {
		n, ok := p.tag(p.buf[p.start:p.end])
		if ok {
			p.start += n
			break
		}
		if n < 0 {
			return atEnd, errDamaged
		}
		if err := p.fill(); errors.Is(err, io.EOF) {
			return atEnd, errDamaged
		} else if err != nil {
			return atEnd, err
		}
	}
	if len(p.name) > 0 && p.name[0] == '/' {
		p.name, p.closes = local(p.name[1:]), false
		if p.depth--; p.depth < 0 {
			return atEnd, errDamaged
		}
		return closed, nil
	}
	p.name = local(p.name)
	if p.depth++; p.depth > maxDepth {
		return atEnd, errTag
	}
	return opened, nil
}

// skipTo passes over everything up to and with a mark.
func (p *parser) skipTo(mark string) error {
	for {
		b, err := p.atLeast(len(mark))
		if err != nil {
			return err
		}
		if i := bytes.Index(b, []byte(mark)); i >= 0 {
			p.start += i + len(mark)
			return nil
		}
		if len(b) < len(mark) {
			return errDamaged
		}
		p.start += len(b) - len(mark) + 1
	}
}

// inCDATA sets the next piece of text. It returns false when the section is over.
func (p *parser) inCDATA() (bool, error) {
	const mark = "]]>"
	b, err := p.atLeast(len(mark))
	if err != nil {
		return false, err
	}
	n := bytes.Index(b, []byte(mark))
	switch {
	case n == 0:
		p.start += len(mark)
		p.cdata = false
		return false, nil
	case n < 0 && len(b) < len(mark):
		return false, errDamaged
	case n < 0:
		n = len(b) - len(mark) + 1
	}
	p.text = b[:n]
	p.start += n
	return true, nil
}

// entity reads a reference to a character.
func (p *parser) entity() error {
	const longest = len("&#x0010ffff;")
	b, err := p.atLeast(longest)
	if err != nil {
		return err
	}
	c, n := reference(b[:min(len(b), longest)])
	if n == 0 {
		return errDamaged
	}
	p.start += n
	p.scratch = utf8.AppendRune(p.scratch[:0], c)
	p.text = p.scratch
	return nil
}

// reference decodes the reference that a text begins with, and returns how long it is; 0: it is none.
func reference(b []byte) (c rune, n int) {
	end := bytes.IndexByte(b, ';')
	if end < 2 || b[0] != '&' {
		return 0, 0
	}
	switch name := string(b[1:end]); {
	case name == "lt":
		c = '<'
	case name == "gt":
		c = '>'
	case name == "amp":
		c = '&'
	case name == "quot":
		c = '"'
	case name == "apos":
		c = '\''
	case name[0] == '#':
		digits, base := name[1:], 10
		if len(digits) > 1 && digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		v, err := strconv.ParseUint(digits, base, 32)
		if err != nil {
			return 0, 0
		}
		if c = rune(v); v > utf8.MaxRune {
			c = utf8.RuneError
		}
	default:
		return 0, 0
	}
	return c, end + 1
}

// tag reads the tag at the start of b and returns how long it is. Not ok: it goes on behind b, or, when n < 0, it is none.
func (p *parser) tag(b []byte) (n int, ok bool) {
	i := 1
	for i < len(b) && !isSpace(b[i]) && b[i] != '>' && (b[i] != '/' || i == 1) {
		i++
	}
	p.name, p.attrs = b[1:i], p.attrs[:0]
	for {
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		switch {
		case i >= len(b):
			return 0, false
		case b[i] == '>':
			if len(p.name) == 0 {
				return -1, false
			}
			return i + 1, true
		case b[i] == '/':
			if i+1 >= len(b) {
				return 0, false
			}
			if b[i+1] != '>' || len(p.name) == 0 {
				return -1, false
			}
			p.closes = true
			return i + 2, true
		}
		eq := bytes.IndexByte(b[i:], '=')
		if eq < 0 {
			if bytes.IndexByte(b[i:], '>') >= 0 {
				return -1, false
			}
			return 0, false
		}
		name := b[i : i+eq]
		if bytes.IndexByte(name, '>') >= 0 {
			return -1, false
		}
		for i += eq + 1; i < len(b) && isSpace(b[i]); i++ {
		}
		if i >= len(b) {
			return 0, false
		}
		if b[i] != '"' && b[i] != '\'' {
			return -1, false
		}
		to := bytes.IndexByte(b[i+1:], b[i])
		if to < 0 {
			return 0, false
		}
		p.attrs = append(p.attrs, attr{local(bytes.TrimSpace(name)), b[i+1 : i+1+to]})
		i += to + 2
	}
}

// attr returns the value of an attribute of the element that was opened, or nil.
func (p *parser) attr(name string) []byte {
	for _, a := range p.attrs {
		if string(a.name) == name {
			return unescape(a.value)
		}
	}
	return nil
}

// unescape replaces references to characters; what is none stays.
func unescape(v []byte) []byte {
	if bytes.IndexByte(v, '&') < 0 {
		return v
	}
	var out []byte
	for len(v) > 0 {
		if c, n := reference(v[:min(len(v), 12)]); n > 0 {
			out = utf8.AppendRune(out, c)
			v = v[n:]
			continue
		}
		out = append(out, v[0])
		v = v[1:]
	}
	return out
}

func local(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
