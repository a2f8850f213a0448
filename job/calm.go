package job

import (
	"sync"
	"time"
)

// sayAgain is how often a trouble that lasts is said again.
const sayAgain = 10 * time.Minute

// calm logs changes of state: a line when something begins to fail, one now and then while it goes on failing, and one when it is
// well again. So a trouble that lasts fills no disk.
type calm struct {
	clock func() time.Duration

	mu       sync.Mutex
	troubles map[string]*trouble
}

type trouble struct {
	began, said time.Duration
	times       int
}

// failing notes that what key names has failed, and says so if that is new, or was said long ago.
func (c *calm) failing(log Logger, key, msg string, args ...any) {
	c.mu.Lock()
	now := c.clock()
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

// well notes that what key names works, and says so if it did not.
func (c *calm) well(log Logger, key string) {
	c.mu.Lock()
	t := c.troubles[key]
	delete(c.troubles, key)
	c.mu.Unlock()
	if t != nil {
		log.Info("what failed works again", "what", key, "times", t.times, "after", (c.clock() - t.began).Round(time.Second))
	}
}

// forget drops what is noted of key.
func (c *calm) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.troubles, key)
}

// count returns how much is failing now.
func (c *calm) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.troubles)
}
