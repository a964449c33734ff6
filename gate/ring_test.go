package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// ringFleet is a fleet whose only keys are those of the ring at /ring, and which polls /control too.
func ringFleet(t testing.TB, more tree) *fleet {
	t.Helper()
	policy := tree{
		"keys":    []any{tree{"name": "fleet", "ring": "{plane}/ring"}},
		"control": tree{"url": "{plane}/control", "keys": "env:CONTROL_KEY", "ca": "ca.pem", "interval": "1h"},
	}
	return newFleet(t, with2(policy, more))
}

// startRing starts a fleet's gate with a ring in force.
func (f *fleet) startRing(t testing.TB, version int, keys ...any) {
	t.Helper()
	f.plane.put("/control", f.plane.control(t, 1, tree{"until": ""}))
	f.plane.put("/ring", f.plane.ring(t, version, keys...))
	f.start(t)
	f.poll()
	if failure := f.source(t, "keys[0].ring").Failure; failure != "" {
		t.Fatalf("got failure %q, want a ring in force", failure)
	}
	f.mu.Lock()
	f.events = nil
	f.mu.Unlock()
}

func at(after time.Duration) string { return noon.Add(after).Format(time.RFC3339) }

func TestAGateWaitsForItsRing(t *testing.T) {
	f := ringFleet(t, nil)
	f.start(t)
	if f.g.Ready() || len(f.g.Status().Keys) != 0 {
		t.Errorf("before the ring: got ready %v with keys %+v, want neither", f.g.Ready(), f.g.Status().Keys)
	}
	f.wantReason(t, "before the ring", "one", engine.KeyUnknown)
	f.poll()
	f.wantReason(t, "while there is none", "one", engine.KeyUnknown)
	f.wantEvents(t, "while there is none", "source_failing", "source_failing")
	f.plane.put("/ring", f.plane.ring(t, 1, member("one", nil)))
	f.poll()
	if !f.g.Ready() || f.g.Status().Generation != 2 {
		t.Errorf("with the ring: got ready %v in generation %d, want ready in 2", f.g.Ready(), f.g.Status().Generation)
	}
	f.wantReason(t, "with the ring", "one", engine.OK)
	f.wantReason(t, "with the ring", "two", engine.SignatureInvalid)
	f.wantEvents(t, "with the ring", "keys_changed keys[0].ring", "source_recovered keys[0].ring")
}

// A rotation in steps. No genuine token is refused in the overlap.
func TestARotationByRing(t *testing.T) {
	f := ringFleet(t, nil)
	f.startRing(t, 1, member("old", nil))
	f.plane.put("/ring", f.plane.ring(t, 2, member("old", tree{"not_after": at(10 * time.Minute)}), member("new", tree{"not_before": at(time.Minute)})))
	for _, step := range []struct {
		after    time.Duration
		old, new engine.Reason
	}{
		{0, engine.OK, engine.SignatureInvalid},
		{time.Minute - time.Second, engine.OK, engine.SignatureInvalid},
		{time.Minute, engine.OK, engine.OK},
		{10*time.Minute - time.Second, engine.OK, engine.OK},
		{10 * time.Minute, engine.SignatureInvalid, engine.OK},
	} {
		f.after(step.after)
		f.poll()
		f.wantReason(t, step.after.String(), "old", step.old)
		f.wantReason(t, step.after.String(), "new", step.new)
	}
	f.wantEvents(t, "rotated", "keys_changed keys[0].ring")
	f.after(0)
	f.plane.put("/ring", f.plane.ring(t, 3, member("new", nil)))
	f.poll()
	f.wantReason(t, "dropped", "old", engine.SignatureInvalid)
	f.wantReason(t, "alone", "new", engine.OK)
	f.wantEvents(t, "dropped", "keys_changed keys[0].ring")
}

func TestABadRingKeepsTheLastGoodKeys(t *testing.T) {
	f := ringFleet(t, nil)
	good := []any{member("one", tree{"kid": "k1"})}
	f.startRing(t, 5, good...)
	foreign, _ := signingKey(t)
	signed := func(claims tree) string { return envelope(t, f.plane.key, jose.RingType, claims) }
	weak := member("two", tree{"secret": "inline:c2hvcnQgc2VjcmV0IHRvIGxvb2sgZm9y"})
	for _, row := range []struct{ name, text, err string }{
		{"a weak secret", f.plane.ring(t, 6, good[0], weak), "keys[1]: weak: 24 bytes"},
		{"a reference to a file", f.plane.ring(t, 6, member("two", tree{"secret": "file:/etc/passwd"})), "the ring is not valid: keys[0]: must have secret or public_key, written out"},
		{"a reference to a variable", f.plane.ring(t, 6, member("two", tree{"secret": "env:ACCOUNT"})), "the ring is not valid: keys[0]: must have secret or public_key, written out"},
		{"a key set", f.plane.ring(t, 6, tree{"name": "a", "jwks": "inline:{}", "algs": "ES256"}), "the ring is not valid: keys[0]: must have secret or public_key, written out"},
		{"a ring in it", f.plane.ring(t, 6, tree{"name": "a", "ring": f.plane.URL + "/ring"}), "the ring is not valid: keys[0]: must have secret or public_key, written out"},
		{"five keys that any token may be of", f.plane.ring(t, 6, member("a", nil), member("b", nil), member("c", nil), member("d", nil), member("e", nil)), "keys: 5 HS256 keys would have to be tried"},
		{"no keys", f.plane.ring(t, 6), "the ring is not valid: keys: "},
		{"two of one name", f.plane.ring(t, 6, good[0], good[0]), "the ring is not valid: keys[1].name: is already the name"},
		{"a public key in another form", f.plane.ring(t, 6, tree{"name": "a", "alg": "ES256", "public_key": "inline:garbage"}), "keys[0]: no PEM block found"},
		{"signed by another key", envelope(t, foreign, jose.RingType, tree{"version": 6, "keys": []any{member("two", nil)}}), "the envelope cannot be trusted: signature_invalid"},
		{"a control document in its place", f.plane.control(t, 6, nil), "the envelope cannot be trusted: algorithm_refused"},
		{"for another gate", signed(tree{"aud": "other", "version": 6, "keys": []any{member("two", nil)}}), "aud: "},
		{"issued in the future", signed(tree{"iat": noon.Unix() + 301, "version": 6, "keys": []any{member("two", nil)}}), "iat: "},
		{"a lower version", f.plane.ring(t, 4, member("two", nil)), "version: 4 is lower than 5, which is in force"},
		{"no version", signed(tree{"keys": []any{member("two", nil)}}), "the ring is not valid: version: is missing"},
		{"an unknown member", signed(tree{"version": 6, "until": at(0), "keys": []any{member("two", nil)}}), "the ring is not valid: until: unknown key"},
		{"garbage", "garbage", "the envelope cannot be trusted: malformed"},
	} {
		f.plane.put("/ring", row.text)
		f.poll()
		if got := f.source(t, "keys[0].ring").Failure; !strings.HasPrefix(got, row.err) || strings.Contains(got, "c2hvcnQ") || strings.Contains(got, encoded("two")[:20]) {
			t.Errorf("%s: got failure %q, want %q and no secret", row.name, got, row.err)
		}
		f.wantEvents(t, row.name, "source_failing keys[0].ring: "+row.err)
		if keys := f.g.Status().Keys; len(keys) != 1 || keys[0].Name != "fleet/one" || !f.g.Ready() {
			t.Errorf("%s: got keys %+v, want the last good one", row.name, keys)
		}
		f.plane.put("/ring", f.plane.ring(t, 5, good...))
		f.poll() // the same keys, signed again
		f.wantEvents(t, row.name+", then good again", "source_recovered keys[0].ring")
	}
	if n := f.g.Status().Generation; n != 2 {
		t.Errorf("got generation %d, want 2: nothing has changed", n)
	}
}

func TestTheKeysOfARing(t *testing.T) {
	f := ringFleet(t, tree{"keys": []any{
		tree{"name": "account", "alg": "HS256", "secret": "env:ACCOUNT"},
		tree{"name": "fleet", "ring": "{plane}/ring", "not_before": at(0), "not_after": at(time.Hour)},
	}, "routes": []any{
		tree{"name": "pay", "paths": "/pay", "keys": "fleet"},
		tree{"name": "feed", "paths": "/feed", "keys": "account"},
	}})
	f.plane.put("/ring", f.plane.ring(t, 1,
		member("open", nil),
		member("inner", tree{"kid": "k2", "not_before": at(time.Minute), "not_after": at(10 * time.Minute)}),
		member("outer", tree{"kid": "k3", "not_before": at(-time.Minute), "not_after": at(2 * time.Hour)}),
		tree{"name": "ec", "alg": "ES256", "kid": "k4", "public_key": "inline:" + f.plane.public},
	))
	f.start(t)
	f.poll()
	want := []struct{ name, kid, alg, from, to string }{
		{"account", "", "HS256", "", ""},
		{"fleet/open", "", "HS256", at(0), at(time.Hour)},
		{"fleet/inner", "k2", "HS256", at(time.Minute), at(10 * time.Minute)},
		{"fleet/outer", "k3", "HS256", at(0), at(time.Hour)},
		{"fleet/ec", "k4", "ES256", at(0), at(time.Hour)},
	}
	keys := f.g.Status().Keys
	if len(keys) != len(want) {
		t.Fatalf("got keys %+v, want %d", keys, len(want))
	}
	for i, w := range want {
		k := keys[i]
		if k.Name != w.name || k.Kid != w.kid || k.Alg != w.alg || clockText(k.NotBefore) != w.from || clockText(k.NotAfter) != w.to {
			t.Errorf("got key %+v, want %+v", k, w)
		}
	}
	for _, row := range []struct {
		target, key string
		want        engine.Reason
	}{
		{"/pay", "open", engine.OK}, {"/pay", "account", engine.SignatureInvalid},
		{"/feed", "open", engine.SignatureInvalid}, {"/feed", "account", engine.OK},
		{"/", "open", engine.OK}, {"/", "account", engine.OK},
	} {
		a := f.g.Ask(incoming("GET", row.target, "Approov-Token", sign(t, row.key, claims())))
		if a.Reason != row.want {
			t.Errorf("%s with a token of %s: got %s, want %s", row.target, row.key, a.Reason, row.want)
		}
		if a.Reason == engine.OK && !strings.HasSuffix(a.Key, row.key) {
			t.Errorf("%s: got key %s, want %s", row.target, a.Key, row.key)
		}
	}
}

func clockText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// Encrypted tokens are opened by keys of a ring too.
func TestARingForEncryptedTokens(t *testing.T) {
	f := ringFleet(t, tree{"format": "jwe"})
	f.startRing(t, 1, member("one", tree{"jwe": true}))
	encrypted, err := mint.Encrypt(testKey("one"), "", claims())
	if err != nil {
		t.Fatal(err)
	}
	if got := f.g.Ask(incoming("GET", "/", "Approov-Token", encrypted)).Reason; got != engine.OK {
		t.Errorf("got %s, want ok", got)
	}
}

// What the policy says of an entry holds at once, without another look at the URL.
func TestAPolicyThatChangesTheEntryOfARing(t *testing.T) {
	f := ringFleet(t, nil)
	f.startRing(t, 3, member("one", nil))
	asked := f.plane.requests("/ring")
	entry := func() tree { return f.policy["keys"].([]any)[0].(tree) }
	f.change(func(*desk) { entry()["not_after"] = at(time.Minute) })
	f.g.Refresh()
	f.wantReason(t, "in the new window", "one", engine.OK)
	f.after(time.Minute)
	f.wantReason(t, "after it", "one", engine.KeyUnknown)
	if f.g.Ready() {
		t.Error("after the window: got ready, want not")
	}
	f.change(func(*desk) { delete(entry(), "not_after") })
	f.g.Refresh()
	f.wantReason(t, "without a window", "one", engine.OK)
	if n := f.plane.requests("/ring"); n != asked || f.g.Due() && f.elapsed == 0 && n != asked {
		t.Errorf("got %d requests, want %d", n, asked)
	}
	f.change(func(d *desk) { entry()["ring"] = f.plane.URL + "/moved" })
	f.g.Refresh()
	f.wantReason(t, "another URL, not asked yet", "one", engine.OK)
	f.poll()
	f.wantReason(t, "another URL that brings nothing", "one", engine.OK)
	f.plane.put("/moved", f.plane.ring(t, 2, member("two", nil)))
	f.poll()
	if got := f.source(t, "keys[0].ring").Failure; !strings.HasPrefix(got, "version: 2 is lower than 3") {
		t.Errorf("another URL with a lower version: got failure %q, want one that says so", got)
	}
	f.plane.put("/moved", f.plane.ring(t, 4, member("two", nil)))
	f.poll()
	f.wantReason(t, "another URL", "one", engine.SignatureInvalid)
	f.wantReason(t, "another URL", "two", engine.OK)
	f.change(func(*desk) { entry()["name"] = "renamed" })
	f.g.Refresh()
	f.wantReason(t, "another name, not asked yet", "two", engine.KeyUnknown)
	f.poll()
	f.wantReason(t, "another name", "two", engine.OK)
	if name := f.g.Status().Keys[0].Name; name != "renamed/two" {
		t.Errorf("got key %s, want renamed/two", name)
	}
}

// A ring changes although the policy, as it lies there now, cannot be used.
func TestARingThatChangesBesideABrokenPolicy(t *testing.T) {
	f := ringFleet(t, nil)
	f.startRing(t, 1, member("one", nil))
	f.change(func(d *desk) { d.policy["unknown"] = true })
	if problems := f.g.Refresh(); !config.Failed(problems) {
		t.Fatal("got no problem, want one")
	}
	f.plane.put("/ring", f.plane.ring(t, 2, member("two", nil)))
	f.poll()
	f.wantReason(t, "broken", "two", engine.OK)
	if status := f.g.Status(); !status.Failing || status.Generation != 3 {
		t.Errorf("got failing %v in generation %d, want failing in 3", status.Failing, status.Generation)
	}
	f.change(func(d *desk) { delete(d.policy, "unknown") })
	if problems := f.g.Refresh(); config.Failed(problems) {
		t.Fatal(problems)
	}
	f.wantReason(t, "mended", "two", engine.OK)
	if n := f.g.Status().Generation; n != 3 {
		t.Errorf("got generation %d, want 3: nothing has changed", n)
	}
}

// A ring that cannot stand beside the policy's other keys is not taken, and neither is a policy with which the ring
// in force cannot stand.
func TestARingBesideOtherKeys(t *testing.T) {
	f := ringFleet(t, nil)
	var keys []any
	for _, name := range []string{"a", "b", "c"} {
		f.secrets["env:"+name] = encoded(name)
		keys = append(keys, tree{"name": name, "alg": "HS256", "secret": "env:" + name})
	}
	f.policy["keys"] = append(f.policy["keys"].([]any), keys[:2]...)
	f.startRing(t, 1, member("one", nil), member("two", nil))
	f.plane.put("/ring", f.plane.ring(t, 2, member("one", nil), member("two", nil), member("three", nil)))
	f.poll()
	f.wantEvents(t, "a fifth key", "source_failing keys[0].ring: keys: 5 HS256 keys would have to be tried")
	f.change(func(d *desk) { d.policy["keys"] = append(d.policy["keys"].([]any), keys[2]) })
	if problems := f.g.Refresh(); !config.Failed(problems) {
		t.Error("a policy with a fifth key: got no problem, want one")
	}
	for _, key := range []string{"one", "two", "a", "b"} {
		f.wantReason(t, "after both", key, engine.OK)
	}
}

// The date since which a key is in force outlives a ring that is signed again with another key in it.
func TestAKeyThatStaysKeepsItsDate(t *testing.T) {
	f := ringFleet(t, nil)
	f.startRing(t, 1, member("one", nil))
	f.after(time.Minute)
	f.plane.put("/ring", f.plane.ring(t, 2, member("two", nil), member("one", tree{"kid": "k"})))
	f.poll()
	keys := f.g.Status().Keys
	if len(keys) != 2 || !keys[0].Loaded.Equal(noon.Add(time.Minute)) || !keys[1].Loaded.Equal(noon) {
		t.Errorf("got keys %+v, want two since a minute after noon, and one since noon", keys)
	}
}
