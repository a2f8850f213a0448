package job

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"kith/store"
)

// errOver is how the run of a task ends that is to be given up and was not run.
var errOver = errors.New("the work is given up")

const (
	// maxBackoff is the longest pause after a failure; the work has its lane meanwhile.
	maxBackoff = time.Minute
	// awayBackoff is the longest pause after meeting an engine that was not available.
	awayBackoff = 10 * time.Second
	// calmBackoff is the longest pause of work that keeps nobody waiting.
	calmBackoff = 10 * time.Minute
)

// settle ends the work, gives the lease back, puts the work off or gives it up, depending on how its run ended.
func (r *Runner) settle(ctx context.Context, t *Task, err error) {
	// The runner may be stopping; what is left to write is short.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	key := t.Partition().Key
	switch {
	case err == nil:
		r.calm.Well(r.Log, key)
		r.check(ctx, t, "ending background work failed; it will be run again", r.finish(ctx, t))
	case errors.Is(err, errOver):
		r.giveUp(ctx, t, t.over)
	case errors.Is(err, ErrCancelled):
		r.giveUp(ctx, t, ErrCancelled)
	case errors.Is(err, ErrLost):
		r.lost(ctx, t)
	case errors.Is(err, context.Canceled):
		r.putOff(ctx, t, 0, func(a attempts) attempts { return a })
	case r.passing(err):
		r.calm.Failing(r.Log, key, "background work met an engine that is not available; it is tried again", "kind", t.Kind, "work", t.ID, "error", err)
		wait := min(r.Backoff<<min(t.attempts.Away, 10), awayBackoff)
		r.putOff(ctx, t, wait/2+rand.N(wait), func(a attempts) attempts { a.Away++; return a })
	default:
		r.failed(ctx, t, err)
	}
}

func (r *Runner) passing(err error) bool { return r.Passing != nil && r.Passing(err) }

// check logs what a task could not write when it ended.
func (r *Runner) check(ctx context.Context, t *Task, msg string, err error) {
	if errors.Is(err, ErrLost) {
		r.lost(ctx, t)
	} else if err != nil {
		r.calm.Failing(r.Log, "settling/"+t.Partition().Key, msg, "kind", t.Kind, "work", t.ID, "error", err)
	}
}

// failed counts a failure, and puts the work off or gives it up.
func (r *Runner) failed(ctx context.Context, t *Task, cause error) {
	a := t.attempts
	if now, err := progress(ctx, r.Store, t.Partition()); err == nil {
		a = a.since(now)
	}
	a = a.strike(t.taker).failed(causeOf(cause))
	r.stats.failed(t.Kind)
	quiet, longest := t.standing || r.Undertakers[t.Kind], maxBackoff
	if quiet {
		longest = calmBackoff
		r.calm.Failing(r.Log, t.Partition().Key, "background work failed; it is tried again", "kind", t.Kind, "work", t.ID, "attempt", a.Failed, "error", cause)
	} else {
		r.Log.Error("background work failed", "kind", t.Kind, "work", t.ID, "attempt", a.Failed, "error", cause)
		if a.over() != nil {
			t.attempts = a
			r.giveUp(ctx, t, cause)
			return
		}
	}
	r.putOff(ctx, t, min(r.Backoff<<min(a.Failed-1, 10), longest), func(attempts) attempts { return a })
}

// giveUp ends the work for good. When that can't be recorded it is tried again, and at last the work ends unrecorded.
func (r *Runner) giveUp(ctx context.Context, t *Task, cause error) {
	var err error
	if h := r.Handlers[t.Kind]; h != nil {
		err = h.GiveUp(ctx, t, cause)
	}
	switch {
	case errors.Is(err, ErrLost):
		r.lost(ctx, t)
		return
	case err != nil && (r.passing(err) || t.attempts.InVain+1 < gaveUpInVain):
		r.Log.Error("giving up background work failed; it is tried again", "kind", t.Kind, "work", t.ID, "error", err)
		r.putOff(ctx, t, min(r.Backoff<<min(t.attempts.InVain+t.attempts.Away, 10), maxBackoff), func(a attempts) attempts {
			if r.passing(err) {
				a.Away++
			} else {
				a.InVain++
			}
			if a.Cause == "" {
				a.Cause = causeOf(cause)
			}
			a.Failed, a.Same = max(a.Failed, t.attempts.Failed), max(a.Same, t.attempts.Same)
			return a
		})
		return
	case err != nil:
		r.Log.Error("that background work was given up could not be recorded; it ends all the same, so that others have their turn",
			"kind", t.Kind, "work", t.ID, "error", err)
	}
	r.Log.Error("background work was given up", "kind", t.Kind, "work", t.ID, "cause", cause)
	r.stats.gaveUp(t.Kind)
	r.calm.Forget(t.Partition().Key)
	r.check(ctx, t, "ending background work failed; it will be given up again", r.finish(ctx, t))
}

// putOff gives the lease back, strikes this taking out of the attempts, and lets nobody take the lease for a while.
func (r *Runner) putOff(ctx context.Context, t *Task, wait time.Duration, change func(attempts) attempts) {
	l := lease{For: wait.Microseconds()}
	err := r.rewrite(ctx, t, func(a attempts, version uint64, leaseVersion uint64) ([]store.Swap, error) {
		rest, err := l.put(leaseKey, leaseVersion)
		if err != nil {
			return nil, err
		}
		op, err := change(a.strike(t.taker)).put(version)
		return []store.Swap{rest, op}, err
	})
	r.check(ctx, t, "putting background work off failed; it goes on when its lease has run out", err)
}

// drop deletes the lease and the attempts.
func (r *Runner) drop(ctx context.Context, t *Task) error {
	err := r.rewrite(ctx, t, func(_ attempts, version uint64, leaseVersion uint64) ([]store.Swap, error) {
		ops := []store.Swap{{Key: leaseKey, Op: store.Delete, Expect: leaseVersion}}
		if version != 0 {
			ops = append(ops, store.Swap{Key: attemptsKey, Op: store.Delete, Expect: version})
		}
		return ops, nil
	})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// rewrite writes the lease and the attempts together, under the lease; a former owner may strike a taking out at the same time.
func (r *Runner) rewrite(ctx context.Context, t *Task, ops func(a attempts, version, leaseVersion uint64) ([]store.Swap, error)) error {
	h, p := t.hold, t.Partition()
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		a, version, err := readAttempts(ctx, r.Store, p)
		if err != nil {
			return err
		}
		ops, err := ops(a, version, h.version)
		if err != nil {
			return err
		}
		_, err = store.Certain(ctx, r.Store, p, ops, nil)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := h.explain(ctx, err); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// lost strikes the taking of a task that lost its lease out of the attempts: its process did not die. Whoever has the work now may
// write the row too; if it can't be done soon, the taking counts as one that left no word.
func (r *Runner) lost(ctx context.Context, t *Task) {
	gone, err := r.Gone(ctx, t.Incarnation)
	if err == nil && gone { // its deletion takes leases away on purpose, its own with the last rows
		r.Log.Info("background work ended with its domain", "kind", t.Kind, "work", t.ID)
	} else {
		r.Log.Warn("background work lost its lease", "kind", t.Kind, "work", t.ID)
	}
	for range 10 {
		a, version, err := readAttempts(ctx, r.Store, t.Partition())
		if err != nil || len(a.strike(t.taker).Open) == len(a.Open) {
			return
		}
		op, err := a.strike(t.taker).put(version)
		if err != nil {
			return
		}
		if _, err = r.Store.Swap(ctx, t.Partition(), []store.Swap{op}); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) {
			return
		}
	}
}

// finish gives the lane on, if it is still the task's. Repeating it is harmless.
func (r *Runner) finish(ctx context.Context, t *Task) error {
	err := changeQueue(ctx, r.Store, t.Incarnation, func(q *queue) error {
		it := q.find(t.Work)
		if it == nil || it.Taker == "" {
			return errUnchanged // it has ended; what waits was queued since
		}
		if it.Taker != t.taker {
			return ErrLost
		}
		q.removeTaken(t.Work)
		return nil
	})
	if err != nil {
		return err
	}
	return r.drop(ctx, t)
}

// DropRemains deletes the lease and the attempts of work that has ended: its process may have died after it had taken the work out of the
// queue, and then nobody else comes by. Work that is queued keeps them. Who keeps records of work that has ended calls it now and then.
func DropRemains(ctx context.Context, s store.Store, inc store.Incarnation, id string) error {
	p := Partition(inc, id)
	_, leaseVersion, err := readLease(ctx, s, p, leaseKey)
	if err != nil || leaseVersion == 0 {
		return err
	}
	_, version, err := readAttempts(ctx, s, p)
	if err != nil {
		return err
	}
	// Behind the reads: work that is queued again meanwhile is run under another version of the lease.
	if queued, err := Queued(ctx, s, inc, id); err != nil || queued {
		return err
	}
	ops := []store.Swap{{Key: leaseKey, Op: store.Delete, Expect: leaseVersion}}
	if version != 0 {
		ops = append(ops, store.Swap{Key: attemptsKey, Op: store.Delete, Expect: version})
	}
	_, err = s.Swap(ctx, p, ops)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) { // its owner does the same, or it runs again; the next call looks again
		return nil
	}
	return err
}
