package account_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// app is a registration of an app with a digest of its own.
func app(pkg, version string) account.Registration {
	return account.Registration{Digest: sha256.Sum256([]byte(pkg + version)), Package: pkg, Version: version, Library: "1001"}
}

func register(by account.Actor, r account.Registration, lives string) func(*account.Account) error {
	return func(a *account.Account) error { _, err := a.AddRegistration(by, noon, r, lives); return err }
}

func unregister(by account.Actor, r account.Registration) func(*account.Account) error {
	return func(a *account.Account) error { _, err := a.RemoveRegistration(by, noon, r.Signature()); return err }
}

func TestRegistrations(t *testing.T) {
	a, _, dev := fresh(t)
	demo := app("com.criticalblue.demo", "2.0[3]")
	text := demo.Signature()
	same := app("x-1", "2") // written like the next one
	alike := account.Registration{Digest: same.Digest, Package: "x", Version: "1-2", Library: "1001"}
	walk(t, a, []step{
		{name: "a developer registers an app", do: register(dev, demo, ""), log: "registration.add " + text},
		{name: "with an annotation", do: register(dev, app("com.criticalblue.demo", "special"), "3d"), log: "registration.add " + app("com.criticalblue.demo", "special").Signature()},
		{name: "a Go package", do: register(dev, app("example.com/cmd/tool", "v1.2.3"), ""), log: "registration.add " + app("example.com/cmd/tool", "v1.2.3").Signature()},
		{name: "without a package", do: register(dev, app("", "1"), ""), code: "invalid", part: "package"},
		{name: "without a version", do: register(dev, app("a", ""), ""), code: "invalid", part: "version"},
		{name: "a space in the version", do: register(dev, app("a", "1 2"), ""), code: "invalid", part: "no space"},
		{name: "a line break in the package", do: register(dev, app("a\nb", "1"), ""), code: "invalid", part: "package"},
		{name: "a long version", do: register(dev, app("a", strings.Repeat("1", 101)), ""), code: "invalid", part: "version"},
		{name: "another SDK", do: register(dev, account.Registration{Package: "a", Version: "1", Library: "1002"}, ""), code: "invalid", part: "library_id"},
		{name: "no SDK", do: register(dev, account.Registration{Package: "a", Version: "1"}, ""), code: "invalid", part: "library_id"},
		{name: "for no time", do: register(dev, app("a", "1"), "0s"), code: "invalid", part: "lifetime"},
		{name: "units in disorder", do: register(dev, app("a", "1"), "12h3d"), code: "invalid", part: "in this order"},
		{name: "a gate", do: register(account.Actor{Role: account.Gateway}, demo, ""), code: "forbidden"},
		{name: "one", do: register(dev, same, ""), log: "registration.add " + same.Signature()},
		{name: "another with the same signature", do: register(dev, alike, ""), code: "conflict", part: "another version name"},
	})
	if !strings.HasSuffix(text, "=com.criticalblue.demo-2.0[3]-1001") {
		t.Errorf("signature: got %s", text)
	}
	live := a.LiveRegistrations(noon)
	if len(live) != 4 || live[0].By != "initial dev" || live[0].ByRole != account.Dev {
		t.Errorf("got %+v", live)
	}
	if after := a.LiveRegistrations(noon.Add(3 * 24 * time.Hour)); len(after) != 3 {
		t.Errorf("three days later: got %d, want 3", len(after))
	}
}

func TestRegisteringAgainKeepsTheLaterExpiry(t *testing.T) {
	for _, row := range []struct{ first, second, want string }{
		{"", "", ""}, {"", "3d", ""}, {"3d", "", ""}, {"3d", "5d", "5d"}, {"5d", "3d", "5d"}, {"3d", "3d", "3d"},
	} {
		a, _, dev := fresh(t)
		later := noon.Add(time.Hour)
		first, err := a.AddRegistration(dev, noon, app("a", "1"), row.first)
		if err != nil || !first.Registered.Equal(noon) {
			t.Fatal(first, err)
		}
		got, err := a.AddRegistration(dev, later, app("a", "1"), row.second)
		if err != nil || len(a.Registrations) != 1 || !got.Registered.Equal(later) {
			t.Errorf("%v: got %+v, %v, want one, registered anew", row, got, err)
		}
		var want time.Time
		if row.want != "" {
			length := must(account.ParseDuration(row.want))
			if want = noon.Add(length); row.want == row.second && row.second != row.first || row.first == row.second {
				want = later.Add(length)
			}
		}
		if !got.Expires.Equal(want) {
			t.Errorf("%v: got expiry %v, want %v", row, got.Expires, want)
		}
	}
}

// Less than a second is never taken off, and who was first stays among administrators.
func TestRegistrationsKeepWhatTheyPromise(t *testing.T) {
	a, admin, _ := fresh(t)
	got, err := a.AddRegistration(admin, noon.Add(time.Millisecond), app("a", "1"), "1m")
	if want := noon.Add(61 * time.Second); err != nil || !got.Expires.Equal(want) {
		t.Errorf("got expiry %v, %v, want %v", got.Expires, err, want)
	}
	second := admin
	second.Name = "another"
	if got, err = a.AddRegistration(second, noon, app("a", "1"), ""); err != nil || got.By != admin.Name {
		t.Errorf("registered again by another administrator: got %q, %v, want %q, who was first", got.By, err, admin.Name)
	}
}

func TestRegistrationsAreBounded(t *testing.T) {
	a, admin, dev := fresh(t)
	for i := range account.MaxRegistrations {
		lives := ""
		if i == 0 {
			lives = "1h"
		}
		if _, err := a.AddRegistration(dev, noon, app("a", fmt.Sprint(i)), lives); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSortedFunc(a.Registrations, func(a, b account.Registration) int { return strings.Compare(a.Signature(), b.Signature()) }) {
		t.Error("they are not in order")
	}
	walk(t, a, []step{
		{name: "the 251st", do: register(admin, app("b", "1"), ""), code: "limit", part: "250"},
		{name: "one of the 250 again", do: register(dev, app("a", "7"), ""), log: "registration.add " + app("a", "7").Signature()},
	})
	if _, err := a.AddRegistration(dev, noon.Add(time.Hour), app("b", "1"), ""); err != nil {
		t.Errorf("in the place of one that has expired: %v", err)
	}
}

// R82: who may remove what.
func TestWhoMayRemoveARegistration(t *testing.T) {
	other := func(role account.Role) account.Actor {
		return account.Actor{TokenID: "x", Name: "Joe", Role: role, Expires: noon.Add(time.Hour), Request: "r-1"}
	}
	for _, row := range []struct {
		name  string
		by    account.Role
		lives string
		who   func(admin, dev account.Actor) account.Actor
		part  string // of the refusal; empty: it goes
	}{
		{"one's own permanent one", account.Dev, "", func(_, dev account.Actor) account.Actor { return dev }, ""},
		{"another developer's permanent one", account.Dev, "", func(_, _ account.Actor) account.Actor { return other(account.Dev) }, "made by initial dev"},
		{"another developer's temporary one", account.Dev, "1d", func(_, _ account.Actor) account.Actor { return other(account.Dev) }, ""},
		{"a developer's permanent one, by an administrator", account.Dev, "", func(admin, _ account.Actor) account.Actor { return admin }, ""},
		{"an administrator's permanent one", account.Admin, "", func(_, dev account.Actor) account.Actor { return dev }, "administration management token"},
		{"an administrator's temporary one", account.Admin, "1d", func(_, dev account.Actor) account.Actor { return dev }, "administration management token"},
		{"an administrator's, by another", account.Admin, "", func(_, _ account.Actor) account.Actor { return other(account.Admin) }, ""},
		{"a developer's, by a gate", account.Dev, "1d", func(_, _ account.Actor) account.Actor { return other(account.Gateway) }, "needs a management token"},
	} {
		a, admin, dev := fresh(t)
		by := dev
		if row.by == account.Admin {
			by = admin
		}
		s := step{name: row.name, do: unregister(row.who(admin, dev), app("a", "1")), log: "registration.remove " + app("a", "1").Signature()}
		if row.part != "" {
			s.code, s.part = "forbidden", row.part
		}
		walk(t, a, []step{{name: "made", do: register(by, app("a", "1"), row.lives), log: "registration.add " + app("a", "1").Signature()}, s})
	}
	a, admin, dev := fresh(t)
	made := "registration.add " + app("a", "1").Signature()
	walk(t, a, []step{
		{name: "one that is not there", do: unregister(admin, app("a", "1")), code: "not_found"},
		{name: "an administrator registers", do: register(admin, app("a", "1"), ""), log: made},
		{name: "a developer registers it again", do: register(dev, app("a", "1"), ""), log: made},
		{name: "and does not gain the right by that", do: unregister(dev, app("a", "1")), code: "forbidden"},
		{name: "a developer registers", do: register(dev, app("b", "1"), ""), log: "registration.add " + app("b", "1").Signature()},
		{name: "another registers it again", do: register(other(account.Dev), app("b", "1"), ""), log: "registration.add " + app("b", "1").Signature()},
		{name: "and does not gain the right either", do: unregister(other(account.Dev), app("b", "1")), code: "forbidden"},
		{name: "an administrator registers it again", do: register(admin, app("b", "1"), ""), log: "registration.add " + app("b", "1").Signature()},
		{name: "and takes it over", do: unregister(dev, app("b", "1")), code: "forbidden", part: "administration"},
	})
}

func TestRemoveMatching(t *testing.T) {
	a, admin, dev := fresh(t)
	const days = 24 * time.Hour
	for i, age := range []time.Duration{40 * days, 31 * days, 30 * days, days} {
		for _, pkg := range []string{"com.a", "com.ab"} {
			if _, err := a.AddRegistration(dev, noon.Add(-age), app(pkg, fmt.Sprint(i)), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	matching := func(by account.Actor, pkg, age string) func(*account.Account) error {
		return func(a *account.Account) error { _, err := a.RemoveMatching(by, noon, pkg, age); return err }
	}
	walk(t, a, []step{
		{name: "a developer", do: matching(dev, "com.a", "30d"), code: "forbidden"},
		{name: "no age", do: matching(admin, "com.a", ""), code: "invalid", part: "older_than"},
		{name: "no package", do: matching(admin, "", "30d"), code: "invalid", part: "package"},
		{name: "nothing that old", do: matching(admin, "com.a", "1y")},
		{name: "part of a name", do: matching(admin, "com", "30d")},
	})
	tried := a.Clone()
	removed, err := tried.RemoveMatching(admin, noon, "com.a", "30d")
	if err != nil || len(removed) != 2 || removed[0].Version != "1" || removed[1].Version != "0" {
		t.Errorf("got %+v, %v, want those of 31 and 40 days, not that of exactly 30", removed, err)
	}
	if len(tried.Registrations) != 6 || len(a.Registrations) != 8 {
		t.Errorf("got %d left, and %d in what it was tried on a copy of", len(tried.Registrations), len(a.Registrations))
	}
	if n := len(tried.Entries) - len(a.Entries); n != 2 {
		t.Errorf("got %d entries, want one for each", n)
	}
	if removed, err = tried.RemoveMatching(admin, noon, "com.ab", "0s"); err != nil || len(removed) != 4 {
		t.Errorf("older than no time: got %d, %v, want 4", len(removed), err)
	}
}

func TestExpiredOnesDisappear(t *testing.T) {
	a, admin, dev := fresh(t)
	if _, err := a.AddRegistration(dev, noon, app("a", "1"), "1h"); err != nil {
		t.Fatal(err)
	}
	row, _, err := a.AddToken(admin, noon, nil, account.NewToken{Name: "Joe", Role: account.Dev, Lifetime: "1h"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.UpdateSecret(admin, noon, nil); err != nil {
		t.Fatal(err)
	}
	keys := len(a.Keys)
	a.Entries = nil
	if a.Expire(noon.Add(5*time.Minute)) || len(a.Entries) != 0 {
		t.Errorf("too early: got %+v", a.Entries)
	}
	if !a.Expire(noon.Add(time.Hour)) || len(a.Registrations) != 0 || len(a.Tokens) != 2 || len(a.Keys) != keys-1 {
		t.Errorf("got %d registrations, %d tokens, %d keys", len(a.Registrations), len(a.Tokens), len(a.Keys))
	}
	var actions []string
	for _, e := range a.Entries {
		actions = append(actions, e.By+" "+e.Action+" "+e.Subject)
	}
	want := []string{"server registration.expire " + app("a", "1").Signature(), "server management-token.expire " + row.ID, "server key.expire token"}
	if !slices.Equal(actions, want) {
		t.Errorf("got %q, want %q", actions, want)
	}
	if a.Expire(noon.Add(time.Hour)) {
		t.Error("twice")
	}
}

func TestNewerLibrary(t *testing.T) {
	a, _, dev := fresh(t)
	if _, newer := a.NewerLibrary("1001"); newer {
		t.Error("the only one is not the latest")
	}
	for _, row := range []struct {
		version string
		newer   bool
	}{{"1.0.0", false}, {"0.9", false}, {"1.0.1", true}, {"1.10.0", true}} {
		b := a.Clone()
		if _, err := b.AddLibrary(dev, noon, nil, "Go", row.version); err != nil {
			t.Fatal(err)
		}
		if latest, newer := b.NewerLibrary("1001"); newer != row.newer || latest.Version != row.version {
			t.Errorf("%s: got %v, %v, want %v", row.version, latest, newer, row.newer)
		}
	}
	if _, newer := a.NewerLibrary("7"); newer {
		t.Error("of a library that is not there")
	}
}

func TestLibraries(t *testing.T) {
	a, admin, dev := fresh(t)
	add := func(by account.Actor, platform, version string) func(*account.Account) error {
		return func(a *account.Account) error { _, err := a.AddLibrary(by, noon, nil, platform, version); return err }
	}
	remove := func(by account.Actor, id string) func(*account.Account) error {
		return func(a *account.Account) error { return a.RemoveLibrary(by, noon, id) }
	}
	walk(t, a, []step{
		{name: "a developer makes one", do: add(dev, "Go", ""), log: "library.add 1002"},
		{name: "for another version", do: add(dev, "Go", "1.1"), log: "library.add 1003"},
		{name: "for Android", do: add(dev, "Android", ""), code: "invalid", part: "platform"},
		{name: "for no version", do: add(dev, "Go", "latest"), code: "invalid", part: "version"},
		{name: "a gate", do: add(account.Actor{Role: account.Gateway}, "Go", ""), code: "forbidden"},
		{name: "an app with the second", do: register(dev, account.Registration{Package: "a", Version: "1", Library: "1002"}, ""),
			log: "registration.add " + account.Registration{Package: "a", Version: "1", Library: "1002"}.Signature()},
		{name: "a developer removes one", do: remove(dev, "1001"), code: "forbidden"},
		{name: "one that an app has", do: remove(admin, "1002"), code: "conflict", part: "1 registered app"},
		{name: "the latest", do: remove(admin, "1003"), code: "conflict", part: "latest"},
		{name: "one that is not there", do: remove(admin, "1004"), code: "not_found"},
		{name: "none", do: remove(admin, ""), code: "not_found"},
		{name: "the first", do: remove(admin, "1001"), log: "library.remove 1001"},
		{name: "the next has a new number", do: add(dev, "Go", ""), log: "library.add 1004"},
	})
	if latest := a.LatestLibraries(); latest[0].ID != "1004" || latest[2].ID != "1002" {
		t.Errorf("got %v", latest)
	}
	for _, row := range []struct{ id, platform, want string }{
		{"", "", "1004"}, {"", "Go", "1004"}, {"1002", "", "1002"}, {"1002", "Go", "1002"}, {"1001", "", ""}, {"", "iOS", ""}, {"1002", "iOS", ""},
	} {
		l, err := a.Library(row.id, row.platform)
		if l.ID != row.want {
			t.Errorf("%v: got %v, %v", row, l, err)
		}
		if row.want == "" {
			refused(t, err, attestapi.CodeNotFound, "SDK library")
		}
	}
	for len(a.Libraries) < account.MaxLibraries {
		if err := add(dev, "Go", "")(a); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, a, []step{{name: "the 26th", do: add(admin, "Go", ""), code: "limit", part: "25"}})
}
