package issue_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/attestserver/issue"
	"github.com/approovgate/approovgate/jose"
)

var start = time.Unix(1_800_000_000, 0)

const gateName = "edge"

// secret is 64 bytes that are easily told from others.
func secret(b byte) account.Secret { return account.NewSecret(bytes.Repeat([]byte{b}, 64)) }

func private(t testing.TB, key any) account.Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return account.NewSecret(der)
}

func newEC(t testing.TB) account.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private(t, key)
}

// rsaKeys are made once: they are slow to find.
var rsaKeys = sync.OnceValues(func() (*rsa.PrivateKey, *rsa.PrivateKey) {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return keys[0], keys[1]
})

// testAccount has a domain of every kind.
func testAccount(t testing.TB) *account.Account {
	t.Helper()
	good, decoy := rsaKeys()
	return &account.Account{
		Name: "acme", Created: start, Version: 7, ConfigVersion: 3, DemoDomain: "demo.example.com",
		Network: account.Network{Primary: []string{"https://attest.example.com"}, Failover: []string{"https://attest.example.net"}, Pins: []string{"pin-of-service"}},
		Keys: []account.Key{
			{Purpose: account.TokenKey, ID: "old", Alg: "HS256", Material: secret('o'), Created: start.Add(-time.Hour), NotAfter: start.Add(5 * time.Minute)},
			{Purpose: account.TokenKey, ID: "new", Alg: "HS256", Material: secret('n'), Created: start},
			{Purpose: account.DemoKey, Alg: "HS256", Material: secret('D')},
			{Purpose: account.DecoyKey, Alg: "HS256", Material: secret('y')},
			{Purpose: account.KeysetKey, ID: "e1", Alg: "ES256", Material: newEC(t)},
			{Purpose: account.KeysetDecoy, ID: "e1", Alg: "ES256", Material: newEC(t)},
			{Purpose: account.KeysetKey, ID: "r1", Alg: "RS256", Material: private(t, good)},
			{Purpose: account.KeysetDecoy, ID: "r1", Alg: "RS256", Material: private(t, decoy)},
			{Purpose: account.ConfigKey, Alg: "ES256", Material: newEC(t)},
			{Purpose: account.ControlKey, Alg: "ES256", Material: newEC(t)},
		},
		Domains: []account.Domain{
			{Name: "api.example.com", Pins: []string{"pin-a", "pin-b"}},
			{Name: "demo.example.com"},
			{Name: "ec.example.com", KeyID: "e1"},
			{Name: "open.example.com", Format: account.None, Pins: []string{"pin-o"}},
			{Name: "rsa.example.com", Format: account.JWS, KeyID: "r1"},
			{Name: "secret.example.com", Format: account.JWE},
			{Name: "two.example.com", Format: account.JWS},
		},
	}
}

func find(t testing.TB, a *account.Account, name string) account.Domain {
	t.Helper()
	for _, d := range a.Domains {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no domain %s", name)
	return account.Domain{}
}

// controlRing is what a gate pins: the public half of the account's control key.
func controlRing(t testing.TB, a *account.Account) *jose.Ring {
	t.Helper()
	for _, k := range a.Keys {
		if k.Purpose != account.ControlKey {
			continue
		}
		text, err := issue.PublicPEM(k)
		if err != nil {
			t.Fatal(err)
		}
		key, err := jose.NewPublic("control", "ES256", "", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		ring, err := jose.NewRing([]jose.Key{key})
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	t.Fatal("no control key")
	return nil
}
