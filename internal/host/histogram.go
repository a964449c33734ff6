package host

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CheckBounds suit the time a check takes: about a microsecond for HS256, longer for public keys.
func CheckBounds() []time.Duration {
	const us, ms = time.Microsecond, time.Millisecond
	return []time.Duration{500, 1 * us, 2 * us, 5 * us, 10 * us, 20 * us, 50 * us, 100 * us, 200 * us, 500 * us, 1 * ms, 2 * ms, 5 * ms, 10 * ms}
}

// UpstreamBounds suit the time that an API takes to answer.
func UpstreamBounds() []time.Duration {
	const ms, s = time.Millisecond, time.Second
	return []time.Duration{500 * time.Microsecond, 1 * ms, 2500 * time.Microsecond, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		1 * s, 2500 * ms, 5 * s, 10 * s, 30 * s, 60 * s}
}

// maxBounds is how many buckets a histogram may have beside the last, which has no bound.
const maxBounds = 16

// Histogram counts durations for Prometheus in fixed buckets. It does what client_golang's own does, in
// a fraction of the time, because every request passes here: two atomic additions and no search.
type Histogram struct {
	desc   *prometheus.Desc
	bounds []time.Duration
	counts [maxBounds + 1]atomic.Uint64 // by bucket, not cumulative
	sum    atomic.Int64                 // nanoseconds: 292 years of them
}

// NewHistogram makes a histogram with ascending upper bounds, at most 16. Histograms of one name may
// stand beside each other in a registry if the values of their labels differ: a closed set of
// children is an array of histograms.
func NewHistogram(name, help string, bounds []time.Duration, labels prometheus.Labels) *Histogram {
	if len(bounds) > maxBounds {
		panic(fmt.Sprintf("histogram %s: %d bounds, want at most %d", name, len(bounds), maxBounds))
	}
	return &Histogram{desc: prometheus.NewDesc(name, help, nil, labels), bounds: bounds}
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Describe announces the histogram.
func (h *Histogram) Describe(out chan<- *prometheus.Desc) { out <- h.desc }

// Collect reads it. The sum may be ahead of the counts, or behind them, by what is observed meanwhile.
func (h *Histogram) Collect(out chan<- prometheus.Metric) {
	total, cumulative := uint64(0), make(map[float64]uint64, len(h.bounds))
	for i, bound := range h.bounds {
		total += h.counts[i].Load()
		cumulative[bound.Seconds()] = total
	}
	total += h.counts[len(h.bounds)].Load()
	sum := time.Duration(h.sum.Load()).Seconds()
	out <- prometheus.MustNewConstHistogram(h.desc, total, sum, cumulative)
}
