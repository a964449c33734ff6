package engine_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/mint"
)

// mapCache is a cache that forgets nothing, and counts what it is asked.
type mapCache struct {
	entries      map[string]any
	hits, misses int
}

func newMapCache() *mapCache { return &mapCache{entries: map[string]any{}} }

func (c *mapCache) Get(key string) (any, bool) {
	value, ok := c.entries[key]
	if ok {
		c.hits++
	} else {
		c.misses++
	}
	return value, ok
}

func (c *mapCache) Add(key string, value any) { c.entries[key] = value }

var cachedPolicy = tree{
	"binding": from("header:Authorization"),
	"routes": []any{
		tree{"name": "sealed", "paths": "/sealed/**", "format": "jwe"},
		tree{"name": "any", "paths": "/any/**", "format": "any"},
		tree{"name": "other", "paths": "/other/**", "format": "any", "keys": []any{"other", "next"}},
		tree{"name": "free", "paths": "/free/**", "format": "any", "binding": "none", "deny_issuers": "x"},
	},
}

// newDraw is a source of random choices that are the same in every run.
func newDraw(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }

// drawnTokens are tokens of every kind that a cache could confuse.
func drawnTokens(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, key := range []struct{ name, kid string }{{"account", ""}, {"other", "other-kid"}, {"next", "next-kid"}, {"retired", "retired-kid"}, {"nobody", ""}} {
		for _, claims := range []tree{genuine(), with(genuine(), tree{"exp": noon.Unix() + 5}), with(genuine(), tree{"iss": "x"}),
			with(genuine(), tree{"pay": nil}), with(genuine(), tree{"exp": "x"})} {
			sealed, err := mint.Encrypt(testKey(key.name), key.kid, claims)
			if err != nil {
				t.Fatal(err)
			}
			compact := signedBy(t, key.name, key.kid, claims)
			all = append(all, compact, sealed, compact[:len(compact)-1], sealed+"A", strings.ToUpper(sealed))
		}
	}
	return all
}

func TestACacheChangesNoDecision(t *testing.T) {
	at := noon
	clock := func() time.Time { return at }
	plain := compileWith(t, cachedPolicy, engine.Options{Now: clock})
	some, all := newMapCache(), newMapCache()
	cached := []*engine.Engine{
		compileWith(t, cachedPolicy, engine.Options{Now: clock, Cache: some}),
		compileWith(t, cachedPolicy, engine.Options{Now: clock, Cache: all, CacheAll: true}),
	}
	tokens := drawnTokens(t)
	targets := []string{"/", "/sealed/a", "/any/a", "/other/a", "/free/a"}
	values := []string{bearer, "other", ""}
	random := newDraw(5)
	seen := map[engine.Reason]int{}
	for range 20000 {
		at = noon.Add(time.Duration(random.IntN(20)-10) * time.Second)
		if random.IntN(10) == 0 {
			at = noon.Add(time.Duration(random.IntN(7)-3) * time.Hour)
		}
		r := request("Approov-Token", tokens[random.IntN(len(tokens))], "Authorization", values[random.IntN(len(values))])
		r.Target = targets[random.IntN(len(targets))]
		want := plain.Check(r)
		seen[want.Reason]++
		for i, e := range cached {
			if got := e.Check(r); got != want {
				t.Fatalf("engine %d, %s at %v: got %+v, want %+v", i, r.Target, at.Sub(noon), got, want)
			}
		}
	}
	for _, reason := range []engine.Reason{engine.OK, engine.TokenExpired, engine.KeyUnknown, engine.SignatureInvalid, engine.DecryptionFailed,
		engine.AlgorithmRefused, engine.ClaimInvalid, engine.ClaimDenied, engine.BindingMismatch, engine.BindingMissing, engine.PayMissing} {
		if seen[reason] == 0 {
			t.Errorf("got no request with %s, want some", reason)
		}
	}
	if some.hits == 0 || all.hits <= some.hits {
		t.Errorf("got %d hits, and %d with every token cached; want some, and more", some.hits, all.hits)
	}
}

func TestACacheKeepsOnlyWhatWasOpened(t *testing.T) {
	cache := newMapCache()
	e := compileWith(t, tree{"format": "any"}, engine.Options{Cache: cache, CacheAll: true})
	e.Check(request("Approov-Token", signedBy(t, "nobody", "", genuine())))
	e.Check(request("Approov-Token", signed(t, tree{"exp": "x"})))
	e.Check(request("Approov-Token", "a.b.c"))
	if len(cache.entries) != 0 {
		t.Errorf("failed tokens: got %d entries, want none", len(cache.entries))
	}
	e.Check(request("Approov-Token", signed(t, genuine())))
	if len(cache.entries) != 1 {
		t.Errorf("a good token: got %d entries, want 1", len(cache.entries))
	}
}

func TestCacheHitsFollowTheClock(t *testing.T) {
	at := noon.Add(2 * time.Hour)
	cache := newMapCache()
	e := compileWith(t, tree{}, engine.Options{Now: func() time.Time { return at }, Cache: cache, CacheAll: true})
	r := request("Approov-Token", signedBy(t, "next", "next-kid", tree{"exp": noon.Add(3 * time.Hour).Unix()}))
	for _, row := range []struct {
		name  string
		after time.Duration
		want  engine.Reason
	}{
		{"the token is opened", 2 * time.Hour, engine.OK},
		{"the token is known", 2 * time.Hour, engine.OK},
		{"the known token has expired", 3 * time.Hour, engine.TokenExpired},
		{"the key of the known token is outside its window", 30 * time.Minute, engine.SignatureInvalid},
	} {
		at = noon.Add(row.after)
		wantReason(t, row.name, e.Check(r), row.want)
	}
	if cache.hits != 3 {
		t.Errorf("got %d hits, want 3", cache.hits)
	}
}

func TestRulesWithOtherKeysShareNothing(t *testing.T) {
	cache := newMapCache()
	keys := []any{}
	for _, name := range []string{"account", "other", "account,other"} {
		keys = append(keys, tree{"name": name, "alg": "HS256", "secret": "env:TEST_KEY"})
	}
	policy := tree{"keys": keys, "routes": []any{
		tree{"name": "two", "paths": "/two", "keys": []any{"account", "other"}},
		tree{"name": "one", "paths": "/one", "keys": []any{"account,other"}},
	}}
	r := request("Approov-Token", signed(t, genuine()))
	if got := compileProblem(t, policy, cache); got == "" {
		t.Fatal("a rule whose key is missing: got an engine, want a problem")
	}
	policy["routes"] = policy["routes"].([]any)[:1]
	e := compileWith(t, policy, engine.Options{Cache: cache, CacheAll: true})
	r.Target = "/two"
	wantReason(t, "a key that the route names", e.Check(r), engine.OK)
}

// compileProblem is the first problem that Compile finds with the test keys, of which some are missing.
func compileProblem(t *testing.T, policy tree, cache engine.Cache) string {
	t.Helper()
	if _, problems := engine.Compile(decode(t, policy), testKeys(t), engine.Options{Cache: cache}); len(problems) > 0 {
		return problems[0].String()
	}
	return ""
}
