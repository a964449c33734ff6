package account

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/approovgate/approovgate/attestapi"
)

const (
	maxKeyset = 10 // keys
	maxKeyID  = 64 // bytes
	rsaBits   = 2048
)

// KeyPair is a key for the keyset and the decoy of the same size that signs what must never verify in its place.
type KeyPair struct{ key, decoy Key }

// NewKeyPair makes a key for AddKey. It takes a while for RS256, so it is made before the account is changed.
func NewKeyPair(alg, id string, at time.Time) (KeyPair, error) {
	ok := len(id) > 0 && len(id) <= maxKeyID
	for i := range len(id) {
		c := id[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return KeyPair{}, refuse(attestapi.CodeInvalid, "kid: %.80q is not an ID of a key: use 1 to %d letters, digits, dashes, periods and underscores", id, maxKeyID)
	}
	generate := newECKey
	switch alg {
	case "ES256":
	case "RS256":
		generate = newRSAKey
	default:
		return KeyPair{}, refuse(attestapi.CodeInvalid, "alg: unknown algorithm %.40q: use ES256 or RS256", alg)
	}
	var pair KeyPair
	for _, want := range []struct {
		purpose Purpose
		key     *Key
	}{{KeysetKey, &pair.key}, {KeysetDecoy, &pair.decoy}} {
		material, err := generate()
		if err != nil {
			return KeyPair{}, fmt.Errorf("new key for %s: %w", want.purpose, err)
		}
		*want.key = Key{Purpose: want.purpose, ID: id, Alg: alg, Material: NewSecret(material), Created: second(at)}
	}
	return pair, nil
}

func newRSAKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// AddKey adds a key to the keyset. Domains use it once they name its ID.
func (a *Account) AddKey(by Actor, at time.Time, pair KeyPair) error {
	return a.change(by, at, OpKeysetAdd, func(c *Account) (outcome, error) {
		switch {
		case pair.key.ID == "":
			return unchanged, refuse(attestapi.CodeInvalid, "kid: there is no key to add")
		case c.hasKeysetKey(pair.key.ID):
			return unchanged, refuse(attestapi.CodeConflict, "kid: the keyset has a key %s already; choose another ID", pair.key.ID)
		case count(c.Keys, isKeysetKey) >= maxKeyset:
			return unchanged, refuse(attestapi.CodeLimit, "the keyset has %d keys, which is the most it may have; remove one that no domain uses", maxKeyset)
		}
		c.Keys = append(c.Keys, pair.key, pair.decoy)
		return did(pair.key.ID, pair.key.Alg), nil
	})
}

// RemoveKey removes a key from the keyset that no domain uses.
func (a *Account) RemoveKey(by Actor, at time.Time, id string) error {
	return a.change(by, at, OpKeysetRemove, func(c *Account) (outcome, error) {
		if !c.hasKeysetKey(id) {
			return unchanged, refuse(attestapi.CodeNotFound, "kid: the keyset has no key %.80q", id)
		}
		for _, d := range c.Domains {
			if d.KeyID == id {
				return unchanged, refuse(attestapi.CodeConflict, "kid: key %s signs the tokens of %s; give the domain another key first", id, d.Name)
			}
		}
		c.Keys = slices.DeleteFunc(c.Keys, func(k Key) bool {
			return k.ID == id && (k.Purpose == KeysetKey || k.Purpose == KeysetDecoy)
		})
		return did(id, ""), nil
	})
}

func isKeysetKey(k Key) bool { return k.Purpose == KeysetKey }

func (a *Account) hasKeysetKey(id string) bool {
	return slices.ContainsFunc(a.Keys, func(k Key) bool { return isKeysetKey(k) && k.ID == id })
}

// Keyset are the public keys of the keyset as JWKs (RFC 7517 §4, RFC 7518 §6).
func (a *Account) Keyset() ([]map[string]string, error) {
	set := []map[string]string{}
	for _, k := range a.Keys {
		if !isKeysetKey(k) {
			continue
		}
		jwk, err := k.jwk()
		if err != nil {
			return nil, err
		}
		set = append(set, jwk)
	}
	return set, nil
}

func (k Key) jwk() (map[string]string, error) {
	private, err := x509.ParsePKCS8PrivateKey(k.Material.bytes)
	if err != nil {
		return nil, fmt.Errorf("key %s is damaged", k.ID)
	}
	jwk := map[string]string{"kid": k.ID, "alg": k.Alg, "use": "sig"}
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		public, err := attestapi.NewPublicKey(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = public.Type, public.Curve, public.X, public.Y
	case *rsa.PrivateKey:
		encode := base64.RawURLEncoding.EncodeToString
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	default:
		return nil, fmt.Errorf("key %s is of an unknown kind", k.ID)
	}
	return jwk, nil
}

// GatewayKey is the public key as PEM that gates verify control documents and rings with.
func (a *Account) GatewayKey() (string, error) {
	k, err := a.key(ControlKey)
	if err != nil {
		return "", err
	}
	private, err := x509.ParsePKCS8PrivateKey(k.Material.bytes)
	key, ok := private.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return "", fmt.Errorf("the key for %s is damaged", ControlKey)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})), nil
}
