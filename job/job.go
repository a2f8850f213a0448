// Package job runs durable background work: at most one piece of work per domain at a time (the domain's turn, in order of
// arrival), under a lease with heartbeats, fenced by version, retried with backoff. It survives kill -9: what was queued or
// running is continued by the next start, or by another node when the lease runs out.
//
// Rows, all Swap rows in table jobs:
//
//	(incarnation, "turn")        "turn"        → turn             the work that has it, and the work that waits for it
//	(incarnation, "work/<id>")   "lease"       → lease            owner, expiry, attempts
//	                             "part/<name>" → lease            of a part of the work that a node has claimed
//	                             all other rows of the partition belong to the kind of work
//
// Invariants:
//
//  1. Work has the turn from before its first read of the store until it is taken out of the row "turn". Who takes the lease
//     also writes that into the row, and only who did so last may take the work out: a former owner gives no turn on, and work
//     that ended between being seen and being leased is not run again.
//  2. Only the owner of the unexpired lease runs work. Every row that matters is published by Task.Swap, which checks the
//     lease's version in the same call: who lost the lease publishes nothing, however late it wakes up.
//  3. A handler may be run any number of times for one piece of work, and must end up in the same state.
//  4. Nodes without the lease may do parts of work whose handler is a Helper. A part has one owner at a time, who publishes its
//     outcome by Part.Publish: that checks the part's own lease, so a helper needs no other, and who lost it publishes nothing.
package job

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kith/store"
)

// ErrLost says that the lease was lost: another owner runs the work, or its domain is gone. The handler must stop.
var ErrLost = errors.New("lease lost")

// Work is a piece of work in a domain.
type Work struct {
	Kind        string
	ID          string
	Incarnation store.Incarnation `json:"-"`
	Arrived     int64             // microseconds
}

// Partition returns the partition of a piece of work.
func Partition(inc store.Incarnation, id string) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "work/" + id}
}

var leaseKey = []byte("lease")

// Task is a piece of work being run, under its lease or as a helper of the node that has it.
type Task struct {
	Work
	hold *hold // nil: without the lease

	taker string // names this taking of the lease in the turn

	// parts is how parts are claimed; nil: no other node takes any.
	parts *Runner
}

// Partition returns the partition of the work.
func (t *Task) Partition() store.Partition { return Partition(t.Incarnation, t.ID) }

// Helping says that another node has the lease.
func (t *Task) Helping() bool { return t.hold == nil && t.parts != nil }

// Attempts counts the runs of this work that failed so far.
func (t *Task) Attempts() int { return t.hold.get().Attempts }

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
	// Run does the work, from wherever an earlier run left it. A nil error ends the work and gives the turn on.
	Run(ctx context.Context, t *Task) error
	// GiveUp is asked after MaxAttempts failed runs. It records the failure and returns true to end the work, or returns
	// false when the work must be tried for ever, because part of its outcome is visible already.
	GiveUp(ctx context.Context, t *Task, cause error) (bool, error)
}

// Helper is a Handler of work with parts that nodes without the lease may do.
type Helper interface {
	Handler
	// Help does parts of the work until there is none left to claim. It is called again and again while another node has the
	// lease, and must come back soon when there is nothing to do.
	Help(ctx context.Context, t *Task) error
}

// Domain is an incarnation that may have work. A dead one only runs kinds in Runner.Undertakers.
type Domain struct {
	Incarnation store.Incarnation
	Dead        bool
}

// Runner finds and runs work on this node.
type Runner struct {
	Store    store.Store
	Handlers map[string]Handler
	// Undertakers are the kinds that run in dead domains; all other work there is dropped.
	Undertakers map[string]bool
	// Domains lists where work may be.
	Domains func(ctx context.Context) ([]Domain, error)
	// Owner names this node. A lease of the same owner that no task here holds is taken over at once: it is from before a restart.
	Owner string
	Now   func() time.Time
	Log   Logger
	// Shared says that other nodes run the same work: parts are claimed, and others' work is helped with.
	Shared bool

	// Passing says that a failure was the moment's, not the work's: the work is tried again without counting it. Nil: none was.
	Passing func(error) bool

	// Zero values are replaced by the defaults in brackets.
	LeaseFor    time.Duration // 15 s
	Poll        time.Duration // 1 s
	MaxAttempts int           // 5
	Backoff     time.Duration // 1 s, doubled with every attempt up to a minute
	Parallel    int           // 4 domains at a time; and as many others are helped with

	once    sync.Once
	wake    chan struct{}
	mu      sync.Mutex
	running map[store.Incarnation]*running
	wg      sync.WaitGroup
}

// running is what runs in a domain on this node.
type running struct {
	cancel  context.CancelCauseFunc
	helping bool
}

// Logger is the part of slog.Logger that is used.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

func (r *Runner) init() {
	r.once.Do(func() {
		r.wake = make(chan struct{}, 1)
		r.running = map[store.Incarnation]*running{}
		if r.LeaseFor == 0 {
			r.LeaseFor = 15 * time.Second
		}
		if r.Poll == 0 {
			r.Poll = time.Second
		}
		if r.MaxAttempts == 0 {
			r.MaxAttempts = 5
		}
		if r.Backoff == 0 {
			r.Backoff = time.Second
		}
		if r.Parallel == 0 {
			r.Parallel = 4
		}
	})
}

// Wake makes the runner look for work now.
func (r *Runner) Wake() {
	r.init()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Abort cancels what runs here in a domain, because the domain is gone. Other nodes notice at their next heartbeat.
func (r *Runner) Abort(inc store.Incarnation) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	if here := r.running[inc]; here != nil {
		here.cancel(ErrLost)
	}
}

// Run looks for work until ctx ends, then waits for the tasks it started; their leases are given back for the next start.
func (r *Runner) Run(ctx context.Context) {
	r.init()
	defer r.wg.Wait()
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("looking for background work failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-time.After(r.Poll):
		}
	}
}

// look starts a task for every domain that has work and none running here.
func (r *Runner) look(ctx context.Context) error {
	domains, err := r.Domains(ctx)
	if err != nil {
		return err
	}
	var failed error // one domain's trouble must not keep the others waiting
	for _, d := range domains {
		busy, mayRun, mayHelp := r.capacity(d.Incarnation)
		if busy || !mayRun && !mayHelp {
			continue
		}
		t, err := r.next(ctx, d, mayRun, mayHelp && !d.Dead)
		if err != nil {
			failed = errors.Join(failed, err)
		} else if t != nil {
			r.start(ctx, d, t)
		}
	}
	return failed
}

// capacity says whether something runs in a domain here, and whether this node may run or help with one more piece of work. What it
// helps with keeps no work of its own waiting.
func (r *Runner) capacity(inc store.Incarnation) (busy, mayRun, mayHelp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	helping := 0
	for _, here := range r.running {
		if here.helping {
			helping++
		}
	}
	return r.running[inc] != nil, len(r.running)-helping < r.Parallel, r.Shared && helping < r.Parallel
}

// next returns the task of the domain's turn if this node may run it now, or help with it.
func (r *Runner) next(ctx context.Context, d Domain, mayRun, mayHelp bool) (*Task, error) {
	seen, _, err := readTurn(ctx, r.Store, d.Incarnation)
	if err != nil {
		return nil, err
	}
	w := seen.next()
	if w == nil {
		return nil, nil
	}
	p := Partition(d.Incarnation, w.ID)
	l, version, err := readLease(ctx, r.Store, p, leaseKey)
	if err != nil {
		return nil, err
	}
	now := r.Now().UnixMicro()
	if l.NotBefore > now {
		return nil, nil
	}
	if l.Expires > now && l.Owner != r.Owner {
		if _, ok := r.Handlers[w.Kind].(Helper); ok && mayHelp {
			return &Task{Work: *w, parts: r}, nil
		}
		return nil, nil
	}
	if !mayRun {
		return nil, nil
	}
	l.Owner, l.Expires, l.NotBefore = r.Owner, now+r.LeaseFor.Microseconds(), 0
	h, err := take(ctx, r.Store, p, leaseKey, version, l)
	if errors.Is(err, store.ErrConflict) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &Task{Work: *w, hold: h, taker: fmt.Sprintf("%s/%d", r.Owner, h.version)}
	if r.Shared {
		t.parts = r
	}
	ended := false
	err = changeTurn(ctx, r.Store, d.Incarnation, func(now *turn) error {
		if now.Taker == t.taker {
			return errUnchanged
		}
		next := now.next()
		if ended = next == nil || next.ID != w.ID || now.Taker != seen.Taker; ended { // or another node was faster
			return errUnchanged
		}
		now.give(*w, t.taker)
		return nil
	})
	if err != nil || ended {
		return nil, errors.Join(err, h.drop(ctx))
	}
	return t, nil
}

// start runs t in the background, with heartbeats if it has the lease.
func (r *Runner) start(ctx context.Context, d Domain, t *Task) {
	taskCtx, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	r.running[d.Incarnation] = &running{cancel, t.Helping()}
	r.mu.Unlock()
	r.wg.Go(func() {
		defer func() {
			cancel(nil)
			r.mu.Lock()
			delete(r.running, d.Incarnation)
			r.mu.Unlock()
			r.Wake()
		}()
		if t.Helping() {
			r.help(taskCtx, d, t)
			return
		}
		beat := make(chan struct{})
		go func() {
			defer close(beat)
			t.hold.keep(taskCtx, cancel, r.Now, r.LeaseFor)
		}()
		err := r.guard(taskCtx, d, t)
		cancel(nil)
		<-beat
		r.settle(ctx, d, t, err)
	})
}

// help runs the handler of a task that another node has the lease of.
func (r *Runner) help(ctx context.Context, d Domain, t *Task) {
	err := r.guard(ctx, d, t)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrLost) {
		return
	}
	r.Log.Warn("helping with background work failed; it is tried again", "kind", t.Kind, "work", t.ID, "error", err)
	select {
	case <-ctx.Done():
	case <-time.After(5 * r.Backoff):
	}
}

// guard calls the handler of a task.
func (r *Runner) guard(ctx context.Context, d Domain, t *Task) (err error) {
	h := r.Handlers[t.Kind]
	if h == nil {
		return fmt.Errorf("no handler for work of kind %q", t.Kind)
	}
	if d.Dead && !r.Undertakers[t.Kind] {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in work of kind %s: %v", t.Kind, p)
		}
	}()
	if t.Helping() {
		err = h.(Helper).Help(ctx, t)
	} else {
		err = h.Run(ctx, t)
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

// settle ends the work, gives the lease back, or puts the work off, depending on how its run ended.
func (r *Runner) settle(ctx context.Context, d Domain, t *Task, err error) {
	// The runner may be stopping; what is left to write is short.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	log := func(msg string, more error) {
		r.Log.Error(msg, "kind", t.Kind, "work", t.ID, "error", more)
	}
	switch {
	case err == nil:
		if err := r.finish(ctx, t); errors.Is(err, ErrLost) {
			r.lost(t)
		} else if err != nil {
			log("ending background work failed; it will be run again", err)
		}
	case errors.Is(err, ErrLost):
		r.lost(t)
	case errors.Is(err, context.Canceled):
		l := t.hold.get()
		l.Expires = 0
		if err := t.hold.renew(ctx, l); errors.Is(err, ErrLost) {
			r.lost(t)
		} else if err != nil {
			log("giving a lease back failed", err)
		}
	default:
		r.failed(ctx, t, err)
	}
}

func (r *Runner) failed(ctx context.Context, t *Task, cause error) {
	l := t.hold.get()
	if r.Passing != nil && r.Passing(cause) {
		r.Log.Warn("background work met an engine that is not available; it is tried again", "kind", t.Kind, "work", t.ID, "error", cause)
		r.putOff(ctx, t, l, r.Backoff)
		return
	}
	l.Attempts++
	r.Log.Error("background work failed", "kind", t.Kind, "work", t.ID, "attempt", l.Attempts, "error", cause)
	if l.Attempts >= r.MaxAttempts {
		if h := r.Handlers[t.Kind]; h != nil {
			done, err := h.GiveUp(ctx, t, cause)
			if err == nil && done {
				err = r.finish(ctx, t)
			}
			if err != nil {
				r.Log.Error("giving up background work failed", "kind", t.Kind, "work", t.ID, "error", err)
			} else if done {
				return
			}
		}
	}
	r.putOff(ctx, t, l, min(r.Backoff<<min(l.Attempts-1, 10), time.Minute))
}

// putOff gives the lease back, and lets nobody take it for a while.
func (r *Runner) putOff(ctx context.Context, t *Task, l lease, wait time.Duration) {
	l.Expires, l.NotBefore = 0, r.Now().Add(wait).UnixMicro()
	err := t.hold.renew(ctx, l)
	switch {
	case errors.Is(err, ErrLost):
		r.lost(t)
	case err != nil:
		r.Log.Error("putting background work off failed; it goes on when its lease has run out", "kind", t.Kind, "work", t.ID, "error", err)
	}
}

func (r *Runner) lost(t *Task) {
	r.Log.Warn("background work lost its lease", "kind", t.Kind, "work", t.ID)
}

// finish gives the turn on, if it is still the task's. Repeating it is harmless.
func (r *Runner) finish(ctx context.Context, t *Task) error {
	err := changeTurn(ctx, r.Store, t.Incarnation, func(now *turn) error {
		if now.Holder == nil || now.Holder.ID != t.ID {
			return errUnchanged // it has ended
		}
		if now.Taker != t.taker {
			return ErrLost
		}
		now.Holder, now.Taker = nil, ""
		return nil
	})
	if err != nil {
		return err
	}
	return t.hold.drop(ctx)
}
