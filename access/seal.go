package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrSealed says that a sealed value was made under another master key, for another purpose, or changed.
var ErrSealed = errors.New("sealed value can't be opened")

// Sealer seals small secrets under the master key: client tokens, access-key secrets, page tokens. All nodes of a cluster
// are given one master key.
type Sealer struct{ master []byte }

// NewSealer returns a Sealer for a master key of 32 bytes.
func NewSealer(master []byte) (*Sealer, error) {
	if len(master) != 32 {
		return nil, fmt.Errorf("the master key must be 32 bytes, not %d", len(master))
	}
	return &Sealer{master: master}, nil
}

// MasterKeyFile is the name of the master key's file in the data folder.
const MasterKeyFile = "master.key"

// LoadMasterKey returns the master key: the base64 text env if it is not empty, else that of the file DIR/master.key. The error is
// fs.ErrNotExist when there is neither.
func LoadMasterKey(env, dir string) ([]byte, error) {
	if env != "" {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(env))
		if err != nil || len(key) != 32 {
			return nil, errors.New("KITH_MASTER_KEY must be the base64 form of 32 bytes; `openssl rand -base64 32` makes one")
		}
		return key, nil
	}
	path := filepath.Join(dir, MasterKeyFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s is damaged: it must hold the base64 form of 32 bytes", path)
	}
	return key, nil
}

// MakeMasterKey makes a master key and writes DIR/master.key, mode 0600. When it returns, no power failure takes the file, and there is never
// half of one. Only a folder without data may get a new key.
func MakeMasterKey(dir string) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, MasterKeyFile)
	if err := writeWhole(path, base64.StdEncoding.EncodeToString(key)+"\n"); err != nil {
		return nil, fmt.Errorf("create the master key: %w", err)
	}
	return key, nil
}

// writeWhole writes a new file, or nothing.
func writeWhole(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Subkey derives a key of 32 bytes for one purpose.
func (s *Sealer) Subkey(purpose string) []byte {
	k, err := hkdf.Key(sha256.New, s.master, nil, "kith "+purpose, 32)
	if err != nil {
		panic(err) // only for lengths that SHA-256 can't give
	}
	return k
}

func (s *Sealer) aead(purpose string) cipher.AEAD {
	block, err := aes.NewCipher(s.Subkey("seal " + purpose))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// Seal encrypts and authenticates plain for a purpose, bound to context.
func (s *Sealer) Seal(purpose, context string, plain []byte) []byte {
	return s.aead(purpose).Seal(nil, nil, plain, []byte(context))
}

// Open returns what was sealed for the same purpose and context, or ErrSealed.
func (s *Sealer) Open(purpose, context string, sealed []byte) ([]byte, error) {
	plain, err := s.aead(purpose).Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
