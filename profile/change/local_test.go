package change

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"kith/store"
	"kith/store/mem"
)

// Whatever writes begin and end, and whatever the clock does: the seal never reaches a write under way, so each row is settled, once, and
// none is put behind the seal. A process that comes back goes on behind the seal of the one before.
func TestSealWaitsForWritesUnderWay(t *testing.T) {
	for seed := range uint64(30) {
		rng, c, st := rand.New(rand.NewPCG(seed, 1)), newClock(), mem.New()
		feed := func() *Feed { return &Feed{Store: st, Now: c.now, Alone: true, Local: &Local{}} }
		f, settled := feed(), &recorder{}
		under, put := map[*Pending]bool{}, 0
		for range 400 {
			switch rng.IntN(8) {
			case 0, 1, 2:
				p, err := f.Begin(t.Context(), inc)
				if err != nil {
					t.Fatal(err)
				}
				under[p] = true
			case 3, 4, 5:
				for p := range under { // any
					r := write(rng.IntN(100))
					if happens := rng.IntN(3) > 0; happens {
						if _, err := st.Commit(t.Context(), store.Group{Before: []store.PartitionWrite{p.Row(r)}}); err != nil {
							t.Fatal(err)
						}
						s, err := f.Seal(t.Context(), inc)
						if err != nil || r.At <= s.At {
							t.Fatalf("seed %d: a row is put at %d, the seal is at %d: %v", seed, r.At, s.At, err)
						}
						put++
						p.Happened()
					}
					p.End()
					delete(under, p)
					break
				}
			case 6:
				c.sleep(time.Duration(rng.Int64N(int64(2*Window))) - Window/4)
				run(t, &Sealer{Feed: f, Settler: settled}, st)
			case 7:
				if rng.IntN(10) == 0 { // the process dies
					f = feed()
					clear(under)
				}
			}
		}
		for p := range under {
			p.End()
		}
		c.sleep(2 * Window)
		run(t, &Sealer{Feed: f, Settler: settled}, st)
		if len(settled.rows) != put {
			t.Fatalf("seed %d: %d rows are settled of %d", seed, len(settled.rows), put)
		}
	}
}

// Who waits for the writes that have begun waits for these alone, and finds the rows of those that have happened.
func TestEndedWaitsForWritesUnderWay(t *testing.T) {
	c, st := newClock(), mem.New()
	f := &Feed{Store: st, Now: c.now, Alone: true, Local: &Local{}}
	p, err := f.Begin(t.Context(), inc)
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan int)
	go func() {
		n := 0
		if err := f.Ended(context.Background(), inc); err != nil {
			t.Error(err)
		}
		for _, err := range f.Unsettled(context.Background(), inc, 0) {
			if err == nil {
				n++
			}
		}
		found <- n
	}()
	for !f.Local.waitedFor(p) {
		time.Sleep(time.Millisecond)
	}
	if _, err := f.Begin(t.Context(), inc); err != nil { // never ends
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), store.Group{Before: []store.PartitionWrite{p.Row(write(1))}, Visible: p.Happened}); err != nil {
		t.Fatal(err)
	}
	if n := <-found; n != 1 {
		t.Fatalf("%d rows were found", n)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Ended(gone, inc); err == nil {
		t.Fatal("a call whose caller has gone did not end")
	}
}

func (l *Local) waitedFor(p *Pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.over != nil
}
