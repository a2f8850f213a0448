package resource_test

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"kith/fault"
	"kith/resource"
)

var serials = resource.Kind[thing]{Name: "serials", Title: "Serial thing", Serial: true}

// A rule about all records of a Serial kind holds, however many write: here, that their numbers make 10 at most.
func TestResourceTurns(t *testing.T) {
	onAllEngines(t, func(t *testing.T, r *rig) {
		sum := func(but string) (n int) {
			page, _, err := serials.List(ctx, r.Scope, nil, nil)
			if err != nil {
				t.Error(err)
			}
			for _, rec := range page {
				if rec.Name != but {
					n += rec.Data.N
				}
			}
			return n
		}
		var wg sync.WaitGroup
		var changes atomic.Int64
		for w := range 4 {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			wg.Go(func() {
				for range 15 {
					name, n := "s"+strconv.Itoa(rng.IntN(5)), rng.IntN(6)
					var err error
					if rng.IntN(4) == 0 {
						err = serials.Delete(ctx, r.Scope, name, nil)
					} else {
						_, err = serials.Put(ctx, r.Scope, name, func(rec *resource.Record[thing]) error {
							if sum(name)+n > 10 {
								return fault.BadRequestf("too much")
							}
							rec.Data.N = n
							return nil
						})
					}
					switch {
					case err == nil:
						changes.Add(1)
					case !errors.Is(err, fault.BadRequest) && !errors.Is(err, fault.NotFound):
						t.Error(err)
					}
					if got := sum(""); got > 10 {
						t.Errorf("together they make %d", got)
						return
					}
				}
			})
		}
		wg.Wait()
		if turns, err := serials.Turns(ctx, r.Scope); err != nil || turns != changes.Load() {
			t.Errorf("%d turns for %d changes: %v", turns, changes.Load(), err)
		}
	})
}
