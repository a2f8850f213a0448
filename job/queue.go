package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"kith/fault"
	"kith/store"
)

// Lane names a lane of a domain. The work of a lane runs one piece at a time, in order of arrival; lanes run side by side, on any
// nodes. Work that needs no order has a lane of its own.
type Lane string

// Turn is the lane of what writes the rows of imports: imports themselves, undo, compaction, expiry.
const Turn Lane = ""

// Work is a piece of work in a domain.
type Work struct {
	Kind        string
	ID          string            // names the work among all of its kind in the domain; kinds share an id only where they share a lane
	Lane        Lane              `json:",omitzero"`
	Incarnation store.Incarnation `json:"-"`
	Arrived     int64             // microseconds
}

// item is work in the queue.
type item struct {
	Work
	// Taker names the taking of the work's lease that counts: whoever took it last. "": nobody has yet.
	Taker string `json:",omitzero"`
	// Cancelled is set by an operator: whoever takes or has the work gives it up.
	Cancelled bool `json:",omitzero"`
}

// queue is the record of all work of a domain: one row, rewritten with every change. Rows that came and went would leave
// tombstones, which a cluster has to pass over at every look.
type queue struct {
	Items []item `json:",omitempty"`
}

var queueKey = []byte("queue")

func queuePartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "queue"}
}

// MaxWaiting is how much work should wait in a domain at most: a piece takes about 120 bytes of a row of store.MaxValue.
const MaxWaiting = 10_000

// heads returns the work that has its lane or is next in it: the one that was taken, else the first that arrived.
func (q *queue) heads() []item {
	var heads []item
	at := map[Lane]int{} // there may be as many lanes as there is work
	for _, it := range q.Items {
		i, ok := at[it.Lane]
		switch {
		case !ok:
			at[it.Lane] = len(heads)
			heads = append(heads, it)
		case heads[i].Taker == "" && (it.Taker != "" || it.Arrived < heads[i].Arrived):
			heads[i] = it
		}
	}
	return heads
}

// head returns the head of a lane, or nil.
func (q *queue) head(l Lane) *item {
	for _, it := range q.heads() {
		if it.Lane == l {
			return &it
		}
	}
	return nil
}

// is says whether two pieces of work are the same: of one kind and id.
func (w *Work) is(o Work) bool { return w.Kind == o.Kind && w.ID == o.ID }

// find returns work that is queued, to be read or changed in place: the piece that was taken, if the same waits behind it. nil: it is
// not queued.
func (q *queue) find(w Work) *item {
	var found *item
	for i := range q.Items {
		if it := &q.Items[i]; it.is(w) && (found == nil || it.Taker != "") {
			found = it
		}
	}
	return found
}

// waits says whether work is queued that nobody has taken yet.
func (q *queue) waits(w Work) bool {
	return slices.ContainsFunc(q.Items, func(it item) bool { return it.is(w) && it.Taker == "" })
}

// removeTaken takes work out that was taken; what was queued behind it stays.
func (q *queue) removeTaken(w Work) {
	q.Items = slices.DeleteFunc(q.Items, func(it item) bool { return it.is(w) && it.Taker != "" })
}

func readQueue(ctx context.Context, s store.Store, inc store.Incarnation) (q queue, version uint64, err error) {
	row, err := s.Get(ctx, queuePartition(inc), queueKey)
	if errors.Is(err, store.ErrNotFound) {
		return q, 0, nil
	}
	if err != nil {
		return q, 0, err
	}
	if err := json.Unmarshal(row.Value, &q); err != nil {
		return q, 0, fmt.Errorf("the queue of a domain: %w", err)
	}
	for i := range q.Items {
		q.Items[i].Incarnation = inc
	}
	return q, row.Version, nil
}

// errUnchanged ends changeQueue without a write, and without an error.
var errUnchanged = errors.New("nothing to change")

// changeQueue changes the queue of a domain. change may be called several times: when others were faster, and when an answer was
// lost, so it must know its own outcome.
func changeQueue(ctx context.Context, s store.Store, inc store.Incarnation, change func(*queue) error) error {
	var doubt error
	for try := range 30 {
		q, version, err := readQueue(ctx, s, inc)
		if err != nil {
			return err
		}
		if err := change(&q); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		value, err := json.Marshal(q)
		if err != nil {
			return err
		}
		_, err = s.Swap(ctx, queuePartition(inc), []store.Swap{{Key: queueKey, Value: value, Expect: version}})
		switch {
		case errors.Is(err, store.ErrUnknown):
			doubt = err
		case errors.Is(err, store.ErrConflict):
		default:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(time.Millisecond << min(try, 6))):
		}
	}
	return errors.Join(fmt.Errorf("the queue of a domain: %w", fault.ErrUnavailable), doubt)
}

// Enqueue puts work at the end of its lane. Work of its kind and id that waits already stays where it is. Work that was taken may have
// read all it ever reads: the same work then waits behind it, once, and is run again.
func Enqueue(ctx context.Context, s store.Store, w Work) error {
	return put(ctx, s, w, func(q *queue) bool { return q.waits(w) })
}

// Ensure puts work at the end of its lane if it neither waits nor runs: for who has nothing new for it to read.
func Ensure(ctx context.Context, s store.Store, w Work) error {
	return put(ctx, s, w, func(q *queue) bool { return q.find(w) != nil })
}

func put(ctx context.Context, s store.Store, w Work, queued func(*queue) bool) error {
	err := changeQueue(ctx, s, w.Incarnation, func(q *queue) error {
		if queued(q) {
			return errUnchanged
		}
		q.Items = append(q.Items, item{Work: w})
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue work: %w", err)
	}
	return nil
}

// Cancel marks queued work as cancelled by an operator and returns it, the last of its id: its handler's GiveUp is called with ErrCancelled by whoever
// has the work or takes it next, within a third of a lease. False: no such work is queued.
func Cancel(ctx context.Context, s store.Store, inc store.Incarnation, id string) (w Work, ok bool, err error) {
	err = changeQueue(ctx, s, inc, func(q *queue) error {
		changed := error(errUnchanged)
		ok = false
		for i := range q.Items {
			it := &q.Items[i]
			if it.ID != id {
				continue
			}
			if w, ok = it.Work, true; !it.Cancelled {
				it.Cancelled, changed = true, nil
			}
		}
		return changed
	})
	if err != nil {
		return w, false, fmt.Errorf("cancel work: %w", err)
	}
	return w, ok, nil
}

// Queued says whether a piece of work waits or runs.
func Queued(ctx context.Context, s store.Store, inc store.Incarnation, id string) (bool, error) {
	_, ok, err := Find(ctx, s, inc, id)
	return ok, err
}

// Find returns a piece of work that waits or runs. False: no such work is queued.
func Find(ctx context.Context, s store.Store, inc store.Incarnation, id string) (Work, bool, error) {
	q, _, err := readQueue(ctx, s, inc)
	i := slices.IndexFunc(q.Items, func(it item) bool { return it.ID == id })
	if err != nil || i < 0 {
		return Work{}, false, err
	}
	return q.Items[i].Work, true, nil
}

// Waiting returns how much work of a domain waits or runs.
func Waiting(ctx context.Context, s store.Store, inc store.Incarnation) (int, error) {
	q, _, err := readQueue(ctx, s, inc)
	return len(q.Items), err
}

// Status is queued work as an operator sees it.
type Status struct {
	Work
	Owner     string // the node that had it last; "": it waits or rests
	Failed    int    // attempts since it got on last, deaths of processes included
	Cancelled bool
}

// List returns the work of a domain that waits or runs, in the order of its arrival.
func List(ctx context.Context, s store.Store, inc store.Incarnation) ([]Status, error) {
	q, _, err := readQueue(ctx, s, inc)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(q.Items, func(a, b item) int { return cmp.Compare(a.Arrived, b.Arrived) })
	var all []Status
	for _, it := range q.Items {
		st := Status{Work: it.Work, Cancelled: it.Cancelled}
		if it.Taker != "" {
			l, _, err := readLease(ctx, s, Partition(inc, it.ID), leaseKey)
			if err != nil {
				return nil, err
			}
			a, _, err := readAttempts(ctx, s, Partition(inc, it.ID))
			if err != nil {
				return nil, err
			}
			a = a.of(it.Kind)
			st.Owner, st.Failed = l.Owner, a.Failed+len(a.strike(it.Taker).Open)
		}
		all = append(all, st)
	}
	return all, nil
}
