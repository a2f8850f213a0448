package pebble

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// maxIdleReaders bounds the iterators that wait for the next call.
	maxIdleReaders = 16
	// idleReaderTime is how long they wait: an open iterator keeps old tables on the disk and old memtables in memory.
	idleReaderTime = time.Second
)

// readers hands out iterators, and takes them back for the next call: making one costs as much as what a lookup does with it.
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
	idle   []reader
	timer  *time.Timer
	closed bool
}

// reader is an iterator with the count of changes before it was made.
type reader struct {
	*pebble.Iterator
	changes uint64
}

// changing surrounds whatever changes the store: all of its commits, ingests and range deletions.
func (p *readers) changing() (done func()) {
	p.active.Add(1)
	return func() {
		p.changes.Add(1)
		p.active.Add(-1)
	}
}

// get returns an iterator over a range of keys. It goes back by put.
func (p *readers) get(lower, upper []byte) (reader, error) {
	quiet := p.active.Load() == 0
	now := p.changes.Load()
	if quiet {
		if r, ok := p.take(now); ok {
			r.SetBounds(lower, upper)
			return r, nil
		}
	}
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	return reader{it, now}, err
}

// take returns an idle iterator of a count of changes, and closes those of others.
func (p *readers) take(changes uint64) (reader, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		r := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if r.changes == changes {
			return r, true
		}
		_ = r.Close() // what it failed with, its user has heard
	}
	return reader{}, false
}

// put takes an iterator back.
func (p *readers) put(r reader) {
	if r.Error() != nil || r.changes != p.changes.Load() {
		_ = r.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == maxIdleReaders {
		_ = r.Close()
		return
	}
	if p.idle = append(p.idle, r); p.timer == nil {
		p.timer = time.AfterFunc(idleReaderTime, p.drop)
	}
}

// drop closes the iterators that are idle.
func (p *readers) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.idle {
		_ = r.Close()
	}
	p.idle, p.timer = nil, nil
}

// close drops the idle iterators, and all that come back later.
func (p *readers) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}
