package proxy

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// statusHandler serves the read-only status listener: /live, /ready and /metrics, nothing else. It
// may face a cluster's network.
type statusHandler struct {
	draining *atomic.Bool // set once the process shuts down
	usable   func() bool  // whether the gate holds a usable key
	metrics  http.Handler
}

func newStatusHandler(draining *atomic.Bool, usable func() bool, registry *prometheus.Registry) *statusHandler {
	return &statusHandler{draining: draining, usable: usable,
		metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})}
}

func (s *statusHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, ok := map[string]http.HandlerFunc{"/live": s.live, "/ready": s.ready, "/metrics": s.metrics.ServeHTTP}[r.URL.Path]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "read only", http.StatusMethodNotAllowed)
	default:
		serve(w, r)
	}
}

// live says that the process serves; it never depends on keys, files or the upstream.
func (s *statusHandler) live(w http.ResponseWriter, _ *http.Request) {
	answerText(w, http.StatusOK, "live\n")
}

// ready says whether this process should get traffic.
func (s *statusHandler) ready(w http.ResponseWriter, _ *http.Request) {
	switch {
	case s.draining.Load():
		answerText(w, http.StatusServiceUnavailable, "draining\n")
	case !s.usable():
		answerText(w, http.StatusServiceUnavailable, "no usable key\n")
	default:
		answerText(w, http.StatusOK, "ready\n")
	}
}

func answerText(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a probe that is gone cannot be told
}
