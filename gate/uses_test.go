package gate_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/gate"
)

// key is the status of a key.
func (f *fleet) key(t testing.TB, name string) gate.KeyStatus {
	t.Helper()
	for _, key := range f.g.Status().Keys {
		if key.Name == name {
			return key
		}
	}
	t.Fatalf("got keys %+v, want %s among them", f.g.Status().Keys, name)
	return gate.KeyStatus{}
}

// look is what a host does every half second.
func (f *fleet) look() {
	if f.g.Due() {
		f.g.Poll(context.Background())
	}
}

func TestTheUseOfKeys(t *testing.T) {
	f := newFleet(t, tree{"keys": []any{
		tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT"},
		tree{"name": "next", "alg": "HS256", "secret": "env:NEXT"},
	}, "deny_issuers": "denied"})
	f.secrets["env:NEXT"] = encoded("next")
	f.start(t)
	if k := f.key(t, "next"); k.Tokens != 0 || k.PerMinute != 0 || !k.LastUse.IsZero() {
		t.Errorf("never used: got %+v, want nothing", k)
	}
	for second := range 120 { // two minutes with one token of each key a second, next only in the first
		f.look()
		f.wantReason(t, "use", "account", engine.OK)
		if second < 60 {
			f.wantReason(t, "use", "next", engine.OK)
		}
		f.pass(time.Second)
	}
	f.look()
	now := noon.Add(2 * time.Minute)
	k := f.key(t, "account")
	if k.Tokens != 120 || k.PerMinute < 55 || k.PerMinute > 65 || now.Sub(k.LastUse) > 5*time.Second || k.LastUse.After(now) {
		t.Errorf("in use: got %+v, want 120 tokens, about 60 a minute, the last just now", k)
	}
	k = f.key(t, "next")
	if k.Tokens != 60 || k.PerMinute > 5 || now.Sub(k.LastUse) < 55*time.Second || now.Sub(k.LastUse) > 60*time.Second {
		t.Errorf("out of use: got %+v, want 60 tokens, about none in the last minute, the last a minute ago", k)
	}
	f.wantReason(t, "use", "next", engine.OK)
	if k := f.key(t, "next"); k.Tokens != 61 || !k.LastUse.Equal(now) {
		t.Errorf("used again, before anything has looked: got %+v, want now", k)
	}
}

// A key's use is that of tokens it has opened: not of forged or expired ones, but of all that fail later.
func TestWhatCountsAsTheUseOfAKey(t *testing.T) {
	f := newFleet(t, tree{"deny_issuers": "denied", "binding": tree{"from": "header:Authorization"}})
	f.start(t)
	denied, expired, unbound := claims(), claims(), with(claims(), "pay")
	denied["iss"], expired["exp"] = "denied", noon.Unix()
	for _, row := range []struct {
		name, key string
		claims    tree
		reason    engine.Reason
		used      int64
	}{
		{"genuine", "account", claims(), engine.OK, 1},
		{"denied", "account", denied, engine.ClaimDenied, 1},
		{"unbound", "account", unbound, engine.PayMissing, 1},
		{"expired", "account", expired, engine.TokenExpired, 0},
		{"forged", "nobody", claims(), engine.SignatureInvalid, 0},
	} {
		before := f.key(t, "account").Tokens
		a := f.g.Ask(incoming("GET", "/", "Approov-Token", sign(t, row.key, row.claims), "Authorization", bearer))
		if used := f.key(t, "account").Tokens - before; a.Reason != row.reason || used != row.used {
			t.Errorf("%s: got %s and %d uses, want %s and %d", row.name, a.Reason, used, row.reason, row.used)
		}
	}
}

// Counting goes on when a policy or a ring changes, for keys of the same name.
func TestTheUseOfAKeyOutlivesChanges(t *testing.T) {
	f := ringFleet(t, nil)
	f.startRing(t, 1, member("one", nil))
	f.wantReason(t, "use", "one", engine.OK)
	f.plane.put("/ring", f.plane.ring(t, 2, member("one", nil), member("two", nil)))
	f.poll()
	f.wantReason(t, "use", "one", engine.OK)
	f.change(func(d *desk) { d.policy["deny_issuers"] = "x" })
	f.g.Refresh()
	f.wantReason(t, "use", "one", engine.OK)
	if k := f.key(t, "fleet/one"); k.Tokens != 3 {
		t.Errorf("got %+v, want 3 tokens", k)
	}
	if k := f.key(t, "fleet/two"); k.Tokens != 0 {
		t.Errorf("got %+v, want none", k)
	}
}

// TestEverythingAtOnce asks, refreshes, polls, sets control and looks at the status, while documents, policy and
// clock change. Whatever the moment, a genuine token is passed or not looked at, and a forged one never passed.
func TestEverythingAtOnce(t *testing.T) {
	const rounds = 60
	f := keptFleet(t)
	f.policy["control"].(tree)["file"] = f.controlFile()
	f.policy["keys"] = append(f.policy["keys"].([]any), tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT"})
	f.policy["routes"] = controlled["routes"]
	f.start(t)
	c := claims()
	c["exp"] = noon.Unix() + 86400
	valid, forged := sign(t, "account", c), sign(t, "nobody", c)
	stop := make(chan struct{})
	var asking, changing sync.WaitGroup
	for range 2 {
		asking.Go(func() {
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
		})
	}
	each := func(do func(i int)) {
		changing.Go(func() {
			for i := range rounds {
				do(i)
			}
		})
	}
	members := []any{member("one", nil), member("two", nil), member("three", nil)}
	each(func(i int) { f.plane.put("/ring", f.plane.ring(t, i+1, members[:1+i%3]...)) })
	each(func(i int) {
		f.plane.put("/control", f.plane.control(t, i+1, tree{"mode": []any{"log", "bypass", "enforce"}[i%3]}))
	})
	each(func(i int) {
		f.write(t, `{"version": 1}`, 0o600)
		f.g.SetControl(gate.Local, config.Control{Version: int64(i + 2), Override: config.Override{Mode: config.Log}, Until: noon.Add(time.Hour)})
	})
	each(func(i int) {
		f.change(func(d *desk) {
			d.policy["deny_issuers"] = strings.Repeat("x", 1+i%5)
			d.policy["control"] = with2(d.policy["control"].(tree), tree{"interval": []any{"1s", "5s", "1h"}[i%3], "seal": []any{"env:SEAL", ""}[i%2]})
			if i%7 == 0 {
				d.policy["control"].(tree)["url"] = f.plane.URL + []string{"/control", "/elsewhere"}[i%2]
			}
		})
		f.g.Refresh()
	})
	for range 2 {
		each(func(int) { f.poll() })
	}
	each(func(int) {
		f.pass(500 * time.Millisecond)
		f.look()
		status := f.g.Status()
		if len(status.Routes) != 3 || len(status.Sources) != 2 {
			t.Errorf("got status %+v, want three routes and two sources", status)
		}
		f.g.Counters()
		f.g.BindingCounts()
		f.g.Ready()
		f.g.Close()
	})
	changing.Wait()
	close(stop)
	asking.Wait()
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
