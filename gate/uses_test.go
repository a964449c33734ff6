package gate_test

import (
	"context"
	"testing"
	"time"

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
