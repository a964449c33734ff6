package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// measured is a run in which every row's window of a second cost 40 µs of CPU a request, a rejection 12, and
// users waited 0.1 ms, and one in a hundred 1 ms.
func measured() tables {
	t := tables{rows: newRows(newGroups(), newSystems()), goals: newGoals(), beside: [2]string{bareSystem, haproxySystem}, judged: true}
	for i := range t.rows {
		r := &t.rows[i]
		r.absent = nil
		r.results = []result{{CPU: time.Second, Wall: time.Second, P50: 100 * time.Microsecond, P99: time.Millisecond}}
		r.costs(40)
		if r.carry == badSign {
			r.costs(12)
		}
	}
	t.at(validGroup, bareSystem).costs(70)
	t.at(badGroup, gateSystem).costs(28)
	return t
}

// costs makes the row's window have requests of this many microseconds of CPU.
func (r *row) costs(microseconds float64) {
	r.results[0].Requests = int64(float64(r.results[0].CPU) / (microseconds * 1000))
}

// at is a row to be changed.
func (t tables) at(group, role string) *row {
	return &t.rows[slices.IndexFunc(t.rows, func(r row) bool { return r.name == group && r.role == role })]
}

func TestGoalsAreJudged(t *testing.T) {
	for name, row := range map[string]struct {
		change func(t tables)
		want   bool
		line   string // whose words stand in one line
	}{
		"all goals are reached": {func(tables) {}, true, "CPU ≤ 1.05 gate valid bare valid 0.571 reached"},
		"a gate that costs 6 % more than a bare proxy misses": {func(t tables) { t.at(validGroup, gateSystem).costs(74.2) }, false,
			"CPU ≤ 1.05 gate valid bare valid 1.060 MISSED"},
		"a gate that is only 1.5 times as fast misses an aim": {func(t tables) { t.at(validGroup, gateSystem).costs(46.7) }, true,
			"requests/s ≥ 1.60 gate valid bare valid 1.499 missed, an aim"},
		"a gate that costs 1.3 times HAProxy misses an aim": {func(t tables) { t.at(validGroup, haproxySystem).costs(30) }, true,
			"CPU ≤ 1.25 gate valid haproxy valid 1.333 missed, an aim"},
		"unique tokens at 94 % of the rate miss": {func(t tables) { t.at(uniqueGroup, gateSystem).costs(42.55) }, false,
			"requests/s ≥ 0.95 gate unique gate valid 0.940 MISSED"},
		"rejecting at 2.4 of the forwarded rate misses": {func(t tables) { t.at(badGroup, gateSystem).costs(29.2) }, false,
			"requests/s ≥ 2.50 gate bad bare valid 2.397 MISSED"},
		"a p99 of 1.6 times that of HAProxy misses an aim": {func(t tables) { t.at(latencyGroup, gateSystem).results[0].P99 += 600 * time.Microsecond }, true,
			"p99 ≤ 1.50 gate latency haproxy latency 1.600 missed, an aim"},
		"without HAProxy its goals are not measured": {func(t tables) { *t.at(validGroup, haproxySystem) = row{} }, true,
			"CPU ≤ 1.25 gate valid haproxy valid - not measured"},
	} {
		found := measured()
		row.change(found)
		var out bytes.Buffer
		if err := found.write(&out); err != nil {
			t.Fatal(err)
		}
		if got := found.reached(); got != row.want || !hasLine(out.String(), row.line) {
			t.Errorf("%s: got %v, want %v and %q in\n%s", name, got, row.want, row.line, &out)
		}
	}
	short := measured()
	short.at(validGroup, gateSystem).costs(400)
	short.judged = false
	if !short.reached() {
		t.Error("a short run: got missed goals, want them not judged")
	}
}

// hasLine reports whether a line of text has all these words in order, beside others in brackets.
func hasLine(text, words string) bool {
	for line := range strings.Lines(text) {
		left := strings.Fields(words)
		for _, word := range strings.Fields(line) {
			if len(left) > 0 && word == left[0] {
				left = left[1:]
			}
		}
		if len(left) == 0 {
			return true
		}
	}
	return false
}

func TestSystemsThatAreNotThereAreTold(t *testing.T) {
	gone := system{role: "gone", checks: true, had: "gone-package", there: func() error { return errors.New("no such program") }}
	found := measured()
	found.rows = append(found.rows, newRows(newGroups(), []system{gone})...)
	found.notes = absentNotes(append(newSystems()[:2], gone))
	var out bytes.Buffer
	if err := found.write(&out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "gone-package"); got != 1 {
		t.Errorf("told of the package: got %d times, want once in\n%s", got, &out)
	}
	for _, want := range []string{"one genuine token gone not there", "users alone gone not there"} {
		if !hasLine(out.String(), want) {
			t.Errorf("got no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "NaN") {
		t.Errorf("got a figure of nothing in\n%s", &out)
	}
}

func TestDoubtfulFiguresAreTold(t *testing.T) {
	for want, change := range map[string]func(r *result){
		"a lower bound; the CPU time holds: gate, one genuine token (95 %)": func(r *result) { r.Idle = r.Wall / 20; r.CPU -= r.Idle },
		"on a quiet machine: gate, one genuine token (50 %)":                func(r *result) { r.CPU /= 2 },
		"have that in them: gate, users alone (0.30 ms)":                    func(r *result) { r.Late = 300 * time.Microsecond },
		"on a quiet machine: gate, users alone (50 %)":                      func(r *result) { r.CPU /= 2 },
	} {
		found := measured()
		if doubts := found.doubts(); len(doubts) > 0 {
			t.Fatalf("undisturbed: got %q, want no doubts", doubts)
		}
		group := validGroup
		if strings.Contains(want, "users") {
			group = latencyGroup
		}
		change(&found.at(group, gateSystem).results[0])
		if doubts := found.doubts(); len(doubts) != 1 || !strings.HasSuffix(doubts[0], want) {
			t.Errorf("got %q, want %q", doubts, want)
		}
	}
}

func TestRatiosAreMedianOfRounds(t *testing.T) {
	gate, bare := row{}, row{}
	for _, costs := range [][2]float64{{10, 11}, {20, 30}, {40, 48}} { // the machine slows down: ratios 1.1, 1.5, 1.2
		bare.results = append(bare.results, result{Requests: 1000, CPU: time.Duration(costs[0] * 1e6), Wall: time.Second})
		gate.results = append(gate.results, result{Requests: 1000, CPU: time.Duration(costs[1] * 1e6), Wall: time.Second})
	}
	if got, want := gate.ratio(bare, costFigure), (spread{1.2, 1.1, 1.5}); got != want {
		t.Errorf("ratio: got %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{4, 1, 3, 2}), (spread{2.5, 1, 4}); got != want {
		t.Errorf("even number of rounds: got %v, want %v", got, want)
	}
}

func TestGroupsAreChosenByName(t *testing.T) {
	for list, want := range map[string][]string{
		"":                {validGroup, uniqueGroup, badGroup, latencyGroup, floodGroup},
		"valid":           {validGroup},
		"latency,valid":   {validGroup, latencyGroup},
		"flood,flood,bad": {badGroup, floodGroup},
	} {
		groups, err := chosenGroups(list)
		var got []string
		for _, g := range groups {
			got = append(got, g.name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"vaild", "valid,", ","} {
		if got, err := chosenGroups(list); err == nil {
			t.Errorf("%q: got %v, want an error", list, got)
		}
	}
}
