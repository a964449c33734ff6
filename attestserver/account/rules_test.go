package account_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestapi"
	"github.com/approovgate/approovgate/attestserver/account"
)

// step is one thing that is done to an account.
type step struct {
	name string
	do   func(a *account.Account) error
	code string // of the refusal; empty: it is done
	part string // of its text
	log  string // "action subject" of the last entry of the audit log; empty: nothing is done
}

// walk does one step after another. What is refused changes nothing, and so does what there is nothing to do for.
func walk(t *testing.T, a *account.Account, steps []step) {
	t.Helper()
	for _, s := range steps {
		before := a.Clone()
		err := s.do(a)
		if s.code != "" {
			refused(t, err, s.code, s.part)
		} else if err != nil {
			t.Fatalf("%s: got %v, want none", s.name, err)
		}
		if s.code != "" || s.log == "" {
			if !reflect.DeepEqual(a, before) {
				t.Errorf("%s: the account has changed:\n%+v\n%+v", s.name, before, a)
			}
			continue
		}
		if len(a.Entries) <= len(before.Entries) {
			t.Errorf("%s: nothing is written down", s.name)
			continue
		}
		last := a.Entries[len(a.Entries)-1]
		if got := last.Action + " " + last.Subject; got != s.log || last.By == "" || last.Request != "r-1" || !last.At.Equal(noon) {
			t.Errorf("%s: got entry %+v, want %q", s.name, last, s.log)
		}
		shown := fmt.Sprintf("%+v", a.Entries)
		for _, k := range a.Keys {
			if strings.Contains(shown, base64.StdEncoding.EncodeToString(k.Material.Bytes())) {
				t.Errorf("%s: a secret is written down", s.name)
			}
		}
	}
}

func pin(n byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32)) }

func TestDomains(t *testing.T) {
	a, admin, dev := fresh(t)
	pair := must(account.NewKeyPair("ES256", "k1", noon))
	if err := a.AddKey(admin, noon, pair); err != nil {
		t.Fatal(err)
	}
	add := func(by account.Actor, d account.Domain) func(*account.Account) error {
		return func(a *account.Account) error { return a.AddDomain(by, noon, d) }
	}
	named := func(name string) account.Domain { return account.Domain{Name: name} }
	demo := a.DemoDomain
	walk(t, a, []step{
		{name: "a developer adds one", do: add(dev, account.Domain{Name: "API.example.com", Pins: []string{pin(1)}}), log: "domain.add api.example.com"},
		{name: "the same again is no change", do: add(dev, account.Domain{Name: "api.example.com", Format: "jws", Pins: []string{pin(1)}})},
		{name: "a developer changes its pins", do: add(dev, account.Domain{Name: "api.example.com", Pins: []string{pin(2)}}), code: "forbidden", part: "admin"},
		{name: "an administrator changes its pins", do: add(admin, account.Domain{Name: "api.example.com", Pins: []string{pin(2), pin(3)}}), log: "domain.change api.example.com"},
		{name: "an encrypted one", do: add(dev, account.Domain{Name: "jwe.example.com", Format: account.JWE}), log: "domain.add jwe.example.com"},
		{name: "one that needs no tokens", do: add(dev, account.Domain{Name: "open.example.com", Format: account.None}), log: "domain.add open.example.com"},
		{name: "an address", do: add(dev, named("127.0.0.1")), log: "domain.add 127.0.0.1"},
		{name: "one label", do: add(dev, named("localhost")), log: "domain.add localhost"},
		{name: "with a key", do: add(admin, account.Domain{Name: "es.example.com", KeyID: "k1"}), log: "domain.add es.example.com"},
		{name: "with a key that is not there", do: add(admin, account.Domain{Name: "x.example.com", KeyID: "k2"}), code: "invalid", part: "kid"},
		{name: "encrypted with a key", do: add(admin, account.Domain{Name: "x.example.com", KeyID: "k1", Format: account.JWE}), code: "invalid", part: "kid"},
		{name: "an unknown format", do: add(dev, account.Domain{Name: "x.example.com", Format: "jwt"}), code: "invalid", part: "jws, jwe or none"},
		{name: "a bad pin", do: add(dev, account.Domain{Name: "x.example.com", Pins: []string{pin(1), "jwe"}}), code: "invalid", part: "pins[1]"},
		{name: "a short pin", do: add(dev, account.Domain{Name: "x.example.com", Pins: []string{"AAAA"}}), code: "invalid", part: "pins[0]"},
		{name: "a pin with a line break", do: add(dev, account.Domain{Name: "x.example.com", Pins: []string{pin(1) + "\n"}}), code: "invalid", part: "pins[0]"},
		{name: "a pin twice", do: add(dev, account.Domain{Name: "x.example.com", Pins: []string{pin(1), pin(1)}}), code: "invalid", part: "twice"},
		{name: "too many pins", do: add(dev, account.Domain{Name: "x.example.com", Pins: make([]string, 17)}), code: "invalid", part: "17"},
		{name: "the demonstration domain with a key", do: add(admin, account.Domain{Name: demo, KeyID: "k1"}), code: "invalid", part: "secret of its own"},
		{name: "the demonstration domain", do: add(dev, account.Domain{Name: demo, Pins: []string{pin(9)}}), log: "domain.add " + demo},
		{name: "other pins for the demonstration domain are ignored", do: add(admin, account.Domain{Name: demo, Pins: []string{pin(8)}})},
		{name: "a gate adds one", do: add(account.Actor{Role: account.Gateway}, named("x.example.com")), code: "forbidden", part: "gateway"},
		{name: "a gate, which may not even add, changes one", do: add(account.Actor{Role: account.Gateway}, account.Domain{Name: "localhost", Format: account.JWE}), code: "forbidden", part: "domain.add needs"},
		{name: "a developer removes one", do: func(a *account.Account) error { return a.RemoveDomain(dev, noon, "localhost") }, code: "forbidden"},
		{name: "an administrator removes one", do: func(a *account.Account) error { return a.RemoveDomain(admin, noon, "LocalHost") }, log: "domain.remove localhost"},
		{name: "one that is not there", do: func(a *account.Account) error { return a.RemoveDomain(admin, noon, "localhost") }, code: "not_found"},
	})
	for _, name := range []string{"", ".", "a..b", "a.", ".a", "-a.example", "a-.example", "a_b", "a/b", "https://a", "a:80", "a b", "ä.example", "\u212a", "a\n",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		walk(t, a, []step{{name: name, do: add(dev, named(name)), code: "invalid", part: "is not an API domain"}})
	}
	if names := domainNames(a); !slices.IsSorted(names) || len(names) != 6 {
		t.Errorf("got %v, want six, sorted", names)
	}
	if got := must(a.Domain(demo)).Pins; !slices.Equal(got, []string{pin(9)}) {
		t.Errorf("the demonstration domain's pins: got %v, want them as they were added", got)
	}
	for i := len(a.Domains); i < account.MaxDomains; i++ {
		if err := a.AddDomain(dev, noon, named(fmt.Sprintf("d%d.example", i))); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, a, []step{
		{name: "the 26th", do: add(dev, named("one.more")), code: "limit", part: "25"},
		{name: "a change at the limit", do: add(admin, account.Domain{Name: "d7.example", Format: account.JWE}), log: "domain.change d7.example"},
	})
}

func domainNames(a *account.Account) (names []string) {
	for _, d := range a.Domains {
		names = append(names, d.Name)
	}
	return names
}

func TestAppsLearnOfDomains(t *testing.T) {
	a, admin, dev := fresh(t)
	pair := must(account.NewKeyPair("ES256", "k1", noon))
	for _, row := range []struct {
		name string
		do   func() error
		want int64
	}{
		{"a new domain", func() error { return a.AddDomain(dev, noon, account.Domain{Name: "a.example"}) }, 2},
		{"nothing new", func() error { return a.AddDomain(dev, noon, account.Domain{Name: "a.example"}) }, 2},
		{"a pin", func() error {
			return a.AddDomain(admin, noon, account.Domain{Name: "a.example", Pins: []string{pin(1)}})
		}, 3},
		{"a key", func() error { return a.AddKey(admin, noon, pair) }, 3},
		{"which key signs", func() error {
			return a.AddDomain(admin, noon, account.Domain{Name: "a.example", Pins: []string{pin(1)}, KeyID: "k1"})
		}, 3},
		{"the format", func() error {
			return a.AddDomain(admin, noon, account.Domain{Name: "a.example", Pins: []string{pin(1)}, Format: account.JWE})
		}, 4},
		{"one less", func() error { return a.RemoveDomain(admin, noon, "a.example") }, 5},
		{"a secret", func() error { return a.UpdateSecret(admin, noon, nil) }, 5},
	} {
		if err := row.do(); err != nil || a.ConfigVersion != row.want {
			t.Errorf("%s: got version %d, %v, want %d", row.name, a.ConfigVersion, err, row.want)
		}
	}
}

func TestDevices(t *testing.T) {
	const did = "h4gubfCFzJu81j/U2BJsdg=="
	a, admin, dev := fresh(t)
	whitelist := must(account.ParsePolicy("default,whitelist,all"))
	set := func(by account.Actor, d account.Device) func(*account.Account) error {
		return func(a *account.Account) error { return a.SetDevice(by, noon, d) }
	}
	remove := func(by account.Actor, id string) func(*account.Account) error {
		return func(a *account.Account) error { return a.RemoveDevice(by, noon, id) }
	}
	walk(t, a, []step{
		{name: "a policy", do: set(dev, account.Device{ID: did, Policy: whitelist}), log: "device.set " + did},
		{name: "the same again", do: set(dev, account.Device{ID: did, Policy: whitelist, PinMode: account.PinNormal})},
		{name: "a pin mode alone", do: set(admin, account.Device{ID: did, PinMode: account.PinOff}), log: "device.set " + did},
		{name: "an unknown pin mode", do: set(dev, account.Device{ID: did, PinMode: "off"}), code: "invalid", part: "pin_mode"},
		{name: "an unknown policy", do: set(dev, account.Device{ID: did, Policy: account.Policy{Rules: "default", Rejection: "none", Annotation: "all"}}), code: "invalid", part: "rejection policy"},
		{name: "no device ID", do: set(dev, account.Device{ID: ""}), code: "invalid", part: "did"},
		{name: "a short device ID", do: set(dev, account.Device{ID: "AAAA"}), code: "invalid", part: "did"},
		{name: "the example token's, which is none", do: set(dev, account.Device{ID: account.ExampleDeviceID}), code: "invalid", part: "did"},
		{name: "a gate", do: set(account.Actor{Role: account.Gateway}, account.Device{ID: did}), code: "forbidden"},
	})
	if got := a.Devices[0]; got.Policy != (account.Policy{}) || got.PinMode != account.PinOff || got.By != "initial admin" {
		t.Errorf("got %+v, want the account's policy, unpin, and the one who set it", got)
	}
	walk(t, a, []step{
		{name: "removed by another", do: remove(dev, did), log: "device.remove " + did},
		{name: "removed twice", do: remove(dev, did), code: "not_found", part: did},
		{name: "removed without an ID", do: remove(dev, ""), code: "invalid"},
	})
	for i := range account.MaxDevices {
		if err := a.SetDevice(dev, noon, account.Device{ID: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i)}, 16))}); err != nil {
			t.Fatal(err)
		}
	}
	walk(t, a, []step{{name: "the 26th", do: set(dev, account.Device{ID: did}), code: "limit", part: "25"}})
}

func TestSettings(t *testing.T) {
	a, admin, dev := fresh(t)
	p := must(account.ParsePolicy("default,allow-root,all"))
	walk(t, a, []step{
		{name: "a developer sets the policy", do: func(a *account.Account) error { return a.SetPolicy(dev, noon, p) }, code: "forbidden"},
		{name: "an administrator", do: func(a *account.Account) error { return a.SetPolicy(admin, noon, p) }, log: "policy.set default,allow-root,all"},
		{name: "the same again", do: func(a *account.Account) error { return a.SetPolicy(admin, noon, p) }},
		{name: "no policy", do: func(a *account.Account) error { return a.SetPolicy(admin, noon, account.Policy{}) }, code: "invalid"},
		{name: "a developer sets the tracking", do: func(a *account.Account) error { return a.SetIPTracking(dev, noon, account.TrackNone) }, code: "forbidden"},
		{name: "token is what it is", do: func(a *account.Account) error { return a.SetIPTracking(admin, noon, account.TrackToken) }},
		{name: "an administrator", do: func(a *account.Account) error { return a.SetIPTracking(admin, noon, account.TrackNone) }, log: "ip-tracking.set none"},
		{name: "an unknown one", do: func(a *account.Account) error { return a.SetIPTracking(admin, noon, "some") }, code: "invalid", part: "none, token or full"},
		{name: "none at all", do: func(a *account.Account) error { return a.SetIPTracking(admin, noon, "") }, code: "invalid"},
	})
	if got := (&account.Account{}).Tracking(); got != account.TrackToken {
		t.Errorf("the zero value: got %s, want token", got)
	}
}

func TestPolicies(t *testing.T) {
	for text, ok := range map[string]bool{
		"default,default,default": true, "default,allow-xposed,xposed": true, "default,allow-root,all": true,
		"default,allow-root-and-jailbroken,xposed": true, "default,whitelist,all": true, "default,blacklist,default": true,
		"": false, "default": false, "default,default": false, "default,default,default,default": false, "other,default,default": false,
		"default,root,default": false, "default,default,none": false, "default,,default": false, "default,default,": false, ",default,default": false, " default,default,default": false, "Default,default,default": false,
	} {
		p, err := account.ParsePolicy(text)
		if (err == nil) != ok || (ok && p.String() != text) {
			t.Errorf("%q: got %v, %v, want ok %v", text, p, err, ok)
		}
		if !ok {
			refused(t, err, attestapi.CodeInvalid, "policy")
		}
	}
}

func TestSecrets(t *testing.T) {
	a, admin, dev := fresh(t)
	first := must(a.TokenSecret(admin))
	_, err := a.TokenSecret(dev)
	refused(t, err, attestapi.CodeForbidden, "admin")
	other := bytes.Repeat([]byte("moved   "), 8)
	imported := func(secret []byte) func(*account.Account) error {
		return func(a *account.Account) error { return a.ImportSecret(admin, noon, secret) }
	}
	update := func(by account.Actor, at time.Time) func(*account.Account) error {
		return func(a *account.Account) error { return a.UpdateSecret(by, at, nil) }
	}
	var decoy []byte
	for _, k := range a.Keys {
		if k.Purpose == account.DecoyKey {
			decoy = k.Material.Bytes()
		}
	}
	walk(t, a, []step{
		{name: "a developer updates", do: update(dev, noon), code: "forbidden"},
		{name: "an administrator updates", do: update(admin, noon), log: "secret.update token secret"},
		{name: "a developer imports", do: func(a *account.Account) error { return a.ImportSecret(dev, noon, other) }, code: "forbidden"},
		{name: "a short one", do: imported(other[:32]), code: "invalid", part: "32 bytes"},
		{name: "one that is the decoy", do: imported(decoy), code: "invalid", part: "another purpose"},
		{name: "an existing one", do: imported(other), log: "secret.import token secret"},
		{name: "it is there already", do: imported(other)},
		{name: "a fourth within minutes", do: update(admin, noon), code: "conflict", part: "try again"},
		{name: "back to the first, which leaves", do: imported(must(base64.StdEncoding.DecodeString(first))), log: "secret.import token secret"},
	})
	if got := must(a.TokenSecret(admin)); got != first {
		t.Errorf("the secret is not the imported one")
	}
	var ends []time.Time
	for _, k := range a.Keys {
		if k.Purpose == account.TokenKey && !k.NotAfter.IsZero() {
			ends = append(ends, k.NotAfter)
		}
	}
	want := noon.Add(5*time.Minute + 10*time.Second + 30*time.Second)
	if len(ends) != 2 || !ends[0].Equal(want) || !ends[1].Equal(want) {
		t.Errorf("former secrets: got %v, want two until %v", ends, want)
	}
	a.Grace = time.Minute
	if err := a.UpdateSecret(admin, want, nil); err != nil {
		t.Fatalf("an update when the former ones are gone: %v", err)
	}
	n := 0
	for _, k := range a.Keys {
		if k.Purpose == account.TokenKey {
			n++
			if !k.NotAfter.IsZero() && !k.NotAfter.Equal(want.Add(6*time.Minute+30*time.Second)) {
				t.Errorf("with a grace of a minute: got %v", k.NotAfter)
			}
		}
	}
	if n != 2 {
		t.Errorf("got %d token secrets, want 2", n)
	}
}

// A secret that was replaced is accepted no longer because the one after it is replaced, too.
func TestFormerSecretsKeepTheirEnd(t *testing.T) {
	a, admin, _ := fresh(t)
	for _, at := range []time.Time{noon, noon.Add(time.Minute)} {
		if err := a.UpdateSecret(admin, at, nil); err != nil {
			t.Fatal(err)
		}
	}
	var ends []time.Duration
	for _, k := range a.Keys {
		if k.Purpose == account.TokenKey && !k.NotAfter.IsZero() {
			ends = append(ends, k.NotAfter.Sub(noon))
		}
	}
	if want := []time.Duration{340 * time.Second, 400 * time.Second}; !slices.Equal(ends, want) {
		t.Errorf("got former secrets until %v after noon, want %v", ends, want)
	}
}

func TestAnAccountWithoutDemonstrationHasNoSecretForIt(t *testing.T) {
	a, admin, _ := fresh(t)
	if _, err := a.DemoSecret(admin, strings.ToUpper(a.DemoDomain)); err != nil {
		t.Errorf("the demonstration domain: got %v, want its secret", err)
	}
	a.DemoDomain = ""
	_, err := a.DemoSecret(admin, "")
	refused(t, err, attestapi.CodeInvalid, "no secret of its own")
}

// What there is nothing to do for leaves even what has expired: nothing is written down, so nothing may be gone.
func TestNothingToDoChangesNothing(t *testing.T) {
	a, admin, dev := fresh(t)
	if _, err := a.AddRegistration(dev, noon, app("a", "1"), "1h"); err != nil {
		t.Fatal(err)
	}
	before := a.Clone()
	if err := a.SetIPTracking(admin, noon.Add(2*time.Hour), account.TrackToken); err != nil || !reflect.DeepEqual(a, before) {
		t.Errorf("got %v and\n%+v, want the account as it was:\n%+v", err, a, before)
	}
}

func TestMessageKey(t *testing.T) {
	a, admin, dev := fresh(t)
	change := func(by account.Actor) func(*account.Account) error {
		random := append(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{3}, 9)...)
		return func(a *account.Account) error { return a.ChangeMessageKey(by, noon, bytes.NewReader(random)) }
	}
	remove := func(a *account.Account) error { return a.RemoveMessageKey(admin, noon) }
	read := func(by account.Actor) func(*account.Account) error {
		return func(a *account.Account) error { _, err := a.ReadMessageKey(by); return err }
	}
	walk(t, a, []step{
		{name: "there is none at first", do: read(admin), code: "not_found", part: "-messageSigningKey change"},
		{name: "none to remove", do: remove, code: "not_found"},
		{name: "a developer makes one", do: change(dev), code: "forbidden"},
		{name: "an administrator makes one", do: change(admin), log: "message-key.change AwMDAwMDAwMD"},
		{name: "its ID, which tokens show, is no part of it", do: func(a *account.Account) error {
			if key := must(a.ReadMessageKey(admin)); !bytes.Equal(key.Material.Bytes(), bytes.Repeat([]byte{1}, 32)) {
				t.Errorf("got a key with bytes other than those that came before the ID's")
			}
			return nil
		}},
		{name: "a developer reads it", do: read(dev), code: "forbidden"},
		{name: "another one takes its place", do: func(a *account.Account) error {
			return a.ChangeMessageKey(admin, noon, bytes.NewReader(make([]byte, 41)))
		}, log: "message-key.change AAAAAAAAAAAA"},
		{name: "without randomness", do: func(a *account.Account) error {
			if err := a.ChangeMessageKey(admin, noon, bytes.NewReader(nil)); err == nil {
				t.Error("got a key without randomness, want an error")
			}
			return nil
		}},
	})
	key := must(a.ReadMessageKey(admin))
	if key.ID != "AAAAAAAAAAAA" || key.Material.Len() != 32 || count(a, account.MessageKey) != 1 {
		t.Errorf("got %+v and %d keys, want the second, of 32 bytes, and no other", key, count(a, account.MessageKey))
	}
	walk(t, a, []step{{name: "it is removed", do: remove, log: "message-key.remove AAAAAAAAAAAA"}})
	if n := count(a, account.MessageKey); n != 0 {
		t.Errorf("got %d keys, want none", n)
	}
}

// count is how many keys of a purpose an account has.
func count(a *account.Account, purpose account.Purpose) int {
	n := 0
	for _, k := range a.Keys {
		if k.Purpose == purpose {
			n++
		}
	}
	return n
}
