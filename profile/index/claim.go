package index

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kith/profile/fold"
	"kith/store"
)

// Claims are the claims of a store. A claim says which profile is about to get a key that no profile has, so that two calls that bring a new key do not make two profiles.
//
//	table jobs, partition "claim/" + index partition
//	    "claim" → version | profile id (16) | call (16)     Swap row
//
// It is taken by insert-if-absent, all claims of a call in the order of their partitions, before the keys are resolved for good; it goes
// when the index rows stand, or when nothing can happen under it any more. Who meets one waits without holding any, so nobody waits
// in a circle. A claim that stays for long is that of a call that died or stands still: who waited for it adopts it, for the same
// profile, and makes that profile instead. Both can't: the profile's head is swapped from being absent. Only whoever has the claim
// last releases it.
type Claims struct{ Store store.Store }

// Claim is a claim as it stands.
type Claim struct {
	Partition string // of the index
	ID        fold.ID
	Call      [16]byte

	version uint64
}

const (
	claimV1     = 1
	claimSize   = 1 + 16 + 16
	claimPrefix = "claim/"
)

var claimKey = []byte("claim")

func claimPartition(inc store.Incarnation, part string) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: claimPrefix + part}
}

func decodeClaim(part string, row store.Row) (*Claim, error) {
	if len(row.Value) != claimSize || row.Value[0] != claimV1 {
		return nil, fmt.Errorf("%w: not a claim", fold.ErrCorrupt)
	}
	return &Claim{part, fold.ID(row.Value[1:17]), [16]byte(row.Value[17:]), row.Version}, nil
}

// Get returns the claim of an index partition, or nil.
func (c Claims) Get(ctx context.Context, inc store.Incarnation, part string) (*Claim, error) {
	row, err := c.Store.Get(ctx, claimPartition(inc, part), claimKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a claim: %w", err)
	}
	return decodeClaim(part, row)
}

// Same says whether a claim is still the one that was seen.
func (c *Claim) Same(seen *Claim) bool { return c != nil && seen != nil && c.version == seen.version }

// swap writes or removes a claim that was seen, or is absent. ok: it did; now is the version of what it wrote.
func (c Claims) swap(ctx context.Context, inc store.Incarnation, op store.SwapOp, part string, id fold.ID, call [16]byte, version uint64) (now uint64, ok bool, err error) {
	value := append(append(append(make([]byte, 0, claimSize), claimV1), id[:]...), call[:]...)
	now, err = c.Store.Commit(ctx, store.Group{Lazy: true, Partition: claimPartition(inc, part),
		Swap: []store.Swap{{Key: claimKey, Value: value, Expect: version, Op: op}}})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnknown) { // it is looked at again
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("write a claim: %w", err)
	}
	return now, true, nil
}

// Taken are the versions under which a call has taken claims, by partition: it need not read them to release them.
type Taken map[string]uint64

// Take claims index partitions for a profile in the name of a call, in their order, and notes their versions. It returns the first claim of
// another call that is in the way; then it holds none.
func (c Claims) Take(ctx context.Context, inc store.Incarnation, parts []string, id fold.ID, call [16]byte, taken Taken) (other *Claim, err error) {
	parts = slices.Sorted(slices.Values(parts))
	for i, part := range parts {
		if taken[part], other, err = c.take(ctx, inc, part, id, call); err != nil || other != nil {
			return other, errors.Join(err, c.Release(ctx, inc, parts[:i], call, taken))
		}
	}
	return nil, nil
}

func (c Claims) take(ctx context.Context, inc store.Incarnation, part string, id fold.ID, call [16]byte) (version uint64, other *Claim, err error) {
	for {
		if now, ok, err := c.swap(ctx, inc, store.Put, part, id, call, version); ok || err != nil {
			return now, nil, err
		}
		there, err := c.Get(ctx, inc, part)
		switch {
		case err != nil:
			return 0, nil, err
		case there == nil:
			version = 0
		case there.Call != call:
			return 0, there, nil
		case there.ID == id:
			return there.version, nil, nil
		default: // our own, of an attempt that is over
			version = there.version
		}
	}
}

// Adopt takes over a claim of another call, for the same profile. ok: it did; else the claim has changed.
func (c Claims) Adopt(ctx context.Context, inc store.Incarnation, seen *Claim, call [16]byte) (ok bool, err error) {
	_, ok, err = c.swap(ctx, inc, store.Put, seen.Partition, seen.ID, call, seen.version)
	return ok, err
}

// Release removes those claims that a call still has. taken are the versions that are known, or nil: a claim that has one is read only if
// it has changed since.
func (c Claims) Release(ctx context.Context, inc store.Incarnation, parts []string, call [16]byte, taken Taken) error {
	for _, part := range parts {
		if version := taken[part]; version != 0 {
			delete(taken, part)
			if _, ok, err := c.swap(ctx, inc, store.Delete, part, fold.ID{}, call, version); ok || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		for {
			there, err := c.Get(ctx, inc, part)
			if err != nil {
				return err
			}
			if there == nil || there.Call != call {
				break
			}
			_, ok, err := c.swap(ctx, inc, store.Delete, part, there.ID, call, there.version)
			if err != nil {
				return err
			}
			if ok {
				break
			}
		}
	}
	return nil
}
