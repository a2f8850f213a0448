package change

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// Published is the state of a reactor as it was read or published last. Its zero value is that of one that was never published.
type Published struct {
	version uint64
	value   []byte
}

// Read reads a state, which is JSON, into a value; it leaves the value alone if there is none.
func (p *Published) Read(ctx context.Context, st store.Store, at store.Partition, key []byte, into any) error {
	row, err := st.Get(ctx, at, key)
	if errors.Is(err, store.ErrNotFound) {
		*p = Published{}
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(row.Value, into); err != nil {
		return fmt.Errorf("%q of %s: %w", key, at.Key, err)
	}
	p.version, p.value = row.Version, row.Value
	return nil
}

// Version returns the version of the row for the next Swap; 0: there is none.
func (p *Published) Version() uint64 { return p.version }

// Save publishes a state by a Swap that checks the lease, if it has changed.
func (p *Published) Save(ctx context.Context, place Place, key []byte, state any) error {
	value, err := json.Marshal(state, json.Deterministic(true))
	if err != nil || p.version != 0 && bytes.Equal(value, p.value) {
		return err
	}
	version, err := place.Swap(ctx, store.Swap{Key: key, Value: value, Expect: p.version})
	if err != nil {
		return err
	}
	p.version, p.value = version, value
	return nil
}

// Passes keeps what a reactor knows of domains between its runs, as long as it holds the lease and nothing fails. Its zero value is ready; it is
// safe for concurrent use.
type Passes[P any] struct {
	mu  sync.Mutex
	all map[store.Incarnation]keptPass[P]
}

type keptPass[P any] struct {
	fence uint64
	pass  P
}

// maxPasses bounds what is kept. Who is forgotten writes a few rows twice.
const maxPasses = 16

// Take takes out the pass of a domain that was kept under the same fence. ok is false if there is none: then nothing may be trusted that seems to
// have been written, for whoever wrote it may have failed, or been another node.
func (p *Passes[P]) Take(inc store.Incarnation, fence uint64) (pass P, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.all[inc]
	delete(p.all, inc)
	if ok = ok && k.fence == fence; ok {
		pass = k.pass
	}
	return pass, ok
}

// Keep keeps a pass for the next run.
func (p *Passes[P]) Keep(inc store.Incarnation, fence uint64, pass P) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= maxPasses {
		p.all = map[store.Incarnation]keptPass[P]{}
	}
	p.all[inc] = keptPass[P]{fence, pass}
}
