package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// What the proxy's core must have been for a rate to be the proxy's own, in parts of the time.
const (
	busyEnough   = 0.97 // with work; less, and the load did not keep up
	othersLittle = 0.03 // with work that is not the proxy's process; more, and something else ran there
)

// spread is a figure over all rounds.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// figure is one number of a window.
type figure func(r result) float64

// cost is the proxy's CPU time for a request in microseconds, rate its requests a second, busy the part of
// the time that its core had work, others the part that was not for the proxy's process.
func cost(r result) float64 { return float64(r.CPU) / float64(time.Microsecond) / float64(r.Requests) }
func rate(r result) float64 { return float64(r.Requests) / r.Wall.Seconds() }
func busy(r result) float64 { return 1 - float64(r.Idle)/float64(r.Wall) }
func others(r result) float64 {
	return max(busy(r)-float64(r.CPU)/float64(r.Wall), 0)
}

// over is a figure's spread over a row's rounds.
func (r row) over(f figure) spread {
	values := make([]float64, 0, len(r.results))
	for _, result := range r.results {
		values = append(values, f(result))
	}
	return spreadOf(values)
}

// ratio is the spread of a figure's ratio to that of another row, round by round: what disturbs a round
// disturbs both.
func (r row) ratio(to row, f figure) spread {
	values := make([]float64, 0, len(r.results))
	for i, result := range r.results {
		values = append(values, f(result)/f(to.results[i]))
	}
	return spreadOf(values)
}

// goal bounds one of a row's ratios. The zero value is no goal.
type goal struct {
	of              figureName
	atMost, atLeast float64 // 0: no such bound
}

type figureName string

const (
	costRatio figureName = "CPU"
	rateRatio figureName = "requests/s"
)

func (g goal) String() string {
	switch {
	case g.atMost != 0:
		return fmt.Sprintf("%s ≤ %.2f", g.of, g.atMost)
	case g.atLeast != 0:
		return fmt.Sprintf("%s ≥ %.2f", g.of, g.atLeast)
	}
	return "-"
}

// table is what a run has found.
type table struct {
	rows   []row
	judged bool // false: the windows were too short to judge
}

// verdict says whether a row reaches its goal; a row without one does.
func (t table) verdict(r row) bool {
	ratio := r.ratio(t.rows[r.beside], cost).median
	if r.goal.of == rateRatio {
		ratio = r.ratio(t.rows[r.beside], rate).median
	}
	return (r.goal.atMost == 0 || ratio <= r.goal.atMost) && ratio >= r.goal.atLeast
}

// reached reports whether all goals are reached, as far as they are judged.
func (t table) reached() bool {
	return !t.judged || !slices.ContainsFunc(t.rows, func(r row) bool { return !t.verdict(r) })
}

// write prints the table and what its reader must know.
func (t table) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "proxy\trequests carry\tCPU µs/request\trequests/s\tcore busy\tcompared with\tCPU\trequests/s\tgoal")
	for i, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f %%\t", r.proxy, r.name, in(r.over(cost), "%.1f"), in(r.over(rate), "%.0f"), 100*r.over(busy).median)
		if r.beside == i {
			fmt.Fprintln(w, "-\t-\t-\t-")
			continue
		}
		beside := t.rows[r.beside]
		fmt.Fprintf(w, "%s, %s\t%s\t%s\t%s\n", beside.proxy, beside.name,
			in(r.ratio(beside, cost), "%.3f"), in(r.ratio(beside, rate), "%.3f"), t.judgement(r))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range t.rows {
		if share := r.over(busy).median; share < busyEnough {
			fmt.Fprintf(out, "note: %s, %s: its core had work for only %.0f %% of the time, want %.0f %%: "+
				"requests/s is a lower bound; the CPU time holds\n", r.proxy, r.name, 100*share, 100*busyEnough)
		}
		if share := r.over(others).median; share > othersLittle {
			fmt.Fprintf(out, "note: %s, %s: its core was busy with other things for %.0f %% of the time, want at most %.0f %%: "+
				"requests/s suffers, the CPU time a little; repeat on a quiet machine\n", r.proxy, r.name, 100*share, 100*othersLittle)
		}
	}
	return nil
}

// judgement is a row's goal and whether it is reached.
func (t table) judgement(r row) string {
	text := r.goal.String()
	switch {
	case r.goal == goal{}:
	case !t.judged:
		text += ", not judged"
	case t.verdict(r):
		text += ", reached"
	default:
		text += ", MISSED"
	}
	return text
}

// in writes a spread with a format for each of its numbers.
func in(s spread, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.low, s.high)
}
