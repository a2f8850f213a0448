package table

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// detect names the encoding of a file by its first bytes, and returns its decoder unless it is UTF-8.
func (t *Text) detect(head []byte) (encoding.Encoding, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		t.Encoding, t.ByteOrder = "UTF-8", true
		return nil, nil
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		t.Encoding, t.ByteOrder = "UTF-16LE", true
		return unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), nil
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		t.Encoding, t.ByteOrder = "UTF-16BE", true
		return unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM), nil
	}
	if name, dec := bareUTF16(head); dec != nil {
		t.Encoding = name
		return dec, nil
	}
	if validPrefix(head) {
		t.Encoding = "UTF-8"
		return nil, nil
	}
	// UTF-8 with single bad bytes stays UTF-8: the rows that hold them are rejected.
	if mostlyUTF8(head) {
		t.Encoding = "UTF-8"
		return nil, nil
	}
	name := chardet.Detect(head).Encoding
	dec, err := htmlindex.Get(name)
	if err != nil || strings.EqualFold(name, "ISO-8859-1") || strings.EqualFold(name, "ascii") || dec == charmap.Windows1252 || name == "" {
		t.Encoding = "windows-1252"
		return charmap.Windows1252, nil
	}
	if t.Encoding, err = htmlindex.Name(dec); err != nil || t.Encoding == "utf-8" {
		t.Encoding = "UTF-8"
		return nil, nil
	}
	return dec, nil
}

// validPrefix says whether head is the beginning of valid UTF-8; a rune that the end cuts is passed over.
func validPrefix(head []byte) bool {
	if len(head) == detectBytes {
		for i := 1; i <= utf8.UTFMax; i++ {
			if utf8.RuneStart(head[len(head)-i]) {
				if !utf8.FullRune(head[len(head)-i:]) {
					head = head[:len(head)-i]
				}
				break
			}
		}
	}
	return utf8.Valid(head)
}

// mostlyUTF8 says whether there are more multi-byte runes than bytes that belong to none.
func mostlyUTF8(head []byte) bool {
	good, bad := 0, 0
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			bad++
		} else if n > 1 {
			good++
		}
		head = head[n:]
	}
	return good > 2*bad
}

// bareUTF16 recognises UTF-16 without a byte-order mark by its NUL bytes, which all stand at odd or at even places.
func bareUTF16(head []byte) (string, encoding.Encoding) {
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i%2]++
		}
	}
	switch half := len(head) / 2; {
	case len(head) < 4:
	case zeros[0] == 0 && zeros[1] > half*2/3:
		return "UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case zeros[1] == 0 && zeros[0] > half*2/3:
		return "UTF-16BE", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return "", nil
}

// lineEnd names the first line end, which is that of the header; CR counts only when there is no LF at all.
func lineEnd(head []byte) string {
	lf, cr := bytes.IndexByte(head, '\n'), bytes.IndexByte(head, '\r')
	switch {
	case lf > 0 && head[lf-1] == '\r':
		return "CRLF"
	case lf >= 0:
		return "LF"
	case cr >= 0:
		return "CR"
	}
	return ""
}
