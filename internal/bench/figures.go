package main

import (
	"fmt"
	"slices"
	"time"
)

// spread is a number over all rounds.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// in writes a spread with a format for each of its numbers.
func (s spread) in(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.low, s.high)
}

// figure is one number of a window.
type figure struct {
	name string
	of   func(r result) float64
}

// The figures that are compared: the proxy's CPU time for a request in microseconds, its answers to eager
// clients in a second, and its users' latencies in milliseconds.
var (
	costFigure = figure{"CPU", func(r result) float64 {
		return float64(r.CPU) / float64(time.Microsecond) / float64(r.Requests)
	}}
	rateFigure = figure{"requests/s", func(r result) float64 { return float64(r.Requests) / r.Wall.Seconds() }}
	p50Figure  = figure{"p50", func(r result) float64 { return milliseconds(r.P50) }}
	p99Figure  = figure{"p99", func(r result) float64 { return milliseconds(r.P99) }}
)

// The figures that tell how far to believe the others: the part of the time that the proxy's core had work, the
// part that was not for the proxy's process, and how late users' requests were sent, in milliseconds.
var (
	busyFigure   = figure{"core busy", busy}
	othersFigure = figure{"others", func(r result) float64 { return max(busy(r)-float64(r.CPU)/float64(r.Wall), 0) }}
	lateFigure   = figure{"late", func(r result) float64 { return milliseconds(r.Late) }}
)

func busy(r result) float64 { return 1 - float64(r.Idle)/float64(r.Wall) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// over is a figure's spread over a row's rounds.
func (r row) over(f figure) spread {
	values := make([]float64, 0, len(r.results))
	for _, result := range r.results {
		values = append(values, f.of(result))
	}
	return spreadOf(values)
}

// ratio is the spread of a figure's ratio to that of another row, round by round: what disturbs a round
// disturbs both.
func (r row) ratio(to row, f figure) spread {
	values := make([]float64, 0, len(r.results))
	for i, result := range r.results {
		values = append(values, f.of(result)/f.of(to.results[i]))
	}
	return spreadOf(values)
}
