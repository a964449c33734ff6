// Package issue makes what an account gives out: tokens, the SDK configuration, and the documents that gates poll; and
// it judges flags by a policy. The attestation server and the management API both issue through it, so that there is
// one form of everything.
//
// It owns which of an account's keys signs what. It must not do I/O, keep anything, or decide who may ask.
//
// Start reading at Issuer.Mint for tokens, Judge for the verdict, Config and Control for documents.
package issue

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/mint"
)

// minter signs ES256 by RFC 6979, which it does when it has a source of randomness of its own: so equal claims give an
// equal token, which Check can re-create from its loggable form (manual, "Loggable Tokens"). What must be random, the
// keys and initialisation vectors of a JWE, comes from the operating system as ever.
var minter = mint.Minter{Rand: rand.Reader}

// riskyLifetime is account.TokenLifetime for a device that is judged risky (manual, "Token Lifespan").
const riskyLifetime = 2 * time.Minute

// Lifetime is how long an app may use a token that was issued under the given flags. It does not depend on the policy,
// nor on whether the token is good.
func Lifetime(flags []string) time.Duration {
	if slices.ContainsFunc(flags, risky) {
		return riskyLifetime
	}
	return account.TokenLifetime
}

// Grace is how much later than its lifetime a token expires (manual, "Token Lifespan": a few seconds, for the way to
// the API).
func Grace(a *account.Account) time.Duration {
	if a.Grace > 0 {
		return a.Grace
	}
	return account.DefaultGrace
}

// one is the account's key for a purpose of which it has exactly one.
func one(a *account.Account, purpose account.Purpose) (account.Key, error) {
	for _, k := range a.Keys {
		if k.Purpose == purpose {
			return k, nil
		}
	}
	return account.Key{}, fmt.Errorf("account %s has no %s key", a.Name, purpose)
}

// tokenKeys are the account secrets: the current one first, then earlier ones that are still accepted at a time.
func tokenKeys(a *account.Account, at time.Time) []account.Key {
	var keys []account.Key
	for _, k := range a.Keys {
		if k.Purpose == account.TokenKey && (k.NotAfter.IsZero() || at.Before(k.NotAfter)) {
			keys = append(keys, k)
		}
	}
	slices.SortStableFunc(keys, func(x, y account.Key) int {
		switch {
		case x.NotAfter.IsZero() != y.NotAfter.IsZero() && x.NotAfter.IsZero():
			return -1
		case x.NotAfter.IsZero() != y.NotAfter.IsZero():
			return 1
		}
		return cmp.Compare(y.Created.UnixNano(), x.Created.UnixNano())
	})
	return keys
}

// current is the account secret that signs.
func current(a *account.Account, at time.Time) (account.Key, error) {
	keys := tokenKeys(a, at)
	if len(keys) == 0 || !keys[0].NotAfter.IsZero() {
		return account.Key{}, fmt.Errorf("account %s has no current token secret", a.Name)
	}
	return keys[0], nil
}

// private reads a private key. Errors repeat nothing of it.
func private(k account.Key) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Material.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the %s key %s is not in PKCS#8 form", k.Purpose, k.ID)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the %s key %s cannot sign", k.Purpose, k.ID)
	}
	return signer, nil
}

// onCurve reads the account's one ES256 key for a purpose.
func onCurve(a *account.Account, purpose account.Purpose) (*ecdsa.PrivateKey, error) {
	k, err := one(a, purpose)
	if err != nil {
		return nil, err
	}
	signer, err := private(k)
	if err != nil {
		return nil, err
	}
	key, ok := signer.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the %s key is not an EC key", purpose)
	}
	return key, nil
}
