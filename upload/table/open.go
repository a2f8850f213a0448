package table

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/transform"
)

// detectBytes is how much of a file decides what it is.
const detectBytes = 64 << 10

// zstdWindow bounds the memory that a zstd file can ask for: reading takes twice the window. Only the levels above 21 and --long ask
// for more. Without the second half the decoder would move the whole window for every block of 128 KiB, and take a second for 10 MB.
const zstdWindow = 64 << 20

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

// Open finds out what a file is by its first 64 kB and returns its text. Gzip and zstd are decompressed; UTF-8, UTF-16 in
// both byte orders, Windows-1252 and what else the library tells apart are decoded; a byte-order mark is dropped; CR alone as
// a line end becomes LF. Bytes that are not valid stay invalid, for the rows that hold them to be rejected. In strict mode
// the text is the file, and what AWS would not read is an error. Errors about the file are FileErrors. Reading ends soon after ctx
// has ended, with its cause.
func Open(ctx context.Context, r io.Reader, strict bool) (*Text, error) {
	t := &Text{close: func() {}}
	// Stopped at both ends: little of a file may become very much text, and much of it none at all.
	buf := bufio.NewReaderSize(stoppable{ctx, r}, detectBytes)
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
		err = &FileError{"strict-encoding", "The file must be UTF-8 without a byte-order mark; the server runs with --strict-aws."}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	if t.Encoding == "UTF-8" {
		if t.ByteOrder {
			_, _ = buf.Discard(3)
			head = head[3:]
		}
	} else {
		buf = bufio.NewReaderSize(transform.NewReader(buf, dec.NewDecoder()), detectBytes)
		if head, err = peek(buf); err != nil {
			t.Close()
			return nil, err
		}
	}
	t.Reader = stoppable{ctx, buf}
	t.LineEnd = lineEnd(head)
	if t.LineEnd == "CR" && !strict {
		t.Reader = crToLF{t.Reader}
	}
	return t, nil
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
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return &FileError{"file-zip", "The file is a ZIP archive or an Excel workbook. Save the sheet as CSV; gzip and zstd are read as they are."}
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte("\xfd7zX")):
		return &FileError{"file-compressed", "The file is compressed in a way that is not read here. Use gzip or zstd, or upload it uncompressed."}
	default:
		return nil
	}
	if strict {
		t.Close()
		return &FileError{"strict-compressed", "The file is compressed and must not be; the server runs with --strict-aws."}
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
