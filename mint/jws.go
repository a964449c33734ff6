package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Sign makes a JWS in compact form (RFC 7515 §7.1). alg is HS256, RS256, PS256 or ES256; key is a []byte,
// an *rsa.PrivateKey or an *ecdsa.PrivateKey on P-256 accordingly. The header is {"alg":…,"typ":"JWT"},
// with kid between the two when it is not empty; header and claims are in Canonical form.
// An error names an unknown algorithm, a key of the wrong type or claims that are not JSON.
func (m Minter) Sign(alg, kid string, key any, claims map[string]any) (string, error) {
	header, err := canonicalHeader(map[string]any{"alg": alg, "typ": "JWT"}, kid)
	if err != nil {
		return "", err
	}
	payload, err := Canonical(claims)
	if err != nil {
		return "", err
	}
	return m.SignRaw(alg, key, header, payload)
}

// SignRaw signs any header and payload text, for tests with hostile tokens: alg and key decide how it is
// signed, whatever header says. Neither text needs to be JSON.
func (m Minter) SignRaw(alg string, key any, header, payload string) (string, error) {
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	signature, err := m.signature(alg, key, input)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", alg, err)
	}
	return input + "." + encode(signature), nil
}

// signature leaves the work to golang-jwt, except where a Minter with a Rand of its own must be reproducible:
// golang-jwt offers no random source.
func (m Minter) signature(alg string, key any, input string) ([]byte, error) {
	var method jwt.SigningMethod
	switch alg {
	case "HS256":
		method = jwt.SigningMethodHS256
	case "RS256":
		method = jwt.SigningMethodRS256
	case "PS256":
		method = jwt.SigningMethodPS256
	case "ES256":
		method = jwt.SigningMethodES256
	default:
		return nil, fmt.Errorf("unknown algorithm: use HS256, RS256, PS256 or ES256")
	}
	if m.Rand != nil {
		switch k := key.(type) {
		case *rsa.PrivateKey:
			if alg == "PS256" {
				return m.pss(k, input)
			}
		case *ecdsa.PrivateKey:
			if alg == "ES256" {
				return deterministicES256(k, input)
			}
		}
	}
	return method.Sign(input, key)
}

// pss signs as RFC 7518 §3.5: SHA-256, and a salt as long as the hash.
func (m Minter) pss(key *rsa.PrivateKey, input string) ([]byte, error) {
	digest := sha256.Sum256([]byte(input))
	return rsa.SignPSS(m.Rand, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}

// deterministicES256 signs as RFC 7518 §3.4 with the nonce of RFC 6979: crypto/ecdsa ignores any random source
// but a nil one.
func deterministicES256(key *ecdsa.PrivateKey, input string) ([]byte, error) {
	if key.Curve.Params().BitSize != 256 {
		return nil, fmt.Errorf("the key is on %s: use P-256", key.Curve.Params().Name)
	}
	digest := sha256.Sum256([]byte(input))
	der, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return fixedWidth(der)
}

// fixedWidth turns the DER form SEQUENCE { r INTEGER, s INTEGER } of a P-256 signature, whose lengths all fit
// one byte, into r and s of 32 bytes each.
func fixedWidth(der []byte) ([]byte, error) {
	const coordinate = 32
	out := make([]byte, 2*coordinate)
	rest := der
	if len(rest) < 2 || rest[0] != 0x30 || int(rest[1]) != len(rest)-2 {
		return nil, fmt.Errorf("signature is not a DER sequence")
	}
	rest = rest[2:]
	for i := range 2 {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, fmt.Errorf("signature holds no DER integer")
		}
		n := new(big.Int).SetBytes(rest[2 : 2+int(rest[1])])
		n.FillBytes(out[i*coordinate : (i+1)*coordinate])
		rest = rest[2+int(rest[1]):]
	}
	return out, nil
}
