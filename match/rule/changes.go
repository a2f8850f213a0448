package rule

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"

	"kith/profile/fold"
	"kith/store"
)

func (x *pass) workers() int { return runtime.GOMAXPROCS(0) }

// sweepRest is how much longer than looking for profiles that have changed by themselves the matcher waits until it looks again.
const sweepRest = 20

// changed evaluates the profiles that have changed by themselves: something of them has expired. due is when the next does; 0: none.
func (x *pass) changed(ctx context.Context) (due time.Duration, err error) {
	left := func() time.Duration {
		if x.st.Changes == 0 {
			return 0
		}
		return max(time.UnixMicro(x.st.Changes).Sub(x.Now()), time.Until(x.sweepAfter), time.Millisecond)
	}
	now := x.Now().UnixMicro()
	if x.st.Changes == 0 || x.st.Changes > now || time.Now().Before(x.sweepAfter) {
		return left(), nil
	}
	began := time.Now()
	x.st.Changes = 0
	var ids []fold.ID
	flush := func() error {
		err := x.index(ctx, ids, true)
		ids = ids[:0]
		return err
	}
	from := string(append(generation(x.st.Gen), docLetter))
	for row, err := range x.Store.Sweep(ctx, store.SweepRange{Table: store.Match, Incarnation: x.inc}) {
		if err != nil {
			return 0, fmt.Errorf("look for profiles of which something has expired: %w", err)
		}
		key := row.Partition.Key
		if len(key) != len(from)+len(fold.ID{}) || key[:len(from)] != from {
			continue
		}
		d, err := decodeDoc(row.Row.Value)
		if err != nil {
			return 0, err
		}
		if d.changes == 0 || d.changes > now {
			x.due(d.changes)
			continue
		}
		if ids = append(ids, fold.ID([]byte(key[len(from):]))); len(ids) >= x.chunk() {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if err := flush(); err != nil {
		return 0, err
	}
	x.sweepAfter = time.Now().Add(time.Duration(cmp.Or(x.SweepRest, sweepRest)) * time.Since(began))
	return left(), nil
}
