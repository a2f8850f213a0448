package server

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// uploadBody is the body of an upload: framing removed, checksums computed on the way.
type uploadBody struct {
	r      io.Reader
	hashes []bodyHash
	frames *chunkedReader // of aws-chunked, else nil
}

// bodyHash is a digest the client sent, or will send in a trailer.
type bodyHash struct {
	hash.Hash
	name   string // header
	want   string // in the encoding of sum; "" until the trailer comes
	hex    bool
	code   string
	legend string
}

// checksums are S3's additional checksums, by header name.
var checksums = map[string]func() hash.Hash{
	"x-amz-checksum-crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"x-amz-checksum-crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"x-amz-checksum-crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"x-amz-checksum-sha1":      sha1.New,
	"x-amz-checksum-sha256":    sha256.New,
}

// chunkedUpload says whether the body is in aws-chunked framing.
func chunkedUpload(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") ||
		strings.Contains(strings.ToLower(r.Header.Get("Content-Encoding")), "aws-chunked")
}

func newUploadBody(r *http.Request, body io.Reader) (*uploadBody, error) {
	b := &uploadBody{r: body}
	add := func(h hash.Hash, name, want, code, legend string, isHex bool) {
		b.hashes = append(b.hashes, bodyHash{Hash: h, name: name, want: want, hex: isHex, code: code, legend: legend})
	}
	if want := r.Header.Get("Content-Md5"); want != "" {
		if raw, err := base64.StdEncoding.DecodeString(want); err != nil || len(raw) != md5.Size {
			return nil, s3Fault(http.StatusBadRequest, "InvalidDigest", "Content-MD5 must be the base64 form of 16 bytes.")
		}
		add(md5.New(), "content-md5", want, "BadDigest", "Content-MD5", false)
	}
	for name, make := range checksums {
		if want := r.Header.Get(name); want != "" {
			add(make(), name, want, "BadDigest", name, false)
		}
	}
	if want := r.Header.Get("X-Amz-Content-Sha256"); len(want) == 64 {
		add(sha256.New(), "x-amz-content-sha256", want, "XAmzContentSHA256Mismatch", "x-amz-content-sha256", true)
	}
	if chunkedUpload(r) {
		length := int64(-1)
		if text := r.Header.Get("X-Amz-Decoded-Content-Length"); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				return nil, s3Fault(http.StatusBadRequest, "InvalidArgument", "x-amz-decoded-content-length must be a number of bytes.")
			}
			length = n
		}
		for name := range strings.SplitSeq(strings.ToLower(r.Header.Get("X-Amz-Trailer")), ",") {
			if make := checksums[strings.TrimSpace(name)]; make != nil {
				add(make(), strings.TrimSpace(name), "", "BadDigest", strings.TrimSpace(name), false)
			}
		}
		b.frames = &chunkedReader{r: bufio.NewReaderSize(body, 64<<10), want: length}
		b.r = b.frames
	}
	return b, nil
}

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	for _, h := range b.hashes {
		h.Write(p[:n])
	}
	return n, err
}

// verify compares what the client said about the body with what came.
func (b *uploadBody) verify() error {
	for _, h := range b.hashes {
		want := h.want
		if want == "" && b.frames != nil {
			want = b.frames.trailer[h.name]
		}
		sum := h.Sum(nil)
		have := base64.StdEncoding.EncodeToString(sum)
		if h.hex {
			have = hex.EncodeToString(sum)
		}
		if want != have {
			return s3Fault(http.StatusBadRequest, h.code, "The "+h.legend+" you sent does not match the body that arrived; nothing was stored. Send the file again.")
		}
	}
	return nil
}

// chunkedReader removes aws-chunked framing: "<hex size>[;chunk-signature=…]\r\n<bytes>\r\n" until a chunk of size 0, then
// trailer lines. Chunk signatures are not checked: the URL's signature leaves the payload unsigned.
type chunkedReader struct {
	r       *bufio.Reader
	left    int64 // of the current chunk
	total   int64
	want    int64 // decoded length, -1 when unknown
	started bool
	done    bool
	trailer map[string]string
}

func badFraming(what string) error {
	return s3Fault(http.StatusBadRequest, "InvalidRequest", "The aws-chunked body is malformed: "+what+".")
}

// Read implements io.Reader.
func (c *chunkedReader) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	c.total += int64(n)
	if errors.Is(err, io.EOF) {
		err = badFraming("it ends inside a chunk")
	}
	return n, err
}

func (c *chunkedReader) nextChunk() error {
	if c.started {
		if line, err := c.line(); err != nil || line != "" {
			return errors.Join(err, badFraming("a chunk is longer than it says"))
		}
	}
	c.started = true
	line, err := c.line()
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(size, 16, 64)
	if err != nil || n < 0 {
		return badFraming("a chunk has no size")
	}
	if n > 0 {
		c.left = n
		return nil
	}
	c.done = true
	if c.want >= 0 && c.total != c.want {
		return badFraming("its length is not x-amz-decoded-content-length")
	}
	if err := c.trailers(); err != nil {
		return err
	}
	return io.EOF
}

// trailers reads the lines behind the last chunk.
func (c *chunkedReader) trailers() error {
	c.trailer = map[string]string{}
	for range 16 {
		line, err := c.line()
		if err != nil || line == "" {
			return nil // many clients leave out the last empty line
		}
		name, value, _ := strings.Cut(line, ":")
		c.trailer[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return badFraming("it has too many trailers")
}

func (c *chunkedReader) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", badFraming("a line is too long")
	}
	if err != nil {
		if cut, ok := errors.AsType[*cutError](err); ok {
			return "", cut
		}
		return "", badFraming("it ends too early")
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}
