package table

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// memoryFile is a file in memory.
type memoryFile []byte

func (f memoryFile) Size() int64                { return int64(len(f)) }
func (f memoryFile) Stream(off int64) io.Reader { return bytes.NewReader(f[off:]) }

// openWhole is Open with the file at hand, read to its end.
func openWhole(ctx context.Context, data []byte) error {
	text, err := Open(ctx, bytes.NewReader(data), Options{File: memoryFile(data)})
	if err != nil {
		return err
	}
	defer text.Close()
	_, err = io.Copy(io.Discard, text)
	return err
}

// ole makes a compound file whose directory names a stream.
func ole(stream string) string {
	b := make([]byte, 3*512)
	copy(b, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	binary.LittleEndian.PutUint32(b[48:], 1)
	for i, c := range stream {
		b[2*512+2*i] = byte(c)
	}
	return string(b)
}

func gz(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func TestWhatAFileIs(t *testing.T) {
	utf16 := "\xff\xfe"
	for _, c := range `{"customers":[{"id":1}]}` {
		utf16 += string([]byte{byte(c), 0})
	}
	for _, c := range []struct{ name, data, code, says string }{
		{"JSON", `{"id":1,"email":"a@x.example"}`, "file-json", "The file is JSON."},
		{"JSON, indented", "\n  {\n  \"customers\" : [\n", "file-json", "JSON"},
		{"JSON, a list", "[\n  {\"id\": 1}\n]", "file-json", "JSON"},
		{"JSON, rows", `[["id","name"],[1,"a"]]`, "file-json", "JSON"},
		{"JSON, nothing", `[]`, "file-json", "JSON"},
		{"JSON lines", "{\"id\":1}\n{\"id\":2}\n", "file-json", "Convert it to CSV"},
		{"JSON with a mark", "\xef\xbb\xbf{\"id\":1}", "file-json", "JSON"},
		{"JSON in UTF-16", utf16, "file-json", "JSON"},
		{"JSON in gzip", gz(`{"id":1}`), "file-json", "JSON"},
		{"HTML", "<!DOCTYPE html>\n<html><body><table>", "file-html", "HTML page, whatever its name says"},
		{"HTML, an .xls of a web shop", "\r\n<table border=1><tr><td>id</td>", "file-html", "open it in a spreadsheet program"},
		{"HTML, of Excel", `<html xmlns:x="urn:schemas-microsoft-com:office:excel">`, "file-html", "HTML"},
		{"HTML behind its styles", "\n<style>td{mso-x:1}</style>\n<table border=1><tr><th>id</th>", "file-html", "HTML"},
		{"HTML behind a remark", "<!-- export -->\n<table>\n<tr><th>id</th>", "file-html", "HTML"},
		{"HTML without a head", "<div><table><tr><th>id</th>", "file-html", "HTML"},
		{"HTML in MIME", "MIME-Version: 1.0\r\nX-Document-Type: Workbook\r\nContent-Type: multipart/related; boundary=\"x\"\r\n\r\n--x\r\n", "file-html", "MHTML"},
		{"XML", "<?xml version=\"1.0\"?>\n<customers><customer/></customers>", "file-xml", "XML"},
		{"XML without a head", "<customers>\n <customer id=\"1\"/></customers>", "file-xml", "XML"},
		{"XML of Excel 2003", "<?xml version=\"1.0\"?>\n<?mso-application progid=\"Excel.Sheet\"?>\n<Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">", "file-xml", "Excel 2003"},
		{"PDF", "%PDF-1.7\n%\xe2\xe3", "file-pdf", "PDF"},
		{"PNG", "\x89PNG\r\n\x1a\n\x00\x00", "file-image", "PNG"},
		{"JPEG", "\xff\xd8\xff\xe0\x00\x10JFIF", "file-image", "JPEG"},
		{"HEIC", "\x00\x00\x00\x18ftypheic", "file-media", "image"},
		{"Parquet", "PAR1\x15\x04", "file-parquet", "Parquet"},
		{"SQLite", "SQLite format 3\x00", "file-database", "SQLite"},
		{"RTF", `{\rtf1\ansi`, "file-document", "RTF"},
		{"xls", ole("Workbook"), "file-xls", "old Excel workbook (.xls). Save it as an Excel workbook (.xlsx) or as CSV"},
		{"xls of Excel 5", ole("Book"), "file-xls", ".xls"},
		{"with a password", ole("EncryptedPackage"), "file-protected", "password"},
		{"doc", ole("WordDocument"), "file-document", "Word"},
		{"msg", ole("__properties_version1.0"), "file-mail", "Outlook"},
		{"e-mail", "Return-Path: <a@x.example>\r\nReceived: from x\r\nSubject: Kunden\r\nFrom: a@x.example\r\n\r\n", "file-mail", "e-mail"},
		{"mailbox", "From a@x.example Mon Jan 1\nReceived: from x\nSubject: a\nFrom: b\n", "file-mail", "e-mail"},
		{"vCard", "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\n", "file-vcard", "Export the contacts as CSV"},
		{"LDIF", "version: 1\n\ndn: cn=Ann,dc=x\n", "file-ldif", "LDIF"},
		{"SQL", "-- MySQL dump 10.13\n", "file-sql", "SQL"},
		{"LDIF behind remarks", "# extended LDIF\n#\n# LDAPv3\n\n# Ann, x\ndn: cn=Ann,dc=x\nobjectClass: person\n", "file-ldif", "LDIF"},
		{"SQL behind settings", "SET NAMES utf8;\nSET foreign_key_checks = 0;\n\nINSERT INTO customers (id, name) VALUES\n(1, 'Ann');\n", "file-sql", "SQL"},
		{"SQL, a statement a row", "USE shop;\nINSERT INTO customers VALUES (1, 'Ann');\nINSERT INTO customers VALUES (2, 'Bea');\n", "file-sql", "SQL"},
		{"SQL behind a remark", "/*\n Data Transfer\n*/\n\nSET NAMES utf8mb4;\nDROP TABLE IF EXISTS `c`;\n", "file-sql", "SQL"},
		{"a query", "SELECT id, name FROM customers;\n", "file-sql", "an SQL query, and not what it finds"},
		{"SYLK", "ID;PWXL;N;E\r\nP;PGeneral\r\nC;Y1;X1;K\"id\"\r\n", "file-sylk", ".slk"},
		{"DIF", "TABLE\r\n0,1\r\n\"EXCEL\"\r\nVECTORS\r\n", "file-dif", ".dif"},
		{"SQL, rows", "INSERT INTO customers VALUES (1,'a');", "file-sql", "SQL"},
		{"ZIP", zipOf("customers.csv", "id\n1\n"), "file-zip", "ZIP archive of one file. Unpack it"},
		{"an empty ZIP", "PK\x05\x06" + strings.Repeat("\x00", 18), "file-zip", "ZIP archive"},
		{"half a ZIP", zipOf("xl/workbook.xml", strings.Repeat("x", 100))[:60], "file-damaged", "damaged or cut off"},
		{"ods", zipOf("mimetype", "application/vnd.oasis.opendocument.spreadsheet"), "file-ods", ".ods"},
		{"a workbook in gzip", gz(zipOf("xl/workbook.xml", "x")), "file-zip", "Within the gzip file is a ZIP archive or an Excel workbook. Unpack it first; a workbook is read as it is."},
		{"tar in gzip", gz(strings.Repeat("\x00", 257) + "ustar\x0000"), "file-archive", "Within the gzip file is a tar archive. Unpack it first"},
		{"7z", "7z\xbc\xaf\x27\x1c\x00\x04", "file-archive", "7z"},
		{"RAR", "Rar!\x1a\x07\x01\x00", "file-archive", "RAR"},
		{"UTF-32", "\xff\xfe\x00\x00i\x00\x00\x00d\x00\x00\x00", "file-utf32", "UTF-32"},
		{"noise", "\x01\x02\x03\x00\x05\x06\x07\x08\x0e\x0fabc", "file-binary", "no text and no workbook"},
	} {
		err := openWhole(t.Context(), []byte(c.data))
		bad, ok := errors.AsType[*FileError](err)
		if !ok || bad.Code != c.code || !strings.Contains(bad.Reason, c.says) {
			t.Errorf("%s: %v, want %s: %s", c.name, err, c.code, c.says)
		}
	}
}

func zipOf(name, text string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		panic(err)
	}
	return b.String()
}

// Tables that look like something else are tables.
func TestTablesAreTables(t *testing.T) {
	for _, text := range []string{
		"id,name\n1,a\n", "[id],[name]\n1,a\n", "<id>,<name>\n1,2\n", "{id},{name}\n1,a\n", `["id"]` + ";name\n", "From,To,Subject,Date\na,b,c,d\n", "from: ,to: \n1,2\n", "Date: 2024\nid,name\n1,2\n",
		"-- Export --\nid,name\n", "Insert,Into\n", "dn,cn\n1,2\n", "MM,yy\n1,2\n", "BM,x\n1,2\n", "ORT,PLZ\nBonn,1\n", "PAR,x\n", "id,na\x00me\n1,a\n2,b\n3,c\n4,d\n", "begin,end\n", "<b>id</b>,name\n", "{\"id\n", "[1],[2]\n", "ID;PLZ;Ort\nC;53111;Bonn\n", "<p>id</p>,name\n", "Set name,insert into\n1,2\n", "Select a name,from\n", "TABLE\n0,1\n", "# id,name\n1,2\n",
		"create,table\n", "id\x1a\n", "GIF,x\n", "MZ,x\n", "", "{", "<", "[", "<>,a\n",
	} {
		if err := openWhole(t.Context(), []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// zeros is very much text that takes little room.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n <= 0 {
		return 0, io.EOF
	}
	n := int(min(z.n, int64(len(p))))
	for i := range p[:n] {
		p[i] = '\n'
	}
	z.n -= int64(n)
	return n, nil
}

// What unpacks to very much more than it is ends with a sentence, and not the machine.
func TestPackedBombs(t *testing.T) {
	const size = unpackFloor + 300<<20
	var g, z bytes.Buffer
	gw := gzip.NewWriter(&g)
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{gw, zw} {
		if _, err := io.Copy(w, &zeros{size}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string][]byte{"gzip": g.Bytes(), "zstd": z.Bytes()} {
		err := openWhole(t.Context(), data)
		if bad, ok := errors.AsType[*FileError](err); !ok || bad.Code != "file-unpacked" {
			t.Errorf("%s of %d kB: %v", name, len(data)>>10, err)
		}
	}
}

// The records of a sheet have its rows for lines, whatever their cells hold.
func TestRecordsOfASheet(t *testing.T) {
	rows := `<row r="1"><c t="inlineStr"><is><t>Customers` + "\n" + `of May</t></is></c></row><row r="4"><c t="inlineStr"><is><t>id</t></is></c><c t="inlineStr"><is><t>first` + "\n" + `name</t></is></c><c t="inlineStr"><is><t>city</t></is></c></row>` +
		`<row r="5"><c><v>1</v></c><c t="inlineStr"><is><t>a` + "\n\n" + `b</t></is></c></row><row r="6"/><row r="9"><c><v>2</v></c></row>`
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"xl/workbook.xml":            `<workbook><sheets><sheet name="Kunden" r:id="r1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="r1" Type="x/worksheet" Target="worksheets/a.xml"/></Relationships>`,
		"xl/worksheets/a.xml":        `<worksheet><sheetData>` + rows + `</sheetData></worksheet>`,
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	text, err := Open(t.Context(), bytes.NewReader(data), Options{File: memoryFile(data)})
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	sc := NewScanner(text)
	names, err := sc.LikelyHeader(Layout{Delimiter: ';'})
	if err != nil || len(names) != 3 || names[1] != "first\nname" || sc.HeaderLine != 4 || !sc.Ragged() || text.Found().Sheet != "Kunden" {
		t.Fatalf("%q in line %d, %v, %+v", names, sc.HeaderLine, err, text.Found())
	}
	for _, want := range []struct {
		line  int64
		cells int
	}{{5, 2}, {9, 1}} {
		rec, err := sc.Next()
		cells, _ := Split{Delim: sc.Delimiter()}.Cells(rec.Text, nil, nil)
		if err != nil || rec.Line != want.line || len(cells) != want.cells {
			t.Errorf("%q in line %d, %v; want %+v", cells, rec.Line, err, want)
		}
	}
	if _, err := sc.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	for name, o := range map[string]Options{"strict-workbook": {Strict: true, File: memoryFile(data)}, "file-zip": {}} {
		_, err := Open(t.Context(), bytes.NewReader(data), o)
		if bad, ok := errors.AsType[*FileError](err); !ok || bad.Code != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
	_, err = Open(t.Context(), strings.NewReader("id\n1\n"), Options{Sheet: "Kunden"})
	if bad, ok := errors.AsType[*FileError](err); !ok || bad.Code != "sheet-of-text" {
		t.Error(err)
	}
}
