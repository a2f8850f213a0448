package job

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"kith/store"
)

// Standing is work that every living domain has at all times: the consumer of a feed, retention. For each domain one node at a time
// runs it, under a lease of its own, when it is woken (Runner.WakeStanding) and at least once in Every over all nodes.
//
// A consumer keeps its cursor in a row of the task's partition and changes it by Task.Swap, so that a stale owner moves it nowhere:
//
//	row, err := store.Get(ctx, t.Partition(), cursorKey)   // store.ErrNotFound: from the beginning
//	… read the feed behind it, do what is to be done, repeatably …
//	_, err = t.Swap(ctx, store.Swap{Key: cursorKey, Value: next, Expect: row.Version})
//
// Row keys "lease", "attempts" and "part/…" belong to this package. Task.Fence tells stale owners' writes elsewhere. Parts of it can be
// claimed (Task.Claim).
type Standing struct {
	Name  string
	Every time.Duration // at least this often, with jitter, counted from the domain's creation on; 0 is a minute
	// AtStart says that it is also run soon after a node has started, in the domains there are then.
	AtStart bool
	// Idle says that there is nothing to do in a domain, by a few reads, without a lease. Nil: there may always be.
	Idle func(ctx context.Context, inc store.Incarnation) (bool, error)
	// Heavy says that a run may keep every core busy.
	Heavy bool
	// Pause is how much time is left between two runs of a domain, so that much that wakes it is one run.
	Pause time.Duration
	// Run does what there is to do. again is how soon it wants to be called again if nothing wakes it before; it keeps the lease
	// till then if that is no longer than a lease lasts. 0: it is woken, or Every. An error puts it off, twice as long every
	// time up to ten minutes; it is never given up. ErrGone says that there is no such domain any more. The task's context ends when the lease is lost or the node stops.
	Run func(ctx context.Context, t *Task) (again time.Duration, err error)
}

// stand is what a node knows of standing work.
type stand struct {
	mu   sync.Mutex
	all  map[standKey]*standState
	slot chan struct{} // bounds how many runs there are at a time
	// stirred are those that were woken and do not run; signal holds an element while there are some.
	stirred []standKey
	signal  chan struct{}
	// started says that all domains have been looked at once.
	started bool
}

type standKey struct {
	inc  store.Incarnation
	name string
}

type standState struct {
	due    time.Duration // by Runner.Clock
	woken  chan struct{} // holds an element when it was woken
	cancel context.CancelCauseFunc
	last   time.Duration // when this was looked at, to forget those of domains that are gone
}

func (s *stand) init(side int) {
	s.all = map[standKey]*standState{}
	s.slot = make(chan struct{}, side)
	s.signal = make(chan struct{}, 1)
}

// stir makes the runner try standing work that was woken. The lock is held.
func (s *stand) stir(k standKey) {
	s.stirred = append(s.stirred, k)
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

func (s *stand) state(k standKey) *standState {
	st := s.all[k]
	if st == nil {
		st = &standState{woken: make(chan struct{}, 1)}
		s.all[k] = st
	}
	return st
}

func (s *stand) cancel(inc store.Incarnation, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, st := range s.all {
		if k.inc == inc && st.cancel != nil {
			st.cancel(cause)
		}
	}
}

// WakeStanding makes standing work of a domain run now, if no other node has it; that one looks when it said it would.
func (r *Runner) WakeStanding(inc store.Incarnation, name string) {
	r.init()
	k := standKey{inc, name}
	r.stand.mu.Lock()
	defer r.stand.mu.Unlock()
	st := r.stand.state(k)
	select {
	case st.woken <- struct{}{}:
		if st.cancel == nil {
			r.stand.stir(k)
		}
	default: // somebody was here before, and it has not begun to read yet
	}
}

// stirred starts the standing work that was woken.
func (r *Runner) stirred(ctx context.Context) (failed error) {
	r.stand.mu.Lock()
	keys := r.stand.stirred
	r.stand.stirred = nil
	r.stand.mu.Unlock()
	for _, k := range keys {
		for i := range r.Standing {
			if s := &r.Standing[i]; s.Name == k.name {
				failed = errors.Join(failed, r.visit(ctx, k, s))
			}
		}
	}
	return failed
}

// visit tries one piece of standing work, if it is due and does not run here.
func (r *Runner) visit(ctx context.Context, k standKey, s *Standing) error {
	r.stand.mu.Lock()
	st := r.stand.state(k)
	now := r.Clock()
	if st.last == 0 && s.AtStart && !r.stand.started && len(st.woken) == 0 {
		st.woken <- struct{}{}
	}
	st.last = max(now, 1)
	skip := st.cancel != nil || len(st.woken) == 0 && now < st.due
	r.stand.mu.Unlock()
	if skip {
		return nil
	}
	if err := r.tryStanding(ctx, k.inc, s, st); err != nil {
		return fmt.Errorf("standing work %s: %w", s.Name, err)
	}
	return nil
}

// lookStanding starts the standing work of a domain that is due.
func (r *Runner) lookStanding(ctx context.Context, inc store.Incarnation) (failed error) {
	for i := range r.Standing {
		failed = errors.Join(failed, r.visit(ctx, standKey{inc, r.Standing[i].Name}, &r.Standing[i]))
	}
	return failed
}

// forget forgets the standing work of domains that are gone: nobody has looked at it for an hour, and what was woken is not about to be looked at for the
// first time. It goes through that of all domains, so it is called once per look. The lock is held.
func (s *stand) forget(now time.Duration) {
	for k, st := range s.all {
		if st.cancel == nil && now-st.last > time.Hour && (st.last > 0 || len(st.woken) == 0) {
			delete(s.all, k)
		}
	}
}

// every is how often standing work is looked at.
func (s *Standing) every() time.Duration {
	if s.Every == 0 {
		return time.Minute
	}
	return s.Every
}

// tryStanding starts standing work if it is due and this node can have its lease, or notes when to look again.
func (r *Runner) tryStanding(ctx context.Context, inc store.Incarnation, s *Standing, st *standState) error {
	woken := len(st.woken) > 0
	later := func(d time.Duration) {
		r.stand.mu.Lock()
		defer r.stand.mu.Unlock()
		st.due = r.Clock() + d
	}
	later(min(s.every(), r.LeaseFor)) // if what follows fails
	if s.Idle != nil && !woken {
		idle, err := s.Idle(ctx, inc)
		if err != nil {
			return err
		}
		if idle {
			later(s.every()*3/4 + rand.N(s.every()/4+1))
			return nil
		}
	}
	t := &Task{Work: Work{Kind: s.Name, ID: s.Name, Incarnation: inc}, standing: true, taker: r.newTaker()}
	if r.Shared {
		t.parts = r
	}
	if !woken {
		a, _, err := readAttempts(ctx, r.Store, t.Partition())
		if err != nil {
			return err
		}
		// A time of day that was set back makes it due early: it may be run at any time.
		if age := r.Now().Sub(time.UnixMicro(a.Ended)); age >= 0 && age < s.every() && s.Idle == nil {
			later(s.every() - age + rand.N(s.every()/8+1))
			return nil
		}
	}
	not, err := r.take(ctx, t, true, func(attempts) {})
	if err != nil {
		return err
	}
	if not != "" {
		later(min(s.every(), r.Poll)) // what woke it must not be lost: it stays woken
		return nil
	}
	if t.attempts.Ended == 0 && !woken && s.Idle == nil { // a new domain: Every counts from here
		settleCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		r.putOff(settleCtx, t, 0, func(a attempts) attempts { return attempts{Progress: a.Progress, Ended: r.Now().UnixMicro()} })
		later(s.every())
		return nil
	}
	r.startStanding(ctx, s, st, t)
	return nil
}

// startStanding runs standing work in the background until it has nothing to do for longer than a lease lasts.
func (r *Runner) startStanding(ctx context.Context, s *Standing, st *standState, t *Task) {
	taskCtx, cancel := context.WithCancelCause(ctx)
	r.stand.mu.Lock()
	st.cancel = cancel
	r.stand.mu.Unlock()
	r.stats.begin(t.Kind)
	r.wg.Go(func() {
		beat := make(chan struct{})
		go func() {
			defer close(beat)
			t.hold.keep(taskCtx, cancel, r.Clock, t.since, func(context.Context) {})
		}()
		again, err := r.runStanding(taskCtx, s, st, t)
		failed := err != nil && taskCtx.Err() == nil && !errors.Is(err, ErrGone)
		cancel(nil)
		<-beat
		if again == 0 || again > s.every() {
			again = s.every()
		}
		r.settleStanding(ctx, t, err)
		r.stats.end(t.Kind)
		r.stand.mu.Lock()
		st.cancel, st.due = nil, r.Clock()+again
		if failed { // what woke it is still to be done; the lease rests as long as it is put off
			select {
			case st.woken <- struct{}{}:
			default:
			}
		}
		// A domain that has been deleted may have left a lease that nobody can write: nobody looks at it again. Others are looked at soon.
		if len(st.woken) > 0 && ctx.Err() == nil && !errors.Is(err, ErrLost) {
			r.stand.stir(standKey{t.Incarnation, s.Name})
		}
		r.stand.mu.Unlock()
	})
}

// runStanding runs standing work again and again while it wants to go on soon.
func (r *Runner) runStanding(ctx context.Context, s *Standing, st *standState, t *Task) (again time.Duration, err error) {
	for {
		select {
		case r.stand.slot <- struct{}{}:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		select { // what woke it before it reads is seen by it
		case <-st.woken:
		default:
		}
		again, err = r.callStanding(ctx, s, t)
		<-r.stand.slot
		if err != nil || again == 0 || again > r.LeaseFor {
			return again, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(s.Pause):
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-st.woken:
		case <-time.After(again):
		}
	}
}

func (r *Runner) callStanding(ctx context.Context, s *Standing, t *Task) (again time.Duration, err error) {
	if s.Heavy {
		r.load(1)
		defer r.load(-1)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in standing work %s: %v", s.Name, p)
		}
	}()
	again, err = s.Run(ctx, t)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return again, err
}

// settleStanding gives the lease back, with a pause after a failure.
func (r *Runner) settleStanding(ctx context.Context, t *Task, err error) {
	if errors.Is(err, ErrGone) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		r.check(ctx, t, "removing the lease of a domain that is gone failed", r.drop(ctx, t))
		return
	}
	if err != nil {
		r.settle(ctx, t, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r.calm.Well(r.Log, t.Partition().Key)
	r.putOff(ctx, t, 0, func(a attempts) attempts { return attempts{Progress: a.Progress, Ended: r.Now().UnixMicro()} })
}
