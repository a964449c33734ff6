package main

import (
	"math"
	"slices"
	"time"
)

// pace is an open loop: requests fall due at a fixed rate, whether or not earlier ones have been answered, and
// a latency counts from the moment its request was due. A proxy that stalls so has to answer for every request
// that it kept waiting; were clients to ask only after their last answer, a stall would delay one of each. The
// times are those of one clock.
type pace struct {
	every       time.Duration // between two requests; 0: none fall due
	next        time.Duration // when the next request is due
	from, until time.Duration // requests due in between count
	latencies   []time.Duration
	late        []time.Duration // how long after it was due each request was sent
}

// newPace is a pace that starts at once and does not count yet.
func newPace(rate int) pace {
	if rate == 0 {
		return pace{}
	}
	return pace{every: time.Second / time.Duration(rate), from: math.MaxInt64, until: math.MaxInt64}
}

// due takes the next request if it is due.
func (p *pace) due(now time.Duration) (due time.Duration, ok bool) {
	if p.done() || now < p.next {
		return 0, false
	}
	due = p.next
	p.next += p.every
	if due >= p.from {
		p.late = append(p.late, now-due)
	}
	return due, true
}

// answered takes note of an answer to the request that was due then.
func (p *pace) answered(due, now time.Duration) {
	if due >= p.from && due < p.until {
		p.latencies = append(p.latencies, now-due)
	}
}

// done reports whether no more requests fall due.
func (p *pace) done() bool { return p.every == 0 || p.next >= p.until }

// percentile is the smallest of values that this part of them does not exceed; 0 of none. It sorts them.
func percentile(values []time.Duration, part float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max(int(math.Ceil(part*float64(len(values)))), 1)-1]
}
