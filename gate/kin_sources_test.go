package gate_test

import (
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// startKin makes the next gate of a fleet, of the same kin, without polling.
func (f *fleet) startKin(t *testing.T, kin *gate.Kin) {
	t.Helper()
	o := f.options()
	o.Kin = kin
	g, problems := gate.New(o)
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	f.g = g
}

// A server that is given a new configuration while the control plane is down must refuse no token that it
// accepted before.
func TestANewGateHasTheKeysOfItsKin(t *testing.T) {
	f := ringFleet(t, nil)
	kin := &gate.Kin{}
	f.plane.put("/ring", f.plane.ring(t, 5, member("one", nil)))
	f.plane.put("/control", f.plane.control(t, 1, nil))
	f.startKin(t, kin)
	if !f.g.Awaits() {
		t.Error("before anything was fetched: got nothing awaited, want the ring")
	}
	f.poll()
	f.wantReason(t, "fetched", "one", engine.OK)
	f.plane.put("/ring", "down")
	before := f.g
	f.change(func(d *desk) { d.policy["deny_issuers"] = "denied" })
	f.startKin(t, kin)
	f.wantReason(t, "another policy, the source down", "one", engine.OK)
	f.wantReason(t, "another policy, the source down", "two", engine.SignatureInvalid)
	if f.g.Awaits() {
		t.Error("a gate that has the keys of its kin: got something awaited, want nothing to wait for")
	}
	before.Close()
	f.plane.put("/ring", f.plane.ring(t, 4, member("two", nil)))
	f.poll()
	f.wantReason(t, "an older ring", "one", engine.OK)
	f.plane.put("/ring", f.plane.ring(t, 6, member("two", nil)))
	f.poll()
	f.wantReason(t, "a newer ring", "two", engine.OK)

	for _, row := range []struct {
		name   string
		change func(d *desk)
	}{
		{"another URL", func(d *desk) { d.policy["keys"] = f.fill([]any{tree{"name": "fleet", "ring": "{plane}/other"}}) }},
		{"another name of the gate", func(d *desk) { d.policy["name"] = "other" }},
		{"other keys of the control plane", func(d *desk) { _, d.secrets["env:CONTROL_KEY"] = signingKey(t) }},
	} {
		f.change(row.change)
		f.startKin(t, kin)
		f.wantReason(t, row.name, "two", engine.KeyUnknown)
	}
}
