package job_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// helper is a handler that helps too.
type helper struct {
	funcs
	help func(context.Context, *job.Task) error
}

func (h helper) Help(ctx context.Context, t *job.Task) error { return h.help(ctx, t) }

// crew starts two nodes with one piece of work, and returns the task of the one that has the lease and that of the one that helps.
// Both tasks last until the test ends.
func crew(t *testing.T, first, second store.Store) (main, helping *job.Task) {
	t.Helper()
	mains, helpers := make(chan *job.Task, 1), make(chan *job.Task, 1)
	last := func(to chan *job.Task) func(context.Context, *job.Task) error {
		return func(ctx context.Context, task *job.Task) error {
			to <- task
			<-ctx.Done()
			return ctx.Err()
		}
	}
	h := helper{funcs{run: last(mains)}, last(helpers)}
	for i, st := range []store.Store{first, second} {
		r := runner(st, []string{"n1", "n2"}[i], h, 1)
		r.Shared = true
		start(t, r)
		if i == 0 {
			enqueue(t, st, 1, "a")
			main = <-mains
		}
	}
	return main, <-helpers
}

func TestPartsHaveOneOwner(t *testing.T) {
	st := mem.New()
	main, helping := crew(t, st, st)
	if main.Helping() || !helping.Helping() || !main.Shared() {
		t.Fatalf("helping %t and %t", main.Helping(), helping.Helping())
	}
	done := store.Swap{Key: []byte("done"), Op: store.Check}
	part, partCtx, err := helping.Claim(ctx, "p", done)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // longer than a lease: heartbeats keep it
		time.Sleep(150 * time.Millisecond)
		if _, _, err := main.Claim(ctx, "p", done); !errors.Is(err, job.ErrTaken) {
			t.Fatalf("a second claim: %v, want ErrTaken", err)
		}
	}
	if _, err := helping.Swap(ctx, store.Swap{Key: []byte("x")}); !errors.Is(err, job.ErrLost) {
		t.Fatalf("a helper wrote under the lease: %v", err)
	}
	if err := partCtx.Err(); err != nil {
		t.Fatal(err)
	}
	if err := part.Publish(ctx, store.Swap{Key: []byte("done"), Value: []byte("n2")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := main.Claim(ctx, "p", done); !errors.Is(err, job.ErrTaken) {
		t.Fatalf("a claim of a part that is done: %v, want ErrTaken", err)
	}
	again, _, err := main.Claim(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	again.GiveUp(ctx)
	if again, _, err = helping.Claim(ctx, "q"); err != nil {
		t.Fatalf("a part that was given up: %v", err)
	}
	if err := again.Publish(ctx, store.Swap{Key: []byte("done")}); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("%v, want ErrConflict", err)
	}
	if _, _, err = main.Claim(ctx, "q"); err != nil {
		t.Fatalf("a part whose publication failed: %v", err)
	}
}

// A node that is frozen while it has a part loses it, is told so, and publishes nothing when it wakes up.
func TestFrozenNodeLosesItsPart(t *testing.T) {
	st := mem.New()
	far := &faulty.Store{Store: st}
	main, helping := crew(t, st, far)
	part, partCtx, err := helping.Claim(ctx, "p")
	if err != nil {
		t.Fatal(err)
	}
	awake := make(chan struct{})
	far.Before(func(faulty.Op, store.Partition) error { <-awake; return nil })
	var taken *job.Part
	until(t, "the other node's claim", func() bool {
		taken, _, err = main.Claim(ctx, "p")
		if err != nil && !errors.Is(err, job.ErrTaken) {
			t.Fatal(err)
		}
		return err == nil
	})
	close(awake)
	if err := part.Publish(ctx, store.Swap{Key: []byte("late")}); !errors.Is(err, job.ErrLost) {
		t.Fatalf("a stale part was published: %v", err)
	}
	if _, err := st.Get(ctx, main.Partition(), []byte("late")); !errors.Is(err, store.ErrNotFound) {
		t.Fatal("the late row is there")
	}
	<-partCtx.Done()
	if err := taken.Publish(ctx, store.Swap{Key: []byte("out")}); err != nil {
		t.Fatal(err)
	}
	for row, err := range st.Scan(ctx, main.Partition(), store.Prefix("part/")) {
		t.Fatalf("a claim is left: %s, %v", row.Key, err)
	}
}

// Helping keeps no work of a node's own waiting, and a node that helped takes the work over when its owner is gone.
func TestHelpingGivesWay(t *testing.T) {
	st := mem.New()
	began, helped, own, ended := make(chan struct{}), make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	busy := runner(st, "n1", helper{funcs{run: func(ctx context.Context, _ *job.Task) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}, nil}, 1)
	busy.Shared = true
	enqueue(t, st, 1, "a")
	stop := start(t, busy)
	<-began
	r := runner(st, "n2", helper{
		funcs{run: func(_ context.Context, task *job.Task) error {
			close(map[store.Incarnation]chan struct{}{1: ended, 2: own}[task.Incarnation])
			return nil
		}},
		func(context.Context, *job.Task) error {
			select {
			case helped <- struct{}{}:
			default:
			}
			<-own
			return nil
		},
	}, 1, 2)
	r.Shared, r.Parallel = true, 1
	start(t, r)
	<-helped
	enqueue(t, st, 2, "b")
	until(t, "work of the node's own", idle(t, st, 2, "b"))
	stop()
	<-ended
	until(t, "the end", idle(t, st, 1, "a"))
}
