package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/approovgate/approovgate/jose"
	"github.com/approovgate/approovgate/mint"
)

// FuzzCompact opens any text. Nothing may panic, and what we open go-jose and golang-jwt must open too. With
// resign, three parts get the right HS256 signature, so that the fuzzer gets past it.
func FuzzCompact(f *testing.F) {
	for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"k-2"}`,
		`{"alg":"HS256","crit":[]}`, `{"alg":"HS256","x":[1,{"a":null}]}`, `{"\u0061lg":"HS256"}`, ` {"alg" : "HS256"} `} {
		f.Add(sign(f, header), false)
		f.Add(sign(f, header), true)
	}
	for _, header := range []string{goodJWE, with(`"zip":"DEF"`), with(`"kid":"k-2"`)} {
		f.Add(seal(f, header), false)
	}
	for _, kind := range []string{jose.RS256, jose.PS256, jose.ES256} {
		made, err := parties(f)[kind][0].mints(map[string]any{"exp": 1})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(made["mint"], false)
	}
	for _, text := range []string{"", ".", "..", "....", ".....", "a.b.c", "A.A.A\n", strings.Repeat(".", 8192), b64(`{}`) + ".." + "="} {
		f.Add(text, false)
		f.Add(text, true)
	}
	addVectorTokens(f)
	all := parties(f)
	f.Fuzz(func(t *testing.T, text string, resign bool) {
		if resign {
			text = resigned(t, text)
		}
		for _, sides := range all {
			for _, p := range sides {
				ours, ok := p.opens(text)
				if !ok {
					if ours != "" {
						t.Errorf("%s %q: got payload %q with a fault, want none", p.alg, text, ours)
					}
					continue
				}
				checkOthersOpen(t, all, text, ours)
			}
		}
	})
}

// addVectorTokens adds the tokens of the public corpora, where they are.
func addVectorTokens(f *testing.F) {
	f.Helper()
	compact := regexp.MustCompile(`"jw[se]": ?"([^"]*)"`)
	for _, name := range []string{"json_web_signature_test.json", "json_web_encryption_test.json", "json_web_key_test.json"} {
		text, err := os.ReadFile("../../shared/vectors/wycheproof/" + name)
		if err != nil {
			return
		}
		for i, match := range compact.FindAllSubmatch(text, -1) {
			if i%4 == 0 { // the signatures are many, and alike to a fuzzer
				f.Add(string(match[1]), true)
			}
		}
	}
}

// resigned replaces the last of three parts by the right HS256 signature of the account key.
func resigned(t *testing.T, text string) string {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return text
	}
	return macOver(t, parts[0]+"."+parts[1])
}

// checkOthersOpen demands that go-jose opens text with a key of one party, to the same payload, and that golang-jwt
// does, except where they are known to be stricter than RFC 7515 asks: see ignoredByUs, and golang-jwt wants
// claims.
func checkOthersOpen(t *testing.T, all map[string][]*party, text, ours string) {
	t.Helper()
	if ignoredByUs(t, text) {
		return
	}
	goJOSE, golangJWT := false, false
	for _, sides := range all {
		for _, p := range sides {
			if theirs, ok := p.goJOSE(text); ok {
				goJOSE = true
				if theirs != ours {
					t.Errorf("%q: got payload %q, want go-jose's %q", text, ours, theirs)
				}
			}
			golangJWT = golangJWT || p.alg == jwe || p.golangJWT(text)
		}
	}
	var claims map[string]any
	if json.Unmarshal([]byte(ours), &claims) != nil {
		golangJWT = true
	}
	if !goJOSE || !golangJWT {
		t.Errorf("%q: got opened, want what the others say: go-jose %v, golang-jwt %v", text, goJOSE, golangJWT)
	}
}

// ignoredByUs reports whether the header holds parameters whose values we pass over as RFC 7515 §4 asks, but the
// others read: a key (jwk, x5c, …), and numbers and lists of any kind, in which they may find a number too large
// or a name twice.
func ignoredByUs(t *testing.T, text string) bool {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text[:strings.IndexByte(text, '.')])
	if err != nil {
		t.Fatalf("%q: opened, but the header is not base64url: %v", text, err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatalf("%q: opened, but the header is not JSON: %v", text, err)
	}
	for name, value := range members {
		switch name {
		case "jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "epk", "apu", "apv", "p2s", "p2c", "nonce", "cty", "url":
			return true
		}
		var number float64
		if json.Unmarshal(value, &number) == nil && !math.IsInf(number, 0) {
			continue
		}
		if c := value[0]; c != '"' && c != 't' && c != 'f' && c != 'n' {
			return true
		}
	}
	return false
}

// TestIgnoredParametersAreListed keeps FuzzCompact's exemptions true: we open these, and one of the others refuses.
func TestIgnoredParametersAreListed(t *testing.T) {
	p := parties(t)[jose.HS256][0]
	for _, candidate := range parties(t)[jose.HS256] {
		if candidate.kid == "" {
			p = candidate
		}
	}
	for _, parameter := range []string{`"jwk":{"kty":"oct"}`, `"x5c":["AA"]`, `"x":1e400`} {
		text, err := mint.SignRaw(jose.HS256, secret(t, "account"), `{"alg":"HS256",`+parameter+`}`, payload)
		if err != nil {
			t.Fatal(err)
		}
		_, ours := p.opens(text)
		_, goJOSE := p.goJOSE(text)
		if !ours || goJOSE && p.golangJWT(text) {
			t.Errorf("%s: got opened %v, go-jose %v, golang-jwt %v, want us alone", parameter, ours, goJOSE, p.golangJWT(text))
		}
	}
}
