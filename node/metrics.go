package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"kith/deadletter"
	"kith/job"
)

// workMetrics tells what the background work of this node does.
type workMetrics struct{ runner *job.Runner }

var (
	workRunning  = prometheus.NewDesc("kith_work_running", "Background work that runs on this node or is helped with, by kind.", []string{"kind"}, nil)
	workFailed   = prometheus.NewDesc("kith_work_failed_attempts_total", "Attempts at background work that failed, by kind.", []string{"kind"}, nil)
	workGivenUp  = prometheus.NewDesc("kith_work_given_up_total", "Background work that was given up or cancelled, by kind.", []string{"kind"}, nil)
	workTroubles = prometheus.NewDesc("kith_work_troubles", "Background work and loops that fail at the moment and are tried again.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m workMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- workRunning
	out <- workFailed
	out <- workGivenUp
	out <- workTroubles
}

// Collect implements prometheus.Collector.
func (m workMetrics) Collect(out chan<- prometheus.Metric) {
	s := m.runner.Stats()
	for kind, n := range s.Running {
		out <- prometheus.MustNewConstMetric(workRunning, prometheus.GaugeValue, float64(n), kind)
	}
	for kind, n := range s.Failed {
		out <- prometheus.MustNewConstMetric(workFailed, prometheus.CounterValue, float64(n), kind)
	}
	for kind, n := range s.GaveUp {
		out <- prometheus.MustNewConstMetric(workGivenUp, prometheus.CounterValue, float64(n), kind)
	}
	out <- prometheus.MustNewConstMetric(workTroubles, prometheus.GaugeValue, float64(s.Troubles))
}

// letterMetrics tells what this node has done with dead letters.
type letterMetrics struct{ letters *deadletter.Service }

var (
	lettersKept    = prometheus.NewDesc("kith_dead_letters_kept_total", "Objects that could not be attached and were kept as dead letters.", nil, nil)
	lettersCrowded = prometheus.NewDesc("kith_dead_letters_crowded_out_total", "Dead letters that were removed because their domain had no room for more.", nil, nil)
	lettersSent    = prometheus.NewDesc("kith_dead_letters_sent_total", "Dead letters that queues have taken.", nil, nil)
	lettersFailed  = prometheus.NewDesc("kith_dead_letters_failed_total", "Attempts at sending a dead letter to a queue that failed; it is tried again.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m letterMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- lettersKept
	out <- lettersCrowded
	out <- lettersSent
	out <- lettersFailed
}

// Collect implements prometheus.Collector.
func (m letterMetrics) Collect(out chan<- prometheus.Metric) {
	kept, crowded, sent, failed := m.letters.Stats()
	out <- prometheus.MustNewConstMetric(lettersKept, prometheus.CounterValue, float64(kept))
	out <- prometheus.MustNewConstMetric(lettersCrowded, prometheus.CounterValue, float64(crowded))
	out <- prometheus.MustNewConstMetric(lettersSent, prometheus.CounterValue, float64(sent))
	out <- prometheus.MustNewConstMetric(lettersFailed, prometheus.CounterValue, float64(failed))
}
