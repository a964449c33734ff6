// Package liveask drives gates under live control by commands in text: JSON goes in, JSON comes out. It is compiled
// into one test and interpreted by Yaegi in another, so that both can play the same scenarios (package suite) and be
// found alike. It is written in the dialect, and does with a gate what a plugin does.
//
// It owns the desks: for each gate its policy, its two clocks, and what it was told of. It judges nothing.
//
// Start reading at [Do].
package liveask

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// command is what Do is asked. Only the members that a command needs are set.
type command struct {
	Do      string                 // see Do
	Gate    string                 // the desk's name
	Policy  map[string]interface{} // a gate policy as a tree
	Now     string                 // the clock, RFC 3339
	Elapsed int64                  // milliseconds on the clock that nobody sets
	Request string                 // as on the wire, with HTTP/1.1 line ends
	Peer    string                 // the client's address
	Slot    int
	Control map[string]interface{} // a control document as a tree
	Count   int
	Cache   bool // keep what was found of tokens, as a plugin does
}

// desk is a gate and what its host owns.
type desk struct {
	gate *gate.Gate

	mu      sync.Mutex // guards the fields below
	policy  map[string]interface{}
	now     time.Time
	elapsed time.Duration
	events  []gate.Event
}

var (
	desksMu sync.Mutex // guards desks
	desks   = map[string]*desk{}
)

func find(name string) *desk {
	desksMu.Lock()
	defer desksMu.Unlock()
	return desks[name]
}

// Do obeys one command and answers with a JSON object. It is safe for concurrent use.
//
//	make        a gate from policy at now; an answer without made says why not
//	policy      another policy, for the next refresh
//	refresh     Gate.Refresh
//	poll        Gate.Poll, until it returns
//	pollnow     Gate.PollNow
//	due         Gate.Due
//	ready       Gate.Ready
//	ask         what becomes of request
//	log         what a log line says of request
//	ask many    the same, count times, from as many addresses: how many were forwarded
//	set control control into slot; get control: what is there
//	clock       set now; pass: move the elapsed clock on
//	status      Gate.Status
//	counters    Gate.Counters and Gate.BindingCounts
//	events      those since the last time
//	show        everything that a host could come to log of the gate and of request
func Do(text string) string {
	var c command
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return answer(map[string]interface{}{"error": err.Error()})
	}
	if c.Do == "make" {
		return answer(open(c))
	}
	d := find(c.Gate)
	if d == nil {
		return answer(map[string]interface{}{"error": "there is no gate " + c.Gate})
	}
	switch c.Do {
	case "ask":
		return answer(d.ask(c.Request, c.Peer))
	case "log":
		return answer(d.logged(c.Request, c.Peer))
	case "ask many":
		return answer(d.askMany(c.Request, c.Count))
	case "status":
		return answer(status(d.gate.Status()))
	case "counters":
		return answer(counts(d.gate))
	case "events":
		return answer(d.told())
	case "show":
		return answer(map[string]interface{}{"shown": d.show(c.Request)})
	}
	return answer(d.change(c))
}

// change obeys the commands that change something, and the short questions.
func (d *desk) change(c command) map[string]interface{} {
	out := map[string]interface{}{}
	switch c.Do {
	case "policy":
		d.mu.Lock()
		d.policy = c.Policy
		d.mu.Unlock()
	case "refresh":
		out["problems"] = texts(d.gate.Refresh())
	case "poll":
		d.gate.Poll(context.Background())
	case "pollnow":
		d.gate.PollNow()
	case "due":
		out["due"] = d.gate.Due()
	case "ready":
		out["ready"] = d.gate.Ready()
	case "set control":
		document, problems := config.DecodeControl(c.Control)
		if !config.Failed(problems) {
			problems = d.gate.SetControl(gate.Slot(c.Slot), document)
		}
		out["problems"] = texts(problems)
	case "get control":
		out["control"] = d.gate.Control(gate.Slot(c.Slot)).Tree()
	case "clock":
		now, err := time.Parse(time.RFC3339Nano, c.Now)
		if err != nil {
			out["error"] = err.Error()
			return out
		}
		d.mu.Lock()
		d.now = now
		d.mu.Unlock()
	case "pass":
		d.mu.Lock()
		d.elapsed += time.Duration(c.Elapsed) * time.Millisecond
		d.mu.Unlock()
	default:
		out["error"] = "there is no command " + c.Do
	}
	return out
}

// open makes a gate and its desk. One of the same name is forgotten, as by a process that starts again.
func open(c command) map[string]interface{} {
	now, err := time.Parse(time.RFC3339Nano, c.Now)
	if err != nil {
		return map[string]interface{}{"error": err.Error()}
	}
	d := &desk{policy: c.Policy, now: now}
	options := gate.Options{Load: d.load, Now: d.clock, Elapsed: d.monotonic, Notify: d.note}
	if c.Cache {
		options.CacheAll = true
		options.NewCache = func() engine.Cache { return &cache{found: map[string]interface{}{}} }
	}
	g, problems := gate.New(options)
	out := map[string]interface{}{"made": g != nil, "problems": texts(problems)}
	if g == nil {
		return out
	}
	d.gate = g
	desksMu.Lock()
	desks[c.Gate] = d
	desksMu.Unlock()
	return out
}

// Decode reads a policy whose values a compiled host has made, of whatever types, and returns its problems and what
// came of it.
func Decode(policy map[string]interface{}) (problems []string, made string) {
	p, found := config.Decode(policy)
	return texts(found), fmt.Sprint(p.Name, p.Token, p.Default.Rollout, p.Default.DenyAnnotations, len(p.Keys), len(p.Routes), p.Respond.Status, p.Control.Interval)
}

func (d *desk) load() (config.Policy, []config.Problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return config.Decode(d.policy)
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) monotonic() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.elapsed
}

func (d *desk) note(e gate.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// texts are problems as lines, warnings marked.
func texts(problems []config.Problem) []string {
	all := []string{}
	for _, p := range problems {
		line := p.String()
		if p.Warning {
			line = "warning: " + line
		}
		all = append(all, line)
	}
	return all
}

func answer(out map[string]interface{}) string {
	raw, err := json.Marshal(out)
	if err != nil {
		return `{"error":"the answer is no JSON"}`
	}
	return string(raw)
}
