package cql

import (
	"context"
	"sync"
	"time"
)

const (
	leastInFlight   = 8
	defaultInFlight = 512
)

// limiter bounds the requests in flight to what the cluster bears, found out by additive increase and multiplicative
// decrease: the bound grows while answers come as quickly as they do on a quiet cluster, and shrinks when they slow down
// to several times that, or the cluster says that it is overloaded.
type limiter struct {
	mu       sync.Mutex
	limit    float64
	most     float64
	inFlight int
	waiting  []chan struct{} // in order of arrival
	// quick is a slowly rising minimum of the answers' times, in seconds; usual an average of the latest.
	quick, usual float64
	shrunk       time.Time
}

func newLimiter(most int) *limiter {
	if most == 0 {
		most = defaultInFlight
	}
	return &limiter{limit: min(64, float64(most)), most: float64(most)}
}

// acquire waits for a place.
func (l *limiter) acquire(ctx context.Context) error {
	l.mu.Lock()
	if l.inFlight < int(l.limit) {
		l.inFlight++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	l.inFlight-- // the place was given to us meanwhile
	l.wake()
	return ctx.Err()
}

// release gives a place back and learns from how the request went.
func (l *limiter) release(took time.Duration, overloaded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learn(took.Seconds(), overloaded, time.Now())
	l.inFlight--
	l.wake()
}

func (l *limiter) learn(took float64, overloaded bool, now time.Time) {
	if l.quick == 0 {
		l.quick, l.usual = took, took
	}
	l.quick = min(took, l.quick*1.0005)
	l.usual += (took - l.usual) / 32
	// Below 5 ms the noise of schedulers is larger than what load does.
	slow := l.usual > 8*max(l.quick, 0.005)
	switch {
	case (overloaded || slow) && now.Sub(l.shrunk).Seconds() > max(l.usual, 0.1):
		l.limit, l.shrunk = max(leastInFlight, l.limit*0.75), now
	case !overloaded && !slow && l.inFlight >= int(l.limit):
		l.limit = min(l.most, l.limit+1/l.limit)
	}
	l.limit = min(l.limit, l.most)
}

func (l *limiter) wake() {
	for l.inFlight < int(l.limit) && len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.inFlight++
	}
}

// bound returns the present limit.
func (l *limiter) bound() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.limit)
}

// Bound returns how many requests may be in flight now.
func (s *Store) Bound() int { return s.limit.bound() }
