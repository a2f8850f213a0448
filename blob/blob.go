// Package blob is the contract for bytes that are written once and read by ranges: uploaded files, and what imports spill,
// publish and reject. Every blob is sealed with a key its owner holds; the store under it is trusted with nothing.
//
// A sealed blob is the magic "KITHBLB1", a salt of 32 random bytes, a DARE 2.0 stream (AES-256-GCM, 64 KiB packages;
// github.com/minio/sio; absent when there is no plaintext) under the key HKDF-SHA256(key, salt, "kith blob v1"), and an end
// mark: the first 16 bytes of HMAC-SHA256 over the plaintext's size (8, big-endian) under HKDF(…, "kith blob v1 end"). The
// salt keeps blobs from sharing a key stream; the end mark tells a blob that was cut between two packages.
package blob

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/minio/sio"

	"kith/fault"
)

// The errors of every engine.
var (
	// ErrNotFound says that there is no blob of this name.
	ErrNotFound = errors.New("blob not found")
	// ErrUnavailable says that the store can't be reached or is overloaded, and that the call may go when it is made again.
	ErrUnavailable = fmt.Errorf("the file store is %w", fault.ErrUnavailable)
	// ErrSealed says that a blob can't be opened: the key is wrong or the bytes are damaged.
	ErrSealed = errors.New("blob can't be unsealed: wrong key or damaged bytes")
	// ErrName says that a name is not made of segments of letters, digits, "-", "_" and ".".
	ErrName = errors.New("bad blob name")
)

// Key is a 256-bit key.
type Key [32]byte

// Info describes a committed blob.
type Info struct {
	Name    string
	Size    int64 // plaintext bytes
	ModTime time.Time
}

// Writer receives a blob. Exactly one of Commit and Abort ends it; Abort after either does nothing.
type Writer interface {
	io.Writer
	// Commit makes the blob durable and visible under its name at once, replacing an older one.
	Commit() (Info, error)
	// Abort drops what was written.
	Abort()
}

// Reader reads ranges of a blob. When the name is replaced or deleted it keeps reading what it opened, or fails; it never reads
// from another blob.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// Stream returns the bytes from off to the end. It is faster than as many calls of ReadAt, which unseal whole packages
	// each. Streams of one reader may be read at the same time.
	Stream(off int64) io.Reader
}

// Store is the contract. Suite: blob/blobtest.
type Store interface {
	// Create starts a blob. Nothing is visible under name before Commit.
	Create(ctx context.Context, name string, key Key) (Writer, error)
	// CreateScratch is Create for what can be made again: after a power failure a committed scratch blob may be gone or
	// damaged, which Open or a read then says.
	CreateScratch(ctx context.Context, name string, key Key) (Writer, error)
	// Open opens a blob, or returns ErrNotFound or ErrSealed.
	Open(ctx context.Context, name string, key Key) (Reader, error)
	// Delete removes a blob; an absent one is no error.
	Delete(ctx context.Context, name string) error
	// List streams the blobs whose names begin with prefix, in no particular order. A prefix ends with "/" or is empty.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Close releases the store and removes what unfinished writers left behind.
	Close() error
}

const (
	magic      = "KITHBLB1"
	headerSize = len(magic) + 32
	endSize    = 16
)

// CheckName returns ErrName for a name no engine may be given.
func CheckName(name string) error {
	for seg := range strings.SplitSeq(name, "/") {
		if seg == "" || strings.HasPrefix(seg, ".") || strings.Trim(seg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			return fmt.Errorf("%w: %q", ErrName, name)
		}
	}
	return nil
}

func config(key Key, salt []byte) (sio.Config, error) {
	k, err := hkdf.Key(sha256.New, key[:], salt, "kith blob v1", 32)
	return sio.Config{MinVersion: sio.Version20, Key: k, CipherSuites: []byte{sio.AES_256_GCM}}, err
}

func endMark(key Key, salt []byte, size int64) ([]byte, error) {
	k, err := hkdf.Key(sha256.New, key[:], salt, "kith blob v1 end", 32)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, k)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	return h.Sum(nil)[:endSize], nil
}

// Seal returns a writer that seals into w what is written to it. Close ends the stream; it does not close w.
func Seal(w io.Writer, key Key) (io.WriteCloser, error) {
	header := make([]byte, headerSize)
	copy(header, magic)
	salt := header[len(magic):]
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	c, err := config(key, salt)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	dare, err := sio.EncryptWriter(noClose{w}, c)
	return &sealer{w: w, dare: dare, key: key, salt: salt}, err
}

type noClose struct{ io.Writer }

type sealer struct {
	w    io.Writer
	dare io.WriteCloser
	key  Key
	salt []byte
	size int64
}

func (s *sealer) Write(p []byte) (int, error) {
	n, err := s.dare.Write(p)
	s.size += int64(n)
	return n, err
}

func (s *sealer) Close() error {
	if s.size > 0 {
		if err := s.dare.Close(); err != nil {
			return err
		}
	}
	end, err := endMark(s.key, s.salt, s.size)
	if err != nil {
		return err
	}
	_, err = s.w.Write(end)
	return err
}

// Plain is the plaintext of a sealed blob.
type Plain struct {
	at     io.ReaderAt
	sealed func(off, n int64) io.Reader // of the DARE stream
	length int64                        // of the DARE stream
	conf   sio.Config
	size   int64
}

// Unseal returns the plaintext of a sealed blob of size bytes. A wrong key and a cut end are ErrSealed at once; damage in the
// middle is ErrSealed when it is read.
func Unseal(r io.ReaderAt, size int64, key Key) (*Plain, error) {
	return UnsealRanges(r, size, key, func(off, n int64) io.Reader { return io.NewSectionReader(r, off, n) })
}

// UnsealRanges is Unseal for bytes that are far away: ranges are read through stream, which returns n bytes from off.
func UnsealRanges(r io.ReaderAt, size int64, key Key, stream func(off, n int64) io.Reader) (*Plain, error) {
	plain, err := PlainSize(size)
	if err != nil {
		return nil, err
	}
	header, end := make([]byte, headerSize), make([]byte, endSize)
	if _, err := r.ReadAt(header, 0); err != nil {
		return nil, err
	}
	if _, err := r.ReadAt(end, size-endSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	salt := header[len(magic):]
	want, err := endMark(key, salt, plain)
	if err != nil {
		return nil, err
	}
	if string(header[:len(magic)]) != magic || !hmac.Equal(want, end) {
		return nil, ErrSealed
	}
	if plain == 0 {
		return &Plain{}, nil
	}
	c, err := config(key, salt)
	if err != nil {
		return nil, err
	}
	p := &Plain{length: size - int64(headerSize) - endSize, conf: c, size: plain}
	p.sealed = func(off, n int64) io.Reader { return stream(int64(headerSize)+off, n) }
	if p.at, err = sio.DecryptReaderAt(io.NewSectionReader(r, int64(headerSize), p.length), c); err != nil {
		return nil, ErrSealed
	}
	return p, nil
}

// Size returns the number of plaintext bytes.
func (p *Plain) Size() int64 { return p.size }

// ReadAt implements io.ReaderAt.
func (p *Plain) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	n, err := p.at.ReadAt(b, off)
	return n, damaged(err, off)
}

// Stream implements Reader.
func (p *Plain) Stream(off int64) io.Reader {
	if off >= p.size {
		return strings.NewReader("")
	}
	const payload, pack = 64 << 10, 64<<10 + 32 // of a DARE 2.0 package, plain and sealed
	c := p.conf
	c.SequenceNumber = uint32(off / payload)
	from := off / payload * pack
	r, err := sio.DecryptReader(p.sealed(from, p.length-from), c)
	return &stream{r: r, err: err, skip: off % payload, off: off}
}

// stream reads on from the middle of a package.
type stream struct {
	r         io.Reader
	err       error
	skip, off int64
}

func (s *stream) Read(b []byte) (int, error) {
	if s.err == nil && s.skip > 0 {
		_, s.err = io.CopyN(io.Discard, s.r, s.skip)
		s.skip = 0
	}
	if s.err != nil {
		return 0, damaged(s.err, s.off)
	}
	n, err := s.r.Read(b)
	s.off += int64(n)
	return n, damaged(err, s.off)
}

func damaged(err error, off int64) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, sealed := errors.AsType[sio.Error](err); !sealed && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("%w at byte %d", ErrSealed, off)
}

// PlainSize returns the plaintext size of a sealed blob of size bytes.
func PlainSize(size int64) (int64, error) {
	size -= int64(headerSize + endSize)
	if size < 0 {
		return 0, ErrSealed
	}
	if size == 0 {
		return 0, nil
	}
	n, err := sio.DecryptedSize(uint64(size))
	if err != nil {
		return 0, ErrSealed
	}
	return int64(n), nil
}
