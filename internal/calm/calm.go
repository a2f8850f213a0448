// Package calm logs changes of state instead of events: a line when something begins to fail, one now and then while it goes on failing,
// and one when it is well again. So a trouble that lasts fills no disk.
package calm

import (
	"sync"
	"time"
)

// sayAgain is how often a trouble that lasts is said again.
const sayAgain = 10 * time.Minute

// Logger is the part of slog.Logger that is used.
type Logger interface {
	Info(msg string, args ...any)
	Error(msg string, args ...any)
}

// Log notes troubles by key. Its zero value is ready; it is safe for concurrent use.
type Log struct {
	// Clock is a monotonic clock; nil is the system's.
	Clock func() time.Duration

	mu       sync.Mutex
	troubles map[string]*trouble
}

type trouble struct {
	began, said time.Duration
	times       int
}

// Failing notes that what key names has failed, and says so if that is new, or was said long ago.
func (c *Log) Failing(log Logger, key, msg string, args ...any) {
	c.mu.Lock()
	now := c.now()
	t := c.troubles[key]
	if t == nil {
		if c.troubles == nil {
			c.troubles = map[string]*trouble{}
		}
		t = &trouble{began: now, said: now}
		c.troubles[key] = t
	}
	t.times++
	say := t.times == 1 || now-t.said >= sayAgain
	if say {
		t.said = now
	}
	times := t.times
	c.mu.Unlock()
	if say {
		log.Error(msg, append(args, "times", times)...)
	}
}

// Well notes that what key names works, and says so if it did not.
func (c *Log) Well(log Logger, key string) {
	c.mu.Lock()
	t := c.troubles[key]
	delete(c.troubles, key)
	c.mu.Unlock()
	if t != nil {
		log.Info("what failed works again", "what", key, "times", t.times, "after", (c.now() - t.began).Round(time.Second))
	}
}

// Forget drops what is noted of key.
func (c *Log) Forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.troubles, key)
}

// Count returns how much is failing now.
func (c *Log) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.troubles)
}

var start = time.Now()

func (c *Log) now() time.Duration {
	if c.Clock == nil {
		return time.Since(start)
	}
	return c.Clock()
}
