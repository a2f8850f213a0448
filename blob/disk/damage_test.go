package disk_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"kith/blob"
	"kith/blob/disk"
)

// One flipped bit anywhere in a blob is an error of whoever reads it, never other bytes and never a panic, by streams and by ranges.
func TestFlippedBitIsAnError(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := blob.Key{1}
	for _, size := range []int{0, 1, 100, 64 << 10, 200_000} {
		plain := make([]byte, size)
		rng := rand.New(rand.NewPCG(1, uint64(size)))
		for i := range plain {
			plain[i] = byte(rng.Uint32())
		}
		w, err := s.Create(t.Context(), "d/x", key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "d", "x")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at++ {
			if at > 80 && at < len(whole)-60 && at%9973 != 0 && at%(64<<10+32) > 60 {
				continue
			}
			damaged := bytes.Clone(whole)
			damaged[at] ^= byte(1 << (at % 8))
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			stream, ranges := readBoth(t, s, key, size)
			for how, got := range map[string]error{"stream": stream, "ranges": ranges} {
				if size == 0 && how == "ranges" && got == nil { // nothing was read
					continue
				}
				if !errors.Is(got, blob.ErrSealed) {
					t.Fatalf("%d bytes, byte %d of %d, %s: %v, want ErrSealed", size, at, len(whole), how, got)
				}
			}
		}
	}
}

// readBoth reads a blob whole, once as a stream and once by ranges from its end to its beginning.
func readBoth(t *testing.T, s blob.Store, key blob.Key, size int) (stream, ranges error) {
	r, err := s.Open(t.Context(), "d/x", key)
	if err != nil {
		return err, err
	}
	defer r.Close()
	_, stream = io.Copy(io.Discard, r.Stream(0))
	const step = 30_000
	for off := int64(max(0, size-step)); ; off = max(0, off-step) {
		if _, err := r.ReadAt(make([]byte, min(step, size)), off); err != nil && !errors.Is(err, io.EOF) {
			ranges = err
		}
		if off == 0 {
			return stream, ranges
		}
	}
}
