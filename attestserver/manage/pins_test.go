package manage_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/manage"
)

func domainsOf(all ...attestapi.APIDomain) attestapi.Domains {
	return attestapi.Domains{Domains: append([]attestapi.APIDomain{}, all...)}
}

// R128 over HTTP: a list takes the place of all domains, and the answer says what that changes, also when it is only
// tried. R68: what is wanted of the demonstration domain is ignored, with a note.
func TestAllDomainsAtOnce(t *testing.T) {
	r := prepared(t)
	acc := r.store.now()
	by, err := acc.Verify(r.admin, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := acc.AddDomain(by, noon, account.Domain{Name: acc.DemoDomain, Pins: []string{thePin}}); err != nil {
		t.Fatal(err)
	}
	acc.Entries = nil
	r.store.account = acc
	wanted := domainsOf(
		attestapi.APIDomain{Domain: "API.example.com", Pins: []string{thePin}, Format: "jwe"},
		attestapi.APIDomain{Domain: "shapes.example"}, attestapi.APIDomain{Domain: "new.example.com"},
	)
	notes := "changes pins and token format of api.example.com|adds new.example.com|changes of the demonstration domain are ignored"
	var changed attestapi.Changed
	r.unchanged("a dry run", func() {
		r.must(r.admin, "PUT", attestapi.PathDomains+"?dry_run=true", wanted, &changed)
	})
	if got := strings.Join(changed.Notes, "|"); got != notes || !changed.DryRun || changed.Version != 1 {
		t.Errorf("a dry run: got %+v, want the notes %q", changed, notes)
	}
	r.must(r.admin, "PUT", attestapi.PathDomains, wanted, &changed, "If-Match", `"1"`)
	if got := strings.Join(changed.Notes, "|"); got != notes || changed.DryRun || changed.Version != 2 {
		t.Errorf("got %+v, want the notes %q", changed, notes)
	}
	var list attestapi.Domains
	r.must(r.dev, "GET", attestapi.PathDomains, nil, &list)
	if got, want := fmt.Sprint(list.Domains), "[{api.example.com jwe  ["+thePin+"] false} {new.example.com jws  [] false} {shapes.example jws  ["+thePin+"] true}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r.unchanged("what there is already", func() { r.must(r.admin, "PUT", attestapi.PathDomains, list, &changed) })
	if changed.Notes != nil || changed.Version != 2 {
		t.Errorf("what there is already: got %+v, want version 2 and no notes", changed)
	}
	r.must(r.admin, "PUT", attestapi.PathDomains, domainsOf(), &changed)
	if got, want := strings.Join(changed.Notes, "|"), "removes api.example.com|removes new.example.com|removes shapes.example"; got != want || changed.Version != 3 {
		t.Errorf("an empty list: got %+v, want the notes %q", changed, want)
	}
	var actions []string
	for _, e := range r.store.audit {
		actions = append(actions, e.Action+" "+e.Subject)
	}
	if got, want := strings.Join(actions, "|"), "domain.change api.example.com|domain.add new.example.com|domain.remove api.example.com|domain.remove new.example.com|domain.remove shapes.example"; got != want {
		t.Errorf("got the log %q, want %q", got, want)
	}
}

// The mistakes that lists of domains and looks at domains invite.
func TestMistakesWithPins(t *testing.T) {
	r := prepared(t)
	for _, m := range []mistake{
		{"no list", "PUT", attestapi.PathDomains, `{}`, 422, "invalid", "required property domains"},
		{"null for a list", "PUT", attestapi.PathDomains, `{"domains":null}`, 422, "invalid", "domains: it is null"},
		{"the list itself", "PUT", attestapi.PathDomains, `[]`, 422, "invalid", "object"},
		{"a domain twice", "PUT", attestapi.PathDomains, `{"domains":[{"domain":"a.example"},{"domain":"A.example"}]}`, 422, "invalid", "a.example stands there twice"},
		{"jwe among the pins", "PUT", attestapi.PathDomains, `{"domains":[{"domain":"a.example","pins":["jwe"]}]}`, 422, "invalid", "a.example: pins[0]"},
		{"26 domains", "PUT", attestapi.PathDomains, `{"domains":[` + strings.Repeat(`{"domain":"a.example"},`, 25) + `{"domain":"b.example"}]}`, 409, "limit", "26"},
		{"no domain to look at", "GET", attestapi.PathPins, nil, 422, "invalid", "query.domain"},
		{"a URL to look at", "GET", attestapi.PathPins + query("domain", "https://a.example/"), nil, 422, "invalid", "is not an API domain"},
		{"a port to look at", "GET", attestapi.PathPins + query("domain", "a.example:22"), nil, 422, "invalid", "is not an API domain"},
		{"two domains to look at", "GET", attestapi.PathPins + "?domain=a.example&domain=b.example", nil, 400, "malformed", "domain"},
		{"a look that is sent", "POST", attestapi.PathPins, nil, 405, "malformed", "GET"},
	} {
		r.unchanged(m.name, func() {
			r.ask(r.admin, m.method, m.target, m.body).problem(t, m.name, m.status, m.code, m.part)
		})
	}
	if len(r.store.audit) != 0 {
		t.Errorf("got entries %+v, want none", r.store.audit)
	}
}

// R121: the service says what it sees of a domain, be it the account's or not. The request line has its name.
func TestWhatIsServed(t *testing.T) {
	r := prepared(t)
	var served attestapi.ServedPins
	r.must(r.dev, "GET", attestapi.PathPins+query("domain", "Some.Example"), nil, &served)
	if len(served.Certificates) != 1 || served.Domain != "some.example" || served.Certificates[0].Pin != thePin {
		t.Errorf("got %+v", served)
	}
	if !strings.Contains(r.log.String(), "domain=some.example") {
		t.Errorf("got the log %s, want the domain in it", r.log)
	}
	failing := newRig(t, func(o *manage.Options) {
		o.Served = func(context.Context, string) (attestapi.ServedPins, error) {
			return attestapi.ServedPins{}, errors.New("some.example cannot be reached: its name has no address")
		}
	})
	failing.ask(failing.dev, "GET", attestapi.PathPins+query("domain", "some.example"), nil).problem(t, "out of reach", 502, "unreachable", "its name has no address")
	if strings.Contains(failing.log.String(), "level=ERROR") {
		t.Errorf("got the log %s, want no error: it is not the service's", failing.log)
	}
	blind := newRig(t, func(o *manage.Options) { o.Served = nil })
	blind.ask(blind.dev, "GET", attestapi.PathPins+query("domain", "some.example"), nil).problem(t, "no looks", 503, "unavailable", "does not look at domains")
}

// Looks are bounded: two at once for a token, four for an account, however many tokens it has, and so many in a minute.
// Who takes no more than that is not kept from looking by those who would.
func TestLooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under, most := 0, 0
		var mu sync.Mutex // guards under and most
		open := make(chan struct{})
		r := newRig(t, func(o *manage.Options) {
			o.Served = func(context.Context, string) (attestapi.ServedPins, error) {
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				<-open
				mu.Lock()
				defer mu.Unlock()
				under--
				return attestapi.ServedPins{Domain: "a.example", Certificates: []attestapi.ServedCertificate{}}, nil
			}
		})
		tokens := []string{r.dev, r.admin}
		acc := r.store.now()
		by, err := acc.Verify(r.admin, noon)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			_, text, err := acc.AddToken(by, noon, nil, account.NewToken{Name: "J", Role: account.Dev, Lifetime: "1d"})
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, text)
		}
		acc.Entries = nil
		r.store.account = acc
		results := make(chan got, 18)
		var ended sync.WaitGroup
		for range 3 {
			for _, token := range tokens {
				ended.Go(func() { results <- r.ask(token, "GET", attestapi.PathPins+query("domain", "a.example"), nil) })
			}
		}
		synctest.Wait()
		close(open)
		ended.Wait()
		close(results)
		var statuses []int
		accountFull := false
		for g := range results {
			statuses = append(statuses, g.status)
			switch g.status {
			case 429:
				g.problem(t, "a look too many", 429, "rate_limited", "domains")
				accountFull = accountFull || strings.Contains(g.body, "4 domains of your account")
			}
			if after := g.header.Get("Retry-After"); (after == "") != (g.status == 200) {
				t.Errorf("%d: got Retry-After %q", g.status, after)
			}
		}
		count := func(status int) int {
			return len(slices.DeleteFunc(slices.Clone(statuses), func(s int) bool { return s != status }))
		}
		if most != 4 || count(200) != 4 || count(429) != 14 || !accountFull {
			t.Errorf("got at most %d at once and statuses %v, want 4 looks, and the rest refused", most, statuses)
		}
		if g := r.ask(r.dev, "GET", attestapi.PathPins+query("domain", "a.example"), nil); g.status != 200 {
			t.Errorf("afterwards: got %d %s, want 200: all places are free again", g.status, g.body)
		}
	})
}

func TestLooksInAMinute(t *testing.T) {
	r := newRig(t, func(o *manage.Options) { o.Rates.Look, o.Rates.LookBurst = 0.5, 3 })
	for i := range 4 {
		g := r.ask(r.dev, "GET", attestapi.PathPins+query("domain", "a.example"), nil)
		if i < 3 && g.status != 200 {
			t.Errorf("look %d: got %d %s, want 200", i, g.status, g.body)
		}
		if i == 3 {
			if g.problem(t, "the fourth", 429, "rate_limited", "too many domains"); g.header.Get("Retry-After") != "2" {
				t.Errorf("got Retry-After %q, want 2", g.header.Get("Retry-After"))
			}
		}
	}
	r.must(r.admin, "GET", attestapi.PathPins+query("domain", "a.example"), nil, nil) // another token may
	r.must(r.dev, "GET", attestapi.PathDomains, nil, nil)                             // and this one may do all else
}

// What the monitor saw is shown as it says it; without one, nothing is known of any domain.
func TestPinStatuses(t *testing.T) {
	r := prepared(t)
	var s attestapi.PinStatuses
	r.must(r.dev, "GET", attestapi.PathPinStatus, nil, &s)
	if s.Monitored || len(s.Domains) != 1 || s.Domains[0] != (attestapi.PinStatus{Domain: "api.example.com", State: attestapi.PinsUnknown}) {
		t.Errorf("without a monitor: got %+v", s)
	}
	r = newRig(t, func(o *manage.Options) {
		o.PinStatuses = func(a *account.Account) attestapi.PinStatuses {
			return attestapi.PinStatuses{Monitored: true, Domains: []attestapi.PinStatus{{Domain: a.Name + ".example", State: attestapi.PinsMatched, Checked: noon}}}
		}
	})
	if r.must(r.dev, "GET", attestapi.PathPinStatus, nil, &s); !s.Monitored || s.Domains[0].Domain != "test-account.example" || !s.Domains[0].Checked.Equal(noon) {
		t.Errorf("got %+v", s)
	}
}

// R68: the demonstration domain is added like any other; its tokens are under a secret of its own, which whoever runs
// the demonstration can have, and which the account's token secret says nothing of. Long lived tokens are never under
// it. Its pins and all else of it stay as they are, until it is removed.
func TestTheDemonstrationDomain(t *testing.T) {
	r := newRig(t)
	demo := account.DemoDomain
	signedBy := func(token, secret string) bool {
		t.Helper()
		key, err := base64.StdEncoding.DecodeString(secret)
		if err != nil || len(key) != 64 {
			t.Fatalf("got a secret of %d bytes, %v", len(key), err)
		}
		head, signature := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.')+1:]
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(head))
		return signature == base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	var changed attestapi.Changed
	r.must(r.dev, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "Shapes.Example", Pins: []string{thePin}}, &changed)
	r.must(r.dev, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: "api.example.com"}, nil)
	var list attestapi.Domains
	if r.must(r.dev, "GET", attestapi.PathDomains, nil, &list); len(list.Domains) != 2 || !list.Domains[1].Demo || list.Domains[0].Demo || list.Domains[1].Domain != demo {
		t.Errorf("got %+v, want the demonstration domain marked", list)
	}
	var own, ofAccount attestapi.Secret
	r.must(r.admin, "GET", attestapi.PathSecret+query("domain", "Shapes.example"), nil, &own)
	r.must(r.admin, "GET", attestapi.PathSecret, nil, &ofAccount)
	if own.Secret == ofAccount.Secret {
		t.Error("the demonstration domain has the account's secret")
	}
	check := func(name string, path string, body any, want string) {
		t.Helper()
		var made attestapi.IssuedToken
		r.must(r.admin, "POST", path, body, &made)
		if signedBy(made.Token, own.Secret) != (want == "own") || signedBy(made.Token, ofAccount.Secret) != (want == "account") {
			t.Errorf("%s: it is not under the secret that is %s", name, want)
		}
	}
	check("a token for the demonstration domain", attestapi.PathExampleToken, attestapi.ExampleToken{Domain: demo}, "own")
	check("an invalid one", attestapi.PathExampleToken, attestapi.ExampleToken{Domain: demo, Type: "invalid"}, "neither")
	check("a token for another domain", attestapi.PathExampleToken, attestapi.ExampleToken{Domain: "api.example.com"}, "account")
	check("a long lived token", attestapi.PathLongLivedToken, attestapi.LongLivedToken{Name: demo, Lifetime: "1d"}, "account")
	for _, other := range []attestapi.APIDomain{{Domain: demo}, {Domain: "SHAPES.example", Pins: []string{thePin, digest(7)}}, {Domain: demo, Format: "jwe", Pins: []string{thePin}}} {
		r.unchanged("another form", func() { r.must(r.admin, "POST", attestapi.PathDomains, other, &changed) })
		if len(changed.Notes) != 1 || changed.Notes[0] != "changes of the demonstration domain are ignored" {
			t.Errorf("%+v: got the notes %q", other, changed.Notes)
		}
	}
	r.must(r.admin, "DELETE", attestapi.PathDomains+query("domain", demo), nil, nil)
	r.must(r.dev, "POST", attestapi.PathDomains, attestapi.APIDomain{Domain: demo}, nil)
	r.must(r.admin, "POST", attestapi.PathSecretUpdate, nil, &ofAccount)
	check("after it was removed and added, and the account's secret replaced", attestapi.PathExampleToken, attestapi.ExampleToken{Domain: demo}, "own")
}
