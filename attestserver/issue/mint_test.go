package issue_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/mint"
	"github.com/approovgate/approovgate/token"
)

var claims = map[string]any{
	"anno": []string{"rooted"}, "did": "h4gubfCFzJu81j/U2BJsdg==", "exp": start.Add(5 * time.Minute).Unix(), "ip": "192.0.2.7",
	"pay": token.Pay([]byte("custom-data")),
}

func TestGoodAndDecoyTokensLookTheSame(t *testing.T) {
	a := testAccount(t)
	payload, err := mint.Canonical(claims)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := issue.NewIssuer(a, start)
	if err != nil {
		t.Fatal(err)
	}
	good, err := issuer.All(payload, true)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := issuer.All(payload, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(good) != 6 || len(bad) != 6 {
		t.Fatalf("got %d good tokens and %d others, want one for each of 6 domains", len(good), len(bad))
	}
	for domain, text := range good {
		other := bad[domain]
		if text == other || len(text) != len(other) || strings.Count(text, ".") != strings.Count(other, ".") {
			t.Errorf("%s: got %d and %d characters, want different tokens of the same shape", domain, len(text), len(other))
		}
		if strings.Count(text, ".") == 2 {
			if text[:strings.LastIndexByte(text, '.')] != other[:strings.LastIndexByte(other, '.')] {
				t.Errorf("%s: got headers or claims that differ, want only the signature to", domain)
			}
		}
		if got := issue.Check(a, text, start); !got.Valid || got.Expired || got.Claims != payload {
			t.Errorf("%s: got %+v, want a valid token", domain, got)
		}
		if got := issue.Check(a, other, start); got.Valid || got.Claims != payload {
			t.Errorf("%s: got %+v, want an invalid token whose claims can be read", domain, got)
		}
	}
	if good["api.example.com"] == good["demo.example.com"] {
		t.Error("got the same token for the demonstration domain, want one under a secret of its own")
	}
}

// Each JWE has a content key of its own, so that no two domains can tell that a device is the same by equal texts.
func TestEncryptedTokensAreNotShared(t *testing.T) {
	a := testAccount(t)
	a.Domains = []account.Domain{{Name: "a.example.com", Format: account.JWE}, {Name: "b.example.com", Format: account.JWE},
		{Name: "c.example.com", Format: account.JWS}, {Name: "d.example.com", Format: account.JWS}}
	issuer, err := issue.NewIssuer(a, start)
	if err != nil {
		t.Fatal(err)
	}
	all, err := issuer.All(`{"exp":1}`, true)
	if err != nil || all["a.example.com"] == all["b.example.com"] || all["c.example.com"] != all["d.example.com"] {
		t.Errorf("got %v, %v, want encrypted tokens that differ, and signed ones that are shared", all, err)
	}
}

func TestTokensAreWhatPackageMintMakes(t *testing.T) {
	a := testAccount(t)
	for _, row := range []struct {
		name, domain string
		good         bool
		secret       byte
	}{
		{"a good token of the account", "api.example.com", true, 'n'},
		{"a decoy of the account", "api.example.com", false, 'y'},
		{"a good token of the demonstration domain", "demo.example.com", true, 'D'},
		{"a decoy of the demonstration domain", "demo.example.com", false, 'y'},
	} {
		got, err := issue.Mint(a, find(t, a, row.domain), claims, row.good)
		if err != nil {
			t.Fatal(err)
		}
		want, err := mint.Sign("HS256", "", secret(row.secret).Bytes(), claims)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", row.name, got, want)
		}
	}
	if got, err := issue.Mint(a, account.Domain{}, claims, true); err != nil || !issue.Check(a, got, start).Valid {
		t.Errorf("a token of no domain: got %v, want one under the account secret", err)
	}
	if _, err := issue.Mint(a, find(t, a, "open.example.com"), claims, true); err == nil {
		t.Error("a domain that needs no tokens: got a token, want none")
	}
	for _, d := range []string{"ec.example.com", "rsa.example.com"} {
		one, _ := issue.Mint(a, find(t, a, d), claims, true)
		two, _ := issue.Mint(a, find(t, a, d), claims, true)
		if one != two {
			t.Errorf("%s: got two tokens for the same claims, want the same one, which its loggable form can be checked by", d)
		}
	}
	header, _, _ := strings.Cut(func() string { s, _ := issue.Mint(a, find(t, a, "ec.example.com"), claims, true); return s }(), ".")
	if text, _ := base64.RawURLEncoding.DecodeString(header); string(text) != `{"alg":"ES256","kid":"e1","typ":"JWT"}` {
		t.Errorf("header: got %s, want sorted members", text)
	}
}

func TestAnAccountThatCannotIssueIsAnError(t *testing.T) {
	for _, row := range []struct {
		name string
		harm func(a *account.Account)
	}{
		{"no current secret", func(a *account.Account) { a.Keys[1].NotAfter = start.Add(time.Hour) }},
		{"no decoy", func(a *account.Account) { a.Keys[3].Purpose = "" }},
		{"no secret of the demonstration domain", func(a *account.Account) { a.Keys[2].Purpose = "" }},
		{"a domain whose key is not there", func(a *account.Account) { a.Domains[2].KeyID = "e2" }},
		{"a domain whose key has no decoy", func(a *account.Account) { a.Keys[5].Purpose = "" }},
		{"a key that does not fit its algorithm", func(a *account.Account) { a.Keys[4].Alg = "RS256" }},
		{"a key that is none", func(a *account.Account) { a.Keys[4].Material = secret('x') }},
		{"an unknown format", func(a *account.Account) { a.Domains[0].Format = "paseto" }},
	} {
		a := testAccount(t)
		row.harm(a)
		if _, err := issue.NewIssuer(a, start); err == nil {
			t.Errorf("%s: got an issuer, want an error", row.name)
		}
	}
}

func TestLifetime(t *testing.T) {
	for _, row := range []struct {
		name  string
		flags []string
		want  time.Duration
	}{
		{"no flags", nil, 5 * time.Minute},
		{"an emulator", []string{"emulator"}, 5 * time.Minute},
		{"a rooted device", []string{"debug", "rooted"}, 2 * time.Minute},
		{"a jailbroken device", []string{"jailbroken"}, 2 * time.Minute},
		{"a device that may be rooted", []string{"root-risk"}, 2 * time.Minute},
		{"a hidden Magisk", []string{"magisk-man-hidden"}, 2 * time.Minute},
	} {
		if got := issue.Lifetime(row.flags); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
