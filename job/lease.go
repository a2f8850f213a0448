package job

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// lease is the record that says who runs a piece of work, or has a part of it. It holds no time of day: another node may take it
// when it has seen the row unchanged for as long as the row says, by its own monotonic clock.
type lease struct {
	// Owner is the node that has it; "": nobody, the work rests.
	Owner string `json:",omitzero"`
	// For is how long the row must have been seen unchanged before another node takes it, microseconds.
	For int64
}

func (l lease) length() time.Duration { return time.Duration(l.For) * time.Microsecond }

// hold is a lease that this node took, as it last wrote it.
type hold struct {
	store store.Store
	p     store.Partition
	key   []byte

	mu      sync.Mutex
	version uint64 // of the row
	lease   lease
}

// put returns the operation that writes a lease over a version of it.
func (l lease) put(key []byte, version uint64) (store.Swap, error) {
	value, err := json.Marshal(l)
	return store.Swap{Key: key, Value: value, Expect: version}, err
}

// take writes a lease over the version that was read of it, with rows beside it. store.ErrConflict: somebody was faster, or
// another expectation failed.
func take(ctx context.Context, s store.Store, p store.Partition, key []byte, version uint64, l lease, beside ...store.Swap) (*hold, error) {
	op, err := l.put(key, version)
	if err != nil {
		return nil, err
	}
	version, err = store.Certain(ctx, s, p, append([]store.Swap{op}, beside...), nil) // nobody else writes this owner
	if err != nil {
		return nil, err
	}
	return &hold{store: s, p: p, key: key, version: version, lease: l}, nil
}

// readLease returns a lease and its version, 0 when nobody has it.
func readLease(ctx context.Context, s store.Store, p store.Partition, key []byte) (lease, uint64, error) {
	var l lease
	row, err := s.Get(ctx, p, key)
	if errors.Is(err, store.ErrNotFound) {
		return l, 0, nil
	}
	if err != nil {
		return l, 0, err
	}
	return l, row.Version, json.Unmarshal(row.Value, &l)
}

// swap publishes rows of the partition if the lease is still ours, and checks or deletes it in the same call. It returns ErrLost
// when the lease is gone. The first row is one that is put or deleted.
func (h *hold) swap(ctx context.Context, own store.SwapOp, ops []store.Swap) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, err := store.Certain(ctx, h.store, h.p, append(ops, store.Swap{Key: h.key, Op: own, Expect: h.version}), nil)
	if errors.Is(err, store.ErrConflict) {
		return 0, h.explain(ctx, err)
	}
	return v, err
}

// explain returns ErrLost when a conflict came from the lease, which is no longer ours, and else the conflict.
func (h *hold) explain(ctx context.Context, conflict error) error {
	row, err := h.store.Get(ctx, h.p, h.key)
	if errors.Is(err, store.ErrNotFound) || err == nil && row.Version != h.version {
		return ErrLost
	}
	if err != nil {
		return err
	}
	return conflict
}

// renew writes the lease anew. It returns ErrLost when the lease is somebody else's.
func (h *hold) renew(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next, err := take(ctx, h.store, h.p, h.key, h.version, h.lease)
	if errors.Is(err, store.ErrConflict) {
		return ErrLost
	}
	if err != nil {
		return err
	}
	h.version = next.version
	return nil
}

// drop deletes the lease if it is still ours.
func (h *hold) drop(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := store.Certain(ctx, h.store, h.p, []store.Swap{{Key: h.key, Op: store.Delete, Expect: h.version}}, nil)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// keep renews the lease, which was written at since, until ctx ends, and cancels with ErrLost when it is lost or could not be renewed
// in time: from then on another node may have it. After each renewal it calls beat.
func (h *hold) keep(ctx context.Context, cancel context.CancelCauseFunc, clock func() time.Duration, since time.Duration, beat func(context.Context)) {
	leaseFor := h.lease.length()
	tick := time.NewTicker(leaseFor / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at := clock() // before the row is written: who sees it does so later
		renewCtx, done := context.WithTimeout(ctx, leaseFor)
		err := h.renew(renewCtx)
		done()
		switch {
		case err == nil:
			since = at
			beat(ctx)
		case errors.Is(err, ErrLost) || clock()-since > leaseFor:
			cancel(ErrLost)
			return
		}
	}
}

// watcher notes since when this node has seen rows as they are. It judges leases without comparing the clocks of machines: a row
// that was seen unchanged for its For was not renewed for that long, whatever time of day it is anywhere. Who has a lease gives up
// earlier, because it counts from before its last renewal.
type watcher struct {
	clock func() time.Duration

	mu   sync.Mutex
	seen map[watched]sighting
}

type watched struct {
	inc       store.Incarnation
	part, key string
}

type sighting struct {
	version     uint64
	since, last time.Duration
}

// unchanged returns for how long the row has been seen with this version.
func (w *watcher) unchanged(p store.Partition, key []byte, version uint64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, k := w.clock(), watched{p.Incarnation, p.Key, string(key)}
	s, ok := w.seen[k]
	if !ok || s.version != version {
		s = sighting{version: version, since: now}
	}
	s.last = now
	if w.seen == nil {
		w.seen = map[watched]sighting{}
	}
	w.seen[k] = s
	if len(w.seen)%1024 == 0 { // what nobody asks for any more
		for k, s := range w.seen {
			if now-s.last > time.Hour {
				delete(w.seen, k)
			}
		}
	}
	return now - s.since
}
