package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Whatever a file holds, its text is found or refused with a reason for the customer, and what is UTF-8 comes through as it is.
func FuzzOpen(f *testing.F) {
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	_, _ = g.Write([]byte("id,name\n1,x\n"))
	_ = g.Close()
	z, _ := zstd.NewWriter(&zs)
	_, _ = z.Write([]byte("id,name\n1,x\n"))
	_ = z.Close()
	for _, seed := range []string{"", "id\n1\n", "\xef\xbb\xbfid\n", "\xff\xfei\x00d\x00", "\xfe\xff\x00i\x00d", "i\x00d\x00\n\x00", "M\xfcller\n", "a\rb\r", "PK\x03\x04", gz.String(), zs.String(), gz.String()[:20]} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, file []byte, strict bool) {
		text, err := Open(t.Context(), bytes.NewReader(file), Options{Strict: strict})
		var bad *FileError
		if err != nil {
			if !errors.As(err, &bad) || len(bad.Reason) < 20 {
				t.Fatalf("%v is no reason", err)
			}
			return
		}
		defer text.Close()
		got, err := io.ReadAll(io.LimitReader(text, 64<<20))
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("%v is no reason", err)
		}
		if text.Compression != "" {
			return
		}
		if text.ReadAs() != "UTF-8" && !utf8.Valid(got) {
			t.Fatalf("%s did not become UTF-8", text.ReadAs())
		}
		if text.ReadAs() == "UTF-8" {
			want := bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
			if text.LineEnd == "CR" && !strict {
				want = bytes.ReplaceAll(want, []byte("\r"), []byte("\n"))
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%q became %q", file, got)
			}
		}
	})
}

func compress(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstdOf(t testing.TB, text string, o ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, o...)
	if err == nil {
		_, err = io.WriteString(z, text)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpen(t *testing.T) {
	const umlaut = "id,name\n1,M\u00fcller\n2,G\u00f6the und Schr\u00f6der\n"
	latin := strings.NewReplacer("\u00fc", "\xfc", "\u00f6", "\xf6").Replace(umlaut)
	wide := func(order string) string {
		e := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
		if order == "BE" {
			e = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
		}
		out, err := e.NewEncoder().String(umlaut)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	cyrillic, err := charmap.Windows1251.NewEncoder().String(strings.Repeat("\u0418\u043c\u044f \u043a\u043b\u0438\u0435\u043d\u0442\u0430 \u0438 \u0433\u043e\u0440\u043e\u0434\n", 20))
	if err != nil {
		t.Fatal(err)
	}
	bad := "id\n" + strings.Repeat("\u00e4", 10) + "\n\xff\n"
	cut := strings.Repeat("x", detectBytes-1) + "\u00fc\n" // the first window ends inside a rune
	for name, c := range map[string]struct {
		file, text string
		want       Format
	}{
		"empty":           {"", "", Format{Encoding: "UTF-8"}},
		"UTF-8":           {umlaut, umlaut, Format{Encoding: "UTF-8", LineEnd: "LF"}},
		"CRLF":            {"a\r\nb\r\n", "a\r\nb\r\n", Format{Encoding: "UTF-8", LineEnd: "CRLF"}},
		"CR":              {"a\rb\r", "a\nb\n", Format{Encoding: "UTF-8", LineEnd: "CR"}},
		"mark":            {"\xef\xbb\xbf" + umlaut, umlaut, Format{Encoding: "UTF-8", ByteOrder: true, LineEnd: "LF"}},
		"cut rune":        {cut, cut, Format{Encoding: "UTF-8", LineEnd: ""}},
		"single bad byte": {bad, bad, Format{Encoding: "UTF-8", LineEnd: "LF"}},
		"UTF-16LE":        {"\xff\xfe" + wide("LE"), umlaut, Format{Encoding: "UTF-16LE", ByteOrder: true, LineEnd: "LF"}},
		"UTF-16BE":        {"\xfe\xff" + wide("BE"), umlaut, Format{Encoding: "UTF-16BE", ByteOrder: true, LineEnd: "LF"}},
		"bare UTF-16LE":   {wide("LE"), umlaut, Format{Encoding: "UTF-16LE", LineEnd: "LF"}},
		"bare UTF-16BE":   {wide("BE"), umlaut, Format{Encoding: "UTF-16BE", LineEnd: "LF"}},
		"Windows-1252":    {latin, umlaut, Format{Encoding: "windows-1252", LineEnd: "LF"}},
		"gzip":            {string(compress(t, umlaut)), umlaut, Format{Compression: "gzip", Encoding: "UTF-8", LineEnd: "LF"}},
		"gzip members":    {string(compress(t, umlaut)) + string(compress(t, "x")), umlaut + "x", Format{Compression: "gzip", Encoding: "UTF-8", LineEnd: "LF"}},
		"zstd":            {string(zstdOf(t, latin)), umlaut, Format{Compression: "zstd", Encoding: "windows-1252", LineEnd: "LF"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Open(t.Context(), strings.NewReader(c.file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer text.Close()
			got, err := io.ReadAll(text)
			if err != nil || string(got) != c.text || text.Found() != c.want {
				t.Fatalf("%+v, %v: %.200q", text.Format, err, got)
			}
		})
	}
	text, err := Open(t.Context(), strings.NewReader(cyrillic), Options{})
	if err != nil || text.ReadAs() != "windows-1251" {
		t.Fatalf("Cyrillic text is %q, %v", text.Encoding, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	long := strings.Repeat("id,name,city\n", 1<<16)
	gz, zs := string(compress(t, long)), string(zstdOf(t, long))
	const wide = "\x28\xb5\x2f\xfd\x00\x90\x09\x00\x00x" // it asks for a window of 256 MiB
	for name, c := range map[string]struct {
		file   string
		strict bool
		code   string
	}{
		"zip":                  {"PK\x03\x04rest", false, "file-zip"},
		"bzip2":                {"BZh9", false, "file-compressed"},
		"xz":                   {"\xfd7zXZ", false, "file-compressed"},
		"cut gzip":             {gz[:len(gz)-9], false, "file-damaged"},
		"damaged gzip":         {gz[:40] + "\xff\xff\xff\xff" + gz[44:], false, "file-damaged"},
		"no gzip at all":       {"\x1f\x8b\xff\xff", false, "file-damaged"},
		"cut zstd":             {zs[:len(zs)-3], false, "file-damaged"},
		"window":               {wide, false, "file-window"},
		"strict gzip":          {gz, true, "strict-compressed"},
		"strict zstd":          {zs, true, "strict-compressed"},
		"strict mark":          {"\xef\xbb\xbfid\n", true, "strict-encoding"},
		"strict latin":         {"M\xfcller\n", true, "strict-encoding"},
		"strict UTF-16":        {"\xff\xfei\x00", true, "strict-encoding"},
		"damaged at the start": {string(compress(t, ""))[:12], false, "file-damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Open(t.Context(), strings.NewReader(c.file), Options{Strict: c.strict})
			if err == nil {
				_, err = io.Copy(io.Discard, text)
				text.Close()
			}
			var bad *FileError
			if !errors.As(err, &bad) || bad.Code != c.code || !strings.HasSuffix(err.Error(), ".") {
				t.Fatalf("%v", err)
			}
		})
	}
}

// A file that can't be got at the moment is no fault of the file.
func TestErrorsOfTheReaderStay(t *testing.T) {
	broken := errors.New("the disk is on fire")
	long := strings.Repeat("id,name,city\n", 1<<17)
	for name, file := range map[string][]byte{"plain": []byte(long), "gzip": compress(t, long), "zstd": zstdOf(t, long), "gzip header": compress(t, long)[:5]} {
		for _, at := range []int{0, 2, len(file) / 2} {
			text, err := Open(t.Context(), io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(broken)), Options{})
			if err == nil {
				_, err = io.Copy(io.Discard, text)
				text.Close()
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s, cut at %d: %v", name, at, err)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	wants := func(column string) func([]string) error {
		return func(names []string) error {
			if !slices.Contains(names, column) {
				return fmt.Errorf("no %s among %q", column, names)
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		text  string
		delim byte
		err   string
	}{
		"commas":          {"id,name\n1,x\n", ',', ""},
		"semicolons":      {"id;name\n1;x\n", ';', ""},
		"tabs":            {"id\tname\n", '\t', ""},
		"bars":            {"id|name", '|', ""},
		"blank lines":     {"\n\r\n\nid,name\n", ',', ""},
		"quoted":          {"\"id\",\"na\nme\",name\r\n", ',', ""},
		"longest":         {strings.Repeat("x", MaxHeader-5) + ",name\n", ',', ""},
		"another column":  {"id;city\n1;Bonn\n", 0, "no name among [\"id\" \"city\"]"},
		"empty":           {"", 0, "The file is empty"},
		"only blanks":     {"\n\n\r\n", 0, "The file is empty"},
		"too long":        {strings.Repeat("x", MaxHeader-4) + ",name\n", 0, "longer than"},
		"much too long":   {strings.Repeat("x", 3<<20), 0, "longer than"},
		"quotes":          {"\"id,name\n", 0, "quotes"},
		"bad quote":       {"\"id\"x,name\n", 0, "quotes"},
		"no UTF-8":        {"id,n\xffme,name\n", 0, "UTF-8"},
		"NUL":             {"id,\x00,name\n", 0, "NUL"},
		"long and quoted": {"\"" + strings.Repeat("x", 2*MaxHeader) + "\",name\n", 0, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			sc := NewScanner(strings.NewReader(c.text))
			err := sc.Header(Layout{}, wants("name"))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v", err)
				}
				return
			}
			if err != nil || sc.Delimiter() != c.delim {
				t.Fatalf("%v, separated by %q", err, sc.Delimiter())
			}
		})
	}
	broken := errors.New("broken")
	if err := NewScanner(iotest.ErrReader(broken)).Header(Layout{}, wants("x")); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	for _, f := range []Fault{TooLong, OpenQuote, BadQuote} {
		if len(f.Sentence()) < 40 {
			t.Errorf("%s: %q", f, f.Sentence())
		}
	}
	if Fault("").Sentence() != "" {
		t.Error("no fault has a sentence")
	}
}

// Some kB of compressed data that become hundreds of MB take the window of the decompressor and no more, and so do members without end.
func TestDecompressionIsBounded(t *testing.T) {
	// A zstd frame with a window of 64 MiB and blocks of 128 KiB that repeat a byte.
	far := []byte("\x28\xb5\x2f\xfd\x00\x80")
	for i := range 2048 {
		header := uint32(128<<10<<3 | 1<<1)
		if i == 2047 {
			header |= 1
		}
		far = append(far, byte(header), byte(header>>8), byte(header>>16), 'x')
	}
	const mib = 1 << 20
	for name, c := range map[string]struct {
		file  []byte
		bytes int64
		most  uint64
	}{
		"zstd":         {far, 256 * mib, 2*zstdWindow + zstdWindow/4},
		"zstd frames":  {bytes.Repeat(zstdOf(t, strings.Repeat("x", mib)), 100), 100 * mib, 64 * mib},
		"gzip members": {bytes.Repeat(compress(t, strings.Repeat("x", mib)), 100), 100 * mib, 16 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			text, err := Open(t.Context(), bytes.NewReader(c.file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer text.Close()
			n, peak := int64(0), uint64(0)
			for {
				k, err := io.CopyN(io.Discard, text, 8*mib)
				n += k
				runtime.GC()
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if n != c.bytes || peak > c.most {
				t.Fatalf("%d bytes became %d and took %d MiB", len(c.file), n, peak/mib)
			}
		})
	}
}
