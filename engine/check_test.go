package engine_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/mint"
)

// draft is a request in the making, with what can be wrong with it.
type draft struct {
	target  string
	header  string // of the token
	key     string
	claims  tree
	payload string // in place of claims
	mangle  func(compact string) string
	lines   func(compact string) []string
	auth    []string
}

func (d draft) request(t *testing.T) engine.Request {
	t.Helper()
	payload := d.payload
	if payload == "" {
		var err error
		if payload, err = mint.Canonical(d.claims); err != nil {
			t.Fatal(err)
		}
	}
	compact, err := mint.SignRaw("HS256", testKey(d.key), d.header, payload)
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	r.Target = d.target
	r.Header["Authorization"] = d.auth
	r.Header["Approov-Token"] = d.lines(d.mangle(compact))
	return r
}

func goodDraft() draft {
	return draft{
		target: "/", header: `{"alg":"HS256","typ":"JWT"}`, key: "account", claims: genuine(), auth: []string{bearer},
		mangle: func(compact string) string { return compact },
		lines:  func(compact string) []string { return []string{compact} },
	}
}

// fault is one thing wrong, at one stage of the check.
type fault struct {
	stage  int
	reason engine.Reason
	spoil  func(d *draft)
}

func line(values ...string) func(d *draft) {
	return func(d *draft) { d.lines = func(string) []string { return values } }
}

func claim(name string, value any) func(d *draft) {
	return func(d *draft) { d.claims = with(d.claims, tree{name: value}) }
}

var faults = []fault{
	{0, engine.TargetRefused, func(d *draft) { d.target = "/a#b" }},
	{1, engine.TokenMissing, line()},
	{1, engine.TokenRepeated, func(d *draft) { d.lines = func(compact string) []string { return []string{compact, compact} } }},
	{1, engine.TokenEmpty, line("")},
	{1, engine.TokenTooLarge, func(d *draft) {
		d.lines = func(compact string) []string { return []string{compact + strings.Repeat("A", 8193)} }
	}},
	{1, engine.TokenStatus, line("NO_NETWORK")},
	{2, engine.TokenMalformed, func(d *draft) { d.mangle = func(compact string) string { return "." + compact } }},
	{3, engine.AlgorithmRefused, func(d *draft) { d.header = `{"alg":"HS384","typ":"JWT"}` }},
	{4, engine.KeyUnknown, func(d *draft) { d.header, d.key = `{"alg":"HS256","kid":"next-kid"}`, "next" }},
	{5, engine.SignatureInvalid, func(d *draft) { d.key = "nobody" }},
	{6, engine.ClaimInvalid, func(d *draft) { d.payload = `{"exp":"tomorrow"}` }},
	{7, engine.ExpMissing, claim("exp", nil)},
	{8, engine.TokenExpired, claim("exp", noon.Unix())},
	{9, engine.TokenNotYetValid, claim("nbf", noon.Unix()+1)},
	{10, engine.PayMissing, claim("pay", nil)},
	{11, engine.BindingMissing, func(d *draft) { d.auth = nil }},
	{11, engine.BindingRepeated, func(d *draft) { d.auth = []string{bearer, bearer} }},
	{12, engine.BindingMismatch, claim("pay", "x")},
	{13, engine.ClaimDenied, claim("iss", "denied.example")},
}

// onlyAccount leaves the key that has no kid out, so that an unknown kid is one.
var checkedPolicy = tree{
	"binding": tree{"from": "header:Authorization"}, "deny_issuers": "denied.example",
	"routes": []any{tree{"name": "kids", "paths": "/kids", "keys": []any{"other", "next", "retired"}}},
}

func TestOrderOfChecks(t *testing.T) {
	e := compile(t, checkedPolicy)
	wantReason(t, "nothing wrong", e.Check(goodDraft().request(t)), engine.OK)
	for i, first := range faults {
		for _, second := range faults[i:] {
			if second.stage == first.stage && second.reason != first.reason {
				continue // one excludes the other
			}
			if first.reason == engine.ClaimInvalid && second.stage > first.stage && second.stage < 11 {
				continue // there are no claims for the second
			}
			d := goodDraft()
			if first.reason == engine.KeyUnknown || second.reason == engine.KeyUnknown {
				d.target = "/kids"
				d.header, d.key = `{"alg":"HS256","kid":"other-kid"}`, "other"
			}
			second.spoil(&d)
			first.spoil(&d)
			if second.reason == engine.KeyUnknown && first.reason == engine.AlgorithmRefused {
				d.header = `{"alg":"HS384","kid":"next-kid"}`
			}
			name := fmt.Sprintf("%s comes before %s", first.reason, second.reason)
			wantReason(t, name, e.Check(d.request(t)), first.reason)
		}
	}
}

func TestModesAndActions(t *testing.T) {
	for _, row := range []struct {
		name, mode string
		spoil      func(d *draft)
		reason     engine.Reason
		action     engine.Action
	}{
		{"enforce rejects a fail", "enforce", line(), engine.TokenMissing, engine.Reject},
		{"enforce rejects a refused target", "enforce", faults[0].spoil, engine.TargetRefused, engine.Reject},
		{"log forwards a fail", "log", line(), engine.TokenMissing, engine.Forward},
		{"log rejects a refused target", "log", faults[0].spoil, engine.TargetRefused, engine.Reject},
		{"a gate-wide bypass forwards without checking", "bypass", line(), engine.Bypassed, engine.Forward},
		{"a gate-wide bypass forwards a refused target too", "bypass", faults[0].spoil, engine.Bypassed, engine.Forward},
	} {
		d := goodDraft()
		row.spoil(&d)
		got := compile(t, tree{"mode": row.mode}).Check(d.request(t))
		wantReason(t, row.name, got, row.reason)
		if got.Action != row.action || string(got.Mode) != row.mode {
			t.Errorf("%s: got %s in mode %s, want %s in mode %s", row.name, got.Action, got.Mode, row.action, row.mode)
		}
	}
}

func TestABypassOfAllButOneRouteStillRefusesTargets(t *testing.T) {
	e := compile(t, tree{"mode": "bypass", "routes": []any{tree{"name": "pay", "paths": "/pay", "mode": "log"}}})
	d := goodDraft()
	faults[0].spoil(&d)
	got := e.Check(d.request(t))
	wantReason(t, "refused target", got, engine.TargetRefused)
	if got.Action != engine.Reject {
		t.Errorf("got %s, want %s", got.Action, engine.Reject)
	}
}

func TestExemptRoutesDoNotKeepABypassFromBeingGateWide(t *testing.T) {
	e := compile(t, tree{"routes": []any{tree{"name": "health", "paths": "/health", "check": "none"}}}).
		With(config.Control{Override: config.Override{Mode: config.Bypass}, Routes: map[string]config.Override{"health": {Mode: config.Enforce}}})
	d := goodDraft()
	faults[0].spoil(&d)
	wantReason(t, "refused target", e.Check(d.request(t)), engine.Bypassed)
}

func TestHostsOfRequests(t *testing.T) {
	named := compile(t, tree{"routes": []any{tree{"name": "a", "hosts": "a.example", "check": "none"}}})
	for _, row := range []struct {
		name, host, target string
		want               engine.Reason
	}{
		{"a host that a route names", "a.example", "/", engine.Exempt},
		{"in other letter case, with dot and port", "A.Example.:8443", "/", engine.Exempt},
		{"another host", "b.example", "/", engine.TokenMissing},
		{"a longer one", "a.example.com", "/", engine.TokenMissing},
		{"no host", "", "/", engine.TargetRefused},
		{"no host but that of the target", "", "http://a.example/", engine.Exempt},
		{"a target of the same host", "a.example", "http://A.example./", engine.Exempt},
		{"a target of another host", "b.example", "http://a.example/", engine.TargetRefused},
		{"a target of another port", "a.example", "http://a.example:8080/", engine.TargetRefused},
		{"a target with user information", "a.example", "http://u@a.example/", engine.TargetRefused},
		{"a target whose host is in the user information", "a.example", "http://a.example@b.example/", engine.TargetRefused},
	} {
		r := request()
		r.Host, r.Target = row.host, row.target
		wantReason(t, row.name, named.Check(r), row.want)
	}
	r := request()
	r.Host = ""
	wantReason(t, "no host where no route names one", compile(t, tree{}).Check(r), engine.TokenMissing)
}

func TestDecisionsCarryWhatWasFound(t *testing.T) {
	e := compile(t, tree{"routes": []any{tree{"name": "a", "paths": "/a/**"}}})
	r := request("Approov-Token", signed(t, genuine()))
	r.Target, r.Host = "//a/./b%7e?q", "API.example.com:443"
	got := e.Check(r)
	if got.Route != "a" || got.Key != "account" || got.Target != "/a/b~?q" || got.Host != "api.example.com:443" || got.Claims.Device == "" {
		t.Errorf("got %+v, want route a, key account, target /a/b~?q, host api.example.com:443 and a device", got)
	}
	r.Header["Approov-Token"] = []string{signed(t, with(genuine(), tree{"exp": noon.Unix()}))}
	if got := e.Check(r); got.Claims.Device == "" || got.Key == "" || got.Action != engine.Reject {
		t.Errorf("an expired token: got %+v, want its claims, its key and a rejection", got)
	}
	r.Header["Approov-Token"] = []string{signedBy(t, "nobody", "", genuine())}
	if got := e.Check(r); got.Claims.JSON != "" || got.Key != "" {
		t.Errorf("a forged token: got claims %q and key %q, want none", got.Claims.JSON, got.Key)
	}
}

func TestZeroValuesReject(t *testing.T) {
	var d engine.Decision
	if d.Action == engine.Forward || d.Reason.Verdict() != engine.Fail {
		t.Errorf("the zero decision: got action %q and verdict %q, want no forward and fail", d.Action, d.Reason.Verdict())
	}
	for _, policy := range []tree{{}, checkedPolicy, {"routes": []any{tree{"hosts": "a.example"}}}, {"token": tree{"scheme": "Bearer"}}} {
		if got := compile(t, policy).Check(engine.Request{}); got.Action != engine.Reject || got.Reason != engine.TargetRefused {
			t.Errorf("the zero request: got %s %s, want reject target_refused", got.Action, got.Reason)
		}
	}
	if got := engine.Reason("new_word"); got.Verdict() != engine.Fail || got.Status(401) != 401 || got.Text() != "" {
		t.Errorf("an unknown reason: got %s %d %q, want fail, the policy's status and no text", got.Verdict(), got.Status(401), got.Text())
	}
}

func TestReasonsAreComplete(t *testing.T) {
	seen := map[engine.Reason]bool{}
	for _, reason := range engine.Reasons() {
		if seen[reason] || reason.Text() == "" {
			t.Errorf("%s: got it twice or without text, want one row with text", reason)
		}
		seen[reason] = true
		want := 418
		if reason == engine.TargetRefused {
			want = 400
		}
		if got := reason.Status(418); got != want {
			t.Errorf("%s: got status %d, want %d", reason, got, want)
		}
	}
	for _, f := range faults {
		if !seen[f.reason] {
			t.Errorf("%s: got no row in the table, want one", f.reason)
		}
	}
}

func TestScheme(t *testing.T) {
	compact := signed(t, genuine())
	e := compile(t, tree{"token": tree{"scheme": "Bearer"}})
	for _, row := range []struct {
		name, value string
		want        engine.Reason
	}{
		{"the scheme is taken off", "Bearer " + compact, engine.OK},
		{"letter case of a scheme does not count", "bEARER " + compact, engine.OK},
		{"several spaces may follow", "Bearer   " + compact, engine.OK},
		{"a missing scheme is malformed", compact, engine.TokenMalformed},
		{"another scheme is malformed", "Basic " + compact, engine.TokenMalformed},
		{"a longer word is another scheme", "Bearerx " + compact, engine.TokenMalformed},
		{"a scheme without a space is another scheme", "Bearer" + compact, engine.TokenMalformed},
		{"a tab does not end a scheme", "Bearer\t" + compact, engine.TokenMalformed},
		{"the scheme alone is an empty token", "Bearer", engine.TokenEmpty},
		{"nothing is an empty token", "", engine.TokenEmpty},
		{"a status word may come with the scheme", "Bearer NO_NETWORK", engine.TokenStatus},
		{"a status word may come without the scheme", "NO_NETWORK", engine.TokenStatus},
		{"the scheme twice is malformed", "Bearer Bearer " + compact, engine.TokenMalformed},
	} {
		wantReason(t, row.name, e.Check(request("Approov-Token", row.value)), row.want)
	}
	wantReason(t, "a scheme where none is set", compile(t, tree{}).Check(request("Approov-Token", "Bearer "+compact)), engine.TokenMalformed)
}

func TestStatusWords(t *testing.T) {
	e := compile(t, tree{})
	for _, row := range []struct {
		name, value string
		want        engine.Reason
	}{
		{"the SDK's spelling", "NO_NETWORK", engine.TokenStatus},
		{"lower case", "no_network", engine.TokenStatus},
		{"without underscores", "MitmDetected", engine.TokenStatus},
		{"the loggable form", `{"error":"NO_APPROOV_SERVICE"}`, engine.TokenStatus},
		{"another word is malformed", "NO_SUCH_WORD", engine.TokenMalformed},
		{"two words are malformed", "NO_NETWORK NO_NETWORK", engine.TokenMalformed},
		{"a word between spaces of the list is malformed", "NONETWORK POORNETWORK", engine.TokenMalformed},
		{"underscores alone are malformed", "___", engine.TokenMalformed},
		{"an empty loggable form is malformed", `{"error":""}`, engine.TokenMalformed},
		{"a word with a dot is malformed", "NO_NETWORK.", engine.TokenMalformed},
	} {
		wantReason(t, row.name, e.Check(request("Approov-Token", row.value)), row.want)
	}
}

func TestTokenHeaderByOtherNames(t *testing.T) {
	compact := signed(t, genuine())
	for _, name := range []string{"Approov_token", "Approov.token", "approov-token", "Approov-Token "} {
		wantReason(t, name+" is not the token header", compile(t, tree{}).Check(request(name, compact)), engine.TokenMissing)
	}
	e := compile(t, tree{"token": tree{"header": "x-app-token"}})
	wantReason(t, "a configured header", e.Check(request("X-App-Token", compact)), engine.OK)
	wantReason(t, "the default name where another is set", e.Check(request("Approov-Token", compact)), engine.TokenMissing)
}

func TestTokenSizeAndFormat(t *testing.T) {
	e := compile(t, tree{"token": tree{"max_bytes": 512}, "routes": []any{
		tree{"name": "jwe", "paths": "/jwe", "format": "jwe"}, tree{"name": "any", "paths": "/any", "format": "any"}}})
	sealed, err := mint.Encrypt(testKey("account"), "", genuine())
	if err != nil {
		t.Fatal(err)
	}
	plain := signed(t, genuine())
	for _, row := range []struct {
		name, target, compact string
		want                  engine.Reason
	}{
		{"a signed token where encrypted ones are wanted", "/jwe", plain, engine.AlgorithmRefused},
		{"an encrypted token where signed ones are wanted", "/", sealed, engine.AlgorithmRefused},
		{"an encrypted token where they are wanted", "/jwe", sealed, engine.OK},
		{"either where any is taken: encrypted", "/any", sealed, engine.OK},
		{"either where any is taken: signed", "/any", plain, engine.OK},
		{"an encrypted token that was changed", "/jwe", sealed[:len(sealed)-2] + "AA", engine.DecryptionFailed},
		{"a token of 513 bytes", "/", padded(t, 513), engine.TokenTooLarge},
		{"a token of 512 bytes", "/", padded(t, 512), engine.OK},
	} {
		r := request("Approov-Token", row.compact)
		r.Target = row.target
		wantReason(t, row.name, e.Check(r), row.want)
	}
}

// padded is a valid token of exactly n bytes, or the nearest that base64 allows below.
func padded(t *testing.T, n int) string {
	t.Helper()
	for pad := 0; pad < n; pad++ {
		compact := signed(t, tree{"exp": noon.Unix() + 1, "x": strings.Repeat("a", pad)})
		if len(compact) == n {
			return compact
		}
		// A header of another length shifts what base64 can reach.
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256", "typ":"JWT"}`))
		compact, err := mint.SignRaw("HS256", testKey("account"), `{"alg":"HS256", "typ":"JWT"}`, fmt.Sprintf(`{"exp":%d,"x":%q}`, noon.Unix()+1, strings.Repeat("a", pad)))
		if err != nil || !strings.HasPrefix(compact, header) {
			t.Fatal(err)
		}
		if len(compact) == n {
			return compact
		}
	}
	t.Fatalf("got no token of %d bytes", n)
	return ""
}

func TestClaimRules(t *testing.T) {
	for _, row := range []struct {
		name   string
		policy tree
		claims tree
		want   engine.Reason
	}{
		{"the audience wanted", tree{"audience": "api"}, tree{"aud": "api"}, engine.OK},
		{"the audience wanted among others", tree{"audience": "api"}, tree{"aud": []any{"x", "api"}}, engine.OK},
		{"another audience", tree{"audience": "api"}, tree{"aud": "API"}, engine.ClaimDenied},
		{"no audience", tree{"audience": "api"}, tree{}, engine.ClaimDenied},
		{"a denied annotation", tree{"deny_annotations": "rooted"}, tree{"anno": []any{"debug", "rooted"}}, engine.ClaimDenied},
		{"other annotations", tree{"deny_annotations": "rooted"}, tree{"anno": []any{"rooted2", "Rooted"}}, engine.OK},
		{"no annotations", tree{"deny_annotations": "rooted"}, tree{}, engine.OK},
		{"a denied issuer", tree{"deny_issuers": "a"}, tree{"iss": "a"}, engine.ClaimDenied},
		{"another issuer", tree{"deny_issuers": "a"}, tree{"iss": "b"}, engine.OK},
		{"no issuer where some are denied", tree{"deny_issuers": "a"}, tree{}, engine.OK},
		{"an allowed issuer", tree{"allow_issuers": "a"}, tree{"iss": "a"}, engine.OK},
		{"an issuer not allowed", tree{"allow_issuers": "a"}, tree{"iss": "b"}, engine.ClaimDenied},
		{"no issuer where some are allowed", tree{"allow_issuers": "a"}, tree{}, engine.ClaimDenied},
	} {
		r := request("Approov-Token", signed(t, with(genuine(), row.claims)))
		got := compile(t, row.policy).Check(r)
		wantReason(t, row.name, got, row.want)
		if wantForward := row.want == engine.OK; (got.Action == engine.Forward) != wantForward || got.Mode != config.Enforce {
			t.Errorf("%s: got %s in mode %s, want forward to be %v", row.name, got.Action, got.Mode, wantForward)
		}
	}
}
