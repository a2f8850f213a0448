package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// Work that fails ends with its cause, after three failures by one cause or ten by any, and its lane goes on. What gets on between its
// failures is never given up.
func TestWorkThatFailsEnds(t *testing.T) {
	t.Parallel() // it waits, mostly
	for name, c := range map[string]struct {
		fail   func(ctx context.Context, task *job.Task, run int) error
		runs   int
		gaveUp string
	}{
		"one cause": {func(_ context.Context, _ *job.Task, run int) error {
			return fmt.Errorf("blob %032x: byte %d is wrong", run*77, run)
		}, 3, "byte 3 is wrong"},
		"a panic": {func(context.Context, *job.Task, int) error { panic("a bug") }, 3, "a bug"},
		"two causes in turns": {func(_ context.Context, _ *job.Task, run int) error {
			return errors.New([]string{"this", "that"}[run%2])
		}, 10, "this"},
		"a failure now and then": {func(_ context.Context, _ *job.Task, run int) error {
			if run%3 != 0 && run < 9 {
				return errors.New("trouble")
			}
			if run < 9 {
				return errors.New("other trouble")
			}
			return nil
		}, 9, ""},
		"it gets on": {func(ctx context.Context, task *job.Task, run int) error {
			if run == 20 {
				return nil
			}
			if _, err := task.Swap(ctx, store.Swap{Key: fmt.Appendf(nil, "row%d", run)}); err != nil {
				return err
			}
			return errors.New("trouble")
		}, 20, ""},
		"it writes the same again": {func(ctx context.Context, task *job.Task, run int) error {
			if run == 1 {
				_, _ = task.Swap(ctx, store.Swap{Key: []byte("row")})
			}
			return errors.New("trouble")
		}, 3, "trouble"},
	} {
		t.Run(name, func(t *testing.T) {
			st := mem.New()
			var mu sync.Mutex
			runs, gaveUp := 0, ""
			h := funcs{
				run: func(ctx context.Context, task *job.Task) error {
					if task.ID == "next" {
						return nil
					}
					mu.Lock()
					runs++
					n := runs
					mu.Unlock()
					return c.fail(ctx, task, n)
				},
				giveUp: func(ctx context.Context, task *job.Task, cause error) error {
					mu.Lock()
					defer mu.Unlock()
					gaveUp += cause.Error()
					return nil
				},
			}
			enqueue(t, st, 1, "a", "next")
			stop := start(t, runner(st, "n", h, 1))
			until(t, "the end", idle(t, st, 1, "a", "next"))
			stop()
			if runs != c.runs || !strings.Contains(gaveUp, c.gaveUp) || (c.gaveUp == "") != (gaveUp == "") {
				t.Fatalf("%d runs, given up for %q; want %d, %q", runs, gaveUp, c.runs, c.gaveUp)
			}
		})
	}
}

// That work was given up may be impossible to record, too: the lane goes on.
func TestGivingUpInVainEnds(t *testing.T) {
	st := mem.New()
	var ups atomic.Int64
	h := funcs{
		run: func(_ context.Context, task *job.Task) error {
			if task.ID == "next" {
				return nil
			}
			return errors.New("damage")
		},
		giveUp: func(context.Context, *job.Task, error) error { ups.Add(1); return errors.New("damage here as well") },
	}
	enqueue(t, st, 1, "a", "next")
	stop := start(t, runner(st, "n", h, 1))
	until(t, "the end", idle(t, st, 1, "a", "next"))
	stop()
	if ups.Load() != 3 {
		t.Fatalf("given up %d times, want 3", ups.Load())
	}
}

// live runs a node on an engine until die says so, and kills it: nothing of it is written any more. It returns whether work was left.
func live(t *testing.T, st store.Store, died string, run func(ctx context.Context, task *job.Task) error, giveUp func(error), die func() bool) {
	t.Helper()
	own := &faulty.Store{Store: st}
	r := runner(own, "n", funcs{run: run, giveUp: func(_ context.Context, _ *job.Task, cause error) error {
		giveUp(cause)
		return nil
	}}, 1)
	r.Died = died
	stop := start(t, r)
	until(t, "the death of a process", die)
	own.Before(func(op faulty.Op, _ store.Partition) error {
		if op == faulty.Swap {
			return errors.New("dead")
		}
		return nil
	})
	stop()
}

// Work during which the process dies ends: after three deaths that are known to be the process's own, and after twelve of which
// nobody knows. The attempt is written down before it begins, so that nothing but the queue has to survive.
func TestWorkThatKillsTheProcessEnds(t *testing.T) {
	for _, c := range []struct {
		died string
		want int
	}{{"out of memory", 3}, {"", 12}} {
		st := mem.New()
		enqueue(t, st, 1, "a")
		var begun atomic.Int64
		var cause error
		for life, over := 0, false; !over && life < 50; life++ {
			before := begun.Load()
			died := c.died
			if life == 0 {
				died = "" // nothing ran before
			}
			live(t, st, died, func(ctx context.Context, _ *job.Task) error {
				begun.Add(1)
				<-ctx.Done()
				return ctx.Err()
			}, func(err error) { cause = err }, func() bool {
				over = idle(t, st, 1, "a")()
				return over || begun.Load() > before
			})
		}
		died, ok := errors.AsType[*job.DiedError](cause)
		if !ok || begun.Load() != int64(c.want) || died.Of != c.died || died.Times != c.want {
			t.Errorf("died of %q: %d attempts, given up for %v; want %d", c.died, begun.Load(), cause, c.want)
		}
	}
}

// A thousand kills during one piece of work fail nothing, if it gets on at all: whether they leave it time between two of them or not,
// and whether they come while it pauses.
func TestThousandKillsFailNothing(t *testing.T) {
	t.Parallel() // it waits, mostly
	st := mem.New()
	enqueue(t, st, 1, "a")
	kills, rows := 1000, 0
	if testing.Short() {
		kills = 100
	}
	giveUp := func(err error) { t.Errorf("given up: %v", err) }
	for kill := range kills {
		began := make(chan struct{})
		var once sync.Once
		at := time.Now()
		live(t, st, "", func(ctx context.Context, task *job.Task) error {
			if kill%11 == 10 { // ten lives of eleven are too short
				if _, err := task.Swap(ctx, store.Swap{Key: fmt.Appendf(nil, "row%04d", rows)}); err != nil {
					return err
				}
				rows++
			}
			once.Do(func() { close(began) })
			<-ctx.Done()
			return ctx.Err()
		}, giveUp, func() bool {
			select {
			case <-began:
				return true
			default:
				return time.Since(at) > 2*time.Millisecond && kill%11 != 10 // killed in a pause
			}
		})
	}
	start(t, runner(st, "n", funcs{run: func(context.Context, *job.Task) error { return nil }}, 1))
	until(t, "the end", idle(t, st, 1, "a"))
	if rows < kills/11 {
		t.Errorf("it got on %d times, want %d", rows, kills/11)
	}
}

// Who loses its lease again and again, because it is frozen, has not died: nothing is given up.
func TestLostLeasesAreNotCounted(t *testing.T) {
	st := mem.New()
	enqueue(t, st, 1, "a")
	const losses = 30
	var lost atomic.Int64
	h := funcs{
		run: func(ctx context.Context, task *job.Task) error {
			if lost.Load() >= losses {
				return nil
			}
			row, err := st.Get(ctx, task.Partition(), []byte("lease"))
			if err != nil {
				return err
			}
			// Somebody else takes it, as after a long pause of this node, and rests it at once.
			_, err = st.Swap(ctx, task.Partition(), []store.Swap{{Key: []byte("lease"), Value: []byte(`{"For":1000}`), Expect: row.Version}})
			if err != nil {
				return err
			}
			lost.Add(1)
			_, err = task.Swap(ctx, store.Swap{Key: []byte("late")})
			if !errors.Is(err, job.ErrLost) {
				t.Errorf("a stale task published: %v", err)
			}
			return err
		},
		giveUp: func(_ context.Context, _ *job.Task, cause error) error {
			t.Errorf("given up: %v", cause)
			return nil
		},
	}
	start(t, runner(st, "n", h, 1))
	until(t, "the end", idle(t, st, 1, "a"))
}

// An operator's cancelling reaches work that waits, that runs here, and that runs at another node.
func TestCancel(t *testing.T) {
	for _, where := range []string{"waiting", "here", "elsewhere", "resting"} {
		t.Run(where, func(t *testing.T) {
			st := mem.New()
			began := make(chan struct{}, 100)
			var cause atomic.Value
			h := funcs{
				run: func(ctx context.Context, task *job.Task) error {
					if task.ID == "first" {
						return nil
					}
					began <- struct{}{}
					if where == "resting" {
						return errors.New("no")
					}
					<-ctx.Done()
					return ctx.Err()
				},
				giveUp: func(_ context.Context, task *job.Task, err error) error {
					cause.Store(err)
					return nil
				},
			}
			r := runner(st, "n1", h, 1)
			r.LeaseFor = 90 * time.Millisecond
			if where == "resting" {
				r.Backoff = 100 * time.Millisecond
			}
			enqueue(t, st, 1, "first", "a")
			if where != "waiting" {
				start(t, r)
				<-began
			}
			var ok bool
			var err error
			if where == "here" {
				_, ok, err = r.Cancel(ctx, 1, "a")
			} else {
				_, ok, err = job.Cancel(ctx, st, 1, "a")
			}
			if err != nil || !ok {
				t.Fatalf("%t, %v", ok, err)
			}
			if where == "waiting" {
				start(t, r)
			}
			until(t, "the end", idle(t, st, 1, "a"))
			if got, _ := cause.Load().(error); !errors.Is(got, job.ErrCancelled) {
				t.Fatalf("given up for %v", got)
			}
			if _, ok, err := r.Cancel(ctx, 1, "a"); ok || err != nil {
				t.Fatalf("work that has ended was cancelled, %v", err)
			}
		})
	}
}

// A trouble that lasts is said once, and once more when it is over, however often it is met.
func TestLastingTroubleIsSaidOnce(t *testing.T) {
	st := &faulty.Store{Store: mem.New()}
	enqueue(t, st, 1, "a")
	away := errors.New("the disk is full")
	var calls atomic.Int64
	st.Before(func(op faulty.Op, _ store.Partition) error {
		if calls.Add(1); op == faulty.Swap {
			return away
		}
		return nil
	})
	var log lines
	r := runner(st, "n", funcs{run: func(context.Context, *job.Task) error { return nil }}, 1)
	r.Log = slog.New(slog.NewTextHandler(&log, nil))
	r.Standing = []job.Standing{{Name: "s", Run: func(context.Context, *job.Task) (time.Duration, error) { return 0, nil }}}
	start(t, r)
	until(t, "some looks", func() bool { return calls.Load() > 40 })
	if n := log.count(); n != 1 {
		t.Errorf("%d lines while the store is away:\n%s", n, log.text())
	}
	st.Before(nil)
	until(t, "the end", idle(t, st, 1, "a"))
	until(t, "the word that it is well", func() bool { return strings.Contains(log.text(), "works again") })
	if n := log.count(); n != 2 {
		t.Errorf("%d lines:\n%s", n, log.text())
	}
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count() int { return strings.Count(l.text(), "\n") }

// An undo has the id of its import. What the import failed and died of does not count against it, also when the process died between
// taking the import out of the queue and removing its attempts.
func TestKindsHaveAttemptsOfTheirOwn(t *testing.T) {
	st := mem.New()
	dying := &faulty.Store{Store: st}
	runs := map[string]int{}
	fails := func(well func()) funcs { // twice, then it ends well
		return funcs{
			run: func(_ context.Context, task *job.Task) error {
				if runs[task.Kind]++; runs[task.Kind] < 3 {
					return errors.New("trouble")
				}
				well()
				return nil
			},
			giveUp: func(_ context.Context, task *job.Task, cause error) error {
				t.Errorf("the %s was given up: %v", task.Kind, cause)
				return nil
			},
		}
	}
	r := runner(dying, "n", funcs{}, 1)
	r.Handlers["import"] = fails(func() {
		dying.After(func(op faulty.Op, p store.Partition) error {
			if op == faulty.Swap && p.Key == "queue" { // the last that it writes
				dying.Before(func(faulty.Op, store.Partition) error { return errors.New("dead") })
			}
			return nil
		})
	})
	if err := job.Enqueue(ctx, st, job.Work{Kind: "import", ID: "a", Incarnation: 1}); err != nil {
		t.Fatal(err)
	}
	stop := start(t, r)
	until(t, "the end of the import", idle(t, st, 1, "a"))
	stop()
	if nothingLeft(t, st) {
		t.Fatal("the dead process left nothing")
	}
	next := runner(st, "n", funcs{}, 1)
	next.Handlers["undo"] = fails(func() {})
	if err := job.Enqueue(ctx, st, job.Work{Kind: "undo", ID: "a", Incarnation: 1}); err != nil {
		t.Fatal(err)
	}
	stop = start(t, next)
	until(t, "the end of the undo", idle(t, st, 1, "a"))
	stop()
	if runs["undo"] != 3 {
		t.Errorf("the undo ran %d times, want 3", runs["undo"])
	}
}
