package job

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// lease is the record that says who runs a piece of work, or has a part of it.
type lease struct {
	Owner     string
	Expires   int64 // microseconds
	Attempts  int
	NotBefore int64 `json:",omitzero"`
}

// hold is a lease that this node took, as it last wrote it.
type hold struct {
	store store.Store
	p     store.Partition
	key   []byte

	mu      sync.Mutex
	version uint64 // of the row
	lease   lease
}

// take writes a lease over the version that was read of it. store.ErrConflict: somebody was faster, or a check failed.
func take(ctx context.Context, s store.Store, p store.Partition, key []byte, version uint64, l lease, checks ...store.Swap) (*hold, error) {
	value, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	version, err = s.Swap(ctx, p, append([]store.Swap{{Key: key, Value: value, Expect: version}}, checks...))
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

func (h *hold) get() lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease
}

// swap publishes rows of the partition if the lease is still ours, and checks or deletes it in the same call. It returns ErrLost
// when the lease is gone.
func (h *hold) swap(ctx context.Context, own store.SwapOp, ops []store.Swap) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ops = append(ops, store.Swap{Key: h.key, Op: own, Expect: h.version})
	v, err := h.store.Swap(ctx, h.p, ops)
	if errors.Is(err, store.ErrConflict) {
		row, getErr := h.store.Get(ctx, h.p, h.key)
		if errors.Is(getErr, store.ErrNotFound) || getErr == nil && row.Version != h.version {
			return 0, ErrLost
		}
		if getErr != nil {
			return 0, getErr
		}
	}
	return v, err
}

// renew writes the lease anew. It returns ErrLost when the lease is somebody else's.
func (h *hold) renew(ctx context.Context, l lease) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next, err := take(ctx, h.store, h.p, h.key, h.version, l)
	if errors.Is(err, store.ErrConflict) {
		return ErrLost
	}
	if errors.Is(err, store.ErrUnknown) {
		// A lease that reads as the one written is it: nobody else writes this owner.
		if have, version, readErr := readLease(ctx, h.store, h.p, h.key); readErr == nil && have == l && version > h.version {
			h.version, h.lease = version, l
			return nil
		}
	}
	if err != nil {
		return err
	}
	h.version, h.lease = next.version, l
	return nil
}

// drop deletes the lease if it is still ours.
func (h *hold) drop(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.store.Swap(ctx, h.p, []store.Swap{{Key: h.key, Op: store.Delete, Expect: h.version}})
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

// keep renews the lease until ctx ends, and cancels with ErrLost when it is lost or could not be renewed in time.
func (h *hold) keep(ctx context.Context, cancel context.CancelCauseFunc, now func() time.Time, leaseFor time.Duration) {
	tick := time.NewTicker(leaseFor / 3)
	defer tick.Stop()
	expires := now().Add(leaseFor)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l := h.get()
		l.Expires = now().Add(leaseFor).UnixMicro()
		renewCtx, done := context.WithTimeout(ctx, leaseFor)
		err := h.renew(renewCtx, l)
		done()
		if err == nil {
			expires = time.UnixMicro(l.Expires)
			continue
		}
		if errors.Is(err, ErrLost) || now().After(expires) {
			cancel(ErrLost)
			return
		}
	}
}
