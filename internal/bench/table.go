package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// When a figure comes with a note.
const (
	busyEnough   = 0.97 // of the time the proxy's core had work; less, and the load did not keep up
	othersLittle = 0.03 // of the time that work was not the proxy's; more, and something else ran there
	lateLittle   = 0.25 // of the 99th percentile; more, and the latencies are the load's own as well
)

// tables are what a run has found.
type tables struct {
	rows   []row
	goals  []goal
	beside [2]string // the systems that others are shown in ratio to
	judged bool      // false: the windows were too short to judge
	notes  []string
}

// write prints the tables and what their reader must know.
func (t tables) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	t.writeRates(w)
	t.writeLatencies(w)
	t.writeGoals(w)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, note := range append(t.notes, t.doubts()...) {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	return nil
}

// writeRates prints what systems did at full speed.
func (t tables) writeRates(w io.Writer) {
	rows := slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return r.users })
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\nfull speed, %d connections; a bad signature beside bare is a rejection beside a forwarded request\n", connections)
	fmt.Fprintf(w, "requests carry\tproxy\tCPU µs/request\trequests/s\tcore busy\tCPU : %[1]s\trequests/s : %[1]s\tCPU : %[2]s\trequests/s : %[2]s\n", t.beside[0], t.beside[1])
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t", r.title, r.role)
		if len(r.results) == 0 {
			fmt.Fprintln(w, "not there\t\t\t\t\t\t")
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f %%\t%s\t%s\t%s\t%s\n", r.over(costFigure).in("%.1f"), r.over(rateFigure).in("%.0f"), 100*r.over(busyFigure).median,
			t.to(r, t.beside[0], costFigure), t.to(r, t.beside[0], rateFigure),
			t.to(r, t.beside[1], costFigure), t.to(r, t.beside[1], rateFigure))
	}
}

// writeLatencies prints what users had to wait for.
func (t tables) writeLatencies(w io.Writer) {
	rows := slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return !r.users })
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d requests/s of users, a new genuine token each; milliseconds from when a request was due\n", userRate)
	fmt.Fprintf(w, "load\tproxy\tp50\tp99\trejections/s\tp50 : %[1]s\tp99 : %[1]s\trejections/s : %[1]s\n", t.beside[1])
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t", r.title, r.role)
		if len(r.results) == 0 {
			fmt.Fprintln(w, "not there\t\t\t\t\t")
			continue
		}
		rejections, ratio := "-", "-"
		if r.eager {
			rejections, ratio = r.over(rateFigure).in("%.0f"), t.to(r, t.beside[1], rateFigure)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.over(p50Figure).in("%.2f"), r.over(p99Figure).in("%.2f"), rejections,
			t.to(r, t.beside[1], p50Figure), t.to(r, t.beside[1], p99Figure), ratio)
	}
}

// to is the ratio of a row's figure to that of another system for the same requests, as text. A system that
// has no row of those, since it would forward a bad signature, is represented by that of one genuine token.
func (t tables) to(r row, role string, f figure) string {
	to := t.find(at{r.name, role})
	if to.role == "" {
		to = t.find(at{validGroup, role})
	}
	if r.role == role && r.name == to.name || len(to.results) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.ratio(to, f).median)
}

// writeGoals prints what the project promises and aims at, and what this run has found of it.
func (t tables) writeGoals(w io.Writer) {
	fmt.Fprintln(w, "\nratio\tof\tto\tfound\t")
	for _, g := range t.goals {
		ratio, measured := t.ratio(g)
		found := "-"
		if measured {
			found = ratio.in("%.3f")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g, g.of, g.to, found, t.judgement(g, ratio, measured))
	}
}

// doubts name the rows whose figures are not the proxy's alone.
func (t tables) doubts() []string {
	var idle, shared, late []string
	for _, r := range t.rows {
		if len(r.results) == 0 {
			continue
		}
		where := r.role + ", " + r.title
		if share := r.over(busyFigure).median; r.eager && share < busyEnough {
			idle = append(idle, fmt.Sprintf("%s (%.0f %%)", where, 100*share))
		}
		if share := r.over(othersFigure).median; share > othersLittle {
			shared = append(shared, fmt.Sprintf("%s (%.0f %%)", where, 100*share))
		}
		if after := r.over(lateFigure).median; r.users && after > lateLittle*r.over(p99Figure).median {
			late = append(late, fmt.Sprintf("%s (%.2f ms)", where, after))
		}
	}
	var notes []string
	for _, doubt := range []struct {
		rows []string
		text string
	}{
		{idle, fmt.Sprintf("the proxy's core had work for less than %.0f %% of the time, so that requests/s is a lower bound; the CPU time holds", 100*busyEnough)},
		{shared, fmt.Sprintf("the proxy's core was busy with other things for more than %.0f %% of the time, so that requests/s and latencies are not "+
			"the proxy's alone, and the CPU time suffers a little; repeat on a quiet machine", 100*othersLittle)},
		{late, "the load was late, or all its connections were waiting, for one user's request in a hundred, and the latencies have that in them"},
	} {
		if len(doubt.rows) > 0 {
			notes = append(notes, doubt.text+": "+strings.Join(doubt.rows, "; "))
		}
	}
	return notes
}
