// Package cache remembers what was read from the store for a short, bounded time: few records that nearly every request needs.
package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Cache remembers values by key. A value is returned for at most MaxAge after the read that brought it began, and never after Drop
// of its key has returned. Errors are not remembered. Values are shared: nobody may change them.
type Cache[K comparable, V any] struct {
	// MaxAge bounds how old a value may be. It is a promise to others: whoever changes a record elsewhere can wait for it.
	MaxAge time.Duration
	// Max bounds the number of values; when it is reached all are forgotten.
	Max int
	// Size tells how large a value is, and MaxSize bounds the sum: when it is passed all are forgotten. nil bounds nothing.
	Size    func(V) int
	MaxSize int
	// Now is the clock; nil is the machine's.
	Now func() time.Time

	// drops counts calls of Drop: a read that began before one must not be remembered after it.
	drops atomic.Uint64
	all   sync.Map   // K → *entry[V]: nearly every request reads it, on all cores
	mu    sync.Mutex // of what changes it
	count int        // of the entries in all
	size  int        // of their values
}

// entry is a key with its value, if it was read. Who holds reading reads it; others wait instead of asking the store too.
type entry[V any] struct {
	reading sync.Mutex
	value   atomic.Pointer[aged[V]]
}

type aged[V any] struct {
	v  V
	at time.Time
}

// Get returns the value of a key, from read when it is not remembered.
func (c *Cache[K, V]) Get(ctx context.Context, key K, read func(context.Context) (V, error)) (V, error) {
	e := c.find(key)
	if e == nil {
		e = c.add(key)
	}
	if v := e.value.Load(); c.fresh(v) {
		return v.v, nil
	}
	e.reading.Lock()
	defer e.reading.Unlock()
	if v := e.value.Load(); c.fresh(v) {
		return v.v, nil
	}
	drops, at := c.drops.Load(), c.now()
	v, err := read(ctx)
	if err != nil {
		c.remove(key, e)
		return v, err
	}
	c.mu.Lock() // Drop counts under it, so that it either sees the value or is seen
	if c.drops.Load() == drops {
		c.keep(key, e, &aged[V]{v, at})
	}
	c.mu.Unlock()
	return v, nil
}

// find returns the entry of a key, or nil.
func (c *Cache[K, V]) find(key K) *entry[V] {
	e, _ := c.all.Load(key)
	of, _ := e.(*entry[V])
	return of
}

// forget forgets all. The lock is held.
func (c *Cache[K, V]) forget() {
	c.all.Clear()
	c.count, c.size = 0, 0
}

// drop takes an entry out. The lock is held.
func (c *Cache[K, V]) drop(key K, e *entry[V]) {
	c.count--
	c.size -= c.sizeOf(e.value.Load())
	c.all.Delete(key)
}

// keep gives an entry its value. The lock is held.
func (c *Cache[K, V]) keep(key K, e *entry[V], v *aged[V]) {
	old := e.value.Swap(v)
	if c.Size == nil || c.find(key) != e {
		return
	}
	if c.size += c.Size(v.v) - c.sizeOf(old); c.size > c.MaxSize {
		c.forget()
	}
}

func (c *Cache[K, V]) sizeOf(v *aged[V]) int {
	if v == nil || c.Size == nil {
		return 0
	}
	return c.Size(v.v)
}

// Drop forgets a key. Who has changed a record calls it before telling anybody.
func (c *Cache[K, V]) Drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops.Add(1)
	if e := c.find(key); e != nil {
		c.drop(key, e)
	}
}

func (c *Cache[K, V]) add(key K) *entry[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.find(key); e != nil {
		return e
	}
	if c.count >= c.Max {
		c.forget()
	}
	e := &entry[V]{}
	c.all.Store(key, e)
	c.count++
	return e
}

// remove takes out an entry whose read failed, so that keys that do not exist take no room.
func (c *Cache[K, V]) remove(key K, e *entry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.find(key) == e {
		c.drop(key, e)
	}
}

func (c *Cache[K, V]) fresh(v *aged[V]) bool {
	if v == nil {
		return false
	}
	var age time.Duration
	if c.Now == nil {
		age = time.Since(v.at) // reads one clock, not two
	} else {
		age = c.Now().Sub(v.at)
	}
	return age >= 0 && age < c.MaxAge
}

func (c *Cache[K, V]) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
