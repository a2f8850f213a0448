package job_test

import (
	"context"
	"errors"
	"testing"

	"kith/job"
	"kith/store"
	"kith/store/faulty"
	"kith/store/mem"
)

// A process that dies between taking its work out of the queue and letting go of it leaves the lease and the attempts, which nobody looks at
// again. They go with DropRemains; those of work that waits, or runs, stay.
func TestRemainsOfADeadProcessGo(t *testing.T) {
	st := mem.New()
	own := &faulty.Store{Store: st}
	running, end := make(chan struct{}), make(chan struct{})
	r := runner(own, "n", funcs{run: func(context.Context, *job.Task) error {
		running <- struct{}{}
		<-end
		return nil
	}}, 1)
	stop := start(t, r)
	keys := func() (n int) {
		for _, err := range st.Scan(ctx, job.Partition(1, "a"), store.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	drop := func(want int) {
		t.Helper()
		if err := job.DropRemains(ctx, st, 1, "a"); err != nil {
			t.Fatal(err)
		}
		if n := keys(); n != want {
			t.Fatalf("%d rows are left, want %d", n, want)
		}
	}
	drop(0)
	enqueue(t, st, 1, "a")
	<-running
	drop(2)
	own.Before(func(op faulty.Op, p store.Partition) error {
		if queued, err := job.Queued(ctx, st, 1, "a"); op == faulty.Swap && p == job.Partition(1, "a") && !queued && err == nil {
			return errors.New("the process has died")
		}
		return nil
	})
	close(end)
	stop()
	if n := keys(); n != 2 {
		t.Fatalf("the process left %d rows", n)
	}
	drop(0)

	// The same work may come again, as the undo of an import does.
	own.Before(nil)
	end = make(chan struct{})
	start(t, r)
	enqueue(t, st, 1, "a")
	<-running
	drop(2)
	close(end)
	until(t, "the work ends", func() bool { return keys() == 0 })
}
