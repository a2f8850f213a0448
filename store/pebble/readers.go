package pebble

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"kith/store"
)

const (
	// maxIdleReaders bounds the iterators of a table that wait for the next call.
	maxIdleReaders = 16
	// idleReaderTime is how long they wait: an open iterator keeps old tables on the disk and old memtables in memory.
	idleReaderTime = time.Second
)

// readers hands out iterators, and takes them back for the next call of the same table: making one costs as much as what a lookup does with
// it, and one that stands in another file has to open that.
//
// An iterator sees the store as it was when it was made, so it is used again only if nothing has changed since. A change is visible some
// time between the two calls of changing and its result. Whoever asks for an iterator reads active first: if it is 0, every change that is
// visible by then has also been counted. The count that an iterator is kept under was read before it was made. So equal counts mean that
// no change has become visible since.
type readers struct {
	db      *pebble.DB
	active  atomic.Int64  // changes under way
	changes atomic.Uint64 // changes that ended

	mu     sync.Mutex
	idle   [numTables][]*reader
	timer  *time.Timer
	closed bool
}

// numTables is one more than the highest number of a table.
const numTables = store.Fingerprint + 1

// reader is an iterator over an incarnation's rows of a table, with the count of changes before it was made, and what its user needs memory for: so
// a lookup allocates next to nothing.
type reader struct {
	*pebble.Iterator
	table   store.Table
	changes uint64

	bounds   []byte // both, one behind the other
	at, last []byte // keys that are looked for: the present one, and the one before it
	floor    []byte // where the iterator was sent, or stood, last

	// of the Probe under way
	ctx   context.Context
	inc   store.Incarnation
	yield func(store.Hit, error) bool
	index int                    // of the present probe
	each  func(store.Probe) bool // answers one probe; it is made once
}

// spareReaders are readers without an iterator: what they have memory for is used again.
var spareReaders = sync.Pool{New: func() any {
	r := &reader{}
	r.each = func(p store.Probe) bool {
		more := r.probe(p)
		r.index++
		return more
	}
	return r
}}

// maxSpare bounds the keys that a spare reader has room for.
const maxSpare = 1 << 10

// discard closes the iterator of a reader that nobody has. What it failed with, its user has heard.
func (r *reader) discard() {
	_ = r.Close()
	r.Iterator = nil
	if cap(r.at)+cap(r.last)+cap(r.floor) <= maxSpare {
		spareReaders.Put(r)
	}
}

// changing surrounds whatever changes the store: all of its commits, ingests and range deletions. done returns how many changes have ended.
func (p *readers) changing() (done func() uint64) {
	p.active.Add(1)
	return func() uint64 {
		n := p.changes.Add(1)
		p.active.Add(-1)
		return n
	}
}

// get returns an iterator over the rows that an incarnation has in a table. It goes back by put. Its bounds are that wide because other bounds
// would cost a lookup a tenth: who looks for rows of one partition says so by SeekPrefixGE.
func (p *readers) get(t store.Table, inc store.Incarnation) (*reader, error) {
	quiet := p.active.Load() == 0
	now := p.changes.Load()
	if quiet {
		if r := p.take(t, now); r != nil {
			r.bound(inc)
			r.SetBounds(r.bounds[:len(r.bounds)/2], r.bounds[len(r.bounds)/2:]) // does nothing when they are the same
			return r, nil
		}
	}
	r := spareReaders.Get().(*reader)
	r.table, r.changes = t, now
	r.bound(inc)
	var err error
	r.Iterator, err = p.db.NewIter(&pebble.IterOptions{LowerBound: r.bounds[:len(r.bounds)/2], UpperBound: r.bounds[len(r.bounds)/2:]})
	return r, err
}

// bound sets bounds to those of an incarnation: its first key, and the first key behind it. Each table has a first byte of its own, far from
// the last one, so that the key behind it is as long.
func (r *reader) bound(inc store.Incarnation) {
	r.bounds = store.AppendIncarnation(r.bounds[:0], r.table, inc)
	n := len(r.bounds)
	r.bounds = append(r.bounds, r.bounds...)
	for i := 2*n - 1; i >= n; i-- {
		if r.bounds[i]++; r.bounds[i] != 0 {
			break
		}
	}
}

// take returns an idle iterator of a table and a count of changes, or nil, and closes those of other counts.
func (p *readers) take(t store.Table, changes uint64) *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := &p.idle[t]
	for n := len(*idle); n > 0; n-- {
		r := (*idle)[n-1]
		*idle = (*idle)[:n-1]
		if r.changes == changes {
			return r
		}
		r.discard()
	}
	return nil
}

// put takes an iterator back.
func (p *readers) put(r *reader) {
	if r.Error() != nil || r.changes != p.changes.Load() {
		r.discard()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := &p.idle[r.table]
	if p.closed || len(*idle) == maxIdleReaders {
		r.discard()
		return
	}
	if *idle = append(*idle, r); p.timer == nil {
		p.timer = time.AfterFunc(idleReaderTime, p.drop)
	}
}

// drop closes the iterators that are idle.
func (p *readers) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, idle := range p.idle {
		for _, r := range idle {
			r.discard()
		}
		p.idle[t] = nil
	}
	p.timer = nil
}

// close drops the idle iterators, and all that come back later.
func (p *readers) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}
