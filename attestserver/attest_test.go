package attestserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

// annotateAll makes findings visible in tokens, also in those that never verify.
func annotateAll(_ *Options, a *account.Account) { a.Policy.Annotation = account.AnnotateAll }

func TestColdAndWarmFetch(t *testing.T) {
	r := newRig(t, nil)
	cold := r.send(r.genuine(r.nonce("acme", deviceA)))
	good, claims := r.verdict(cold)
	if !good {
		t.Fatal("cold fetch: got tokens that do not verify, want good ones")
	}
	want := map[string]any{"did": deviceA, "exp": float64(start.Add(5*time.Minute + 10*time.Second).Unix()), "ip": "192.0.2.7"}
	if got, expected := canonical(t, claims), canonical(t, want); got != expected {
		t.Errorf("claims: got %s, want %s", got, expected)
	}
	for domain, one := range cold.Tokens {
		if one.TTL != 300_000 {
			t.Errorf("%s: got %d ms, want 5 minutes", domain, one.TTL)
		}
	}
	if strings.Count(cold.Tokens["secret.example.com"].Text, ".") != 4 || strings.Count(cold.Tokens["api.example.com"].Text, ".") != 2 {
		t.Error("got tokens of the wrong format, want a JWE for the one domain and JWS for the others")
	}
	if _, given := cold.Tokens["open.example.com"]; given {
		t.Error("got a token for a domain that needs none")
	}
	if cold.Config != "" || cold.Rules != nil || cold.Request == "" || cold.NonceTTL != 360 {
		t.Errorf("got config %q, rules %v, request %q and %d s, want neither news nor a nonce for other than 360 s", cold.Config, cold.Rules, cold.Request, cold.NonceTTL)
	}
	r.pass(5 * time.Minute)
	if good, _ := r.verdict(r.send(r.genuine(cold.Nonce))); !good {
		t.Error("warm fetch with the nonce of the answer before: got tokens that do not verify, want good ones")
	}
	if got := r.store.asked(); got != 2 {
		t.Errorf("got %d nonces consumed, want 2", got)
	}
}

func TestAnswersAreAuthenticated(t *testing.T) {
	r := newRig(t, nil)
	for _, row := range []struct {
		name string
		edit func(a *attempt)
		key  []byte
	}{
		{"a genuine request", func(*attempt) {}, bytes.Repeat([]byte{'a'}, 16)},
		{"a request that fails", func(a *attempt) { a.digest = digestOf("repackaged") }, bytes.Repeat([]byte{'a'}, 16)},
		{"a library that is not there, under the decoy", func(a *attempt) { a.request.Library.ID = "9999" }, r.find("acme").decoy},
	} {
		a := r.genuine(r.nonce("acme", deviceA))
		row.edit(&a)
		answer := r.send(a)
		want := attestapi.ResponseMAC(row.key, a.request.Nonce, deviceA, answer.mac, http.StatusOK, answer.Body.Bytes())
		if got := answer.Header().Get(attestapi.HeaderMAC); got != want {
			t.Errorf("%s: got MAC %s, want %s", row.name, got, want)
		}
	}
	if key := r.find("acme").decoy; len(key) != attestapi.LibraryKeySize {
		t.Errorf("got a decoy key of %d bytes, want %d", len(key), attestapi.LibraryKeySize)
	}
}

func TestWhatIsFoundOut(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(r *rig, a *attempt)
		want string // annotations
		good bool
	}{
		{"nothing", func(*rig, *attempt) {}, "", true},
		{"an app that is not registered", func(_ *rig, a *attempt) { a.digest = digestOf("repackaged") }, "app-not-registered", false},
		{"a registered app under another package's name", func(_ *rig, a *attempt) { a.request.App.Package = otherApp }, "app-not-registered", false},
		{"an app of a package that nobody has", func(_ *rig, a *attempt) { a.request.App.Package = "com.example.nobody" }, "app-not-registered", false},
		{"a registered app with another library of the account", func(_ *rig, a *attempt) {
			a.request.Library.ID, a.key = libraryB, bytes.Repeat([]byte{'b'}, 16)
		}, "app-not-registered", false},
		{"the older registration of the app", func(_ *rig, a *attempt) { a.digest = digestOf("app 1") }, "", true},
		{"a registration that has just expired", func(r *rig, a *attempt) {
			r.pass(time.Hour)
			a.request.Nonce = r.nonce("acme", deviceA)
			a.digest = digestOf("app 1")
		}, "app-not-registered", false},
		{"a measurement that is no MAC", func(_ *rig, a *attempt) { a.request.App.Measurement = "AAAA" }, "app-not-registered", false},
		{"a measurement for another nonce", func(r *rig, a *attempt) {
			a.request.App.Measurement = attestapi.Measurement(r.nonce("acme", deviceA), digestOf("app 2"))
		}, "app-not-registered", false},
		{"another version than was registered, which proves nothing", func(_ *rig, a *attempt) { a.request.App.Version = "9.9" }, "", true},

		{"a MAC under another key", func(_ *rig, a *attempt) { a.key = bytes.Repeat([]byte{'x'}, 16) }, "bad-hmac", false},
		{"no MAC", func(_ *rig, a *attempt) { a.header = func(h http.Header) { h.Del(attestapi.HeaderMAC) } }, "bad-hmac", false},
		{"a body changed on the way", func(_ *rig, a *attempt) { a.edit = func(b []byte) []byte { return append(b, ' ') } }, "bad-hmac", false},
		{"a library that is not there", func(_ *rig, a *attempt) { a.request.Library.ID = "9999" }, "bad-hmac app-not-registered", false},
		{"a library that is not there, under the decoy", func(r *rig, a *attempt) {
			a.request.Library.ID, a.key = "9999", r.find("acme").decoy
		}, "bad-hmac app-not-registered", false},
		{"no library", func(_ *rig, a *attempt) { a.request.Library = attestapi.LibraryRef{} }, "bad-hmac app-not-registered", false},

		{"no nonce", func(_ *rig, a *attempt) { a.request.Nonce = "" }, "bad-nonce", false},
		{"a nonce made up", func(_ *rig, a *attempt) { a.request.Nonce = strings.Repeat("A", nonceText) }, "bad-nonce", false},
		{"a nonce used before", func(r *rig, a *attempt) { r.send(r.genuine(a.request.Nonce)) }, "bad-nonce", false},
		{"a nonce used before by a request that failed", func(r *rig, a *attempt) {
			bad := r.genuine(a.request.Nonce)
			bad.key = bytes.Repeat([]byte{'x'}, 16)
			r.send(bad)
		}, "bad-nonce", false},
		{"another device's nonce", func(r *rig, a *attempt) { a.request.Nonce = r.nonce("acme", deviceB) }, "bad-nonce", false},
		{"another account's nonce", func(r *rig, a *attempt) { a.request.Nonce = r.nonce("other", deviceA) }, "bad-nonce", false},
		{"a nonce in its last second", func(r *rig, _ *attempt) { r.pass(59 * time.Second) }, "", true},
		{"a nonce that has expired", func(r *rig, _ *attempt) { r.pass(time.Minute) }, "bad-nonce", false},

		{"another key in the configuration", func(_ *rig, a *attempt) { a.request.ConfigKey = "AAAA" }, "tampered", false},
		{"no key of a configuration", func(_ *rig, a *attempt) { a.request.ConfigKey = "" }, "tampered", false},
		{"an old configuration", func(_ *rig, a *attempt) { a.request.ConfigVersion = 4 }, "init-config-outdated", true},

		{"a debugger", func(_ *rig, a *attempt) { a.request.Flags = []string{"debug"} }, "debug", false},
		{"a failed scan", func(_ *rig, a *attempt) { a.request.Flags = []string{"scan-fail"} }, "scan-fail", false},
		{"a rooted device", func(_ *rig, a *attempt) { a.request.Flags = []string{"rooted"} }, "rooted", false},
		{"Frida at work, which is Frida", func(_ *rig, a *attempt) { a.request.Flags = []string{"frida-hook"} }, "frida", false},
		{"several flags in any order", func(_ *rig, a *attempt) { a.request.Flags = []string{"xposed", "rooted", "debug", "rooted"} }, "debug rooted xposed", false},
		{"flags that are not an app's to report", func(_ *rig, a *attempt) {
			a.request.Flags = []string{"app-not-registered", "tampered", "bad-nonce", "bad-hmac", "devicecheck-ban", "new-did", "devices-exceeded", "device-changed", "init-config-outdated"}
		}, "", true},
		{"flags of a later SDK", func(_ *rig, a *attempt) { a.request.Flags = []string{"quantum-rooted", ""} }, "", true},
		{"evidence that nobody verifies", func(_ *rig, a *attempt) {
			a.request.Evidence = []attestapi.Evidence{{Type: "apple-appattest", Data: "AAAA"}}
		}, "", true},
	} {
		r := newRig(t, annotateAll)
		a := r.genuine(r.nonce("acme", deviceA))
		row.edit(r, &a)
		good, claims := r.verdict(r.send(a))
		if good != row.good || anno(claims) != row.want {
			t.Errorf("%s: got good %v and %q, want %v and %q", row.name, good, anno(claims), row.good, row.want)
		}
		if _, has := claims["anno"]; has != (row.want != "") {
			t.Errorf("%s: got anno %v, want it absent when there is nothing to say", row.name, has)
		}
	}
}

// Who attests without success must not learn from the answer that, or why, it failed.
func TestGoodAndFailedAnswersLookTheSame(t *testing.T) {
	pay := token.Pay([]byte("custom-data"))
	shape := func(answer answered) string {
		header := answer.Header().Clone()
		if len(header.Get(attestapi.HeaderMAC)) != 44 {
			t.Errorf("got a MAC of %d characters, want 44", len(header.Get(attestapi.HeaderMAC)))
		}
		header.Del(attestapi.HeaderMAC)
		form := map[string]any{}
		if err := json.Unmarshal(answer.Body.Bytes(), &form); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"code": answer.Code, "header": header, "bytes": answer.Body.Len(), "form": lengths(form)})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, with := range []func(*Options, *account.Account){nil, messageSigning} {
		r := newRig(t, with)
		good := r.genuine(r.nonce("acme", deviceA))
		good.request.Pay = pay
		first := r.send(good)
		if good, _ := r.verdict(first); !good {
			t.Fatal("got tokens that do not verify, want good ones")
		}
		want := shape(first)
		for _, row := range []struct {
			name string
			edit func(a *attempt)
		}{
			{"another good one", func(*attempt) {}},
			{"not registered", func(a *attempt) { a.digest = digestOf("x") }},
			{"another package", func(a *attempt) { a.request.App.Package = "a" }},
			{"a wrong MAC", func(a *attempt) { a.key = []byte("x") }},
			{"a used nonce", func(a *attempt) { a.request.Nonce = good.request.Nonce }},
			{"no nonce", func(a *attempt) { a.request.Nonce = "" }},
			{"a library that is not there", func(a *attempt) { a.request.Library.ID = "9999" }},
			{"another configuration's key", func(a *attempt) { a.request.ConfigKey = "x" }},
			{"a debugger", func(a *attempt) { a.request.Flags = []string{"debug"} }},
			{"an emulator", func(a *attempt) { a.request.Flags = []string{"emulator"} }},
			{"a rooted device, but for how long its tokens live", func(a *attempt) { a.request.Flags = []string{"rooted"} }},
		} {
			a := r.genuine(r.nonce("acme", deviceA))
			a.request.Pay = pay
			row.edit(&a)
			if got := shape(r.send(a)); got != want {
				t.Errorf("%s: got an answer of another shape:\n%s\nwant\n%s", row.name, got, want)
			}
		}
	}
}

// lengths replaces every text by its length.
func lengths(value any) any {
	switch v := value.(type) {
	case string:
		return len(v)
	case float64:
		return len(canonicalNumber(v))
	case map[string]any:
		for name, member := range v {
			v[name] = lengths(member)
		}
	}
	return value
}

func canonicalNumber(f float64) string {
	text, _ := json.Marshal(f)
	return string(text)
}

func canonical(t testing.TB, claims map[string]any) string {
	t.Helper()
	text, err := mint.Canonical(claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLifeOfTokens(t *testing.T) {
	for _, row := range []struct {
		name  string
		flags []string
		grace time.Duration
		ttl   time.Duration
		exp   time.Duration
		good  bool
	}{
		{"an ordinary device", nil, 0, 5 * time.Minute, 5*time.Minute + 10*time.Second, true},
		{"an account with a grace of its own", nil, 3 * time.Second, 5 * time.Minute, 5*time.Minute + 3*time.Second, true},
		{"a rooted device that passes all the same", []string{"rooted"}, 0, 2 * time.Minute, 2*time.Minute + 10*time.Second, true},
		{"a device with Frida, which does not", []string{"frida"}, 0, 2 * time.Minute, 2*time.Minute + 10*time.Second, false},
	} {
		r := newRig(t, func(_ *Options, a *account.Account) {
			a.Policy.Rejection, a.Grace = account.RejectAllowRoot, row.grace
		})
		a := r.genuine(r.nonce("acme", deviceA))
		a.request.Flags = row.flags
		answer := r.send(a)
		good, claims := r.verdict(answer)
		if good != row.good || claims["exp"] != float64(start.Add(row.exp).Unix()) || answer.Tokens["api.example.com"].TTL != row.ttl.Milliseconds() {
			t.Errorf("%s: got good %v, exp %v and %d ms, want %v, %d and %d ms", row.name, good, claims["exp"], answer.Tokens["api.example.com"].TTL,
				row.good, start.Add(row.exp).Unix(), row.ttl.Milliseconds())
		}
	}
}

func TestPay(t *testing.T) {
	r := newRig(t, nil)
	a := r.genuine(r.nonce("acme", deviceA))
	a.request.Pay = "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU=" // manual, "Token Binding": custom-data
	if good, claims := r.verdict(r.send(a)); !good || claims["pay"] != a.request.Pay {
		t.Errorf("got good %v and pay %v, want what the app asked for", good, claims["pay"])
	}
}

func TestLoggableFormOfAnAnswerIsRecognised(t *testing.T) {
	r := newRig(t, annotateAll)
	good := r.send(r.genuine(r.nonce("acme", deviceA)))
	bad := r.genuine(r.nonce("acme", deviceA))
	bad.digest = digestOf("x")
	failed := r.send(bad)
	for domain := range good.Tokens {
		if domain == "secret.example.com" {
			continue
		}
		if got := issue.Check(r.Account("acme"), token.Loggable(good.Tokens[domain].Text), start); !got.Valid || got.Kind != issue.KindLoggable {
			t.Errorf("%s: got %+v, want a valid loggable token", domain, got)
		}
		if got := issue.Check(r.Account("acme"), token.Loggable(failed.Tokens[domain].Text), start); got.Valid {
			t.Errorf("%s: got %+v of a failed attestation, want an invalid one", domain, got)
		}
	}
}

// The claims written by hand are those that package mint writes.
func TestClaimsAreCanonical(t *testing.T) {
	for _, c := range []tokenClaims{
		{device: deviceA, exp: 1},
		{device: deviceA, exp: 1_800_000_000, ip: "192.0.2.7"},
		{device: deviceA, exp: 1_800_000_000, ip: "2001:db8::1", pay: token.Pay(nil)},
		{device: deviceA, exp: 1_800_000_000, ip: "192.0.2.7", mskid: "AwMDAwMDAwMD", pay: token.Pay(nil)},
		{device: deviceA, exp: 1_800_000_000, mskid: "AwMDAwMDAwMD", more: map[string]string{"m": "x"}},
		{device: deviceA, exp: 1_800_000_000, anno: []string{"rooted"}},
		{device: deviceA, exp: 1_800_000_000, anno: issue.Flags(), evidence: "hardware", ip: "192.0.2.7", pay: token.Pay([]byte("x"))},
		{device: deviceA, exp: 1_800_000_000, evidence: "platform"},
		{device: deviceA, exp: 1_800_000_000, evidence: "platform", more: map[string]string{"zebra": "<&>\n", "able": "\u2028é"}},
	} {
		got, err := c.canonical()
		if err != nil {
			t.Fatal(err)
		}
		if want := canonical(t, c.members()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if _, fault := token.Decode(got); fault != "" {
			t.Errorf("%s: got %s, want claims", got, fault)
		}
	}
}

// Whether and when a registration fits does not show in the work: every one costs a MAC.
func TestEveryRegistrationIsTried(t *testing.T) {
	a := testAccount(t, "acme")
	for i := len(a.Registrations); i < account.MaxRegistrations; i++ {
		a.Registrations = append(a.Registrations, account.Registration{Digest: digestOf(string(rune(i))), Package: otherApp, Version: "1", Library: libraryB})
	}
	c, err := compile(a, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, app, measurement string
		want                   bool
	}{
		{"the first registration", appName, attestapi.Measurement("n", digestOf("app 2")), true},
		{"another one", appName, attestapi.Measurement("n", digestOf("app 1")), true},
		{"none", appName, attestapi.Measurement("n", digestOf("x")), false},
		{"none of the package", "com.example.nobody", attestapi.Measurement("n", digestOf("app 2")), false},
		{"no measurement", appName, "", false},
		{"a measurement of zeros", appName, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	} {
		q := &attestapi.AttestRequest{Nonce: "n", Library: attestapi.LibraryRef{ID: libraryA}, App: attestapi.App{Package: row.app, Measurement: row.measurement}}
		found, _, work := c.registered(q, start)
		if (found != app{}) != row.want || work != account.MaxRegistrations {
			t.Errorf("%s: got %v after %d registrations, want %v after all %d", row.name, found != app{}, work, row.want, account.MaxRegistrations)
		}
	}
}
