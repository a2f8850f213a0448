package change

import (
	"context"
	"fmt"
	"sync"

	"kith/profile/index"
	"kith/store"
)

// Local is what takes the place of announcements and claims when one process has the store to itself and the store commits a Group as a
// whole (store.Store). A write's row is then a part of the write's own Commit, so what is cut off has left nothing, and all that others
// have to know of a write under way is in memory: Feed.Begin.
//
// The seal never reaches a write under way. A write begins behind the seal, whether that has been published or is about to be, and the
// completer closes the feed short of the first write that has not ended. So behind the seal nothing is in flight, as with announcements.
type Local struct {
	// Holds are taken on the keys that an object brings, in place of claims.
	Holds index.Holds

	mu      sync.Mutex
	domains map[store.Incarnation]*underWay
}

// underWay is what is under way in a domain.
type underWay struct {
	sealed int64 // the greatest seal that this process knows of; -1: it has not read it yet
	writes map[*Pending]struct{}
}

// of returns what is under way in a domain. The caller holds the lock.
func (l *Local) of(inc store.Incarnation) *underWay {
	u := l.domains[inc]
	if u == nil {
		u = &underWay{sealed: -1, writes: map[*Pending]struct{}{}}
		if l.domains == nil {
			l.domains = map[store.Incarnation]*underWay{}
		}
		l.domains[inc] = u
	}
	return u
}

// Forget drops what is kept of a domain that is gone.
func (f *Feed) Forget(inc store.Incarnation) {
	if l := f.Local; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.domains, inc)
	}
}

// Pending is an attempt to write that is under way. Nil is none.
type Pending struct {
	feed *Feed
	inc  store.Incarnation
	from int64         // its row is not earlier
	over chan struct{} // closed at its end, if somebody waits for it
}

// Begin says that a write is under way, before it reads anything. Only a feed with a Local has Pending writes.
func (f *Feed) Begin(ctx context.Context, inc store.Incarnation) (*Pending, error) {
	l := f.Local
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.of(inc).sealed < 0 {
		l.mu.Unlock()
		s, err := f.Seal(ctx, inc)
		l.mu.Lock()
		if err != nil {
			return nil, err
		}
		u := l.of(inc)
		u.sealed = max(u.sealed, s.At)
	}
	u := l.of(inc)
	p := &Pending{feed: f, inc: inc, from: max(f.Now().UnixMicro(), u.sealed+1)}
	u.writes[p] = struct{}{}
	return p, nil
}

// Happened is End for a write that has happened.
func (p *Pending) Happened() {
	p.End()
	if p.feed.OnChange != nil {
		p.feed.OnChange(p.inc)
	}
}

// Row sets a row's At to the present, and returns what puts it. It is to be committed with the write that it announces.
func (p *Pending) Row(r *Row) store.PartitionWrite {
	r.At, r.Whole = max(p.feed.Now().UnixMicro(), p.from), true
	return r.write(p.inc)
}

// End says that the write is visible, or will never be. It may be called again.
func (p *Pending) End() {
	if p == nil {
		return
	}
	l := p.feed.Local
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.domains[p.inc]; u != nil {
		delete(u.writes, p)
	}
	if p.over != nil {
		close(p.over)
		p.over = nil
	}
}

// Ended waits until all writes have ended that are under way and that nobody announced: with a Local, those of this process. Then whoever
// has begun before has its row in the feed, or will never write; whoever begins from now on reads later.
func (f *Feed) Ended(ctx context.Context, inc store.Incarnation) error {
	l := f.Local
	if l == nil {
		return nil
	}
	var all []chan struct{}
	l.mu.Lock()
	if u := l.domains[inc]; u != nil {
		for p := range u.writes {
			if p.over == nil {
				p.over = make(chan struct{})
			}
			all = append(all, p.over)
		}
	}
	l.mu.Unlock()
	for _, over := range all {
		select {
		case <-over:
		case <-ctx.Done():
			return fmt.Errorf("wait for writes under way: %w", ctx.Err())
		}
	}
	return nil
}

// reach returns how far the seal may go that stands at at and should go to to. No write will begin there any more.
func (l *Local) reach(inc store.Incarnation, at, to int64) int64 {
	if l == nil {
		return max(at, to)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.of(inc)
	for p := range u.writes {
		to = min(to, p.from-1)
	}
	u.sealed = max(u.sealed, at, to)
	return max(at, to)
}
