package main

import (
	"fmt"
	"slices"
)

// at names a row: a group and a system.
type at struct{ group, role string }

// goal bounds the ratio of a row's figure to that of another row.
type goal struct {
	figure  figure
	of, to  at
	atMost  float64 // 0: no such bound
	atLeast float64 // 0: no such bound
	aim     bool    // told when missed, but no failure
}

// newGoals are the project's promise, which README repeats, and its aims.
func newGoals() []goal {
	return []goal{
		{figure: costFigure, of: at{validGroup, gateSystem}, to: at{validGroup, bareSystem}, atMost: 1.05},
		{figure: rateFigure, of: at{validGroup, gateSystem}, to: at{validGroup, bareSystem}, atLeast: 1.6, aim: true},
		{figure: costFigure, of: at{validGroup, gateSystem}, to: at{validGroup, haproxySystem}, atMost: 1.25, aim: true},
		{figure: rateFigure, of: at{uniqueGroup, gateSystem}, to: at{validGroup, gateSystem}, atLeast: 0.95},
		{figure: rateFigure, of: at{badGroup, gateSystem}, to: at{validGroup, bareSystem}, atLeast: 2.5},
		{figure: p99Figure, of: at{latencyGroup, gateSystem}, to: at{latencyGroup, haproxySystem}, atMost: 1.5, aim: true},
	}
}

func (a at) String() string { return a.role + " " + a.group }

func (g goal) String() string {
	sign, bound := "≤", g.atMost
	if g.atMost == 0 {
		sign, bound = "≥", g.atLeast
	}
	return fmt.Sprintf("%s %s %.2f", g.figure.name, sign, bound)
}

// ratio is what a run has found for the goal; false: it has not measured both rows.
func (t tables) ratio(g goal) (spread, bool) {
	of, to := t.find(g.of), t.find(g.to)
	if len(of.results) == 0 || len(to.results) == 0 {
		return spread{}, false
	}
	return of.ratio(to, g.figure), true
}

// find is a row by its name; the zero value when the run has none.
func (t tables) find(name at) row {
	i := slices.IndexFunc(t.rows, func(r row) bool { return r.name == name.group && r.role == name.role })
	if i < 0 {
		return row{}
	}
	return t.rows[i]
}

// keeps reports whether a ratio is within the goal's bound.
func (g goal) keeps(ratio float64) bool {
	return (g.atMost == 0 || ratio <= g.atMost) && ratio >= g.atLeast
}

// reached reports whether all goals are reached that are judged and are no mere aims. What could not be measured
// is not missed.
func (t tables) reached() bool {
	return !t.judged || !slices.ContainsFunc(t.goals, func(g goal) bool {
		ratio, measured := t.ratio(g)
		return measured && !g.aim && !g.keeps(ratio.median)
	})
}

// judgement is what is to be said of a goal.
func (t tables) judgement(g goal, ratio spread, measured bool) string {
	switch {
	case !measured:
		return "not measured"
	case !t.judged:
		return "not judged"
	case g.keeps(ratio.median):
		return "reached"
	case g.aim:
		return "missed, an aim"
	}
	return "MISSED"
}
