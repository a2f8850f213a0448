package job

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"kith/internal/calm"
	"kith/store"
)

// Domain is an incarnation that may have work. A dead one only runs kinds in Runner.Undertakers.
type Domain struct {
	Incarnation store.Incarnation
	Dead        bool
}

// Runner finds and runs work on this node.
type Runner struct {
	Store    store.Store
	Handlers map[string]Handler
	// Undertakers are the kinds that run in dead domains; all other work there is dropped. They keep nobody waiting and are never
	// given up, only put off for longer and longer.
	Undertakers map[string]bool
	// Standing is the work that every living domain has at all times.
	Standing []Standing
	// Domains lists where work may be.
	Domains func(ctx context.Context) ([]Domain, error)
	// Gone says whether a domain has been deleted, as Domains would, and costs less: work of a deleted domain asks, all of it at once.
	Gone func(ctx context.Context, inc store.Incarnation) (bool, error)
	// Owner names this node. A lease of the same owner that no task here holds is taken over at once: it is from before a restart.
	Owner string
	// Died is what this node's last process died of, as far as that is known to have been its own doing; "" otherwise.
	Died string
	// Now is the time of day, which decides nothing but when standing work is due.
	Now func() time.Time
	// Clock is a monotonic clock of this machine, by which leases are judged. Nil: the system's.
	Clock func() time.Duration
	Log   Logger
	// Shared says that other nodes run the same work: parts are claimed, and others' work is helped with.
	Shared bool

	// Busy is told how many pieces of work run here that may keep every core busy, whenever that changes: those of lanes, and heavy standing
	// work. It is called under a lock, one call after the other. Nil: nobody is told.
	Busy func(n int)

	// Passing says that a failure was the moment's, not the work's: the work is put off without counting it. Nil: none was.
	Passing func(error) bool

	// Zero values are replaced by the defaults in brackets.
	LeaseFor time.Duration // 15 s
	Poll     time.Duration // 1 s
	Backoff  time.Duration // 1 s, doubled with every failure up to a minute
	Parallel int           // 4 turns of domains at a time; and as many others are helped with
	Side     int           // 8 pieces of work of other lanes at a time
	// AtMost is how many pieces of work of a kind this node runs or helps with at a time, for kinds that take much memory each.
	AtMost map[string]int

	once    sync.Once
	life    string // names this process in takings
	takings atomic.Int64
	watch   watcher
	calm    calm.Log
	stats   stats
	wake    chan struct{}
	mu      sync.Mutex
	running map[lane]*running
	busy    int // what Busy was told
	wg      sync.WaitGroup
	stand   stand
}

// lane is a lane of a domain.
type lane struct {
	inc  store.Incarnation
	lane Lane
}

// running is what runs in a lane on this node.
type running struct {
	work    Work
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
		def := func(d *time.Duration, v time.Duration) {
			if *d == 0 {
				*d = v
			}
		}
		def(&r.LeaseFor, 15*time.Second)
		def(&r.Poll, time.Second)
		def(&r.Backoff, time.Second)
		if r.Parallel == 0 {
			r.Parallel = 4
		}
		if r.Side == 0 {
			r.Side = 8
		}
		if r.Clock == nil {
			start := time.Now()
			r.Clock = func() time.Duration { return time.Since(start) }
		}
		var b [6]byte
		_, _ = rand.Read(b[:])
		r.life = hex.EncodeToString(b[:])
		r.watch.clock, r.calm.Clock = r.Clock, r.Clock
		r.wake = make(chan struct{}, 1)
		r.running = map[lane]*running{}
		r.stand.init(r.Side)
	})
}

// lease returns the lease that this node takes.
func (r *Runner) lease() lease { return lease{Owner: r.Owner, For: r.LeaseFor.Microseconds()} }

// newTaker names a taking of a lease.
func (r *Runner) newTaker() string { return fmt.Sprintf("%s/%s/%d", r.Owner, r.life, r.takings.Add(1)) }

// Wake makes the runner look for work now.
func (r *Runner) Wake() {
	r.init()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Abort cancels what runs here in a domain, because the domain is gone. Other nodes notice at their next heartbeat.
func (r *Runner) Abort(inc store.Incarnation) { r.cancel(inc, "", ErrLost) }

// Cancel cancels queued work, as an operator: Cancel, and what runs here notices at once.
func (r *Runner) Cancel(ctx context.Context, inc store.Incarnation, id string) (w Work, ok bool, err error) {
	r.init()
	w, ok, err = Cancel(ctx, r.Store, inc, id)
	if ok {
		r.cancel(inc, id, ErrCancelled)
		r.Wake()
	}
	return w, ok, err
}

// cancel ends what runs here of a domain: the work of an id, or all for "".
func (r *Runner) cancel(inc store.Incarnation, id string, cause error) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, here := range r.running {
		if l.inc == inc && (id == "" || here.work.ID == id) {
			here.cancel(cause)
		}
	}
	if id == "" {
		r.stand.cancel(inc, cause)
	}
}

// Run looks for work until ctx ends, then waits for the tasks it started; their leases are given back for the next start.
func (r *Runner) Run(ctx context.Context) {
	r.init()
	defer r.wg.Wait()
	failures := 0
	for {
		wait := r.Poll
		if err := r.look(ctx); err == nil {
			failures = 0
			r.calm.Well(r.Log, "looking")
		} else if ctx.Err() == nil {
			// Twice as long every time, up to 32 times, and never all nodes at once.
			wait = r.Poll << min(failures, 5)
			wait += mrand.N(wait)
			failures++
			r.calm.Failing(r.Log, "looking", "looking for background work failed; it goes on", "error", err)
		}
		if !r.sleep(ctx, wait) {
			return
		}
	}
}

// sleep returns when it is time to look again, false when ctx has ended. Standing work that is woken is tried without a look at all.
func (r *Runner) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-r.wake:
			return true
		case <-timer.C:
			return true
		case <-r.stand.signal:
			if err := r.stirred(ctx); err != nil && ctx.Err() == nil {
				r.calm.Failing(r.Log, "standing", "starting standing work failed; it goes on", "error", err)
			} else {
				r.calm.Well(r.Log, "standing")
			}
		}
	}
}

// look starts a task for every lane that has work and none running here, and the standing work that is due.
func (r *Runner) look(ctx context.Context) error {
	domains, err := r.Domains(ctx)
	if err != nil {
		return err
	}
	var failed error // one domain's trouble must not keep the others waiting
	for _, d := range domains {
		q, _, err := readQueue(ctx, r.Store, d.Incarnation)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, it := range q.heads() {
			busy, mayRun, mayHelp := r.capacity(d, &it)
			if busy || !mayRun && !mayHelp {
				continue
			}
			t, err := r.next(ctx, d, it, mayRun, mayHelp && !d.Dead)
			if err != nil {
				failed = errors.Join(failed, err)
			} else if t != nil {
				r.start(ctx, d, t)
			}
		}
		if !d.Dead {
			failed = errors.Join(failed, r.lookStanding(ctx, d.Incarnation))
		}
	}
	r.stand.mu.Lock()
	defer r.stand.mu.Unlock()
	r.stand.started = r.stand.started || failed == nil
	r.stand.forget(r.Clock())
	return failed
}

// capacity says whether something runs in the lane of a piece of work here, and whether this node may run it or help with it. What it
// helps with keeps no work of its own waiting, nor do other lanes the turn, but for kinds that AtMost bounds; of these what is only to be given up does not wait.
func (r *Runner) capacity(d Domain, w *item) (busy, mayRun, mayHelp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	helping, turns, side, alike := 0, 0, 0, 0
	for at, here := range r.running {
		if here.work.Kind == w.Kind {
			alike++
		}
		switch {
		case here.helping:
			helping++
		case at.lane == Turn:
			turns++
		default:
			side++
		}
	}
	mayRun = turns < r.Parallel
	if w.Lane != Turn {
		mayRun = side < r.Side
	}
	mayHelp = r.Shared && helping < r.Parallel
	if most, bounded := r.AtMost[w.Kind]; bounded && alike >= most && !d.Dead && !w.Cancelled {
		mayRun, mayHelp = false, false
	}
	return r.running[lane{d.Incarnation, w.Lane}] != nil, mayRun, mayHelp
}

// next returns the task of the head of a lane if this node may run it now, or help with it.
func (r *Runner) next(ctx context.Context, d Domain, it item, mayRun, mayHelp bool) (*Task, error) {
	t := &Task{Work: it.Work, taker: r.newTaker()}
	if r.Shared {
		t.parts = r
	}
	lost, err := r.take(ctx, t, mayRun, func(a attempts) {
		switch {
		case r.Undertakers[it.Kind]:
		case it.Cancelled:
			t.over = ErrCancelled
		default:
			t.over = a.over()
		}
	})
	if lost != "" {
		if _, ok := r.Handlers[it.Kind].(Helper); ok && mayHelp && lost != resting {
			return &Task{Work: it.Work, parts: r}, nil
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ended := false
	err = changeQueue(ctx, r.Store, d.Incarnation, func(q *queue) error {
		now := q.find(it.Work)
		if now != nil && now.Taker == t.taker {
			return errUnchanged
		}
		head := q.head(it.Lane)
		if ended = head == nil || !head.is(it.Work) || now.Taker != it.Taker; ended { // or another node was faster
			return errUnchanged
		}
		now.Taker = t.taker
		return nil
	})
	if err != nil || ended {
		return nil, errors.Join(err, r.drop(ctx, t))
	}
	return t, nil
}

const (
	resting = "resting" // nobody has it, but it is not to be taken now
	held    = "held"    // another node has it
)

// take takes the lease of a task if this node may have it now. It returns resting or held if not. decide is told what the attempts
// are so far, before the lease is taken, and may set t.over, so that this taking is no attempt.
func (r *Runner) take(ctx context.Context, t *Task, mayRun bool, decide func(attempts)) (not string, err error) {
	p := t.Partition()
	l, version, err := readLease(ctx, r.Store, p, leaseKey)
	if err != nil {
		return "", err
	}
	unchanged := r.watch.unchanged(p, leaseKey, version)
	if version != 0 && l.Owner != r.Owner && unchanged < l.length() {
		if l.Owner == "" {
			return resting, nil
		}
		return held, nil
	}
	if !mayRun {
		return resting, nil
	}
	a, attemptsVersion, err := r.readAttempts(ctx, p, t.Kind, version)
	if err != nil {
		return "", err
	}
	decide(a)
	if t.over == nil && unchanged < a.pause(r.Backoff) {
		return resting, nil
	}
	if t.over == nil {
		a.Open = append(a.Open[max(0, len(a.Open)-2*silentEnds):], taking{Name: t.taker})
	}
	op, err := a.put(attemptsVersion)
	if err != nil {
		return "", err
	}
	since := r.Clock()
	// A node that stops meanwhile must know whether it has the lease, to give it back: else nobody has it for as long as it lasts.
	takeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	h, err := take(takeCtx, r.Store, p, leaseKey, version, r.lease(), op)
	if errors.Is(err, store.ErrConflict) {
		return resting, nil
	}
	if err != nil {
		return "", err
	}
	t.hold, t.fence, t.attempts, t.since = h, h.version, a, since
	return "", nil
}

// readAttempts returns the attempts at work as they count now. What this process knows of those of its former lives is written at
// once: the next life would know only what this one died of.
func (r *Runner) readAttempts(ctx context.Context, p store.Partition, kind string, leaseVersion uint64) (a attempts, version uint64, err error) {
	if a, version, err = readAttempts(ctx, r.Store, p); err != nil {
		return a, 0, err
	}
	now, err := progress(ctx, r.Store, p)
	if err != nil {
		return a, 0, err
	}
	a, changed := a.of(kind).since(now).judge(r.Owner, r.life, r.Died)
	if !changed {
		return a, version, nil
	}
	op, err := a.put(version)
	if err != nil {
		return a, 0, err
	}
	version, err = store.Certain(ctx, r.Store, p, []store.Swap{op, {Key: leaseKey, Op: store.Check, Expect: leaseVersion}}, nil)
	return a, version, err
}

// start runs t in the background, with heartbeats if it has the lease.
func (r *Runner) start(ctx context.Context, d Domain, t *Task) {
	taskCtx, cancel := context.WithCancelCause(ctx)
	at := lane{d.Incarnation, t.Lane}
	r.mu.Lock()
	r.running[at] = &running{t.Work, cancel, t.Helping()}
	r.mu.Unlock()

	r.stats.begin(t.Kind)
	r.load(1)
	r.wg.Go(func() {
		defer func() {
			cancel(nil)
			r.stats.end(t.Kind)
			r.load(-1)
			r.mu.Lock()
			delete(r.running, at)
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
			t.hold.keep(taskCtx, cancel, r.Clock, t.since, func(ctx context.Context) { r.heed(ctx, t, cancel) })
		}()
		err := r.guard(taskCtx, d, t)
		cancel(nil)
		<-beat
		r.settle(ctx, t, err)
	})
}

// load notes that a piece of work begins or ends that may keep every core busy.
func (r *Runner) load(change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy += change; r.Busy != nil {
		r.Busy(r.busy)
	}
}

// heed cancels a task that an operator has cancelled at another node.
func (r *Runner) heed(ctx context.Context, t *Task, cancel context.CancelCauseFunc) {
	q, _, err := readQueue(ctx, r.Store, t.Incarnation)
	if err != nil {
		return // the next heartbeat
	}
	if it := q.find(t.Work); it != nil && it.Cancelled {
		cancel(ErrCancelled)
	}
}

// help runs the handler of a task that another node has the lease of.
func (r *Runner) help(ctx context.Context, d Domain, t *Task) {
	err := r.guard(ctx, d, t)
	key := "help/" + t.Partition().Key
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrLost) {
		r.calm.Well(r.Log, key)
		return
	}
	r.calm.Failing(r.Log, key, "helping with background work failed; it is tried again", "kind", t.Kind, "work", t.ID, "error", err)
	select {
	case <-ctx.Done():
	case <-time.After(5 * r.Backoff):
	}
}

// guard calls the handler of a task.
func (r *Runner) guard(ctx context.Context, d Domain, t *Task) (err error) {
	if d.Dead && !r.Undertakers[t.Kind] {
		return nil
	}
	if t.over != nil {
		return errOver
	}
	h := r.Handlers[t.Kind]
	if h == nil {
		return fmt.Errorf("no handler for work of kind %q", t.Kind)
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
