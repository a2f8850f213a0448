package link

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"kith/internal/people"
	"kith/profile/fold"
)

// board is what a team has made, in memory: of each piece what was put there first.
type board struct {
	mu      sync.Mutex
	news    sync.Cond
	made    map[string][]byte
	size    int
	by      map[int]int // pieces that each has put
	stopped map[int]bool
}

func newBoard(size int) *board {
	b := &board{made: map[string][]byte{}, size: size, by: map[int]int{}, stopped: map[int]bool{}}
	b.news.L = &b.mu
	return b
}

// mine says whether one is to make a piece: it is his, or he makes it although another does, or who was to make it has stopped. It waits until one of these is so, or the piece is made.
func (b *board) mine(who, piece int, name string, rng *rand.Rand) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if piece%b.size == who || rng.IntN(8) == 0 {
		return true
	}
	for b.made[name] == nil && !b.stopped[piece%b.size] {
		b.news.Wait()
	}
	return b.made[name] == nil
}

// share is Team.Share of one of the team; stop is asked before each piece that he makes.
func (b *board) share(who int, stop func(step string) bool) func(context.Context, string, int, func(context.Context, int, io.Writer) error, func(int, io.Reader) error) error {
	rng := rand.New(rand.NewPCG(uint64(who), 9))
	return func(ctx context.Context, step string, n int, make func(context.Context, int, io.Writer) error, take func(int, io.Reader) error) error {
		name := func(piece int) string { return fmt.Sprint(step, " ", piece) }
		pieces := rng.Perm(n)
		slices.SortStableFunc(pieces, func(a, c int) int { return cmp.Compare((a-who+b.size)%b.size, (c-who+b.size)%b.size) }) // his own first
		for _, piece := range pieces {
			if !b.mine(who, piece, name(piece), rng) {
				continue
			}
			var out bytes.Buffer
			err := errStopped
			if !stop(step) {
				err = make(ctx, piece, &out)
			}
			b.mu.Lock()
			switch {
			case err != nil:
				b.stopped[who] = true
			case b.made[name(piece)] == nil:
				b.made[name(piece)] = append([]byte{}, out.Bytes()...) // nothing, too, is something
				b.by[who]++
			}
			b.news.Broadcast()
			b.mu.Unlock()
			if err != nil {
				return err
			}
		}
		for _, piece := range rng.Perm(n) {
			b.mu.Lock()
			made := b.made[name(piece)]
			b.mu.Unlock()
			if err := take(piece, bytes.NewReader(made)); err != nil {
				return err
			}
		}
		return nil
	}
}

// cuts are the profiles in pieces, some of them empty, one with a profile that is in another, too, as one that is merged meanwhile may be.
func (l *labelled) cuts(n, workers int) (all []Source) {
	for k := range n {
		some := &labelled{}
		for i, p := range l.profiles {
			if i%(n-2) == k {
				some.profiles = append(some.profiles, p)
			}
		}
		all = append(all, some.source(workers))
	}
	return all
}

var errStopped = errors.New("stopped")

// A team of three, one of whom stops in the middle, finds to the last bit what one alone finds, and each of them does some of the work. Their workers and memory differ: what one spills another
// keeps.
func TestTeamFindsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		o          people.Options
		secondLook int
	}{
		"all compared":  {people.Options{Records: 700, Repeats: 0.3, Seed: 5}, 0},
		"a second look": {people.Options{Records: 1800, Repeats: 0.3, Seed: 6}, 1000},
	} {
		l := generated(t, c.o)
		for i, p := range l.profiles { // custom attributes, and many dates
			p.Values = append(p.Values, profileOf(p.ID, map[string]string{"Attributes.loyalty": "L" + l.truth[i], "AccountNumber": fmt.Sprint("A", i)}).Values...)
			slices.SortFunc(p.Values, func(a, b fold.Value) int { return a.Attr.Compare(b.Attr) })
		}
		twice := *l.profiles[7] // seen twice, merged meanwhile
		twice.Values = l.profiles[8].Values
		l.profiles, l.truth = append(l.profiles, &twice), append(l.truth, l.truth[7])
		answers := []Answer{{A: l.profiles[1].ID, B: l.profiles[2].ID, Same: true}, {A: l.profiles[3].ID, B: l.profiles[4].ID}, {A: testID("nobody"), B: l.profiles[4].ID}}
		want, m, report := l.find(t, Options{Workers: 1, Answers: answers, secondLook: c.secondLook})
		slices.SortFunc(report.Glued, fold.ID.Compare)

		b := newBoard(3)
		var team sync.WaitGroup
		memory := []int64{64 << 10, 0, 2 << 20}
		for who := range 3 {
			o := Options{Workers: 1 + who, Memory: memory[who], Dir: t.TempDir(), Answers: answers, random: fewPairs, secondLook: c.secondLook}
			var chunks int64
			o.spilled = &chunks
			pieces := 0
			o.Team = &Team{Cuts: l.cuts(7, o.Workers), Helps: who > 0, Share: b.share(who, func(step string) bool {
				if strings.HasPrefix(step, "pairs") {
					pieces++
				}
				return who == 2 && pieces > 1
			})}
			team.Go(func() {
				var groups []*Group
				m2, again, err := Find(t.Context(), nil, o, func(g *Group) error {
					groups = append(groups, g)
					return nil
				})
				if who > 0 {
					if wanted := []error{nil, ErrHelped, errStopped}[who]; !errors.Is(err, wanted) || groups != nil {
						t.Errorf("%s: who helps ends with %v, %d groups, want %v", name, err, len(groups), wanted)
					}
					return
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if digest(groups) != digest(want) || len(want) < 100 {
					t.Errorf("%s: %d other groups, %d alone", name, len(groups), len(want))
				}
				if !bytes.Equal(m.Marshal(), m2.Marshal()) {
					t.Errorf("%s: the models differ", name)
				}
				if slices.SortFunc(again.Glued, fold.ID.Compare); !reflect.DeepEqual(report, again) {
					t.Errorf("%s: report %+v, alone %+v", name, again, report)
				}
				if chunks == 0 {
					t.Errorf("%s: nothing was spilled", name)
				}
			})
		}
		team.Wait()
		if b.by[0] == 0 || b.by[1] == 0 || b.by[2] == 0 {
			t.Errorf("%s: pieces by each of the team: %v", name, b.by)
		}
	}
}

// A piece that is damaged ends the search with an error.
func TestTeamMeetsDamage(t *testing.T) {
	l := generated(t, people.Options{Records: 200, Repeats: 0.3, Seed: 5})
	for _, damaged := range []string{"survey", "records", "pairs"} {
		b := newBoard(1)
		share := b.share(0, func(string) bool { return false })
		met := false
		o := Options{Workers: 1, Team: &Team{Cuts: l.cuts(4, 1), Share: func(ctx context.Context, step string, n int, make func(context.Context, int, io.Writer) error, take func(int, io.Reader) error) error {
			return share(ctx, step, n, make, func(piece int, r io.Reader) error {
				if !strings.HasPrefix(step, damaged) {
					return take(piece, r)
				}
				all, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				met = met || len(all) > 0
				return take(piece, bytes.NewReader(all[:max(0, len(all)-1)]))
			})
		}}}
		if _, _, err := Find(t.Context(), nil, o, func(*Group) error { return nil }); err == nil || !met {
			t.Errorf("%s: no error, met %t", damaged, met)
		}
	}
}
