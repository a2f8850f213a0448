package change

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"kith/profile/fold"
	"kith/store"
	"kith/store/faulty"
	"kith/test/engines"
)

const inc = store.Incarnation(7)

// clock is a clock that goes on only when it is told to.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time        { return time.UnixMicro(c.at.Add(1)) }
func (c *clock) sleep(d time.Duration) { c.at.Add(d.Microseconds()) }
func (c *clock) behind(d time.Duration) func() time.Time {
	return func() time.Time { return c.now().Add(-d) }
}

// recorder remembers what was settled.
type recorder struct{ rows []Row }

func (r *recorder) Settle(_ context.Context, _ store.Incarnation, rows []Row) error {
	r.rows = append(r.rows, slices.Clone(rows)...)
	return nil
}

func place(st store.Store, name string) Place {
	p := StandingPartition(inc, name)
	return Place{p, func(ctx context.Context, ops ...store.Swap) (uint64, error) { return st.Swap(ctx, p, ops) }}
}

func write(i int) *Row {
	r := &Row{Kind: Write, Time: int64(i)}
	r.ID[15], r.Call[0] = byte(i), byte(i)
	return r
}

func announce(t *testing.T, f *Feed, r *Row) {
	t.Helper()
	if _, err := f.Announce(t.Context(), inc, r, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, s *Sealer, st store.Store) (more bool) {
	t.Helper()
	more, err := s.Run(t.Context(), inc, place(st, Completer))
	if err != nil {
		t.Fatal(err)
	}
	return more
}

func TestRowsSurviveTheirEncoding(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	texts := func() (all []string) {
		for range rng.IntN(4) {
			all = append(all, fmt.Sprint("\x01\x00", rng.IntN(1000)))
		}
		return all
	}
	for range 2000 {
		r := Row{At: rng.Int64(), Kind: Write, Action: byte(rng.IntN(9)), Creates: rng.IntN(2) == 0, Again: rng.IntN(2) == 0, Whole: rng.IntN(2) == 0, Time: rng.Int64(),
			Keys: texts(), Claims: texts(), Bodies: texts(), Job: fmt.Sprint(rng.IntN(20))}
		for i := range r.ID {
			r.ID[i], r.Call[i] = byte(rng.Int()), byte(rng.Int())
		}
		got, err := decodeRow(r.key(), r.append(nil))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(r) {
			t.Fatalf("got %v, %v; want %v", got, err, r)
		}
	}
}

func FuzzRow(f *testing.F) {
	r := write(3)
	r.Keys, r.Bodies = []string{"_email\x01a"}, []string{"b"}
	f.Add(r.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRow(make([]byte, rowKeyLen), b)
		if err != nil {
			return
		}
		again, err := decodeRow(r.key(), r.append(nil))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Fatalf("%v became %v, %v", r, again, err)
		}
	})
}

// Rows are settled once the seal has passed them, each once while nothing is cut off, and those of a profile in their order.
func TestSealSettlesInOrder(t *testing.T) {
	engines.Each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
		st, c := engine, newClock()
		f := &Feed{Store: st, Now: c.now}
		rec := &recorder{}
		s := &Sealer{Feed: f, Settler: rec}
		last := map[fold.ID]int64{}
		var want int
		for range 200 {
			r := write(rand.IntN(20))
			announce(t, f, r)
			want++
			c.sleep(time.Duration(rand.IntN(int(10 * time.Second))))
			if rand.IntN(5) == 0 {
				run(t, s, st)
			}
		}
		if !run(t, s, st) {
			t.Error("the completer does not say that there are rows beyond the seal")
		}
		c.sleep(Window + time.Second)
		if run(t, s, st) {
			t.Error("the completer says that there are rows beyond the seal")
		}
		if len(rec.rows) != want {
			t.Errorf("%d rows were settled, want %d", len(rec.rows), want)
		}
		for _, r := range rec.rows {
			if r.At <= last[r.ID] {
				t.Errorf("row of %d of profile %s came behind %d", r.At, r.ID, last[r.ID])
			}
			last[r.ID] = r.At
		}
	})
}

// A row that arrives behind the seal is refused, and the next announcement is later than the seal, whatever the writer's clock shows.
func TestLateRowsAreRefused(t *testing.T) {
	engines.Each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
		st, c := &faulty.Store{Store: engine}, newClock()
		f := &Feed{Store: st, Now: c.now, Alone: true}
		rec := &recorder{}
		s := &Sealer{Feed: f, Settler: rec}
		announce(t, f, write(1))

		stall := st.Stall(faulty.On(faulty.Commit, store.Change))
		result := make(chan error, 1)
		var sealed int64
		go func() {
			var err error
			sealed, err = f.Announce(context.Background(), inc, write(2), nil, 0)
			result <- err
		}()
		<-stall.Arrived()
		c.sleep(time.Minute)
		run(t, s, st)
		stall.Release()
		if err := <-result; !errors.Is(err, ErrSealed) {
			t.Fatalf("Announce: %v, want ErrSealed", err)
		}
		if len(rec.rows) != 1 {
			t.Fatalf("%d rows were settled", len(rec.rows))
		}
		slow := &Feed{Store: st, Now: c.behind(time.Hour), Alone: true}
		r := write(3)
		if _, err := slow.Announce(t.Context(), inc, r, nil, sealed); err != nil {
			t.Fatal(err)
		}
		if r.At <= sealed {
			t.Errorf("announced at %d, not behind the seal of %d", r.At, sealed)
		}
		c.sleep(time.Minute)
		run(t, s, st)
		if n := len(rec.rows); rec.rows[n-1].ID != r.ID {
			t.Error("a row of a slow clock was not settled")
		}
	})
}

// Whenever a writer stands between its row and the look at the seal, its row is settled or its announcement refused.
func TestNoRowSlipsThrough(t *testing.T) {
	for name, m := range map[string]faulty.Match{
		"before the row":  faulty.On(faulty.Commit, store.Change),
		"behind the row":  faulty.Behind(faulty.Commit, store.Change),
		"before the seal": faulty.On(faulty.Get, store.Jobs),
		"behind the seal": faulty.Behind(faulty.Get, store.Jobs),
	} {
		t.Run(name, func(t *testing.T) {
			engines.Each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
				st, c := &faulty.Store{Store: engine}, newClock()
				writer := &Feed{Store: st, Now: c.now, Alone: true}
				rec := &recorder{}
				s := &Sealer{Feed: &Feed{Store: st.Store, Now: c.now, Alone: true}, Settler: rec}
				run(t, s, st.Store)
				stall := st.Stall(m)
				result := make(chan error, 1)
				go func() {
					_, err := writer.Announce(context.Background(), inc, write(2), nil, 0)
					result <- err
				}()
				<-stall.Arrived()
				c.sleep(time.Minute)
				run(t, s, st.Store)
				stall.Release()
				err := <-result
				settled := len(rec.rows) == 1
				if err == nil && !settled {
					t.Error("a row behind the seal was not settled and not refused")
				}
				if err != nil && !errors.Is(err, ErrSealed) {
					t.Error(err)
				}
			})
		})
	}
}

// A node whose clock is far off refuses to write, as soon as that is certain; one whose clock is a little off does not.
func TestClocksThatDiffer(t *testing.T) {
	for off, want := range map[time.Duration]bool{0: false, 9 * time.Second: false, -9 * time.Second: false, 11 * time.Second: true, -11 * time.Second: true, time.Hour: true, -time.Hour: true} {
		engines.Each(t, "kith_change_test", func(t *testing.T, st store.Store) {
			c := newClock()
			good := &Sealer{Feed: &Feed{Store: st, Now: c.now}, Settler: &recorder{}}
			bad := &Feed{Store: st, Now: c.behind(off)}
			refused := false
			for range 4 {
				run(t, good, st)
				var err error
				for after := int64(0); ; {
					if after, err = bad.Announce(t.Context(), inc, write(1), nil, after); !errors.Is(err, ErrSealed) {
						break
					}
				}
				refused = errors.Is(err, ErrClock)
				c.sleep(100 * time.Millisecond)
			}
			if refused != want {
				t.Errorf("a clock %s behind: refused %t", off, refused)
			}
		})
	}
}

// The completer leaves its work to others once when its clock differs from that of the node before.
func TestCompleterGivesWay(t *testing.T) {
	engines.Each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
		st, c := engine, newClock()
		good := &Sealer{Feed: &Feed{Store: st, Now: c.now}, Settler: &recorder{}}
		bad := &Sealer{Feed: &Feed{Store: st, Now: c.behind(time.Hour)}, Settler: &recorder{}}
		run(t, good, st)
		before, _ := good.Feed.Seal(t.Context(), inc)
		if _, err := bad.Run(t.Context(), inc, place(st, Completer)); !errors.Is(err, ErrClock) {
			t.Fatalf("Run: %v, want ErrClock", err)
		}
		if _, err := bad.Run(t.Context(), inc, place(st, Completer)); err != nil {
			t.Fatalf("nobody else does it, and Run says %v", err)
		}
		if after, _ := good.Feed.Seal(t.Context(), inc); after.At < before.At {
			t.Errorf("the seal went back from %d to %d", before.At, after.At)
		}
	})
}

// A consumer gets every row at least once, though it is cut off anywhere.
func TestConsumerMissesNothing(t *testing.T) {
	for seed := range uint64(20) {
		each := engines.Each
		if seed >= 4 {
			each = engines.Embedded
		}
		each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
			rng := rand.New(rand.NewPCG(seed, 1))
			st, c := &faulty.Store{Store: engine}, newClock()
			f := &Feed{Store: st, Now: c.now, Alone: true}
			s := &Sealer{Feed: f, Settler: &recorder{}}
			final := map[int64]int{}
			consumer := &Consumer{Feed: f, Final: func(_ context.Context, _ store.Incarnation, rows []Row) error {
				for _, r := range rows {
					final[r.At]++
				}
				return nil
			}}
			run(t, s, st)
			if err := consumer.Start(t.Context(), inc, place(st, "x")); err != nil {
				t.Fatal(err)
			}
			var all []int64
			failing := errors.New("cut off")
			for range 60 {
				r := write(rng.IntN(20))
				announce(t, f, r)
				all = append(all, r.At)
				c.sleep(time.Duration(rng.IntN(int(20 * time.Second))))
				n := rng.IntN(12)
				st.Before(func(faulty.Op, store.Partition) error {
					if n--; n == 0 {
						return failing
					}
					return nil
				})
				_, err := s.Run(t.Context(), inc, place(st, Completer))
				cerr := consumer.Run(t.Context(), inc, place(st, "x"))
				st.Before(nil)
				if err := errors.Join(err, cerr); err != nil && !errors.Is(err, failing) {
					t.Fatal(err)
				}
			}
			c.sleep(time.Minute)
			run(t, s, st)
			if err := consumer.Run(t.Context(), inc, place(st, "x")); err != nil {
				t.Fatal(err)
			}
			for _, at := range all {
				if final[at] == 0 {
					t.Errorf("seed %d: a row was missed", seed)
				}
			}
		})
	}
}

// Old hours go, and the oldest when there is too much; a consumer that needs them is told so.
func TestRetention(t *testing.T) {
	for name, limit := range map[string]Sealer{"age": {Keep: 5 * time.Hour}, "size": {MaxBytes: 30 * 5 * 70}} {
		t.Run(name, func(t *testing.T) {
			engines.Each(t, "kith_change_test", func(t *testing.T, st store.Store) {
				c := newClock()
				f := &Feed{Store: st, Now: c.now, Alone: true}
				s := &Sealer{Feed: f, Settler: &recorder{}, Keep: limit.Keep, MaxBytes: limit.MaxBytes}
				run(t, s, st)
				late := &Consumer{Feed: f, Final: (&recorder{}).Settle}
				if err := late.Start(t.Context(), inc, place(st, "late")); err != nil {
					t.Fatal(err)
				}
				const hours = 20
				for range hours * 30 {
					announce(t, f, write(1))
					c.sleep(2 * time.Minute)
					run(t, s, st)
				}
				n := 0
				oldest := int64(0)
				for row, err := range st.Sweep(t.Context(), store.SweepRange{Table: store.Change}) {
					if err != nil {
						t.Fatal(err)
					}
					if n++; oldest == 0 {
						r, err := decodeRow(row.Row.Key, row.Row.Value)
						if err != nil {
							t.Fatal(err)
						}
						oldest = r.At
					}
				}
				if n < 3*30 || n > 7*30 {
					t.Errorf("%d rows are left of 5 hours with 30 each", n)
				}
				if seal, _ := f.Seal(t.Context(), inc); oldest < seal.Floor {
					t.Errorf("a row of %d is left below the floor of %d", oldest, seal.Floor)
				}
				if err := late.Run(t.Context(), inc, place(st, "late")); !errors.Is(err, ErrBehind) {
					t.Errorf("a consumer behind the floor: %v, want ErrBehind", err)
				}
				if err := late.Start(t.Context(), inc, place(st, "late")); err != nil {
					t.Fatal(err)
				}
				if err := late.Run(t.Context(), inc, place(st, "late")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An import is registered and announced, also twice, and keeps its place when it is taken back.
func TestImports(t *testing.T) {
	engines.Each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
		st, c := engine, newClock()
		f := &Feed{Store: st, Now: c.now, Alone: true}
		for _, im := range []Import{{Time: 20, Job: "b", AppliedAt: 25}, {Time: 10, Job: "a", AppliedAt: 15}, {Time: 10, Job: "a", AppliedAt: 15}, {Time: 10, Job: "a", AppliedAt: 15, UndoneAt: 30}} {
			if err := f.NoteImport(t.Context(), inc, im); err != nil {
				t.Fatal(err)
			}
		}
		all, err := f.Imports(t.Context(), inc)
		if want := []Import{{10, "a", 15, 30}, {20, "b", 25, 0}}; err != nil || !slices.Equal(all, want) {
			t.Errorf("Imports: %v, %v", all, err)
		}
		var kinds bytes.Buffer
		for r, err := range f.Unsettled(t.Context(), inc, c.now().Add(-time.Hour).UnixMicro()) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&kinds, "%c%s ", r.Kind, r.Job)
		}
		if got := kinds.String(); got != "ib ia ia ua " {
			t.Errorf("the feed has %q", got)
		}
	})
}

// What lies before and behind a long silence is settled and consumed, and the silence costs no reading.
func TestLongSilence(t *testing.T) {
	engines.Each(t, "kith_change_test", func(t *testing.T, engine store.Store) {
		st, c := &faulty.Store{Store: engine}, newClock()
		f := &Feed{Store: st, Now: c.now, Alone: true}
		settled, consumed := &recorder{}, &recorder{}
		s, consumer := &Sealer{Feed: f, Settler: settled, Keep: 1000 * 24 * time.Hour}, &Consumer{Feed: f, Final: consumed.Settle}
		run(t, s, st)
		if err := consumer.Start(t.Context(), inc, place(st, "x")); err != nil {
			t.Fatal(err)
		}
		for i, silence := range []time.Duration{0, 30 * time.Minute, 50 * 24 * time.Hour, 30 * time.Hour, 400 * 24 * time.Hour} {
			c.sleep(silence)
			announce(t, f, write(i+1))
		}
		c.sleep(90 * 24 * time.Hour)
		var probes atomic.Int64
		st.Before(func(op faulty.Op, _ store.Partition) error {
			if op == faulty.Probe {
				probes.Add(1)
			}
			return nil
		})
		run(t, s, st)
		if err := consumer.Run(t.Context(), inc, place(st, "x")); err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string][]Row{"settled": settled.rows, "consumed": consumed.rows} {
			if len(got) != 5 || !slices.IsSortedFunc(got, func(a, b Row) int { return int(a.Time - b.Time) }) {
				t.Errorf("%d of 5 rows were %s: %v", len(got), what, got)
			}
		}
		if n := probes.Load(); n > 40 {
			t.Errorf("%d probes of an hour each for 5 rows", n)
		}
		if seal, err := f.Seal(t.Context(), inc); err != nil || seal.Settled != seal.At {
			t.Errorf("settled up to %d of %d, %v", seal.Settled, seal.At, err)
		}
	})
}
