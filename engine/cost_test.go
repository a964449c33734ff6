package engine_test

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/mint"
)

// hostile is a request made to cost much.
type hostile struct {
	name    string
	policy  tree
	request engine.Request
	want    engine.Reason
	most    uint64 // bytes allocated for one decision
}

const (
	tokenBudget  = 32 << 10  // bytes; what a hostile token may cost
	targetBudget = 128 << 10 // bytes; what a hostile target of 8 KB may cost: a few copies of it
)

func manyRoutes(n int) tree {
	var routes []any
	for i := range n {
		routes = append(routes, tree{"name": fmt.Sprintf("r%d", i), "hosts": fmt.Sprintf("h%d.example", i%97), "paths": fmt.Sprintf("/p%d/a/**", i),
			"methods": []any{"GET", "POST"}})
	}
	return tree{"routes": routes}
}

func hostiles(t testing.TB) []hostile {
	to := func(target string) engine.Request { r := request(); r.Target = target; return r }
	bearing := func(compact string) engine.Request { return request("Approov-Token", compact) }
	bound := tree{"binding": from("header:Authorization")}
	query := tree{"binding": from("query:user")}
	loose := with(manyRoutes(10), tree{"targets": tree{"encoded_slash": "allow", "semicolon": "allow", "path_case": "fold"}})

	bigAuth := request("Approov-Token", signed(t, genuine()), "Authorization", strings.Repeat("a", 16384))
	params := to("/?" + strings.Repeat("a=b&", 10000) + "user=x")
	params.Header["Approov-Token"] = []string{signed(t, genuine())}
	cookies := request("Approov-Token", signed(t, genuine()), "Cookie", strings.Repeat("a=b;", 8000))
	members := `{"exp":9999999999`
	for i := range 300 {
		members += fmt.Sprintf(`,"m%d":[[[[]]]]`, i)
	}
	signedRaw := func(header, payload string) string {
		compact, err := mint.SignRaw("HS256", testKey("account"), header, payload)
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	far := to("/p999/a/" + strings.Repeat("b/", 2000))
	far.Host = "h29.example"
	return []hostile{
		{"a path of 8 KB", tree{}, to("/" + strings.Repeat("a", 8191)), engine.TokenMissing, targetBudget},
		{"8 KB of escapes", manyRoutes(10), to("/" + strings.Repeat("%20", 2730)), engine.TokenMissing, targetBudget},
		{"8 KB of slashes", tree{}, to(strings.Repeat("/", 8192)), engine.TokenMissing, targetBudget},
		{"8 KB of dot segments", tree{}, to(strings.Repeat("/.", 4096)), engine.TokenMissing, targetBudget},
		{"8 KB of segments that go and come back", tree{}, to(strings.Repeat("/a/..", 1638)), engine.TokenMissing, targetBudget},
		{"2 KB of allowed escapes and parameters", loose, to("/" + strings.Repeat("a%2Fb;c%3B/", 186)), engine.TokenMissing, 8 * targetBudget},
		{"8 KB of allowed escapes and parameters", loose, to("/" + strings.Repeat("a%2Fb;c%3B/", 744)), engine.TargetRefused, targetBudget},
		{"10,001 query parameters", tree{}, to("/?" + strings.Repeat("a=b&", 10000) + "c"), engine.TokenMissing, tokenBudget},
		{"10,001 query parameters, one of them bound", query, params, engine.BindingMismatch, targetBudget},
		{"32 KB of cookies, one of them bound", tree{"binding": from("cookie:user")}, cookies, engine.BindingMissing, 8 * targetBudget},
		{"8 KB of dots for a token", tree{}, bearing(strings.Repeat(".", 8192)), engine.TokenMalformed, tokenBudget},
		{"8 KB of header segment", tree{}, bearing(strings.Repeat("A", 8189) + "..A"), engine.TokenMalformed, tokenBudget},
		{"a header segment of the longest kind", tree{}, bearing(signedRaw(`{"alg":"HS256","x":"`+strings.Repeat("a", 1500)+`"}`, `{"exp":1}`)), engine.TokenExpired, tokenBudget},
		{"8 KB of claims, forged", tree{}, bearing(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + strings.Repeat("A", 8000) + "." + strings.Repeat("A", 43)),
			engine.SignatureInvalid, tokenBudget},
		{"hundreds of claims, signed", tree{}, bearing(signedRaw(`{"alg":"HS256","typ":"JWT"}`, members+"}")), engine.ClaimInvalid, tokenBudget},
		{"a header full of unknown members", tree{}, bearing(signedRaw(`{"alg":"HS256"`+strings.Repeat(`,"a":1`, 200)+`}`, `{}`)), engine.TokenMalformed, tokenBudget},
		{"16 KB of Authorization", bound, bigAuth, engine.BindingMismatch, tokenBudget},
		{"1,000 routes and a deep path", manyRoutes(1000), far, engine.TokenMissing, targetBudget},
	}
}

// TestHostileRequestsAllocateLittle bounds what one request can make the gate allocate.
func TestHostileRequestsAllocateLittle(t *testing.T) {
	for _, h := range hostiles(t) {
		e := compile(t, h.policy)
		wantReason(t, h.name, e.Check(h.request), h.want)
		const runs = 50
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			e.Check(h.request)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > h.most {
			t.Errorf("%s: got %d bytes, want at most %d", h.name, got, h.most)
		}
	}
}

// BenchmarkHostile is what hostile requests cost.
func BenchmarkHostile(b *testing.B) {
	for _, h := range hostiles(b) {
		b.Run(strings.ReplaceAll(h.name, " ", "-"), func(b *testing.B) {
			e := compile(b, h.policy)
			b.ReportAllocs()
			for b.Loop() {
				if d := e.Check(h.request); d.Reason != h.want {
					b.Fatalf("got %s, want %s", d.Reason, h.want)
				}
			}
		})
	}
}
