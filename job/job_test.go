package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

var ctx = context.Background()

// funcs is a handler made of functions.
type funcs struct {
	run    func(context.Context, *job.Task) error
	giveUp func(context.Context, *job.Task, error) error
}

func (f funcs) Run(ctx context.Context, t *job.Task) error { return f.run(ctx, t) }
func (f funcs) GiveUp(ctx context.Context, t *job.Task, cause error) error {
	if f.giveUp == nil {
		return nil
	}
	return f.giveUp(ctx, t, cause)
}

func runner(st store.Store, owner string, h job.Handler, domains ...store.Incarnation) *job.Runner {
	return &job.Runner{
		Store: st, Owner: owner, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Handlers: map[string]job.Handler{"k": h},
		Domains: func(context.Context) ([]job.Domain, error) {
			var all []job.Domain
			for _, inc := range domains {
				all = append(all, job.Domain{Incarnation: inc})
			}
			return all, nil
		},
		Gone: func(_ context.Context, inc store.Incarnation) (bool, error) {
			return !slices.Contains(domains, inc), nil
		},
		Poll: 2 * time.Millisecond, Backoff: time.Millisecond, LeaseFor: 300 * time.Millisecond, Parallel: 8,
	}
}

// start runs r until stop is called, which waits for its tasks.
func start(t *testing.T, r *job.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func enqueue(t *testing.T, st store.Store, inc store.Incarnation, ids ...string) {
	t.Helper()
	for i, id := range ids {
		if err := job.Enqueue(ctx, st, job.Work{Kind: "k", ID: id, Incarnation: inc, Arrived: int64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

func idle(t *testing.T, st store.Store, inc store.Incarnation, ids ...string) func() bool {
	return func() bool {
		for _, id := range ids {
			queued, err := job.Queued(ctx, st, inc, id)
			if err != nil {
				t.Fatal(err)
			}
			if queued {
				return false
			}
		}
		return true
	}
}

// nothingLeft says whether no row of any work is left.
func nothingLeft(t *testing.T, st store.Store) bool {
	t.Helper()
	for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Jobs}) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Partition.Key != "queue" {
			return false
		}
		if n, err := job.Waiting(ctx, st, row.Partition.Incarnation); err != nil || n > 0 {
			return false
		}
	}
	return true
}

// In a domain one at a time, in order of arrival, whatever the number of nodes; domains side by side.
func TestTurn(t *testing.T) {
	st := mem.New()
	testTurn(t, st, 2, func() {})
	until(t, "the last lease's end", func() bool { return nothingLeft(t, st) })
}

// The same when the answers of writes get lost, of some that happened and of some that did not.
func TestTurnInDoubt(t *testing.T) {
	st := &faulty.Store{Store: mem.New()}
	lose := func(op faulty.Op, _ store.Partition) error {
		if op == faulty.Swap && rand.IntN(10) == 0 {
			return fmt.Errorf("%w: a lost answer", store.ErrUnknown)
		}
		return nil
	}
	testTurn(t, st, 3, func() {
		st.Before(lose)
		st.After(lose)
	})
}

func testTurn(t *testing.T, st store.Store, nodes int, queued func()) {
	var mu sync.Mutex
	running := map[store.Incarnation]int{}
	order := map[store.Incarnation][]string{}
	both := false
	h := funcs{run: func(_ context.Context, task *job.Task) error {
		mu.Lock()
		running[task.Incarnation]++
		if running[task.Incarnation] > 1 {
			t.Error("two pieces of work have one turn")
		}
		both = both || running[1] == 1 && running[2] == 1
		order[task.Incarnation] = append(order[task.Incarnation], task.ID)
		mu.Unlock()
		time.Sleep(3 * time.Millisecond)
		mu.Lock()
		running[task.Incarnation]--
		mu.Unlock()
		return nil
	}}
	ids := []string{"i", "h", "g", "f", "e", "d", "c", "b", "a"}
	enqueue(t, st, 1, ids...)
	enqueue(t, st, 1, ids...) // again: nothing changes
	enqueue(t, st, 2, ids...)
	queued()
	for i := range nodes {
		start(t, runner(st, fmt.Sprintf("n%d", i), h, 1, 2))
	}
	until(t, "the end", func() bool { return idle(t, st, 1, ids...)() && idle(t, st, 2, ids...)() })
	mu.Lock()
	defer mu.Unlock()
	for inc, ran := range order { // in doubt work may run again, but only while it has the turn
		if !slices.Equal(slices.Compact(ran), ids) {
			t.Fatalf("domain %d: %v, want %v", inc, ran, ids)
		}
	}
	if !both {
		t.Fatal("the domains were not worked on side by side")
	}
}

// A stopped runner gives its lease back: the next one, or another node, goes on at once.
func TestStopHandsOver(t *testing.T) {
	st := mem.New()
	began := make(chan struct{}, 1)
	h := funcs{run: func(ctx context.Context, _ *job.Task) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
	enqueue(t, st, 1, "a")
	slow := runner(st, "n1", h, 1)
	slow.LeaseFor = time.Hour
	stop := start(t, slow)
	<-began
	stop()
	start(t, runner(st, "n2", funcs{run: func(context.Context, *job.Task) error { return nil }}, 1))
	until(t, "the hand-over", idle(t, st, 1, "a"))
}

// A process that died leaves a lease: its own node takes it over at once, another one when it has run out.
func TestCrashTakeOver(t *testing.T) {
	for _, owner := range []string{"n1", "n2"} {
		st := &faulty.Store{Store: mem.New()}
		began := make(chan struct{})
		var once sync.Once
		stop := start(t, runner(st, "n1", funcs{run: func(ctx context.Context, _ *job.Task) error {
			once.Do(func() { close(began) })
			<-ctx.Done()
			return ctx.Err()
		}}, 1))
		enqueue(t, st, 1, "a")
		<-began
		st.Before(func(op faulty.Op, _ store.Partition) error { // nothing of the dying process is written any more
			if op == faulty.Swap {
				return errors.New("dead")
			}
			return nil
		})
		stop()
		st.Before(nil)
		at := time.Now()
		start(t, runner(st, owner, funcs{run: func(context.Context, *job.Task) error { return nil }}, 1))
		until(t, "the take-over", idle(t, st, 1, "a"))
		if took := time.Since(at); owner == "n1" && took > 200*time.Millisecond {
			t.Errorf("its own node took over after %s", took)
		}
	}
}

// Who lost the lease publishes nothing, however late it wakes up.
func TestFencing(t *testing.T) {
	st := mem.New()
	stale := make(chan *job.Task, 1)
	pause := make(chan struct{})
	first := runner(st, "n1", funcs{run: func(_ context.Context, task *job.Task) error {
		stale <- task
		<-pause
		return nil
	}}, 1)
	enqueue(t, st, 1, "a")
	start(t, first)
	task := <-stale
	if _, err := task.Swap(ctx, store.Swap{Key: []byte("out"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Swap(ctx, store.Swap{Key: []byte("out"), Value: []byte("2")}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("a second insert: %v, want ErrConflict", err)
	}
	// The lease is taken away, as after a long pause.
	row, err := st.Get(ctx, task.Partition(), []byte("lease"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Swap(ctx, task.Partition(), []store.Swap{{Key: []byte("lease"), Value: row.Value, Expect: row.Version}}); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Swap(ctx, store.Swap{Key: []byte("late"), Value: []byte("x")}); !errors.Is(err, job.ErrLost) {
		t.Fatalf("a stale task published: %v", err)
	}
	if _, err := st.Get(ctx, task.Partition(), []byte("late")); !errors.Is(err, store.ErrNotFound) {
		t.Fatal("the late row is there")
	}
	close(pause)
}

// Work that is renewed keeps its lease, however long it lasts. Time passes by half a lease whenever the lease has been renewed.
func TestHeartbeatKeepsTheLease(t *testing.T) {
	st := mem.New()
	var now, runs atomic.Int64
	h := funcs{run: func(ctx context.Context, task *job.Task) error {
		runs.Add(1)
		var seen uint64
		for renewed := 0; renewed < 10; {
			row, err := st.Get(ctx, task.Partition(), []byte("lease"))
			if err != nil {
				return err
			}
			if row.Version != seen {
				seen = row.Version
				now.Add(int64(45 * time.Millisecond))
				renewed++
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	}}
	for _, owner := range []string{"n1", "n2"} {
		r := runner(st, owner, h, 1)
		r.LeaseFor = 90 * time.Millisecond
		r.Clock = func() time.Duration { return time.Duration(now.Load()) }
		start(t, r)
	}
	enqueue(t, st, 1, "a")
	until(t, "the end", idle(t, st, 1, "a"))
	if runs.Load() != 1 {
		t.Fatalf("%d runs of work that outlives its first lease", runs.Load())
	}
}

func TestDeadDomainRunsItsUndertakerOnly(t *testing.T) {
	st := mem.New()
	var ran sync.Map
	r := runner(st, "n", funcs{run: func(_ context.Context, task *job.Task) error {
		ran.Store(task.Kind, true)
		return nil
	}})
	r.Handlers["undertaker"] = r.Handlers["k"]
	r.Undertakers = map[string]bool{"undertaker": true}
	r.Domains = func(context.Context) ([]job.Domain, error) { return []job.Domain{{Incarnation: 1, Dead: true}}, nil }
	enqueue(t, st, 1, "a")
	if err := job.Enqueue(ctx, st, job.Work{Kind: "undertaker", ID: "u", Incarnation: 1, Arrived: 99}); err != nil {
		t.Fatal(err)
	}
	start(t, r)
	until(t, "the end", idle(t, st, 1, "a", "u"))
	if _, ok := ran.Load("k"); ok {
		t.Fatal("work of a dead domain was run")
	}
	if _, ok := ran.Load("undertaker"); !ok {
		t.Fatal("the undertaker did not run")
	}
}

// An engine that is away for long fails nothing: what met it runs again, uncounted, and is never given up.
func TestPassingFailuresAreNotCounted(t *testing.T) {
	t.Parallel() // it waits, mostly
	st := mem.New()
	away := errors.New("the store is away")
	var runs atomic.Int64
	h := funcs{
		run: func(context.Context, *job.Task) error {
			if runs.Add(1) <= 12 {
				return fmt.Errorf("read a row: %w", away)
			}
			return nil
		},
		giveUp: func(context.Context, *job.Task, error) error {
			t.Error("the work was given up")
			return nil
		},
	}
	enqueue(t, st, 1, "a")
	r := runner(st, "n", h, 1)
	r.Passing = func(err error) bool { return errors.Is(err, away) }
	stop := start(t, r)
	until(t, "the end", idle(t, st, 1, "a"))
	stop()
	if runs.Load() != 13 {
		t.Fatalf("%d runs, want 13", runs.Load())
	}
}

// doubtful loses the answers of lease renewals, as a cluster may.
type doubtful struct {
	store.Store
	lose atomic.Bool
}

func (d *doubtful) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	v, err := d.Store.Swap(ctx, p, ops)
	if err == nil && d.lose.Load() && len(ops) == 1 && string(ops[0].Key) == "lease" && ops[0].Op == store.Put {
		return 0, store.ErrUnknown
	}
	return v, err
}

// Work whose queuing lost its answer is queued, if it is there; else the caller hears of it.
func TestEnqueueInDoubt(t *testing.T) {
	for _, happened := range []bool{true, false} {
		st := &faulty.Store{Store: mem.New()}
		lose := func(faulty.Op, store.Partition) error { return store.ErrUnknown }
		if happened {
			st.After(lose)
		} else {
			st.Before(func(op faulty.Op, p store.Partition) error {
				if op == faulty.Swap {
					return lose(op, p)
				}
				return nil
			})
		}
		err := job.Enqueue(ctx, st, job.Work{Kind: "k", ID: "a", Incarnation: 1})
		if happened != (err == nil) || !happened && !errors.Is(err, store.ErrUnknown) {
			t.Errorf("happened %t: %v", happened, err)
		}
	}
}

// A renewal whose answer was lost and that happened keeps the lease: its worker goes on, and may publish.
func TestRenewalInDoubtKeepsTheLease(t *testing.T) {
	st := &doubtful{Store: mem.New()}
	enqueue(t, st, 1, "a")
	published := make(chan error, 1)
	stop := start(t, runner(st, "n", funcs{run: func(ctx context.Context, task *job.Task) error {
		st.lose.Store(true)
		time.Sleep(400 * time.Millisecond) // longer than a lease, so that several renewals are in doubt
		st.lose.Store(false)
		_, err := task.Swap(ctx, store.Swap{Key: []byte("outcome")})
		published <- err
		return err
	}}, 1))
	defer stop()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
}

// held stops the first read of a lease until it is released.
type held struct {
	store.Store
	once           sync.Once
	reached, leave chan struct{}
}

func (h *held) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	if string(key) == "lease" {
		h.once.Do(func() {
			close(h.reached)
			<-h.leave
		})
	}
	return h.Store.Get(ctx, p, key)
}

// Work that ends between a node's look at the turn and its look at the lease is not run again by that node, and leaves no rows.
func TestWorkThatEndedIsNotTakenOver(t *testing.T) {
	st := mem.New()
	slow := &held{Store: st, reached: make(chan struct{}), leave: make(chan struct{})}
	enqueue(t, st, 1, "a")
	var late atomic.Int64
	stop := start(t, runner(slow, "late", funcs{run: func(context.Context, *job.Task) error { late.Add(1); return nil }}, 1))
	<-slow.reached
	start(t, runner(st, "quick", funcs{run: func(context.Context, *job.Task) error { return nil }}, 1))
	noRows := func() bool { return nothingLeft(t, st) }
	until(t, "the end", noRows)
	close(slow.leave)
	time.Sleep(20 * time.Millisecond) // some looks of the late node
	until(t, "no rows", noRows)
	stop()
	if late.Load() != 0 {
		t.Fatal("the work ran again")
	}
}

// A node whose lease ran out while its work ended does not give the turn on: the node that took the work over still has it.
func TestFormerOwnerGivesNoTurnOn(t *testing.T) {
	st := mem.New()
	enqueue(t, st, 1, "a", "b")
	paused, resume, taken, end := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	first := runner(st, "first", funcs{run: func(_ context.Context, task *job.Task) error {
		if task.ID == "a" {
			close(paused)
			<-resume
		}
		return nil
	}}, 1)
	first.LeaseFor = time.Hour // no heartbeat before the test ends
	start(t, first)
	<-paused
	var ran []string
	var mu sync.Mutex
	var once sync.Once
	second := runner(st, "second", funcs{run: func(_ context.Context, task *job.Task) error {
		mu.Lock()
		ran = append(ran, task.ID)
		mu.Unlock()
		once.Do(func() { close(taken); <-end })
		return nil
	}}, 1)
	at := time.Now()
	second.Clock = func() time.Duration { return 1_000_000 * time.Since(at) } // to it the other seems frozen
	start(t, second)
	<-taken
	close(resume) // the first node ends its work, and tries to give the turn on
	time.Sleep(50 * time.Millisecond)
	mu.Lock()
	if fmt.Sprint(ran) != "[a]" {
		t.Errorf("%v ran while the first piece of work had the turn", ran)
	}
	mu.Unlock()
	if queued, err := job.Queued(ctx, st, 1, "a"); err != nil || !queued {
		t.Errorf("the former owner gave the turn on, %v", err)
	}
	close(end)
	until(t, "the end", idle(t, st, 1, "a", "b"))
}

// An import and its undo have one id. The undo that is queued while the import is about to end has its turn behind it, also when the import
// is queued a second time.
func TestKindsShareAnID(t *testing.T) {
	st := mem.New()
	var mu sync.Mutex
	var ran []string
	r := runner(st, "n", funcs{}, 1)
	for _, kind := range []string{"import", "undo"} {
		r.Handlers[kind] = funcs{run: func(_ context.Context, task *job.Task) error {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, task.Kind)
			return nil
		}}
	}
	for _, w := range []job.Work{{Kind: "undo", Arrived: 2}, {Kind: "import", Arrived: 1}, {Kind: "import", Arrived: 1}, {Kind: "undo", Arrived: 3}} {
		w.ID, w.Incarnation = "a", 1
		if err := job.Enqueue(ctx, st, w); err != nil {
			t.Fatal(err)
		}
	}
	start(t, r)
	until(t, "the end", idle(t, st, 1, "a"))
	mu.Lock()
	defer mu.Unlock()
	if got := fmt.Sprint(ran); got != "[import undo]" {
		t.Errorf("%s ran, want the import and the undo", got)
	}
}

// Work that is queued again while it runs is run once more, whether it has ended in its own eyes or not; how often it is queued
// meanwhile does not matter. What arrived before it has its turn first.
func TestQueuedWhileItRuns(t *testing.T) {
	for _, end := range []string{"well", "given up"} {
		t.Run(end, func(t *testing.T) {
			st := mem.New()
			var mu sync.Mutex
			var ran []string
			begun, goOn := make(chan struct{}), make(chan struct{})
			start(t, runner(st, "n", funcs{
				run: func(_ context.Context, task *job.Task) error {
					mu.Lock()
					ran = append(ran, task.ID)
					first := len(ran) == 1
					mu.Unlock()
					if first {
						close(begun)
						<-goOn
						if end == "given up" {
							return job.ErrCancelled
						}
					}
					return nil
				},
			}, 1))
			enqueue(t, st, 1, "a")
			<-begun
			again := job.Work{Kind: "k", ID: "a", Incarnation: 1, Arrived: 9}
			if err := job.Ensure(ctx, st, again); err != nil {
				t.Fatal(err)
			}
			if n, err := job.Waiting(ctx, st, 1); err != nil || n != 1 {
				t.Fatalf("work that runs and was ensured is queued %d times, %v", n, err)
			}
			for range 3 {
				if err := job.Enqueue(ctx, st, again); err != nil {
					t.Fatal(err)
				}
			}
			enqueue(t, st, 1, "b", "c")
			close(goOn)
			until(t, "the end", idle(t, st, 1, "a", "b", "c"))
			mu.Lock()
			defer mu.Unlock()
			if got := fmt.Sprint(ran); got != "[a b c a]" {
				t.Errorf("%s ran, want a, b, c and a again", got)
			}
			until(t, "that nothing is left", func() bool { return nothingLeft(t, st) })
		})
	}
}

// A node that is paused between taking a lease and the turn, for longer than the lease lasts, does not take the turn from the node
// that has got it meanwhile.
func TestLateTakerLeavesTheTurn(t *testing.T) {
	st := mem.New()
	slow := &faulty.Store{Store: st}
	paused, resume := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow.Before(func(op faulty.Op, p store.Partition) error {
		if op == faulty.Swap && p.Key == "queue" {
			once.Do(func() {
				close(paused)
				<-resume
			})
		}
		return nil
	})
	enqueue(t, st, 1, "a", "b")
	var late atomic.Int64
	first := runner(slow, "late", funcs{run: func(context.Context, *job.Task) error { late.Add(1); return nil }}, 1)
	first.LeaseFor = 50 * time.Millisecond
	stop := start(t, first)
	<-paused
	taken, end := make(chan struct{}), make(chan struct{})
	var runs sync.Map
	start(t, runner(st, "quick", funcs{run: func(_ context.Context, task *job.Task) error {
		if _, again := runs.LoadOrStore(task.ID, true); again {
			t.Errorf("%s ran again", task.ID)
		}
		if task.ID == "a" {
			close(taken)
			<-end
		}
		return nil
	}}, 1))
	<-taken
	close(resume)
	time.Sleep(50 * time.Millisecond)
	stop()
	close(end)
	until(t, "the end", idle(t, st, 1, "a", "b"))
	if n := late.Load(); n != 0 {
		t.Errorf("the late node ran %d pieces of work", n)
	}
}
