package issue

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/approovgate/approovgate/attestserver/account"
	"github.com/approovgate/approovgate/mint"
)

// hs256Header is the header of tokens under a secret, as mint writes it, in base64url.
var hs256Header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

// signer makes a token of a payload in canonical form.
type signer func(payload string) (string, error)

// pair is how a domain's tokens are made: good ones, and those that never verify and look the same.
type pair struct{ good, decoy signer }

func (p pair) choose(good bool) signer {
	if good {
		return p.good
	}
	return p.decoy
}

// Issuer makes the tokens of one account as it is at a moment. It is safe for concurrent use.
type Issuer struct {
	domains []issued
	account pair // for tokens of no domain
}

// issued is a domain that tokens are issued for.
type issued struct {
	name   string
	key    string // equal for domains whose tokens for equal claims are equal; empty: no two are
	tokens pair
}

// NewIssuer reads the account's keys. An account that could not issue one of its tokens, good or not, is an error.
func NewIssuer(a *account.Account, at time.Time) (*Issuer, error) {
	secret, err := current(a, at)
	if err != nil {
		return nil, err
	}
	decoy, err := one(a, account.DecoyKey)
	if err != nil {
		return nil, err
	}
	i := &Issuer{account: pair{hs256(secret.Material.Bytes()), hs256(decoy.Material.Bytes())}}
	for _, d := range a.Domains {
		if d.Format == account.None {
			continue
		}
		one, err := domain(a, d, secret, decoy, i.account)
		if err != nil {
			return nil, fmt.Errorf("domain %s: %w", d.Name, err)
		}
		i.domains = append(i.domains, one)
	}
	return i, nil
}

// domain finds the keys of a domain's tokens.
func domain(a *account.Account, d account.Domain, secret, decoy account.Key, ofAccount pair) (issued, error) {
	demo := a.DemoDomain != "" && d.Name == a.DemoDomain
	if demo {
		own, err := one(a, account.DemoKey)
		if err != nil {
			return issued{}, err
		}
		secret = own
	}
	switch {
	case d.Format == account.JWE:
		return issued{name: d.Name, tokens: pair{encrypted(secret.Material.Bytes()), encrypted(decoy.Material.Bytes())}}, nil
	case d.Format != account.JWS && d.Format != "":
		return issued{}, fmt.Errorf("unknown token format %q", d.Format)
	case demo:
		return issued{d.Name, "demo", pair{hs256(secret.Material.Bytes()), ofAccount.decoy}}, nil
	case d.KeyID == "":
		return issued{d.Name, "account", ofAccount}, nil
	}
	good, err := keyset(a, account.KeysetKey, d.KeyID)
	if err != nil {
		return issued{}, err
	}
	bad, err := keyset(a, account.KeysetDecoy, d.KeyID)
	if err != nil {
		return issued{}, err
	}
	return issued{d.Name, "keyset " + d.KeyID, pair{good, bad}}, nil
}

// hs256 signs under a secret. It gives what mint.Sign gives, without setting up the HMAC anew for each token.
func hs256(secret []byte) signer {
	pool := &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}
	return func(payload string) (string, error) {
		encoding := base64.RawURLEncoding
		text := make([]byte, 0, len(hs256Header)+2+encoding.EncodedLen(len(payload))+encoding.EncodedLen(sha256.Size))
		text = append(append(text, hs256Header...), '.')
		text = encoding.AppendEncode(text, []byte(payload))
		m := pool.Get().(hash.Hash)
		m.Reset()
		m.Write(text)
		var room [sha256.Size]byte
		sum := m.Sum(room[:0])
		pool.Put(m)
		return string(encoding.AppendEncode(append(text, '.'), sum)), nil
	}
}

// encrypted makes a JWE under a secret (manual, "Token Signing").
func encrypted(secret []byte) signer {
	return func(payload string) (string, error) {
		return minter.EncryptRaw(secret, nil, `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}","tag":"{tag}"}`, payload)
	}
}

// keyset signs with the private key of the keyset that has an ID.
func keyset(a *account.Account, purpose account.Purpose, id string) (signer, error) {
	for _, k := range a.Keys {
		if k.Purpose != purpose || k.ID != id {
			continue
		}
		key, err := private(k)
		if err != nil {
			return nil, err
		}
		header, err := mint.Canonical(map[string]any{"alg": k.Alg, "kid": id, "typ": "JWT"})
		if err != nil {
			return nil, err
		}
		sign := func(payload string) (string, error) { return minter.SignRaw(k.Alg, key, header, payload) }
		if _, err := sign("{}"); err != nil {
			return nil, fmt.Errorf("the %s key %s: %w", purpose, id, err)
		}
		return sign, nil
	}
	return nil, fmt.Errorf("there is no %s key %s", purpose, id)
}

// All are the tokens of one attestation, by domain. Domains that share a key and a signed format share the token: the
// claims are the same.
func (i *Issuer) All(payload string, good bool) (map[string]string, error) {
	tokens, made := make(map[string]string, len(i.domains)), map[string]string{}
	for _, d := range i.domains {
		text, have := made[d.key]
		if !have || d.key == "" {
			var err error
			if text, err = d.tokens.choose(good)(payload); err != nil {
				return nil, fmt.Errorf("token for %s: %w", d.name, err)
			}
			made[d.key] = text
		}
		tokens[d.name] = text
	}
	return tokens, nil
}

// Mint makes one token in a domain's format: good, or under the decoy. The zero Domain stands for none: the token is
// signed with the account secret.
func Mint(a *account.Account, d account.Domain, claims map[string]any, good bool) (string, error) {
	payload, err := mint.Canonical(claims)
	if err != nil {
		return "", err
	}
	now := time.Time{} // which of the earlier secrets are still accepted does not matter for signing
	if d.Name == "" {
		d = account.Domain{}
	}
	secret, err := current(a, now)
	if err != nil {
		return "", err
	}
	decoy, err := one(a, account.DecoyKey)
	if err != nil {
		return "", err
	}
	if d.Format == account.None {
		return "", fmt.Errorf("domain %s needs no tokens", d.Name)
	}
	made, err := domain(a, d, secret, decoy, pair{hs256(secret.Material.Bytes()), hs256(decoy.Material.Bytes())})
	if err != nil {
		return "", err
	}
	return made.tokens.choose(good)(payload)
}
