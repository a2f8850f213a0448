package job_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
	"kith/store/pebble"
	"kith/test/cluster"
)

// Lanes run side by side, beside a turn that lasts, and each by itself one at a time, in order; they keep no turn waiting.
func TestLanes(t *testing.T) {
	st := mem.New()
	end := make(chan struct{})
	var mu sync.Mutex
	order := map[job.Lane][]string{}
	running := map[job.Lane]int{}
	var turn, export atomic.Bool
	h := funcs{run: func(ctx context.Context, task *job.Task) error {
		mu.Lock()
		running[task.Lane]++
		if running[task.Lane] > 1 {
			t.Errorf("two at a time in lane %q", task.Lane)
		}
		order[task.Lane] = append(order[task.Lane], task.ID)
		mu.Unlock()
		defer func() {
			mu.Lock()
			running[task.Lane]--
			mu.Unlock()
		}()
		switch task.Lane {
		case job.Turn:
			turn.Store(true)
			<-end
		case "export":
			if task.Incarnation == 1 {
				export.Store(true)
			}
		case "long":
			<-end
		}
		return nil
	}}
	r := runner(st, "n", h, 1, 2)
	r.Side, r.Parallel = 2, 1
	add := func(inc store.Incarnation, lane job.Lane, ids ...string) {
		for i, id := range ids {
			w := job.Work{Kind: "k", ID: id, Lane: lane, Incarnation: inc, Arrived: int64(i)}
			if err := job.Enqueue(ctx, st, w); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1, "long", "l")
	add(1, "export", "e1", "e2", "e3")
	add(1, job.Turn, "t")
	start(t, r)
	until(t, "the lane beside the turn", func() bool { return idle(t, st, 1, "e1", "e2", "e3")() && turn.Load() && export.Load() })
	mu.Lock()
	if got := fmt.Sprint(order["export"]); got != "[e1 e2 e3]" {
		t.Errorf("order %s", got)
	}
	mu.Unlock()
	if queued, err := job.Queued(ctx, st, 1, "t"); err != nil || !queued {
		t.Errorf("the turn has ended, %v", err)
	}
	close(end)
	until(t, "the end", func() bool { return nothingLeft(t, st) })
}

// Of a kind that is bounded no more than so many run at a time, led or helped with, whatever the domains; other kinds do not wait for it, nor does what is cancelled.
func TestAtMost(t *testing.T) {
	st := mem.New()
	var here, most atomic.Int64
	var free atomic.Bool
	end := make(chan struct{})
	wide := funcs{run: func(ctx context.Context, _ *job.Task) error {
		most.Store(max(most.Load(), here.Add(1)))
		defer here.Add(-1)
		select {
		case <-end:
		case <-ctx.Done():
		}
		return ctx.Err()
	}}
	incs := []store.Incarnation{1, 2, 3, 4, 5}
	r := runner(st, "n", wide, incs...)
	r.Handlers["free"] = funcs{run: func(context.Context, *job.Task) error { free.Store(true); return nil }}
	r.AtMost = map[string]int{"k": 2}
	for _, inc := range incs {
		for _, kind := range []string{"k", "free"}[:1+inc/5] {
			if err := job.Enqueue(ctx, st, job.Work{Kind: kind, ID: kind, Lane: job.Lane(kind), Incarnation: inc}); err != nil {
				t.Fatal(err)
			}
		}
	}
	start(t, r)
	until(t, "two and the other kind", func() bool { return here.Load() == 2 && free.Load() })
	if _, ok, err := r.Cancel(ctx, 4, "k"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	until(t, "the end of what was cancelled while it waited", idle(t, st, 4, "k"))
	close(end)
	until(t, "the end", func() bool { return nothingLeft(t, st) })
	if n := most.Load(); n != 2 {
		t.Errorf("%d ran at a time, want 2", n)
	}
}

// A time of day that is set back, on a new node, holds nothing: the work of a node that died is taken over after a lease's length.
func TestClockSetBackHoldsNothing(t *testing.T) {
	st := mem.New()
	dead := &faulty.Store{Store: st}
	began := make(chan struct{})
	first := runner(dead, "old name", funcs{run: func(ctx context.Context, _ *job.Task) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}, 1)
	first.LeaseFor = 30 * time.Millisecond
	stop := start(t, first)
	enqueue(t, st, 1, "a")
	<-began
	dead.Before(func(op faulty.Op, _ store.Partition) error {
		if op == faulty.Swap {
			return errors.New("dead")
		}
		return nil
	})
	stop()
	second := runner(st, "new name", funcs{run: func(context.Context, *job.Task) error { return nil }}, 1)
	second.Now = func() time.Time { return time.Now().Add(-100 * time.Hour) }
	start(t, second)
	until(t, "the take-over", idle(t, st, 1, "a"))
}

// Standing work runs in every domain, on one node at a time, is woken at once, is run again when it says so, and gets over failures.
func TestStanding(t *testing.T) {
	st := mem.New()
	var mu sync.Mutex
	runs := map[store.Incarnation]int{}
	now := map[store.Incarnation]int{}
	s := job.Standing{Name: "s", Every: time.Hour, AtStart: true, Run: func(ctx context.Context, task *job.Task) (time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		now[task.Incarnation]++
		if now[task.Incarnation] > 1 {
			t.Error("two nodes run it")
		}
		defer func() { now[task.Incarnation]-- }()
		runs[task.Incarnation]++
		switch n := runs[task.Incarnation]; {
		case n < 3:
			return time.Millisecond, nil
		case n == 4:
			return 0, errors.New("trouble")
		case n == 5:
			panic("trouble")
		}
		return 0, nil
	}}
	var nodes []*job.Runner
	for i := range 3 {
		r := runner(st, fmt.Sprintf("n%d", i), funcs{}, 1, 2)
		r.Standing = []job.Standing{s}
		start(t, r)
		nodes = append(nodes, r)
	}
	ran := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return runs[1] >= n && runs[2] >= n
		}
	}
	until(t, "the first runs", ran(3))
	nodes[0].WakeStanding(1, "s")
	nodes[1].WakeStanding(2, "s")
	// A failure is tried again after a pause, not after an hour, though nobody wakes it again.
	until(t, "the runs after it", ran(6))
}

// What is put before standing work is woken is seen by it, whoever runs it and however many wake it; its cursor is moved by one node
// at a time. With an hour between visits nothing but the waking can have done it.
func TestStandingSeesWhatWokeIt(t *testing.T) {
	st := mem.New()
	var put, seen atomic.Int64
	s := job.Standing{Name: "feed", Every: time.Hour, Idle: func(context.Context, store.Incarnation) (bool, error) { return true, nil },
		Run: func(ctx context.Context, task *job.Task) (time.Duration, error) {
			at := put.Load()
			_, err := moveCursor(ctx, st, task, func(uint64) uint64 { return uint64(at) })
			if err == nil {
				for old := seen.Load(); old < at && !seen.CompareAndSwap(old, at); old = seen.Load() {
				}
			}
			return 0, err
		}}
	r := runner(st, "n", funcs{}, 1)
	r.Standing = []job.Standing{s}
	start(t, r)
	for range 200 {
		n := put.Add(1)
		r.WakeStanding(1, "feed")
		until(t, "what was put", func() bool { return seen.Load() >= n })
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				put.Add(1)
				r.WakeStanding(1, "feed")
			}
		})
	}
	wg.Wait()
	until(t, "all that was put", func() bool { return seen.Load() == put.Load() })
}

// moveCursor changes a number in the task's partition under its lease.
func moveCursor(ctx context.Context, st store.Store, task *job.Task, next func(uint64) uint64) (uint64, error) {
	row, err := st.Get(ctx, task.Partition(), []byte("cursor"))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	at := uint64(0)
	if len(row.Value) == 8 {
		at = binary.BigEndian.Uint64(row.Value)
	}
	at = next(at)
	_, err = task.Swap(ctx, store.Swap{Key: []byte("cursor"), Value: binary.BigEndian.AppendUint64(nil, at), Expect: row.Version})
	return at, err
}

// engines runs a test on every engine.
func engines(t *testing.T, test func(t *testing.T, st store.Store)) {
	t.Run("mem", func(t *testing.T) { test(t, mem.New()) })
	t.Run("pebble", func(t *testing.T) {
		st, err := pebble.Open(t.TempDir()+"/db", pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		test(t, st)
	})
	t.Run("cql", func(t *testing.T) {
		st, _ := cluster.EnginesOn(t, cluster.Options(t))
		t.Cleanup(func() { _ = st.Close() })
		test(t, st)
	})
}

// wildClock is a monotonic clock that runs at a speed of its own and jumps ahead now and then.
func wildClock(rng *rand.Rand, speed float64) func() time.Duration {
	start := time.Now()
	var mu sync.Mutex
	ahead, last := time.Duration(0), time.Duration(0)
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(200) == 0 {
			ahead += time.Duration(rng.IntN(int(time.Second)))
		}
		last = max(last, time.Duration(speed*float64(time.Since(start)))+ahead)
		return last
	}
}

// Whatever the clocks of the nodes do, and however they are frozen: work ends once, lanes keep their order, and nothing that was
// published under a lease is lost or done twice. Clocks run at different speeds and jump ahead, so that nodes take each other's work
// away all the time; times of day are hours apart; stores of nodes stop for longer than leases last, before calls or after them.
func TestClocksAndFrozenNodes(t *testing.T) {
	engines(t, func(t *testing.T, st store.Store) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		const steps = 5
		var mu sync.Mutex
		published := map[string]map[uint64]int{} // by work: how often its cursor was published as what
		doubt := false
		var stale atomic.Int64
		run := func(ctx context.Context, own store.Store, task *job.Task) error {
			for {
				at, err := moveCursor(ctx, own, task, func(at uint64) uint64 { return at + 1 })
				if err != nil {
					mu.Lock()
					doubt = doubt || errors.Is(err, store.ErrUnknown)
					mu.Unlock()
					if errors.Is(err, job.ErrLost) {
						stale.Add(1)
					}
					return err
				}
				mu.Lock()
				published[task.ID][at]++
				mu.Unlock()
				if at >= steps {
					return nil
				}
			}
		}
		var ids []string
		for i := range 12 {
			id := fmt.Sprintf("w%02d", i)
			ids = append(ids, id)
			published[id] = map[uint64]int{}
			w := job.Work{Kind: "k", ID: id, Lane: []job.Lane{job.Turn, "a", "b"}[i%3], Incarnation: 1, Arrived: int64(i)}
			if err := job.Enqueue(ctx, st, w); err != nil {
				t.Fatal(err)
			}
		}
		var stops []func()
		for i := range 3 {
			own := &faulty.Store{Store: st}
			var freezes sync.Mutex
			nodeRng := rand.New(rand.NewPCG(seed, uint64(i+1)))
			freeze := func(op faulty.Op, _ store.Partition) error {
				freezes.Lock()
				long := nodeRng.IntN(25) == 0 && op == faulty.Swap
				freezes.Unlock()
				if long {
					time.Sleep(40 * time.Millisecond)
				}
				return nil
			}
			own.Before(freeze)
			own.After(freeze)
			r := runner(own, fmt.Sprintf("n%d", i), nil, 1)
			r.Handlers["k"] = funcs{
				run:    func(ctx context.Context, task *job.Task) error { return run(ctx, own, task) },
				giveUp: func(_ context.Context, _ *job.Task, cause error) error { t.Errorf("given up: %v", cause); return nil },
			}
			r.LeaseFor = 20 * time.Millisecond
			r.Passing = func(err error) bool { return true }
			r.Clock = wildClock(rand.New(rand.NewPCG(seed, uint64(i+11))), []float64{1, 0.1, 10}[i])
			back := time.Duration(rng.IntN(48)) * time.Hour
			r.Now = func() time.Time { return time.Now().Add(-back) }
			stops = append(stops, start(t, r))
		}
		until(t, "the end", idle(t, st, 1, ids...))
		for _, stop := range stops {
			stop()
		}
		for _, id := range ids {
			row, err := st.Get(ctx, job.Partition(1, id), []byte("cursor"))
			if err != nil {
				t.Fatal(err)
			}
			at := binary.BigEndian.Uint64(row.Value)
			if at < steps {
				t.Errorf("work %s ended at %d", id, at)
			}
			for n := range at {
				if times := published[id][n+1]; times > 1 || times == 0 && !doubt {
					t.Errorf("work %s published %d %d times", id, n+1, times)
				}
			}
		}
		t.Logf("%d publications of stale owners were refused", stale.Load())
	})
}

// Standing work that failed is tried again after its pause, with nobody to wake it and hours between its regular visits.
func TestStandingThatFailedIsTriedAgain(t *testing.T) {
	st := mem.New()
	var runs atomic.Int64
	r := runner(st, "n", funcs{}, 1)
	r.Standing = []job.Standing{{Name: "s", Every: time.Hour, Idle: func(context.Context, store.Incarnation) (bool, error) { return true, nil },
		Run: func(context.Context, *job.Task) (time.Duration, error) {
			if n := runs.Add(1); n < 5 {
				return 0, errors.New("trouble")
			}
			return 0, nil
		}}}
	start(t, r)
	r.WakeStanding(1, "s")
	until(t, "the run that succeeds", func() bool { return runs.Load() >= 5 })
}
