package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/store/mem"
	"kith/upload"
)

// writeBook writes a workbook of one sheet: its rows, and its shared strings, as XML.
func writeBook(w io.Writer, rows, texts func(io.Writer)) error {
	z := zip.NewWriter(w)
	for _, part := range []struct {
		name  string
		write func(io.Writer)
	}{
		{"xl/workbook.xml", plain(`<workbook><sheets><sheet name="Customers" r:id="r1"/></sheets></workbook>`)},
		{"xl/_rels/workbook.xml.rels", plain(`<Relationships><Relationship Id="r1" Type="x/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="x/sharedStrings" Target="sharedStrings.xml"/></Relationships>`)},
		{"xl/worksheets/sheet1.xml", func(w io.Writer) { within(w, "worksheet", func(w io.Writer) { within(w, "sheetData", rows) }) }},
		{"xl/sharedStrings.xml", func(w io.Writer) { within(w, "sst", texts) }},
	} {
		p, err := z.Create(part.name)
		if err != nil {
			return err
		}
		part.write(p)
	}
	return z.Close()
}

func plain(text string) func(io.Writer) {
	return func(w io.Writer) { _, _ = io.WriteString(w, text) }
}

func within(w io.Writer, element string, write func(io.Writer)) {
	plain("<" + element + ">")(w)
	write(w)
	plain("</" + element + ">")(w)
}

// bookOf returns a workbook of texts, every other one of them shared. A row of nothing is not there.
func bookOf(t *testing.T, table [][]string) string {
	t.Helper()
	var rows, shared, out bytes.Buffer
	n := 0
	for i, row := range table {
		if row == nil {
			continue
		}
		fmt.Fprintf(&rows, `<row r="%d">`, i+1)
		for j, text := range row {
			var b bytes.Buffer
			_ = xml.EscapeText(&b, []byte(text))
			switch {
			case text == "":
				rows.WriteString("<c/>")
			case j%2 == 0:
				fmt.Fprintf(&rows, `<c t="s"><v>%d</v></c>`, n)
				fmt.Fprintf(&shared, `<si><t>%s</t></si>`, &b)
				n++
			default:
				fmt.Fprintf(&rows, `<c t="inlineStr"><is><t>%s</t></is></c>`, &b)
			}
		}
		rows.WriteString("</row>")
	}
	if err := writeBook(&out, plain(rows.String()), plain(shared.String())); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A workbook gives what its rows give as CSV, with the same rejects at the same lines, whatever is spilled and however often the server starts again.
func TestWorkbookIsTheSameAsItsText(t *testing.T) {
	t.Parallel()
	var table [][]string
	lines := strings.Split(strings.TrimSpace(sampleFile(t, 2000, 7)), "\n")
	for i, line := range lines {
		if strings.Contains(line, `"`) { // its cells are not what is between commas
			continue
		}
		if i > 0 && i%400 == 0 {
			table = append(table, nil, []string{"", "no key"}, strings.Split(line+",surplus", ","))
		}
		table = append(table, strings.Split(line, ","))
	}
	var text strings.Builder
	for _, row := range table {
		text.WriteString(strings.Join(row, ",") + "\n")
	}
	book := bookOf(t, table)
	type result struct{ counts, dump, rejects string }
	importOn := func(c upload.Config, file string, restarts int) (res result) {
		r := newRig(t, mem.New(), c)
		r.domain("d")
		id := r.uploaded("d", sampleSpec, strings.NewReader(file))
		if err := r.startJob("d", id); err != nil {
			t.Fatal(err)
		}
		for range restarts {
			time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
			r.restart()
		}
		r.wait("d", id)
		res.counts, res.dump = outcome(r.get("d", id)), hash(r.dump("d"))
		var all []string
		for _, rej := range r.rejects("d", id, 7) {
			all = append(all, fmt.Sprintf("%d %d %s %q", *rej.LineNumber, *rej.RowNumber, *rej.ReasonCode, rej.Cells))
		}
		slices.Sort(all)
		res.rejects = strings.Join(all, "\n")
		return res
	}
	want := importOn(upload.Config{}, text.String(), 0)
	if !strings.HasPrefix(want.counts, "PARTIALLY_SUCCEEDED") || want.rejects == "" {
		t.Fatalf("%+v", want)
	}
	for restarts, c := range []upload.Config{{}, {BucketBytes: 1 << 12, MemoryBytes: 1 << 10, Workers: 3, BatchBytes: 1 << 10}, {BucketBytes: 1 << 14, MemoryBytes: 1, Workers: 1}} {
		if got := importOn(c, book, 2*restarts); got != want {
			t.Errorf("with %+v\ngot  %+v\nwant %+v", c, got, want)
		}
	}
}

// Rows of a workbook whose key several profiles have are shown as they are in it, at their numbers; a dry run says what the import does.
func TestWorkbookRejects(t *testing.T) {
	t.Parallel()
	r := newRig(t, mem.New(), upload.Config{BucketBytes: 64, MemoryBytes: 1})
	r.domain("d")
	byID := spec{key: "id", fields: []string{"id:id:AccountNumber", "m:mail:EmailAddress:EMAIL_ADDRESS"}}
	r.expect(r.run("d", byID, "id,mail\n1,a@x.com\n2,a@x.com\n3,b@x.com\n"), "SUCCEEDED 3/0/0")
	byMail := spec{key: "m", fields: []string{"m:mail:EmailAddress:EMAIL_ADDRESS", "n:note:Attributes.note"}}
	book := bookOf(t, [][]string{nil, {"mail", "note"}, {"b@x.com", "fine\nreally"}, nil, {"A@x.com", "first, \"quoted\""}, {"bad", "", "x"}, {"a@x.com"}})
	j := r.run("d", byMail, book)
	var got []string
	for _, rej := range r.rejects("d", *j.JobId, 2) {
		got = append(got, fmt.Sprintf("%d %d %s %q", *rej.LineNumber, *rej.RowNumber, *rej.ReasonCode, rej.Cells))
	}
	want := `[6 3 cell-count ["bad" "" "x"] 5 2 ambiguous-key ["A@x.com" "first, \"quoted\""] 7 4 ambiguous-key ["a@x.com"]]`
	if fmt.Sprint(got) != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
	d := r.details("d", *j.JobId)
	if api.Val(d.Sheet) != "Customers" || *d.HeaderLine != 2 || api.Val(d.ShortRows) != 0 {
		t.Errorf("%+v", d)
	}
}
