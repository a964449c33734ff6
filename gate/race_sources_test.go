package gate_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

const rounds = 60 // of everything at once

// TestEverythingAtOnce asks, refreshes, polls, sets control and looks at the status, while documents, policy and
// clock change. Whatever the moment, a genuine token is passed or not looked at, and a forged one never passed.
func TestEverythingAtOnce(t *testing.T) {
	f := keptFleet(t)
	f.policy["control"].(tree)["file"] = f.controlFile()
	f.policy["keys"] = append(f.policy["keys"].([]any), tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT"})
	f.policy["routes"] = controlled["routes"]
	f.start(t)
	stop := make(chan struct{})
	var asking, changing sync.WaitGroup
	for range 2 {
		asking.Go(func() { f.askUntil(t, stop) })
	}
	for _, change := range f.changes(t) {
		changing.Go(func() {
			for i := range rounds {
				change(i)
			}
		})
	}
	changing.Wait()
	close(stop)
	asking.Wait()
	f.wantSettled(t)
}

// askUntil asks with genuine and with forged tokens.
func (f *fleet) askUntil(t *testing.T, stop chan struct{}) {
	c := claims()
	c["exp"] = noon.Unix() + 86400
	valid, forged := sign(t, "account", c), sign(t, "nobody", c)
	for {
		select {
		case <-stop:
			return
		default:
		}
		if a := f.g.Ask(incoming("GET", "/pay", "Approov-Token", valid)); a.Action != engine.Forward {
			t.Errorf("a genuine token: got %s for %s, want forward", a.Action, a.Reason)
		}
		if a := f.g.Ask(incoming("GET", "/", "Approov-Token", forged)); a.Verdict == engine.Pass {
			t.Errorf("a forged token: got %s, want it never", a.Verdict)
		}
	}
}

// changes are what goes on at once, each in its own rounds.
func (f *fleet) changes(t *testing.T) []func(i int) {
	members := []any{member("one", nil), member("two", nil), member("three", nil)}
	return []func(i int){
		func(i int) { f.plane.put("/ring", f.plane.ring(t, i+1, members[:1+i%3]...)) },
		func(i int) {
			f.plane.put("/control", f.plane.control(t, i+1, tree{"mode": []any{"log", "bypass", "enforce"}[i%3]}))
		},
		func(i int) {
			f.write(t, `{"version": 1}`, 0o600)
			f.g.SetControl(gate.Local, config.Control{Version: int64(i + 2), Override: config.Override{Mode: config.Log}, Until: noon.Add(time.Hour)})
		},
		func(i int) {
			f.change(func(d *desk) {
				d.policy["deny_issuers"] = strings.Repeat("x", 1+i%5)
				d.policy["control"] = with2(d.policy["control"].(tree), tree{
					"interval": []any{"1s", "5s", "1h"}[i%3], "seal": []any{"env:SEAL", ""}[i%2], "url": f.plane.URL + []string{"/control", "/elsewhere"}[i/7%2],
				})
			})
			f.g.Refresh()
		},
		func(int) { f.poll() },
		func(int) { f.poll() },
		func(int) {
			f.pass(500 * time.Millisecond)
			f.look()
			if status := f.g.Status(); len(status.Routes) != 3 || len(status.Sources) != 2 {
				t.Errorf("got status %+v, want three routes and two sources", status)
			}
			f.g.Counters()
			f.g.BindingCounts()
			f.g.Ready()
			f.g.Close()
		},
	}
}

// wantSettled puts a last word into each place, which must be in force then, and after a restart without sources.
func (f *fleet) wantSettled(t *testing.T) {
	t.Helper()
	f.plane.put("/ring", f.plane.ring(t, rounds+1, member("last", nil)))
	f.change(func(d *desk) { d.policy["control"].(tree)["seal"] = "env:SEAL" })
	f.g.SetControl(gate.Local, config.Control{Version: rounds + 10, Override: config.Override{Mode: config.Enforce}})
	f.g.Refresh()
	f.poll()
	f.wantReason(t, "after all", "last", engine.OK)
	if s := f.source(t, "keys[0].ring"); s.Failure != "" || f.g.Status().KeepFailure != "" {
		t.Errorf("after all: got %+v and keep failure %q, want none", s, f.g.Status().KeepFailure)
	}
	f.plane.down()
	f.start(t)
	f.wantReason(t, "after a restart", "last", engine.OK)
}
