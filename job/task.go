package job

import (
	"context"
	"errors"
	"time"

	"kith/store"
)

// The errors that end a task from outside, as the cause of its context.
var (
	// ErrLost says that the lease was lost: another owner runs the work, or its domain is gone. The handler must stop.
	ErrLost = errors.New("lease lost")
	// ErrGone is returned by standing work whose domain was deleted: its rows go.
	ErrGone = errors.New("the domain is gone")
	// ErrCancelled says that an operator has cancelled the work.
	ErrCancelled = errors.New("cancelled by an operator")
)

// Partition returns the partition of a piece of work.
func Partition(inc store.Incarnation, id string) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "work/" + id}
}

// StandingPartition returns the partition of standing work.
func StandingPartition(inc store.Incarnation, name string) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "standing/" + name}
}

var leaseKey = []byte("lease")

// PartPrefix is what the keys of claims begin with in the partition of work. What a process that died leaves there outlives the work.
const PartPrefix = "part/"

// Task is a piece of work being run, under its lease or as a helper of the node that has it.
type Task struct {
	Work
	standing bool
	hold     *hold // nil: without the lease
	fence    uint64
	since    time.Duration // the lease was taken, by Runner.Clock

	taker    string   // names this taking of the lease, in the queue and among the attempts
	attempts attempts // as they were when the lease was taken
	over     error    // not nil: the work is to be given up, for this reason

	// parts is how parts are claimed; nil: no other node takes any.
	parts *Runner
}

// Partition returns the partition of the work.
func (t *Task) Partition() store.Partition {
	if t.standing {
		return StandingPartition(t.Incarnation, t.ID)
	}
	return Partition(t.Incarnation, t.ID)
}

// Helping says that another node has the lease.
func (t *Task) Helping() bool { return t.hold == nil && t.parts != nil }

// Fence returns a number above those of all earlier takings of this lease, for rows in other partitions that are to tell a stale
// owner's writes. Rows of the work's own partition need it not: Swap checks the lease itself.
func (t *Task) Fence() uint64 { return t.fence }

// Swap publishes rows of the work's partition if the lease is still ours. store.ErrConflict means that another expectation
// failed, ErrLost that the lease is gone.
func (t *Task) Swap(ctx context.Context, ops ...store.Swap) (uint64, error) {
	if t.hold == nil {
		return 0, ErrLost
	}
	return t.hold.swap(ctx, store.Check, ops)
}

// Handler runs one kind of work.
type Handler interface {
	// Run does the work, from wherever an earlier run left it. A nil error ends the work and gives its lane on. An error for
	// which Runner.Passing holds, or a context that ends, puts it off; all others are attempts that failed.
	Run(ctx context.Context, t *Task) error
	// GiveUp ends work that can't go on, or that an operator cancelled (ErrCancelled). It records, where who asked for the
	// work looks, that it failed, why, and what is left half done, so that nothing queues it again by itself. It must not
	// need what the work needs: the cause may be damage.
	GiveUp(ctx context.Context, t *Task, cause error) error
}

// Helper is a Handler of work with parts that nodes without the lease may do.
type Helper interface {
	Handler
	// Help does parts of the work until there is none left to claim. It is called again and again while another node has the
	// lease, and must come back soon when there is nothing to do.
	Help(ctx context.Context, t *Task) error
}
