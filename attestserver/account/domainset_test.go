package account_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/attestserver/account"
)

// twoDomains is an account with a.example (pin 1), b.example (encrypted) and the demonstration domain (pin 9).
func twoDomains(t *testing.T) (a *account.Account, admin, dev account.Actor) {
	t.Helper()
	a, admin, dev = fresh(t)
	if err := a.AddKey(admin, noon, must(account.NewKeyPair("ES256", "k1", noon))); err != nil {
		t.Fatal(err)
	}
	for _, d := range []account.Domain{{Name: "a.example", Pins: []string{pin(1)}}, {Name: "b.example", Format: account.JWE}, {Name: a.DemoDomain, Pins: []string{pin(9)}}} {
		if err := a.AddDomain(dev, noon, d); err != nil {
			t.Fatal(err)
		}
	}
	a.Entries = nil
	return a, admin, dev
}

// R128: all domains are replaced at once, with one line of the audit log for each that changes, and apps learn of it
// once, if there is something that they are told.
func TestDomainsAreReplaced(t *testing.T) {
	first, second := account.Domain{Name: "a.example", Pins: []string{pin(1)}}, account.Domain{Name: "b.example", Format: account.JWE}
	demo := account.Domain{Name: account.DemoDomain, Pins: []string{pin(9)}}
	for _, row := range []struct {
		name    string
		wanted  []account.Domain
		changes string
		learn   bool
	}{
		{"as they are", []account.Domain{demo, second, {Name: "A.Example", Format: "jws", Pins: []string{pin(1)}}}, "", false},
		{"one more", []account.Domain{first, second, demo, {Name: "C.example"}}, "domain.add c.example []", true},
		{"one less", []account.Domain{first, demo}, "domain.remove b.example []", true},
		{"other pins", []account.Domain{{Name: "a.example", Pins: []string{pin(2), pin(1)}}, second, demo}, "domain.change a.example [pins]", true},
		{"another format", []account.Domain{first, {Name: "b.example"}, demo}, "domain.change b.example [token format]", true},
		{"another key", []account.Domain{{Name: "a.example", Pins: []string{pin(1)}, KeyID: "k1"}, second, demo}, "domain.change a.example [key]", false},
		{"everything at once", []account.Domain{{Name: "b.example", Pins: []string{pin(3)}, KeyID: "k1"}, {Name: "c.example"}},
			"domain.remove a.example [], domain.change b.example [pins token format key], domain.add c.example [], domain.remove shapes.example []", true},
		{"none", nil, "domain.remove a.example [], domain.remove b.example [], domain.remove shapes.example []", true},
		{"other pins for the demonstration domain", []account.Domain{first, second, {Name: "SHAPES.example", Pins: []string{pin(8)}}}, " shapes.example []", false},
		{"a key for the demonstration domain", []account.Domain{first, second, {Name: "shapes.example", KeyID: "k1"}}, " shapes.example []", false},
		{"nonsense for the demonstration domain", []account.Domain{first, second, {Name: "shapes.example", Format: "x", Pins: []string{"x"}}}, " shapes.example []", false},
		{"the demonstration domain and another", []account.Domain{first, {Name: "shapes.example"}}, "domain.remove b.example [],  shapes.example []", true},
	} {
		a, admin, _ := twoDomains(t)
		before := a.Clone()
		changes, err := a.SetDomains(admin, noon, row.wanted)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		var said, logged []string
		for _, c := range changes {
			said = append(said, fmt.Sprint(c.Op, " ", c.Name, " ", c.Parts))
			if c.Op != "" {
				logged = append(logged, string(c.Op)+" "+c.Name)
			}
		}
		if got := strings.Join(said, ", "); got != row.changes {
			t.Errorf("%s: got %q, want %q", row.name, got, row.changes)
		}
		var entries []string
		for _, e := range a.Entries {
			entries = append(entries, e.Action+" "+e.Subject)
		}
		if !slices.Equal(entries, logged) {
			t.Errorf("%s: got entries %q, want %q", row.name, entries, logged)
		}
		if learn := a.ConfigVersion - before.ConfigVersion; (learn == 1) != row.learn || learn > 1 {
			t.Errorf("%s: apps learn of it %d times, want %v", row.name, learn, row.learn)
		}
		if len(logged) == 0 && !reflect.DeepEqual(a, before) {
			t.Errorf("%s: the account has changed", row.name)
		}
		if !slices.IsSorted(domainNames(a)) {
			t.Errorf("%s: got %v, want them sorted", row.name, domainNames(a))
		}
		if d, err := a.Domain(account.DemoDomain); err == nil && !slices.Equal(d.Pins, []string{pin(9)}) {
			t.Errorf("%s: the demonstration domain has the pins %v", row.name, d.Pins)
		}
	}
}

// What is wrong with one domain of a list is said with its name, and nothing of the list is done.
func TestListsOfDomainsThatAreRefused(t *testing.T) {
	a, admin, dev := twoDomains(t)
	many := func(n int) (all []account.Domain) {
		for i := range n {
			all = append(all, account.Domain{Name: fmt.Sprintf("d%d.example", i)})
		}
		return all
	}
	set := func(by account.Actor, wanted ...account.Domain) func(*account.Account) error {
		return func(a *account.Account) error { _, err := a.SetDomains(by, noon, wanted); return err }
	}
	good := account.Domain{Name: "c.example"}
	walk(t, a, []step{
		{name: "by a developer", do: set(dev, good), code: "forbidden", part: "domain.set needs a management token for admin"},
		{name: "by a gate", do: set(account.Actor{Role: account.Gateway}, good), code: "forbidden"},
		{name: "one too many", do: set(admin, many(26)...), code: "limit", part: "26, and an account may have 25"},
		{name: "a bad name", do: set(admin, good, account.Domain{Name: "https://d.example"}), code: "invalid", part: `"https://d.example" is not an API domain`},
		{name: "no name", do: set(admin, good, account.Domain{}), code: "invalid", part: "is not an API domain"},
		{name: "one twice", do: set(admin, good, good), code: "invalid", part: "c.example stands there twice"},
		{name: "one twice, in capitals", do: set(admin, good, account.Domain{Name: "C.EXAMPLE", Format: account.JWE}), code: "invalid", part: "c.example stands there twice"},
		{name: "the demonstration domain twice", do: set(admin, account.Domain{Name: a.DemoDomain}, account.Domain{Name: "Shapes.example"}), code: "invalid", part: "twice"},
		{name: "a bad pin", do: set(admin, good, account.Domain{Name: "D.example", Pins: []string{pin(1), "jwe"}}), code: "invalid", part: "d.example: pins[1]: \"jwe\" is not a pin"},
		{name: "an unknown format", do: set(admin, good, account.Domain{Name: "d.example", Format: "jwt"}), code: "invalid", part: "d.example: format: "},
		{name: "an unknown key", do: set(admin, good, account.Domain{Name: "d.example", KeyID: "k9"}), code: "invalid", part: "d.example: kid: "},
		{name: "as many as there may be", do: set(admin, many(25)...), log: "domain.remove shapes.example"},
		{name: "the demonstration domain, when it is not there, with a key", do: set(admin, account.Domain{Name: a.DemoDomain, KeyID: "k1"}), code: "invalid", part: "secret of its own"},
	})
}

// Replacing all domains leaves what removing, adding and changing them one by one does; chance makes the lists.
func TestReplacingIsOneByOne(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() (all []account.Domain) {
		for i := range 5 {
			if random.IntN(2) == 0 {
				continue
			}
			d := account.Domain{Name: fmt.Sprintf("d%d.example", i), Format: []account.Format{account.JWS, account.JWE, account.None}[random.IntN(3)]}
			for p := range random.IntN(3) {
				d.Pins = append(d.Pins, pin(byte(10*p+random.IntN(2))))
			}
			all = append(all, d)
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all
	}
	a, admin, _ := fresh(t)
	for round := range 500 {
		wanted, apart := some(), a.Clone()
		for _, d := range a.Domains {
			if !slices.ContainsFunc(wanted, func(w account.Domain) bool { return w.Name == d.Name }) {
				if err := apart.RemoveDomain(admin, noon, d.Name); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, d := range wanted {
			if err := apart.AddDomain(admin, noon, d); err != nil {
				t.Fatal(err)
			}
		}
		before := a.ConfigVersion
		if _, err := a.SetDomains(admin, noon, wanted); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(a.Domains) != fmt.Sprint(apart.Domains) || (a.ConfigVersion > before) != (apart.ConfigVersion > before) || len(a.Entries) != len(apart.Entries) {
			t.Fatalf("round %d: got %+v, version %d and %d entries, want %+v, %d and %d", round,
				a.Domains, a.ConfigVersion, len(a.Entries), apart.Domains, apart.ConfigVersion, len(apart.Entries))
		}
	}
}
