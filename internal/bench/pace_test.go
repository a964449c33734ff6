package main

import (
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	p := newPace(1000)
	p.from = 0
	var sent []time.Duration
	for now := range 3 { // on time
		due, ok := p.due(time.Duration(now) * ms)
		if !ok {
			t.Fatalf("at %d ms: got no request, want one", now)
		}
		p.answered(due, time.Duration(now)*ms+ms/2)
	}
	for { // the next look is 10 ms late, since the proxy stalled
		due, ok := p.due(13 * ms)
		if !ok {
			break
		}
		sent = append(sent, due)
	}
	p.until = 13 * ms
	for _, due := range sent {
		p.answered(due, 14*ms)
	}
	// Due at 3 to 13 ms, the last of them not in the window any more.
	want := []time.Duration{ms / 2, ms / 2, ms / 2, 11 * ms, 10 * ms, 9 * ms, 8 * ms, 7 * ms, 6 * ms, 5 * ms, 4 * ms, 3 * ms, 2 * ms}
	if !slices.Equal(p.latencies, want) {
		t.Errorf("latencies: got %v, want %v", p.latencies, want)
	}
	if got, want := percentile(p.late, 1), 10*ms; got != want {
		t.Errorf("latest request: got %v late, want %v", got, want)
	}
	if _, ok := p.due(time.Hour); ok || !p.done() {
		t.Error("after the window: got another request, want none")
	}
}

func TestNothingCountsBeforeTheWindow(t *testing.T) {
	p := newPace(1000)
	due, _ := p.due(5 * ms)
	p.from = ms
	p.answered(due, 6*ms)
	if len(p.latencies)+len(p.late) != 0 {
		t.Errorf("got %v, %v, want none", p.latencies, p.late)
	}
	if never := newPace(0); !never.done() {
		t.Error("without users: got requests, want none")
	}
}

func TestPercentilesAreNearestRanks(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for name, row := range map[string]struct {
		values []time.Duration
		part   float64
		want   time.Duration
	}{
		"the median of a hundred":          {hundred, 0.50, 50},
		"the 99th percentile of a hundred": {hundred, 0.99, 99},
		"of one value":                     {[]time.Duration{7}, 0.99, 7},
		"the least":                        {[]time.Duration{3, 1, 2}, 0, 1},
		"of nothing":                       {nil, 0.5, 0},
	} {
		if got := percentile(row.values, row.part); got != row.want {
			t.Errorf("%s: got %d, want %d", name, got, row.want)
		}
	}
}
