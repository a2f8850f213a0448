package write

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kith/fault"
	"kith/profile/change"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/schema"
	"kith/store"
	"kith/store/faulty"
)

// errDied is how a call of a dead process looks to the code that made it.
var errDied = errors.New("the process died")

// mortal is the store as one call of an operation sees it. After some calls the process dies: that call and all later ones fail, the
// last one perhaps after it had its effect. Before some others the process stands still for a while.
type mortal struct {
	*faulty.Store
	rng  *rand.Rand
	mu   sync.Mutex
	left int // calls until the death; below 0: it lives
	dead atomic.Bool
	// freeze is called before calls, and may take its time.
	freeze func()
}

// step is asked before a call: done says that the call still has its effect.
func (m *mortal) step() (done bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead.Load() {
		return false, errDied
	}
	if m.rng.IntN(40) == 0 {
		m.freeze()
	}
	if m.left--; m.left == 0 {
		m.dead.Store(true)
		return m.rng.IntN(2) == 0, errDied
	}
	return true, nil
}

func (m *mortal) Commit(ctx context.Context, g store.Group) (uint64, error) {
	if done, err := m.step(); err != nil {
		if done {
			_, _ = m.partly(ctx, g)
		}
		return 0, err
	}
	return m.Store.Commit(ctx, g)
}

// partly does a part of a group, as a cluster may.
func (m *mortal) partly(ctx context.Context, g store.Group) (uint64, error) {
	if !m.Apart || m.rng.IntN(2) == 0 {
		return m.Store.Commit(ctx, g)
	}
	switch m.rng.IntN(3) {
	case 0:
		g.Before, g.Swap, g.After = g.Before[:m.rng.IntN(len(g.Before)+1)], nil, nil
	case 1:
		g.Swap, g.After = nil, nil
	default:
		g.After = g.After[:m.rng.IntN(len(g.After)+1)]
	}
	return m.Store.Commit(ctx, g)
}

func (m *mortal) Swap(ctx context.Context, p store.Partition, ops []store.Swap) (uint64, error) {
	if done, err := m.step(); err != nil {
		if done {
			_, _ = m.Store.Swap(ctx, p, ops)
		}
		return 0, err
	}
	return m.Store.Swap(ctx, p, ops)
}

func (m *mortal) Get(ctx context.Context, p store.Partition, key []byte) (store.Row, error) {
	if _, err := m.step(); err != nil {
		return store.Row{}, err
	}
	return m.Store.Get(ctx, p, key)
}

// script is what random callers do to a few profiles that share keys.
type script struct {
	*world
	mu      sync.Mutex
	ids     []fold.ID
	objects map[string]bool // keys of objects that were put
	acked   []Result        // writes whose callers were told that they happened
}

// one makes one random call as a process that may die.
func (s *script) one(rng *rand.Rand, n int) error {
	m := &mortal{Store: s.st, rng: rng, left: -1}
	m.freeze = func() {
		s.sleep(time.Duration(rng.IntN(40)) * time.Second)
		if rng.IntN(3) == 0 {
			if err := s.tryComplete(); err != nil && !errors.Is(err, store.ErrConflict) { // another one was faster
				s.t.Error(err)
			}
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
	}
	if rng.IntN(3) == 0 {
		m.left = 1 + rng.IntN(25)
	}
	node := s.writerOn(m, time.Duration(rng.IntN(19)-9)*time.Second)
	node.Patience = 3 * time.Millisecond
	ctx := context.Background()
	s.mu.Lock()
	id := fold.ID{}
	if len(s.ids) > 0 {
		id = s.ids[rng.IntN(len(s.ids))]
	}
	s.mu.Unlock()
	address := func() string { return fmt.Sprintf("%d@x.de", rng.IntN(6)) }
	order := fmt.Sprint(rng.IntN(8))
	var r Result
	var err error
	switch rng.IntN(8) {
	case 0:
		if r, err = node.Create(ctx, name, "", set(Created, value(email, "manual-"+address()))); err == nil {
			s.mu.Lock()
			s.ids = append(s.ids, r.ID)
			s.mu.Unlock()
		}
	case 1, 2:
		r, err = node.Change(ctx, name, "", id, set(Updated, value(email, "manual-"+address()), custom("a", order), custom("b", address()),
			value(schema.Attr{ID: schema.FirstName}, order), value(schema.Attr{ID: schema.LastName}, "Lee")))
	case 3:
		k := index.Key{Name: "_ctrContactId", Value: order}
		r, err = node.Change(ctx, name, "", id, func(_ context.Context, d *Draft) error {
			if d.DeleteKeys([]index.Key{k}) == 0 {
				if err := d.AddKeys([]index.Key{k}); err != nil {
					return err
				}
			}
			d.Note(AddedKey, "", "", "")
			return d.FindProfile(id)
		})
	case 4:
		r, err = node.DeleteObject(ctx, name, "", id, "order", 3, order)
	default:
		o := object(order, orderKey(order))
		o.Keys = append(o.Keys, emailKey(address()))
		o.Values = []fold.Value{custom("tier", address()), value(email, o.Keys[1].Value)}
		if r, err = node.Put(ctx, name, "", o); err == nil {
			s.mu.Lock()
			s.ids = append(s.ids, r.ID)
			s.objects[order] = true
			s.mu.Unlock()
		}
	}
	if err == nil {
		s.mu.Lock()
		s.acked = append(s.acked, r)
		s.mu.Unlock()
	}
	if m.dead.Load() || errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Writers at random, frozen and killed at random, with clocks that differ: no index row, no body and no history record is ever missing,
// no key of an object is that of two profiles, and when all is settled there is nothing in excess.
func TestWritersAtRandom(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for seed := range uint64(rounds) {
		each(t, func(t *testing.T, w *world) {
			s := &script{world: w, objects: map[string]bool{}}
			var wg sync.WaitGroup
			for caller := range 4 {
				rng := rand.New(rand.NewPCG(seed, uint64(caller)))
				wg.Go(func() {
					for i := range 40 {
						if err := s.one(rng, i); err != nil {
							t.Errorf("seed %d: %v", seed, err)
						}
					}
				})
			}
			wg.Wait()
			st := s.covered(fmt.Sprintf("seed %d, unsettled", seed))
			for order := range s.objects {
				if got := st.holders(w, orderKey(order)); len(got) > 1 {
					t.Errorf("seed %d: order %s is that of %d profiles", seed, order, len(got))
				}
			}
			w.complete()
			w.sleep(change.Later)
			w.complete()
			st = s.exact(fmt.Sprintf("seed %d, settled", seed))
			for _, r := range s.acked {
				found := false
				for _, record := range st.history[r.ID] {
					found = found || record.At == r.Time
				}
				if !found {
					t.Errorf("seed %d: the history of %s lacks the write of %d", seed, r.ID, r.Time)
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		})
	}
}
