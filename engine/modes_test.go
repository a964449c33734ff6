package engine_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/approovgate/approovgate/config"
	"github.com/approovgate/approovgate/engine"
	"github.com/approovgate/approovgate/jose"
)

func TestPreflight(t *testing.T) {
	good := map[string][]string{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"POST"}}
	for _, row := range []struct {
		name   string
		change func(r *engine.Request)
		want   engine.Reason
	}{
		{"a browser's preflight", func(_ *engine.Request) {}, engine.PreflightExempt},
		{"another method", func(r *engine.Request) { r.Method = "GET" }, engine.TokenMissing},
		{"a lower-case method", func(r *engine.Request) { r.Method = "options" }, engine.TokenMissing},
		{"without origin", func(r *engine.Request) { delete(r.Header, "Origin") }, engine.TokenMissing},
		{"with two origins", func(r *engine.Request) { r.Header["Origin"] = []string{"a", "b"} }, engine.TokenMissing},
		{"without the method it asks for", func(r *engine.Request) { delete(r.Header, "Access-Control-Request-Method") }, engine.TokenMissing},
		{"with an empty method", func(r *engine.Request) { r.Header["Access-Control-Request-Method"] = []string{""} }, engine.TokenMissing},
		{"with content", func(r *engine.Request) { r.Body = true }, engine.TokenMissing},
		{"with a method override", func(r *engine.Request) { r.Header["X-Http-Method-Override"] = []string{"POST"} }, engine.TokenMissing},
		{"with an alias of an override", func(r *engine.Request) { r.Header["X_http_method"] = []string{"POST"} }, engine.TokenMissing},
		{"to a target that cannot be read", func(r *engine.Request) { r.Target = "/a\\b" }, engine.TargetRefused},
	} {
		r := request()
		r.Method, r.Header = "OPTIONS", maps.Clone(good)
		row.change(&r)
		wantReason(t, row.name, compile(t, tree{}).Check(r), row.want)
	}
	r := request()
	r.Method, r.Header = "OPTIONS", good
	wantReason(t, "a policy that checks preflights", compile(t, tree{"preflight": "check"}).Check(r), engine.TokenMissing)
	wantReason(t, "in bypass mode", compile(t, tree{"mode": "bypass"}).Check(r), engine.Bypassed)
}

func TestMethodsAndTheirOverrides(t *testing.T) {
	e := compile(t, tree{"routes": []any{
		tree{"name": "write", "paths": "/a", "methods": []any{"POST", "DELETE"}},
		tree{"name": "read", "paths": "/a", "methods": "GET", "check": "none"},
		tree{"name": "other", "paths": "/b", "check": "none"},
	}})
	for _, row := range []struct {
		name, method, target, header, value string
		want                                engine.Reason
	}{
		{"a read is exempt", "GET", "/a", "", "", engine.Exempt},
		{"HEAD goes with GET", "HEAD", "/a", "", "", engine.Exempt},
		{"a write is checked", "POST", "/a", "", "", engine.TokenMissing},
		{"a lower-case read could be either", "get", "/a", "", "", engine.TargetRefused},
		{"an unknown method matches no route", "BREW", "/a", "", "", engine.TokenMissing},
		{"a read that asks to be a write", "GET", "/a", "X-Http-Method-Override", "DELETE", engine.TargetRefused},
		{"in lower case", "GET", "/a", "X-Http-Method-Override", "delete", engine.TargetRefused},
		{"by another header", "GET", "/a", "X-Http-Method", "POST", engine.TargetRefused},
		{"by a third header", "GET", "/a", "X-Method-Override", "POST", engine.TargetRefused},
		{"by an alias", "GET", "/a", "X_method.override", "POST", engine.TargetRefused},
		{"a read that asks to be a read", "GET", "/a", "X-Http-Method-Override", "GET", engine.Exempt},
		{"a write that asks to be another write", "POST", "/a", "X-Http-Method-Override", "DELETE", engine.TokenMissing},
		{"an override on a route for all methods", "GET", "/b", "X-Http-Method-Override", "DELETE", engine.Exempt},
		{"CONNECT is refused", "CONNECT", "/a", "", "", engine.TargetRefused},
	} {
		r := request()
		r.Method, r.Target = row.method, row.target
		if row.header != "" {
			r.Header[row.header] = []string{row.value}
		}
		wantReason(t, row.name, e.Check(r), row.want)
	}
}

func TestRolloutIsStableAndProportional(t *testing.T) {
	const devices = 4000
	enforced := map[int]map[int]bool{}
	for _, percent := range []int{0, 1, 25, 50, 100} {
		enforced[percent] = map[int]bool{}
		e := compile(t, tree{"rollout": percent, "deny_issuers": "x"})
		for i := range devices {
			r := request()
			r.Peer = fmt.Sprintf("10.0.%d.%d:%d", i/250, i%250, 1024+i)
			d := e.Check(r)
			if wantMode := map[bool]config.Mode{true: config.Enforce, false: config.Log}[d.Action == engine.Reject]; d.Mode != wantMode {
				t.Fatalf("%d%%: got action %s in mode %s, want mode %s", percent, d.Action, d.Mode, wantMode)
			}
			enforced[percent][i] = d.Action == engine.Reject
			r.Peer = fmt.Sprintf("10.0.%d.%d:9", i/250, i%250)
			if again := e.Check(r); again.Action != d.Action {
				t.Fatalf("%d%%: another port of one client: got %s, want %s", percent, again.Action, d.Action)
			}
		}
	}
	count := func(percent int) int {
		n := 0
		for _, yes := range enforced[percent] {
			if yes {
				n++
			}
		}
		return n
	}
	for _, row := range []struct{ percent, least, most int }{{0, 0, 0}, {1, 10, 80}, {25, 880, 1120}, {50, 1850, 2150}, {100, devices, devices}} {
		if got := count(row.percent); got < row.least || got > row.most {
			t.Errorf("%d%%: got %d of %d clients enforced, want %d to %d", row.percent, got, devices, row.least, row.most)
		}
	}
	for i := range devices {
		if enforced[25][i] && !enforced[50][i] {
			t.Fatalf("client %d: got enforced at 25%% and not at 50%%, want a rising rollout to keep whom it has", i)
		}
	}
}

func TestRolloutKnowsDevicesByVerifiedTokensOnly(t *testing.T) {
	e := compile(t, tree{"rollout": 50, "deny_issuers": "x"})
	byDevice, byForgery := map[engine.Action]int{}, map[engine.Action]int{}
	for i := range 200 {
		claims := with(genuine(), tree{"did": fmt.Sprintf("device-%d", i), "iss": "x"})
		r := request("Approov-Token", signed(t, claims))
		first := e.Check(r)
		byDevice[first.Action]++
		r.Peer = "198.51.100.9:1"
		if again := e.Check(r); again.Action != first.Action {
			t.Fatalf("device %d at another address: got %s, want %s", i, again.Action, first.Action)
		}
		byForgery[e.Check(request("Approov-Token", signedBy(t, "nobody", "", claims))).Action]++
	}
	if len(byDevice) != 2 {
		t.Errorf("200 devices at 50%%: got %v, want both actions", byDevice)
	}
	if len(byForgery) != 1 {
		t.Errorf("forged tokens of one client: got %v, want one action: a forger must not choose its side", byForgery)
	}
}

func TestKeyWindowsAndClaimTimesFollowTheClock(t *testing.T) {
	at := noon
	e := compileWith(t, tree{"token": tree{"leeway": "30s"}}, engine.Options{Now: func() time.Time { return at }})
	next := request("Approov-Token", signedBy(t, "next", "next-kid", with(genuine(), tree{"exp": noon.Unix() + 86400})))
	retired := request("Approov-Token", signedBy(t, "retired", "retired-kid", genuine()))
	dated := request("Approov-Token", signed(t, tree{"exp": noon.Unix() + 60, "nbf": noon.Unix()}))
	for _, row := range []struct {
		name  string
		r     engine.Request
		after time.Duration // noon
		want  engine.Reason
	}{
		{"a key before its window", next, time.Hour - time.Second, engine.SignatureInvalid},
		{"a key at the start of its window", next, time.Hour, engine.OK},
		{"the clock steps back", next, 0, engine.SignatureInvalid},
		{"a key at the end of its window", retired, -time.Hour, engine.SignatureInvalid},
		{"a key just before it", retired, -time.Hour - time.Second, engine.OK},
		{"a token within leeway of its end", dated, 89 * time.Second, engine.OK},
		{"a token at the end of leeway", dated, 90 * time.Second, engine.TokenExpired},
		{"a token within leeway of its start", dated, -30 * time.Second, engine.OK},
		{"a token before that", dated, -31 * time.Second, engine.TokenNotYetValid},
	} {
		at = noon.Add(row.after)
		wantReason(t, row.name, e.Check(row.r), row.want)
	}
}

func TestUsableKeysFollowTheClock(t *testing.T) {
	at := noon
	key, err := jose.NewHS256("only", "", testKey("only"), false)
	if err != nil {
		t.Fatal(err)
	}
	policy := decode(t, tree{"keys": []any{tree{"name": "only", "alg": "HS256", "secret": "env:TEST_KEY"}}})
	e, problems := engine.Compile(policy, []jose.Key{key.Window(noon, noon.Add(time.Hour))}, engine.Options{Now: func() time.Time { return at }})
	if config.Failed(problems) {
		t.Fatal(problems)
	}
	for after, want := range map[time.Duration]int{-time.Second: 0, 0: 1, time.Hour - time.Second: 1, time.Hour: 0} {
		at = noon.Add(after)
		if got := e.UsableKeys(); got != want {
			t.Errorf("%v after noon: got %d usable keys, want %d", after, got, want)
		}
	}
	if _, problems := engine.Compile(policy, nil, engine.Options{}); !config.Failed(problems) {
		t.Error("a policy whose keys are missing: got an engine, want a problem")
	}
}

func TestControlTakesPrecedence(t *testing.T) {
	e := compile(t, tree{"mode": "enforce", "routes": []any{
		tree{"name": "pay", "paths": "/pay"}, tree{"name": "feed", "paths": "/feed", "mode": "log"},
		tree{"name": "health", "paths": "/health", "check": "none"},
	}})
	modes := func(e *engine.Engine) string {
		text := ""
		for _, target := range []string{"/pay", "/feed", "/", "/health"} {
			r := request()
			r.Target = target
			d := e.Check(r)
			text += fmt.Sprintf("%s:%s:%s ", target, d.Reason, d.Action)
		}
		return text
	}
	const policy = "/pay:token_missing:reject /feed:token_missing:forward /:token_missing:reject /health:exempt:forward "
	for _, row := range []struct {
		name    string
		control config.Control
		want    string
	}{
		{"an empty one changes nothing", config.Control{}, policy},
		{"a mode for all", config.Control{Override: config.Override{Mode: config.Log}}, "/pay:token_missing:forward /feed:token_missing:forward /:token_missing:forward /health:exempt:forward "},
		{"a bypass of all but exempt routes", config.Control{Override: config.Override{Mode: config.Bypass}}, "/pay:bypassed:forward /feed:bypassed:forward /:bypassed:forward /health:exempt:forward "},
		{"a route before the mode", config.Control{Override: config.Override{Mode: config.Bypass}, Routes: map[string]config.Override{"pay": {Mode: config.Enforce}}},
			"/pay:token_missing:reject /feed:bypassed:forward /:bypassed:forward /health:exempt:forward "},
		{"a stricter mode than the policy's", config.Control{Routes: map[string]config.Override{"feed": {Mode: config.Enforce}}},
			"/pay:token_missing:reject /feed:token_missing:reject /:token_missing:reject /health:exempt:forward "},
		{"a route that the policy lacks", config.Control{Routes: map[string]config.Override{"gone": {Mode: config.Bypass}, "": {Mode: config.Bypass}}}, policy},
	} {
		if got := modes(e.With(row.control)); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	if got := modes(e); got != policy {
		t.Errorf("the engine itself: got %s, want it unchanged: %s", got, policy)
	}
}
