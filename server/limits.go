package server

import (
	"sync"

	"golang.org/x/time/rate"

	"kith/fault"
)

// Limits are requests per second, each per domain. 0 is unlimited.
type Limits struct {
	// PerOperation limits operations by name; "*" stands for all that are not named.
	PerOperation map[string]float64
}

// maxLimiters bounds the table; when it is full it is dropped, which lets a few requests more through.
const maxLimiters = 10_000

type limiter struct {
	limits Limits
	mu     sync.Mutex
	all    map[[2]string]*rate.Limiter
}

func newLimiter(l Limits) *limiter { return &limiter{limits: l, all: map[[2]string]*rate.Limiter{}} }

// allow returns a Throttled fault when the domain has called the operation too often.
func (l *limiter) allow(domain, op string) error {
	per, ok := l.limits.PerOperation[op]
	if !ok {
		per = l.limits.PerOperation["*"]
	}
	if per <= 0 {
		return nil
	}
	l.mu.Lock()
	key := [2]string{domain, op}
	lim := l.all[key]
	if lim == nil {
		if len(l.all) >= maxLimiters {
			clear(l.all)
		}
		lim = rate.NewLimiter(rate.Limit(per), max(1, int(per)))
		l.all[key] = lim
	}
	l.mu.Unlock()
	if !lim.Allow() {
		return fault.Throttledf("Rate exceeded: %s is limited to %g requests per second in this domain.", op, per)
	}
	return nil
}
