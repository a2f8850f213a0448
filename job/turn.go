package job

import (
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

// turn is the record of who works in a domain: one row, rewritten with every change. Rows that came and went would leave tombstones,
// which a cluster has to pass over at every look.
type turn struct {
	// Holder has the turn; nil: nobody.
	Holder *Work `json:",omitzero"`
	// Taker names the taking of the holder's lease that counts: whoever took it last.
	Taker string `json:",omitzero"`
	// Waiting are the others.
	Waiting []Work `json:",omitempty"`
}

var turnKey = []byte("turn")

func turnPartition(inc store.Incarnation) store.Partition {
	return store.Partition{Table: store.Jobs, Incarnation: inc, Key: "turn"}
}

// MaxWaiting is how much work should wait in a domain at most: a piece takes about 120 bytes of a row of store.MaxValue.
const MaxWaiting = 10_000

// next returns the work that has the turn, or gets it: the first that arrived. Nil: there is none.
func (t *turn) next() *Work {
	if t.Holder != nil {
		return t.Holder
	}
	var first *Work
	for i := range t.Waiting {
		if first == nil || t.Waiting[i].Arrived < first.Arrived {
			first = &t.Waiting[i]
		}
	}
	return first
}

func (t *turn) has(id string) bool {
	return t.Holder != nil && t.Holder.ID == id || slices.ContainsFunc(t.Waiting, func(w Work) bool { return w.ID == id })
}

// give gives the turn to work that waits or has it.
func (t *turn) give(w Work, taker string) {
	t.Waiting = slices.DeleteFunc(t.Waiting, func(o Work) bool { return o.ID == w.ID })
	t.Holder, t.Taker = &w, taker
}

func readTurn(ctx context.Context, s store.Store, inc store.Incarnation) (t turn, version uint64, err error) {
	row, err := s.Get(ctx, turnPartition(inc), turnKey)
	if errors.Is(err, store.ErrNotFound) {
		return t, 0, nil
	}
	if err != nil {
		return t, 0, err
	}
	if err := json.Unmarshal(row.Value, &t); err != nil {
		return t, 0, fmt.Errorf("turn of a domain: %w", err)
	}
	if t.Holder != nil {
		t.Holder.Incarnation = inc
	}
	for i := range t.Waiting {
		t.Waiting[i].Incarnation = inc
	}
	return t, row.Version, nil
}

// errUnchanged ends changeTurn without a write, and without an error.
var errUnchanged = errors.New("nothing to change")

// changeTurn changes the turn of a domain. change may be called several times: when others were faster, and when an answer was
// lost, so it must know its own outcome.
func changeTurn(ctx context.Context, s store.Store, inc store.Incarnation, change func(*turn) error) error {
	var doubt error
	for try := range 30 {
		t, version, err := readTurn(ctx, s, inc)
		if err != nil {
			return err
		}
		if err := change(&t); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		value, err := json.Marshal(t)
		if err != nil {
			return err
		}
		_, err = s.Swap(ctx, turnPartition(inc), []store.Swap{{Key: turnKey, Value: value, Expect: version}})
		switch {
		case errors.Is(err, store.ErrUnknown) && doubt == nil:
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
	return errors.Join(fmt.Errorf("the turn of a domain: %w", fault.ErrUnavailable), doubt)
}

// Enqueue puts work at the end of its domain's queue. Work that is queued already stays where it is.
func Enqueue(ctx context.Context, s store.Store, w Work) error {
	err := changeTurn(ctx, s, w.Incarnation, func(t *turn) error {
		if t.has(w.ID) {
			return errUnchanged
		}
		t.Waiting = append(t.Waiting, w)
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue work: %w", err)
	}
	return nil
}

// Queued says whether a piece of work waits for or has the turn.
func Queued(ctx context.Context, s store.Store, inc store.Incarnation, id string) (bool, error) {
	t, _, err := readTurn(ctx, s, inc)
	return t.has(id), err
}

// Waiting returns how much work of a domain waits for or has the turn.
func Waiting(ctx context.Context, s store.Store, inc store.Incarnation) (int, error) {
	t, _, err := readTurn(ctx, s, inc)
	n := len(t.Waiting)
	if t.Holder != nil {
		n++
	}
	return n, err
}
