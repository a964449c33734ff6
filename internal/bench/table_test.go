package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// tableOf has rows whose windows of a second cost these many microseconds of CPU a request, the proxy's core
// having idle parts of the time.
func tableOf(bare, gate, bad float64, idle time.Duration) table {
	t := table{rows: newRows(), judged: true}
	for i, cost := range map[int]float64{rowBare: bare, rowGate: gate, rowUnique: gate, rowBad: bad} {
		requests := float64(time.Second-idle) / (cost * 1000)
		t.rows[i].results = []result{{Requests: int64(requests), CPU: time.Second - idle, Idle: idle, Wall: time.Second}}
	}
	return t
}

func TestGoalsAreJudged(t *testing.T) {
	for name, row := range map[string]struct {
		table table
		want  bool
		text  string
	}{
		"both goals are reached":               {tableOf(40, 41, 12, 0), true, "CPU ≤ 1.05, reached"},
		"a gate that costs 6 % more misses":    {tableOf(40, 42.4, 12, 0), false, "CPU ≤ 1.05, MISSED"},
		"rejecting at 2.4 of the rate misses":  {tableOf(40, 41, 17.1, 0), false, "requests/s ≥ 2.50, MISSED"},
		"rejecting at 2.6 of the rate reaches": {tableOf(40, 41, 15.7, 0), true, "requests/s ≥ 2.50, reached"},
		"a core without enough work is told":   {tableOf(40, 41, 12, 50*time.Millisecond), true, "had work for only 95 % of the time"},
	} {
		var out bytes.Buffer
		if err := row.table.write(&out); err != nil {
			t.Fatal(err)
		}
		if got := row.table.reached(); got != row.want || !strings.Contains(out.String(), row.text) {
			t.Errorf("%s: got %v, want %v and %q in\n%s", name, got, row.want, row.text, &out)
		}
	}
	short := tableOf(40, 80, 80, 0)
	short.judged = false
	if !short.reached() {
		t.Error("a short run: got missed goals, want them not judged")
	}
}

func TestOtherWorkOnTheProxysCoreIsTold(t *testing.T) {
	measured := tableOf(40, 41, 12, 0)
	for i := range measured.rows {
		measured.rows[i].results[0].CPU /= 2
	}
	var out bytes.Buffer
	if err := measured.write(&out); err != nil {
		t.Fatal(err)
	}
	if want := "busy with other things for 50 %"; !strings.Contains(out.String(), want) {
		t.Errorf("got no %q in\n%s", want, &out)
	}
}

func TestRatiosAreMedianOfRounds(t *testing.T) {
	gate, bare := row{}, row{}
	for _, costs := range [][2]float64{{10, 11}, {20, 30}, {40, 48}} { // the machine slows down: ratios 1.1, 1.5, 1.2
		bare.results = append(bare.results, result{Requests: 1000, CPU: time.Duration(costs[0] * 1e6), Wall: time.Second})
		gate.results = append(gate.results, result{Requests: 1000, CPU: time.Duration(costs[1] * 1e6), Wall: time.Second})
	}
	if got, want := gate.ratio(bare, cost), (spread{1.2, 1.1, 1.5}); got != want {
		t.Errorf("ratio: got %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{4, 1, 3, 2}), (spread{2.5, 1, 4}); got != want {
		t.Errorf("even number of rounds: got %v, want %v", got, want)
	}
}

func TestListsOfProcessors(t *testing.T) {
	for list, want := range map[string][]int{"0": {0}, "0-1": {0, 1}, "0-2,5": {0, 1, 2, 5}, "3,7-8": {3, 7, 8}} {
		if got, err := parseCPUs(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"", "a", "1-", "1,,2"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("%q: got %v, want an error", list, got)
		}
	}
}

func TestResponsesAreMeasured(t *testing.T) {
	for text, want := range map[string][2]int{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":      {200, 43},
		"HTTP/1.1 204 No Content\r\n\r\n":                        {204, 27},
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n":               {0, 0},
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n": {401, 48},
	} {
		if status, total := measureHead([]byte(text)); status != want[0] || total != want[1] {
			t.Errorf("%q: got %d, %d, want %v", text, status, total, want)
		}
	}
}
