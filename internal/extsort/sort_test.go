package extsort

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestSorterAgreesWithTheLibrary(t *testing.T) {
	for name, key := range map[string]func(i int) string{
		"random":           func(int) string { return fmt.Sprint(rand.Uint64()) },
		"few":              func(int) string { return fmt.Sprint(rand.IntN(10)) },
		"all the same":     func(int) string { return "the same and rather long key" },
		"a common prefix":  func(int) string { return "customer-number-" + fmt.Sprint(rand.IntN(5000)) },
		"several prefixes": func(int) string { return strings.Repeat("ab", rand.IntN(80)) + fmt.Sprint(rand.IntN(9)) },
		"zeros":            func(int) string { return strings.Repeat("\x00", rand.IntN(20)) },
		"empty":            func(int) string { return "" },
		"high bytes":       func(int) string { return string(rune(rand.IntN(0x3000))) + "\xff" },
	} {
		for _, n := range []int{0, 1, 2, fewRefs, fewRefs + 1, 1000, 5000} {
			keys := make([][]byte, n)
			refs := make([]Ref, n)
			for i := range keys {
				keys[i] = []byte(key(i))
				refs[i] = Ref{Prefix(keys[i]), uint32(i)}
			}
			s := Sorter{
				Key: func(at uint32) []byte { return keys[at] },
				Compare: func(a, b uint32) int {
					return cmp.Or(bytes.Compare(keys[a], keys[b]), cmp.Compare(a, b))
				},
			}
			s.Sort(refs)
			want := make([]uint32, n)
			for i := range want {
				want[i] = uint32(i)
			}
			slices.SortFunc(want, s.Compare)
			for i := range refs {
				if refs[i].At != want[i] {
					t.Fatalf("%s, %d: place %d has %q, want %q", name, n, i, keys[refs[i].At], keys[want[i]])
				}
			}
		}
	}
}
