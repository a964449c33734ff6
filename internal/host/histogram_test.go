package host

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The oracle is client_golang's own histogram, fed with the same durations.
func TestHistogramCountsLikePrometheusDoes(t *testing.T) {
	for name, bounds := range map[string][]time.Duration{"check": CheckBounds(), "upstream": UpstreamBounds()} {
		if !slices.IsSorted(bounds) || len(bounds) > maxBounds {
			t.Errorf("%s: got the bounds %v, want at most %d, ascending", name, bounds, maxBounds)
		}
		seconds := make([]float64, len(bounds))
		durations := []time.Duration{0, 1, time.Hour}
		for i, bound := range bounds {
			seconds[i] = bound.Seconds()
			durations = append(durations, bound-1, bound, bound, bound+1)
		}
		ours := NewHistogram(name+"_seconds", "Help.", bounds, prometheus.Labels{"kind": "a"})
		theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name + "_seconds", Help: "Help.", Buckets: seconds, ConstLabels: prometheus.Labels{"kind": "a"}})
		for _, d := range durations {
			ours.Observe(d)
			theirs.Observe(d.Seconds())
		}
		got, want := gathered(t, ours), gathered(t, theirs)
		if !slices.Equal(got.buckets, want.buckets) || got.count != want.count || math.Abs(got.sum-want.sum) > 1e-9*want.sum {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

type observed struct {
	buckets []uint64
	count   uint64
	sum     float64
}

func gathered(t *testing.T, c prometheus.Collector) observed {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("got %v, %v, want one histogram", families, err)
	}
	h := families[0].GetMetric()[0].GetHistogram()
	o := observed{count: h.GetSampleCount(), sum: h.GetSampleSum()}
	for _, b := range h.GetBucket() {
		o.buckets = append(o.buckets, b.GetCumulativeCount())
	}
	return o
}

func TestHistogramsOfOneNameStandBesideEachOther(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	for _, class := range []string{"2xx", "5xx"} {
		registry.MustRegister(NewHistogram("upstream_seconds", "Help.", UpstreamBounds(), prometheus.Labels{"class": class}))
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 2 {
		t.Errorf("got %v, %v, want one family of 2 histograms", families, err)
	}
}

func TestHistogramLosesNoObservationOfManyGoroutines(t *testing.T) {
	const goroutines, each = 8, 1000
	h := NewHistogram("check_seconds", "Help.", CheckBounds(), nil)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				h.Observe(time.Millisecond)
			}
		})
	}
	all.Wait()
	if got := gathered(t, h); got.count != goroutines*each || got.sum != goroutines*each/1000.0 {
		t.Errorf("got %d observations of %v s, want %d of %v", got.count, got.sum, goroutines*each, goroutines*each/1000.0)
	}
}

func TestHistogramRefusesMoreBoundsThanItHasPlacesFor(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got a histogram with 17 bounds, want a panic")
		}
	}()
	NewHistogram("check_seconds", "Help.", make([]time.Duration, maxBounds+1), nil)
}

func TestObserveAllocatesNothing(t *testing.T) {
	h := NewHistogram("check_seconds", "Help.", CheckBounds(), nil)
	if got := testing.AllocsPerRun(1000, func() { h.Observe(time.Microsecond) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func benchObserve(b *testing.B, observe func(time.Duration), d time.Duration) {
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			observe(d)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(each *testing.PB) {
			for each.Next() {
				observe(d)
			}
		})
	})
}

func BenchmarkHistogram(b *testing.B) {
	b.Run("check", func(b *testing.B) {
		benchObserve(b, NewHistogram("x", "x", CheckBounds(), nil).Observe, 1100*time.Nanosecond)
	})
	b.Run("upstream", func(b *testing.B) {
		benchObserve(b, NewHistogram("x", "x", UpstreamBounds(), nil).Observe, 120*time.Millisecond)
	})
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Help: "x", Buckets: prometheus.DefBuckets})
	b.Run("client_golang", func(b *testing.B) {
		benchObserve(b, func(d time.Duration) { theirs.Observe(d.Seconds()) }, 120*time.Millisecond)
	})
}
