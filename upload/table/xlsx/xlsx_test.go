package xlsx

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/xuri/excelize/v2"
)

// memoryFile is a file in memory. Its streams are those that through makes of them.
type memoryFile struct {
	data    []byte
	through func(io.Reader) io.Reader
}

func (f memoryFile) Size() int64 { return int64(len(f.data)) }

func (f memoryFile) Stream(off int64) io.Reader {
	r := io.Reader(bytes.NewReader(f.data[off:]))
	if f.through != nil {
		r = f.through(r)
	}
	return r
}

// memorySpill is a spill that counts what was read.
type memorySpill struct {
	*bytes.Reader
	closed *bool
}

func (s memorySpill) Close() { *s.closed = true }

func spillTo(closed *bool) func(write func(io.Writer) error) (Spill, error) {
	return func(write func(io.Writer) error) (Spill, error) {
		var b bytes.Buffer
		err := write(&b)
		return memorySpill{bytes.NewReader(b.Bytes()), closed}, err
	}
}

// pack makes an archive.
func pack(parts map[string]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, parts[name])
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

const head = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

// book returns the parts of a workbook whose sheets have this text within <sheetData>.
func book(sheets ...string) map[string]string {
	parts := map[string]string{
		"_rels/.rels":   head + `<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/styles.xml": head + `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy;@"/><numFmt numFmtId="165" formatCode="00000"/><numFmt numFmtId="166" formatCode="[h]:mm"/><numFmt numFmtId="167" formatCode="000\-00\-0000"/><numFmt numFmtId="168" formatCode="#,##0.00\ &quot;Days&quot;"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="20"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="167"/><xf numFmtId="168"/><xf numFmtId="10"/></cellXfs></styleSheet>`,
	}
	list, rels := "", `<Relationship Id="s" Type="x/styles" Target="styles.xml"/><Relationship Id="t" Type="x/sharedStrings" Target="/xl/sharedStrings.xml"/>`
	for i, s := range sheets {
		parts[fmt.Sprintf("xl/worksheets/sheet%d.xml", i+1)] = head + `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` + s + `</sheetData><pageMargins left="0.7"/></worksheet>`
		list += fmt.Sprintf(`<sheet name="S%d" sheetId="%d" r:id="rId%d"/>`, i+1, i+1, i+1)
		rels += fmt.Sprintf(`<Relationship Id="rId%d" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet%d.xml"/>`, i+1, i+1)
	}
	parts["xl/workbook.xml"] = head + `<workbook><workbookPr/><sheets>` + list + `</sheets></workbook>`
	parts["xl/_rels/workbook.xml.rels"] = head + `<Relationships>` + rels + `</Relationships>`
	return parts
}

func sst(strings ...string) string {
	out := head + `<sst>`
	for _, s := range strings {
		out += `<si>` + s + `</si>`
	}
	return out + `</sst>`
}

// read returns the text of a workbook's sheet.
func read(t testing.TB, parts map[string]string, sheet string) (string, *Book, error) {
	t.Helper()
	return readFile(t, memoryFile{data: pack(parts)}, sheet)
}

func readFile(t testing.TB, f memoryFile, sheet string) (string, *Book, error) {
	t.Helper()
	b, err := Open(t.Context(), f, Options{Sheet: sheet})
	if err != nil {
		return "", nil, err
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	return string(text), b, err
}

func TestCells(t *testing.T) {
	for _, c := range []struct{ cell, want string }{
		{`<c r="A1"><v>4915112345678</v></c>`, "4915112345678"},
		{`<c r="A1"><v>4.915112345678E+12</v></c>`, "4915112345678"},
		{`<c r="A1" t="n"><v>1001.0</v></c>`, "1001"},
		{`<c r="A1"><v>0.10000000000000001</v></c>`, "0.1"},
		{`<c r="A1"><v>1234.5600000000001</v></c>`, "1234.56"},
		{`<c r="A1"><v>-12</v></c>`, "-12"},
		{`<c r="A1"><v>12345678901234567890</v></c>`, "12345678901234567890"},
		{`<c r="A1"><v>1E+300</v></c>`, "1E+300"},
		{`<c r="A1"><v>inf</v></c>`, "inf"},
		{`<c r="A1"><v>0x1p4</v></c>`, "0x1p4"},
		{`<c r="A1" s="9"><v>0.25</v></c>`, "0.25"},
		{`<c r="A1" s="8"><v>7.5</v></c>`, "7.5"},
		{`<c r="A1" s="1"><v>31120</v></c>`, "1985-03-14"},
		{`<c r="A1" s="1"><v>31120.75</v></c>`, "1985-03-14"},
		{`<c r="A1" s="4"><v>31120</v></c>`, "1985-03-14"},
		{`<c r="A1" s="1"><v>1</v></c>`, "1900-01-01"},
		{`<c r="A1" s="1"><v>59</v></c>`, "1900-02-28"},
		{`<c r="A1" s="1"><v>60</v></c>`, "1900-02-29"},
		{`<c r="A1" s="1"><v>61</v></c>`, "1900-03-01"},
		{`<c r="A1" s="1"><v>2958465</v></c>`, "9999-12-31"},
		{`<c r="A1" s="1"><v>2958466</v></c>`, "2958466"},
		{`<c r="A1" s="1"><v>-1</v></c>`, "-1"},
		{`<c r="A1" s="2"><v>45366.520833333336</v></c>`, "2024-03-15T12:30:00"},
		{`<c r="A1" s="2"><v>45366</v></c>`, "2024-03-15"},
		{`<c r="A1" s="3"><v>0.520833333333333</v></c>`, "12:30:00"},
		{`<c r="A1" s="6"><v>1.25</v></c>`, "30:00:00"},
		{`<c r="A1" s="5"><v>2141</v></c>`, "02141"},
		{`<c r="A1" s="5"><v>123456</v></c>`, "123456"},
		{`<c r="A1" s="7"><v>12345678</v></c>`, "012-34-5678"},
		{`<c r="A1" s="99"><v>5</v></c>`, "5"},
		{`<c r="A1" t="b"><v>1</v></c>`, "TRUE"},
		{`<c r="A1" t="b"><v>0</v></c>`, "FALSE"},
		{`<c r="A1" t="e"><v>#REF!</v></c>`, "#REF!"},
		{`<c r="A1" t="str"><f>B1&amp;C1</f><v>Ann Lee</v></c>`, "Ann Lee"},
		{`<c r="A1"><f>1+1</f><v>2</v></c>`, "2"},
		{`<c r="A1" t="d"><v>1985-03-14T00:00:00</v></c>`, "1985-03-14"},
		{`<c r="A1" t="d"><v>1985-03-14T10:00:00Z</v></c>`, "1985-03-14T10:00:00"},
		{`<c r="A1" t="inlineStr"><is><t>Zo&#xEB; &lt;3</t></is></c>`, "Zoë <3"},
		{`<c r="A1" t="inlineStr"><is><r><t xml:space="preserve">Zo </t></r><r><rPr><b/></rPr><t>e</t></r></is></c>`, "Zo e"},
		{`<x:c r="A1" t="inlineStr"><x:is><x:t><![CDATA[a<b]]></x:t></x:is></x:c>`, "a<b"},
		{`<c r="A1" t="s"><v>0</v></c>`, "plain"},
		{`<c r="A1" t="s"><v>1</v></c>`, "rich text"},
		{`<c r="A1" t="s"><v>2</v></c>`, "東京"},
		{`<c r="A1" t="s"><v>3</v></c>`, "\"two\nlines\""},
		{`<c r="A1" t="s"><v>4</v></c>`, "_x000D_"},
		{`<c r="A1" t="s"><v>5</v></c>`, ""},
		{`<c r="A1" t="inlineStr"><is><t>a "b", c</t></is></c>`, `"a ""b"", c"`},
		{`<c r="A1" s="1"/>`, ""},
		{`<c r="A1"><v></v></c>`, ""},
		{`<c/><c t="str"><v>b</v></c>`, ",b"},
		{`<c r="C1"><v>3</v></c>`, ",,3"},
		{`<c r="C1"><v>3</v></c><c r="A1"><v>1</v></c><c r="C1"><v>4</v></c>`, "1,,4"},
		{`<c r="AB1"><v>1</v></c><c><v>2</v></c>`, strings.Repeat(",", 27) + "1,2"},
		{`<c r="A1"><extLst><ext><v>9</v></ext></extLst><v>1</v></c>`, "1"},
		{`<c r="A1" t="inlineStr"><!-- <v>9</v> --><?x <v>9</v> ?><is><t>1</t></is></c>`, "1"},
	} {
		parts := book(`<row r="1">` + c.cell + `</row><row r="2"><c><v>7</v></c></row>`)
		parts["xl/sharedStrings.xml"] = sst(`<t>plain</t>`, `<r><t>rich</t></r><r><t xml:space="preserve"> text</t></r>`, `<t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh><phoneticPr fontId="1"/>`,
			`<t>two_x000A_lines</t>`, `<t>_x005F_x000D_</t>`, ``)
		got, _, err := read(t, parts, "")
		if got != c.want+"\n7\n" || err != nil {
			t.Errorf("%s: %q, %v; want %q", c.cell, got, err, c.want)
		}
	}
}

func TestFormatCodes(t *testing.T) {
	for code, want := range map[string]kind{
		"General": number, "0": number, "0.00E+00": number, "#,##0.00": number, `0" days"`: number, `0\d`: number, "[Red]0.0": number, "[$€-407]#,##0": number, "@": number,
		"0%": number, `"d"0`: number, "_-* #,##0_-;": number, "[Magenta]0": number, "[Yellow]#": number,
		"yyyy-mm-dd": date, "d.m.yy": date, "[$-409]mmmm d, yyyy": date, "mmm": date, "[$-F800]dddd": date, `yyyy"年"m"月"d"日"`: date, "[Red]dd/mm": date, `General;d`: number,
		"yyyy-mm-dd hh:mm": moment, `d/m/yy\ h:mm AM/PM`: moment, "hh:mm": daytime, "mm:ss.0": daytime, "h AM/PM": daytime, "[h]:mm:ss": duration, "[mm]:ss": duration,
		"00000": zeros, `00000\-0000`: zeros, "0.00": number, `(000) 000-0000`: zeros, "": number, `"open`: number, "[open": number,
	} {
		if got := byCode(code).kind; got != want {
			t.Errorf("%q: %d, want %d", code, got, want)
		}
	}
}

// The line of a row's text is the row's number, whatever is not there, and whatever cells hold.
func TestLinesAreRows(t *testing.T) {
	got, _, err := read(t, book(`<row r="3"><c r="A3" t="inlineStr"><is><t>id</t></is></c></row><row r="4" spans="1:3"/><row><c><v>1</v></c></row><row r="8"><c r="B8"><v>2</v></c></row><row r="2"><c><v>3</v></c></row>`), "")
	if want := "\n\nid\n\n1\n\n\n,2\n3\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func Test1904(t *testing.T) {
	parts := book(`<row><c s="1"><v>0</v></c><c s="1"><v>29658</v></c></row>`)
	parts["xl/workbook.xml"] = strings.Replace(parts["xl/workbook.xml"], "<workbookPr/>", `<workbookPr date1904="1"/>`, 1)
	got, _, err := read(t, parts, "")
	if want := "1904-01-01,1985-03-14\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestSheets(t *testing.T) {
	row := func(v string) string { return `<row r="1"><c t="str"><v>` + v + `</v></c></row>` }
	parts := book(`<row r="1"><c s="1"/></row>`, row("two"), row("three"), row("four"))
	parts["xl/workbook.xml"] = strings.Replace(parts["xl/workbook.xml"], `name="S2"`, `name="S2" state="hidden"`, 1)
	parts["xl/workbook.xml"] = strings.Replace(parts["xl/workbook.xml"], `name="S4"`, `name="2 &amp; Kunden"`, 1)
	for _, c := range []struct{ sheet, want, err string }{
		{"", "three", ""}, {"S2", "two", ""}, {"s3", "three", ""}, {"2", "two", ""}, {"4", "four", ""}, {"2 & kunden", "four", ""},
		{"5", "", `The workbook has no sheet "5". It has: 1 "S1", 2 "S2", 3 "S3", 4 "2 & Kunden".`},
		{"0", "", "no sheet"}, {"S1", "", "Sheet \"S1\" is empty"},
	} {
		got, b, err := read(t, parts, c.sheet)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("sheet %q: %v, want %q", c.sheet, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want+"\n" || len(b.Sheets) != 4 {
			t.Errorf("sheet %q: %q, %v; want %q", c.sheet, got, err, c.want)
		}
	}
	note := `<row r="1"><c t="str"><v>Customer export</v></c></row><row r="3"><c r="B3" t="str"><v>see sheet S2</v></c></row>`
	table := `<row r="1"><c t="str"><v>id</v></c><c t="str"><v>city</v></c></row>`
	for name, c := range map[string]struct {
		sheets []string
		want   string
	}{
		"a note first":     {[]string{note, table}, "S2"},
		"two notes first":  {[]string{note, note, row("id")}, "S3"},
		"notes alone":      {[]string{note, note}, "S1"},
		"a table first":    {[]string{table, note}, "S1"},
		"a list first":     {[]string{row("email") + row("a@x.example"), table}, "S1"},
		"a title, a table": {[]string{note + table, table}, "S1"},
	} {
		got, b, err := read(t, book(c.sheets...), "")
		if err != nil || b.Sheet != c.want {
			t.Errorf("%s: sheet %q is read, %q, %v; want %s", name, b.Sheet, got, err, c.want)
		}
	}
	hidden := book(row("one"))
	hidden["xl/workbook.xml"] = strings.Replace(hidden["xl/workbook.xml"], `name="S1"`, `name="S1" state="veryHidden"`, 1)
	if got, _, err := read(t, hidden, ""); got != "one\n" || err != nil {
		t.Errorf("a workbook with hidden sheets only: %q, %v", got, err)
	}
	if _, _, err := read(t, book(``, ``), ""); err == nil || !strings.Contains(err.Error(), "The workbook is empty") {
		t.Errorf("an empty workbook: %v", err)
	}
}

// Formulas that a program has written without their values are no blank cells that nobody speaks of.
func TestUncalculated(t *testing.T) {
	got, b, err := read(t, book(`<row><c><v>1</v></c><c><f>A1+1</f><v/></c><c t="str"><f>""</f><v></v></c><c><f>A1</f></c></row>`), "")
	if got != "1\n" || err != nil || b.Uncalculated != 2 {
		t.Errorf("%q, %v, %d uncalculated", got, err, b.Uncalculated)
	}
}

func TestOtherArchives(t *testing.T) {
	without := func(parts map[string]string, names ...string) map[string]string {
		for _, n := range names {
			delete(parts, n)
		}
		return parts
	}
	for want, parts := range map[string]map[string]string{
		"file-ods":      {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"},
		"file-xlsb":     {"xl/workbook.bin": "x", "_rels/.rels": `<Relationships><Relationship Type="x/officeDocument" Target="xl/workbook.bin"/></Relationships>`},
		"file-document": {"word/document.xml": "<x/>", "_rels/.rels": `<Relationships><Relationship Type="x/officeDocument" Target="word/document.xml"/></Relationships>`},
		"file-numbers":  {"Index/Document.iwa": "x"},
		"file-zip":      {"customers.csv": "id\n1\n"},
		"file-damaged":  without(book(`<row/>`), "xl/worksheets/sheet1.xml"),
		"empty-file":    without(book(), "xl/sharedStrings.xml"),
	} {
		_, _, err := read(t, parts, "")
		if bad, ok := errors.AsType[*Error](err); !ok || bad.Code != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A bomb is a file that costs much more than it is.
func TestBombs(t *testing.T) {
	wide := `<row><c r="XFD1"><v>1</v></c></row>`
	for name, c := range map[string]struct {
		parts map[string]string
		want  string
	}{
		"tag":         {book(`<row r="` + strings.Repeat("1", maxTag+10) + `">`), "file-xml"},
		"depth":       {book(`<row>` + strings.Repeat("<a>", 2*maxDepth)), "file-xml"},
		"entities":    {map[string]string{"xl/workbook.xml": `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><workbook>&b;</workbook>`}, "file-xml"},
		"reference":   {book(`<row><c t="str"><v>&boom;</v></c></row>`), "file-damaged"},
		"rows":        {book(`<row r="1048577"><c><v>1</v></c></row>`), "file-rows"},
		"columns":     {book(`<row><c r="XFE1"><v>1</v></c></row>`), "file-columns"},
		"many rows":   {book(strings.Repeat(`<row/>`, MaxRows+1)), "file-rows"},
		"no end":      {book(`<row><c><v>1</v></c>`), "file-damaged"},
		"string":      {book(`<row><c t="s"><v>7</v></c></row>`), "file-damaged"},
		"unpacked":    {book(`<row><c t="str"><v>` + strings.Repeat(" ", 16<<20) + `</v></c></row>`), "file-unpacked"},
		"far apart":   {book(strings.Repeat(wide, 1000)), "file-unpacked"},
		"no end tags": {map[string]string{"xl/workbook.xml": "<workbook><sheets>"}, "file-damaged"},
	} {
		b, err := openWith(t.Context(), memoryFile{data: pack(c.parts)}, Options{}, 8<<20, stringMemory)
		if err == nil {
			_, err = io.Copy(io.Discard, b)
			b.Close()
		}
		if bad, ok := errors.AsType[*Error](err); !ok || bad.Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// A million rows whose only cell is in the last column, and a million of the same long text, are 100 kB, and would be gigabytes of text. They end after little of it, and of the XML.
func TestLittleIsNotMadeMuch(t *testing.T) {
	far := book(strings.Repeat(`<row><c r="XFD1"><v>1</v></c></row>`, 1_000_000))
	same := book(strings.Repeat(`<row><c t="s"><v>0</v></c></row>`, 1_000_000))
	same["xl/sharedStrings.xml"] = sst(`<t>` + strings.Repeat("x", 30_000) + `</t>`)
	for name, parts := range map[string]map[string]string{"far apart": far, "the same": same} {
		data := pack(parts)
		b, err := Open(t.Context(), memoryFile{data: data}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, b)
		b.Close()
		if bad, ok := errors.AsType[*Error](err); !ok || bad.Code != "file-unpacked" {
			t.Errorf("%s: %v", name, err)
		}
		if most := int64(textFloor + unpackTimes*len(data)); len(data) > 120<<10 || n > most || b.unpacked > 1<<20 {
			t.Errorf("%s: %d kB became %d MB of text, from %d kB of XML", name, len(data)>>10, n>>20, b.unpacked>>10)
		}
	}
}

// A sheet that many parts of the archive share is not looked through again and again for something in it.
func TestSheetsShareTheBound(t *testing.T) {
	blank := strings.Repeat(`<row><c s="1"/></row>`, 100_000)
	parts := book(blank)
	parts["xl/workbook.xml"] = `<workbook><sheets>` + strings.Repeat(`<sheet name="S" r:id="rId1"/>`, 1000) + `</sheets></workbook>`
	_, err := openWith(t.Context(), memoryFile{data: pack(parts)}, Options{}, 8<<20, stringMemory)
	if bad, ok := errors.AsType[*Error](err); !ok || bad.Code != "file-unpacked" {
		t.Error(err)
	}
}

func TestLongCells(t *testing.T) {
	long := strings.Repeat("x\n", maxCell)
	parts := book(`<row><c t="inlineStr"><is><t>` + long + `</t></is></c><c><v>1</v></c></row><row><c t="s"><v>0</v></c></row><row>` +
		strings.Repeat(`<c t="inlineStr"><is><t>`+strings.Repeat("y", maxCell)+`</t></is></c>`, 9) + `</row><row><c><v>2</v></c></row>`)
	parts["xl/sharedStrings.xml"] = sst(`<t>` + long + `</t>`)
	got, _, err := read(t, parts, "")
	lines := strings.Split(got, "\n")
	if err != nil || len(lines) != 5 || lines[3] != "2" {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, l := range lines[:3] {
		if len(l) <= maxRow || strings.Trim(l[sampleRow:], " ") != "" {
			t.Errorf("a long row has %d bytes and begins %.20q", len(l), l)
		}
	}
}

func TestDirectoryBomb(t *testing.T) {
	parts := book(`<row><c><v>1</v></c></row>`)
	for i := range 60_000 {
		parts[fmt.Sprintf("xl/%0120d", i)] = ""
	}
	if _, _, err := read(t, parts, ""); !errors.Is(err, errDirectory) {
		t.Error(err)
	}
}

// Strings come back as they are, in memory and spilled, in any order.
func TestStringTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var all []string
	var xml strings.Builder
	xml.WriteString("<sst>")
	for i := range 5000 {
		s := strings.Repeat(string(rune('a'+i%26)), rng.IntN(40)) + fmt.Sprint(i)
		switch rng.IntN(100) {
		case 0:
			s = ""
		case 1:
			s = strings.Repeat(s, 3000)
		}
		all = append(all, s)
		fmt.Fprintf(&xml, "<si><t>%s</t></si>", s)
	}
	xml.WriteString("</sst>")
	for _, memory := range []int{1 << 30, 100_000, 1} {
		var closed bool
		table := stringTable{memory: memory}
		if err := table.load(strings.NewReader(xml.String()), spillTo(&closed)); err != nil || table.count != len(all) {
			t.Fatal(table.count, err)
		}
		if (table.spill != nil) != (memory < 1<<30) {
			t.Fatalf("memory for %d: spilled %t", memory, table.spill != nil)
		}
		for range 20_000 {
			i := rng.IntN(len(all) + 1)
			got, cut, ok, err := table.get(i, []byte("x"))
			switch {
			case err != nil:
				t.Fatal(err)
			case i == len(all):
				if ok {
					t.Fatal("there is a string behind the last one")
				}
			case string(got) != "x"+all[i][:min(len(all[i]), maxCell)] || cut != (len(all[i]) > maxCell):
				t.Fatalf("memory for %d, string %d: %.40q, want %.40q", memory, i, got, all[i])
			}
		}
		table.Close()
		if closed != (memory < 1<<30) {
			t.Error("the spill is not closed")
		}
	}
	table := stringTable{memory: 1}
	if err := table.load(strings.NewReader(xml.String()), nil); !errors.Is(err, errSpill) {
		t.Error(err)
	}
	full := errors.New("the disk is full")
	if err := table.load(strings.NewReader(xml.String()), func(func(io.Writer) error) (Spill, error) { return (*memorySpill)(nil), full }); !errors.Is(err, full) {
		t.Error(err)
	}
	table.Close()
}

// What comes of a workbook does not depend on how its bytes come.
func TestHoweverItIsRead(t *testing.T) {
	parts := book(strings.Repeat(`<row><c t="s"><v>0</v></c><c t="inlineStr"><is><t>a&amp;b<![CDATA[]]]]></t></is></c><c s="1"><v>31120</v></c><!-- x --></row>`, 500))
	parts["xl/sharedStrings.xml"] = sst("<t>one</t>")
	data := pack(parts)
	want, _, err := readFile(t, memoryFile{data: data}, "")
	if err != nil || strings.Count(want, "one,a&b]],1985-03-14\n") != 500 {
		t.Fatalf("%.100q, %v", want, err)
	}
	for name, through := range map[string]func(io.Reader) io.Reader{"byte by byte": iotest.OneByteReader, "halves": iotest.HalfReader, "data with the end": iotest.DataErrReader} {
		if got, _, err := readFile(t, memoryFile{data, through}, ""); got != want || err != nil {
			t.Errorf("%s: %.100q, %v", name, got, err)
		}
	}
	sheet := parts["xl/worksheets/sheet1.xml"]
	for name, r := range map[string]io.Reader{"byte by byte": iotest.OneByteReader(strings.NewReader(sheet)), "halves": iotest.HalfReader(strings.NewReader(sheet))} {
		if a, b := events(strings.NewReader(sheet)), events(r); a != b {
			t.Errorf("%s: other events", name)
		}
	}
	broken := errors.New("the disk is broken")
	_, _, err = readFile(t, memoryFile{data, func(r io.Reader) io.Reader { return iotest.ErrReader(broken) }}, "")
	if !errors.Is(err, broken) {
		t.Errorf("a file that can't be read: %v", err)
	}
}

// Reading ends with its context.
func TestStop(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	b, err := Open(ctx, memoryFile{data: pack(book(strings.Repeat(`<row><c><v>1</v></c></row>`, 200_000)))}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel(stopped)
	if _, err := io.Copy(io.Discard, b); !errors.Is(err, stopped) {
		t.Error(err)
	}
}

// A kept library reads, and has written, the same.
func TestAgainstExcelize(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	texts := []string{"Zoë", " outer ", "a,b", "two\nlines", `"quoted"`, "007", "<&>", "東京", "=1+1", "x_x000D_y", "true", "\u00a0"}
	for _, stream := range []bool{false, true} {
		f := excelize.NewFile()
		day, err := f.NewStyle(&excelize.Style{CustomNumFmt: ptr("yyyy-mm-dd")})
		if err != nil {
			t.Fatal(err)
		}
		moment, err := f.NewStyle(&excelize.Style{CustomNumFmt: ptr(`yyyy-mm-dd\Thh:mm:ss`)})
		if err != nil {
			t.Fatal(err)
		}
		var w *excelize.StreamWriter
		if stream {
			if w, err = f.NewStreamWriter("Sheet1"); err != nil {
				t.Fatal(err)
			}
		}
		for r := 1; r <= 300; r++ {
			var cells []any
			for range 1 + rng.IntN(12) {
				at := time.Date(1901+rng.IntN(200), time.Month(1+rng.IntN(12)), 1+rng.IntN(28), 1+rng.IntN(22), rng.IntN(60), rng.IntN(60), 0, time.UTC)
				cells = append(cells, []any{
					excelize.Cell{Value: texts[rng.IntN(len(texts))]}, excelize.Cell{Value: rng.Int64N(1e15)}, excelize.Cell{Value: float64(rng.IntN(1e6)) / 100},
					excelize.Cell{Value: rng.IntN(2) == 0}, excelize.Cell{}, excelize.Cell{Value: at.Truncate(24 * time.Hour), StyleID: day}, excelize.Cell{Value: at, StyleID: moment},
				}[rng.IntN(7)])
			}
			cells = append(cells, excelize.Cell{Value: r})
			if stream {
				err = w.SetRow(fmt.Sprintf("A%d", r), cells)
			}
			for i, c := range cells {
				if name, _ := excelize.CoordinatesToCellName(i+1, r); !stream && c.(excelize.Cell).Value != nil {
					err = errors.Join(err, f.SetCellValue("Sheet1", name, c.(excelize.Cell).Value), f.SetCellStyle("Sheet1", name, name, c.(excelize.Cell).StyleID))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if stream {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		want, err := f.GetRows("Sheet1")
		if stream {
			want, err = nil, nil
		}
		var b bytes.Buffer
		if err := errors.Join(err, f.Write(&b)); err != nil {
			t.Fatal(err)
		}
		if stream {
			again, err := excelize.OpenReader(bytes.NewReader(b.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if want, err = again.GetRows("Sheet1"); err != nil {
				t.Fatal(err)
			}
		}
		text, _, err := readFile(t, memoryFile{data: b.Bytes()}, "")
		if err != nil {
			t.Fatal(err)
		}
		in := csv.NewReader(strings.NewReader(text))
		in.FieldsPerRecord = -1
		got, err := in.ReadAll()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d rows, want %d, %v", len(got), len(want), err)
		}
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("stream %t, row %d:\n%q\n%q", stream, i+1, got[i], want[i])
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }
