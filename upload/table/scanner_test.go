package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

type parsed struct {
	cells []string
	line  int64
	fault Fault
}

// parse runs Scanner and Cells over a whole file.
func parse(t testing.TB, r io.Reader, delim byte) []parsed {
	t.Helper()
	sc := newScanner(r, MaxRecord)
	sc.delim = delim
	var all []parsed
	var cs [][]byte
	var scratch []byte
	for {
		rec, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		p := parsed{line: rec.Line, fault: rec.Fault}
		if rec.Fault == "" {
			cs, scratch = Split{Delim: delim}.Cells(rec.Text, cs, scratch)
			for _, c := range cs {
				p.cells = append(p.cells, string(c))
			}
		}
		all = append(all, p)
	}
}

func TestScanner(t *testing.T) {
	long := strings.Repeat("x", MaxRecord+10)
	for name, c := range map[string]struct {
		in   string
		want []parsed
	}{
		"empty":                 {"", nil},
		"no end of line":        {"a,b", []parsed{{[]string{"a", "b"}, 1, ""}}},
		"CRLF":                  {"a,b\r\nc,d\r\n", []parsed{{[]string{"a", "b"}, 1, ""}, {[]string{"c", "d"}, 2, ""}}},
		"blank lines":           {"\n\r\na\n\n\nb\n", []parsed{{[]string{"a"}, 3, ""}, {[]string{"b"}, 6, ""}}},
		"empty cells":           {",\n,,\n", []parsed{{[]string{"", ""}, 1, ""}, {[]string{"", "", ""}, 2, ""}}},
		"quotes":                {`"a,1","b ""q""",c` + "\n", []parsed{{[]string{"a,1", `b "q"`, "c"}, 1, ""}}},
		"newline in quotes":     {"\"a\r\nb\",c\nd,e\n", []parsed{{[]string{"a\nb", "c"}, 1, ""}, {[]string{"d", "e"}, 3, ""}}},
		"quoted empty":          {"\"\",\"\"\n", []parsed{{[]string{"", ""}, 1, ""}}},
		"ends with delimiter":   {"\"a\",\n", []parsed{{[]string{"a", ""}, 1, ""}}},
		"quote inside a cell":   {"5\" pipe,b\n", []parsed{{[]string{"5\" pipe", "b"}, 1, ""}}},
		"text after a quote":    {"\"a\"x,b\nc,d\n", []parsed{{nil, 1, BadQuote}, {[]string{"c", "d"}, 2, ""}}},
		"open quote at the end": {"a,\"b\nc,d\ne,f", []parsed{{nil, 1, OpenQuote}, {[]string{"c", "d"}, 2, ""}, {[]string{"e", "f"}, 3, ""}}},
		"open quote, far":       {"\"a\n" + strings.Repeat("b\n", MaxRecord) + "c", nil},
		"long line":             {"a\n" + long + "\nb\n", []parsed{{[]string{"a"}, 1, ""}, {nil, 2, TooLong}, {[]string{"b"}, 3, ""}}},
		"long last line":        {"a\n" + long, []parsed{{[]string{"a"}, 1, ""}, {nil, 2, TooLong}}},
		"long quoted":           {"\"" + long + "\"\nb\n", []parsed{{nil, 1, TooLong}, {[]string{"b"}, 2, ""}}},
		"longest":               {long[:MaxRecord] + "\nb\n", []parsed{{[]string{long[:MaxRecord]}, 1, ""}, {[]string{"b"}, 2, ""}}},
		"lone CR":               {"a\rb,c\n", []parsed{{[]string{"a\rb", "c"}, 1, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, strings.NewReader(c.in), ',')
			if name == "open quote, far" {
				if len(got) != MaxRecord+2 || got[0].fault != OpenQuote || got[1].fault != "" || got[MaxRecord+1].line != MaxRecord+2 {
					t.Fatalf("%d records, first %q", len(got), got[0].fault)
				}
				return
			}
			if !slices.EqualFunc(got, c.want, equal) {
				t.Fatalf("got %.200v\nwant %.200v", got, c.want)
			}
			if len(c.in) < 1000 {
				if slow := parse(t, iotest.OneByteReader(strings.NewReader(c.in)), ','); !slices.EqualFunc(slow, c.want, equal) {
					t.Fatalf("byte by byte: %v", slow)
				}
			}
		})
	}
}

func equal(a, b parsed) bool {
	return slices.Equal(a.cells, b.cells) && a.line == b.line && a.fault == b.fault
}

// A record of 100 MB costs a buffer, not 100 MB.
func TestScannerMemoryIsBounded(t *testing.T) {
	sc := NewScanner(io.MultiReader(strings.NewReader("a\n"), io.LimitReader(endless{}, 100<<20), strings.NewReader("\nb\n")))
	size := len(sc.buf)
	var faults []Fault
	for {
		rec, err := sc.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		faults = append(faults, rec.Fault)
		if len(rec.Text) > 8<<10 {
			t.Fatalf("a text of %d bytes was kept", len(rec.Text))
		}
	}
	if !slices.Equal(faults, []Fault{"", TooLong, ""}) || len(sc.buf) != size {
		t.Fatalf("%v, buffer %d", faults, len(sc.buf))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// FuzzCSV holds the scanner to encoding/csv wherever that accepts the whole file.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\nc,d\n", "\"a\r\n\"\"b\",c\r\n\r\nd", "\"\",\n", "a\rb\n", "\"a\"b\n", ",\n", "\"a\n", "\r\n\r", "a,\"b\"\r"} {
		f.Add([]byte(s), byte(','))
	}
	f.Fuzz(func(t *testing.T, data []byte, delim byte) {
		if !slices.Contains([]byte(",;\t|"), delim) {
			delim = ','
		}
		got := parse(t, bytes.NewReader(data), delim)
		r := csv.NewReader(bytes.NewReader(data))
		r.Comma, r.FieldsPerRecord = rune(delim), -1
		var want [][]string
		for {
			rec, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return // only the oracle's refusal ends the comparison; ours must not panic
			}
			want = append(want, rec)
		}
		var have [][]string
		for _, p := range got {
			if p.fault != "" {
				t.Fatalf("refused with %s what encoding/csv reads as %q", p.fault, want)
			}
			have = append(have, p.cells)
		}
		if !slices.EqualFunc(have, want, slices.Equal) {
			t.Fatalf("%q: got %q, want %q", data, have, want)
		}
	})
}

// Nor must it where blanks stand around quotes, and backslashes before them; and each record's cells hold all of its letters, in their order.
func TestQuotesOfProgramsDoNotDependOnReads(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", ",", ",", "\"", "\"", "\n", "\r\n", "\"\"", "\\", "\\\"", " ", "\t", ",\"", "\","}
	read := func(r io.Reader, longest int, how Split) (all []string) {
		sc := newScanner(r, longest)
		sc.lenient, sc.spaced, sc.escaped = true, how.Spaced, how.Escaped
		for {
			rec, err := sc.Next()
			if errors.Is(err, io.EOF) {
				return all
			}
			if err != nil {
				t.Fatal(err)
			}
			line := string(rec.Fault)
			if rec.Fault == "" {
				cells, _ := sc.Split().Cells(rec.Text, nil, nil)
				line = string(bytes.Join(cells, []byte("|")))
				letters := func(s string) string {
					return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r != 'a' && r != 'b' }), "")
				}
				if got, want := letters(line), letters(string(rec.Text)); got != want {
					t.Fatalf("%q has the letters %q, and its cells %q", rec.Text, want, line)
				}
			}
			all = append(all, line)
		}
	}
	for round := range 3000 {
		var b strings.Builder
		for range rng.IntN(60) {
			b.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		how := Split{Spaced: round%2 == 0, Escaped: round%3 > 0}
		longest := 1 + rng.IntN(120)
		whole := read(strings.NewReader(b.String()), longest, how)
		if parts := read(iotest.OneByteReader(strings.NewReader(b.String())), longest, how); !slices.Equal(whole, parts) {
			t.Fatalf("%q: %q and %q", b.String(), whole, parts)
		}
	}
}

// Cutting the stream anywhere must not change what is read.
func TestScannerDoesNotDependOnReads(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	alphabet := []string{"a", ",", "\"", "\n", "\r\n", "\"\"", "b c"}
	for range 300 {
		var b strings.Builder
		for range rng.IntN(60) {
			b.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		whole := parse(t, strings.NewReader(b.String()), ',')
		parts := parse(t, iotest.HalfReader(iotest.OneByteReader(strings.NewReader(b.String()))), ',')
		if !slices.EqualFunc(whole, parts, equal) {
			t.Fatalf("%q: %v and %v", b.String(), whole, parts)
		}
	}
}

// BenchmarkCSV compares with encoding/csv on plain rows, and on rows that all have a quoted cell.
func BenchmarkCSV(b *testing.B) {
	const plain = "C0001,Ann,Lee,ann@example.com,+12065550100,,1980-01-02,F,Acme Inc,1 Main St,Springfield,IL,62701,US,gold,\n"
	for name, row := range map[string]string{"plain": plain, "quoted": strings.Replace(plain, "Acme Inc", `"Acme, Inc"`, 1)} {
		data := strings.Repeat(row, 100_000)
		b.Run(name+"/ours", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				sc := NewScanner(strings.NewReader(data))
				var cs [][]byte
				var scratch []byte
				for {
					rec, err := sc.Next()
					if err != nil {
						break
					}
					cs, scratch = Split{Delim: ','}.Cells(rec.Text, cs, scratch)
				}
			}
		})
		b.Run(name+"/encoding-csv", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				r := csv.NewReader(strings.NewReader(data))
				r.ReuseRecord = true
				for {
					if _, err := r.Read(); err != nil {
						break
					}
				}
			}
		})
	}
}
