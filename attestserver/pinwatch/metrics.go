package pinwatch

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/approovgate/approovgate/attestapi"
)

// metrics are what Prometheus sees. What is said of a domain is read when it is asked for, so that there is nothing of
// a domain that is gone.
type metrics struct {
	checks   *prometheus.CounterVec
	webhooks *prometheus.CounterVec
}

func newMetrics(w *Watcher) (*metrics, error) {
	m := &metrics{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "attestserver_pin_checks_total", Help: "Looks at domains by result: a state, or failed for one that is to be repeated first.",
		}, []string{"result"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "attestserver_pin_webhooks_total", Help: "Messages to the webhook: delivered, lost; and attempts that were repeated, retried.",
		}, []string{"result"}),
	}
	for _, result := range []string{
		attestapi.PinsMatched, attestapi.PinsMismatched, attestapi.PinsUntrusted, attestapi.PinsUnreachable, attestapi.PinsUnpinned, resultFailed,
	} {
		m.checks.WithLabelValues(result)
	}
	for _, result := range []string{resultDelivered, resultRetried, resultLost} {
		m.webhooks.WithLabelValues(result)
	}
	if w.o.Metrics == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.checks, m.webhooks, domains{w}} {
		if err := w.o.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// The results that are no states.
const (
	resultFailed    = "failed"
	resultDelivered = "delivered"
	resultRetried   = "retried"
	resultLost      = "lost"
)

var (
	stateDesc   = prometheus.NewDesc("attestserver_pin_state", "1 for the state that the pins of a domain are in.", []string{"account", "domain", "state"}, nil)
	expiresDesc = prometheus.NewDesc("attestserver_pin_certificate_expiry_seconds", "When the certificate of a domain that ends first does, as Unix time.", []string{"account", "domain"}, nil)
	checkedDesc = prometheus.NewDesc("attestserver_pin_checked_seconds", "When a domain was looked at last, as Unix time.", []string{"account", "domain"}, nil)
)

// domains is what is known of the domains.
type domains struct{ w *Watcher }

func (d domains) Describe(to chan<- *prometheus.Desc) {
	to <- stateDesc
	to <- expiresDesc
	to <- checkedDesc
}

func (d domains) Collect(to chan<- prometheus.Metric) {
	var all []prometheus.Metric
	add := func(desc *prometheus.Desc, value float64, labels ...string) {
		all = append(all, prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...))
	}
	d.w.mu.Lock()
	for k, x := range d.w.watched {
		add(stateDesc, 1, k.account, k.domain, x.status.State)
		if !x.status.Expires.IsZero() {
			add(expiresDesc, float64(x.status.Expires.Unix()), k.account, k.domain)
		}
		if !x.status.Checked.IsZero() {
			add(checkedDesc, float64(x.status.Checked.Unix()), k.account, k.domain)
		}
	}
	d.w.mu.Unlock()
	for _, one := range all {
		to <- one
	}
}
