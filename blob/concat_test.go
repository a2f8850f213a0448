package blob_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"kith/blob"
)

type plain []byte

func (p plain) Size() int64  { return int64(len(p)) }
func (p plain) Close() error { return nil }
func (p plain) ReadAt(b []byte, off int64) (int, error) {
	return bytes.NewReader(p).ReadAt(b, off)
}
func (p plain) Stream(off int64) io.Reader { return bytes.NewReader(p[min(off, int64(len(p))):]) }

func TestConcat(t *testing.T) {
	all := []byte("abcdefghij")
	c := blob.Concat(plain(all[:3]), plain(nil), plain(all[3:4]), plain(all[4:]))
	if c.Size() != int64(len(all)) {
		t.Fatal(c.Size())
	}
	for off := range len(all) + 2 {
		want := all[min(off, len(all)):]
		if got, err := io.ReadAll(c.Stream(int64(off))); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Stream from %d: %q, %v", off, got, err)
		}
		for n := range len(all) + 1 {
			buf := make([]byte, n)
			got, err := c.ReadAt(buf, int64(off))
			if got != min(n, len(want)) || !bytes.Equal(buf[:got], want[:got]) || (got < n) != errors.Is(err, io.EOF) {
				t.Fatalf("ReadAt %d of %d: %q, %v", n, off, buf[:got], err)
			}
		}
	}
}
