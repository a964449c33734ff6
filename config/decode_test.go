package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// tree reads JSON text as a tree.
func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("the test's own document %s: %v", text, err)
	}
	return out
}

// withKey is a document with one key, and the top-level values of text above it.
func withKey(t *testing.T, text string) map[string]any {
	t.Helper()
	out := tree(t, `{"keys": [{"name": "account", "alg": "HS256", "secret": "file:/run/secret"}]}`)
	for k, v := range tree(t, text) {
		out[k] = v
	}
	return out
}

// lines are problems as text, warnings marked.
func lines(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		line := p.String()
		if p.Warning {
			line = "warning: " + line
		}
		out = append(out, line)
	}
	return out
}

// sameProblems compares problems with expected beginnings.
func sameProblems(t *testing.T, got []Problem, want []string) {
	t.Helper()
	have := lines(got)
	same := len(have) == len(want)
	for i := 0; same && i < len(have); i++ {
		same = strings.HasPrefix(have[i], want[i])
	}
	if !same {
		t.Errorf("problems:\n%s\nwant, as beginnings:\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// full is the whole document of the design, every key set.
const full = `{
	"name": "edge", "mode": "enforce",
	"token": {"header": "Approov-Token", "scheme": "", "leeway": "0s", "max_bytes": "8192", "forward": "auto"},
	"keys": [
		{"name": "account", "alg": "HS256", "secret": "file:/run/secrets/approov", "encoding": "base64", "kid": "",
			"jwe": "false", "not_before": "", "not_after": ""},
		{"name": "keyset", "jwks": "file:keys.json", "algs": ["ES256"]}
	],
	"targets": {"encoded_slash": "refuse", "semicolon": "refuse", "path_case": "exact"},
	"binding": "none",
	"routes": [{
		"name": "transfers", "hosts": ["api.example.com"], "methods": ["POST"],
		"paths": ["/v1/transfers", "/v1/accounts/**"], "mode": "log", "rollout": "100", "check": "token",
		"format": "jws", "keys": ["account"], "audience": "",
		"binding": {"from": ["header:Authorization"], "trim_scheme": "false", "absent": "reject", "missing_pay": "reject"},
		"deny_annotations": ["rooted", "frida"], "deny_issuers": []
	}],
	"preflight": "exempt",
	"respond": {"status": "401", "body": "{\"error\":\"unauthorized\"}", "content_type": "application/json", "details": "false"},
	"upstream_headers": {"verdict": "X-Approov-Verdict", "reason": "X-Approov-Reason", "device": "X-Approov-Device"},
	"privacy": {"device_id": "hashed", "ip": "truncated"},
	"control": {"file": "", "url": "", "keys": [], "interval": "5s"}
}`

func defaults() Policy {
	return Policy{
		Name:  "approovgate",
		Token: Token{Header: "Approov-Token", MaxBytes: 8192, Forward: ForwardAuto},
		Keys: []Key{{Name: "account", Alg: "HS256", Secret: "file:/run/secret",
			Encoding: "base64"}},
		Default:   Rule{Mode: Enforce, Rollout: 100, Format: JWS},
		Preflight: PreflightExempt,
		Respond:   Respond{Status: 401, Body: `{"error":"unauthorized"}`, ContentType: "application/json"},
		Upstream:  UpstreamHeaders{Verdict: "X-Approov-Verdict", Reason: "X-Approov-Reason", Device: "X-Approov-Device"},
		Privacy:   Privacy{DeviceID: "hashed", IP: "truncated"},
		Control:   ControlSources{Interval: 5 * time.Second},
	}
}

func TestDecodeFillsInEveryDefault(t *testing.T) {
	got, problems := Decode(withKey(t, `{}`))
	sameProblems(t, problems, nil)
	if want := defaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("policy\n%+v\nwant\n%+v", got, want)
	}
}

func TestDecodeReadsEveryKeyOfTheDesign(t *testing.T) {
	got, problems := Decode(tree(t, full))
	sameProblems(t, problems, nil)
	want := defaults()
	want.Name = "edge"
	want.Keys = []Key{
		{Name: "account", Alg: "HS256", Secret: "file:/run/secrets/approov", Encoding: "base64"},
		{Name: "keyset", JWKS: "file:keys.json", Algs: []string{"ES256"}},
	}
	want.Routes = []Route{{
		Name: "transfers", Hosts: []string{"api.example.com"}, Methods: []string{"POST"},
		Paths: []string{"/v1/transfers", "/v1/accounts/**"},
		Rule: Rule{Mode: Log, Rollout: 100, Format: JWS, Keys: []string{"account"},
			Binding:         Binding{From: []Source{{Kind: "header", Name: "Authorization"}}, MissingPay: RejectMissing},
			DenyAnnotations: []string{"rooted", "frida"}, DenyIssuers: []string{}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("policy\n%+v\nwant\n%+v", got, want)
	}
}

func TestRoutesInheritWhatTheyDoNotSet(t *testing.T) {
	doc := withKey(t, `{
		"mode": "log", "rollout": 50, "format": "any", "audience": "api", "deny_annotations": ["rooted"],
		"deny_issuers": ["old"], "allow_issuers": ["new"], "binding": {"from": "header:authorization", "absent": "const:none"},
		"keys": [{"name": "account", "alg": "HS256", "secret": "env:SECRET", "jwe": true}],
		"routes": [
			{"paths": "/inherits"},
			{"paths": "/overrides", "mode": "enforce", "rollout": 0, "format": "jws", "audience": "", "deny_annotations": [],
				"deny_issuers": "other", "allow_issuers": ["a", "b"], "binding": "none"}
		]}`)
	got, problems := Decode(doc)
	sameProblems(t, problems, nil)
	inherited := Rule{Mode: Log, Rollout: 50, Format: AnyFormat, Audience: "api", DenyAnnotations: []string{"rooted"},
		DenyIssuers: []string{"old"}, AllowIssuers: []string{"new"},
		Binding: Binding{From: []Source{{Kind: "header", Name: "Authorization"}}, HasAbsent: true, Absent: "none",
			MissingPay: RejectMissing}}
	own := Rule{Mode: Enforce, Format: JWS, DenyAnnotations: []string{}, DenyIssuers: []string{"other"},
		AllowIssuers: []string{"a", "b"}}
	if len(got.Routes) != 2 {
		t.Fatalf("%d routes, want 2", len(got.Routes))
	}
	for i, want := range []Rule{inherited, own} {
		if !reflect.DeepEqual(got.Routes[i].Rule, want) {
			t.Errorf("route %d\n%+v\nwant\n%+v", i, got.Routes[i].Rule, want)
		}
	}
	if names := got.Routes[0].Name + " " + got.Routes[1].Name; names != "route-1 route-2" {
		t.Errorf("names %q, want %q", names, "route-1 route-2")
	}
}

func TestScalarsMayBeNativeOrText(t *testing.T) {
	when := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	native := map[string]any{
		"rollout": 7, "respond": map[any]any{"status": float64(403), "details": true},
		"token":   map[string]any{"leeway": 2 * time.Second, "max_bytes": json.Number("1024")},
		"keys":    []map[string]any{{"name": "a", "alg": "HS256", "secret": "env:S", "not_after": when, "jwe": true}},
		"routes":  []any{map[any]any{"hosts": []string{"a.example"}, "rollout": int64(9)}},
		"control": map[string]any{"interval": "1m"},
	}
	text := tree(t, `{"rollout": "7", "respond": {"status": "403", "details": "true"},
		"token": {"leeway": "2s", "max_bytes": "1024"},
		"keys": [{"name": "a", "alg": "HS256", "secret": "env:S", "not_after": "2030-01-31T12:00:00Z", "jwe": "true"}],
		"routes": [{"hosts": "a.example", "rollout": "9"}], "control": {"interval": "60s"}}`)
	got, problems := Decode(native)
	sameProblems(t, problems, nil)
	want, problems := Decode(text)
	sameProblems(t, problems, nil)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("native values\n%+v\ntext\n%+v", got, want)
	}
}

func TestPatternsAreCanonical(t *testing.T) {
	doc := withKey(t, `{"token": {"header": "x-app-token"}, "upstream_headers": {"device": "", "reason": "x-why"},
		"binding": {"from": ["header:x-session", "cookie:sid", "query:user id", "const:tail"], "trim_scheme": true},
		"routes": [{"hosts": ["API.Example.com.", "[2001:DB8:0::1]", "::1", "10.0.0.1", "a_b.internal"],
			"methods": ["GET", "M-SEARCH"], "paths": ["/", "/x/", "/y/**", "/**", "/Ü b/,c"]}]}`)
	got, problems := Decode(doc)
	sameProblems(t, problems, nil)
	r := got.Routes[0]
	have := []any{got.Token.Header, got.Upstream, r.Hosts, r.Methods, r.Paths, r.Binding.From}
	want := []any{"X-App-Token", UpstreamHeaders{Verdict: "X-Approov-Verdict", Reason: "X-Why"},
		[]string{"api.example.com", "[2001:db8::1]", "[::1]", "10.0.0.1", "a_b.internal"}, []string{"GET", "M-SEARCH"},
		[]string{"/", "/x", "/y/**", "/**", "/Ü b/,c"},
		[]Source{{"header", "X-Session"}, {"cookie", "sid"}, {"query", "user id"}, {"const", "tail"}}}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("got\n%q\nwant\n%q", have, want)
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	doc := tree(t, `{
		"nmae": "edge", "mode": "on", "token": {"leeway": 5, "max_bytes": "8KiB", "Header": "A"},
		"keys": [{"name": "main", "alg": "hs256", "secret": "file:", "jwe": "yes"}, {"name": "main", "jwks": "http://x"}, 7],
		"binding": "Authorization",
		"routes": [
			{"name": "open", "hosts": [], "methods": ["get"], "paths": "v1", "keys": ["mian"]},
			{"name": "open", "binding": {"trim_scheme": true}},
			{"name": "late", "paths": "/late"}
		],
		"respond": {"status": 200, "detail": true}, "privacy": null, "control": [], "zzz": {}
	}`)
	got, problems := Decode(doc)
	sameProblems(t, problems, []string{
		"binding: must be none or a map",
		"control: must be a map, is a list",
		`keys[0].alg: must be HS256 or RS256 or PS256 or ES256, is "hs256"`,
		`keys[0].jwe: must be true or false, is "yes"`,
		"keys[0].secret: file: must be followed by a path",
		"keys[1].algs: is missing",
		"keys[1].jwks: must begin with file:, env:, inline: or https://",
		"keys[1].name: is already the name of keys[0]",
		"keys[2]: must be a map, is a number",
		`mode: must be enforce or log or bypass, is "on"`,
		"nmae: unknown key; did you mean name?",
		"privacy: has no value",
		"respond.detail: unknown key; did you mean details?",
		"respond.status: must be from 400 to 499, is 200",
		"routes[0].hosts: is empty",
		"routes[0].keys[0]: no key has this name; did you mean main?",
		"routes[0].methods[0]: must be upper case",
		"routes[0].paths[0]: must begin with /",
		"routes[1].binding.from: is missing",
		"routes[1].name: is already the name of routes[0]",
		"routes[2]: can never match: earlier routes take all of its requests (\"open\")",
		"token.Header: unknown key; did you mean header?",
		"token.leeway: must be a duration with its unit",
		`token.max_bytes: must be a whole number from 512 to 65536, is "8KiB"`,
		"zzz: unknown key; delete it, or use one of allow_issuers, audience",
	})
	if !reflect.DeepEqual(got, Policy{}) {
		t.Errorf("policy %+v, want none", got)
	}
}

func TestNoSecretIsRepeated(t *testing.T) {
	const marker = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"
	for _, text := range []string{
		`{"keys": [{"name": "a", "alg": "HS256", "secret": "inline:MARK"}]}`,
		`{"keys": [{"name": "a", "alg": "HS256", "secret": "MARK"}]}`,
		`{"keys": [{"name": "a", "alg": "HS256", "secret": "env:MARK="}]}`,
		`{"keys": [{"name": "a", "alg": "MARK", "secret": "MARK", "encoding": "MARK", "jwe": "MARK", "not_after": "MARK"}]}`,
		`{"keys": [{"name": "a", "algs": ["MARK"], "jwks": "inline:MARK", "MARK": 1}]}`,
		`{"keys": [{"name": "a", "alg": "ES256", "public_key": ["MARK"]}]}`,
		`{"keys": ["MARK"], "token": "MARK", "control": {"keys": ["inline:MARK", "MARK"], "MARK": "MARK"}}`,
		`{"keys": "MARK", "binding": {"from": ["const:MARK", "MARK"], "absent": "MARK"}, "routes": [{"keys": ["MARK"]}]}`,
	} {
		_, problems := Decode(tree(t, strings.ReplaceAll(text, "MARK", marker)))
		if len(problems) == 0 {
			t.Errorf("%s: no problem, want at least one", text)
		}
		for _, p := range problems {
			if strings.Contains(strings.ToLower(p.String()), strings.ToLower(marker)) {
				t.Errorf("%s: %s\nrepeats the secret, want it unnamed", text, p)
			}
		}
	}
}
