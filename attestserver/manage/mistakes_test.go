package manage_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/manage"
)

// mistake is a request of an administrator that is refused.
type mistake struct {
	name, method, target string
	body                 any
	status               int
	code, part           string
}

// TestMistakes: what is wrong with a value is said with the value's name and the way out, and nothing changes. The
// account's own rules have their rows in package account; here are the ways in which each path can be used wrongly.
func TestMistakes(t *testing.T) {
	r := prepared(t)
	tooMany := strings.Repeat(" ", attestapi.MaxManageRequest)
	for _, m := range []mistake{
		{"a domain with a path", "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "a.example/x"}, 422, "invalid", "domain: \"a.example/x\" is not an API domain"},
		{"no domain", "POST", attestapi.PathDomains, `{}`, 422, "invalid", "required property domain"},
		{"a bad pin", "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "a.example", Pins: []string{"x"}}, 422, "invalid", "pins[0]"},
		{"a member that is not there", "POST", attestapi.PathDomains, `{"domain":"a.example","pin":["x"]}`, 422, "invalid", "pin: unexpected property"},
		{"a number for a domain", "POST", attestapi.PathDomains, `{"domain":7}`, 422, "invalid", "domain: expected string"},
		{"no domain to remove", "DELETE", attestapi.PathDomains, nil, 422, "invalid", "query.domain"},
		{"a domain that is not there", "DELETE", attestapi.PathDomains + query("domain", "b.example"), nil, 404, "not_found", "b.example"},
		{"no digest", "POST", attestapi.PathRegistrations, attestapi.NewRegistration{Package: "a", Version: "1", Library: "1001"}, 422, "invalid", "digest"},
		{"a short digest", "POST", attestapi.PathRegistrations, attestapi.NewRegistration{Digest: "AAAA", Package: "a", Version: "1", Library: "1001"}, 422, "invalid", "digest"},
		{"another library", "POST", attestapi.PathRegistrations, attestapi.NewRegistration{Digest: digest(1), Package: "a", Version: "1", Library: "7"}, 422, "invalid", "library_id"},
		{"a bad lifetime", "POST", attestapi.PathRegistrations, attestapi.NewRegistration{Digest: digest(1), Package: "a", Version: "1", Library: "1001", Lifetime: "12h3d"}, 422, "invalid", "lifetime"},
		{"what to remove is not said", "DELETE", attestapi.PathRegistrations, nil, 422, "invalid", "either signature, or package and older_than"},
		{"both ways to remove", "DELETE", attestapi.PathRegistrations + query("signature", "x", "package", "a", "older_than", "1d"), nil, 422, "invalid", "either"},
		{"a package without an age", "DELETE", attestapi.PathRegistrations + query("package", "a"), nil, 422, "invalid", "either"},
		{"an age without a package", "DELETE", attestapi.PathRegistrations + query("older_than", "1d"), nil, 422, "invalid", "either"},
		{"a bad age", "DELETE", attestapi.PathRegistrations + query("package", "a", "older_than", "1"), nil, 422, "invalid", "older_than"},
		{"a registration that is not there", "DELETE", attestapi.PathRegistrations + query("signature", "x"), nil, 404, "not_found", "registration"},
		{"a policy of two parts", "PUT", attestapi.PathPolicy, attestapi.PolicySetting{Policy: "default,default"}, 422, "invalid", "rules,rejection,annotation"},
		{"an unknown policy", "PUT", attestapi.PathPolicy, attestapi.PolicySetting{Policy: "default,none,default"}, 422, "invalid", "rejection policy"},
		{"an unknown tracking", "PUT", attestapi.PathIPTracking, attestapi.IPTrackingSetting{Tracking: "some"}, 422, "invalid", "none, token or full"},
		{"no device ID", "POST", attestapi.PathDevices, attestapi.Device{DeviceID: "x"}, 422, "invalid", "did"},
		{"a device's unknown policy", "POST", attestapi.PathDevices, attestapi.Device{DeviceID: did, Policy: "x"}, 422, "invalid", "policy"},
		{"a device that is not there", "DELETE", attestapi.PathDevices + query("did", "AAAAAAAAAAAAAAAAAAAAAA=="), nil, 404, "not_found", "device"},
		{"an example for an unknown domain", "POST", attestapi.PathExampleToken, attestapi.ExampleToken{Domain: "b.example"}, 404, "not_found", "b.example"},
		{"an example of an unknown type", "POST", attestapi.PathExampleToken, attestapi.ExampleToken{Domain: "api.example.com", Type: "x"}, 422, "invalid", "type"},
		{"a long lived token for nobody", "POST", attestapi.PathLongLivedToken, attestapi.LongLivedToken{Lifetime: "1d"}, 422, "invalid", "name"},
		{"a secret that is no base64", "POST", attestapi.PathSecretImport, attestapi.Secret{Secret: importedSecret[1:]}, 422, "invalid", "secret"},
		{"a short secret", "POST", attestapi.PathSecretImport, attestapi.Secret{Secret: "AAAA"}, 422, "invalid", "3 bytes"},
		{"a secret as a list", "POST", attestapi.PathSecretImport, `{"secret":["` + importedSecret + `"]}`, 422, "invalid", "secret: expected string"},
		{"a secret with nothing around it", "POST", attestapi.PathSecretImport, `"` + importedSecret + `"`, 422, "invalid", "object"},
		{"a secret in half a request", "POST", attestapi.PathSecretImport, `{"secret":"` + importedSecret, 400, "malformed", "JSON"},
		{"the secret of a domain that has none", "GET", attestapi.PathSecret + query("domain", "api.example.com"), nil, 422, "invalid", "only the demonstration domain shapes.example"},
		{"a key of an unknown algorithm", "POST", attestapi.PathKeyset, attestapi.NewKey{Alg: "HS256", ID: "a"}, 422, "invalid", "alg"},
		{"a key that is there", "POST", attestapi.PathKeyset, attestapi.NewKey{Alg: "ES256", ID: "k1"}, 409, "conflict", "k1"},
		{"a key that is not", "DELETE", attestapi.PathKeyset + query("kid", "a"), nil, 404, "not_found", "kid"},
		{"an SDK there is not", "POST", attestapi.PathSDKLibraries, attestapi.NewLibraryOrder{Platform: "iOS"}, 422, "invalid", "platform"},
		{"an SDK library there is not", "GET", attestapi.PathSDKLibrary + "?id=7", nil, 404, "not_found", "7"},
		{"a library for another platform", "GET", attestapi.PathSDKLibrary + "?platform=iOS", nil, 404, "not_found", "iOS"},
		{"a library that apps use", "DELETE", attestapi.PathSDKLibraries + "?id=1002", nil, 409, "conflict", "1002"},
		{"a token of an unknown role", "POST", attestapi.PathManagementTokens, attestapi.NewManagementToken{Name: "J", Lifetime: "1d", Role: "root"}, 422, "invalid", "role"},
		{"a token that lasts too long", "POST", attestapi.PathManagementTokens, attestapi.NewManagementToken{Name: "J", Lifetime: "11y", Role: "dev"}, 422, "invalid", "later than your own"},
		{"no token to revoke", "DELETE", attestapi.PathManagementTokens, nil, 422, "invalid", "either id or token"},
		{"two tokens to revoke", "DELETE", attestapi.PathManagementTokens + "?id=a&token=b", nil, 422, "invalid", "either id or token"},
		{"the token made at sign-up", "DELETE", attestapi.PathManagementTokens + query("token", r.dev), nil, 403, "forbidden", "when the account was created"},
		{"no gate", "GET", attestapi.PathGateway, nil, 422, "invalid", "query.gate"},
		{"no gates", "PUT", attestapi.PathGateway, attestapi.GatewayMode{Mode: "log"}, 422, "invalid", "gates"},
		{"an unknown mode", "PUT", attestapi.PathGateway, attestapi.GatewayMode{Gates: []string{"edge"}, Mode: "off"}, 422, "invalid", "mode"},
		{"for two days", "PUT", attestapi.PathGateway, attestapi.GatewayMode{Gates: []string{"edge"}, Mode: "log", For: "2d"}, 422, "invalid", "until: 2026-03-03T12:00:00Z"},
		{"too much of the log", "GET", attestapi.PathAudit + "?limit=501", nil, 422, "invalid", "limit"},
		{"a log before its beginning", "GET", attestapi.PathAudit + "?before=-1", nil, 422, "invalid", "before"},
		{"no body", "POST", attestapi.PathDomains, "", 400, "malformed", "body is required"},
		{"not UTF-8", "POST", attestapi.PathDomains, "{\"domain\":\"a\xff.example\"}", 400, "malformed", "UTF-8"},
		{"something behind the request", "POST", attestapi.PathDomains, `{"domain":"a.example"} {}`, 400, "malformed", "body"},
		{"too large", "POST", attestapi.PathDomains, `{"domain":"a.example"}` + tooMany, 413, "too_large", fmt.Sprint(attestapi.MaxManageRequest)},
		{"a query of two values", "GET", attestapi.PathGateway + "?gate=a&gate=b", nil, 400, "malformed", "gate"},
		{"a parameter there is not", "GET", attestapi.PathDomains + "?page=2", nil, 422, "invalid", "page"},
		{"a path there is not", "GET", attestapi.PathManage + "/nothing", nil, 404, "not_found", "openapi.json"},
		{"the root", "GET", attestapi.PathManage, nil, 404, "not_found", ""},
		{"a path with a slash behind", "GET", attestapi.PathDomains + "/", nil, 404, "not_found", ""},
		{"a path with two slashes", "GET", "/mgmt/v1//domains", nil, 404, "not_found", ""},
		{"a path with dots", "GET", "/mgmt/v1/x/../domains", nil, 404, "not_found", ""},
		{"a method there is not", "PATCH", attestapi.PathDomains, nil, 405, "malformed", "DELETE and GET and POST"},
		{"the document written to", "POST", attestapi.PathOpenAPI, nil, 405, "malformed", "GET"},
	} {
		r.unchanged(m.name, func() {
			g := r.ask(r.admin, m.method, m.target, m.body)
			g.problem(t, m.name, m.status, m.code, m.part)
			if allow := g.header.Get("Allow"); (m.status == 405) != (allow != "") {
				t.Errorf("%s: got Allow %q", m.name, allow)
			}
		})
	}
	if len(r.store.audit) != 0 {
		t.Errorf("got entries %+v, want none", r.store.audit)
	}
	g := r.ask(r.admin, "POST", attestapi.PathDomains, `{"domain":"a.example"}`, "Content-Type", "text/plain")
	g.problem(t, "another content type", 415, "malformed", "application/json")
	exact := `{"domain":"a.example"}`
	r.must(r.admin, "POST", attestapi.PathDomains, exact+strings.Repeat(" ", attestapi.MaxManageRequest-len(exact)), nil)
}

func TestEveryAnswerIsPrivate(t *testing.T) {
	r := prepared(t)
	for _, target := range []string{attestapi.PathDomains, attestapi.PathOpenAPI, attestapi.PathManage + "/nothing", attestapi.PathSecret} {
		for _, token := range []string{"", r.dev, r.admin} {
			h := r.ask(token, "GET", target, nil).header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || len(h.Get("Request-Id")) != 16 {
				t.Errorf("%s: got %v", target, h)
			}
		}
	}
	if g := r.ask(r.dev, "HEAD", attestapi.PathDomains, nil); g.status != 200 || g.header.Get("ETag") != `"1"` {
		t.Errorf("HEAD: got %+v", g)
	}
	if g := r.ask(r.dev, "GET", attestapi.PathDomains, nil, "Accept", "text/html"); g.status != 200 || g.header.Get("Content-Type") != "application/json" {
		t.Errorf("Accept: got %+v", g)
	}
}

func TestWhoHasNoGoodToken(t *testing.T) {
	r := prepared(t)
	other, tokens, err := account.New("other", nil, noon, account.Network{Primary: []string{"https://attest.example.com"}})
	if err != nil || other == nil {
		t.Fatal(err)
	}
	for name, given := range map[string][]string{
		"none": nil, "empty": {""}, "another scheme": {"Basic " + r.admin}, "no scheme": {r.admin}, "two": {"Bearer " + r.admin, "Bearer " + r.admin},
		"a word": {"Bearer x"}, "another account's": {"Bearer " + tokens.Admin()}, "changed": {"Bearer " + r.admin[:len(r.admin)-6] + "AAAAAA"},
		"with a space": {"Bearer  " + r.admin}, "an app's token": {"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjF9.AAAA"}, "very long": {"Bearer " + strings.Repeat("a", 1<<16)},
	} {
		q := httptest.NewRequest("GET", attestapi.PathSDKLibraries, nil)
		q.Header["Authorization"] = given
		w := httptest.NewRecorder()
		r.api.ServeHTTP(w, q)
		got{w.Code, w.Header(), w.Body.String()}.problem(t, name, 401, "unauthorized", "your management token is invalid, revoked or expired - contact your Approov administrator")
		if w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	r.must(r.admin, "GET", attestapi.PathDomains, nil, nil, "Authorization", "bearer "+r.admin)
	r.at = noon.Add(11 * 365 * 24 * time.Hour)
	r.ask(r.admin, "GET", attestapi.PathDomains, nil).problem(t, "expired", 401, "unauthorized", account.Unauthorized)
}

// behind is a node that has not learned of the latest changes yet.
type behind struct {
	*memory
	old *account.Account
}

func (b behind) Account(string) *account.Account { return b.old }

func TestATokenRevokedElsewhereChangesNothing(t *testing.T) {
	var b behind
	r := newRig(t, func(o *manage.Options) {
		b = behind{o.Accounts.(*memory), o.Accounts.Account("test-account")}
		o.Accounts = &b
	})
	acc := r.store.now()
	admin, err := acc.Verify(r.admin, noon)
	if err != nil {
		t.Fatal(err)
	}
	row, text, err := acc.AddToken(admin, noon, nil, account.NewToken{Name: "J", Role: account.Admin, Lifetime: "1d"})
	if err != nil {
		t.Fatal(err)
	}
	b.old = acc.Clone()
	if err := acc.RevokeToken(admin, noon, row.ID); err != nil {
		t.Fatal(err)
	}
	acc.Entries = nil
	r.store.account = acc
	r.must(text, "GET", attestapi.PathDomains, nil, nil) // this node does not know yet
	r.unchanged("a change", func() {
		r.ask(text, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "a.example"}).problem(t, "a change", 401, "unauthorized", account.Unauthorized)
	})
	r.store.account = nil
	r.ask(text, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "a.example"}).problem(t, "an account that is gone", 401, "unauthorized", account.Unauthorized)
	r.store.account = acc
}

func TestTheDatabaseIsGone(t *testing.T) {
	r := prepared(t)
	r.store.down = errors.New("dial tcp 127.0.0.1:5432: connection refused")
	r.must(r.dev, "GET", attestapi.PathDomains, nil, nil) // what this node knows it still says
	for _, o := range []operation{
		{"POST", attestapi.PathDomains, "", attestapi.APIDomain{Domain: "a.example"}, ""},
		{"POST", attestapi.PathDomains, "?dry_run=true", attestapi.APIDomain{Domain: "a.example"}, ""},
		{"GET", attestapi.PathAudit, "", nil, ""},
	} {
		g := r.ask(r.admin, o.method, o.path+o.query, o.body)
		g.problem(t, o.path, 503, "unavailable", "database")
		if g.header.Get("Retry-After") == "" || strings.Contains(g.body, "5432") {
			t.Errorf("%s: got %+v", o.path, g)
		}
	}
	if !strings.Contains(r.log.String(), "connection refused") || !strings.Contains(r.log.String(), "level=ERROR") {
		t.Errorf("the log does not say why: %s", r.log)
	}
	acc := r.store.account
	r.store.account = nil
	g := r.ask(r.dev, "GET", attestapi.PathDomains, nil)
	g.problem(t, "accounts that have never been read", 503, "unavailable", "database")
	if g.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.store.account, r.store.down = acc, nil
}

// unlucky panics where it is asked for the log.
type unlucky struct{ *memory }

func (unlucky) Account(string) *account.Account { panic("eyJhbGciOiJIUzI1NiJ9 is a token") }

func TestAPanicIsAProblem(t *testing.T) {
	r := newRig(t, func(o *manage.Options) { o.Accounts = unlucky{o.Accounts.(*memory)} })
	r.ask(r.dev, "GET", attestapi.PathDomains, nil).problem(t, "a panic", 500, "internal", "log")
	if !strings.Contains(r.log.String(), "panicked") || !strings.Contains(r.log.String(), "status=500") {
		t.Errorf("got %s", r.log)
	}
}

func TestTheLog(t *testing.T) {
	r := prepared(t)
	r.ask(r.admin, "DELETE", attestapi.PathManagementTokens+query("token", r.dev), nil)
	line := strings.TrimSpace(r.log.String())
	for _, part := range []string{"method=DELETE", "path=" + attestapi.PathManagementTokens, "status=403", "code=forbidden", "account=test-account", "role=admin", `by="initial admin"`, "rid="} {
		if !strings.Contains(line, part) {
			t.Errorf("got %s, want %s", line, part)
		}
	}
	if strings.Contains(line, "\n") || strings.Contains(line, "eyJ") {
		t.Errorf("got %q, want one line without the token", line)
	}
}

func TestRatesAreBounded(t *testing.T) {
	r := newRig(t, func(o *manage.Options) {
		o.Rates = manage.Rates{Token: 0.5, TokenBurst: 3, Address: 1, AddressBurst: 8}
	})
	ask := func(token, address string) got {
		q := httptest.NewRequest("GET", attestapi.PathAccount, nil)
		q.Header.Set("Authorization", "Bearer "+token)
		q.RemoteAddr = address
		w := httptest.NewRecorder()
		r.api.ServeHTTP(w, q)
		return got{w.Code, w.Header(), w.Body.String()}
	}
	limited := func(name string, g got, part, wait string) {
		t.Helper()
		g.problem(t, name, 429, "rate_limited", part)
		if got := g.header.Get("Retry-After"); got != wait {
			t.Errorf("%s: got Retry-After %s, want %s", name, got, wait)
		}
	}
	for range 3 {
		if g := ask(r.dev, "192.0.2.1:1"); g.status != 200 {
			t.Fatalf("got %+v", g)
		}
	}
	limited("a fourth with the token", ask(r.dev, "192.0.2.1:2"), "management token", "2")
	if g := ask(r.admin, "192.0.2.1:1"); g.status != 200 {
		t.Errorf("another token: got %+v", g)
	}
	for range 3 {
		ask("x", "192.0.2.1:3")
	}
	limited("a ninth from the address", ask(r.admin, "192.0.2.1:1"), "your address", "1")
	if g := ask(r.admin, "[2001:db8::1]:1"); g.status != 200 {
		t.Errorf("another address: got %+v", g)
	}
	r.at = noon.Add(2 * time.Second)
	if g := ask(r.dev, "192.0.2.1:1"); g.status != 200 {
		t.Errorf("two seconds later: got %+v", g)
	}
	for range 8 {
		ask("x", "[2001:db8::2]:1")
	}
	limited("the same network of IPv6", ask("x", "[2001:db8::3]:1"), "your address", "1")
	if g := ask("x", "192.0.2.1:1"); g.status != 401 {
		t.Errorf("after a wait: got %+v", g)
	}
}

func TestARealServer(t *testing.T) {
	r := newRig(t, func(o *manage.Options) { o.Log = slog.New(slog.DiscardHandler) })
	server := httptest.NewServer(r.api)
	t.Cleanup(server.Close)
	q, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+attestapi.PathDomains, strings.NewReader(`{"domain":"a.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+r.dev)
	answer, err := server.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 200 || answer.Header.Get("ETag") != `"2"` {
		t.Errorf("without a content type: got %d, %v", answer.StatusCode, answer.Header)
	}
}
