package engine_test

import (
	"crypto/sha512"
	"maps"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// tree is a policy or a part of one.
type tree = map[string]any

// noon is the time of all tests in this package.
var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

const bearer = "Bearer a-credential"

// testKey is the secret of a test key: public, never to be used.
func testKey(name string) []byte {
	sum := sha512.Sum512([]byte("engine test key " + name + ", public, never use"))
	return sum[:]
}

// testKeys are an account key without kid, and three with kids: "next" is not usable yet, "retired" no longer.
func testKeys(t testing.TB) []jose.Key {
	t.Helper()
	var keys []jose.Key
	for _, row := range []struct {
		name, kid       string
		opens, shutsOff time.Time
	}{
		{"account", "", time.Time{}, time.Time{}},
		{"other", "other-kid", time.Time{}, time.Time{}},
		{"next", "next-kid", noon.Add(time.Hour), time.Time{}},
		{"retired", "retired-kid", time.Time{}, noon.Add(-time.Hour)},
	} {
		key, err := jose.NewHS256(row.name, row.kid, testKey(row.name), true)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.Window(row.opens, row.shutsOff))
	}
	return keys
}

// decode makes a policy from a tree, with the test keys where it names none.
func decode(t testing.TB, policy tree) config.Policy {
	t.Helper()
	whole := tree{}
	maps.Copy(whole, policy)
	if whole["keys"] == nil {
		var keys []any
		for _, name := range []string{"account", "other", "next", "retired"} {
			keys = append(keys, tree{"name": name, "alg": "HS256", "secret": "env:TEST_KEY", "jwe": true})
		}
		whole["keys"] = keys
	}
	p, problems := config.Decode(whole)
	if config.Failed(problems) {
		t.Fatalf("policy: got problems %v, want none", problems)
	}
	return p
}

func compileWith(t testing.TB, policy tree, o engine.Options) *engine.Engine {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	e, problems := engine.Compile(decode(t, policy), testKeys(t), o)
	if config.Failed(problems) {
		t.Fatalf("compile: got problems %v, want none", problems)
	}
	return e
}

func compile(t testing.TB, policy tree) *engine.Engine {
	t.Helper()
	return compileWith(t, policy, engine.Options{})
}

// with is a copy of base with more members, and without those that are nil.
func with(base tree, more tree) tree {
	whole := maps.Clone(base)
	for name, value := range more {
		if value == nil {
			delete(whole, name)
			continue
		}
		whole[name] = value
	}
	return whole
}

// genuine are the claims of a valid token bound to the bearer.
func genuine() tree {
	return tree{"exp": noon.Unix() + 300, "did": "h4gubfCFzJu81j/U2BJsdg==", "pay": token.Pay([]byte(bearer))}
}

// signed is a token of the account key.
func signed(t testing.TB, claims tree) string {
	t.Helper()
	return signedBy(t, "account", "", claims)
}

func signedBy(t testing.TB, key, kid string, claims tree) string {
	t.Helper()
	compact, err := mint.Sign("HS256", kid, testKey(key), claims)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// request is a GET of / on api.example.com with some headers, given as name and value in turn.
func request(headers ...string) engine.Request {
	r := engine.Request{Method: "GET", Scheme: "https", Host: "api.example.com", Target: "/", Peer: "203.0.113.7:4711", Header: map[string][]string{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	return r
}

// wantReason compares a decision with the reason it should have, and with what follows from that.
func wantReason(t testing.TB, name string, d engine.Decision, reason engine.Reason) {
	t.Helper()
	if d.Reason != reason || d.Verdict != reason.Verdict() {
		t.Errorf("%s: got %s %s, want %s %s", name, d.Verdict, d.Reason, reason.Verdict(), reason)
	}
}
