// Package blobtest is the conformance suite of the blob contract.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"kith/blob"
)

// Engine is what the suite needs of an engine.
type Engine struct {
	New func(t *testing.T) blob.Store
	// Replaced says that a reader fails when the blob it opened is replaced or deleted, instead of reading on.
	Replaced bool
	// Raw returns all bytes that the engine keeps anywhere, to look for plaintext. Nil excepts that test.
	Raw func(t *testing.T, s blob.Store) []byte
	// Damage flips one byte of a stored blob, or cuts its end. Nil excepts that test.
	Damage func(t *testing.T, s blob.Store, name string, cut bool)
}

var (
	ctx = context.Background()
	key = blob.Key{1, 2, 3}
)

// ReadFiles returns the bytes of all files below a folder, for Raw.
func ReadFiles(t *testing.T, dir string) (all []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// DamageFile does to a stored blob what Damage asks for.
func DamageFile(t *testing.T, path string, cut bool) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if cut {
		b = append(b[:40+2*(65536+32)], b[len(b)-16:]...) // at a package boundary, where the length alone tells nothing
	} else {
		b[len(b)/2] ^= 1
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	t.Run("RoundTripsAndRanges", func(t *testing.T) { roundTrips(t, e) })
	t.Run("NothingVisibleBeforeCommit", func(t *testing.T) { invisible(t, e) })
	t.Run("ReplaceIsAtomic", func(t *testing.T) { replaces(t, e) })
	t.Run("WrongKeyIsRefused", func(t *testing.T) { wrongKey(t, e) })
	t.Run("DamageIsRefused", func(t *testing.T) { damage(t, e) })
	t.Run("StoresNoPlaintext", func(t *testing.T) { sealed(t, e) })
	t.Run("ListsAndDeletes", func(t *testing.T) { lists(t, e) })
	t.Run("NeighboursComeAndGo", func(t *testing.T) { neighbours(t, e) })
	t.Run("RefusesBadNames", func(t *testing.T) { names(t, e) })
}

func put(t *testing.T, s blob.Store, name string, data []byte) {
	t.Helper()
	w, err := s.Create(ctx, name, key)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(data, 50_000) {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Commit()
	if err != nil || info.Size != int64(len(data)) || info.Name != name {
		t.Fatalf("Commit: %+v, %v", info, err)
	}
	w.Abort() // after Commit: nothing happens
}

func get(t *testing.T, s blob.Store, name string) []byte {
	t.Helper()
	r, err := s.Open(ctx, name, key)
	if err != nil {
		t.Fatalf("Open %s: %v", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r.Stream(0))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func roundTrips(t *testing.T, e Engine) {
	s := e.New(t)
	for _, n := range []int{0, 1, 65535, 65536, 65537, 300_000} {
		data := random(n)
		put(t, s, fmt.Sprintf("d/b%d", n), data)
		if !bytes.Equal(get(t, s, fmt.Sprintf("d/b%d", n)), data) {
			t.Fatalf("%d bytes came back different", n)
		}
		r, err := s.Open(ctx, fmt.Sprintf("d/b%d", n), key)
		if err != nil || r.Size() != int64(n) {
			t.Fatalf("Size %d, %v", r.Size(), err)
		}
		for _, off := range []int{0, 1, 65530, 65536, n - 1, n} {
			if off < 0 || off > n {
				continue
			}
			buf := make([]byte, 1000)
			got, err := r.ReadAt(buf, int64(off))
			want := min(1000, n-off)
			if got != want || (want < 1000) != errors.Is(err, io.EOF) {
				t.Fatalf("ReadAt %d of %d: %d bytes, %v", off, n, got, err)
			}
			if !bytes.Equal(buf[:got], data[off:off+got]) {
				t.Fatalf("ReadAt %d of %d: wrong bytes", off, n)
			}
		}
		for _, off := range []int{0, 1, 65535, 65536, 65537, 131072, n - 1, n, n + 5} {
			if off < 0 {
				continue
			}
			got, err := io.ReadAll(r.Stream(int64(off)))
			if err != nil || !bytes.Equal(got, data[min(off, n):]) {
				t.Fatalf("Stream from %d of %d: %d bytes, %v", off, n, len(got), err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := s.CreateScratch(ctx, "d/scratch", key)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("again"))
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "d/scratch"); string(got) != "again" {
		t.Fatalf("a scratch blob came back as %q", got)
	}
}

func invisible(t *testing.T, e Engine) {
	s := e.New(t)
	w, err := s.Create(ctx, "d/x", key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(random(200_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(ctx, "d/x", key); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("Open before Commit: %v", err)
	}
	w.Abort()
	if _, err := s.Open(ctx, "d/x", key); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("Open after Abort: %v", err)
	}
	if _, err := w.Commit(); err == nil {
		t.Fatal("Commit after Abort succeeded")
	}
	for info := range s.List(ctx, "") {
		t.Fatalf("listed %s", info.Name)
	}
}

func replaces(t *testing.T, e Engine) {
	s := e.New(t)
	old, young := random(150_000), random(90_000)
	put(t, s, "d/x", old)
	r, err := s.Open(ctx, "d/x", key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := s.Create(ctx, "d/x", key)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(random(10))
	w.Abort() // a writer that gives up leaves the older blob
	if !bytes.Equal(get(t, s, "d/x"), old) {
		t.Fatal("an aborted writer changed the blob")
	}
	put(t, s, "d/x", young)
	if !bytes.Equal(get(t, s, "d/x"), young) {
		t.Fatal("the blob was not replaced")
	}
	b, err := io.ReadAll(r.Stream(0))
	if e.Replaced && err == nil {
		t.Fatal("an open reader read on in another blob")
	}
	if !e.Replaced && (err != nil || !bytes.Equal(b, old)) {
		t.Fatalf("an open reader lost its blob: %v", err)
	}
}

func wrongKey(t *testing.T, e Engine) {
	s := e.New(t)
	put(t, s, "d/x", random(100))
	if _, err := s.Open(ctx, "d/x", blob.Key{9}); !errors.Is(err, blob.ErrSealed) {
		t.Fatalf("%v, want ErrSealed", err)
	}
}

func damage(t *testing.T, e Engine) {
	if e.Damage == nil {
		t.Skip("excepted: the stored bytes can't be reached")
	}
	for _, cut := range []bool{false, true} {
		s := e.New(t)
		put(t, s, "d/x", random(300_000))
		e.Damage(t, s, "d/x", cut)
		r, err := s.Open(ctx, "d/x", key)
		if err == nil {
			_, err = io.ReadAll(r.Stream(0))
			r.Close()
		}
		if !errors.Is(err, blob.ErrSealed) {
			t.Fatalf("cut %t: %v, want ErrSealed", cut, err)
		}
	}
}

func sealed(t *testing.T, e Engine) {
	if e.Raw == nil {
		t.Skip("excepted: the stored bytes can't be reached")
	}
	s := e.New(t)
	secret := []byte("erika.mustermann@example.org")
	put(t, s, "d/x", bytes.Repeat(secret, 1000))
	put(t, s, "d/y", bytes.Repeat(secret, 1000))
	raw := e.Raw(t, s)
	if len(raw) < 2000*len(secret) {
		t.Fatalf("Raw returned %d bytes", len(raw))
	}
	if bytes.Contains(raw, secret) {
		t.Fatal("the plaintext lies in the store")
	}
	if n := bytes.Count(raw, raw[100:164]); n != 1 {
		t.Fatalf("equal plaintexts look equal: %d", n)
	}
}

func lists(t *testing.T, e Engine) {
	s := e.New(t)
	for _, n := range []string{"a/1", "a/2", "a/b/3", "ab/4"} {
		put(t, s, n, []byte(n))
	}
	list := func(prefix string) (names []string) {
		for info, err := range s.List(ctx, prefix) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Size != int64(len(info.Name)) || info.ModTime.IsZero() {
				t.Fatalf("%+v", info)
			}
			names = append(names, info.Name)
		}
		slices.Sort(names)
		return names
	}
	if got := list("a/"); !slices.Equal(got, []string{"a/1", "a/2", "a/b/3"}) {
		t.Fatalf("List: %v", got)
	}
	if got := list("none/"); got != nil {
		t.Fatalf("List of nothing: %v", got)
	}
	for range 2 {
		if err := s.Delete(ctx, "a/1"); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(""); !slices.Equal(got, []string{"a/2", "a/b/3", "ab/4"}) {
		t.Fatalf("List after Delete: %v", got)
	}
}

// neighbours: the last blob of a folder goes while others come into it. An S3 server that keeps objects as files may ask to do it again.
func neighbours(t *testing.T, e Engine) {
	s := e.New(t)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			name := fmt.Sprintf("a/b/c/%d", n)
			for done := 0; done < 50; {
				w, err := s.Create(ctx, name, key)
				if err == nil {
					_, err = w.Commit()
				}
				if errors.Is(err, blob.ErrUnavailable) {
					continue
				}
				if err := errors.Join(err, s.Delete(ctx, name)); err != nil {
					t.Error(err)
					return
				}
				done++
			}
		})
	}
	all.Wait()
}

func names(t *testing.T, e Engine) {
	s := e.New(t)
	for _, n := range []string{"", "/", "a/", "/a", "a//b", "../a", "a/../b", ".", "a b", "a\x00", "a\\b", ".tmp/x"} {
		if _, err := s.Create(ctx, n, key); !errors.Is(err, blob.ErrName) {
			t.Errorf("Create %q: %v, want ErrName", n, err)
		}
		if _, err := s.Open(ctx, n, key); !errors.Is(err, blob.ErrName) {
			t.Errorf("Open %q: %v, want ErrName", n, err)
		}
	}
}
