package issue_test

import (
	"slices"
	"testing"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
)

const device = "h4gubfCFzJu81j/U2BJsdg=="

func TestConfigIsWhatAppsOpen(t *testing.T) {
	a := testAccount(t)
	text, err := issue.Config(a, start)
	if err != nil {
		t.Fatal(err)
	}
	c, err := attestapi.OpenInitialConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Account != "acme" || c.Version != 3 || c.Issued != start.Unix() || c.Device != "" {
		t.Errorf("got %s %d %d %q, want the account's", c.Account, c.Version, c.Issued, c.Device)
	}
	if c.Network.Total > 30_000 || c.Network.Attempt <= 0 || c.Network.TestOnly || !slices.Equal(c.Network.Pins, a.Network.Pins) ||
		!slices.Equal(c.Network.Primary, a.Network.Primary) || !slices.Equal(c.Network.Failover, a.Network.Failover) {
		t.Errorf("got network %+v, want the account's, and at most 30 s for a fetch", c.Network)
	}
	want := map[string]attestapi.Domain{
		"api.example.com":    {Pins: []string{"pin-a", "pin-b"}, Protected: true},
		"demo.example.com":   {Protected: true},
		"ec.example.com":     {Protected: true},
		"open.example.com":   {Pins: []string{"pin-o"}},
		"rsa.example.com":    {Protected: true},
		"secret.example.com": {Protected: true, JWE: true},
		"two.example.com":    {Protected: true},
	}
	for name, api := range want {
		got := c.APIs[name]
		if !slices.Equal(got.Pins, api.Pins) || got.Protected != api.Protected || got.JWE != api.JWE {
			t.Errorf("%s: got %+v, want %+v", name, got, api)
		}
	}
	if len(c.APIs) != len(want) {
		t.Errorf("got %d domains, want %d", len(c.APIs), len(want))
	}
	fingerprint, err := issue.KeyFingerprint(a)
	if got, _ := c.Key.Fingerprint(); err != nil || got != fingerprint {
		t.Errorf("got fingerprint %s, want %s, %v", got, fingerprint, err)
	}
	other, err := issue.Config(testAccount(t), start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attestapi.OpenConfig(other, c); err == nil {
		t.Error("another account's configuration: got accepted as an update, want refused")
	}
	a.Network.Primary = []string{"http://127.0.0.1:8080"}
	text, err = issue.Config(a, start)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = attestapi.OpenConfig(text, c); err != nil || !c.Network.TestOnly {
		t.Errorf("a service without TLS: got %v %v, want a configuration for tests only", c.Network.TestOnly, err)
	}
}

func TestPinModesOfADevice(t *testing.T) {
	a := testAccount(t)
	ordinary, err := issue.Config(a, start)
	if err != nil {
		t.Fatal(err)
	}
	initial, err := attestapi.OpenInitialConfig(ordinary)
	if err != nil {
		t.Fatal(err)
	}
	blocked := []string{attestapi.BlockedPin}
	for _, row := range []struct {
		name             string
		mode             account.PinMode
		api, demo, serve []string
		own              bool
	}{
		{"pin", account.PinNormal, []string{"pin-a", "pin-b"}, nil, []string{"pin-of-service"}, false},
		{"no mode", "", []string{"pin-a", "pin-b"}, nil, []string{"pin-of-service"}, false},
		{"unpin empties the pins of the domains", account.PinOff, nil, nil, []string{"pin-of-service"}, true},
		{"block spoils the pins of domains that have some", account.PinBlock, blocked, nil, []string{"pin-of-service"}, true},
		{"blockAll spoils the service's too", account.PinBlockAll, blocked, nil, blocked, true},
	} {
		text, err := issue.DeviceConfig(a, account.Device{ID: device, PinMode: row.mode}, start)
		if err != nil {
			t.Fatal(err)
		}
		c, err := attestapi.OpenConfig(text, initial)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		if !slices.Equal(c.APIs["api.example.com"].Pins, row.api) || !slices.Equal(c.APIs["demo.example.com"].Pins, row.demo) ||
			!slices.Equal(c.Network.Pins, row.serve) {
			t.Errorf("%s: got %v, %v and %v, want %v, %v and %v", row.name, c.APIs["api.example.com"].Pins, c.APIs["demo.example.com"].Pins,
				c.Network.Pins, row.api, row.demo, row.serve)
		}
		if (c.Device == device) != row.own || (c.Version > initial.Version) != row.own {
			t.Errorf("%s: got device %q and version %d, want one for the device only %v", row.name, c.Device, c.Version, row.own)
		}
		if _, err := attestapi.OpenInitialConfig(text); (err != nil) != row.own {
			t.Errorf("%s: got %v as an initial one, want refused %v", row.name, err, row.own)
		}
	}
	if _, err := issue.DeviceConfig(a, account.Device{ID: device, PinMode: "sometimes"}, start); err == nil {
		t.Error("an unknown mode: got a configuration, want an error")
	}
	if slices.Equal(a.Domains[0].Pins, blocked) {
		t.Error("got the account's own pins changed")
	}
}
