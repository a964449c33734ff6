package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/approovgate/approovgate/mint"
)

const (
	hs256Header = `{"alg":"HS256","typ":"JWT"}`
	jweHeader   = `{"alg":"A256GCMKW","enc":"A256GCM","iv":"{iv}","tag":"{tag}"}`

	// genuine are the claims of an ordinary token with five minutes to live.
	genuine = `{"did":"ExampleApproovTokenDID==","exp":1800000300,"ip":"1.2.3.4"}`
	expired = `{"did":"ExampleApproovTokenDID==","exp":1799999999,"ip":"1.2.3.4"}`
)

// minter draws its randomness from what is minted, so that the corpus is the same on every run and one case
// never changes another's token.
func minter(seed ...string) mint.Minter {
	return mint.Minter{Rand: rand.NewChaCha8(sha256.Sum256([]byte(strings.Join(seed, "\x00"))))}
}

// sign signs header and payload with any key of testdata/keys.
func (g *corpus) sign(alg string, key any, header, payload string) string {
	text, err := minter(alg, header, payload).SignRaw(alg, key, header, payload)
	if err != nil {
		g.fail("mint %s %s: %w", header, payload, err)
	}
	return text
}

// hs is an HS256 token of the account with these claims.
func (g *corpus) hs(claims string) string {
	return g.sign("HS256", g.keys.account, hs256Header, claims)
}

// headed is an HS256 token of the account with this header and genuine claims.
func (g *corpus) headed(header string) string {
	return g.sign("HS256", g.keys.account, header, genuine)
}

// foreign is a token whose signature is wrong: another account's, or that of a failed attestation.
func (g *corpus) foreign(claims string) string {
	return g.sign("HS256", g.keys.foreign, hs256Header, claims)
}

// jwe encrypts for the account; cek is nil for an ordinary token.
func (g *corpus) jwe(header, payload string, cek []byte) string {
	text, err := minter("jwe", header, payload).EncryptRaw(g.keys.account, cek, header, payload)
	if err != nil {
		g.fail("mint %s %s: %w", header, payload, err)
	}
	return text
}

// b64 is base64url without padding.
func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// unsigned joins header, payload and a signature of any bytes.
func unsigned(header, payload, signature string) string {
	return b64(header) + "." + b64(payload) + "." + b64(signature)
}

// part is one of a compact token's parts, part 0 being the header.
func part(token string, i int) string { return strings.Split(token, ".")[i] }

// withPart is the token with part i replaced.
func withPart(token string, i int, segment string) string {
	parts := strings.Split(token, ".")
	parts[i] = segment
	return strings.Join(parts, ".")
}

// flip is a segment with its first character replaced by another one of the alphabet.
func flip(segment string) string {
	if segment[0] == 'A' {
		return "B" + segment[1:]
	}
	return "A" + segment[1:]
}

// pay is the claim that binds a token to data (manual, "Token Binding").
func pay(data string) string {
	sum := sha256.Sum256([]byte(data))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// bound is a genuine token bound to data.
func (g *corpus) bound(data string) string { return g.paid(fmt.Sprintf("%q", pay(data))) }

// paid is a genuine token whose pay claim is this JSON value.
func (g *corpus) paid(value string) string {
	return g.hs(`{"did":"ExampleApproovTokenDID==","exp":1800000300,"ip":"1.2.3.4","pay":` + value + `}`)
}
