package xlsx

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// events writes down what a parser finds, with text that follows text as one.
func events(r io.Reader) string {
	var out strings.Builder
	p := newParser(r)
	inText := false
	for {
		e, err := p.next()
		if inText && e != text {
			out.WriteString("\n")
		}
		inText = e == text && err == nil
		switch {
		case err != nil:
			return out.String() + "error"
		case e == atEnd:
			return out.String() + "end"
		case e == opened:
			fmt.Fprintf(&out, "<%s", p.name)
			for _, a := range p.attrs {
				fmt.Fprintf(&out, " %s=%q", a.name, unescape(a.value))
			}
			out.WriteString(">\n")
		case e == closed:
			out.WriteString("</>\n")
		case e == text:
			out.Write(p.text)
		}
	}
}

// oracle is events by encoding/xml.
func oracle(text string) (string, bool) {
	var out strings.Builder
	d := xml.NewDecoder(strings.NewReader(text))
	inText := false
	for {
		tok, err := d.Token()
		_, isText := tok.(xml.CharData)
		_, isMarkup := tok.(xml.StartElement)
		_, isEnd := tok.(xml.EndElement)
		if inText && (isMarkup || isEnd || err != nil) {
			out.WriteString("\n")
		}
		inText = isText || inText && !isMarkup && !isEnd
		if errors.Is(err, io.EOF) {
			return out.String() + "end", true
		}
		if err != nil {
			return "", false
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			fmt.Fprintf(&out, "<%s", tok.Name.Local)
			for _, a := range tok.Attr {
				fmt.Fprintf(&out, " %s=%q", a.Name.Local, a.Value)
			}
			out.WriteString(">\n")
		case xml.EndElement:
			out.WriteString("</>\n")
		case xml.CharData:
			out.Write(tok)
			if len(tok) == 0 {
				inText = false
			}
		case xml.Directive:
			return "", false
		}
	}
}

// What encoding/xml reads, this parser reads alike.
func FuzzParser(f *testing.F) {
	for _, s := range []string{
		`<a b="c" x:d='e'>text &amp; more<![CDATA[x]]y]]><!-- c --><f/></a>`, `<?xml version="1.0"?><a><b>1</b></a>`, `<a b="&lt;&#65;&#x41;">&#x1F600;</a>`, `<a><b></a></b>`, `<!DOCTYPE a><a/>`, `<a`, `<a/ >`, `</a>`, `<a b=c/>`, `<a></a/>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := events(strings.NewReader(s))
		want, ok := oracle(s)
		if ok && !strings.Contains(s, "\r") && !strings.Contains(s, "xmlns") && got != want {
			t.Errorf("%q:\n%s\nwant\n%s", s, got, want)
		}
	})
}

// Whatever a sheet's XML is, reading it ends, and its lines are no more than a sheet's rows.
func FuzzSheet(f *testing.F) {
	f.Add(`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="1"><v>31120</v></c></row>`, `<si><t>a</t></si>`)
	f.Add(`<row r="5"><c t="inlineStr"><is><r><t>a"b</t></r></is></c><c><f>1</f></c></row>`, `<si><r><t>a</t></r><rPh><t>b</t></rPh></si>`)
	f.Add(`<row><c r="C1"><v>1e5</v></c><c r="A1" s="5"><v>7</v></c><c s="7"><v>1</v></c></row>`, `<si/>`)
	f.Fuzz(func(t *testing.T, rows, texts string) {
		parts := book(rows)
		parts["xl/sharedStrings.xml"] = "<sst>" + texts + "</sst>"
		b, err := openWith(t.Context(), memoryFile{data: pack(parts)}, Options{}, 1<<20, 1<<20)
		if err != nil {
			return
		}
		defer b.Close()
		_, _ = io.Copy(io.Discard, b)
		if b.sheet.row > MaxRows || len(b.sheet.line) > maxRow+2*maxCell {
			t.Errorf("row %d, %d bytes", b.sheet.row, len(b.sheet.line))
		}
	})
}

// Whatever an archive is, opening it ends with a sentence or with a sheet.
func FuzzOpen(f *testing.F) {
	f.Add(pack(book(`<row r="1"><c r="A1"><v>1</v></c></row>`)))
	f.Add(pack(map[string]string{"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := openWith(t.Context(), memoryFile{data: data}, Options{}, 1<<20, 1<<20)
		if err == nil {
			_, err = io.Copy(io.Discard, b)
			b.Close()
		}
		if err == nil {
			return
		}
		if bad, ok := errors.AsType[*Error](err); !ok || bad.Code == "" || !strings.HasSuffix(bad.Reason, ".") {
			t.Errorf("%v is no sentence", err)
		}
	})
}
