package match

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"kith/match/link"
	"kith/profile/fold"
	"kith/store/mem"
)

func profileOf(n int) (id fold.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	id[15] = byte(n * 7)
	return id
}

// Groups come back by their scores, then by their ids, and are found by a profile and by a match id, however many there are.
func TestGroups(t *testing.T) {
	for _, n := range []int{0, 1, chunkGroups - 1, chunkGroups, chunkGroups + 1, 5 * chunkGroups} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, uint64(n)))
			f := &found{job: make([]byte, 16)}
			next := 0
			for range n {
				g := &link.Group{Score: float64(rnd.IntN(20)) / 20}
				for range 2 + rnd.IntN(3) {
					g.Members = append(g.Members, profileOf(next))
					next++
				}
				rnd.Shuffle(len(g.Members), func(i, j int) { g.Members[i], g.Members[j] = g.Members[j], g.Members[i] })
				g.Weakest = [2]fold.ID{g.Members[1], g.Members[0]}
				f.add(g)
			}
			f.rank()
			w := f.written(3)
			s := &Service{Store: mem.New()}
			ctx := context.Background()
			if err := f.write(ctx, s.Store, 7, &w, 1); err != nil {
				t.Fatal(err)
			}
			r := &record{id: "00000000000000000000000000000000", Found: &w, Attempts: []written{w}}
			var all []group
			for from := int64(0); ; {
				some, err := s.groupsFrom(ctx, 7, r, from, 1+rnd.IntN(700))
				if err != nil {
					t.Fatal(err)
				}
				if len(some) == 0 {
					break
				}
				all = append(all, some...)
				from = all[len(all)-1].rank + 1
			}
			if len(all) != n || !slices.IsSortedFunc(all, func(a, b group) int {
				if a.score != b.score {
					return int(1e6 * (b.score - a.score))
				}
				return slices.Compare(a.id[:], b.id[:])
			}) {
				t.Fatalf("%d groups", len(all))
			}
			for i := 0; i < n; i += 1 + n/50 {
				g := all[i]
				by, err := s.groupOf(ctx, 7, r, 'm', g.id)
				if err != nil || by == nil || by.rank != g.rank || by.weakest != g.weakest {
					t.Fatalf("%+v, %v", by, err)
				}
				for _, id := range g.members {
					if by, err := s.groupOf(ctx, 7, r, 'p', id); err != nil || by == nil || by.id != g.id {
						t.Fatalf("%+v, %v", by, err)
					}
				}
			}
			if by, err := s.groupOf(ctx, 7, r, 'p', profileOf(next)); err != nil || by != nil {
				t.Fatal(by, err)
			}
			sample, err := s.sample(ctx, 7, r)
			if err != nil || len(sample) != min(n, maxSample) {
				t.Fatal(len(sample), err)
			}
			if again, err := s.sample(ctx, 7, r); err != nil || !slices.EqualFunc(sample, again, func(a, b group) bool { return a.id == b.id }) {
				t.Fatal("another sample of the same job", err)
			}
			if err := s.drop(ctx, 7, r, nil); err != nil {
				t.Fatal(err)
			}
			if rest, err := s.groupsFrom(ctx, 7, r, 0, 10); err != nil || len(rest) > 0 {
				t.Fatal(rest, err)
			}
		})
	}
}

// A group of more profiles than a person may have is cut, and nobody of it is left alone.
func TestLargeGroupsAreCut(t *testing.T) {
	for n, want := range map[int][]int{2: {2}, 500: {500}, 501: {499, 2}, 1000: {500, 500}, 1001: {500, 499, 2}, 1250: {500, 500, 250}} {
		f := &found{job: make([]byte, 16)}
		g := &link.Group{Score: 1, Weakest: [2]fold.ID{profileOf(0), profileOf(n - 1)}}
		for i := range n {
			g.Members = append(g.Members, profileOf(i))
		}
		f.add(g)
		var got []int
		seen := map[fold.ID]bool{}
		for i := range f.refs.All {
			_, g, err := f.at(i)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, len(g.members))
			for _, id := range g.members {
				seen[id] = true
			}
		}
		if !slices.Equal(got, want) || len(seen) != n || (f.bounded() == "") != (n <= maxGroup) {
			t.Errorf("%d: %v, want %v, %q", n, got, want, f.bounded())
		}
	}
}

func FuzzDecodeGroup(f *testing.F) {
	f.Add(appendGroup(nil, &link.Group{Members: []fold.ID{{1}, {2}}, Weakest: [2]fold.ID{{2}, {1}}}, 0.5))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, n, err := decodeGroup(b)
		if err != nil {
			return
		}
		again := appendGroup(nil, &link.Group{Members: g.members, Weakest: g.weakest}, g.score)
		if back, _, err := decodeGroup(again); err != nil || n > len(b) || !slices.Equal(back.members, g.members) || back.score != g.score && g.score == g.score {
			t.Fatalf("%x: %+v, %v", b, back, err)
		}
	})
}

// The groups of a run are outside of the heap, however many there are.
func TestFoundGroupsAreNoGarbage(t *testing.T) {
	f := &found{job: make([]byte, 16)}
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	const groups = 50_000
	for i := range groups {
		f.add(&link.Group{Score: 1, Members: []fold.ID{profileOf(2 * i), profileOf(2*i + 1)}, Weakest: [2]fold.ID{profileOf(2 * i), profileOf(2*i + 1)}})
	}
	if more := held() - before; more > 20*groups {
		t.Errorf("%d groups hold %d bytes of the heap", groups, more)
	}
	if f.close(); len(f.refs.All) > 0 {
		t.Error("groups are still there")
	}
}
