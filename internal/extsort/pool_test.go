package extsort

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// Whatever is put aside comes back as it was, from memory or from the file, whatever is loaded, given back and put aside meanwhile; and what the pool held is free
// in the end.
func TestPool(t *testing.T) {
	for _, budget := range []int64{0, 100 << 10, 1 << 30} {
		for _, limit := range []int64{0, 1, 64 << 10} {
			arena := &Arena{Budget: budget}
			dir := t.TempDir()
			p := NewPool(arena, ChunkSize(4096), limit, dir)
			type kept struct {
				piece Piece
				bytes []byte
			}
			var all []kept
			for range 2000 {
				switch {
				case len(all) < 30 || rand.IntN(2) == 0:
					c := p.Chunk()
					if rand.IntN(20) == 0 {
						p.Free(c)
						c = make([]byte, 0, p.Size()+rand.IntN(3*p.Size()))
					}
					c = c[:rand.IntN(cap(c)+1)]
					for i := range c {
						c[i] = byte(rand.Uint32())
					}
					want := bytes.Clone(c)
					piece, err := p.Keep(c)
					if err != nil || piece.Len() != len(want) {
						t.Fatal(piece.Len(), err)
					}
					all = append(all, kept{piece, want})
				default:
					i := rand.IntN(len(all))
					got, err := p.Load(all[i].piece)
					if err != nil || !bytes.Equal(got, all[i].bytes) {
						t.Fatalf("%d bytes came back as others: %v", len(all[i].bytes), err)
					}
					if rand.IntN(2) == 0 {
						p.Unload(all[i].piece, got)
						continue
					}
					p.Drop(all[i].piece, got)
					all = slices.Delete(all, i, i+1)
				}
			}
			if names, _ := os.ReadDir(dir); len(names) > 0 {
				t.Fatalf("%v has a name", names[0])
			}
			if inFile := p.file != nil; inFile != (budget < 1<<30 || limit > 0) {
				t.Fatalf("budget %d, limit %d: there is a file: %t", budget, limit, inFile)
			}
			p.Close()
			if arena.used != 0 || arena.waiting != 0 || arena.regions != nil {
				t.Fatalf("%d bytes used, %d waiting", arena.used, arena.waiting)
			}
		}
	}
}

// What is in the file is enciphered, never twice by the same counter, and what is damaged there is noticed.
func TestPoolFile(t *testing.T) {
	p := NewPool(&Arena{}, ChunkSize(1), 0, t.TempDir())
	defer p.Close()
	text := bytes.Repeat([]byte("a customer's name "), 1000)
	var seen [][]byte
	for range 5 {
		piece, err := p.Keep(append(p.Chunk(), text...))
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, len(text))
		if _, err := p.file.ReadAt(raw, piece.at); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("name")) || slices.ContainsFunc(seen, func(b []byte) bool { return bytes.Equal(b[:16], raw[:16]) }) {
			t.Fatal("the file tells something")
		}
		seen = append(seen, raw)
		got, err := p.Load(piece)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatal("other bytes came back", err)
		}
		p.Drop(piece, got) // the next one has its place
	}
	piece, err := p.Keep(append(p.Chunk(), text...))
	if err != nil || piece.at != 0 {
		t.Fatal(piece.at, err)
	}
	if _, err := p.file.WriteAt([]byte{seen[0][100]}, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := p.file.WriteAt([]byte{0, 1, 2}, 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Load(piece); !errors.Is(err, ErrScratch) {
		t.Fatalf("damage: %v", err)
	}
}

// A piece is appended as it was put aside, from memory and from the file, and can be again; a damaged one is not.
func TestAppend(t *testing.T) {
	a := &Arena{Budget: 64 << 10, Return: true}
	p := NewPool(a, 64<<10, 0, t.TempDir())
	var pieces []Piece
	for i := range 3 {
		pc, err := p.Keep(append(p.Chunk(), bytes.Repeat([]byte{byte('a' + i)}, 1000*(i+1))...))
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, pc)
	}
	if p.Spilled() != 2 {
		t.Errorf("%d chunks are in the file", p.Spilled())
	}
	for range 2 {
		all := []byte("x")
		for _, pc := range pieces {
			var err error
			if all, err = p.Append(all, pc); err != nil {
				t.Fatal(err)
			}
		}
		if want := "x" + strings.Repeat("a", 1000) + strings.Repeat("b", 2000) + strings.Repeat("c", 3000); string(all) != want {
			t.Errorf("%d bytes, want %d", len(all), len(want))
		}
	}
	if _, err := p.file.WriteAt([]byte("damage"), pieces[2].at); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Append(nil, pieces[2]); !errors.Is(err, ErrScratch) {
		t.Error(err)
	}
	if p.Close(); !a.Empty() {
		t.Error("the arena is not empty")
	}
}
