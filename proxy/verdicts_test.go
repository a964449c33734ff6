package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/internal/conformance"
)

// TestLogModeDecidesAsEnforceModeDoes sends the corpus through the proxy twice, with every mode of its policies set
// to log and to enforce. The verdicts and their reasons must be the same, one by one; only what is done may differ.
func TestLogModeDecidesAsEnforceModeDoes(t *testing.T) {
	cases, err := conformance.Load("../testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	enforced, logged := decisions(t, cases, "enforce"), decisions(t, cases, "log")
	decided := 0
	actions := map[string]int{}
	for i, c := range cases {
		if len(enforced[i]) != len(logged[i]) {
			t.Errorf("%s (%s): got %d decisions in mode log, want %d as in mode enforce", c.File, c.Name, len(logged[i]), len(enforced[i]))
			continue
		}
		for j, want := range enforced[i] {
			got := logged[i][j]
			decided++
			actions[want.Verdict+" is "+want.Action+" or "+got.Action]++
			if got.Verdict != want.Verdict || got.Reason != want.Reason {
				t.Errorf("%s (%s): got %s for %s in mode log, want %s for %s as in mode enforce", c.File, c.Name, got.Verdict, got.Reason, want.Verdict, want.Reason)
			}
			if got.Action != "forward" && got.Reason != "target_refused" {
				t.Errorf("%s (%s): got %s in mode log, want forward", c.File, c.Name, got.Action)
			}
		}
	}
	t.Logf("%d decisions: %v", decided, actions)
	if decided < 250 || actions["fail is reject or forward"] < 50 || actions["pass is forward or forward"] < 50 {
		t.Errorf("decisions: got %d, %v, want 250 at least, and many of each kind", decided, actions)
	}
}

// decision is what a log line tells of one.
type decision struct{ Verdict, Reason, Action string }

// decisions are those that a proxy takes on each of the cases, in a mode.
func decisions(t *testing.T, cases []conformance.Case, mode string) [][]decision {
	t.Helper()
	changed := slices.Clone(cases)
	number := map[string]int{}
	for i := range changed {
		changed[i].Policy = withMode(t, cases[i].Policy, mode)
		number[changed[i].File] = i
	}
	var book *logBook
	start := func(h conformance.Host) (string, func(), error) {
		var policy map[string]any
		if err := json.Unmarshal([]byte(h.Policy), &policy); err != nil {
			return "", nil, err
		}
		book = newLogBook()
		p := &Proxy{Now: h.Now, Tree: map[string]any{"listen": "127.0.0.1:0", "upstream": h.Upstream, "policy": policy,
			"log": map[string]any{"level": "debug", "sample": 0}, "limits": map[string]any{"drain_delay": "0s"}}}
		if problems := p.Load(); config.Failed(problems) {
			return "", nil, errors.New(fmt.Sprint(problems))
		}
		p.Log = NewLogger(book, p.config.Log)
		return serve(p)
	}
	all := make([][]decision, len(cases))
	told := 0 // of the lines of book
	var of *logBook
	conformance.Wire{Start: start}.Run(changed, func(r conformance.Result) {
		if book == nil {
			return // the first policy was refused
		}
		if of != book {
			of, told = book, 0
		}
		lines := book.lines(`"verdict":`)
		for _, line := range lines[told:] {
			var d decision
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			all[number[r.Case.File]] = append(all[number[r.Case.File]], d)
		}
		told = len(lines)
	})
	return all
}

// withMode is a policy in which every mode but bypass is another one.
func withMode(t *testing.T, policy, mode string) string {
	t.Helper()
	var tree map[string]any
	if json.Unmarshal([]byte(policy), &tree) != nil {
		return policy // a case about what is no policy
	}
	set := func(section map[string]any) {
		if section["mode"] != "bypass" {
			section["mode"] = mode
		}
	}
	set(tree)
	routes, _ := tree["routes"].([]any)
	for _, route := range routes {
		if section, ok := route.(map[string]any); ok && section["mode"] != nil {
			set(section)
		}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// serve runs a loaded proxy until stop is called.
func serve(p *Proxy) (address string, stop func(), err error) {
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	p.Ready = func(a Addresses) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- p.Run(ctx) }() // ended by stop
	select {
	case err := <-ended:
		cancel()
		return "", nil, err
	case a := <-ready:
		return a.Listen[0].String(), func() { cancel(); <-ended }, nil
	}
}
