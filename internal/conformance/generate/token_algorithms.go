package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"math/big"
	"strings"
)

// strict is the smallest policy there is: one HS256 secret, everything enforced.
const strict = `{"keys": [$account]}`

// algorithms are the cases about what signs a token (RFC 8725 §3.1): the key names its algorithm, the token's
// alg must equal it.
func algorithms(g *corpus) {
	g.add("token/genuine", "genuine token is accepted", "R90, R113, T27", strict, get(g.hs(genuine)),
		pass().key("account").target("/v1/items").host("api.example.com"))
	g.add("token/genuine-no-typ", "typ is not required", "R90", strict, get(g.headed(`{"alg":"HS256"}`)), pass())
	g.add("token/genuine-typ-first", "header members may stand in any order", "R90", strict,
		get(g.headed(`{"typ":"JWT","alg":"HS256"}`)), pass())
	g.add("token/genuine-header-spaces", "header may hold white space", "R90", strict,
		get(g.headed("{ \"alg\" : \"HS256\",\n\"typ\":\"JWT\" }")), pass())

	for file, alg := range map[string]string{"lower": "none", "title": "None", "upper": "NONE", "mixed": "nOnE"} {
		g.add("token/alg-none-"+file, "unsigned token with alg "+alg+" is denied", "T1", strict,
			get(unsigned(`{"alg":"`+alg+`","typ":"JWT"}`, genuine, "")), deny("algorithm_refused"))
	}
	g.add("token/alg-none-signed", "alg none with the right signature is denied", "T1", strict,
		get(g.headed(`{"alg":"none","typ":"JWT"}`)), deny("algorithm_refused"))
	g.add("token/alg-none-two-parts", "unsigned token of two parts is denied", "T1", strict,
		get(b64(`{"alg":"none"}`)+"."+b64(genuine)), deny("token_malformed"))
	g.add("token/alg-missing", "header without alg is denied", "T1", strict, get(g.headed(`{"typ":"JWT"}`)), deny("algorithm_refused"))
	g.add("token/alg-empty", "empty alg is denied", "T1", strict, get(g.headed(`{"alg":"","typ":"JWT"}`)), deny("algorithm_refused"))
	g.add("token/alg-lower-case", "alg is case-sensitive", "T1", strict, get(g.headed(`{"alg":"hs256","typ":"JWT"}`)), deny("algorithm_refused"))
	g.add("token/alg-space", "alg with a space behind it is denied", "T1", strict, get(g.headed(`{"alg":"HS256 ","typ":"JWT"}`)), deny("algorithm_refused"))
	for file, value := range map[string]string{"null": "null", "number": "256", "array": `["HS256"]`, "true": "true", "object": `{"alg":"HS256"}`} {
		g.add("token/alg-"+file, "alg that is a JSON "+file+" is denied", "T1", strict,
			get(g.headed(`{"alg":`+value+`,"typ":"JWT"}`)), deny("token_malformed"))
	}
	g.add("token/alg-name-upper-case", "ALG does not stand in for alg", "T1, T23", strict, get(g.headed(`{"ALG":"HS256","typ":"JWT"}`)), deny("algorithm_refused"))

	confusions(g)
	asymmetric(g)
	ecdsaSignatures(g)
}

// confusions are tokens signed with the right secret for another algorithm, or for the right one with a public key.
func confusions(g *corpus) {
	input := func(alg string) string { return b64(`{"alg":"`+alg+`","typ":"JWT"}`) + "." + b64(genuine) }
	for alg, h := range map[string]func() hash.Hash{"HS384": sha512.New384, "HS512": sha512.New} {
		mac := hmac.New(h, g.keys.account)
		mac.Write([]byte(input(alg)))
		g.add("token/alg-"+strings.ToLower(alg), alg+" token under the right secret is denied", "T2, R90", strict,
			get(input(alg)+"."+b64(string(mac.Sum(nil)))), deny("algorithm_refused"))
	}
	for _, alg := range []string{"HS512", "RS256", "PS256", "ES256", "EdDSA", "ES256K"} {
		g.add("token/alg-lies-"+strings.ToLower(alg), "HS256 signature under an "+alg+" header is denied", "T2", strict,
			get(g.headed(`{"alg":"`+alg+`","typ":"JWT"}`)), deny("algorithm_refused"))
	}
	for file, secret := range map[string]string{
		"pem": g.keys.rsaPEM, "pem-trimmed": strings.TrimSpace(g.keys.rsaPEM), "der": derOf(g.keys.rsaPEM),
	} {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(input("HS256")))
		token := input("HS256") + "." + b64(string(mac.Sum(nil)))
		g.add("token/confusion-"+file, "HS256 token under the public key's "+strings.ReplaceAll(file, "-", " ")+" is denied", "T2",
			`{"keys": [$rs256]}`, get(token), deny("algorithm_refused"))
		g.add("token/confusion-mixed-"+file, "HS256 token under the public key's "+strings.ReplaceAll(file, "-", " ")+" is denied beside a secret", "T2",
			`{"keys": [$rs256, $account]}`, get(token), deny("signature_invalid"))
	}
	g.add("token/es256-under-hs256", "ES256 token is denied where only a secret is configured", "T2", strict,
		get(g.sign("ES256", g.keys.ec, `{"alg":"ES256","typ":"JWT"}`, genuine)), deny("algorithm_refused"))
	g.add("token/ps256-under-rs256", "PS256 token is denied where its key is for RS256", "T2", `{"keys": [$rs256]}`,
		get(g.sign("PS256", g.keys.rsa, `{"alg":"PS256","typ":"JWT"}`, genuine)), deny("algorithm_refused"))
	g.add("token/ps256-signature-rs256-header", "PSS signature under an RS256 header is denied", "T2", `{"keys": [$rs256]}`,
		get(g.sign("PS256", g.keys.rsa, `{"alg":"RS256","typ":"JWT"}`, genuine)), deny("signature_invalid"))
	g.add("token/rs256-signature-ps256-header", "PKCS1 signature under a PS256 header is denied", "T2", `{"keys": [$ps256]}`,
		get(g.sign("RS256", g.keys.rsa, `{"alg":"PS256","typ":"JWT"}`, genuine)), deny("signature_invalid"))
}

// derOf is the content of a PEM text with one block.
func derOf(pemText string) string {
	lines := strings.Split(strings.TrimSpace(pemText), "\n")
	der, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		return err.Error()
	}
	return string(der)
}

func asymmetric(g *corpus) {
	for _, a := range []struct {
		alg, policy, name string
		key, foreign      any
	}{
		{"RS256", `{"keys": [$rs256]}`, "rsa", g.keys.rsa, g.keys.foreignRSA},
		{"PS256", `{"keys": [$ps256]}`, "pss", g.keys.rsa, g.keys.foreignRSA},
		{"ES256", `{"keys": [$es256]}`, "ec", g.keys.ec, g.keys.foreignEC},
	} {
		file := "token/" + strings.ToLower(a.alg)
		header := `{"alg":"` + a.alg + `","typ":"JWT"}`
		genuineToken := g.sign(a.alg, a.key, header, genuine)
		g.add(file+"-genuine", "genuine "+a.alg+" token is accepted", "R113", a.policy, get(genuineToken), pass().key(a.name))
		g.add(file+"-expired", "expired "+a.alg+" token is denied", "T21", a.policy, get(g.sign(a.alg, a.key, header, expired)), deny("token_expired"))
		g.add(file+"-foreign", a.alg+" token of another key is denied", "R113", a.policy,
			get(g.sign(a.alg, a.foreign, header, genuine)), deny("signature_invalid"))
		g.add(file+"-changed", a.alg+" token with other claims than signed is denied", "T11", a.policy,
			get(withPart(genuineToken, 1, b64(expired))), deny("signature_invalid"))
		g.add(file+"-unsigned", a.alg+" token with an empty signature is denied", "T1", a.policy,
			get(withPart(genuineToken, 2, "")), deny("signature_invalid"))
	}
}

// ecdsaSignatures are the forms of an ES256 signature (RFC 7518 §3.4): r and s, 32 bytes each.
func ecdsaSignatures(g *corpus) {
	token := g.sign("ES256", g.keys.ec, `{"alg":"ES256","typ":"JWT"}`, genuine)
	raw, err := base64.RawURLEncoding.DecodeString(part(token, 2))
	if err != nil || len(raw) != 64 {
		g.fail("ES256 signature has %d bytes: %w", len(raw), err)
		return
	}
	r, s := string(raw[:32]), string(raw[32:])
	order := g.keys.ec.Params().N
	zero, n := strings.Repeat("\x00", 32), string(order.Bytes())
	negated := string(new(big.Int).Sub(order, new(big.Int).SetBytes(raw[32:])).FillBytes(make([]byte, 32)))
	for _, row := range []struct{ file, name, signature string }{
		{"r-zero", "r of zero", zero + s},
		{"s-zero", "s of zero", r + zero},
		{"both-zero", "r and s of zero", zero + zero},
		{"r-order", "r equal to the group's order", n + s},
		{"s-order", "s equal to the group's order", r + n},
		{"short", "63 bytes", r + s[:31]},
		{"long", "65 bytes", r + s + "\x00"},
		{"swapped", "s before r", s + r},
		{"der", "DER in place of r and s", "\x30\x46\x02\x21\x00" + r + "\x02\x21\x00" + s},
	} {
		g.add("token/es256-signature-"+row.file, "ES256 signature with "+row.name+" is denied", "T12", `{"keys": [$es256]}`,
			get(withPart(token, 2, b64(row.signature))), deny("signature_invalid"))
	}
	g.add("token/es256-signature-negated", "ES256 signature with n minus s is as valid as with s", "T12", `{"keys": [$es256]}`,
		get(withPart(token, 2, b64(r+negated))), pass())
}
