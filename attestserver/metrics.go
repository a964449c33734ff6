package attestserver

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
)

// metrics are what Prometheus sees. No label holds anything a client can make up: accounts, packages and versions are
// those of the snapshot, flags and calls are our words.
type metrics struct {
	attestations  *prometheus.CounterVec
	flags         *prometheus.CounterVec
	apps          *prometheus.CounterVec
	calls         *prometheus.CounterVec
	evidence      *prometheus.CounterVec
	seconds       prometheus.Histogram
	nonceFailed   prometheus.Counter
	refreshFailed prometheus.Counter
	overload      prometheus.Counter

	failuresDropped prometheus.Counter
}

// calls are what an SDK counts (manual, "SDK Metrics").
var calls = []string{
	"calls-fetch-sync", "calls-fetch-async", "calls-fetch-config", "calls-get-pins", "calls-set-data-hash", "calls-integrity-proof",
	"calls-device-proof", "result-success", "result-no-network", "result-poor-network", "result-mitm-detected",
}

func newMetrics(s *Server) (*metrics, error) {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "attestserver_" + name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "attestserver_" + name, Help: help})
	}
	m := &metrics{
		attestations: counters("attestations_total", "Attestations by account (empty: none such) and result: pass, fail or error.", "account", "result"),
		flags:        counters("flags_total", "Flags of attestations by account, verdict (pass or fail) and flag.", "account", "verdict", "flag"),
		apps:         counters("apps_total", "Attestations of registered apps by account, verdict, package and version; of all but the latest versions as other.", "account", "verdict", "package", "version"),
		calls:        counters("sdk_calls_total", "What SDKs say they were asked and what came of it, by account and call.", "account", "call"),
		evidence:     counters("evidence_total", "Attestations with evidence by account and the level it reached (empty: none).", "account", "level"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "attestserver_attest_seconds", Help: "How long answering an attestation took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		nonceFailed:   counter("nonce_store_errors_total", "Attestations that were not answered because nonces could not be consumed."),
		refreshFailed: counter("refresh_errors_total", "Attempts to read the accounts that failed, wholly or in part."),
		overload:      counter("overload_total", "Requests refused because too many were being worked on."),

		failuresDropped: counter("failures_dropped_total", "Failed attestations that cannot be explained, because there were too many or they could not be written."),
	}
	if s.o.Metrics == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.attestations, m.flags, m.apps, m.calls, m.evidence, m.seconds, m.nonceFailed, m.refreshFailed, m.overload, m.failuresDropped, s.gauge("snapshot_generation",
			"Generation of the accounts in force.", func(p *snapshot) float64 { return float64(p.generation) }),
		s.gauge("snapshot_age_seconds", "Since the accounts in force were read; they are read again only when one has changed.",
			func(p *snapshot) float64 { return s.o.Now().Sub(p.read).Seconds() }),
		s.gauge("snapshot_accounts", "Accounts in force.", func(p *snapshot) float64 { return float64(len(p.accounts)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "attestserver_ready", Help: "1 if attestations can be answered."}, func() float64 {
			if s.Ready() == nil {
				return 1
			}
			return 0
		}),
	} {
		if err := s.o.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// gauge is a figure of the snapshot.
func (s *Server) gauge(name, help string, value func(*snapshot) float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "attestserver_" + name, Help: help}, func() float64 {
		if p := s.snapshot.Load(); p != nil {
			return value(p)
		}
		return 0
	})
}

// attested counts an attestation that was answered.
func (m *metrics) attested(c *compiled, q *attestapi.AttestRequest, f *finding, flags []string, pass bool) {
	name, verdict := c.account.Name, "fail"
	if pass {
		verdict = "pass"
	}
	m.attestations.WithLabelValues(name, verdict).Inc()
	for _, flag := range flags {
		m.flags.WithLabelValues(name, verdict, flag).Inc()
	}
	if f.app != (app{}) {
		as := c.label(f.app)
		m.apps.WithLabelValues(name, verdict, as.name, as.version).Inc()
	}
	if len(q.Evidence) > 0 {
		m.evidence.WithLabelValues(name, f.evidenceOf.Level.String()).Inc()
	}
	if !f.genuine || f.badNonce() {
		return // whoever has no key, or says the same again, is not believed about calls
	}
	for _, call := range calls {
		if n := q.Calls[call]; n > 0 {
			m.calls.WithLabelValues(name, call).Add(float64(min(n, maxCallsCounted)))
		}
	}
}

// maxCallsCounted bounds what one attestation can add to a metric.
const maxCallsCounted = 1_000_000

// refused counts an attestation whose body could not even be read.
func (m *metrics) refused(path string) {
	if path == attestapi.PathAttest {
		m.attestations.WithLabelValues("", "error").Inc()
	}
}
