package table

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// specify says which records a text has, as plainly as it can be said: every record is followed byte by byte from its start, up to
// longest bytes, and when it can't be read the next one begins at the next line. It is what Scanner must agree with, and quadratic.
func specify(text []byte, delim byte, longest int) (all []parsed) {
	line := int64(1)
	for len(text) > 0 {
		first := len(text) // length of the first line with its end
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			first = i + 1
		}
		if len(bytes.TrimSuffix(text[:first], []byte("\n"))) > longest {
			all = append(all, parsed{nil, line, TooLong})
			text, line = text[first:], line+1
			continue
		}
		n, fault := specifyRecord(text, delim, longest)
		if fault != "" {
			all = append(all, parsed{nil, line, fault})
			n = first
		} else if rec := trimLine(text[:n]); len(rec) > 0 {
			cells, _ := Split{Delim: delim}.Cells(rec, nil, nil)
			p := parsed{line: line}
			for _, c := range cells {
				p.cells = append(p.cells, string(c))
			}
			all = append(all, p)
		}
		line += max(1, int64(bytes.Count(text[:n], []byte("\n"))))
		text = text[n:]
	}
	return all
}

// specifyRecord returns the length of the first record of text, with its line end.
func specifyRecord(text []byte, delim byte, longest int) (int, Fault) {
	quoted, fresh := false, true // inside quotes; at the start of a cell
	for i := 0; i < len(text); i++ {
		if i > longest { // one byte more may be its line end, which was looked at
			if quoted {
				return 0, OpenQuote
			}
			return 0, TooLong
		}
		c := text[i]
		switch {
		case !quoted && c == '\n':
			return i + 1, ""
		case !quoted:
			quoted, fresh = fresh && c == '"', c == delim
		case c == '"':
			next := text[i+1:]
			beyond := i+1 > longest // what follows is out of reach
			switch {
			case len(next) == 0:
				return specifyLength(i+1, longest)
			case beyond:
				return 0, OpenQuote // it may be one of a pair
			case next[0] == '"':
				i++
			case next[0] == delim:
				quoted, fresh = false, true
				i++
			case next[0] == '\n':
				return i + 2, ""
			case next[0] == '\r' && len(next) == 1:
				return specifyLength(i+2, longest)
			case next[0] == '\r' && i+2 > longest:
				return 0, OpenQuote
			case next[0] == '\r' && next[1] == '\n':
				return i + 3, ""
			default:
				return 0, BadQuote
			}
		}
	}
	if quoted {
		return 0, OpenQuote
	}
	return specifyLength(len(text), longest)
}

func specifyLength(n, longest int) (int, Fault) {
	if n > longest {
		return 0, TooLong
	}
	return n, ""
}

// pieces are what texts that scanners stumble over are made of.
var pieces = []string{
	"\"", "\"", "\"\"", ",", ",\"", "\",", "\n", "\n", "\r\n", "\"\n", "\"\r\n", "\n\"", "5\",\"x\n", "\"a\"b\n", "\"a\n", ",,", "x", "yyyyyyy", "\r", ";", "\"x\",", "\"\n\"",
}

func adversary(rng *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		var unit strings.Builder
		for range 1 + rng.IntN(5) {
			unit.WriteString(pieces[rng.IntN(len(pieces))])
		}
		for range 1 + rng.IntN(1+rng.IntN(40)) {
			b.WriteString(unit.String())
		}
	}
	return b.String()
}

func scanAll(t testing.TB, r io.Reader, longest int) (all []parsed, looked int64) {
	t.Helper()
	sc := newScanner(r, longest)
	var cells [][]byte
	var scratch []byte
	for {
		rec, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return all, sc.looked
		}
		if err != nil {
			t.Fatal(err)
		}
		p := parsed{line: rec.Line, fault: rec.Fault}
		if rec.Fault == "" {
			cells, scratch = Split{Delim: sc.delim}.Cells(rec.Text, cells, scratch)
			for _, c := range cells {
				p.cells = append(p.cells, string(c))
			}
		}
		all = append(all, p)
	}
}

// maxLooks is how often a byte of a text may be looked at. It is looked at for its line's end, for a quote in its line, when its
// record is read from its first line and from inside quotes, and moved in the buffer.
const maxLooks = 10

// Whatever a text holds, its records are those of the specification, and finding them takes a bounded number of looks at each byte.
func TestScannerIsLinearAndExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 4))
	for round := range 3000 {
		longest := 1 + rng.IntN(120)
		text := adversary(rng, rng.IntN(1200))
		got, looked := scanAll(t, strings.NewReader(text), longest)
		want := specify([]byte(text), ',', longest)
		if !slices.EqualFunc(got, want, equal) {
			t.Fatalf("round %d, records of up to %d bytes of %q:\ngot  %v\nwant %v", round, longest, text, got, want)
		}
		if most := int64(maxLooks * (len(text) + longest + 2)); looked > most {
			t.Fatalf("round %d, records of up to %d bytes: %d looks at a text of %d bytes: %q", round, longest, looked, len(text), text)
		}
	}
}

// Texts that follow every record as far as a record may go, or search every cell's line to its end.
func TestScannerIsLinearAtFullSize(t *testing.T) {
	for name, text := range map[string]string{
		"a quote opens in every line":      strings.Repeat("5\",\"x\n", 300_000),
		"and none closes":                  strings.Repeat("\"x\n", 600_000),
		"and the last one is bad":          strings.Repeat("5\",\"x\n", 170_000) + "\"\"y\n",
		"every line, and a long last one":  strings.Repeat("5\",\"x\n", 100_000) + "\"," + strings.Repeat("y", 2<<20),
		"many quoted cells in one record":  strings.Repeat("\"a\",", 250_000) + "\n",
		"many quoted cells without an end": strings.Repeat("\"a\",", 1_000_000),
		"a bad quote in every line":        strings.Repeat("\"a\"b\n", 300_000),
		"quotes only":                      strings.Repeat("\"", 3<<20),
		"quotes and line ends":             strings.Repeat("\"\n", 1<<20),
		"line ends only":                   strings.Repeat("\n", 3<<20),
		"no line end":                      strings.Repeat("x", 5<<20),
		"quotes that open nothing":         strings.Repeat("x\"", 400_000) + "\n",
		"pairs of quotes":                  "\"" + strings.Repeat("\"\"", 400_000) + "\n" + strings.Repeat("\"\"\n", 400_000),
		"carriage returns":                 strings.Repeat("\"\r", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			sc := NewScanner(strings.NewReader(text))
			for {
				_, err := sc.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if most := int64(maxLooks * (len(text) + MaxRecord)); sc.looked > most {
				t.Fatalf("%d looks at %d bytes", sc.looked, len(text))
			}
		})
	}
}

// The top of a text, too, is read with a bounded number of looks at each byte, and its records are those that following each from its start finds.
func TestTopIsLinearAndExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	texts := []string{"a,b\n" + strings.Repeat("x\",\"y\n", 15_000) + "\"z\n", strings.Repeat("x\";\"\n", 15_000) + "\"z\n", strings.Repeat("\n", 100_000), strings.Repeat("\"\n", 50_000)}
	for range 3000 {
		texts = append(texts, adversary(rng, rng.IntN(1200)))
	}
	for _, text := range texts {
		sc := NewScanner(strings.NewReader(text))
		_ = sc.Header(Layout{}, func([]string) error { return errors.New("none") })
		if most := int64(2 * len(Delimiters) * maxLooks * (len(text) + 10)); sc.looked > most {
			t.Fatalf("%d looks at a text of %d bytes: %.1000q", sc.looked, len(text), text)
		}
		if len(text) > 2000 {
			continue
		}
		for _, last := range []bool{true, false} {
			top := &top{Scanner: sc, window: []byte(text), last: last}
			var known ahead
			for at := 0; at < len(text); {
				p, first := top.recordAt(at, &known)
				if want := sc.follow(top.window[at:], place{}, last); p != want {
					t.Fatalf("last %v, at %d of %q: %+v, want %+v", last, at, text, p, want)
				}
				if at += first; p.how == ended {
					at += p.at - first
				}
			}
		}
	}
}

// FuzzScanner holds the scanner to its specification, with records short enough for what lies at their limit to come up.
func FuzzScanner(f *testing.F) {
	for _, s := range append(slices.Clone(pieces), strings.Repeat("5\",\"x\n", 9), "\"a\n\"b\nc\"d\n", "\"\r\n\"\r") {
		f.Add([]byte(s), byte(12))
	}
	f.Fuzz(func(t *testing.T, text []byte, longest byte) {
		n := 1 + int(longest)
		got, looked := scanAll(t, bytes.NewReader(text), n)
		if want := specify(text, ',', n); !slices.EqualFunc(got, want, equal) {
			t.Fatalf("records of up to %d bytes of %q:\ngot  %v\nwant %v", n, text, got, want)
		}
		if looked > int64(maxLooks*(len(text)+n+2)) {
			t.Fatalf("%d looks at %d bytes", looked, len(text))
		}
	})
}

// tap counts what is read, and calls stop at a point.
type tap struct {
	r    io.Reader
	n    int
	at   int
	stop func()
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.n += n; t.n >= t.at && t.stop != nil {
		t.stop()
	}
	return n, err
}

var errStop = errors.New("stop")

// A stop is noticed within a bounded number of bytes of the file and of its text, in whatever state reading is: in a file that holds
// no text, in a record without end, among blank lines, ahead of an open quote.
func TestStopIsNoticed(t *testing.T) {
	nothing := bytes.Repeat(compress(t, ""), 1<<16) // gzip members without a byte of text
	for name, c := range map[string]struct {
		file           []byte
		atFile, atText int // where the stop comes
	}{
		"one record":       {bytes.Repeat([]byte("x"), 8<<20), 3 << 20, 0},
		"blank lines":      {bytes.Repeat([]byte("\n"), 2<<20), 1 << 20, 0},
		"open quotes":      {bytes.Repeat([]byte("5\",\"x\n"), 1<<20), 3 << 20, 0},
		"plain rows":       {bytes.Repeat([]byte("a,b,c\n"), 1<<20), 3 << 20, 0},
		"UTF-16":           {append([]byte("\xff\xfe"), bytes.Repeat([]byte("x\x00"), 2<<20)...), 1 << 20, 0},
		"CR line ends":     {bytes.Repeat([]byte("a\rb\r"), 1<<20), 1 << 20, 0},
		"gzip":             {compress(t, strings.Repeat("x", 16<<20)), 0, 4 << 20},
		"gzip blank lines": {compress(t, strings.Repeat("\n", 4<<20)), 0, 1 << 20},
		"zstd":             {zstdOf(t, strings.Repeat("x", 16<<20)), 0, 4 << 20},
		"empty gzip":       {append(compress(t, "id\n"), nothing...), 1 << 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			file, text := &tap{r: bytes.NewReader(c.file), at: c.atFile}, &tap{at: c.atText}
			fileAt, textAt := 0, 0 // of the stop
			once := func() {
				if ctx.Err() == nil {
					fileAt, textAt = file.n, text.n
					stop(errStop)
				}
			}
			if c.atFile > 0 {
				file.stop = once
			} else {
				text.stop = once
			}
			opened, err := Open(ctx, file, Options{})
			if err == nil {
				defer opened.Close()
				text.r = opened
				sc := NewScanner(text)
				for err == nil {
					_, err = sc.Next()
				}
			}
			if !errors.Is(err, errStop) {
				t.Fatalf("it ended with %v", err)
			}
			if f, x := file.n-fileAt, text.n-textAt; f > stopEvery || x > stopEvery {
				t.Fatalf("%d bytes of the file and %d of the text were read after the stop", f, x)
			}
		})
	}
}

func ExampleScanner() {
	sc := NewScanner(strings.NewReader("id;name\n1;\"Lee; Ann\"\n2;\"open\n"))
	err := sc.Header(Layout{}, func(names []string) error {
		if !slices.Contains(names, "name") {
			return errors.New("no name")
		}
		return nil
	})
	for err == nil {
		var rec Record
		if rec, err = sc.Next(); err == nil {
			cells, _ := Split{Delim: sc.Delimiter()}.Cells(rec.Text, nil, nil)
			fmt.Printf("line %d: %q, fault %q\n", rec.Line, cells, rec.Fault)
		}
	}
	// Output:
	// line 2: ["1" "Lee; Ann"], fault ""
	// line 3: ["2" "open"], fault "open-quote"
}
