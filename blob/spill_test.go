package blob

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

// A spill gives back what was written from anywhere on, and leaves nothing in its folder, not even while it is there, nor when its writer fails.
func TestSpill(t *testing.T) {
	dir, text := t.TempDir(), bytes.Repeat([]byte("secret "), 50_000)
	left := func() {
		t.Helper()
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("%v, %v", names, err)
		}
	}
	s, err := NewSpill(dir, "tests", 1000, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	left()
	for _, from := range []int64{0, 70_000, s.Size()} {
		if got, err := io.ReadAll(s.Stream(from)); err != nil || !bytes.Equal(got, text[from:]) {
			t.Errorf("from %d: %d bytes, %v", from, len(got), err)
		}
	}
	sealed := make([]byte, len(text))
	if n, err := s.file.ReadAt(sealed, 0); n < 100_000 || err != nil || bytes.Contains(sealed, []byte("secret")) {
		t.Errorf("%d bytes, %v; are they sealed?", n, err)
	}
	s.Close()
	full := errors.New("the disk is full")
	if _, err := NewSpill(dir, "tests", 1000, func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
	left()
	if _, err := NewSpill(dir+"/missing", "tests", 1000, func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
