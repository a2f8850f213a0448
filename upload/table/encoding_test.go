package table

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/text/encoding/charmap"
	textjapanese "golang.org/x/text/encoding/japanese"

	"kith/upload/table/charset"
)

// memory is a file in memory.
type memory []byte

func (m memory) Stream(off int64) io.Reader { return bytes.NewReader(m[min(off, int64(len(m))):]) }
func (m memory) Size() int64                { return int64(len(m)) }

func encoded(t *testing.T, cm *charmap.Charmap, text string) string {
	t.Helper()
	out, err := cm.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// read opens a file with all that is known of it, and reads it.
func read(t *testing.T, file string, o Options) (*Text, string) {
	t.Helper()
	o.Evidence = Evidence(t.Context(), memory(file))
	text, err := Open(t.Context(), strings.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	b, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return text, string(b)
}

const polish = "1,Łukasz Wiśniewski,Łódź\n2,Małgorzata Dąbrowska,Gdańsk\n3,Żaneta Kowalczyk,Świętochłowice\n"

// Wherever the bytes are that tell an encoding, they are found.
func TestEvidenceIsFoundAnywhere(t *testing.T) {
	plain := strings.Repeat("77,Jan Nowak,Warszawa\n", 200_000) // 4.4 MB
	in := encoded(t, charmap.Windows1250, polish)
	for name, c := range map[string]struct{ file, text string }{
		"in the head":          {in + plain, polish + plain},
		"in the middle":        {plain + strings.Repeat(in, 3000) + plain, plain + strings.Repeat(polish, 3000) + plain},
		"at the end":           {plain + in, plain + polish},
		"at the end, zipped":   {string(compress(t, plain+in)), plain + polish},
		"in the middle, gzip":  {string(compress(t, plain+in+plain)), plain + polish + plain},
		"a single e-acute":     {plain + encoded(t, charmap.Windows1252, "1,Zoé,Orléans\n"), plain + "1,Zoé,Orléans\n"},
		"UTF-8 at the end":     {plain + polish, plain + polish},
		"UTF-8 and bad rows":   {"1,Zo\xe9,x\n" + plain + strings.Repeat(polish, 10), "1,Zo\xe9,x\n" + plain + strings.Repeat(polish, 10)},
		"a bad byte in a word": {"id,name\n1,Zoé é\xff\n2,Käthe\xff\n", "id,name\n1,Zoé é\xff\n2,Käthe\xff\n"},
		"the only word":        {"id,name\n1,Käthé\xe9\n", "id,name\n1,Käthé\xe9\n"},
		"as many as not":       {"id,name\n1,Zoé\n2,Jos\xe9\n", "id,name\n1,Zoé\n2,Jos\xe9\n"},
		"UTF-8 in the sample":  {"1,Zo\xe9,x\n2,Zoé,y\n3,Björn,z\n", "1,Zo\xe9,x\n2,Zoé,y\n3,Björn,z\n"},
		"old Mac, LF in cells": {encoded(t, charmap.Macintosh, "id,name\r1,\"Zoé\nÉmile\"\r2,Björn Müller\r"), "id,name\n1,\"Zoé\nÉmile\"\n2,Björn Müller\n"},
	} {
		t.Run(name, func(t *testing.T) {
			text, got := read(t, c.file, Options{})
			if got != c.text {
				i := 0
				for i < min(len(got), len(c.text)) && got[i] == c.text[i] {
					i++
				}
				t.Errorf("read as %s, differs at %d: %.40q, want %.40q", text.ReadAs(), i, got[i:], c.text[i:])
			}
		})
	}
}

// What is not certain is said, with words as each reading has them; what a caller says is obeyed.
func TestThinEvidenceIsSaid(t *testing.T) {
	file := "id,name\n1,M\xe3d\xe3lina\n"
	text, _ := read(t, file, Options{})
	if len(text.Readings) < 2 {
		t.Fatalf("%s is certain", text.ReadAs())
	}
	if r := text.Readings[0]; r.Encoding != "windows-1250" || len(r.Samples) != 1 || r.Samples[0] != "Mădălina" {
		t.Errorf("%+v", r)
	}
	text, _ = read(t, "id,name\n1,Zoé\n2,Jos\xe9\n", Options{})
	if r := text.Readings; len(r) != 3 || r[0].Encoding != "UTF-8" || r[0].Samples[0] != "Zoé" {
		t.Errorf("a row in UTF-8 and one in another encoding: %+v", r)
	}
	for name, want := range map[string]string{"cp1250": "Mădălina", "Windows-1252": "Mãdãlina", "latin1": "Mãdãlina", "mac": "M„d„lina", "IBM437": "Mπdπlina", "utf8": "M\xe3d\xe3lina"} {
		text, got := read(t, file, Options{Encoding: name})
		if got != "id,name\n1,"+want+"\n" || text.Readings != nil {
			t.Errorf("%s: %q, %+v", name, got, text.Readings)
		}
	}
	if _, err := Open(t.Context(), strings.NewReader(file), Options{Encoding: "klingon"}); err == nil || !strings.Contains(err.Error(), "windows-1250") {
		t.Errorf("an unknown encoding: %v", err)
	}
}

// No row in another encoding is taken for UTF-8.
func TestOtherEncodingsAreNotUTF8(t *testing.T) {
	f, err := os.Open("charset/testdata/rows.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{"ja": "EUC-JP Shift_JIS", "ko": "EUC-KR", "zh-Hans": "GB18030", "zh-Hant": "Big5 GB18030"}
	rows, likely := 0, 0
	for sc := bufio.NewScanner(z); sc.Scan(); {
		language, row, _ := strings.Cut(sc.Text(), "\t")
		for _, name := range charset.Names() {
			wide := strings.Contains("EUC-JP Shift_JIS EUC-KR GB18030 Big5", name)
			if wide && !strings.Contains(written[language], name) {
				continue
			}
			b, err := charset.ByName(name).Encoding.NewEncoder().Bytes([]byte(row))
			if err != nil || highByte(b) < 0 {
				continue
			}
			sure, maybe := isUTF8(b)
			if rows++; sure {
				t.Errorf("%s in %s: %q", row, name, b)
			}
			if maybe {
				likely++
				t.Logf("%s in %s: %q", row, name, b)
			}
		}
	}
	if rows < 30_000 || likely > rows/1000 {
		t.Errorf("of %d rows, %d are likely UTF-8", rows, likely)
	}
}

// UTF-16 is recognised without a mark whatever its language, and Japanese by its escape sequences, wherever they begin.
func TestOtherTextsWithoutAMark(t *testing.T) {
	const russian, japanese, thai = "id;Имя;Город\n1;Сергей;Москва\n2;Ольга;Ярославль\n", "番号,名,市\n1,太郎,横浜市\n2,花子,大阪市 𠮷\n", "id,ชื่อ\n1,สมชาย\n"
	wide := func(order binary.AppendByteOrder, text string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
	escaped, err := textjapanese.ISO2022JP.NewEncoder().String(strings.ReplaceAll(japanese, " 𠮷", ""))
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.Repeat("77,Jan,Bonn\n", 20_000)
	for name, c := range map[string]struct{ file, encoding, text string }{
		"Russian, little":  {wide(binary.LittleEndian, russian), "UTF-16LE", russian},
		"Russian, big":     {wide(binary.BigEndian, russian), "UTF-16BE", russian},
		"Japanese, little": {wide(binary.LittleEndian, japanese), "UTF-16LE", japanese},
		"Thai, big":        {wide(binary.BigEndian, thai), "UTF-16BE", thai},
		"escapes":          {escaped, "ISO-2022-JP", strings.ReplaceAll(japanese, " 𠮷", "")},
		"late escapes":     {plain + escaped, "ISO-2022-JP", plain + strings.ReplaceAll(japanese, " 𠮷", "")},
		"another escape":   {"id,note\n1,\x1b[0m\n", "UTF-8", "id,note\n1,\x1b[0m\n"},
		"NULs in a table":  {"id,na\x00me\n1,a\n2,b\n3,c\n4,d\n", "UTF-8", "id,na\x00me\n1,a\n2,b\n3,c\n4,d\n"},
	} {
		if text, got := read(t, c.file, Options{}); text.ReadAs() != c.encoding || got != c.text {
			t.Errorf("%s: %s, %.60q", name, text.ReadAs(), got)
		}
	}
}

func TestLineEnd(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "", "a\nb": "LF", "a\r\nb": "CRLF", "a\rb\r": "CR", "\"a\nb\"\rc\r": "CR", "x,\"a\r\nb\"\rc\r": "CR", "5\" x\ny": "LF", "\"a\rb\"\nc": "LF", "a;\"b\nc\"\r\n": "CRLF",
	} {
		if got := lineEnd([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestHighByte(t *testing.T) {
	for n := range 40 {
		b := bytes.Repeat([]byte("x"), 40)
		b[n] = 0xe9
		if got := highByte(b); got != n {
			t.Errorf("%d: %d", n, got)
		}
	}
	if highByte([]byte("all of this is ASCII")) != -1 {
		t.Error("ASCII has a high byte")
	}
}
