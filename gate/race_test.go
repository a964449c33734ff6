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

// TestAsksDuringChangesAreAnsweredByOneStateOrAnother runs everything at once. Whatever the moment, a
// genuine request passes, a forged one is never taken for genuine, and no request is lost from the counts.
func TestAsksDuringChangesAreAnsweredByOneStateOrAnother(t *testing.T) {
	const askers, asks, changes = 4, 300, 100
	d := newDesk(tree{"routes": []any{tree{"name": "pay", "paths": "/pay"}}})
	g := d.open(t)
	valid, forged := sign(t, "account", claims()), sign(t, "nobody", claims())
	var running sync.WaitGroup
	for range askers {
		running.Go(func() {
			for i := range asks {
				compact := valid
				if i%2 == 1 {
					compact = forged
				}
				r := incoming("GET", "/pay", "Approov-Token", compact, "X-Approov-Verdict", "forged")
				a := g.Ask(r)
				if compact == valid && a.Action != engine.Forward || compact == forged && a.Verdict == engine.Pass {
					t.Errorf("got %s %s, want the genuine forwarded and the forged never passed", a.Verdict, a.Action)
				}
				if a.Action == engine.Forward {
					a.Apply(r)
				}
				if strings.Contains(r.Header.Get("X-Approov-Verdict"), "forged") && a.Action == engine.Forward {
					t.Error("got the client's verdict, want it deleted")
				}
				a.Attrs(r)
			}
		})
	}
	running.Go(func() {
		for i := range changes {
			d.change(func(d *desk) {
				d.policy["deny_annotations"] = []any{strings.Repeat("x", 1+i%7)}
				if i%5 == 0 {
					d.policy["unknown"] = true // a document that is never taken
				} else {
					delete(d.policy, "unknown")
				}
			})
			g.Refresh()
		}
	})
	running.Go(func() {
		modes := []config.Mode{config.Log, config.Enforce, config.Bypass, ""}
		for i := range changes {
			g.SetControl(gate.Local, config.Control{Version: int64(i + 1), Override: config.Override{Mode: modes[i%len(modes)]}, Until: noon.Add(time.Hour)})
			g.Status()
			g.Counters()
			g.Ready()
		}
	})
	running.Wait()
	var total int64
	for _, count := range g.Counters() {
		total += count.N
	}
	if total != askers*asks {
		t.Errorf("got %d decisions counted, want %d", total, askers*asks)
	}
}
