package table

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
)

// What to do with files that are no tables.
const (
	saveAs  = "Save it as an Excel workbook (.xlsx) or as CSV, and import that."
	unpack  = "Unpack it, and import each CSV file or workbook in it; gzip and zstd are read as they are."
	query   = "Export the table as CSV from where it came from, and import that."
	convert = "Convert it to CSV, with a row for each customer and a column for each value, and import that."
)

// magics tell files by bytes at a place.
var magics = []struct {
	at              int
	magic           string
	code, what, how string
}{
	{0, "%PDF-", "file-pdf", "a PDF document, which has no cells", query},
	{0, "\x89PNG\r\n", "file-image", "an image (PNG)", query},
	{0, "\xff\xd8\xff", "file-image", "an image (JPEG)", query},
	{0, "GIF87a", "file-image", "an image (GIF)", query},
	{0, "GIF89a", "file-image", "an image (GIF)", query},
	{0, "II*\x00", "file-image", "an image (TIFF)", query},
	{0, "MM\x00*", "file-image", "an image (TIFF)", query},
	{8, "WEBPVP8", "file-image", "an image (WebP)", query},
	{4, "ftyp", "file-media", "an image, a film or a sound", query},
	{0, "PAR1", "file-parquet", "a Parquet file", convert},
	{0, "ORC", "file-orc", "an ORC file", convert},
	{0, "Obj\x01", "file-avro", "an Avro file", convert},
	{0, "ARROW1\x00\x00", "file-arrow", "an Arrow file", convert},
	{0, "SQLite format 3\x00", "file-database", "a SQLite database", query},
	{4, "Standard Jet DB", "file-database", "an Access database", query},
	{4, "Standard ACE DB", "file-database", "an Access database", query},
	{0, "PGDMP", "file-database", "a dump of a PostgreSQL database", query},
	{0, `{\rtf`, "file-document", "a text document (RTF)", "Copy its table into a spreadsheet, save that as .xlsx or CSV, and import it."},
	{0, "!BDN", "file-mail", "an Outlook data file (.pst)", "Export the contacts from Outlook as CSV, and import that."},
	{0, "bplist00", "file-plist", "a property list of macOS", convert},
	{0, "BZh", "file-compressed", "compressed with bzip2", "Use gzip or zstd, or upload it uncompressed."},
	{0, "\xfd7zX", "file-compressed", "compressed with xz", "Use gzip or zstd, or upload it uncompressed."},
	{0, "\x04\x22\x4d\x18", "file-compressed", "compressed with lz4", "Use gzip or zstd, or upload it uncompressed."},
	{0, "7z\xbc\xaf\x27\x1c", "file-archive", "a 7z archive", unpack},
	{0, "Rar!\x1a\x07", "file-archive", "a RAR archive", unpack},
	{257, "ustar", "file-archive", "a tar archive", unpack},
	{0, "\x7fELF", "file-program", "a program", query},
	{0, "MZ\x90\x00", "file-program", "a program", query},
	{0, "\xff\xfe\x00\x00", "file-utf32", "text in UTF-32", "Save it as UTF-8, and import that."},
	{0, "\x00\x00\xfe\xff", "file-utf32", "text in UTF-32", "Save it as UTF-8, and import that."},
}

// byMagic tells what a file is that is no text, by its first bytes; nil: it may be text. file may be nil.
func byMagic(head []byte, file File) *FileError {
	for _, m := range magics {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.magic)) {
			return isA(m.code, m.what, m.how)
		}
	}
	if bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) {
		return compound(head, file)
	}
	return nil
}

func isA(code, what, how string) *FileError {
	return &FileError{code, fmt.Sprintf("The file is %s. %s", what, how)}
}

// compound tells what a file of OLE2 is, in which Office kept everything before 2007, and keeps workbooks with a password: by the names of its streams.
func compound(head []byte, file File) *FileError {
	const sectorAt, most = 48, 16 << 10
	names := head
	if file != nil && len(head) > sectorAt+4 {
		sector := int64(head[sectorAt]) | int64(head[sectorAt+1])<<8 | int64(head[sectorAt+2])<<16 | int64(head[sectorAt+3])<<24
		if off := (sector + 1) * 512; off < file.Size() {
			directory := make([]byte, most)
			n, _ := io.ReadFull(file.Stream(off), directory) // what can't be read is not known
			names = append(bytes.Clone(head), directory[:n]...)
		}
	}
	has := func(name string) bool {
		var b []byte
		for _, c := range utf16.Encode([]rune(name)) {
			b = append(b, byte(c), byte(c>>8))
		}
		return bytes.Contains(names, b)
	}
	switch {
	case has("EncryptedPackage"):
		return isA("file-protected", "a workbook or document protected by a password", "Open it, save it without a password as .xlsx or as CSV, and import that.")
	case has("WordDocument"), has("PowerPoint Document"):
		return isA("file-document", "an old Word or PowerPoint document", "Copy its table into a spreadsheet, save that as .xlsx or CSV, and import it.")
	case has("__properties_version1.0"), has("__nameid_version1.0"):
		return isA("file-mail", "an Outlook message (.msg)", "Save the table that is attached to it, or in it, as .xlsx or CSV, and import that.")
	}
	return isA("file-xls", "an old Excel workbook (.xls)", saveAs)
}

// Texts that are no tables, by how they begin; blanks before are passed over.
var textKinds = []struct {
	begins          *regexp.Regexp
	code, what, how string
}{
	{regexp.MustCompile(`(?is)^((<!--.*?-->|<(style|script)[\s>].*?</(style|script)>)\s*)*(<!doctype html|<(html|head|body|table|meta|title)[\s>]|<(div|span|center|font|form|link|br|p|h[1-6])(\s[^<>,;|]*)?/?>\s*<)`), "file-html", "an HTML page, whatever its name says",
		"If it is an export, open it in a spreadsheet program, save it as an Excel workbook (.xlsx) or as CSV, and import that; if it is a page that asks for a password or tells an error, download the export again."},
	{regexp.MustCompile(`(?s)^(<\?xml.*urn:schemas-microsoft-com:office:spreadsheet)`), "file-xml", "an XML spreadsheet of Excel 2003", saveAs},
	{regexp.MustCompile(`(?i)^(<\?xml[\s?]|<!doctype |<[a-z][\w:.-]*(\s[^<>,;|]*)?>\s*<)`), "file-xml", "XML", convert},
	{regexp.MustCompile(`^(\{\s*("([^"\\]|\\.)*"\s*:|\}\s*$)|\[\s*([\[{]\s*["\]}{\[]|"([^"\\]|\\.)*"\s*[,\]]\s*["\n{\[]|\]\s*$))`), "file-json", "JSON", convert},
	{regexp.MustCompile(`(?i)^BEGIN:VCARD`), "file-vcard", "a list of contacts (vCard)", "Export the contacts as CSV, and import that."},
	{regexp.MustCompile(`(?i)^BEGIN:VCALENDAR`), "file-calendar", "a calendar (iCalendar)", "Export the contacts or customers as CSV, and import that."},
	{regexp.MustCompile(`(?i)^(#[^\n]*\n\s*)*(version:\s*1\s+)?(#[^\n]*\n\s*)*dn::?\s*\w+=`), "file-ldif", "an export of a directory (LDIF)", convert},
	{regexp.MustCompile(`(?i)^(-- (MySQL|PostgreSQL|MariaDB|phpMyAdmin)|--\s+-- PostgreSQL|/\*!\d+|(create|drop) (table|database) |insert into |pragma foreign_keys|begin transaction;)`), "file-sql", "SQL", query},
	{regexp.MustCompile(`(?im)\A(--|/\*|set |use |start transaction|begin|lock tables|delete from |truncate )(.*\n)+?(insert into|create table|drop table|copy) [^,;|\t\n]+( values|\(|;| from stdin|[ \t]*\r?$)`), "file-sql", "SQL", query},
	{regexp.MustCompile(`(?i)\Aselect [^;]+\sfrom [^;]+;\s*\z`), "file-sql", "an SQL query, and not what it finds", query},
	{regexp.MustCompile(`\AID;P[^\n]*\n(.*\n)*?C;([XY]\d+;)+K`), "file-sylk", "a spreadsheet in the SYLK format (.slk)", saveAs},
	{regexp.MustCompile(`\ATABLE\r?\n0,1\r?\n"`), "file-dif", "a spreadsheet in the Data Interchange Format (.dif)", saveAs},
	{regexp.MustCompile(`(?i)\AMIME-Version:[^\n]*\n(.*\n)*?Content-Type: multipart/related`), "file-html", "a web page in one file (MHTML), whatever its name says", saveAs},
	{regexp.MustCompile(`^(%!PS|\\documentclass)`), "file-document", "a document", query},
}

// mailFields begin the lines of an e-mail.
var mailFields = regexp.MustCompile(`(?mi)^(received|message-id|mime-version|from|to|subject|date|return-path|delivered-to|content-type|reply-to):[ \t]`)

// Bounds of what tells what a text is.
const (
	kindBytes  = 4 << 10
	fewControl = 5 // in a hundred bytes
)

// byText tells what a text is that is no table, by how it begins; nil: it may be one.
func byText(head []byte) *FileError {
	head = head[:min(len(head), kindBytes)]
	text := bytes.TrimLeft(head, " \t\r\n\uFEFF")
	for _, k := range textKinds {
		if k.begins.Match(text) {
			return isA(k.code, k.what, k.how)
		}
	}
	if loc := mailFields.FindIndex(text); loc != nil && (loc[0] == 0 || bytes.HasPrefix(text, []byte("From "))) {
		fields := map[string]bool{}
		for _, m := range mailFields.FindAllSubmatch(text, -1) {
			fields[strings.ToLower(string(m[1]))] = true
		}
		if len(fields) >= 3 {
			return isA("file-mail", "an e-mail", "Save the table that is attached to it as .xlsx or CSV, and import that.")
		}
	}
	control := 0
	for _, c := range head {
		if c < ' ' && (c < '\t' || c > '\r') && c != 0x1a && c != 0x1b {
			control++
		}
	}
	if control > 3 && 100*control > fewControl*len(head) {
		return isA("file-binary", "no text and no workbook", query)
	}
	return nil
}
