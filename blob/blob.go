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
)

// The errors of every engine.
var (
	// ErrNotFound says that there is no blob of this name.
	ErrNotFound = errors.New("blob not found")
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

// Reader reads ranges of a blob. It keeps reading what it opened when the name is replaced or deleted.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Store is the contract. Suite: blob/blobtest.
type Store interface {
	// Create starts a blob. Nothing is visible under name before Commit.
	Create(ctx context.Context, name string, key Key) (Writer, error)
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

// Unseal returns the plaintext of a sealed blob of size bytes as a ReaderAt, and the plaintext's size. A wrong key and a cut
// end are ErrSealed at once; damage in the middle is an error of ReadAt.
func Unseal(r io.ReaderAt, size int64, key Key) (io.ReaderAt, int64, error) {
	plain, err := PlainSize(size)
	if err != nil {
		return nil, 0, err
	}
	header, end := make([]byte, headerSize), make([]byte, endSize)
	if _, err := r.ReadAt(header, 0); err != nil {
		return nil, 0, err
	}
	if _, err := r.ReadAt(end, size-endSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	salt := header[len(magic):]
	want, err := endMark(key, salt, plain)
	if err != nil {
		return nil, 0, err
	}
	if string(header[:len(magic)]) != magic || !hmac.Equal(want, end) {
		return nil, 0, ErrSealed
	}
	if plain == 0 {
		return strings.NewReader(""), 0, nil
	}
	c, err := config(key, salt)
	if err != nil {
		return nil, 0, err
	}
	at, err := sio.DecryptReaderAt(io.NewSectionReader(r, int64(headerSize), size-int64(headerSize)-endSize), c)
	if err != nil {
		return nil, 0, ErrSealed
	}
	return at, plain, nil
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

// NewStream returns a sequential reader over r with reads large enough for unsealing.
func NewStream(r Reader) *io.SectionReader { return io.NewSectionReader(r, 0, r.Size()) }
