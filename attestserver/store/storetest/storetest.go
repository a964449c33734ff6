// Package storetest is what keeping accounts must mean, as tests: one suite that every dialect of package store
// passes. It asks through store.Store alone, and what it needs to know of a database besides stands in Database.
//
// Start reading at Run.
package storetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/seal"
	"github.com/approovgate/approovgate/attestserver/store"
)

// Database is an empty database of a dialect, made for one test.
type Database struct {
	// Open opens another Store upon it. Run's tests close what they open.
	Open func(ctx context.Context, seal store.Sealer) (store.Store, error)
	// Bytes are all the bytes that it has on its disk, whatever the files.
	Bytes func(t *testing.T) []byte
}

// Run runs the suite. make makes a database that is thrown away after the test.
func Run(t *testing.T, make func(t *testing.T) Database) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"an account is created and read", testCreate},
		{"an account is changed", testChange},
		{"what is refused changes nothing", testRefused},
		{"what has not changed is not written", testUnchanged},
		{"concurrent changes are all made", testConcurrentChanges},
		{"concurrent creations of one name succeed once", testConcurrentCreations},
		{"accounts that are handed out are not shared", testNotShared},
		{"readers see whole changes", testWholeChanges},
		{"every field is kept", testEveryField},
		{"random accounts reload equal", testRandomAccounts},
		{"what cannot be kept is refused", testUnkept},
		{"the audit log is read in pages", testAudit},
		{"a nonce is fresh once", testNonces},
		{"a nonce is fresh once in a race", testNonceRace},
		{"a caller that gives up loses nobody's nonces", testNonceGivesUp},
		{"expired nonces are forgotten", testPrune},
		{"failed attestations are kept", testFailures},
		{"failed attestations are forgotten", testPruneFailures},
		{"failures of a wrong clock", testFailuresOfAWrongClock},
		{"secrets are sealed", testSealed},
		{"another key is refused", testWrongKey},
		{"a context that has ended", testEndedContext},
		{"a store that is closed", testClosed},
		{"what was kept is there when it is opened again", testReopened},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, make(t)) })
	}
}

// Start is the time the accounts of the suite were made.
var start = time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)

// Sealer is a sealer under a key made of one byte.
func Sealer(t testing.TB, fill byte) store.Sealer {
	t.Helper()
	key, err := seal.NewKey(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return seal.New(key)
}

func open(t testing.TB, db Database) store.Store {
	t.Helper()
	s, err := db.Open(t.Context(), Sealer(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// Small is an account with something of everything.
func Small(name string) *account.Account {
	return &account.Account{
		Name: name, Created: start, Version: 1, ConfigVersion: 1, IPTracking: account.TrackToken, DemoDomain: "demo.example",
		Policy:  account.Policy{Rules: "default", Rejection: account.RejectAllowRoot, Annotation: account.AnnotateAll},
		Network: account.Network{Primary: []string{"https://a.example"}, Pins: []string{"pin1", "pin2"}},
		Keys: []account.Key{
			{Purpose: account.TokenKey, Alg: "HS256", Material: account.NewSecret([]byte("the token secret of an account, the former")), Created: start, NotAfter: start.Add(time.Hour)},
			{Purpose: account.TokenKey, Alg: "HS256", Material: account.NewSecret([]byte("the token secret of an account")), Created: start},
		},
		Domains:       []account.Domain{{Name: "api.example", Format: account.JWE, KeyID: "k1", Pins: []string{"p"}}, {Name: "demo.example"}},
		Registrations: []account.Registration{{Digest: [32]byte{1}, Package: "com.example", Version: "2.0[3]", Library: "1041", Registered: start, By: "ann", ByRole: account.Dev}},
		Devices:       []account.Device{{ID: "h4gubfCFzJu81j/U2BJsdg==", PinMode: account.PinOff, By: "ann"}},
		Libraries:     []account.Library{{ID: "1041", Platform: "Go", Version: "1.0.0", Key: account.NewSecret([]byte("sixteen bytes! !")), Created: start}},
		Tokens:        []account.ManagementToken{{ID: "t1", Hash: [32]byte{2}, Email: "ann@example.com", Name: "ann", Role: account.Admin, Issued: start, Expires: start.Add(time.Hour), Initial: true}},
		Controls:      []account.Control{{Gate: "edge", Version: 3, Mode: "bypass", Routes: map[string]string{"r": "log"}, Until: start.Add(time.Minute), Reason: "why", By: "ann"}},
	}
}

// Note is an entry for the audit log.
func Note(action string) account.Entry {
	return account.Entry{At: start, By: "ann", Role: account.Admin, Action: action, Subject: "s", Detail: "d", Request: "r"}
}

func create(t testing.TB, s store.Store, a *account.Account) {
	t.Helper()
	c := a.Clone()
	c.Entries = []account.Entry{Note("account.create")}
	if err := s.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// one is the account of a name, as Accounts reads it.
func one(t testing.TB, s store.Store, name string) *account.Account {
	t.Helper()
	all, _, err := s.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// change makes a change that must succeed.
func change(t testing.TB, s store.Store, name string, do func(*account.Account)) *account.Account {
	t.Helper()
	after, err := s.Change(t.Context(), name, func(a *account.Account) error {
		do(a)
		a.Entries = append(a.Entries, Note("changed"))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return after
}

func generation(t testing.TB, s store.Store) int64 {
	t.Helper()
	n, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantEqual compares accounts, and says in which field they differ first. Secrets are compared, not shown.
func wantEqual(t testing.TB, what string, got, want *account.Account) {
	t.Helper()
	if got == nil {
		t.Fatalf("%s: got no account", what)
	}
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		if name := g.Type().Field(i).Name; !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s: %s: got %+v, want %+v", what, name, short(g.Field(i).Interface()), short(w.Field(i).Interface()))
		}
	}
}

func short(value any) string {
	text := fmt.Sprintf("%+v", value)
	return text[:min(len(text), 300)]
}

func wantError(t testing.TB, what string, got error, part string) {
	t.Helper()
	if got == nil || !strings.Contains(got.Error(), part) {
		t.Errorf("%s: got %v, want an error with %q", what, got, part)
	}
}

func testSealed(t *testing.T, db Database) {
	s := open(t, db)
	secrets := [][]byte{[]byte("OLDMATERIAL-0123456789-OLDMATERIAL-0123456789"), []byte("NEWMATERIAL-0123456789-NEWMATERIAL-0123456789"), []byte("LIBRARYKEY-16-AA")}
	a := Small("acme")
	a.Keys = append(a.Keys, account.Key{Purpose: account.NonceKey, Material: account.NewSecret(secrets[0])})
	a.Libraries[0].Key = account.NewSecret(secrets[2])
	create(t, s, a)
	change(t, s, "acme", func(a *account.Account) { a.Keys[2].Material = account.NewSecret(secrets[1]) })
	if got := one(t, s, "acme").Keys[2].Material.Bytes(); !bytes.Equal(got, secrets[1]) {
		t.Error("got another secret read than was kept")
	}
	disk := db.Bytes(t)
	if !bytes.Contains(disk, []byte("h4gubfCFzJu81j/U2BJsdg==")) {
		t.Error("got no device ID on the disk, want to find what is not sealed: is it the right file?")
	}
	for _, secret := range secrets {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.RawStdEncoding.EncodeToString(secret[:15])} {
			if bytes.Contains(disk, []byte(form)) {
				t.Errorf("got the secret %.20s… on the disk in clear", secret)
			}
		}
	}
}

func testWrongKey(t *testing.T, db Database) {
	create(t, open(t, db), Small("acme"))
	s, err := db.Open(t.Context(), Sealer(t, 2))
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("got %v, want %v", err, seal.ErrWrongKey)
	}
}

func testEndedContext(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range all(ended, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", what, err, context.Canceled)
		}
	}
	wantEqual(t, "afterwards", one(t, s, "acme"), Small("acme"))
}

func testClosed(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range all(t.Context(), s) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want %v", what, err, store.ErrClosed)
		}
	}
	if changed := s.Changed(); changed != nil {
		for range changed { // until it is closed
		}
	}
}

// all asks everything once.
func all(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{}
	_, errs["Generation"] = s.Generation(ctx)
	_, _, errs["Accounts"] = s.Accounts(ctx)
	errs["Create"] = s.Create(ctx, Small("other"))
	_, errs["Change"] = s.Change(ctx, "acme", func(a *account.Account) error {
		a.DemoDomain, a.Entries = "changed", []account.Entry{Note("changed")}
		return nil
	})
	_, errs["Audit"] = s.Audit(ctx, "acme", 0, 10)
	_, errs["Consume"] = s.Consume(ctx, []store.Nonce{{ID: [16]byte{1}, Until: start}})
	_, errs["Prune"] = s.Prune(ctx, start)
	errs["KeepFailures"] = s.KeepFailures(ctx, []store.Failure{failure("acme", 1, true)})
	_, errs["Failures"] = s.Failures(ctx, store.FailureQuery{Account: "acme", Device: "x", Limit: 1})
	_, errs["PruneFailures"] = s.PruneFailures(ctx, start)
	return errs
}

func testReopened(t *testing.T, db Database) {
	s := open(t, db)
	create(t, s, Small("acme"))
	if fresh, err := s.Consume(t.Context(), []store.Nonce{{ID: [16]byte{7}, Until: start}}); err != nil || !fresh[0] {
		t.Fatalf("got %v, %v, want a fresh nonce", fresh, err)
	}
	before := generation(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, db)
	wantEqual(t, "opened again", one(t, again, "acme"), Small("acme"))
	if got := generation(t, again); got != before {
		t.Errorf("got generation %d, want %d", got, before)
	}
	if fresh, err := again.Consume(t.Context(), []store.Nonce{{ID: [16]byte{7}, Until: start}}); err != nil || fresh[0] {
		t.Errorf("got %v, %v, want a used nonce", fresh, err)
	}
}
