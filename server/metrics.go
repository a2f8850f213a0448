package server

import (
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kith/fault"
)

type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	uploaded prometheus.Counter
	nodes    prometheus.Gauge
	handler  http.Handler

	mu    sync.RWMutex
	known map[outcome]resolved
}

func newMetrics() *metrics {
	m := &metrics{
		known:    map[outcome]resolved{},
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kith_requests_total", Help: "Requests by operation and HTTP status."}, []string{"operation", "status"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kith_request_seconds", Help: "Time to answer, by operation.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"operation"}),
		uploaded: prometheus.NewCounter(prometheus.CounterOpts{Name: "kith_uploaded_bytes_total", Help: "Bytes of files received, complete or not."}),
		nodes:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "kith_nodes", Help: "Live nodes on the same data, as this node knows."}),
	}
	m.nodes.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.uploaded, m.nodes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

// outcome is an operation with a status, for the metrics of a request.
type outcome struct {
	op     string
	status int
}

// resolved are the metrics of an outcome, looked up once: there are few.
type resolved struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

func (m *metrics) observe(op string, status int, took time.Duration) {
	of := outcome{op, status}
	m.mu.RLock()
	r, ok := m.known[of]
	m.mu.RUnlock()
	if !ok {
		r = resolved{m.requests.WithLabelValues(op, strconv.Itoa(status)), m.seconds.WithLabelValues(op)}
		m.mu.Lock()
		m.known[of] = r
		m.mu.Unlock()
	}
	r.requests.Inc()
	r.seconds.Observe(took.Seconds())
}

// Registry is where other parts of the program register their metrics.
func (s *Server) Registry() *prometheus.Registry { return s.metrics.registry }

// serveMetrics lets in who has the token, or who is on this machine when there is none.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request, requestID string) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	allowed := s.MetricsToken == "" && loopback(r) && s.foreign(r, "The server") == nil ||
		s.MetricsToken != "" && ok && subtle.ConstantTimeCompare([]byte(token), []byte(s.MetricsToken)) == 1
	if !allowed {
		writeError(w, r, s.Log, requestID, fault.AccessDeniedf("Metrics are for this machine, or for who sends the configured token as \"Authorization: Bearer\"."))
		return
	}
	s.metrics.handler.ServeHTTP(w, r)
}
