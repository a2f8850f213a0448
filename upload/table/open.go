package table

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"kith/upload/table/charset"
	"kith/upload/table/xlsx"
)

// detectBytes is how much of a file decides what it is.
const detectBytes = 64 << 10

// zstdWindow bounds the memory that a zstd file can ask for: reading takes twice the window. Only the levels above 21 and --long ask
// for more. Without the second half the decoder would move the whole window for every block of 128 KiB, and take a second for 10 MB.
const zstdWindow = 64 << 20

// How much a compressed file may unpack to: these times its size, and so much more. Tables of customers come to 30 times; what unpacks to more was made to
// keep a machine busy.
const (
	unpackTimes = 200
	unpackFloor = 256 << 20
)

// Format is what a file was found to be.
type Format struct {
	Compression string `json:",omitzero"` // "gzip", "zstd", or ""
	Encoding    string // IANA name
	OrElse      string `json:",omitzero"` // the encodings that it may be instead, when it is not certain, separated by commas
	ByteOrder   bool   `json:",omitzero"` // it begins with a byte-order mark
	LineEnd     string `json:",omitzero"` // "LF", "CRLF" or "CR"
	Sheet       string `json:",omitzero"` // of a workbook
	// Uncalculated is how many cells of a sheet have a formula whose value was not saved.
	Uncalculated int64 `json:",omitzero"`
}

// Packed says that the text is not the file's own bytes.
func (f *Format) Packed() bool { return f.Compression != "" || f.Sheet != "" }

// Text is a file as UTF-8 text with line ends that have an LF.
type Text struct {
	Format
	// Readings are the ways to read the file, the likeliest first, when what it is has been decided and is not certain. The first is taken.
	Readings []Reading
	// Sheets are the names of a workbook's sheets, in their order.
	Sheets []string
	io.Reader
	book    *xlsx.Book
	raw     io.Reader // the bytes of the text, before decoding; used by Evidence only
	certain bool      // the first bytes tell what the encoding is
	late    atomic.Pointer[decision]
	close   func()
}

// Close releases what decompressing holds.
func (t *Text) Close() { t.close() }

// ReadAs is the name of the encoding by which the text is being read. Until the first byte beyond ASCII has come by it may be UTF-8 and
// become another. It may be called beside reading.
func (t *Text) ReadAs() string {
	if d := t.late.Load(); d != nil {
		return d.encoding
	}
	return t.Encoding
}

// Found returns what the file was found to be, once it has been read.
func (t *Text) Found() Format {
	f := t.Format
	f.Encoding = t.ReadAs()
	var others []string
	for i, r := range t.Readings {
		if i > 0 {
			others = append(others, r.Encoding)
		}
	}
	f.OrElse = strings.Join(others, ",")
	if t.book != nil {
		f.Uncalculated = t.book.Uncalculated
	}
	return f
}

// Options are what is known of a file.
type Options struct {
	// Strict refuses what AWS would not read, and leaves the text as it is.
	Strict bool
	// Encoding is how the file is to be read; empty is found out.
	Encoding string
	// Evidence is what Evidence has found of the file; without it its first 64 kB decide, if they have a byte beyond ASCII.
	Evidence []byte
	// File is the file once more, to be read from anywhere, as workbooks are; without it they are not.
	File File
	// Sheet is the name or the number of the sheet of a workbook; empty is the first one with something in it.
	Sheet string
	// Spill keeps the texts of a workbook that memory is not to hold; without it there may not be so many.
	Spill func(write func(io.Writer) error) (xlsx.Spill, error)
}

// Open finds out what a file is and returns its text. Gzip and zstd are decompressed; what is not UTF-8 is decoded: UTF-16 in
// both byte orders, and the code pages and multi-byte encodings that package charset tells apart. Of a workbook it is the text of a sheet, a line for each of its
// rows. What is no table, such as a PDF document, is an error that says what it is. A byte-order mark is dropped; CR alone as
// a line end becomes LF. Bytes that are not valid stay invalid, for the rows that hold them to be rejected. When neither the first bytes nor the
// evidence have a byte beyond ASCII, the decision waits for the first one. In strict mode
// the text is the file, and what AWS would not read is an error. Errors about the file are FileErrors. Reading ends soon after ctx
// has ended, with its cause.
func Open(ctx context.Context, r io.Reader, o Options) (*Text, error) {
	t := &Text{close: func() {}}
	// Stopped at both ends: little of a file may become very much text, and much of it none at all.
	buf := bufio.NewReaderSize(stoppable{ctx, r}, detectBytes)
	head, err := peek(buf)
	if err != nil {
		return nil, err
	}
	if other := byMagic(head, o.File); other != nil {
		return nil, other
	}
	if IsZIP(head) {
		return t, t.openBook(ctx, o)
	}
	if o.Sheet != "" {
		return nil, &FileError{"sheet-of-text", fmt.Sprintf("The file is no Excel workbook, so it has no sheet %.40q. Leave the name of the sheet out.", o.Sheet)}
	}
	if err := t.decompress(&buf, o.Strict); err != nil {
		return nil, err
	}
	if err := t.decode(ctx, buf, o); err != nil {
		t.Close()
		return nil, err
	}
	if t.LineEnd == "CR" && !o.Strict {
		t.Reader = crToLF{t.Reader}
	}
	return t, nil
}

// IsZIP says whether a file, by what it begins with, is an archive as workbooks are.
func IsZIP(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// openBook opens a workbook, or says what else a ZIP archive is.
func (t *Text) openBook(ctx context.Context, o Options) (err error) {
	switch {
	case o.Strict:
		return &FileError{"strict-workbook", "The file is a workbook or another archive and must be CSV; the server runs with --strict-aws."}
	case o.File == nil:
		return isA("file-zip", "a ZIP archive or an Excel workbook", saveAs)
	}
	if t.book, err = xlsx.Open(ctx, o.File, xlsx.Options{Sheet: o.Sheet, Spill: o.Spill}); err != nil {
		return asFileError(err)
	}
	t.close, t.certain = t.book.Close, true
	t.Format = Format{Encoding: "UTF-8", LineEnd: "LF", Sheet: t.book.Sheet}
	t.Sheets = t.book.Sheets
	t.Reader = stoppable{ctx, rows{t.book}}
	return nil
}

// rows are the rows of a sheet.
type rows struct{ *xlsx.Book }

func (r rows) Read(p []byte) (int, error) {
	n, err := r.Book.Read(p)
	return n, asFileError(err)
}

func asFileError(err error) error {
	if bad, ok := errors.AsType[*xlsx.Error](err); ok {
		return &FileError{bad.Code, bad.Reason}
	}
	return err
}

// decode decides how the text is read, now or later.
func (t *Text) decode(ctx context.Context, buf *bufio.Reader, o Options) error {
	head, err := peek(buf)
	if err != nil {
		return err
	}
	t.raw = buf
	d, wait, err := t.decide(head, o)
	if err != nil {
		return err
	}
	t.Encoding, t.ByteOrder, t.Readings = d.encoding, d.mark, d.readings
	if o.Strict && (t.ByteOrder || t.Encoding != "UTF-8") {
		return &FileError{"strict-encoding", "The file must be UTF-8 without a byte-order mark; the server runs with --strict-aws."}
	}
	switch {
	case d.decoder != nil:
		buf = bufio.NewReaderSize(transform.NewReader(buf, d.decoder.NewDecoder()), detectBytes)
		if head, err = peek(buf); err != nil {
			return err
		}
	case d.mark:
		_, _ = buf.Discard(3)
		head = head[3:]
	}
	if other := byText(head); other != nil {
		return other
	}
	t.LineEnd = lineEnd(head)
	var text io.Reader = buf
	if wait && !o.Strict {
		text = &undecided{t: t, buf: bufio.NewReaderSize(buf, lookahead)}
	}
	t.Reader = stoppable{ctx, text}
	return nil
}

// decide says what a text is; wait: so far, for there is no byte beyond ASCII.
func (t *Text) decide(head []byte, o Options) (d decision, wait bool, err error) {
	d, t.certain = byMark(head)
	if o.Encoding != "" {
		said, err := Named(o.Encoding)
		if err != nil {
			return d, false, err
		}
		if d.mark && d.encoding == said.encoding {
			return d, false, nil
		}
		t.certain = true
		return said, false, nil
	}
	if t.certain {
		return d, false, nil
	}
	macLines := lineEnd(head) == "CR"
	switch first := appendHighLines(nil, wholeRunes(head)); {
	case len(o.Evidence) > 0:
		return byLetters(o.Evidence, macLines), false, nil
	case len(first) > 0:
		return byLetters(first, macLines), false, nil
	}
	return asUTF8, true, nil
}

// wholeRunes cuts off what may be the first bytes of a character, where a text was cut at detectBytes.
func wholeRunes(head []byte) []byte {
	if len(head) < detectBytes {
		return head
	}
	for i := len(head) - 1; i >= len(head)-utf8.UTFMax; i-- {
		if head[i] < utf8.RuneSelf {
			return head[:i+1]
		}
	}
	return head
}

// Named returns the decision that a caller has taken.
func Named(name string) (d decision, err error) {
	switch strings.ToUpper(strings.ReplaceAll(name, "_", "-")) {
	case "UTF-8", "UTF8", "ASCII", "US-ASCII":
		return asUTF8, nil
	case "UTF-16", "UTF-16LE", "UTF16", "UTF16LE":
		return decision{encoding: "UTF-16LE", decoder: unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}, nil
	case "UTF-16BE", "UTF16BE":
		return decision{encoding: "UTF-16BE", decoder: unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}, nil
	}
	if strings.EqualFold(name, "ISO-2022-JP") {
		return iso2022JP, nil
	}
	if c := charset.ByName(name); c != nil {
		return decision{encoding: c.Name, decoder: c.Encoding}, nil
	}
	return d, &FileError{"encoding-unknown", fmt.Sprintf("%.40q is no encoding that is read here. Those are UTF-8, UTF-16, ISO-2022-JP, %s.", name, strings.Join(charset.Names(), ", "))}
}

// lookahead is how much of a text from its first byte beyond ASCII on decides what it is.
const lookahead = 256 << 10

// undecided is a text that has been ASCII so far, and without escape sequences.
type undecided struct {
	t    *Text
	buf  *bufio.Reader
	rest io.Reader // once it is decided
}

func (u *undecided) Read(p []byte) (int, error) {
	if u.rest != nil {
		return u.rest.Read(p)
	}
	if _, err := u.buf.Peek(1); err != nil {
		return 0, err
	}
	ready, _ := u.buf.Peek(min(u.buf.Buffered(), len(p)))
	i := highByte(ready)
	if i < 0 {
		i = len(ready)
	}
	if esc := bytes.IndexByte(ready[:i], '\x1b'); esc >= 0 {
		i = esc
	}
	if i > 0 {
		return u.buf.Read(p[:i])
	}
	ahead, err := u.buf.Peek(lookahead)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if len(ahead) == lookahead {
		ahead = ahead[:1+bytes.LastIndexAny(ahead, "\r\n ")]
	}
	var d decision
	switch {
	case ahead[0] >= utf8.RuneSelf:
		d = byLetters(appendHighLines(nil, ahead), u.t.LineEnd == "CR")
	case escapesJapanese(ahead[:min(len(ahead), 3)]):
		d = iso2022JP
	default:
		return u.buf.Read(p[:1])
	}
	u.t.late.Store(&d)
	u.t.Readings = d.readings
	u.rest = u.buf
	if d.decoder != nil {
		u.rest = transform.NewReader(u.buf, d.decoder.NewDecoder())
	}
	return u.rest.Read(p)
}

// stopEvery is how many bytes are read at most before a stop is noticed.
const stopEvery = 64 << 10

// stoppable is a reader that ends with a context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p[:min(len(p), stopEvery)])
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
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(false), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return from.explain("zstd", err)
		}
		t.close = z.Close
		plain = z
	default:
		return nil
	}
	if strict {
		t.Close()
		return &FileError{"strict-compressed", "The file is compressed and must not be; the server runs with --strict-aws."}
	}
	*r = bufio.NewReaderSize(&decompressed{Reader: plain, from: from, kind: t.Compression}, detectBytes)
	if head, err = peek(*r); err != nil {
		return err
	}
	other := byMagic(head, nil)
	if other == nil && IsZIP(head) {
		other = isA("file-zip", "a ZIP archive or an Excel workbook", "")
	}
	if other != nil {
		what := strings.TrimPrefix(strings.SplitAfter(other.Reason, ". ")[0], "The file is ")
		return &FileError{other.Code, fmt.Sprintf("Within the %s file is %sUnpack it first; a workbook is read as it is.", t.Compression, what)}
	}
	return nil
}

// source remembers how reading the compressed data itself failed, if it did.
type source struct {
	r   io.Reader
	n   int64
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
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
	n    int64
}

func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if d.n += int64(n); d.n > unpackFloor+unpackTimes*d.from.n {
		return 0, &FileError{"file-unpacked", fmt.Sprintf("The %s file unpacks to more than %d times its size and %d MB, as no table of customers does. If it is one, upload it uncompressed.", d.kind, unpackTimes, unpackFloor>>20)}
	}
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
		return &FileError{"file-window", fmt.Sprintf("The zstd file needs a window of more than %d MiB. Compress it again without --ultra or --long.", zstdWindow>>20)}
	}
	return &FileError{"file-damaged", fmt.Sprintf("The %s data of the file is damaged or ends too early. Compress and upload it again.", kind)}
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
