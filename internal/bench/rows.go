package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// system is a proxy under test.
type system struct {
	role   string
	checks bool         // tokens; false: it forwards all
	had    string       // how to get it; empty: it is this program
	there  func() error // why not, if it is not; nil: it always is
}

const (
	bareSystem    = "bare"
	gateSystem    = "gate"
	haproxySystem = "haproxy"
	nginxSystem   = "nginx"
	njsSystem     = "njs"
)

// newSystems are the proxies under test. The gate and the bare one stand beside each other.
func newSystems() []system {
	program := func(name string) func() error {
		return func() error { _, err := lookProgram(name); return err }
	}
	return []system{
		{role: bareSystem},
		{role: gateSystem, checks: true},
		{role: haproxySystem, checks: true, had: "Debian has it in haproxy", there: program("haproxy")},
		{role: nginxSystem, had: "Debian has it in nginx-light", there: program("nginx")},
		{role: njsSystem, checks: true, had: "Debian has it in libnginx-mod-http-js", there: njsThere},
	}
}

// missing says why a system is not there; nil: it is.
func (s system) missing() error {
	if s.there == nil {
		return nil
	}
	return s.there()
}

// group is rows of one kind of load, through one system each.
type group struct {
	name  string // for -only
	title string
	eager bool // clients that want as much as they can get, of
	carry cargo
	each  bool // a new one each; false: the same
	users bool // clients at a fixed rate
}

const (
	validGroup   = "valid"
	uniqueGroup  = "unique"
	badGroup     = "bad"
	latencyGroup = "latency"
	floodGroup   = "flood"
)

// userRate is the users' requests a second: a rate that no system under test finds hard.
const userRate = 2000

func newGroups() []group {
	return []group{
		{name: validGroup, title: "one genuine token", eager: true},
		{name: uniqueGroup, title: "a new genuine token each", eager: true, each: true},
		{name: badGroup, title: "a new bad signature each", eager: true, carry: badSign, each: true},
		{name: latencyGroup, title: "users alone", users: true},
		{name: floodGroup, title: "users in a flood of new bad signatures", eager: true, carry: badSign, each: true, users: true},
	}
}

// chosenGroups are the groups that a list such as valid,latency names; an empty one names all.
func chosenGroups(list string) ([]group, error) {
	all := newGroups()
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.ContainsFunc(all, func(g group) bool { return g.name == name }) {
			return nil, fmt.Errorf("no group of rows is called %q", name)
		}
	}
	return slices.DeleteFunc(all, func(g group) bool { return !slices.Contains(names, g.name) }), nil
}

// row is a line of a table: one kind of load through one system.
type row struct {
	group
	system
	absent  error    // why the system is not there
	results []result // one for each round
}

// newRows are the rows of these groups. A proxy that checks no tokens would forward a bad signature as it does
// a genuine token, so it has no rows of those.
func newRows(groups []group, systems []system) []row {
	var rows []row
	for _, g := range groups {
		for _, s := range systems {
			if g.carry == genuine || s.checks {
				rows = append(rows, row{group: g, system: s, absent: s.missing()})
			}
		}
	}
	return rows
}

// order is what the load is told to do for a row.
func (r row) order(length time.Duration, sleep bool) window {
	w := window{Sleep: sleep, Ramp: ramp, Length: length}
	if r.eager {
		w.Eager, w.Carry, w.Unique, w.Want = connections, r.carry, r.each, r.carry.status()
	}
	if r.users {
		w.Rate = userRate
	}
	return w
}

// trials are the questions that every system has to answer before it is measured.
func (s system) trials() []window {
	var all []window
	for _, what := range []cargo{genuine, noToken, badSign, expired, wrongPay} {
		want := what.status()
		if !s.checks {
			want = genuine.status()
		}
		all = append(all, window{Eager: 1, Carry: what, Unique: true, Want: want, Length: trialLength})
	}
	return all
}

// trialLength is how long one client asks a question, again and again.
const trialLength = 20 * time.Millisecond

// absentNotes says once of each system that is not there how to get it.
func absentNotes(systems []system) []string {
	var notes []string
	for _, s := range systems {
		if err := s.missing(); err != nil {
			notes = append(notes, fmt.Sprintf("%s is not there (%v); %s", s.role, err, s.had))
		}
	}
	return notes
}
