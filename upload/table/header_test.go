package table

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// all reads the records behind the header.
func all(t *testing.T, sc *Scanner) (rows []string) {
	t.Helper()
	for {
		rec, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(rec.Text))
	}
}

func TestLikelyHeader(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		header string // names between bars
		line   int64
		passed int
		rows   int
	}{
		"plain":                 {"id,city\n1,Bonn\n2,Ulm\n", "id|city", 1, 0, 2},
		"title":                 {"Customer list 2026,,,\n,,,\nid,first name,city,email\n1,Ann,Bonn,a@x.de\n", "id|first name|city|email", 3, 1, 1},
		"title without commas":  {"Kundenliste\nStand: 1.2.2026\n\nid;Vorname;Ort\n1;Ann;Bonn\n2;Bea;Ulm\n", "id|Vorname|Ort", 4, 2, 2},
		"title above two":       {"Customer list\nid;email\nC1;a@x.de\n", "id|email", 2, 1, 1},
		"title with a comma":    {"Customers,\nName,City\nAnn,Bonn\nBea,Ulm\n", "Name|City", 2, 1, 2},
		"title of two cells":    {"Customers,Bonn,,\nid,name,city,email\n1,Ann,Bonn,a@x.de\n", "id|name|city|email", 2, 1, 1},
		"half of it unnamed":    {"id,,\n1,Ann,Bonn\n2,Bea,Ulm\n", "id||", 1, 0, 2},
		"an open quote":         {"\"Kundenliste\nid;Vorname;Ort\n1;Ann;Bonn\n2;Bea;Ulm\n", "id|Vorname|Ort", 2, 1, 2},
		"blanks first":          {"  \n,,\n\u00a0,\u200b,\nid,city,note\n1,Bonn,x\n", "id|city|note", 4, 0, 1},
		"sep":                   {"sep=;\r\nid;city\r\n1;Bonn\r\n", "id|city", 2, 0, 1},
		"sep that lies":         {"sep=,\r\nid;city\r\n1;Bonn\r\n2;Ulm\r\n", "id|city", 2, 0, 2},
		"sep of one column":     {"sep=;\r\nnames\r\nRoth, Ann\r\nWeiß, Bea\r\nLee\r\n", "names", 2, 0, 3},
		"page breaks":           {"id,city\n1,Bonn\n\x0cid,city\n2,Ulm\n", "id|city", 1, 0, 2},
		"sep of a rare kind":    {"\"sep=^\"\nid^city\n1^Bonn\n", "id|city", 2, 0, 1},
		"commas within":         {"Kundennummer;Name, Vorname, Titel;Ort\n1;Roth, Ann, Dr.;Bonn\n2;Weiß, Bea, ;Ulm\n", "Kundennummer|Name, Vorname, Titel|Ort", 1, 0, 2},
		"bars within":           {"email,interests (news|offers|events)\na@x.de,news|events\nb@x.de,offers\n", "email|interests (news|offers|events)", 1, 0, 2},
		"blanks before quotes":  {"id, \"first name\", \"city\"\n1, \"Ann\", \"Bonn, Rhein\"\n2, \"Bea\", \"a\nb\"\n", "id|first name|city", 1, 0, 2},
		"few blanks before":     {"\"id\",\"size\"\n\"1\",\"a\"\n\"2\", \"x\n", "id|size", 1, 0, 2},
		"tabs and commas":       {"id\tname\tcity\n1\tRoth, Ann\tBonn\n", "id|name|city", 1, 0, 1},
		"decimal commas":        {"id;price;city\n1;2,50;Bonn\n2;3,50;Ulm\n", "id|price|city", 1, 0, 2},
		"one column":            {"email\na@x.de\nb@x.de\n", "email", 1, 0, 2},
		"one column with blank": {"full name\nAnn Lee\n", "full name", 1, 0, 1},
		"trailing delimiters":   {"id,city\n1,Bonn,\n2,Ulm,,\n3,Kiel\n", "id|city", 1, 0, 3},
		"blank rows":            {"id,city\n1,Bonn\n,\n , \n\"\",\n2,Ulm\n\u00a0,\n", "id|city", 1, 0, 2},
		"repeated":              {"id,email\n1,a@x.de\nid,email\n2,b@x.de\nid,email\n", "id|email", 1, 0, 2},
		"repeated, with a mark": {"id,email \n1,a@x.de\n\ufeffid,email\n2,b@x.de\n", "id|email ", 1, 0, 2},
		"repeated otherwise":    {"ID,First Name\n1,Ann\nid,first name\n\"ID\",\"First Name\"\n2,Bea\n ID , First Name ,,\nID,First Name;\n", "ID|First Name", 1, 0, 3},
		"groups above":          {"Customer,Customer,Address,Address\nid,name,street,city\n1,Ann,Main 1,Bonn\n", "id|name|street|city", 2, 1, 1},
		"years in turn":         {"Sales\nid,name,2024,2025\n1,Ann,5,6\n2,Bea,7,8\n", "id|name|2024|2025", 2, 1, 2},
		"an example in a name":  {"Customers\nid,name,e-mail (e.g. a@x.de)\n1,Ann,b@x.de\n", "id|name|e-mail (e.g. a@x.de)", 2, 1, 1},
		"no header":             {"1,Ann,a@x.de\n2,Bea,b@x.de\n", "1|Ann|a@x.de", 1, 0, 1},
		"years as columns":      {"id,2024,2025\n7,1,2\n", "id|2024|2025", 1, 0, 1},
		"break in a name":       {"id,\"loyalty\ntier\",city\n1,gold,Bonn\n", "id|loyalty\ntier|city", 1, 0, 1},
		"line breaks in cells":  {"id,note,city\n1,\"a\nb,c\nd\",Bonn\n2,\"x\ny\",Ulm\n", "id|note|city", 1, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			sc := NewScanner(strings.NewReader(c.text))
			names, err := sc.LikelyHeader(Layout{})
			if got := strings.Join(names, "|"); err != nil || got != c.header || sc.HeaderLine != c.line || sc.Passed != c.passed {
				t.Fatalf("%q in line %d behind %d records, %v; want %q in line %d behind %d", got, sc.HeaderLine, sc.Passed, err, c.header, c.line, c.passed)
			}
			if rows := all(t, sc); len(rows) != c.rows {
				t.Errorf("%d rows: %q", len(rows), rows)
			}
		})
	}
}

// Whoever knows the columns finds them, wherever they are; a line that is named is taken.
func TestHeaderIsFoundByItsNames(t *testing.T) {
	wants := func(columns ...string) func([]string) error {
		return func(names []string) error {
			for _, c := range columns {
				if !slices.Contains(names, c) {
					return errors.New("no " + c)
				}
			}
			return nil
		}
	}
	const text = "export of 2026,x\nid,2024\n7,1\nid,name\n1,Ann\n"
	sc := NewScanner(strings.NewReader(text))
	if err := sc.Header(Layout{}, wants("name")); err != nil || sc.HeaderLine != 4 || sc.Passed != 3 || len(all(t, sc)) != 1 {
		t.Errorf("line %d, %v", sc.HeaderLine, err)
	}
	sc = NewScanner(strings.NewReader(text))
	if err := sc.Header(Layout{Line: 2}, wants("id")); err != nil || sc.HeaderLine != 2 || len(all(t, sc)) != 3 {
		t.Errorf("line %d, %v", sc.HeaderLine, err)
	}
	for text, want := range map[string]string{text: "no line 9", "": "empty", "\n\n": "no line 9"} {
		if err := NewScanner(strings.NewReader(text)).Header(Layout{Line: 9}, wants("id")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("line 9 of %q: %v", text, err)
		}
	}
	sc = NewScanner(strings.NewReader(text))
	if err := sc.Header(Layout{Strict: true}, wants("name")); err == nil {
		t.Error("in strict mode the header is not the first line")
	}
	sc = NewScanner(strings.NewReader("id,x\n,\nid,x\n"))
	if err := sc.Header(Layout{Strict: true}, wants("id")); err != nil || len(all(t, sc)) != 2 {
		t.Errorf("in strict mode records are passed over, %v", err)
	}
}

// What programs put around values goes where all values of a column have it, and nowhere else.
func TestGuards(t *testing.T) {
	for name, c := range map[string]struct {
		cells, want []string
	}{
		"text for a spreadsheet": {[]string{"'007", "'008"}, []string{"007", "008"}},
		"formulas":               {[]string{`="007"`, `="008"`}, []string{"007", "008"}},
		"not all":                {[]string{"'007", "008"}, nil},
		"apostrophes for quotes": {[]string{"'Ann'", "'O''Hara'", "''"}, []string{"Ann", "O'Hara", ""}},
		"names":                  {[]string{"O'Hara", "d'Arc"}, nil},
		"whole numbers":          {[]string{"1001.0", "7.0"}, []string{"1001", "7"}},
		"marks":                  {[]string{"1.0", "5.0"}, nil},
		"prices":                 {[]string{"1001.0", "7.5"}, nil},
		"versions":               {[]string{"1001.0", "v2.0"}, nil},
		"links":                  {[]string{"mailto:ann@x.example", "MAILTO:bea@x.example"}, []string{"ann@x.example", "bea@x.example"}},
		"some links":             {[]string{"mailto:ann@x.example", "bea@x.example"}, nil},
	} {
		text := "x\n"
		for _, cell := range c.cells {
			text += `"` + strings.ReplaceAll(cell, `"`, `""`) + "\"\n"
		}
		sc := NewScanner(strings.NewReader(text))
		if _, err := sc.LikelyHeader(Layout{}); err != nil {
			t.Fatal(err)
		}
		if guarded := len(sc.Guarded) > 0 && sc.Guarded[0]; guarded != (c.want != nil) {
			t.Errorf("%s: guarded %t", name, guarded)
		}
		for i, want := range c.want {
			if got := string(Unguard([]byte(c.cells[i]))); got != want {
				t.Errorf("%s: %s becomes %s, want %s", name, c.cells[i], got, want)
			}
		}
	}
}

// Quotes as programs write them, beyond those of RFC 4180: with blanks around them, and with backslashes before those that belong to the cell.
func TestQuotesOfPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // cells between bars
	}{
		"blanks on both sides":        {"id, \"name\" , \"city\"\n1, \"Ann\" , \"Bonn, Rhein\" \n2, \"a\nb\"  , \"Ulm\"\n", []string{"1|Ann|Bonn, Rhein", "2|a\nb|Ulm"}},
		"blanks behind":               {"id,\"name\" ,city\n1,\"Ann\"\t,Bonn\n2,\"Bea\" ,Ulm\n", []string{"1|Ann|Bonn", "2|Bea|Ulm"}},
		"many blanks behind":          {"id,name\n1,\"Ann\"" + strings.Repeat(" ", maxBlanks) + "\n2,\"Bea\"" + strings.Repeat(" ", maxBlanks+1) + "\n", []string{"1|Ann", "bad-quote"}},
		"blanks behind, and a text":   {"id,name\n1,\"Ann\" B\n2,\"Bea\" \"C\"\n3,\"Cleo\"\n", []string{"bad-quote", "bad-quote", "3|Cleo"}},
		"backslashes":                 {"id,note\n1,\"say \\\"hi\\\", now\"\n2,\"plain\"\n3,\"a \\\\ b\\\\\"\n4,\"\\\"x\\\"\"\n5,\"a \"\"b\"\"\"\n", []string{`1|say "hi", now`, "2|plain", `3|a \ b\`, `4|"x"`, `5|a "b"`}},
		"backslashes before others":   {"id,note\n1,\"\\N \\n \\\"\r\n\\\"\"\n2,c:\\d\\\n3,\"\\\"x\\\"\"\n", []string{"1|\\N \\n \"\n\"", `2|c:\d\`, `3|"x"`}},
		"a backslash at a cell's end": {"id,path,city\n1,\"c:\\a, b\\\",Bonn\n2,\"c:\\\",Ulm\n", []string{`1|c:\a, b\|Bonn`, `2|c:\|Ulm`}},
		"one of each":                 {"id,path,city\n1,\"c:\\\",Bonn\n2,\"c:\\\",Ulm\n3,\"a \\\" b\",Kiel\n", []string{`1|c:\|Bonn`, `2|c:\|Ulm`, "bad-quote"}},
	} {
		t.Run(name, func(t *testing.T) {
			sc := NewScanner(strings.NewReader(c.text))
			if _, err := sc.LikelyHeader(Layout{}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for rec, err := sc.Next(); !errors.Is(err, io.EOF); rec, err = sc.Next() {
				if err != nil {
					t.Fatal(err)
				}
				var cells []string
				all, _ := sc.Split().Cells(rec.Text, nil, nil)
				for _, cell := range all {
					cells = append(cells, strings.TrimSpace(string(cell)))
				}
				if got = append(got, strings.Join(cells, "|")); rec.Fault != "" {
					got[len(got)-1] = string(rec.Fault)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// Rows that a program has taken for one cell, all of them or those with quotes, are rows; texts with commas are not.
func TestRowsInQuotes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // cells between bars, the header's first
	}{
		"all":                {"\"id,name\"\n\"1,\"\"Lee, Ann\"\"\"\n\"2,Bea\"\n", []string{"id|name", "1|Lee, Ann", "2|Bea"}},
		"all, by semicolons": {"\"id;name;city\"\n\"1;Ann;Bonn, Rhein\"\n", []string{"id|name|city", "1|Ann|Bonn, Rhein"}},
		"those with quotes":  {"id,name,city\n1,Ann,Bonn\n\"2,\"\"Bob, Jr.\"\",\"\"a \"\"\"\"b\"\"\"\"\"\"\"\n", []string{"id|name|city", "1|Ann|Bonn", `2|Bob, Jr.|a "b"`}},
		"too few cells":      {"id,name,city\n\"1,Ann\"\n\"1,Ann,Bonn,x\"\n", []string{"id|name|city", "1,Ann", "1,Ann,Bonn,x"}},
		"unsound within":     {"id,name,city\n\"1,\"\"Ann\"\" B,Bonn\"\n\"1,Ann\nBea,Bonn\"\n", []string{"id|name|city", "1,\"Ann\" B,Bonn", "1,Ann\nBea,Bonn"}},
		"a text":             {"text,name,city\n\"one, two, three\"\n", []string{"text|name|city", "one, two, three"}},
		"two columns":        {"name,city\n\"Lee,Ann\"\n", []string{"name|city", "Lee,Ann"}},
		"one column":         {"name\n\"Lee,Ann\"\n\"Roth,Bea\"\n", []string{"name", "Lee,Ann", "Roth,Bea"}},
	} {
		t.Run(name, func(t *testing.T) {
			sc := NewScanner(strings.NewReader(c.text))
			names, err := sc.LikelyHeader(Layout{})
			if err != nil {
				t.Fatal(err)
			}
			got := []string{strings.Join(names, "|")}
			for _, text := range all(t, sc) {
				var cells []string
				parts, _ := sc.Split().Cells([]byte(text), nil, nil)
				for _, cell := range parts {
					cells = append(cells, string(cell))
				}
				got = append(got, strings.Join(cells, "|"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// A title as wide as the table is told from its header by who knows names.
func TestHeaderIsKnown(t *testing.T) {
	known := func(name string) bool {
		return slices.Contains([]string{"id", "name", "city", "email", "region"}, name)
	}
	for text, want := range map[string]int64{
		"report,customers,all,region\nid,name,email,city\n1,Ann,a@x.de,Bonn\n": 2,
		"id,name,email,city\nnumber,name,address,town\n1,Ann,a@x.de,Bonn\n":    1,
		"x,y,z,t\nid,u,v,w\n1,2,3,4\n":                                         1,
		"report,customers,all,region\n1,Ann,a@x.de,Bonn\nid,name,email,city\n": 1,
	} {
		sc := NewScanner(strings.NewReader(text))
		if _, err := sc.LikelyHeader(Layout{Known: known}); err != nil || sc.HeaderLine != want {
			t.Errorf("the header of %q is line %d, %v; want %d", text, sc.HeaderLine, err, want)
		}
	}
}

// Signs that seldom separate cells do where nothing else does, and all records have as many.
func TestRareDelimiters(t *testing.T) {
	for text, want := range map[string]byte{
		"id^name^city\n1^Ann^Bonn, Rhein\n2^Bea^Ulm\n": '^',
		"id~city\n1~Bonn\n2~Ulm\n":                     '~',
		"id:name:city\n1:Ann:Bonn\n2:Bea:Ulm\n":        ':',
		"id:city\n1:Bonn\n2:Ulm\n":                     ',', // a text with a colon
		"id^name^city\n1^Ann^Bonn\n2^Bea\n":            ',',
		"id^1,city\n1,Bonn\n2,Ulm\n":                   ',',
		"a^b\n":                                        ',',
		"email\na@x.example\n":                         ',',
	} {
		sc := NewScanner(strings.NewReader(text))
		if _, err := sc.LikelyHeader(Layout{}); err != nil || sc.Delimiter() != want {
			t.Errorf("%q is separated by %q, %v; want %q", text, sc.Delimiter(), err, want)
		}
	}
}
