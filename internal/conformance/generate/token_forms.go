package main

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// serialisations are the cases about the compact form (RFC 7515 §7.1) and the protected header (§4).
func serialisations(g *corpus) {
	token := g.hs(genuine)
	malformed := func(file, name, about, value string) {
		g.add("token/"+file, name+" is denied", about, strict, get(value), deny("token_malformed"))
	}
	malformed("one-part", "text without dots", "T11", "abcdefgh")
	malformed("two-parts", "token without signature part", "T11", part(token, 0)+"."+part(token, 1))
	malformed("four-parts", "token of four parts", "T11", token+".AAAA")
	malformed("six-parts", "token of six parts", "T11", token+".AAAA.AAAA.AAAA")
	malformed("one-dot", "single dot", "T10", ".")
	malformed("two-dots", "two dots", "T10", "..")
	malformed("four-dots", "four dots", "T10", "....")
	malformed("header-absent", "empty header part", "T11", withPart(token, 0, ""))
	for file, header := range map[string]string{
		"null": "null", "array": `[]`, "string": `"HS256"`, "number": "1", "truncated": `{"alg":"HS256"`, "trailing": hs256Header + "x",
		"two-objects": hs256Header + hs256Header, "not-json": "HS256", "single-quotes": `{'alg':'HS256'}`, "bom": "\xef\xbb\xbf" + hs256Header,
		"invalid-utf8": "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
	} {
		malformed("header-"+file, "header that is "+strings.ReplaceAll(file, "-", " "), "T11, T23", g.headed(header))
	}
	malformed("header-duplicate-alg", "header with alg twice", "T23", g.headed(`{"alg":"HS256","alg":"HS256","typ":"JWT"}`))
	malformed("header-duplicate-none", "header with alg none behind HS256", "T1, T23", g.headed(`{"alg":"HS256","alg":"none"}`))
	malformed("header-duplicate-kid", "header with kid twice", "T23", g.headed(`{"alg":"HS256","kid":"a","kid":"b"}`))
	malformed("header-duplicate-escaped", "header with alg twice, once by an escape", "T23", g.headed(`{"alg":"HS256","\u0061lg":"none"}`))
	malformed("header-typ-number", "header whose typ is a number", "T11", g.headed(`{"alg":"HS256","typ":1}`))
	malformed("header-kid-number", "header whose kid is a number", "T8", g.headed(`{"alg":"HS256","kid":1}`))
	malformed("header-kid-null", "header whose kid is null", "T8", g.headed(`{"alg":"HS256","kid":null}`))
	malformed("header-large", "header of more than 2048 characters", "T8, T10",
		g.headed(`{"alg":"HS256","kid":"`+strings.Repeat("k", 2000)+`"}`))

	malformed("base64-padding", "header part with padding", "T11", withPart(token, 0, base64.URLEncoding.EncodeToString([]byte(`{"alg":"HS256"} `))))
	malformed("base64-standard", "header part in the standard alphabet", "T11", withPart(token, 0, base64.RawStdEncoding.EncodeToString([]byte(`{"alg":"HS256","x":"???>>>"}`))))
	malformed("base64-unused-bits", "header part with unused bits set", "T11", withPart(token, 0, b64(`{"alg":"HS256"}  `)[:22]+"B"))
	malformed("space-inside", "token with a space in its header part", "T11", token[:8]+" "+token[8:])
	malformed("quoted", "token in quotes", "T11", `"`+token+`"`)
	malformed("json-serialisation", "JWS in its JSON serialisation", "T3",
		`{"protected":"`+part(token, 0)+`","payload":"`+part(token, 1)+`","signature":"`+part(token, 2)+`"}`)

	signatures(g, token)
	parameters(g)
}

// signatures are the cases about the third part.
func signatures(g *corpus, token string) {
	invalid := func(file, name, about, value string) {
		g.add("token/"+file, name+" is denied", about, strict, get(value), deny("signature_invalid"))
	}
	invalid("foreign", "token of another account", "R5, R113", g.foreign(genuine))
	invalid("foreign-and-expired", "token that is forged and expired is found forged: it", "T11", g.foreign(expired))
	invalid("payload-changed", "token with other claims than signed", "T11", withPart(token, 1, b64(`{"exp":4102444800}`)))
	invalid("header-changed", "token with another header than signed", "T11", withPart(token, 0, b64(`{"alg":"HS256"}`)))
	invalid("payload-space", "token with a space in its payload part", "T11", part(token, 0)+". "+part(token, 1)+"."+part(token, 2))
	invalid("signature-absent", "token with an empty signature", "T1, T11", withPart(token, 2, ""))
	invalid("signature-first-character", "signature that differs in its first character", "T11", withPart(token, 2, flip(part(token, 2))))
	last := part(token, 2)
	invalid("signature-last-character", "signature that differs in its last character", "T11", withPart(token, 2, last[:42]+other(last[42])))
	invalid("signature-short", "signature of 31 bytes", "T11", withPart(token, 2, last[:42]))
	invalid("signature-long", "signature with a byte behind it", "T11", token+"AA")
	invalid("signature-unused-bits", "signature with unused bits set", "T11", withPart(token, 2, last[:42]+neighbour(last[42])))
	invalid("signature-of-sha256", "plain SHA-256 in place of the signature", "T1", withPart(token, 2, digest(part(token, 0)+"."+part(token, 1))))
	invalid("signature-key-text", "token signed with the base64 text of the secret", "T15",
		g.sign("HS256", []byte(base64.StdEncoding.EncodeToString(g.keys.account)), hs256Header, genuine))
}

// other is a different base64url character with the same unused bits.
func other(c byte) string {
	if c == 'A' {
		return "E"
	}
	return "A"
}

// neighbour is the character whose two lowest bits differ.
func neighbour(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64(string(sum[:]))
}

// parameters are the header parameters that hostile tokens carry.
func parameters(g *corpus) {
	refused := func(file, name, about, header string) {
		g.add("token/"+file, name+" is denied", about, strict, get(g.headed(header)), deny("algorithm_refused"))
	}
	refused("crit-unknown", "header with an unknown critical parameter", "T9", `{"alg":"HS256","crit":["x"],"x":1}`)
	refused("crit-empty", "header with an empty crit", "T9", `{"alg":"HS256","crit":[]}`)
	refused("crit-exp", "header with a critical exp", "T9", `{"alg":"HS256","crit":["exp"],"exp":1800000300}`)
	refused("crit-text", "header whose crit is a string", "T9", `{"alg":"HS256","crit":"exp"}`)
	refused("crit-b64", "header with a critical b64", "T9", `{"alg":"HS256","b64":false,"crit":["b64"]}`)
	refused("b64-false", "header with b64 false", "T9", `{"alg":"HS256","b64":false}`)
	refused("zip-jws", "header of a signed token with zip", "T6", `{"alg":"HS256","zip":"DEF"}`)
	refused("typ-control", "control document in place of a token", "T59", `{"alg":"HS256","typ":"approov-control+jwt"}`)
	refused("typ-control-upper-case", "control document in capitals in place of a token", "T59", `{"alg":"HS256","typ":"application/Approov-Control+JWT"}`)
	refused("enc-jws", "signed token with enc in its header", "T3", `{"alg":"HS256","enc":"A256GCM"}`)

	// Parameters that carry or point to keys are never looked at (RFC 8725 §3.10): they neither help nor harm.
	embedded := `{"kty":"oct","k":"` + b64(string(g.keys.foreign)) + `"}`
	for file, parameter := range map[string]string{
		"jwk": `"jwk":` + embedded, "jku": `"jku":"http://127.0.0.1:9/keys.json"`, "x5u": `"x5u":"http://127.0.0.1:9/cert.pem"`,
		"x5c": `"x5c":["AAAA"]`, "kid-path": `"kid":"../../dev/null"`, "kid-sql": `"kid":"' OR 1=1 --"`, "kid-nul": `"kid":"a\u0000b"`,
	} {
		header := `{"alg":"HS256",` + parameter + `}`
		g.add("token/embedded-"+file, "forged token is not helped by its "+strings.ReplaceAll(file, "-", " "), "T8", strict,
			get(g.sign("HS256", g.keys.foreign, header, genuine)), deny("signature_invalid"))
	}
	g.add("token/embedded-ignored", "key parameters in a genuine token are not looked at", "T8", strict,
		get(g.headed(`{"alg":"HS256","jku":"http://127.0.0.1:9/keys.json","jwk":{}}`)), pass())
	g.add("token/embedded-empty-key", "token signed with an empty key it carries is denied", "T8, T15", strict,
		get(g.sign("HS256", []byte{}, `{"alg":"HS256","jwk":{"kty":"oct","k":""}}`, genuine)), deny("signature_invalid"))
}

// tokenSizes are the cases about the length of a token; 8192 bytes is the default bound.
func tokenSizes(g *corpus) {
	// sized is a genuine token of that many characters: 36 of header and 43 of signature are always there.
	sized := func(size int) string {
		const fixed = 36 + 1 + 1 + 43
		claims := `{"exp":1800000300,"x":""}`
		bytes := (size - fixed) * 3 / 4
		return g.hs(strings.Replace(claims, `""`, `"`+strings.Repeat("x", bytes-len(claims))+`"`, 1))
	}
	g.add("token/size-largest", "genuine token of 8192 bytes is accepted", "T10", strict, get(sized(8192)), pass())
	g.add("token/size-too-large", "genuine token of 8193 bytes is denied", "T10", strict, get(sized(8193)), deny("token_too_large"))
	g.add("token/size-dots", "8192 dots are denied", "T10", strict, get(strings.Repeat(".", 8192)), deny("token_malformed"))
	g.add("token/size-too-many-dots", "8193 dots are denied by their number", "T10", strict, get(strings.Repeat(".", 8193)), deny("token_too_large"))
	g.add("token/size-letters", "8193 letters are denied", "T10", strict, get(strings.Repeat("A", 8193)), deny("token_too_large"))
	const small = `{"token": {"max_bytes": 512}, "keys": [$account]}`
	g.add("token/size-own-bound", "token above the policy's own bound is denied", "T10", small, get(sized(513)), deny("token_too_large"))
	g.add("token/size-at-own-bound", "token at the policy's own bound is accepted", "T10", small, get(sized(512)), pass())
}
