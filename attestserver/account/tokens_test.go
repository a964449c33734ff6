package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

const days = 24 * time.Hour

func TestManagementTokens(t *testing.T) {
	a, admin, dev := fresh(t)
	joe := account.NewToken{Email: "joe@example.com", Name: "J Bloggs", Role: account.Dev, Lifetime: "1d"}
	row, text, err := a.AddToken(admin, noon, nil, joe)
	if err != nil || !row.Expires.Equal(noon.Add(days)) || row.Initial {
		t.Fatal(row, err)
	}
	by := verified(t, a, text)
	if by.Name != "J Bloggs" || by.Email != "joe@example.com" || by.Role != account.Dev || by.TokenID != row.ID {
		t.Errorf("got %+v", by)
	}
	boss := joe
	boss.Name, boss.Role, boss.Lifetime = "Boss Bloggs", account.Admin, "7d"
	bossRow, bossText, err := a.AddToken(admin, noon, nil, boss)
	if err != nil {
		t.Fatal(err)
	}
	second := verified(t, a, bossText)
	add := func(by account.Actor, change func(*account.NewToken)) func(*account.Account) error {
		return func(a *account.Account) error {
			n := joe
			change(&n)
			_, _, err := a.AddToken(by, noon, nil, n)
			return err
		}
	}
	walk(t, a, []step{
		{name: "a developer makes one", do: add(dev, func(*account.NewToken) {}), code: "forbidden"},
		{name: "without a name", do: add(admin, func(n *account.NewToken) { n.Name = "" }), code: "invalid", part: "name"},
		{name: "in the service's name", do: add(admin, func(n *account.NewToken) { n.Name = "server" }), code: "invalid", part: "name"},
		{name: "a comma in the name", do: add(admin, func(n *account.NewToken) { n.Name = "Bloggs, J" }), code: "invalid", part: "comma"},
		{name: "a comma in the email", do: add(admin, func(n *account.NewToken) { n.Email = "a,b" }), code: "invalid", part: "comma"},
		{name: "a line break in the name", do: add(admin, func(n *account.NewToken) { n.Name = "J\nBloggs" }), code: "invalid", part: "name"},
		{name: "a right-to-left mark in the name", do: add(admin, func(n *account.NewToken) { n.Name = "J\u202eBloggs" }), code: "invalid", part: "name"},
		{name: "a long email", do: add(admin, func(n *account.NewToken) { n.Email = strings.Repeat("a", 255) }), code: "invalid", part: "email"},
		{name: "no role", do: add(admin, func(n *account.NewToken) { n.Role = "" }), code: "invalid", part: "role"},
		{name: "an unknown role", do: add(admin, func(n *account.NewToken) { n.Role = "root" }), code: "invalid", part: "dev, admin or gateway"},
		{name: "no lifetime", do: add(admin, func(n *account.NewToken) { n.Lifetime = "" }), code: "invalid", part: "lifetime"},
		{name: "no time", do: add(admin, func(n *account.NewToken) { n.Lifetime = "0d" }), code: "invalid", part: "lifetime"},
		{name: "longer than one's own", do: add(second, func(n *account.NewToken) { n.Lifetime = "7d1s" }), code: "invalid", part: "later than your own"},
	})
	for _, n := range []account.NewToken{{Name: "same", Role: account.Admin, Lifetime: "7d"}, {Name: "edge", Role: account.Gateway, Lifetime: "1s"}} {
		if _, _, err := a.AddToken(second, noon, nil, n); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
	}
	seen := func(by account.Actor) (names []string) {
		for _, row := range must(a.LiveTokens(by, noon)) {
			names = append(names, row.Name)
		}
		slices.Sort(names)
		return names
	}
	if got, want := seen(admin), []string{"Boss Bloggs", "J Bloggs", "edge", "initial admin", "initial dev", "same"}; !slices.Equal(got, want) {
		t.Errorf("the first administrator sees %v, want %v", got, want)
	}
	if got, want := seen(second), []string{"Boss Bloggs", "J Bloggs", "edge", "same"}; !slices.Equal(got, want) {
		t.Errorf("the second sees %v, want those that expire no later: %v", got, want)
	}
	_, err = a.LiveTokens(dev, noon)
	refused(t, err, attestapi.CodeForbidden, "admin")
	revoke := func(by account.Actor, which string) func(*account.Account) error {
		return func(a *account.Account) error { return a.RevokeToken(by, noon, which) }
	}
	walk(t, a, []step{
		{name: "a developer revokes", do: revoke(dev, row.ID), code: "forbidden"},
		{name: "one's own", do: revoke(second, bossRow.ID), code: "forbidden", part: "before your own"},
		{name: "the first administrator's", do: revoke(second, admin.TokenID), code: "forbidden", part: "when the account was created"},
		{name: "the initial developer's, by the first administrator", do: revoke(admin, dev.TokenID), code: "forbidden", part: "when the account was created"},
		{name: "one that is not there", do: revoke(admin, "nosuch"), code: "not_found"},
		{name: "none", do: revoke(admin, ""), code: "not_found"},
		{name: "by its ID", do: revoke(second, row.ID), log: "management-token.revoke " + row.ID},
		{name: "twice", do: revoke(second, row.ID), code: "not_found"},
		{name: "by its text", do: revoke(admin, bossText), log: "management-token.revoke " + bossRow.ID},
	})
	for _, text := range []string{text, bossText} {
		_, err := a.Verify(text, noon)
		refused(t, err, attestapi.CodeUnauthorized, account.Unauthorized)
	}
}

func TestManagementTokensHaveIDsOfTheirOwn(t *testing.T) {
	a, admin, _ := fresh(t)
	order := account.NewToken{Name: "same", Role: account.Dev, Lifetime: "1d"}
	first, _, err := a.AddToken(admin, noon, strings.NewReader("aaaaa"), order)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := a.AddToken(admin, noon, strings.NewReader("aaaaabbbbb"), order)
	if err != nil || second.ID == first.ID {
		t.Errorf("by the same chance: got %s after %s, %v, want another ID", second.ID, first.ID, err)
	}
}

// The shortest lifetime, from the middle of a second: exp holds whole ones.
func TestAManagementTokenForASecond(t *testing.T) {
	a, admin, _ := fresh(t)
	at := noon.Add(999 * time.Millisecond)
	row, _, err := a.AddToken(admin, at, nil, account.NewToken{Name: "short", Role: account.Dev, Lifetime: "1s"})
	if want := noon.Add(time.Second); err != nil || !row.Expires.Equal(want) || !row.Expires.After(at) {
		t.Errorf("got expiry %v, %v, want %v", row.Expires, err, want)
	}
}

func TestManagementTokensAreBounded(t *testing.T) {
	a, admin, _ := fresh(t)
	for i := 2; i < account.MaxTokens; i++ {
		lifetime := "2d"
		if i == 2 {
			lifetime = "1h"
		}
		if _, _, err := a.AddToken(admin, noon, nil, account.NewToken{Name: fmt.Sprint(i), Role: account.Dev, Lifetime: lifetime}); err != nil {
			t.Fatal(err)
		}
	}
	more := func(a *account.Account) error {
		_, _, err := a.AddToken(admin, noon, nil, account.NewToken{Name: "more", Role: account.Dev, Lifetime: "1d"})
		return err
	}
	walk(t, a, []step{{name: "the 26th", do: more, code: "limit", part: "25"}})
	if _, _, err := a.AddToken(admin, noon.Add(time.Hour), nil, account.NewToken{Name: "more", Role: account.Dev, Lifetime: "1d"}); err != nil {
		t.Errorf("in the place of one that has expired: %v", err)
	}
	if !slices.IsSortedFunc(a.Tokens, func(a, b account.ManagementToken) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("they are not in order")
	}
}

func TestHandmadeTokens(t *testing.T) {
	a, admin, dev := fresh(t)
	d := account.Domain{Name: "api.example.com", Format: account.JWS}
	hour := noon.Add(time.Hour).Unix()
	for _, row := range []struct {
		name, kind, data string
		good             bool
		want             map[string]any
	}{
		{"valid by default", "", "", true, map[string]any{"exp": hour, "did": "ExampleApproovTokenDID==", "ip": "192.0.2.1"}},
		{"bound", "valid", "custom-data", true, map[string]any{"exp": hour, "did": "ExampleApproovTokenDID==", "ip": "192.0.2.1", "pay": "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="}},
		{"invalid", "invalid", "", false, map[string]any{"exp": hour, "did": "ExampleApproovTokenDID==", "ip": "192.0.2.1"}},
		{"failover", "failover", "", true, map[string]any{"exp": hour}},
		{"expired", "expired", "custom-data", true, map[string]any{"exp": hour - 7200, "did": "ExampleApproovTokenDID==", "ip": "192.0.2.1", "pay": "tih+xRFV8PMsDhKthuFdvqWtQpKdT+K8X5W3258EJnU="}},
	} {
		got, err := a.ExampleToken(dev, noon, d, row.kind, row.data)
		if err != nil || got.Good != row.good || fmt.Sprint(got.Claims) != fmt.Sprint(row.want) || got.Expires.Unix() != row.want["exp"] {
			t.Errorf("%s: got %+v, %v, want %v", row.name, got, err, row.want)
		}
	}
	_, err := a.ExampleToken(dev, noon, d, "good", "")
	refused(t, err, attestapi.CodeInvalid, "valid, invalid, expired or failover")
	_, err = a.ExampleToken(dev, noon, d, "failover", "x")
	refused(t, err, attestapi.CodeInvalid, "data")
	_, err = a.ExampleToken(dev, noon, d, "", strings.Repeat("x", 8193))
	refused(t, err, attestapi.CodeInvalid, "data")
	_, err = a.ExampleToken(dev, noon, account.Domain{Name: "x", Format: account.None}, "", "")
	refused(t, err, attestapi.CodeInvalid, "no tokens")
	_, err = a.ExampleToken(account.Actor{Role: account.Gateway}, noon, d, "", "")
	refused(t, err, attestapi.CodeForbidden, "gateway")
	if err := a.SetIPTracking(admin, noon, account.TrackNone); err != nil {
		t.Fatal(err)
	}
	if got := must(a.ExampleToken(dev, noon, d, "", "")); got.Claims["ip"] != nil {
		t.Errorf("without IP tracking: got %v", got.Claims)
	}

	long := func(by account.Actor, name, lives string) func(*account.Account) error {
		return func(a *account.Account) error { _, err := a.LongLivedToken(by, noon, name, lives); return err }
	}
	walk(t, a, []step{
		{name: "a developer", do: long(dev, "server-token", "90d"), code: "forbidden"},
		{name: "no name", do: long(admin, "", "90d"), code: "invalid", part: "name"},
		{name: "no lifetime", do: long(admin, "server-token", ""), code: "invalid", part: "lifetime"},
		{name: "an administrator", do: long(admin, "server-token", "90d"), log: "token.long-lived server-token"},
	})
	got := must(a.LongLivedToken(admin, noon, "server-token", "90d"))
	if want := map[string]any{"exp": noon.Add(90 * days).Unix(), "iss": "server-token"}; fmt.Sprint(got.Claims) != fmt.Sprint(want) || !got.Good {
		t.Errorf("got %+v, want %v", got, want)
	}
}

func TestKeyset(t *testing.T) {
	a, admin, dev := fresh(t)
	for _, row := range []struct{ alg, id, part string }{
		{"HS256", "k", "alg"}, {"", "k", "alg"}, {"ES256", "", "kid"}, {"ES256", "a b", "kid"}, {"ES256", strings.Repeat("a", 65), "kid"},
	} {
		_, err := account.NewKeyPair(row.alg, row.id, noon)
		refused(t, err, attestapi.CodeInvalid, row.part)
	}
	es, rs := must(account.NewKeyPair("ES256", "es-1", noon)), must(account.NewKeyPair("RS256", "rs-1", noon))
	add := func(by account.Actor, pair account.KeyPair) func(*account.Account) error {
		return func(a *account.Account) error { return a.AddKey(by, noon, pair) }
	}
	remove := func(by account.Actor, id string) func(*account.Account) error {
		return func(a *account.Account) error { return a.RemoveKey(by, noon, id) }
	}
	walk(t, a, []step{
		{name: "a developer adds", do: add(dev, es), code: "forbidden"},
		{name: "ES256", do: add(admin, es), log: "keyset.add es-1"},
		{name: "RS256", do: add(admin, rs), log: "keyset.add rs-1"},
		{name: "twice", do: add(admin, must(account.NewKeyPair("RS256", "es-1", noon))), code: "conflict", part: "es-1"},
		{name: "nothing", do: add(admin, account.KeyPair{}), code: "invalid"},
	})
	sizes := map[string][]int{}
	for _, k := range a.Keys {
		if k.ID != "" {
			sizes[k.ID+" "+k.Alg] = append(sizes[k.ID+" "+k.Alg], k.Material.Len()/10) // DER of RSA differs by a byte or two
		}
	}
	if len(sizes) != 2 || len(sizes["es-1 ES256"]) != 2 || len(sizes["rs-1 RS256"]) != 2 || sizes["es-1 ES256"][0] != sizes["es-1 ES256"][1] {
		t.Errorf("keys and decoys: got %v", sizes)
	}
	set := must(a.Keyset())
	if len(set) != 2 || set[0]["kid"] != "es-1" || set[0]["crv"] != "P-256" || set[1]["kty"] != "RSA" || len(set[1]["n"]) != 342 || set[1]["e"] != "AQAB" {
		t.Errorf("got %v", set)
	}
	for _, jwk := range set {
		if jwk["d"] != "" || jwk["use"] != "sig" {
			t.Errorf("got %v", jwk)
		}
	}
	walk(t, a, []step{
		{name: "a domain uses it", do: func(a *account.Account) error {
			return a.AddDomain(admin, noon, account.Domain{Name: "es.example", KeyID: "es-1"})
		}, log: "domain.add es.example"},
		{name: "a key in use", do: remove(admin, "es-1"), code: "conflict", part: "es.example"},
		{name: "a developer removes", do: remove(dev, "rs-1"), code: "forbidden"},
		{name: "a key that is not there", do: remove(admin, "k"), code: "not_found"},
		{name: "no key", do: remove(admin, ""), code: "not_found"},
		{name: "a key no more in use", do: remove(admin, "rs-1"), log: "keyset.remove rs-1"},
	})
	if n := len(a.Keys); n != 7+2 {
		t.Errorf("got %d keys, want the decoy gone too", n)
	}
	for i := len(must(a.Keyset())); i < 10; i++ {
		if err := a.AddKey(admin, noon, must(account.NewKeyPair("ES256", fmt.Sprint(i), noon))); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, a, []step{{name: "the 11th", do: add(admin, rs), code: "limit"}})
}
