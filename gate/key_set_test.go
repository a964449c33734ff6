package gate_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/mint"
)

// setFleet is a fleet whose only keys are those of the set at /set.
func setFleet(t testing.TB, more tree) *fleet {
	t.Helper()
	set := tree{"name": "set", "jwks": "{plane}/set", "algs": []any{"ES256"}, "ca": "ca.pem"}
	return newFleet(t, tree{"keys": []any{with2(set, more)}})
}

// jwk is a public key as an entry of a set.
func jwk(t testing.TB, key *ecdsa.PrivateKey, kid string) tree {
	t.Helper()
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	coordinate := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	entry := tree{"kty": "EC", "crv": "P-256", "x": coordinate(raw[1:33]), "y": coordinate(raw[33:])}
	if kid != "" {
		entry["kid"] = kid
	}
	return entry
}

func jwks(t testing.TB, entries ...any) string {
	t.Helper()
	text, err := json.Marshal(tree{"keys": entries})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantSigned asks with a token that a private key has signed.
func (f *fleet) wantSigned(t testing.TB, name string, key *ecdsa.PrivateKey, kid string, want engine.Reason) {
	t.Helper()
	c := claims()
	c["exp"] = f.clock().Unix() + 300
	compact, err := mint.Sign("ES256", kid, key, c)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.g.Ask(incoming("GET", "/", "Approov-Token", compact)).Reason; got != want {
		t.Errorf("%s: a token of kid %q: got %s, want %s", name, kid, got, want)
	}
}

func TestAKeySetBehindAURL(t *testing.T) {
	f := setFleet(t, nil)
	one, _ := signingKey(t)
	two, _ := signingKey(t)
	f.start(t)
	if f.g.Ready() {
		t.Error("before the set: got ready, want not")
	}
	f.wantSigned(t, "before the set", one, "1", engine.KeyUnknown)
	f.plane.put("/set", jwks(t, jwk(t, one, "1")))
	f.poll()
	f.wantSigned(t, "with the set", one, "1", engine.OK)
	f.wantEvents(t, "with the set", "keys_changed keys[0].jwks")
	for _, row := range []struct{ name, text, err string }{
		{"garbage", "garbage", "the key set is not strict JSON"},
		{"nothing", "", "the key set is not strict JSON"},
		{"an error in JSON", `{"error": "down"}`, `the key set has no list of "keys"`},
		{"no keys", `{"keys": []}`, "the key set holds no key for [ES256]"},
		{"shared secrets", jwks(t, tree{"kty": "oct", "alg": "HS256", "k": base64.RawURLEncoding.EncodeToString(testKey("one"))}), "the key set holds no key for [ES256]"},
		{"shared secrets beside keys", jwks(t, jwk(t, two, "2"), tree{"kty": "oct", "alg": "HS256", "k": base64.RawURLEncoding.EncodeToString(testKey("one"))}), "the key set mixes shared secrets"},
		{"a private key", jwks(t, with2(jwk(t, two, "2"), tree{"d": strings.Repeat("A", 43)})), "key set entry 0: "},
		{"a point that is none", jwks(t, with2(jwk(t, two, "2"), tree{"x": strings.Repeat("A", 43)})), "key set entry 0: x and y are not a point"},
		{"one kid twice", jwks(t, jwk(t, one, "1"), jwk(t, two, "1")), "key set entry 1: its kid stands twice"},
		{"five keys that any token may be of", jwks(t, jwk(t, one, ""), jwk(t, one, ""), jwk(t, one, ""), jwk(t, one, ""), jwk(t, one, "")), "keys: 5 ES256 keys would have to be tried"},
	} {
		f.plane.put("/set", row.text)
		f.poll()
		if got := f.source(t, "keys[0].jwks").Failure; !strings.HasPrefix(got, row.err) {
			t.Errorf("%s: got failure %q, want %q", row.name, got, row.err)
		}
		f.wantSigned(t, row.name, one, "1", engine.OK)
	}
	f.plane.put("/set", jwks(t, jwk(t, two, "2")))
	f.poll()
	f.wantSigned(t, "another set", one, "1", engine.KeyUnknown)
	f.wantSigned(t, "another set", two, "2", engine.OK)
}

// A token whose key is not known makes the set be fetched early: once in its interval, however many such tokens come.
func TestAnUnknownKidAsksForTheSetEarly(t *testing.T) {
	f := setFleet(t, tree{"refresh": "10m"})
	one, _ := signingKey(t)
	two, _ := signingKey(t)
	f.plane.put("/set", jwks(t, jwk(t, one, "1")))
	f.start(t)
	f.g.Poll(context.Background())
	look := func() {
		if f.g.Due() {
			f.g.Poll(context.Background())
		}
	}
	f.pass(30 * time.Second)
	look()
	if n := f.plane.requests("/set"); n != 1 {
		t.Fatalf("without such tokens: got %d requests, want 1", n)
	}
	f.plane.put("/set", jwks(t, jwk(t, one, "1"), jwk(t, two, "2")))
	f.wantSigned(t, "a new key, for the first time", two, "2", engine.KeyUnknown)
	look()
	f.wantSigned(t, "a new key, after an early look", two, "2", engine.OK)
	if n := f.plane.requests("/set"); n != 2 {
		t.Errorf("got %d requests, want 2", n)
	}
	before := f.plane.requests("/set")
	for range 100 { // 5 minutes of an attack, half of the interval
		f.wantSigned(t, "an attack", one, "9", engine.KeyUnknown)
		look()
		f.pass(3 * time.Second)
	}
	if n := f.plane.requests("/set"); n != before {
		t.Errorf("within the interval: got %d more requests, want none", n-before)
	}
	for range 12_000 / 10 { // 100 minutes more
		f.wantSigned(t, "an attack", one, "9", engine.KeyUnknown)
		look()
		f.pass(5 * time.Second)
	}
	if n := f.plane.requests("/set") - before; n < 10 || n > 22 {
		t.Errorf("in ten intervals: got %d requests, want one or two for each", n)
	}
}

// One such token is one reason to ask: once that is done, only another is one.
func TestAnUnknownKidIsForgottenOnceAskedFor(t *testing.T) {
	f := setFleet(t, tree{"refresh": "10m"})
	one, _ := signingKey(t)
	f.plane.put("/set", jwks(t, jwk(t, one, "1")))
	f.start(t)
	f.poll()
	f.wantSigned(t, "a token", one, "9", engine.KeyUnknown)
	f.g.Poll(context.Background()) // the early one
	f.pass(9 * time.Minute)
	f.poll()
	f.pass(2 * time.Minute)
	f.g.Poll(context.Background())
	if n := f.plane.requests("/set"); n != 3 {
		t.Errorf("got %d requests, want 3", n)
	}
}

// A token of the wrong secret is no reason to ask: it would be another attempt at nothing.
func TestOtherRefusalsAskForNothing(t *testing.T) {
	f := setFleet(t, tree{"refresh": "10m"})
	one, _ := signingKey(t)
	two, _ := signingKey(t)
	f.plane.put("/set", jwks(t, jwk(t, one, "1")))
	f.start(t)
	f.g.Poll(context.Background())
	f.wantSigned(t, "a forged token", two, "1", engine.SignatureInvalid)
	f.wantReason(t, "another algorithm", "account", engine.AlgorithmRefused)
	f.g.Ask(incoming("GET", "/"))
	if f.g.Due() {
		t.Error("got due, want not")
	}
}

// Its kid, or else its number, names a key, so that no two have one name.
func TestTheNamesOfASetsKeys(t *testing.T) {
	f := setFleet(t, nil)
	one, _ := signingKey(t)
	long := strings.Repeat("x", 65)
	f.plane.put("/set", jwks(t, jwk(t, one, "2"), jwk(t, one, ""), jwk(t, one, long), jwk(t, one, "a\nb"), jwk(t, one, "#2"), jwk(t, one, "ü"), jwk(t, one, long[1:])))
	f.start(t)
	f.poll()
	names := ""
	seen := map[string]bool{}
	for _, key := range f.g.Status().Keys {
		names += key.Name + " "
		if seen[key.Name] {
			t.Errorf("got the name %s twice, want it once", key.Name)
		}
		seen[key.Name] = true
	}
	if want := "set/2 set/#2 set/#3 set/#4 set/#5 set/#6 set/" + long[1:] + " "; names != want {
		t.Errorf("got %q, want %q", names, want)
	}
}

// The bearer token is for control's own documents. A key set is public, and may be anyone's.
func TestAKeySetIsAskedForWithoutTheToken(t *testing.T) {
	f := setFleet(t, nil)
	f.policy["control"] = tree{"url": f.plane.URL + "/control", "keys": "env:CONTROL_KEY", "token": "env:BEARER", "ca": "ca.pem"}
	seen := map[string]string{}
	for _, path := range []string{"/set", "/control"} {
		f.plane.show(path, page{answer: func(_ http.ResponseWriter, r *http.Request) {
			f.change(func(*desk) { seen[path] = r.Header.Get("Authorization") })
		}})
	}
	f.start(t)
	f.poll()
	if len(seen) != 2 || seen["/set"] != "" || seen["/control"] == "" {
		t.Errorf("got tokens %v, want one for control alone", seen)
	}
}

// Other algorithms hold at once. If the set has no key for them, the policy is refused rather than left without keys.
func TestOtherAlgorithmsForASet(t *testing.T) {
	f := setFleet(t, nil)
	one, _ := signingKey(t)
	f.plane.put("/set", jwks(t, jwk(t, one, "1")))
	f.start(t)
	f.poll()
	f.change(func(d *desk) { d.policy["keys"].([]any)[0].(tree)["algs"] = []any{"RS256"} })
	problems := f.g.Refresh()
	if !config.Failed(problems) || problems[0].String() != "keys[0].jwks: what it brought last: the key set holds no key for [RS256]" {
		t.Errorf("got problems %v, want one that names the set", problems)
	}
	f.wantSigned(t, "refused", one, "1", engine.OK)
	f.change(func(d *desk) { d.policy["keys"].([]any)[0].(tree)["algs"] = []any{"RS256", "ES256"} })
	if problems := f.g.Refresh(); config.Failed(problems) {
		t.Errorf("both: got problems %v, want none", problems)
	}
	f.wantSigned(t, "both", one, "1", engine.OK)
}
