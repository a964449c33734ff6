package caddymodule

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/internal/porttest"
)

// recorder is a subscriber of Caddy's events.
type recorder struct{}

var recorded = make(chan caddy.Event, 10)

func init() { caddy.RegisterModule(recorder{}) }

func (recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.approov_test", New: func() caddy.Module { return recorder{} }}
}

func (recorder) Handle(_ context.Context, e caddy.Event) error {
	recorded <- e
	return nil
}

func TestCaddysEvents(t *testing.T) {
	address := porttest.Free(t)
	t.Setenv("APPROOV_SECRET", secretText)
	t.Cleanup(stopAndForget)
	c := quiet(address, tree{"handle": []any{tree{"handler": "approov", "policy": tree{
		"name": "telling", "keys": []any{tree{"name": "account", "alg": "HS256", "secret": "{env.APPROOV_SECRET}"}}}}}})
	c["apps"].(tree)["events"] = tree{"subscriptions": []any{tree{
		"events": []any{"approov_control_set", "approov_control_refused"}, "handlers": []any{tree{"handler": "approov_test"}}}}}
	for generation := range int64(2) { // the second with another events app
		if err := load(c); err != nil {
			t.Fatal(err)
		}
		c["apps"].(tree)["http"].(tree)["servers"].(tree)["broken"] = tree{"listen": []any{"no address"}, "routes": []any{}}
		if err := load(c); err == nil {
			t.Fatal("a broken configuration: got no error")
		}
		delete(c["apps"].(tree)["http"].(tree)["servers"].(tree), "broken")
		version := 2*generation + 1
		kin := &stationOf("telling").kin
		kin.SetControl(gate.Local, config.Control{Version: version, Override: config.Override{Mode: config.Enforce}, Reason: "INC-42"})
		kin.SetControl(gate.Local, config.Control{Version: version + 1, Override: config.Override{Mode: config.Bypass}})
		for _, want := range []string{"approov_control_set", "approov_control_refused"} {
			e := <-recorded
			if e.Name() != want || e.Data["gate"] != "telling" || e.Data["slot"] != "local" {
				t.Errorf("got event %s with %v, want %s of gate telling", e.Name(), e.Data, want)
			}
		}
	}
}
