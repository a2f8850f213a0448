package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"

	"kith/upload/table/charset"
)

// Reading is a way to read a file whose encoding is not certain.
type Reading struct {
	Encoding string
	// Samples are words as this reading has them, by which a person can tell whether it is right.
	Samples []string
}

// decision is what a text was found to be.
type decision struct {
	encoding string // IANA name
	decoder  encoding.Encoding
	mark     bool
	readings []Reading // more than one when it is not certain
}

// asUTF8 reads a text as it is.
var asUTF8 = decision{encoding: "UTF-8"}

// iso2022JP reads a text that switches to Japanese characters by escape sequences.
var iso2022JP = decision{encoding: "ISO-2022-JP", decoder: japanese.ISO2022JP}

// byMark recognises what tells itself by its first bytes: a byte-order mark, UTF-16 without one, or escape sequences.
func byMark(head []byte) (d decision, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return decision{encoding: "UTF-8", mark: true}, true
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return decision{encoding: "UTF-16LE", mark: true, decoder: unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)}, true
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return decision{encoding: "UTF-16BE", mark: true, decoder: unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)}, true
	}
	if escapesJapanese(head) && highByte(head) < 0 {
		return iso2022JP, true
	}
	if name, dec := bareUTF16(head); dec != nil {
		return decision{encoding: name, decoder: dec}, true
	}
	return d, false
}

// byLetters decides what a text is by the bytes beyond ASCII that it has; it has some. Words in valid UTF-8 prove that it is UTF-8, also where
// other rows hold other bytes: those are rejected one by one.
func byLetters(text []byte, macLines bool) decision {
	sure, likely := isUTF8(text)
	if sure {
		return asUTF8
	}
	guesses := charset.Detect(text, macLines)
	if likely {
		d, utf8 := asUTF8, charset.Guess{Charset: &charset.Charset{Name: asUTF8.encoding, Encoding: unicode.UTF8}}
		d.readings = readings(append([]charset.Guess{utf8}, guesses[:min(len(guesses), maxReadings-1)]...), text)
		return d
	}
	d := decision{encoding: guesses[0].Name, decoder: guesses[0].Encoding}
	if guesses[0].Lead < charset.Certain {
		d.readings = readings(guesses, text)
	}
	return d
}

// isUTF8 says whether a text reads as UTF-8 more than could be by chance: it has more characters of several bytes than bytes that are part of
// none, or several words of it are valid, and not many fewer than those that are not. Of 37,000 rows in 28 other encodings none is taken for UTF-8. It is
// likely that it is when as many words are valid as not.
func isUTF8(text []byte) (sure, likely bool) {
	several, none, valid, other := 0, 0, 0, 0
	for len(text) > 0 {
		n := bytes.IndexAny(text, " ,;\t|\"\r\n")
		word := text
		if n >= 0 {
			word, text = text[:n], text[n+1:]
		} else {
			text = nil
		}
		good, bad := multibyte(word)
		several, none = several+good, none+bad
		switch {
		case bad > 0:
			other++
		case good > 0:
			valid++
		}
	}
	return several > none || valid >= 5 && 2*valid > other, valid > 0 && valid >= other
}

// multibyte counts the characters of several bytes in a text, and the bytes that are part of no character.
func multibyte(text []byte) (characters, none int) {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case n > 1:
			characters++
		case r == utf8.RuneError:
			none++
		}
		text = text[n:]
	}
	return characters, none
}

// maxSamples is how many words a reading shows.
const maxSamples = 3

// maxReadings is how many readings are shown.
const maxReadings = 3

// readings shows words on which the guesses differ.
func readings(guesses []charset.Guess, text []byte) []Reading {
	out := make([]Reading, len(guesses))
	for i, g := range guesses {
		out[i].Encoding = g.Name
	}
	seen := map[string]bool{}
	for _, word := range bytes.FieldsFunc(text, func(r rune) bool { return r < utf8.RuneSelf && strings.ContainsRune(",;\t|\"\r\n", r) }) {
		if highByte(word) < 0 || len(word) > 60 || seen[string(word)] {
			continue
		}
		seen[string(word)] = true
		all := make([]string, len(guesses))
		differ := false
		for i, g := range guesses {
			b, err := g.Encoding.NewDecoder().Bytes(word)
			if err != nil {
				b = nil
			}
			all[i] = strings.TrimSpace(string(b))
			differ = differ || all[i] != all[0]
		}
		if !differ {
			continue
		}
		for i := range all {
			out[i].Samples = append(out[i].Samples, all[i])
		}
		if len(out[0].Samples) == maxSamples {
			break
		}
	}
	return out
}

// highByte returns where the first byte beyond ASCII is, or -1.
func highByte(b []byte) int {
	for i := 0; i < len(b); {
		if len(b)-i >= 8 {
			w := b[i : i+8 : i+8]
			if (w[0]|w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7])&utf8.RuneSelf == 0 {
				i += 8
				continue
			}
		}
		if b[i] >= utf8.RuneSelf {
			return i
		}
		i++
	}
	return -1
}

// bareUTF16 recognises UTF-16 without a byte-order mark: by its NUL bytes, which all stand at odd or at even places, and by what it reads as, which is text in
// lines. In the languages of Europe nearly every other byte of it is NUL; in others only those of delimiters, digits and line ends are.
func bareUTF16(head []byte) (string, encoding.Encoding) {
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i%2]++
		}
	}
	units := len(head) / 2
	switch {
	case len(head) < 4:
	case zeros[0] == 0 && 20*zeros[1] > units && (3*zeros[1] > 2*units || readsAsUTF16(head, binary.LittleEndian)):
		return "UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case zeros[1] == 0 && 20*zeros[0] > units && (3*zeros[0] > 2*units || readsAsUTF16(head, binary.BigEndian)):
		return "UTF-16BE", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return "", nil
}

// readsAsUTF16 says whether bytes are text in an order of UTF-16: lines of letters and signs, without control characters and halves of characters.
func readsAsUTF16(head []byte, order binary.ByteOrder) bool {
	lines, ascii, high := 0, 0, false
	for ; len(head) >= 2; head = head[2:] {
		u := rune(order.Uint16(head))
		switch {
		case high != (u >= 0xdc00 && u < 0xe000):
			return false
		case u == '\n', u == '\r':
			lines++
		case u < ' ' && u != '\t', u == 0x7f, u >= 0xfdd0 && u < 0xfdf0, u >= 0xfffe:
			return false
		case u < utf8.RuneSelf:
			ascii++
		}
		high = u >= 0xd800 && u < 0xdc00
	}
	return lines > 0 && ascii > 0
}

// escapesJapanese says whether a text switches to Japanese characters by escape sequences, as ISO-2022-JP does, which has bytes of ASCII only.
func escapesJapanese(head []byte) bool {
	return bytes.Contains(head, []byte("\x1b$B")) || bytes.Contains(head, []byte("\x1b$@"))
}

// File is a file that can be read from anywhere.
type File interface {
	Stream(off int64) io.Reader
	Size() int64
}

// Bounds of what Evidence reads, and of what it returns.
const (
	evidencePieces = 64
	evidencePiece  = 16 << 10
	evidenceText   = 32 << 20 // of a compressed file
	maxEvidence    = 256 << 10
)

// Evidence returns lines with bytes beyond ASCII from all over a file, by which Open tells its encoding: from 64 places, or from the first
// 32 MiB of the text of a compressed file. It is empty when there are none, and when the file can't be read, which Open will say.
func Evidence(ctx context.Context, file File) []byte {
	text, err := Open(ctx, file.Stream(0), Options{})
	if err != nil {
		return nil
	}
	defer text.Close()
	if text.certain {
		return nil
	}
	var found []byte
	if text.Compression != "" {
		r := io.LimitReader(text.raw, evidenceText)
		for piece := make([]byte, evidencePiece); len(found) < maxEvidence; {
			n, err := io.ReadFull(r, piece)
			found = appendHighLines(found, piece[:n])
			if err != nil {
				break
			}
		}
		return found
	}
	step := max(evidencePiece, file.Size()/evidencePieces)
	for off := int64(0); off < file.Size() && len(found) < maxEvidence && ctx.Err() == nil; off += step {
		piece := make([]byte, evidencePiece)
		n, err := io.ReadFull(file.Stream(off), piece)
		piece = piece[:n]
		if i := bytes.IndexAny(piece, "\r\n"); off > 0 && i >= 0 {
			piece = piece[i:] // where it begins may lie inside a character
		}
		found = appendHighLines(found, piece)
		if err != nil && n == 0 {
			break
		}
	}
	return found
}

// appendHighLines appends the lines of a text that have bytes beyond ASCII.
func appendHighLines(dst, text []byte) []byte {
	for len(text) > 0 {
		i := highByte(text)
		if i < 0 {
			return dst
		}
		from := 1 + bytes.LastIndexAny(text[:i], "\r\n")
		to := len(text)
		if n := bytes.IndexAny(text[i:], "\r\n"); n >= 0 {
			to = i + n + 1
		}
		dst = append(dst, text[from:to]...)
		text = text[to:]
	}
	return dst
}

// lineEnd names the first line end, which is that of the header. Line ends inside quotes are none; CR counts only when there is no LF
// outside quotes.
func lineEnd(head []byte) string {
	quoted, opening, cr := false, true, false // opening: a quote here opens a cell
	for i, c := range head {
		switch {
		case c == '"' && (quoted || opening):
			quoted, opening = !quoted, false
		case quoted:
		case c == '\n':
			if i > 0 && head[i-1] == '\r' {
				return "CRLF"
			}
			return "LF"
		case c == '\r':
			cr = true
			opening = true
		default:
			opening = strings.IndexByte(Delimiters, c) >= 0
		}
	}
	if cr {
		return "CR"
	}
	return ""
}
