package write

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/profile/fold"
	"kith/store/pebble"
)

// What a write costs in the process, without the wait for the disk: the embedded engine in memory.
func BenchmarkWrites(b *testing.B) {
	open := func(b *testing.B) (*world, *Writer) {
		st, err := pebble.Open("db", pebble.Options{FS: vfs.NewMem()})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = st.Close() })
		w := newWorld(nil, st, false)
		return w, w.writerOn(st, 0)
	}
	b.Run("object that makes a profile", func(b *testing.B) {
		_, node := open(b)
		for i := range b.N {
			o := object(fmt.Sprint(i), orderKey(fmt.Sprint(i)), emailKey(fmt.Sprint(i, "@x.de")))
			o.Values = []fold.Value{custom("tier", "gold"), value(email, o.Match[1].Value)}
			if _, err := node.Put(b.Context(), name, "", o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("object of a known profile", func(b *testing.B) {
		_, node := open(b)
		for i := range b.N {
			who := emailKey(fmt.Sprint(i%1000, "@x.de"))
			o := object(fmt.Sprint(i/1000%20), orderKey(fmt.Sprint(i%1000, "/", i/1000%20)), who)
			o.Match = o.Match[1:]
			if _, err := node.Put(b.Context(), name, "", o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("update by hand", func(b *testing.B) {
		_, node := open(b)
		r, err := node.Create(b.Context(), name, "", set(Created, value(email, "a@x.de")))
		if err != nil {
			b.Fatal(err)
		}
		for i := range b.N {
			if _, err := node.Change(b.Context(), name, "", r.ID, set(Updated, custom("a", fmt.Sprint(i)))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
