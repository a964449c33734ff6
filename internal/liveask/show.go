package liveask

import (
	"bytes"
	"fmt"
	"log/slog"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
)

// object is what becomes a JSON object.
type object = map[string]interface{}

// moment is a time as text; empty: there is none.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// status is a gate's status as an object, without what differs from run to run.
func status(s gate.Status) map[string]interface{} {
	routes := []object{}
	keys := []object{}
	sources := []object{}
	for _, r := range s.Routes {
		routes = append(routes, object{
			"name": r.Name, "exempt": r.Exempt, "mode": string(r.Mode), "rollout": r.Rollout, "own": string(r.Own), "says": r.Says,
		})
	}
	for _, k := range s.Keys {
		keys = append(keys, object{
			"name": k.Name, "kid": k.Kid, "alg": k.Alg, "usable": k.Usable, "not_before": moment(k.NotBefore), "not_after": moment(k.NotAfter),
			"loaded": moment(k.Loaded), "tokens": k.Tokens, "per_minute": k.PerMinute, "last_use": moment(k.LastUse),
		})
	}
	for _, one := range s.Sources {
		good := moment(one.Good)
		if one.Kept {
			good = "kept by an earlier run" // when, a real clock says
		}
		sources = append(sources, object{
			"name": one.Name, "tried": moment(one.Tried), "good": good, "kept": one.Kept, "failure": one.Failure, "tries": one.Tries, "fails": one.Fails,
		})
	}
	return object{
		"name": s.Name, "mode": string(s.Mode), "routes": routes, "keys": keys, "sources": sources, "generation": s.Generation,
		"loaded": moment(s.Loaded), "failing": s.Failing, "problems": texts(s.Problems), "local": s.Local.Tree(), "remote": s.Remote.Tree(),
		"file_problem": s.FileProblem, "keep_failure": s.KeepFailure,
	}
}

// counts are what a gate has counted.
func counts(g *gate.Gate) map[string]interface{} {
	decisions := []string{}
	bound := []string{}
	for _, c := range g.Counters() {
		decisions = append(decisions, fmt.Sprintf("%q %s %s %s %s: %d", c.Route, string(c.Mode), string(c.Verdict), string(c.Reason), string(c.Action), c.N))
	}
	for _, b := range g.BindingCounts() {
		bound = append(bound, fmt.Sprintf("%q: %d passes, %d with pay, %d unbound", b.Route, b.Passes, b.WithPay, b.Unbound))
	}
	return object{"decisions": decisions, "bound": bound}
}

// told is what the gate has told since the last time, a line for each event.
func (d *desk) told() map[string]interface{} {
	d.mu.Lock()
	events := d.events
	d.events = nil
	d.mu.Unlock()
	lines := []string{}
	for _, e := range events {
		line := string(e.Kind) + " " + [...]string{"local", "remote"}[int(e.Slot)]
		if e.Control.Version > 0 {
			line += fmt.Sprintf(" version %d", e.Control.Version)
		}
		if e.Source != "" {
			line += " from " + e.Source
		}
		if e.Text != "" {
			line += ": " + e.Text
		}
		lines = append(lines, line)
	}
	return object{"events": lines}
}

// show is what fmt and slog make of the gate, of all that it gives away and of its answer to a request.
func (d *desk) show(request string) string {
	var out bytes.Buffer
	g := d.gate
	s := g.Status()
	d.mu.Lock()
	events := append([]gate.Event(nil), d.events...)
	d.mu.Unlock()
	problems := g.Refresh()
	control := []config.Control{g.Control(gate.Local), g.Control(gate.Remote)}
	counters, bindings := g.Counters(), g.BindingCounts()
	for _, format := range []string{"%v\n", "%+v\n", "%#v\n"} {
		fmt.Fprintf(&out, format, g)
		fmt.Fprintf(&out, format, s)
		fmt.Fprintf(&out, format, events)
		fmt.Fprintf(&out, format, problems)
		fmt.Fprintf(&out, format, control)
		fmt.Fprintf(&out, format, counters)
		fmt.Fprintf(&out, format, bindings)
		for _, key := range s.Keys {
			fmt.Fprintf(&out, format, key)
		}
		for _, source := range s.Sources {
			fmt.Fprintf(&out, format, source)
		}
	}
	r, err := received(request, "")
	if err != nil {
		return err.Error()
	}
	a := g.Ask(r)
	for _, format := range []string{"%v\n", "%+v\n", "%#v\n"} {
		fmt.Fprintf(&out, format, a)
		fmt.Fprintf(&out, format, a.Decision)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.LogAttrs(r.Context(), slog.LevelInfo, "request", a.Attrs(r)...)
	log.Info("state", "status", s, "events", events, "control", control)
	return out.String()
}
