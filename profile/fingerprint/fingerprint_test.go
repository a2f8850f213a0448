package fingerprint

import (
	"math"
	"testing"
)

func TestPrints(t *testing.T) {
	for _, p := range []Print{{}, {Time: 1_790_000_000_123_456, Row: 1<<40 - 1, Expires: math.MaxInt64, Hash: HashOf([]byte("says"), []byte("outline"), 7)}, {Time: 1, Row: 1 << 32, Expires: 2}} {
		b := p.Append(nil)
		got, ok := Parse(b)
		if !ok || got != p {
			t.Errorf("%+v reads %+v, %t", p, got, ok)
		}
		for n := range b {
			if _, ok := Parse(b[:n]); ok {
				t.Errorf("%d of %d bytes are taken for a print", n, len(b))
			}
		}
		b[0]++
		if _, ok := Parse(b); ok {
			t.Error("a print of another version is read")
		}
	}
	if _, ok := Parse(Void); ok {
		t.Error("a void print names something")
	}
}

func TestHashes(t *testing.T) {
	said, outline := []byte("says"), []byte("outline")
	h := HashOf(said, outline, 1)
	if h != HashOf([]byte("says"), []byte("outline"), 1) || h.All() != AllOf(said, 1) {
		t.Error("fingerprints of the same are not the same")
	}
	for what, o := range map[string]struct {
		Hash
		all, outline bool // differ
	}{
		"another seed": {HashOf(said, outline, 2), true, true}, "another saying": {HashOf([]byte("said"), outline, 1), true, false}, "another outline": {HashOf(said, []byte("lines"), 1), false, true},
	} {
		if (h.All() != o.All()) != o.all || (h.Outline() != o.Outline()) != o.outline {
			t.Errorf("%s: %x and %x", what, h, o.Hash)
		}
	}
}
