package issue_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

func TestControlIsWhatGatesOpen(t *testing.T) {
	a := testAccount(t)
	ring := controlRing(t, a)
	a.Controls = []account.Control{
		{Gate: "other", Version: 9, Mode: "log", Until: start.Add(time.Hour)},
		{Gate: gateName, Version: 4, Mode: "bypass", Routes: map[string]string{"transfers": "enforce"}, Until: start.Add(15 * time.Minute), Reason: "an incident", By: "A N Other"},
		{Gate: "back", Version: 5},
	}
	envelope, err := issue.Control(a, gateName, start)
	if err != nil {
		t.Fatal(err)
	}
	c, err := gate.OpenControl(envelope, ring, gateName, start)
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != config.Bypass || c.Routes["transfers"].Mode != config.Enforce || c.Version != 5 || !c.Until.Equal(start.Add(15*time.Minute)) || c.Reason != "an incident" || c.By != "A N Other" {
		t.Errorf("got %+v, want what the account says", c)
	}
	if _, err := gate.OpenControl(envelope, ring, "other", start); err == nil {
		t.Error("another gate: got the document opened, want refused")
	}
	for name, version := range map[string]int64{"never-switched": 1, "back": 6} {
		envelope, err := issue.Control(a, name, start)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := gate.OpenControl(envelope, ring, name, start); err != nil || !c.Empty() || c.Version != version {
			t.Errorf("%s: got %+v, %v, want no override and version %d", name, c, err, version)
		}
	}
	if envelope, err = issue.Control(a, gateName, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if c, err := gate.OpenControl(envelope, ring, gateName, start.Add(time.Hour)); err != nil || !c.At(start.Add(time.Hour)).Empty() {
		t.Errorf("an override that has ended: got %+v, %v, want one that says so", c, err)
	}
}

func TestKeysAreWhatGatesOpen(t *testing.T) {
	a := testAccount(t)
	signers := controlRing(t, a)
	envelope, err := issue.Keys(a, gateName, start)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := gate.OpenRing(envelope, signers, gateName, start)
	if err != nil {
		t.Fatal(err)
	}
	if ring.Version != 7 || len(ring.Keys) != 4 {
		t.Errorf("got version %d and %d keys, want 7 and the secret, the one before, and two public keys", ring.Version, len(ring.Keys))
	}
	if _, err := gate.OpenRing(envelope, signers, "other", start); err == nil {
		t.Error("another gate: got the ring opened, want refused")
	}
	for _, hidden := range []byte{'D', 'y'} {
		for _, k := range ring.Keys {
			if strings.Contains(k.Secret, b64(secret(hidden).Bytes())) {
				t.Errorf("got secret %c in the ring, want neither the demonstration's nor the decoy", hidden)
			}
		}
	}
	if envelope, err = issue.Keys(a, gateName, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if ring, err = gate.OpenRing(envelope, signers, gateName, start.Add(time.Hour)); err != nil || len(ring.Keys) != 3 {
		t.Errorf("when the earlier secret is over: got %d keys, %v, want 3", len(ring.Keys), err)
	}
}

// A gate that polls the two documents accepts tokens of every format and rejects every decoy.
func TestAGateAcceptsTheTokensByTheRing(t *testing.T) {
	a := testAccount(t)
	signers := controlRing(t, a)
	envelope, err := issue.Keys(a, gateName, start)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := gate.OpenRing(envelope, signers, gateName, start)
	if err != nil {
		t.Fatal(err)
	}
	judge := engineOf(t, opened)
	early, err := mint.Sign("HS256", "", secret('o').Bytes(), claims)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(text string) engine.Decision {
		return judge.Check(engine.Request{Method: "GET", Scheme: "https", Host: "api.example.com", Target: "/", Header: http.Header{"Approov-Token": {text}}})
	}
	if got := ask(early); got.Verdict != engine.Pass {
		t.Errorf("the earlier secret: got %s, want pass", got.Reason)
	}
	for _, d := range a.Domains {
		if d.Format == account.None {
			continue
		}
		good, err := issue.Mint(a, d, claims, true)
		if err != nil {
			t.Fatal(err)
		}
		bad, err := issue.Mint(a, d, claims, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(good); (got.Verdict == engine.Pass) != (d.Name != a.DemoDomain) {
			t.Errorf("%s: got %s, want pass unless it is the demonstration domain", d.Name, got.Reason)
		}
		if got := ask(bad); got.Verdict == engine.Pass {
			t.Errorf("%s: got a decoy that passes", d.Name)
		}
	}
}

// engineOf judges tokens of any format by the keys of a ring.
func engineOf(t testing.TB, ring config.Ring) *engine.Engine {
	t.Helper()
	policy, problems := config.Decode(map[string]any{
		"keys":   []any{map[string]any{"name": "any", "alg": "HS256", "secret": "env:UNUSED", "jwe": true}},
		"routes": []any{map[string]any{"name": "all", "paths": []any{"/**"}, "format": "any"}},
	})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	policy.Keys = ring.Keys
	var keys []jose.Key
	for _, k := range ring.Keys {
		var key jose.Key
		var err error
		if k.PublicKey != "" {
			key, err = jose.NewPublic(k.Name, k.Alg, k.Kid, []byte(strings.TrimPrefix(k.PublicKey, "inline:")))
		} else {
			var raw []byte
			if raw, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(k.Secret, "inline:")); err == nil {
				key, err = jose.NewHS256(k.Name, k.Kid, raw, k.JWE)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.Window(k.NotBefore, k.NotAfter))
	}
	judge, problems := engine.Compile(policy, keys, engine.Options{Now: func() time.Time { return start }})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	return judge
}

func b64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
