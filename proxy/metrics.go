package proxy

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/internal/host"
)

// requestStats are what the handler counts.
type requestStats struct {
	check  *host.Histogram
	panics atomic.Int64
}

func newRequestStats() *requestStats {
	return &requestStats{check: host.NewHistogram("approovgate_check_duration_seconds", "Time that the decision on a request took.", host.CheckBounds(), nil)}
}

// upstreamStats are what the way to the upstream counts.
type upstreamStats struct {
	duration *host.Histogram
	classes  [6]atomic.Int64 // responses by the first digit of their status
	faults   [faults]atomic.Int64
}

func newUpstreamStats() *upstreamStats {
	return &upstreamStats{duration: host.NewHistogram("approovgate_upstream_duration_seconds",
		"Time from sending a request until the upstream's response header.", host.UpstreamBounds(), nil)}
}

// answered notes a response.
func (s *upstreamStats) answered(status int, took time.Duration) {
	s.duration.Observe(took)
	if class := status / 100; class > 0 && class < len(s.classes) {
		s.classes[class].Add(1)
	}
}

// failed notes that there was none.
func (s *upstreamStats) failed(f fault) { s.faults[f].Add(1) }

// register adds what the sidecar counts to the gate's metrics. No label holds anything a client sends.
func (p *Proxy) register(h *handler) {
	p.metrics.Registry.MustRegister(h.stats.check, p.upstream.stats.duration, sidecarCollector{p, h})
}

// sidecarCollector reads the sidecar's counters when Prometheus asks.
type sidecarCollector struct {
	proxy   *Proxy
	handler *handler
}

var (
	inFlightDesc = prometheus.NewDesc("approovgate_requests_in_flight",
		"Requests that the upstream works on; streams, and responses that wait for their client, do not count.", nil, nil)
	queuedDesc = prometheus.NewDesc("approovgate_requests_queued",
		"Requests that wait for a place at the upstream.", nil, nil)
	shedDesc = prometheus.NewDesc("approovgate_requests_shed_total",
		"Requests turned away with 503: the queue was full, or its timeout passed.", []string{"cause"}, nil)
	panicsDesc = prometheus.NewDesc("approovgate_panics_total",
		"Requests answered 500 because checking them panicked. They were not forwarded.", nil, nil)
	upstreamDesc = prometheus.NewDesc("approovgate_upstream_responses_total",
		"Responses of the upstream by class: 1xx (101 only) to 5xx.", []string{"class"}, nil)
	faultsDesc = prometheus.NewDesc("approovgate_upstream_errors_total",
		"Requests that got no response from the upstream, by kind; client: the client was at fault or went away.", []string{"kind"}, nil)
	connectionsDesc = prometheus.NewDesc("approovgate_connections",
		"Connections of clients that are open.", nil, nil)
	connectionLimitDesc = prometheus.NewDesc("approovgate_connections_limit",
		"Connections of clients that may be open at once.", nil, nil)
	acceptedDesc = prometheus.NewDesc("approovgate_connections_accepted_total",
		"Connections of clients accepted.", nil, nil)
	closedDesc = prometheus.NewDesc("approovgate_connections_closed_total",
		"Connections closed because the limit was reached: idle ones in favour of a newer one, or the newest because none was idle.", []string{"cause"}, nil)
	linesDesc = prometheus.NewDesc("approovgate_log_lines_dropped_total",
		"Log lines lost because the log was not read or written fast enough.", nil, nil)
	lineErrorsDesc = prometheus.NewDesc("approovgate_log_write_errors_total",
		"Writes to the log that failed; each is tried again.", nil, nil)
	spansDesc = prometheus.NewDesc("approovgate_spans_dropped_total",
		"Spans that never reached the collector.", nil, nil)
	certificateEndDesc = prometheus.NewDesc("approovgate_certificate_not_after_timestamp_seconds",
		"When the certificate in force expires, Unix seconds.", []string{"use"}, nil)
	certificateLoadedDesc = prometheus.NewDesc("approovgate_certificate_loaded_timestamp_seconds",
		"When the certificate in force was taken into force, Unix seconds.", []string{"use"}, nil)
)

// Describe announces the metrics of a sidecar.
func (c sidecarCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{inFlightDesc, queuedDesc, shedDesc, panicsDesc, upstreamDesc, faultsDesc, connectionsDesc,
		connectionLimitDesc, acceptedDesc, closedDesc, certificateEndDesc, certificateLoadedDesc, linesDesc, lineErrorsDesc, spansDesc} {
		out <- d
	}
}

// Collect reads them.
func (c sidecarCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, n *atomic.Int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.Load()), labels...)
	}
	f, clients, upstream := c.handler.inFlight, c.proxy.clients, c.proxy.upstream.stats
	gauge(inFlightDesc, float64(f.inside()))
	gauge(queuedDesc, float64(f.waiting.Load()))
	counter(shedDesc, &f.full, "queue_full")
	counter(shedDesc, &f.timedOut, "queue_timeout")
	counter(panicsDesc, &c.handler.stats.panics)
	for class, name := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		counter(upstreamDesc, &upstream.classes[class+1], name)
	}
	for kind, name := range faultNames {
		counter(faultsDesc, &upstream.faults[kind], name)
	}
	gauge(connectionsDesc, float64(clients.count()))
	gauge(connectionLimitDesc, float64(clients.limit))
	counter(acceptedDesc, &clients.accepted)
	counter(closedDesc, &clients.evicted, "idle")
	counter(closedDesc, &clients.refused, "newest")
	if c.proxy.tracer != nil {
		out <- prometheus.MustNewConstMetric(spansDesc, prometheus.CounterValue, float64(c.proxy.tracer.Dropped()))
	}
	if lines := c.proxy.Lines; lines != nil {
		out <- prometheus.MustNewConstMetric(linesDesc, prometheus.CounterValue, float64(lines.Dropped()))
		out <- prometheus.MustNewConstMetric(lineErrorsDesc, prometheus.CounterValue, float64(lines.Errors()))
	}
	for use, pair := range map[string]*pair{"server": c.proxy.certificate, "upstream": c.proxy.upstream.client} {
		if pair != nil {
			gauge(certificateEndDesc, float64(pair.live.Load().Leaf.NotAfter.Unix()), use)
			gauge(certificateLoadedDesc, float64(pair.loaded.Load()), use)
		}
	}
}
