package upload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// detectBytes is how much of a file decides what it is.
const detectBytes = 64 << 10

// zstdWindow bounds the memory that a zstd file can ask for; it is what "zstd --long" asks for.
const zstdWindow = 128 << 20

// Format is what a file was found to be.
type Format struct {
	Compression string `json:",omitzero"` // "gzip", "zstd", or ""
	Encoding    string // IANA name
	ByteOrder   bool   `json:",omitzero"` // it begins with a byte-order mark
	LineEnd     string `json:",omitzero"` // "LF", "CRLF" or "CR"
}

// Text is a file as UTF-8 text with line ends that have an LF.
type Text struct {
	Format
	io.Reader
	close func()
}

// Close releases what decompressing holds.
func (t *Text) Close() { t.close() }

// OpenText finds out what a file is by its first 64 kB and returns its text. Gzip and zstd are decompressed; UTF-8, UTF-16 in
// both byte orders, Windows-1252 and what else the library tells apart are decoded; a byte-order mark is dropped; CR alone as
// a line end becomes LF. Bytes that are not valid stay invalid, for the rows that hold them to be rejected. In strict mode
// the text is the file, and what AWS would not read is an error. Errors about the file are of the kind that fails a job.
func OpenText(r io.Reader, strict bool) (*Text, error) {
	t := &Text{close: func() {}}
	buf := bufio.NewReaderSize(r, detectBytes)
	if err := t.decompress(&buf, strict); err != nil {
		return nil, err
	}
	head, err := peek(buf)
	if err != nil {
		t.Close()
		return nil, err
	}
	dec, err := t.detect(head)
	if err == nil && strict && (t.ByteOrder || t.Encoding != "UTF-8") {
		err = &invalid{"strict-encoding", "The file must be UTF-8 without a byte-order mark; the server runs with --strict-aws."}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	t.Reader = buf
	if t.Encoding == "UTF-8" {
		if t.ByteOrder {
			_, _ = buf.Discard(3)
			head = head[3:]
		}
	} else {
		buf = bufio.NewReaderSize(transform.NewReader(buf, dec.NewDecoder()), detectBytes)
		t.Reader = buf
		if head, err = peek(buf); err != nil {
			t.Close()
			return nil, err
		}
	}
	t.LineEnd = lineEnd(head)
	if t.LineEnd == "CR" && !strict {
		t.Reader = crToLF{buf}
	}
	return t, nil
}

// peek returns up to detectBytes without consuming them.
func peek(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(detectBytes)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}

// decompress replaces r by the decompressed stream if it is compressed.
func (t *Text) decompress(r **bufio.Reader, strict bool) error {
	head, err := (*r).Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var plain io.Reader
	from := &source{r: *r}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		t.Compression = "gzip"
		z, err := gzip.NewReader(from)
		if err != nil {
			return from.explain("gzip", err)
		}
		plain = z
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		t.Compression = "zstd"
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return from.explain("zstd", err)
		}
		t.close = z.Close
		plain = z
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return &invalid{"file-zip", "The file is a ZIP archive or an Excel workbook. Save the sheet as CSV; gzip and zstd are read as they are."}
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte("\xfd7zX")):
		return &invalid{"file-compressed", "The file is compressed in a way that is not read here. Use gzip or zstd, or upload it uncompressed."}
	default:
		return nil
	}
	if strict {
		t.Close()
		return &invalid{"strict-compressed", "The file is compressed and must not be; the server runs with --strict-aws."}
	}
	*r = bufio.NewReaderSize(&decompressed{plain, from, t.Compression}, detectBytes)
	return nil
}

// source remembers how reading the compressed data itself failed, if it did.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// decompressed tells the faults of the compressed data apart from those of reading it.
type decompressed struct {
	io.Reader
	from *source
	kind string
}

func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.from.explain(d.kind, err)
	}
	return n, err
}

// explain says that compressed data can't be read, unless it could not be got at all.
func (s *source) explain(kind string, err error) error {
	switch {
	case s.err != nil:
		return s.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &invalid{"file-window", fmt.Sprintf("The zstd file needs a window of more than %d MiB. Compress it again without --ultra or --long.", zstdWindow>>20)}
	}
	return &invalid{"file-damaged", fmt.Sprintf("The %s data of the file is damaged or ends too early. Compress and upload it again.", kind)}
}

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

// crToLF reads a text whose lines end with CR alone.
type crToLF struct{ r io.Reader }

func (c crToLF) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for b := p[:n]; ; {
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			return n, err
		}
		b[i] = '\n'
		b = b[i+1:]
	}
}
