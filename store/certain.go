package store

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
)

// certainTries is how often Certain sends a Swap whose answers get lost.
const certainTries = 10

// Certain is Swap for who can tell by a read what has become of it: when its answer was lost it reads the row of its first operation, a
// put or a deletion, and sends the same Swap again if nothing has happened there. That does no harm: of Swaps that expect the same version one
// happens. mine says of the row's value whether it tells that the put has happened; nil: it does by being the value that was put.
//
// The version is 0 when others have written the row since the put, or the row is gone as the deletion wanted it. An ErrConflict that
// is ErrUnknown, too, was found out so: the row has another version than was expected and does not tell of the put. Any other error that is
// ErrUnknown says that nobody knows.
func Certain(ctx context.Context, s Store, p Partition, ops []Swap, mine func(value []byte) bool) (uint64, error) {
	var doubt error
	for range certainTries {
		v, err := s.Swap(ctx, p, slices.Clone(ops))
		switch {
		case err == nil:
			return v, nil
		case errors.Is(err, ErrUnknown):
			doubt = err
		case doubt == nil:
			return 0, err
		case !errors.Is(err, ErrConflict): // it has not happened, but the one before may have
			return 0, errors.Join(doubt, err)
		}
		now, known, lookErr := ops[0].look(ctx, s, p, mine)
		switch {
		case lookErr != nil:
			return 0, errors.Join(doubt, lookErr)
		case known == happened:
			return now, nil
		case known == overtaken, errors.Is(err, ErrConflict): // of another of the operations
			return 0, errors.Join(ErrConflict, doubt)
		}
	}
	return 0, doubt
}

// fate is what a row tells of a Swap whose answer was lost.
type fate int

const (
	open      fate = iota // it has not happened, and may yet
	happened              // it has
	overtaken             // it has not, and can't any more; or nothing tells of it any more
)

// look reads what has become of a put or a deletion. version is that of the row if it is as the put left it.
func (o Swap) look(ctx context.Context, s Store, p Partition, mine func([]byte) bool) (version uint64, f fate, err error) {
	row, err := s.Get(ctx, p, o.Key)
	gone := errors.Is(err, ErrNotFound)
	switch {
	case err != nil && !gone:
		return 0, open, err
	case row.Version == o.Expect && (o.Op == Put || !gone):
		return 0, open, nil
	case o.Op == Delete && gone:
		return 0, happened, nil
	case o.Op == Put && !gone && bytes.Equal(row.Value, o.Value):
		return row.Version, happened, nil
	case o.Op == Put && !gone && mine != nil && mine(row.Value):
		return 0, happened, nil
	}
	return 0, overtaken, nil
}

// Calls are the ids of the last calls that changed a record, so that one whose answer was lost finds out whether it has.
type Calls []uint64

// maxCalls is how many calls a record remembers: behind as many others a call still finds that it has happened.
const maxCalls = 8

// NewCall returns the id of a call.
func NewCall() uint64 { return rand.Uint64() }

// With returns the calls with another one.
func (c Calls) With(id uint64) Calls {
	return append(slices.Clone(c[max(0, len(c)-maxCalls+1):]), id)
}

// Has says whether a call is among them.
func (c Calls) Has(id uint64) bool { return slices.Contains(c, id) }
