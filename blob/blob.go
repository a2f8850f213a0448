// Package blob is the contract for bytes that are written once and read by ranges: uploaded files, and what imports spill,
// publish and reject. Every blob is sealed with a key its owner holds; the store under it is trusted with nothing.
//
// A sealed blob is the magic "KITHBLB1", a salt of 32 random bytes, and a DARE 2.0 stream (AES-256-GCM, 64 KiB packages;
// github.com/minio/sio) under the key HKDF-SHA256(key, salt, "kith blob v1"), so that no two blobs share a key stream.
package blob

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
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

// Seal returns a writer that seals into w what is written to it. Close ends the stream; it does not close w.
func Seal(w io.Writer, key Key) (io.WriteCloser, error) {
	header := make([]byte, headerSize)
	copy(header, magic)
	if _, err := rand.Read(header[len(magic):]); err != nil {
		return nil, err
	}
	c, err := config(key, header[len(magic):])
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	return sio.EncryptWriter(noClose{w}, c)
}

type noClose struct{ io.Writer }

// Unseal returns the plaintext of a sealed blob of size bytes as a ReaderAt, and the plaintext's size. It reads the last
// package to find out about a wrong key and about a cut end.
func Unseal(r io.ReaderAt, size int64, key Key) (io.ReaderAt, int64, error) {
	plain, err := PlainSize(size)
	if err != nil {
		return nil, 0, err
	}
	header := make([]byte, headerSize)
	if _, err := r.ReadAt(header, 0); err != nil {
		return nil, 0, err
	}
	if string(header[:len(magic)]) != magic {
		return nil, 0, ErrSealed
	}
	c, err := config(key, header[len(magic):])
	if err != nil {
		return nil, 0, err
	}
	if plain == 0 {
		return strings.NewReader(""), 0, nil
	}
	at, err := sio.DecryptReaderAt(io.NewSectionReader(r, int64(headerSize), size-int64(headerSize)), c)
	if err != nil {
		return nil, 0, ErrSealed
	}
	if n, err := at.ReadAt(make([]byte, 1), plain-1); n != 1 && err != nil {
		return nil, 0, ErrSealed
	}
	return at, plain, nil
}

// PlainSize returns the plaintext size of a sealed blob of size bytes.
func PlainSize(size int64) (int64, error) {
	if size < int64(headerSize) {
		return 0, ErrSealed
	}
	if size == int64(headerSize) {
		return 0, nil
	}
	n, err := sio.DecryptedSize(uint64(size - int64(headerSize)))
	if err != nil {
		return 0, ErrSealed
	}
	return int64(n), nil
}

// NewStream returns a sequential reader over r with reads large enough for unsealing.
func NewStream(r Reader) *io.SectionReader { return io.NewSectionReader(r, 0, r.Size()) }
