package fingerprint

import (
	"math"
	"testing"
)

func TestPrints(t *testing.T) {
	for _, p := range []Print{{}, {Time: 1_790_000_000_123_456, Row: 1<<40 - 1, Expires: math.MaxInt64, Hash: HashOf([]byte("says"), 7)}, {Time: 1, Row: 1 << 32, Expires: 2}} {
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
	said := []byte("says")
	if HashOf(said, 1) == HashOf(said, 2) || HashOf(said, 1) == HashOf([]byte("said"), 1) || HashOf(said, 1) != HashOf([]byte("says"), 1) {
		t.Error("fingerprints depend on what is said and on the seed, and on nothing else")
	}
}
