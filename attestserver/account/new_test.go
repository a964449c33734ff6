package account_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var network = account.Network{Primary: []string{"https://attest.example.com"}}

// fresh is a new account and an actor for each of its initial tokens.
func fresh(t testing.TB) (a *account.Account, admin, dev account.Actor) {
	t.Helper()
	a, tokens, err := account.New("test-account", nil, noon, network)
	if err != nil {
		t.Fatal(err)
	}
	a.Version = 1 // as the store does
	a.Entries = nil
	return a, verified(t, a, tokens.Admin()), verified(t, a, tokens.Dev())
}

func verified(t testing.TB, a *account.Account, text string) account.Actor {
	t.Helper()
	by, err := a.Verify(text, noon)
	if err != nil {
		t.Fatal(err)
	}
	by.Request = "r-1"
	return by
}

// refused checks that err is a refusal with a code, whose text holds a part.
func refused(t testing.TB, err error, code, part string) {
	t.Helper()
	var e *account.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Text, part) {
		t.Errorf("got %#v, want code %s and %q in the text", err, code, part)
	}
}

func TestAFreshAccountHasAllItNeeds(t *testing.T) {
	a, tokens, err := account.New("test-account", nil, noon, network)
	if err != nil {
		t.Fatal(err)
	}
	count := map[account.Purpose]int{}
	materials := map[string]bool{}
	for _, k := range a.Keys {
		count[k.Purpose]++
		materials[string(k.Material.Bytes())] = true
		if k.Alg == "HS256" && k.Material.Len() != 64 {
			t.Errorf("%s has %d bytes, want 64", k.Purpose, k.Material.Len())
		}
	}
	want := map[account.Purpose]int{account.TokenKey: 1, account.DemoKey: 1, account.DecoyKey: 1, account.ConfigKey: 1,
		account.ControlKey: 1, account.NonceKey: 1, account.ManagementKey: 1}
	if !reflect.DeepEqual(count, want) || len(materials) != len(a.Keys) {
		t.Errorf("got keys %v, %d different ones, want %v", count, len(materials), want)
	}
	if got := a.Policy.String(); got != "default,default,default" {
		t.Errorf("policy: got %s, want default,default,default", got)
	}
	if a.IPTracking != account.TrackToken || a.DemoDomain == "" || a.ConfigVersion != 1 {
		t.Errorf("got tracking %q, demo domain %q, configuration %d", a.IPTracking, a.DemoDomain, a.ConfigVersion)
	}
	library, err := a.Library("", "")
	if err != nil || library.ID != "1001" || library.Platform != "Go" {
		t.Errorf("library: got %v, %v, want 1001 for Go", library, err)
	}
	if parsed, err := attestapi.ParseLibrary(a.File(library)); err != nil || !bytes.Equal(parsed.Key(), library.Key.Bytes()) || parsed.Account != "test-account" {
		t.Errorf("library file: got %v, %v", parsed, err)
	}
	if len(a.Entries) != 1 || a.Entries[0].Action != "account.create" {
		t.Errorf("entries: got %+v, want one account.create", a.Entries)
	}
	for _, row := range []struct {
		text string
		role account.Role
	}{{tokens.Admin(), account.Admin}, {tokens.Dev(), account.Dev}} {
		by, err := a.Verify(row.text, noon)
		if err != nil || by.Role != row.role || !by.Expires.Equal(noon.Add(10*365*24*time.Hour)) {
			t.Errorf("%s: got %+v, %v", row.role, by, err)
		}
	}
	shown := fmt.Sprintf("%v %+v %#v %s", tokens, tokens, tokens, must(json.Marshal(tokens)))
	if strings.Contains(shown, "eyJ") {
		t.Errorf("printing the initial tokens shows them: %s", shown)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestNamesOfAccounts(t *testing.T) {
	for name, ok := range map[string]bool{"a": true, "test-account": true, "9.b_c-d": true, "": false, "-a": false, ".a": false,
		"A": false, "a/b": false, "a b": false, "ä": false, "a\n": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false} {
		_, _, err := account.New(name, nil, noon, network)
		if (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %v", name, err, ok)
		}
	}
	_, _, err := account.New("a", nil, noon, account.Network{})
	refused(t, err, attestapi.CodeInvalid, "network")
	_, _, err = account.New("a", strings.NewReader("short"), noon, network)
	if err == nil {
		t.Error("an account without enough randomness is made")
	}
}

func TestAnAccountTakesOverASecret(t *testing.T) {
	secret := bytes.Repeat([]byte("s3cr"), 16)
	a, _, err := account.NewWithSecret("moved", nil, noon, network, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range a.Keys {
		if same := bytes.Equal(k.Material.Bytes(), secret); same != (k.Purpose == account.TokenKey) {
			t.Errorf("%s: got %v", k.Purpose, same)
		}
	}
	_, _, err = account.NewWithSecret("moved", nil, noon, network, secret[:63])
	refused(t, err, attestapi.CodeInvalid, "63 bytes")
}

func TestVerify(t *testing.T) {
	a, tokens, err := account.New("test-account", nil, noon, network)
	if err != nil {
		t.Fatal(err)
	}
	other, others, err := account.New("other", nil, noon, network)
	if err != nil {
		t.Fatal(err)
	}
	var key []byte
	for _, k := range a.Keys {
		if k.Purpose == account.ManagementKey {
			key = k.Material.Bytes()
		}
	}
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(tokens.Admin(), claims, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithTimeFunc(func() time.Time { return noon })); err != nil {
		t.Fatalf("an independent reader: %v", err)
	}
	for _, name := range []string{"acct", "jti", "sub", "name", "role", "iat", "exp"} {
		if _, ok := claims[name]; !ok {
			t.Errorf("claim %s is missing", name)
		}
	}
	claims["role"] = "gateway"
	forged := must(jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key))
	last := len(tokens.Admin()) - 5
	flipped := tokens.Admin()[:last] + "AAAA" + tokens.Admin()[last+4:]
	revoked := a.Clone()
	revoked.Tokens = revoked.Tokens[:0]
	rehashed := a.Clone()
	for i := range rehashed.Tokens {
		rehashed.Tokens[i].Hash = sha256.Sum256([]byte("another"))
	}
	renamed := a.Clone()
	renamed.Name = "renamed"
	end := noon.Add(10 * 365 * 24 * time.Hour)
	for _, row := range []struct {
		name string
		a    *account.Account
		text string
		at   time.Time
		ok   bool
	}{
		{"the admin token", a, tokens.Admin(), noon, true},
		{"the dev token", a, tokens.Dev(), noon, true},
		{"a second before its end", a, tokens.Admin(), end.Add(-time.Second), true},
		{"at its end", a, tokens.Admin(), end, false},
		{"another account's", a, others.Admin(), noon, false},
		{"on another account", other, tokens.Admin(), noon, false},
		{"on an account of another name, with the same keys", renamed, tokens.Admin(), noon, false},
		{"rightly signed with changed claims", a, forged, noon, false},
		{"with a changed signature", a, flipped, noon, false},
		{"with something behind it", a, tokens.Admin() + " ", noon, false},
		{"revoked", revoked, tokens.Admin(), noon, false},
		{"with the hash of another text", rehashed, tokens.Admin(), noon, false},
		{"empty", a, "", noon, false},
		{"too long", a, strings.Repeat("a", 5000), noon, false},
		{"on an account without keys", &account.Account{Name: "test-account"}, tokens.Admin(), noon, false},
	} {
		by, err := row.a.Verify(row.text, row.at)
		if (err == nil) != row.ok {
			t.Errorf("%s: got %+v, %v, want ok %v", row.name, by, err, row.ok)
		}
		if !row.ok {
			refused(t, err, attestapi.CodeUnauthorized, "your management token is invalid, revoked or expired - contact your Approov administrator")
		}
	}
	for text, want := range map[string]string{tokens.Admin(): "test-account", others.Dev(): "other", "": "", "a.b.c": "", "a.e30.c": ""} {
		if name, ok := account.TokenAccount(text); name != want || ok != (want != "") {
			t.Errorf("TokenAccount(%.10s…): got %q, %v, want %q", text, name, ok, want)
		}
	}
}
