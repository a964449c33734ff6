package jose_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// party is one algorithm as all implementations know it: our ring, and the keys to sign and verify with.
type party struct {
	alg          string // "A256GCMKW" stands for JWE
	kid          string
	sign, verify any // []byte, *rsa or *ecdsa keys; the secret itself for JWE
	ring         *jose.Ring
	minter       mint.Minter
}

const jwe = "A256GCMKW"

// parties make the same tokens in every run, except that libraries without a random source of their own sign
// PS256 and ES256 and encrypt as they like.
func parties(t testing.TB) map[string][]*party {
	t.Helper()
	rsaKey, ecKey := private(t, "rsa-account"), private(t, "p256-account")
	all := map[string][]*party{}
	add := func(alg, kid string, sign, verify any, keys ...jose.Key) {
		source := rand.NewChaCha8([32]byte{byte(len(all)), byte(len(kid))})
		all[alg] = append(all[alg], &party{alg, kid, sign, verify, ringOf(t, keys...), mint.Minter{Rand: source}})
	}
	for _, alg := range []string{jose.HS256, jwe} {
		for kid, name := range map[string]string{"": "account", "k-2": "next"} {
			add(alg, kid, secret(t, name), secret(t, name), hs256(t, "account", ""), hs256(t, "next", "k-2"), hs256(t, "retired", "k-3"))
		}
	}
	for _, alg := range []string{jose.RS256, jose.PS256} {
		add(alg, "", rsaKey, rsaKey.Public(), public(t, alg, "rsa-account", ""), hs256(t, "account", ""))
	}
	add(jose.ES256, "ec 1", ecKey, ecKey.Public(), public(t, jose.ES256, "p256-account", "ec 1"), public(t, jose.RS256, "rsa-account", ""))
	return all
}

// opens asks our ring.
func (p *party) opens(text string) (string, bool) {
	payload, _, fault := p.ring.Open(text, 0, anyForm)
	return payload, fault == ""
}

// golangJWT asks golang-jwt, which knows no JWE. It judges the signature alone, but its claims must be a JSON
// object.
func (p *party) golangJWT(text string) bool {
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{p.alg}), jwt.WithoutClaimsValidation()).
		Parse(text, func(*jwt.Token) (any, error) { return p.verify, nil })
	return err == nil
}

// goJOSE asks go-jose.
func (p *party) goJOSE(text string) (string, bool) {
	if p.alg == jwe {
		sealed, err := gojose.ParseEncryptedCompact(text, []gojose.KeyAlgorithm{gojose.A256GCMKW}, []gojose.ContentEncryption{gojose.A256GCM})
		if err != nil {
			return "", false
		}
		payload, err := sealed.Decrypt(wrappingKey(p.verify.([]byte)))
		return string(payload), err == nil
	}
	object, err := gojose.ParseSignedCompact(text, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(p.alg)})
	if err != nil {
		return "", false
	}
	payload, err := object.Verify(p.verify)
	return string(payload), err == nil
}

// mints makes one token of claims with each implementation that can.
func (p *party) mints(claims map[string]any) (map[string]string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	made := map[string]string{}
	if p.alg == jwe {
		if made["mint"], err = p.minter.Encrypt(p.sign.([]byte), p.kid, claims); err != nil {
			return nil, err
		}
		options := (&gojose.EncrypterOptions{}).WithType("JWT")
		e, err := gojose.NewEncrypter(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.A256GCMKW, Key: wrappingKey(p.sign.([]byte)), KeyID: p.kid}, options)
		if err != nil {
			return nil, err
		}
		sealed, err := e.Encrypt(payload)
		if err != nil {
			return nil, err
		}
		made["go-jose"], err = sealed.CompactSerialize()
		return made, err
	}
	if made["mint"], err = p.minter.Sign(p.alg, p.kid, p.sign, claims); err != nil {
		return nil, err
	}
	plain := jwt.NewWithClaims(jwt.GetSigningMethod(p.alg), jwt.MapClaims(claims))
	if p.kid != "" {
		plain.Header["kid"] = p.kid
	}
	if made["golang-jwt"], err = plain.SignedString(p.sign); err != nil {
		return nil, err
	}
	options := (&gojose.SignerOptions{}).WithType("JWT")
	if p.kid != "" {
		options = options.WithHeader("kid", p.kid)
	}
	s, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(p.alg), Key: p.sign}, options)
	if err != nil {
		return nil, err
	}
	object, err := s.Sign(payload)
	if err != nil {
		return nil, err
	}
	made["go-jose"], err = object.CompactSerialize()
	return made, err
}

// randomClaims resembles what attestation puts into tokens, with stranger text and more of it.
func randomClaims(r *rand.Rand) map[string]any {
	claims := map[string]any{"exp": r.Float64() * 1e10, "did": randomText(r)}
	for _, name := range []string{"ip", "iss", "pay", "arc", "ipk", randomText(r)} {
		if r.IntN(3) == 0 {
			claims[name] = randomText(r)
		}
	}
	switch r.IntN(6) {
	case 0:
		claims["anno"] = []string{randomText(r), randomText(r)}
	case 1:
		claims["nested"] = map[string]any{"a": []any{1, nil, true, map[string]any{randomText(r): r.Float64()}}}
	case 2:
		claims["iat"] = r.Uint32()
	}
	return claims
}

func randomText(r *rand.Rand) string {
	letters := []rune("abcXYZ019 .-_/+=\"\\<>&\n\t\x00\x7fäß漢😀\u2028")
	out := make([]rune, r.IntN(40))
	for i := range out {
		out[i] = letters[r.IntN(len(letters))]
	}
	return string(out)
}

// TestOraclesAgree mints random tokens with us, golang-jwt and go-jose, and has each of them opened by all three.
// Then it changes each token and demands that we refuse it, and in any case never accept what one of the others
// refuses. The numbers are tokens minted by us; each is accompanied by one per library.
func TestOraclesAgree(t *testing.T) {
	for alg, rounds := range map[string]int{jose.HS256: 100_000, jose.RS256: 1_000, jose.PS256: 500, jose.ES256: 2_000, jwe: 10_000} {
		if testing.Short() {
			rounds /= 100
		}
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, uint64(rounds)))
			sides := parties(t)[alg]
			previous := strings.Repeat(b64(`{"alg":"HS256"}`)+".", 5)
			for i := 0; i < rounds && !t.Failed(); i++ {
				p := sides[i%len(sides)]
				made, err := p.mints(randomClaims(r))
				if err != nil {
					t.Fatal(err)
				}
				for who, text := range made {
					p.checkAgreed(t, who, text)
				}
				text := made["mint"]
				changed := mutate(r, text, previous)
				previous = text
				if changed != text {
					p.checkChanged(t, text, changed)
				}
			}
		})
	}
}

// checkAgreed demands that everyone opens text, to the same payload.
func (p *party) checkAgreed(t *testing.T, who, text string) {
	t.Helper()
	ours, ok := p.opens(text)
	if !ok {
		t.Errorf("%s minted by %s: got refused, want opened: %s", p.alg, who, text)
	}
	theirs, ok := p.goJOSE(text)
	if !ok || theirs != ours {
		t.Errorf("%s minted by %s: got payload %q, want go-jose's %q (%v): %s", p.alg, who, ours, theirs, ok, text)
	}
	if p.alg != jwe && !p.golangJWT(text) {
		t.Errorf("%s minted by %s: got refused by golang-jwt, want it opened: %s", p.alg, who, text)
	}
}

// checkChanged demands that a changed token is refused. The signature or tag covers every character, and each
// segment has one spelling, so that there is no change without effect.
func (p *party) checkChanged(t *testing.T, text, changed string) {
	t.Helper()
	if payload, ok := p.opens(changed); ok {
		_, goJOSE := p.goJOSE(changed)
		golangJWT := p.alg != jwe && p.golangJWT(changed)
		t.Errorf("%s changed: got payload %q (go-jose accepts: %v, golang-jwt accepts: %v), want it refused\noriginal %s\nchanged  %s",
			p.alg, payload, goJOSE, golangJWT, text, changed)
	}
}

// mutate changes a token in one of the ways that have fooled others. other is a token to take parts from.
func mutate(r *rand.Rand, text, other string) string {
	parts, strange := strings.Split(text, "."), strings.Split(other, ".")
	at := r.IntN(len(parts))
	switch r.IntN(9) {
	case 0: // one bit
		raw := []byte(text)
		raw[r.IntN(len(raw))] ^= 1 << r.IntN(8)
		return string(raw)
	case 1: // cut short
		return text[:r.IntN(len(text))]
	case 2: // a part of another token
		if at < len(strange) {
			parts[at] = strange[at]
		}
	case 3: // one character of a part, at its end where the unused bits are
		if n := len(parts[at]); n > 0 {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=\n "
			parts[at] = parts[at][:n-1] + string(alphabet[r.IntN(len(alphabet))])
		}
	case 4: // padding, line breaks and spaces
		parts[at] += []string{"=", "==", "\n", "\r\n", " ", "\x00", "A", "AA", "AAAA"}[r.IntN(9)]
	case 5: // line break inside
		if n := len(parts[at]); n > 0 {
			cut := r.IntN(n)
			parts[at] = parts[at][:cut] + "\n" + parts[at][cut:]
		}
	case 6: // a part more, less or empty
		switch r.IntN(3) {
		case 0:
			parts = append(parts, "AAAA")
		case 1:
			parts = append(parts[:at], parts[at+1:]...)
		default:
			parts[at] = ""
		}
	case 7: // another header, as an attacker writes it
		parts[0] = b64([]string{`{"alg":"none"}`, `{"alg":"HS512"}`, `{"alg":"HS256","zip":"DEF"}`, `{"alg":"HS256","kid":"k-3"}`,
			`{"alg":"dir","enc":"A256GCM"}`, `{"alg":"RS256"}`, `{"alg":"ES256","kid":"ec 1"}`, `{"alg":"HS256","b64":false,"crit":["b64"]}`}[r.IntN(8)])
	default: // two parts exchanged
		to := r.IntN(len(parts))
		parts[at], parts[to] = parts[to], parts[at]
	}
	return strings.Join(parts, ".")
}

// TestSigningKeysAreNotSecrets: a token whose HS256 secret is the text of a public key must not pass for that key.
func TestSigningKeysAreNotSecrets(t *testing.T) {
	for alg, file := range map[string]string{jose.RS256: "rsa-account", jose.PS256: "rsa-account", jose.ES256: "p256-account"} {
		ring := ringOf(t, public(t, alg, file, ""))
		for _, header := range []string{`{"alg":"HS256","typ":"JWT"}`, fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, alg)} {
			text, err := mint.SignRaw(jose.HS256, keyText(t, file+".public.pem"), header, `{"exp":4708683205}`)
			if err != nil {
				t.Fatal(err)
			}
			if payload, _, fault := ring.Open(text, 0, anyForm); fault == "" {
				t.Errorf("%s, header %s: got %q, want a fault", alg, header, payload)
			}
		}
	}
}
