package server

import (
	"sync"

	"golang.org/x/time/rate"

	"kith/fault"
)

// Limits are requests per second, each per domain and over all nodes. 0 is unlimited.
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
	nodes  int // that share the limits
}

// share divides the limits by the number of live nodes; a load balancer is taken to spread requests evenly.
func (l *limiter) share(nodes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if nodes = max(nodes, 1); nodes != l.nodes {
		l.nodes = nodes
		clear(l.all)
	}
}

func newLimiter(l Limits) *limiter {
	return &limiter{limits: l, all: map[[2]string]*rate.Limiter{}, nodes: 1}
}

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
		own := per / float64(l.nodes)
		lim = rate.NewLimiter(rate.Limit(own), max(1, int(own)))
		l.all[key] = lim
	}
	l.mu.Unlock()
	if !lim.Allow() {
		where := ""
		if domain != "" {
			where = " in this domain"
		}
		return fault.Throttledf("Rate exceeded: %s is limited to %g requests per second%s.", op, per, where)
	}
	return nil
}

// ShareLimits tells the server how many live nodes, this one included, share the rate limits.
func (s *Server) ShareLimits(nodes int) {
	s.limiter.share(nodes)
	s.metrics.nodes.Set(float64(nodes))
}
