package e2e

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"kith/api"
	"kith/store/mem"
	"kith/upload"
)

// One file in every form that people have it in gives the same profiles, and the job says what was detected.
func TestFilesAsPeopleHaveThem(t *testing.T) {
	t.Parallel()
	const plain = "id,name,notes\n1,Müller,\"two\nlines\"\n2,Zoë,\"a, b; c\td|e\"\n\n3,Señor,x\n"
	s := spec{key: "id", fields: []string{"id:id:AccountNumber", "n:name:LastName", "x:notes:AdditionalInformation"}}
	r := newRig(t, mem.New(), upload.Config{})
	r.domain("want")
	r.expect(r.run("want", s, plain), "SUCCEEDED 3/0/0")
	want := hash(r.dump("want"))

	encodings := map[string]struct {
		enc  encoding.Encoding
		name string
		mark bool
	}{
		"UTF-8":            {encoding.Nop, "UTF-8", false},
		"UTF-8 with mark":  {unicode.UTF8BOM, "UTF-8", true},
		"UTF-16LE":         {unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "UTF-16LE", true},
		"UTF-16BE":         {unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "UTF-16BE", true},
		"UTF-16LE no mark": {unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "UTF-16LE", false},
		"Windows-1252":     {charmap.Windows1252, "windows-1252", false},
	}
	n := 0
	for name, e := range encodings {
		for _, delim := range []string{",", ";", "\t", "|"} {
			for _, end := range []string{"\n", "\r\n", "\r"} {
				for _, packed := range []string{"", "gzip", "zstd"} {
					n++
					domain := fmt.Sprint("d", n)
					t.Run(fmt.Sprintf("%s %q %q %s", name, delim, end, packed), func(t *testing.T) {
						text := strings.NewReplacer("a, b; c\td|e", "a, b; c\td|e", ",", delim).Replace(plain)
						// The quoted line break stays what the file's line ends are; inside cells it is an LF in the end.
						text = strings.ReplaceAll(text, "\n", end)
						file, err := e.enc.NewEncoder().String(text)
						if err != nil {
							t.Fatal(err)
						}
						r.domain(domain)
						j := r.run(domain, s, pack(t, packed, file))
						r.expect(j, "SUCCEEDED 3/0/0")
						if got := hash(r.dump(domain)); got != want {
							t.Fatalf("profiles differ: %v", r.dump(domain))
						}
						d := r.details(domain, *j.JobId)
						ends := map[string]string{"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
						if *d.Encoding != e.name || *d.Delimiter != delim || *d.LineEnd != ends[end] || api.Val(d.Compression) != packed || api.Val(d.ByteOrderMark) != e.mark {
							t.Fatalf("detected %s %q %s %q %t", *d.Encoding, *d.Delimiter, *d.LineEnd, api.Val(d.Compression), api.Val(d.ByteOrderMark))
						}
					})
				}
			}
		}
	}
}

func pack(t *testing.T, how, file string) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out)
	default:
		return file
	}
	if _, err := io.WriteString(w, file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A compressed file whose text is far larger than it looks gets the buckets it needs, and rows that are ambiguous or bad are
// shown from it as from any other.
func TestCompressedFileLargerThanItsBuckets(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("id,pad\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "%d,%s\n", i, strings.Repeat("x", 200))
	}
	text.WriteString("a,b,c\n")
	r := newRig(t, mem.New(), upload.Config{BucketBytes: 4 << 10, MemoryBytes: 64 << 10})
	r.domain("d")
	s := spec{key: "id", fields: []string{"id:id:AccountNumber", "p:pad:Attributes.pad"}}
	j := r.run("d", s, pack(t, "gzip", text.String()))
	r.expect(j, "PARTIALLY_SUCCEEDED 20000/0/1")
	if rej := r.rejects("d", *j.JobId, 10); len(rej) != 1 || *rej[0].LineNumber != 20_002 {
		t.Fatalf("%+v", rej)
	}
}

// With --strict-aws only what AWS reads is read.
func TestStrictAWS(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{StrictAWS: true})
	r.domain("d")
	s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
	for name, c := range map[string]struct{ file, want, reason string }{
		"plain":      {"id,x\n1,\n", "SUCCEEDED 1/0/0", ""},
		"mark":       {"\xef\xbb\xbfid\n1\n", "FAILED 0/0/0 VALIDATION_FAILURE", "byte-order mark"},
		"case":       {"ID\n1\n", "FAILED 0/0/0 VALIDATION_FAILURE", "lacks"},
		"semicolons": {"id;x\n1;2\n", "FAILED 0/0/0 VALIDATION_FAILURE", "lacks"},
		"dots":       {"id,a.b\n1,2\n", "FAILED 0/0/0 VALIDATION_FAILURE", "dots"},
		"bad byte":   {"id\n1\n2\n" + strings.Repeat("é\n", 9) + "\xff\n", "FAILED 0/0/0 VALIDATION_FAILURE", "Line 13"},
		"quotes":     {"id\n1\n\"2\"x\n", "FAILED 0/0/0 VALIDATION_FAILURE", "Line 3"},
		"1252":       {"id\n1\nM\xfcller\n", "FAILED 0/0/0 VALIDATION_FAILURE", "UTF-8"},
		"cell count": {"id,x\n2\n3,4\n", "PARTIALLY_SUCCEEDED 1/0/1", ""},
		"gzip":       {pack(t, "gzip", "id\n1\n"), "FAILED 0/0/0 VALIDATION_FAILURE", "compressed"},
	} {
		t.Run(name, func(t *testing.T) {
			j := r.run("d", s, c.file)
			r.expect(j, c.want)
			if got := api.Val(r.details("d", *j.JobId).Reason); !strings.Contains(got, c.reason) {
				t.Errorf("reason %q, want it to say %q", got, c.reason)
			}
		})
	}
}

// Rows whose key several profiles have are shown as they are in the file, whatever the file is packed in.
func TestAmbiguousRowsAreShownFromAnyFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{BucketBytes: 64, MemoryBytes: 1})
	r.domain("d")
	byID := spec{key: "id", fields: []string{"id:id:AccountNumber", "m:mail:EmailAddress:EMAIL_ADDRESS"}}
	r.expect(r.run("d", byID, "id,mail\n1,a@x.com\n2,a@x.com\n3,b@x.com\n4,b@x.com\n5,c@x.com\n"), "SUCCEEDED 5/0/0")
	byMail := spec{key: "m", fields: []string{"m:mail:EmailAddress:EMAIL_ADDRESS", "n:note:Attributes.note"}}
	file := "mail,note\nc@x.com,\"fine\nreally\"\nA@x.com,\"first, quoted\"\n\nb@x.com,second\nbad,,x\na@x.com,third\nd@x.com,new\n"
	for _, packed := range []string{"", "gzip"} {
		j := r.run("d", byMail, pack(t, packed, file))
		var got []string
		for _, rej := range r.rejects("d", *j.JobId, 2) {
			got = append(got, fmt.Sprintf("%d %d %s %q", *rej.LineNumber, *rej.RowNumber, *rej.ReasonCode, rej.Cells))
		}
		want := "[7 4 cell-count [\"bad\" \"\" \"x\"] 4 2 ambiguous-key [\"A@x.com\" \"first, quoted\"] 6 3 ambiguous-key [\"b@x.com\" \"second\"] 8 5 ambiguous-key [\"a@x.com\" \"third\"]]"
		if fmt.Sprint(got) != want {
			t.Fatalf("%s: got\n%v\nwant\n%s", packed, got, want)
		}
	}
}
