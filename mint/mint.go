// Package mint signs and encrypts Approov tokens: for the attestation server, the demo and tests.
// It owns the canonical form of what we issue, so that a token can be re-created byte for byte from its
// claims and its key. It judges nothing: checking tokens is the engine's work, and no gate links this package.
//
// Start reading at Minter.Sign for signed tokens (jws.go) and Minter.Encrypt for encrypted ones (jwe.go).
package mint

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
)

// Minter makes tokens. The zero value is ready to use and safe for concurrent use.
type Minter struct {
	// Rand is where PS256 salts, content encryption keys and initialisation vectors come from; nil means
	// crypto/rand. With a Rand of its own a Minter is reproducible: ES256 then signs by RFC 6979, which needs no
	// randomness. Never set it outside tests: a repeated initialisation vector breaks AES-GCM.
	Rand io.Reader
}

// Sign is Minter.Sign with randomness from crypto/rand.
func Sign(alg, kid string, key any, claims map[string]any) (string, error) {
	return Minter{}.Sign(alg, kid, key, claims)
}

// SignRaw is Minter.SignRaw with randomness from crypto/rand.
func SignRaw(alg string, key any, header, payload string) (string, error) {
	return Minter{}.SignRaw(alg, key, header, payload)
}

// Encrypt is Minter.Encrypt with randomness from crypto/rand.
func Encrypt(secret []byte, kid string, claims map[string]any) (string, error) {
	return Minter{}.Encrypt(secret, kid, claims)
}

// EncryptRaw is Minter.EncryptRaw with randomness from crypto/rand.
func EncryptRaw(secret, cek []byte, header, payload string) (string, error) {
	return Minter{}.EncryptRaw(secret, cek, header, payload)
}

// Canonical is the serialisation of claims and headers: JSON with sorted member names, without spaces and
// without HTML escapes, as in all the examples of the manual ("Approov Tokens").
func Canonical(members map[string]any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(members); err != nil {
		return "", fmt.Errorf("serialise: %w", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// canonicalHeader adds the members of base and, when it is set, kid.
func canonicalHeader(base map[string]any, kid string) (string, error) {
	if kid != "" {
		base["kid"] = kid
	}
	return Canonical(base)
}

func (m Minter) random() io.Reader {
	if m.Rand != nil {
		return m.Rand
	}
	return rand.Reader
}

// encode is base64url without padding (RFC 7515 §2).
func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
